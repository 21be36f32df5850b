//! Futures of a loop that another thread completes.

use std::sync::Arc;

use perloop::{Panicked, Promise, TaskError, create_task, wrap_future, yield_now};

#[test]
fn value_failure_and_cancellation_come_over_from_another_thread() {
    perloop::run(async {
        let (mut value, wrapped_value) = Promise::new();
        let (mut failure, wrapped_failure) = Promise::<()>::new();
        let (cancelled, wrapped_cancelled) = Promise::<()>::new();
        let value_here = wrap_future(wrapped_value);
        let failure_here = wrap_future(wrapped_failure);
        let cancelled_here = wrap_future(wrapped_cancelled);
        let thread = std::thread::spawn(move || {
            value.set_result(42).expect("it is set once");
            failure.set_exception(Panicked::new(Box::new("out of paper"))).expect("it is set once");
            drop(cancelled);
        });
        assert_eq!((&value_here).await, Ok(42));
        assert_eq!(value_here.await, Ok(42));
        assert!(matches!(failure_here.await, Err(TaskError::Panicked(_))));
        assert!(
            matches!((&cancelled_here).await, Err(TaskError::Cancelled(_))) && cancelled_here.cancelled()
        );
        thread.join().expect("it does not panic");
    })
    .expect("it ends by itself");
}

#[test]
fn a_request_to_who_awaits_it_cancels_the_source() {
    perloop::run(async {
        let (mut promise, source) = Promise::<()>::new();
        let waiter = create_task(wrap_future(source));
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.is_err_and(|error| error.is_cancelled()));
        assert!(!promise.set_running_or_notify_cancel(), "the work need not begin");
    })
    .expect("it ends by itself");
}

#[test]
fn one_that_is_done_is_done_at_once() {
    perloop::run(async {
        let (mut promise, source) = Promise::new();
        promise.set_result(1).expect("it is set once");
        assert!(wrap_future(source).done());
    })
    .expect("it ends by itself");
}

#[test]
fn a_shared_one_is_watched_here_and_blocked_on_elsewhere() {
    let (mut promise, source) = Promise::new();
    let source = Arc::new(source);
    let shared = Arc::clone(&source);
    let blocked = std::thread::spawn(move || shared.exception());
    let value = perloop::run(async {
        let here = wrap_future(source);
        promise.set_result(42).expect("it is set once");
        here.await
    });
    assert_eq!(value.expect("it ends by itself"), Ok(42));
    assert!(blocked.join().expect("no panic").expect("a value").is_none());
}
