//! `Event`: what its golden traces do not show.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_util::future::{Either, join_all, select};
use perloop::{Event, EventLoop, catch_cancelled, create_task, yield_now};

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().build().unwrap().run_until_complete(main).unwrap()
}

#[test]
fn who_gives_up_waiting_is_not_woken() {
    run(async {
        let event = Event::new();
        assert!(matches!(select(pin!(event.wait()), pin!(yield_now())).await, Either::Right(_)));
        assert!(format!("{event:?}").contains("waiting: 0"));
        event.set();
        event.wait().await;
    });
}

#[test]
fn who_came_after_the_event_was_cleared_waits_for_the_next_one() {
    run(async {
        let event = Event::new();
        let wait = || {
            let event = event.clone();
            create_task(async move { event.wait().await })
        };
        let early = wait();
        yield_now().await;
        event.set();
        event.clear();
        let late = wait();
        yield_now().await;
        assert!(early.done() && !late.done());
        event.set();
        assert_eq!(late.await, Ok(()));
    });
}

#[test]
fn all_branches_of_a_task_come_through() {
    run(async {
        let event = Event::new();
        let setter = create_task({
            let event = event.clone();
            async move { event.set() }
        });
        join_all((0..100).map(|_| event.wait())).await;
        setter.await.unwrap();
    });
}

#[test]
fn a_poll_that_nobody_woke_waits_on() {
    run(async {
        let event = Event::new();
        let mut wait = pin!(event.wait());
        for _ in 0..3 {
            assert!(poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await.is_pending());
        }
        event.set();
        wait.await;
    });
}

/// The request goes to the scope in the other branch, and this one is not dropped.
#[test]
fn a_waiter_beside_a_scope_that_catches_the_request_is_woken() {
    run(async {
        let event = Event::new();
        let task = create_task({
            let event = event.clone();
            async move {
                let caught = catch_cancelled(std::future::pending::<()>());
                futures_util::future::join(caught, event.wait()).await.0.is_err()
            }
        });
        yield_now().await;
        task.cancel();
        event.set();
        event.clear();
        assert_eq!(task.await, Ok(true));
    });
}

#[test]
#[should_panic(expected = "Event::wait: no running event loop in this thread")]
fn waiting_outside_of_a_loop_panics() {
    let event = Event::new();
    let mut wait = pin!(event.wait());
    let _never = wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
}

#[test]
fn who_left_from_the_middle_is_not_counted_among_the_woken() {
    run(async {
        let event = Event::new();
        for _ in 0..3 {
            let wait = |_| {
                let event = event.clone();
                create_task(async move { event.wait().await })
            };
            let tasks: Vec<_> = (0..100).map(wait).collect();
            yield_now().await;
            tasks[10..70].iter().rev().for_each(|task| assert!(task.cancel()));
            yield_now().await;
            event.set();
            event.clear();
            assert!(format!("{event:?}").contains("waiting: 40"), "{event:?}");
            yield_now().await;
            assert!(format!("{event:?}").contains("waiting: 0"), "{event:?}");
            assert_eq!(tasks.iter().filter(|task| task.result().is_ok()).count(), 40);
        }
    });
}
