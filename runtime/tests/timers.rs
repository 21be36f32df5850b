//! Timers at the edges of time, in great numbers, and without a busy loop.
#![expect(clippy::disallowed_types, reason = "a subscriber counts, which must be Sync")]

mod each_wait;
mod events;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use each_wait::with_each_wait;
use events::Listener;
use perloop::{
    Builder, EventLoop, FutureError, LoopThread, Promise, ReturnWhen, Spin, catch_cancelled, create_task,
    get_running_loop, run_coroutine_threadsafe, sleep, threads, yield_now,
};

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Durations at which some integer of some system ends, all of them too far to wait for.
fn extremes() -> Vec<Duration> {
    let millis = [(1_u64 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1];
    let nanos = [(1_u64 << 63) - 1, 1 << 63, u64::MAX];
    let seconds = [i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX];
    let mut all: Vec<_> = millis.into_iter().map(Duration::from_millis).collect();
    all.extend(nanos.into_iter().map(Duration::from_nanos));
    all.extend(seconds.into_iter().map(Duration::from_secs));
    all.push(Duration::MAX);
    all
}

/// What is due at once, or so soon that a coarser clock sees no difference.
const SHORT: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(999_999), Duration::from_millis(1)];

/// A loop that has such a timer, and nothing else to wait for, stays responsive.
fn try_far(event_loop: &EventLoop, far: Duration) {
    let handle = event_loop.call_later(far, || panic!("too early")).unwrap();
    let at = event_loop.call_at(far, || panic!("too early")).unwrap();
    drop(event_loop.create_task(sleep(far)).unwrap());
    assert!(handle.when() >= far && at.when() == far);
    event_loop.run_until_complete(sleep(Duration::from_micros(10))).unwrap();
    let abroad = run_coroutine_threadsafe(async { 1 }, &event_loop.handle());
    assert_eq!(event_loop.run_until_complete(abroad).unwrap(), Ok(1));
    // Alone, it is what the loop would wait for.
    event_loop.run_once(Some(Duration::from_micros(10))).unwrap();
    // And a turn that may wait as long is ended by what comes.
    let remote = event_loop.handle();
    let caller = std::thread::spawn(move || remote.call_soon_threadsafe(|| ()).unwrap());
    event_loop.run_once(Some(far)).unwrap();
    caller.join().unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    handle.cancel();
    at.cancel();
}

/// A thread that may wait for so long is told when the end comes.
fn try_far_waits(far: Duration) {
    let worker = LoopThread::spawn("worker").unwrap();
    let nap = || run_coroutine_threadsafe(sleep(Duration::from_micros(300)), &worker);
    assert_eq!(nap().result_timeout(far), Ok(()));
    let naps = [nap(), nap()];
    let [first, second]: [&dyn perloop::AnyFuture; 2] = [&naps[0], &naps[1]];
    let found = threads::wait(&[first, second], ReturnWhen::AllCompleted, Some(far)).unwrap();
    assert_eq!(found.done, [0, 1]);
    assert_eq!(threads::as_completed(&[first, second], Some(far)).unwrap().count(), 2);
}

/// Every duration in every place that takes one: nothing overflows, what is far is never due, and whoever waits goes on
/// when something else comes.
#[test]
fn t_duration_matrix() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        extremes().into_iter().for_each(|far| try_far(&event_loop, far));
        for short in SHORT {
            let fired = Rc::new(Cell::new(0));
            let counted = [(); 2].map(|()| Rc::clone(&fired));
            let [later, at] = counted.map(|fired| move || fired.set(fired.get() + 1));
            event_loop.call_later(short, later).unwrap();
            event_loop.call_at(short, at).unwrap();
            event_loop.run_until_complete(sleep(short)).unwrap();
            event_loop.run_once(Some(short)).unwrap();
            while fired.get() < 2 {
                event_loop.run_once(None).unwrap();
            }
        }
    });
    extremes().into_iter().for_each(try_far_waits);
    let (_promise, pending) = Promise::<()>::new();
    for short in SHORT {
        assert_eq!(pending.result_timeout(short), Err(FutureError::TimedOut));
        let found = threads::wait(&[&pending], ReturnWhen::AllCompleted, Some(short)).unwrap();
        assert_eq!(found.pending, [0]);
    }
}

#[test]
fn virtual_time_reaches_every_far_deadline_but_never() {
    for far in extremes().into_iter().filter(|far| *far != Duration::MAX) {
        let event_loop = virtual_loop();
        event_loop.run_until_complete(sleep(far)).unwrap();
        assert_eq!(event_loop.time(), far);
        // From there any delay saturates, at the latest at never.
        let far = event_loop.call_later(far, || ()).unwrap();
        let never = event_loop.call_later(Duration::MAX, || panic!("never")).unwrap();
        assert!(far.when() > event_loop.time() || far.when() == Duration::MAX);
        assert_eq!(never.when(), Duration::MAX);
        event_loop.run_until_complete(async { yield_now().await }).unwrap();
    }
    let event_loop = virtual_loop();
    event_loop.call_later(Duration::MAX, || panic!("never")).unwrap();
    assert_eq!(event_loop.next_deadline(), None);
}

#[test]
fn short_sleeps_are_never_early_and_zero_is_a_turn() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        let clock = event_loop.clone();
        let check = async move {
            for nanos in [1, 2, 999, 1000, 1001, 999_999, 1_000_000, 1_000_001] {
                let before = clock.time();
                sleep(Duration::from_nanos(nanos)).await;
                assert!(clock.time() - before >= Duration::from_nanos(nanos));
            }
            assert_eq!(clock.next_deadline(), None);
            sleep(Duration::ZERO).await;
        };
        event_loop.run_until_complete(check).unwrap();
    });
}

#[test]
fn zero_gives_up_the_turn_once_as_yield_now_does() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&order);
    perloop::run(async move {
        let (first, second) = (Rc::clone(&note), Rc::clone(&note));
        let one = create_task(async move {
            for n in 0..3 {
                first.borrow_mut().push(n);
                sleep(Duration::ZERO).await;
            }
        });
        let other = create_task(async move {
            for n in 10..13 {
                second.borrow_mut().push(n);
                yield_now().await;
            }
        });
        one.await.unwrap();
        other.await.unwrap();
    })
    .unwrap();
    assert_eq!(*order.borrow(), [0, 10, 1, 11, 2, 12]);
}

#[test]
fn sleepers_of_one_deadline_wake_in_the_order_of_falling_asleep() {
    let event_loop = virtual_loop();
    let order = Rc::new(RefCell::new(Vec::new()));
    for n in 0..100 {
        let order = Rc::clone(&order);
        let nap = async move {
            sleep(Duration::from_secs(1)).await;
            order.borrow_mut().push(n);
        };
        drop(event_loop.create_task(nap).unwrap());
    }
    event_loop.run_until_complete(sleep(Duration::from_secs(2))).unwrap();
    assert_eq!(*order.borrow(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_million_timers_are_armed_and_cancelled() {
    let event_loop = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    let mut cancelled = 0;
    let mut handles = Vec::with_capacity(1_000_000);
    for n in 0..1_000_000_u64 {
        let fired = Rc::clone(&fired);
        // Deadlines in no order, thousands of them equal.
        let delay = Duration::from_millis(n.wrapping_mul(2_654_435_761) % 10_000);
        handles.push(event_loop.call_later(delay, move || fired.set(fired.get() + 1)).unwrap());
    }
    for handle in handles.iter().enumerate().filter(|(index, _)| index % 8 != 0).map(|(_, handle)| handle) {
        handle.cancel();
        cancelled += 1;
    }
    event_loop.run_until_complete(sleep(Duration::from_secs(10))).unwrap();
    assert_eq!(fired.get() + cancelled, 1_000_000);
    assert_eq!(event_loop.next_deadline(), None);
}

#[test]
fn a_sleep_that_is_cancelled_or_dropped_takes_its_timer_along() {
    let event_loop = virtual_loop();
    let task = event_loop.create_task(sleep(Duration::from_secs(3600))).unwrap();
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    assert!(event_loop.next_deadline().is_some());
    task.cancel();
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    assert_eq!((task.cancelled(), event_loop.next_deadline()), (true, None));
}

#[test]
fn a_sleep_that_is_dropped_in_another_thread_takes_its_timer_along() {
    let event_loop = EventLoop::builder().build().unwrap();
    let clock = event_loop.clone();
    let check = async move {
        let mut nap = Box::pin(sleep(Duration::from_secs(3600)));
        assert!(futures_util::future::FutureExt::now_or_never(&mut nap).is_none());
        assert!(clock.next_deadline().is_some());
        std::thread::spawn(move || drop(nap)).join().unwrap();
        // What comes from outside stands behind this step in the next turn.
        yield_now().await;
        yield_now().await;
        assert_eq!(clock.next_deadline(), None);
    };
    event_loop.run_until_complete(check).unwrap();
}

/// Runs `main` on a loop that looks for nothing before it waits, and counts how often it waits.
fn count_waits<F: Future<Output = ()>>(builder: Builder, main: impl FnOnce() -> F + Send + 'static) -> usize {
    let waits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waits);
    let life = move || {
        Listener::install(move |message| {
            counted.fetch_add(usize::from(message == "sleep"), Relaxed);
        });
        builder.spin(Spin::Never).run(main())
    };
    std::thread::spawn(life).join().unwrap().unwrap();
    waits.load(Relaxed)
}

/// The rest of a wait that is shorter than what the system counts is neither a busy loop nor slept through: the loop waits
/// once for a deadline, and a second time where the system ends a wait early. None comes early.
#[test]
fn t_no_spin_before_timer() {
    const TIMERS: u64 = 1_000;
    with_each_wait(|builder| {
        // One after the other.
        let waits = count_waits(builder.clone(), || async {
            for n in 1..=200 {
                sleep(Duration::from_micros(n * 7)).await;
            }
        });
        assert!(waits <= 2 * 200 + 10, "{waits} waits for 200 deadlines");
        // All at once, at random.
        let waits = count_waits(builder, || async {
            let event_loop = get_running_loop().unwrap();
            let fired = Rc::new(Cell::new(0));
            for n in 0..TIMERS {
                let nanos = n.wrapping_mul(6_364_136_223_846_793_005) % 200_000_000;
                let (fired, clock) = (Rc::clone(&fired), event_loop.clone());
                let when = event_loop.time() + Duration::from_nanos(nanos);
                let fire = move || {
                    assert!(clock.time() >= when);
                    fired.set(fired.get() + 1);
                };
                event_loop.call_at(when, fire).unwrap();
            }
            sleep(Duration::from_millis(201)).await;
            assert_eq!(fired.get(), TIMERS);
        });
        assert!(waits <= 3 * TIMERS as usize, "{waits} waits for {TIMERS} deadlines");
    });
}

/// A timer that a timer sets is for the next turn, also if it is due already: or timers that set timers would keep all
/// else waiting.
#[test]
fn t_timer_set_in_timer() {
    fn set_next(event_loop: &EventLoop, fired: &Rc<Cell<u32>>, when: Duration) {
        let (again, counted) = (event_loop.clone(), Rc::clone(fired));
        let fire = move || {
            counted.set(counted.get() + 1);
            set_next(&again, &counted, when);
        };
        event_loop.call_at(when, fire).unwrap();
    }
    for builder in [EventLoop::builder(), EventLoop::builder().virtual_time()] {
        let event_loop = builder.build().unwrap();
        let fired = Rc::new(Cell::new(0));
        set_next(&event_loop, &fired, Duration::ZERO);
        for turns in 1..=100 {
            event_loop.run_once(Some(Duration::ZERO)).unwrap();
            assert_eq!(fired.get(), turns);
        }
        event_loop.close().unwrap();
    }
}

#[test]
fn a_turn_does_not_wait_longer_than_it_is_told() {
    let event_loop = virtual_loop();
    let fired = Rc::new(Cell::new(false));
    let flag = Rc::clone(&fired);
    event_loop.call_later(Duration::from_micros(2500), move || flag.set(true)).unwrap();
    for (waited, has_fired) in [(1000, false), (2000, false), (2500, true)] {
        event_loop.run_once(Some(Duration::from_millis(1))).unwrap();
        assert_eq!((event_loop.time(), fired.get()), (Duration::from_micros(waited), has_fired));
    }
}

/// A machine that was asleep, or a process that was stopped: what is overdue fires once each, in the order of the
/// deadlines, and a ticker that arms itself anew does not make up for the ticks that it missed.
#[cfg(target_os = "linux")]
#[test]
fn t_sigstop_5s() {
    const NAME: &str = "t_sigstop_5s";
    if std::env::var_os(NAME).is_some() {
        return fire_when_continued();
    }
    let own = std::env::current_exe().unwrap();
    let mut stopped = std::process::Command::new(own)
        .args([NAME, "--exact", "--nocapture"])
        .env(NAME, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(stopped.stdout.take().unwrap()));
    assert!(said.any(|line| line.unwrap().ends_with("armed")));
    let process = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    let said: Vec<_> = said.map(Result::unwrap).collect();
    assert!(stopped.wait().unwrap().success(), "{said:?}");
    let fired = said.iter().find_map(|line| line.strip_prefix("fired ")).unwrap();
    let in_order: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(fired.split(' ').collect::<Vec<_>>(), in_order);
    let ticks = said.iter().find_map(|line| line.strip_prefix("ticks ")).unwrap();
    assert!(ticks.parse::<u32>().unwrap() < 30, "{ticks} ticks");
}

/// The process that is stopped: fifty timers in the 2 seconds to come, armed in no order, and a ticker of 100 ms.
#[cfg(target_os = "linux")]
fn fire_when_continued() {
    let event_loop = EventLoop::builder().build().unwrap();
    let fired = Rc::new(RefCell::new(Vec::new()));
    for n in (0..50_u32).map(|n| n * 37 % 50) {
        let fired = Rc::clone(&fired);
        let delay = Duration::from_millis(1_000 + 20 * u64::from(n));
        event_loop.call_later(delay, move || fired.borrow_mut().push(n.to_string())).unwrap();
    }
    let ticks = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ticks);
    let ticker = async move {
        loop {
            sleep(Duration::from_millis(100)).await;
            counted.set(counted.get() + 1);
        }
    };
    drop(event_loop.create_task(ticker).unwrap());
    println!("armed");
    event_loop.run_until_complete(sleep(Duration::from_millis(2_200))).unwrap();
    println!("fired {}\nticks {}", fired.borrow().join(" "), ticks.get());
}

/// A loop that looks for longer than it may wait is on time all the same.
#[test]
fn looking_ends_at_the_deadline() {
    for look in [Duration::from_millis(50), Duration::from_secs(3600), Duration::MAX] {
        let builder = EventLoop::builder().spin(Spin::For(look));
        let worker = LoopThread::spawn_with("eager", builder.clone()).unwrap();
        let nap = run_coroutine_threadsafe(sleep(Duration::from_micros(300)), &worker);
        // A limit for the test; without the bug it is over in no time.
        assert_eq!(nap.result_timeout(Duration::from_secs(10)), Ok(()), "{look:?}");
        let event_loop = builder.build().unwrap();
        let (began, limit) = (event_loop.time(), Duration::from_millis(1));
        event_loop.run_once(Some(limit)).unwrap(); // hangs for Duration::MAX
        assert!(event_loop.time() - began >= limit);
    }
}

#[test]
fn a_sleep_that_is_given_up_between_its_time_and_its_turn_wakes_nobody() {
    let polls = Rc::new(Cell::new(0));
    let count = Rc::clone(&polls);
    EventLoop::builder()
        .virtual_time()
        .run(async move {
            let own = get_running_loop().expect("it runs");
            let task = create_task(async move {
                let _cancelled = catch_cancelled(sleep(Duration::from_secs(2))).await;
                poll_fn(|_| {
                    count.set(count.get() + 1);
                    Poll::<()>::Pending
                })
                .await;
            });
            yield_now().await;
            // When the task hears of the request, the timer of its sleep is due and behind it in the same turn.
            task.cancel();
            own.advance(Duration::from_secs(5));
            for _ in 0..3 {
                yield_now().await;
            }
            assert_eq!(polls.get(), 1);
        })
        .expect("it ends by itself");
}
