//! Timers at the edges of time, in great numbers, and without a busy loop.
#![expect(clippy::disallowed_types, reason = "a subscriber counts, which must be Sync")]

mod each_wait;
mod events;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use each_wait::with_each_wait;
use events::Listener;
use perloop::{EventLoop, Spin, create_task, run_coroutine_threadsafe, sleep, yield_now};

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Durations at which some integer of some system ends.
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

#[test]
fn a_loop_with_only_far_timers_stays_responsive() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        for far in extremes() {
            let handle = event_loop.call_later(far, || panic!("too early")).unwrap();
            drop(event_loop.create_task(sleep(far)).unwrap());
            assert!(handle.when() >= far);
            event_loop.run_until_complete(sleep(Duration::from_micros(10))).unwrap();
            let abroad = run_coroutine_threadsafe(async { 1 }, &event_loop.handle());
            assert_eq!(event_loop.run_until_complete(abroad).unwrap(), Ok(1));
            // Alone, it is what the loop would wait for.
            event_loop.run_once(Some(Duration::from_micros(10))).unwrap();
            handle.cancel();
        }
    });
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
fn timers_that_are_armed_and_cancelled_again_and_again_leave_nothing() {
    let event_loop = virtual_loop();
    for _ in 0..300_000 {
        event_loop.call_later(Duration::from_secs(3600), || panic!("cancelled")).unwrap().cancel();
    }
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

#[test]
fn waiting_for_a_deadline_is_one_sleep_and_no_busy_loop() {
    with_each_wait(|builder| {
        let sleeps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sleeps);
        let builder = builder.spin(Spin::Never);
        let count = move || {
            Listener::install(move |message| {
                counted.fetch_add(usize::from(message == "sleep"), Relaxed);
            });
            builder.run(async {
                for n in 1..=200 {
                    sleep(Duration::from_micros(n * 7)).await;
                }
            })
        };
        std::thread::spawn(count).join().unwrap().unwrap();
        // One for each, and a second one where the system ends a wait early.
        let sleeps = sleeps.load(Relaxed);
        assert!(sleeps <= 2 * 200 + 10, "{sleeps} waits for 200 deadlines");
    });
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
