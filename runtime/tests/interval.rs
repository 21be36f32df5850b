//! Ticks at fixed times.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::StreamExt;
use perloop::{
    EventLoop, Interval, MissedTickBehavior, create_task, get_running_loop, interval, interval_at, sleep,
    yield_now,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn now() -> Duration {
    get_running_loop().expect("it runs").time()
}

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("it ends by itself")
}

/// The next tick, and when it came.
async fn next(ticks: &mut Interval) -> (Duration, Duration) {
    let due = ticks.tick().await;
    (now(), due)
}

#[test]
fn ticks_stay_where_they_are_however_long_the_work_takes() {
    run(async {
        let mut every = interval(ms(10));
        for n in 0..100 {
            assert_eq!(next(&mut every).await, (ms(10 * n), ms(10 * n)));
            sleep(ms(n % 10)).await;
        }
    });
}

#[test]
fn the_first_tick_comes_at_once_or_at_its_start() {
    run(async {
        sleep(ms(3)).await;
        assert_eq!(next(&mut interval(ms(10))).await, (ms(3), ms(3)));
        assert_eq!(next(&mut interval_at(ms(8), ms(10))).await, (ms(8), ms(8)));
        let mut late = interval_at(ms(1), ms(10));
        assert_eq!(next(&mut late).await, (ms(8), ms(1)));
        assert_eq!(next(&mut late).await, (ms(11), ms(11)));
    });
}

/// A period of ten, asked at 0, and then from 35 on.
async fn missing(behavior: MissedTickBehavior) -> Vec<(u128, u128)> {
    let mut every = interval(ms(10));
    every.set_missed_tick_behavior(behavior);
    every.tick().await;
    sleep(ms(35)).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (came, due) = next(&mut every).await;
        seen.push((came.as_millis(), due.as_millis()));
    }
    seen
}

#[test]
fn missed_ticks_burst_or_delay_or_are_skipped() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    assert_eq!(run(missing(Burst)), [(35, 10), (35, 20), (35, 30), (40, 40), (50, 50)]);
    assert_eq!(run(missing(Delay)), [(35, 10), (45, 45), (55, 55), (65, 65), (75, 75)]);
    assert_eq!(run(missing(Skip)), [(35, 10), (40, 40), (50, 50), (60, 60), (70, 70)]);
}

#[test]
fn late_by_less_than_a_period_is_no_miss() {
    for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
        run(async {
            let mut every = interval(ms(10));
            every.set_missed_tick_behavior(behavior);
            every.tick().await;
            sleep(ms(19)).await;
            assert_eq!(next(&mut every).await, (ms(19), ms(10)));
            assert_eq!(next(&mut every).await, (ms(20), ms(20)));
        });
    }
}

#[test]
fn a_tick_that_is_due_when_the_one_before_it_comes_is_missed() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    for (behavior, following) in [(Burst, 20), (Delay, 30), (Skip, 30)] {
        run(async {
            let mut every = interval(ms(10));
            every.set_missed_tick_behavior(behavior);
            every.tick().await;
            sleep(ms(20)).await;
            assert_eq!(next(&mut every).await, (ms(20), ms(10)));
            assert_eq!(next(&mut every).await, (ms(following), ms(following)));
        });
    }
}

#[test]
fn a_tick_that_is_given_up_is_not_lost() {
    run(async {
        let mut every = interval(ms(10));
        every.tick().await;
        for _ in 0..3 {
            let mut tick = pin!(every.tick());
            let polled = poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx).is_ready()));
            assert!(!polled.await);
        }
        assert_eq!(next(&mut every).await, (ms(10), ms(10)));
        sleep(ms(10)).await;
        // One that is due is there at the second poll, whichever future polls.
        for is_there in [false, true] {
            let mut tick = pin!(every.tick());
            assert_eq!(poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx).is_ready())).await, is_there);
        }
        assert_eq!(next(&mut every).await, (ms(30), ms(30)));
    });
}

#[test]
fn a_task_that_is_asked_to_stop_leaves_the_tick_to_the_next_one() {
    run(async {
        let mut every = interval(ms(10));
        every.tick().await;
        let every = Rc::new(RefCell::new(every));
        let shared = Rc::clone(&every);
        let waiting = create_task(poll_fn(move |cx| shared.borrow_mut().poll_next_unpin(cx)));
        yield_now().await;
        waiting.cancel();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(poll_fn(|cx| every.borrow_mut().poll_next_unpin(cx)).await, Some(ms(10)));
    });
}

#[test]
fn who_is_always_late_keeps_nobody_from_running() {
    run(async {
        let mut every = interval(ms(1));
        sleep(ms(1000)).await;
        let steps = Rc::new(RefCell::new(0));
        let count = Rc::clone(&steps);
        let other = create_task(async move {
            for _ in 0..5 {
                *count.borrow_mut() += 1;
                yield_now().await;
            }
        });
        let mut late = interval_at(ms(0), ms(1));
        for _ in 0..10 {
            late.tick().await;
        }
        assert_eq!(*steps.borrow(), 5);
        other.await.expect("it ends");
        every.tick().await;
    });
}

#[test]
fn a_reset_counts_from_now() {
    run(async {
        let mut every = interval(ms(10));
        every.tick().await;
        {
            let mut tick = pin!(every.tick());
            assert!(poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx).is_pending())).await);
        }
        sleep(ms(4)).await;
        every.reset();
        assert_eq!(next(&mut every).await, (ms(14), ms(14)));
        assert_eq!(next(&mut every).await, (ms(24), ms(24)));
    });
}

#[test]
fn a_period_too_long_for_the_clock_is_never() {
    run(async {
        let mut once = interval(Duration::MAX);
        once.tick().await;
        let mut tick = pin!(once.tick());
        assert!(poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx).is_pending())).await);
    });
}

#[test]
fn it_is_a_stream_of_its_ticks() {
    let ticks: Vec<_> = run(async { interval(ms(5)).take(3).collect().await });
    assert_eq!(ticks, [ms(0), ms(5), ms(10)]);
}

#[test]
#[should_panic(expected = "the period must not be zero")]
fn a_period_of_zero_is_refused() {
    let _never = interval(Duration::ZERO);
}

#[test]
#[should_panic(expected = "asked on another event loop than before")]
fn another_loop_has_another_clock() {
    let mut every = interval(ms(1));
    run(every.tick());
    run(every.tick());
}

#[test]
fn on_the_machines_clock_no_tick_comes_early() {
    perloop::run(async {
        let mut every = interval(ms(1));
        for _ in 0..20 {
            let (came, due) = next(&mut every).await;
            assert!(came >= due);
        }
    })
    .expect("it ends by itself");
}
