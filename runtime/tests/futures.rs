//! Futures of a loop: set by hand or by a task, awaited by many, cancelled with those who wait for them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    EventLoop, ExceptionContext, LoopFuture, Panicked, SetError, TaskError, catch_cancelled, create_future,
    create_task, ensure_future, gather, get_running_loop, shield, sleep, yield_now,
};

/// What happened, in order.
#[derive(Clone, Default)]
struct Events(Rc<RefCell<Vec<String>>>);

impl Events {
    fn add(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

fn failure(text: &'static str) -> Panicked {
    Panicked::new(Box::new(text))
}

fn in_virtual_time<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("main ends by itself")
}

#[test]
fn waiters_and_callbacks_come_in_the_order_in_which_they_came() {
    in_virtual_time(async {
        let events = Events::default();
        let future = create_future::<i32>();
        let waiter = |name: &'static str| {
            let (future, events) = (future.clone(), events.clone());
            create_task(async move { events.add(format!("{name} {:?}", future.await)) })
        };
        let first = waiter("first");
        yield_now().await;
        let in_callback = events.clone();
        future.add_done_callback(move |future| in_callback.add(format!("callback {:?}", future.result())));
        let second = waiter("second");
        yield_now().await;
        assert_eq!(future.set_result(7), Ok(()));
        events.add("set");
        assert!(first.await.is_ok() && second.await.is_ok());
        assert_eq!(events.take(), ["set", "first Ok(7)", "callback Ok(7)", "second Ok(7)"]);
    });
}

#[test]
fn a_request_to_one_who_waits_cancels_the_future_for_all() {
    in_virtual_time(async {
        let future = create_future::<()>();
        let (asked, other) = (create_task(future.clone()), create_task(future.clone()));
        yield_now().await;
        asked.cancel_with("enough");
        assert!(future.cancelled());
        let Err(TaskError::Cancelled(cancelled)) = asked.await else { panic!("it was asked") };
        assert_eq!(cancelled.message(), Some("enough"));
        assert!(matches!(other.await, Ok(Err(TaskError::Cancelled(_)))), "nobody asked it");
    });
}

#[test]
fn a_request_interrupts_an_await_so_that_a_scope_catches_it() {
    in_virtual_time(async {
        let future = create_future::<()>();
        let waiter = create_task(catch_cancelled(future.clone()));
        yield_now().await;
        waiter.cancel();
        assert!(matches!(waiter.await, Ok(Err(_))));
    });
}

#[test]
fn a_result_that_comes_before_the_request_stays_with_the_future() {
    in_virtual_time(async {
        let future = create_future();
        let waiter = create_task(future.clone());
        yield_now().await;
        assert_eq!(future.set_result(1), Ok(()));
        assert!(waiter.cancel());
        assert!(waiter.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(future.result(), Ok(1));
    });
}

#[test]
fn an_await_that_is_given_up_leaves_the_future_alone() {
    in_virtual_time(async {
        let future = create_future::<()>();
        let mut given_up = Box::pin(future.clone());
        std::future::poll_fn(|cx| {
            assert!(given_up.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(given_up);
        assert!(!future.done());
    });
}

#[test]
fn one_of_a_task_is_set_by_the_task_and_cancels_it() {
    in_virtual_time(async {
        let future = ensure_future(create_task(async { "words".to_owned() }));
        assert_eq!(future.set_result(String::new()), Err(SetError::OfTask));
        let other = create_task(future.clone());
        assert_eq!((&future).await.as_deref(), Ok("words"));
        assert_eq!(other.await, Ok(Ok("words".to_owned())));

        let slow = ensure_future(create_task(sleep(Duration::from_secs(1))));
        yield_now().await;
        assert!(slow.cancel() && !slow.done(), "it is a request");
        assert!(slow.await.is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn a_failure_that_nobody_asks_for_is_reported_once_and_an_asked_for_one_never() {
    in_virtual_time(async {
        let (events, running) = (Events::default(), get_running_loop().expect("it runs"));
        let reports = events.clone();
        running.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
            reports.add(context.panicked.as_ref().map_or("?", |panicked| panicked.message()));
        }));
        let (unread, read, cancelled) = (create_future::<()>(), create_future::<()>(), create_future::<()>());
        for (future, text) in [(&unread, "unread"), (&read, "read"), (&cancelled, "cancelled")] {
            assert_eq!(future.set_exception(failure(text)), Ok(()));
        }
        assert!(matches!(read.exception(), Ok(Some(_))));
        assert!(!cancelled.cancel(), "which counts as reading");
        drop((unread.clone(), unread, read, cancelled));
        assert_eq!(events.take(), ["unread"]);
    });
}

#[test]
fn a_pending_one_of_another_loop_is_an_error_at_the_await_and_a_done_one_is_read() {
    let elsewhere = EventLoop::builder().name("elsewhere").build().expect("a loop");
    let (pending, done) = (elsewhere.create_future::<i32>(), elsewhere.create_future());
    assert_eq!(done.set_result(2), Ok(()));
    in_virtual_time(async move {
        assert!(matches!(pending.await, Err(TaskError::WrongLoop(_))));
        assert_eq!(done.await, Ok(2));
    });
}

#[test]
fn values_are_cloned_and_dropped_outside_of_every_borrow() {
    struct Reenters(Option<LoopFuture<Reenters>>);
    impl Clone for Reenters {
        fn clone(&self) -> Self {
            if let Some(future) = &self.0 {
                assert!(future.done() && future.exception().is_ok());
                future.add_done_callback(|_| ());
            }
            Self(None)
        }
    }
    impl Drop for Reenters {
        fn drop(&mut self) {
            if let Some(future) = self.0.take() {
                assert!(future.done());
            }
        }
    }
    in_virtual_time(async {
        let future = create_future();
        let own = future.clone();
        assert_eq!(future.set_result(Reenters(Some(own))), Ok(()));
        assert!(future.result().is_ok());
        yield_now().await;
        assert!(future.set_result(Reenters(Some(future.clone()))).is_err(), "and the value is dropped");
    });
}

/// Longer than a thread's stack has room for.
const LINKS: usize = 20_000;

#[test]
fn a_long_chain_of_shields_is_dropped_link_by_link() {
    perloop::run(async {
        let inner = create_future::<()>();
        let outer = (0..LINKS).fold(inner.clone(), |inner, _| shield(inner));
        drop(outer);
        assert_eq!(inner.set_result(()), Ok(()));
        // And one that its loop leaves behind.
        Some((0..LINKS).fold(create_future::<()>(), |inner, _| shield(inner)))
    })
    .map(drop)
    .expect("main ends");
}

#[test]
fn a_long_chain_of_gathers_is_dropped_link_by_link() {
    perloop::run(async {
        let inner = create_future::<()>();
        let outer = (0..LINKS).fold(inner.clone(), |inner, _| gather([inner]).share(drop));
        drop(outer);
        assert_eq!(inner.set_result(()), Ok(()));
    })
    .expect("main ends");
}

#[test]
fn a_long_chain_of_callbacks_is_dropped_link_by_link() {
    perloop::run(async {
        let link = |inner: LoopFuture<()>, _| {
            let outer = create_future::<()>();
            outer.add_done_callback(move |_| drop(inner));
            outer
        };
        drop((0..LINKS).fold(create_future::<()>(), link));
    })
    .expect("main ends");
}

#[test]
fn a_long_chain_of_tasks_that_hold_each_other_is_dropped_link_by_link() {
    perloop::run(async {
        let link = |inner: LoopFuture<()>, _| {
            shield(ensure_future(create_task(async move {
                inner.await.ok();
            })))
        };
        drop((0..LINKS).fold(create_future::<()>(), link));
    })
    .expect("main ends");
}
