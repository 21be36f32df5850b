//! `Condition`: what its golden traces do not show: requests while the lock is taken, waits that are dropped without a
//! request, guards, loops.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, join, select};
use perloop::{
    Condition, Event, EventLoop, Lock, NotAcquired, Task, TaskError, catch_cancelled, create_task, yield_now,
};

type Trace = Rc<RefCell<Vec<String>>>;

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().build().unwrap().run_until_complete(main).unwrap()
}

/// A task that waits once.
fn waiter(name: &str, condition: &Condition, trace: &Trace) -> Task<Result<(), NotAcquired>> {
    let (name, condition, trace) = (name.to_owned(), condition.clone(), Rc::clone(trace));
    create_task(async move {
        let _guard = condition.acquire().await;
        condition.wait().await?;
        trace.borrow_mut().push(name);
        Ok(())
    })
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn a_request_ends_the_wait_with_the_lock_held_however_often_it_is_made() {
    run(async {
        let condition = Condition::new();
        let was_locked = Rc::new(Cell::new(false));
        let task = create_task({
            let (condition, was_locked) = (condition.clone(), Rc::clone(&was_locked));
            async move {
                let _guard = condition.acquire().await;
                let Err(cancelled) = catch_cancelled(condition.wait()).await else {
                    panic!("it was asked to stop")
                };
                was_locked.set(condition.locked());
                cancelled.raise().await;
            }
        });
        yield_now().await;
        let guard = condition.acquire().await;
        for message in ["first", "second", "third"] {
            task.cancel_with(message);
            turns(3).await;
            assert!(!task.done(), "the lock is taken");
        }
        drop(guard);
        let Err(TaskError::Cancelled(cancelled)) = task.await else { panic!("it was asked to stop") };
        assert_eq!(cancelled.message(), Some("third"));
        assert!(was_locked.get() && !condition.locked());
    });
}

#[test]
fn a_request_while_the_notified_takes_the_lock_wakes_another_one() {
    run(async {
        let (condition, trace) = (Condition::new(), Trace::default());
        let first = waiter("first", &condition, &trace);
        let second = waiter("second", &condition, &trace);
        turns(2).await;
        let guard = condition.acquire().await;
        condition.notify(1).unwrap();
        turns(2).await; // the first stands in line for the lock
        first.cancel();
        drop(guard);
        assert!(first.await.is_err());
        assert_eq!(second.await, Ok(Ok(())));
        assert_eq!(*trace.borrow(), ["second"]);
    });
}

#[test]
fn a_wait_that_lost_a_race_leaves_the_lock_free_and_its_guard_releases_nothing() {
    run(async {
        let condition = Condition::new();
        let guard = condition.acquire().await;
        assert!(matches!(select(pin!(condition.wait()), pin!(yield_now())).await, Either::Right(_)));
        assert!(!condition.locked());
        let other = condition.acquire().await;
        drop(guard);
        assert!(condition.locked());
        drop(other);
    });
}

#[test]
fn a_notified_wait_that_is_dropped_hands_the_notification_on() {
    run(async {
        let (condition, trace) = (Condition::new(), Trace::default());
        let dropped = create_task({
            let condition = condition.clone();
            async move {
                let _guard = condition.acquire().await;
                let mut race = pin!(select(Box::pin(condition.wait()), Box::pin(turns(3))));
                matches!((&mut race).await, Either::Right(_))
            }
        });
        let second = waiter("second", &condition, &trace);
        turns(2).await;
        let guard = condition.acquire().await;
        condition.notify(1).unwrap();
        turns(4).await; // it was notified, and cannot have the lock in time
        drop(guard);
        assert_eq!(dropped.await, Ok(true));
        assert_eq!(second.await, Ok(Ok(())));
        assert!(!condition.locked());
    });
}

#[test]
fn a_guard_that_outlives_a_wait_releases_the_lock() {
    run(async {
        let (condition, trace) = (Condition::new(), Trace::default());
        let tasks = ["a", "b", "c"].map(|name| waiter(name, &condition, &trace));
        turns(1).await;
        condition.acquire().await.forget();
        condition.notify_all().unwrap();
        condition.release().unwrap();
        for task in tasks {
            assert_eq!(task.await, Ok(Ok(())));
        }
        assert_eq!(*trace.borrow(), ["a", "b", "c"]);
        assert!(!condition.locked());
    });
}

#[test]
fn a_predicate_that_panics_leaves_the_lock_to_the_guard() {
    run(async {
        let condition = Condition::new();
        let task = create_task({
            let condition = condition.clone();
            async move {
                let _guard = condition.acquire().await;
                condition.wait_for(|| panic!("out of paper")).await
            }
        });
        assert!(task.await.is_err());
        assert!(!condition.locked());
    });
}

#[test]
fn a_closed_loop_drops_who_waits_and_the_lock_is_free() {
    let condition = Condition::new();
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    for _ in 0..3 {
        let condition = condition.clone();
        event_loop
            .create_task(async move {
                let _guard = condition.acquire().await;
                condition.wait().await
            })
            .unwrap();
    }
    event_loop.run_until_complete(turns(2)).unwrap();
    event_loop.close().unwrap();
    assert!(!condition.locked());
    assert!(format!("{condition:?}").contains("waiting: 0"));
}

#[test]
fn waiting_in_another_loop_panics_before_it_releases_the_lock() {
    let event_loop = || EventLoop::builder().virtual_time().build().unwrap();
    let (first, second, lock) = (event_loop(), event_loop(), Lock::new());
    let condition = Condition::with_lock(&lock);
    let wait = async || {
        lock.acquire().await.forget();
        let _lost = select(pin!(condition.wait()), pin!(yield_now())).await;
    };
    first.run_until_complete(wait()).unwrap();
    assert!(!lock.locked());
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.run_until_complete(wait())));
    assert!(panicked.is_err());
    assert!(lock.locked());
}

/// It was passed over, as it had a request on its way, and that was taken back.
#[test]
fn a_notification_that_went_past_a_waiter_who_stays_after_all_wakes_it() {
    run(async {
        let (condition, other) = (Condition::new(), Event::new());
        let waiter = create_task({
            let (condition, other) = (condition.clone(), other.clone());
            async move {
                let _guard = condition.acquire().await;
                join(condition.wait(), other.wait()).await.0
            }
        });
        turns(1).await;
        let guard = condition.acquire().await;
        other.set();
        waiter.cancel();
        condition.notify(1).unwrap();
        assert_eq!(waiter.uncancel(), 0);
        drop(guard);
        assert_eq!(waiter.await, Ok(Ok(())));
    });
}

#[test]
fn so_many_are_notified_as_were_named_and_those_asked_to_stop_are_not_among_them() {
    run(async {
        let (condition, trace) = (Condition::new(), Trace::default());
        let tasks: Vec<_> = (0..60).map(|n| waiter(&n.to_string(), &condition, &trace)).collect();
        turns(2).await;
        let guard = condition.acquire().await;
        tasks.iter().step_by(2).for_each(|task| assert!(task.cancel()));
        condition.notify(0).unwrap();
        condition.notify(1).unwrap();
        condition.notify(4).unwrap();
        assert!(format!("{condition:?}").contains("waiting: 60"), "{condition:?}");
        turns(1).await;
        assert!(format!("{condition:?}").contains("waiting: 25"), "{condition:?}");
        drop(guard);
        turns(100).await;
        // Each that was cancelled notified one more when it had the lock.
        let notified: Vec<_> = (0..60).filter(|n| n % 2 == 1).map(|n| n.to_string()).collect();
        assert_eq!(*trace.borrow(), notified);
    });
}
