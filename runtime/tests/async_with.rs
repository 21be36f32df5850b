//! Bodies between an entry and an exit: the exit runs on every way out, and may await.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use perloop::{
    BodyEnd, Cancelled, EventLoop, TaskError, async_gen, async_with, catch_cancelled, create_task,
    get_running_loop, sleep, timeout, yield_now,
};

const MOMENT: Duration = Duration::from_millis(1);

type Trace = Rc<RefCell<Vec<&'static str>>>;

/// Says something when it is dropped.
struct Says(&'static str, Trace);

impl Drop for Says {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("it ends by itself")
}

/// Notes how the body was left, a moment later.
async fn noted<R>(trace: &Trace, body: impl AsyncFnOnce() -> R) -> R {
    async_with(
        Rc::clone(trace),
        async |_| body().await,
        async |trace, ended| {
            sleep(MOMENT).await;
            trace.borrow_mut().push(match &ended {
                BodyEnd::Returned(_) => "returned",
                BodyEnd::Panicked(_) => "panicked",
                BodyEnd::Cancelled(_) => "cancelled",
            });
            ended
        },
    )
    .await
}

#[test]
fn the_exit_runs_after_a_value_an_error_a_panic_and_a_request() {
    let trace = Trace::default();
    run(async {
        assert_eq!(noted(&trace, async || 42).await, 42);
        assert_eq!(noted(&trace, async || Err::<(), _>("out of paper")).await, Err("out of paper"));
        let own = Rc::clone(&trace);
        let panics = create_task(async move { noted(&own, async || panic!("out of paper")).await });
        assert!(
            matches!(panics.await, Err(TaskError::Panicked(panicked)) if panicked.message() == "out of paper")
        );
        let own = Rc::clone(&trace);
        let asked = create_task(async move { noted(&own, async || sleep(Duration::MAX).await).await });
        yield_now().await;
        asked.cancel_with("enough");
        let error = asked.await.expect_err("the request goes on");
        assert!(matches!(error, TaskError::Cancelled(cancelled) if cancelled.message() == Some("enough")));
    });
    assert_eq!(*trace.borrow(), ["returned", "returned", "panicked", "cancelled"]);
}

#[test]
fn the_body_is_gone_when_the_exit_runs_and_nested_ones_leave_in_reverse() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let task = create_task(async move {
            noted(&own, async || {
                let _outer = Says("outer body", Rc::clone(&own));
                noted(&own, async || {
                    let _inner = Says("inner body", Rc::clone(&own));
                    sleep(Duration::MAX).await;
                })
                .await;
            })
            .await;
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    });
    assert_eq!(*trace.borrow(), ["inner body", "cancelled", "outer body", "cancelled"]);
}

#[test]
fn the_exit_may_take_what_the_body_ended_with_upon_itself() {
    run(async {
        let take = async |(), _: BodyEnd<i32>| BodyEnd::Returned(1);
        assert_eq!(async_with((), async |_| panic!("out of paper"), take).await, 1);
        let task = create_task(async_with((), async |_| std::future::pending().await, take));
        yield_now().await;
        task.cancel();
        assert_eq!((task.cancelling(), task.await), (1, Ok(1)));
    });
}

#[test]
fn a_panic_in_the_exit_replaces_what_the_body_ended_with() {
    run(async {
        let fails = async |(), _: BodyEnd<()>| panic!("in exit");
        let task = create_task(async_with((), async |_| panic!("in body"), fails));
        assert!(matches!(task.await, Err(TaskError::Panicked(panicked)) if panicked.message() == "in exit"));
    });
}

#[test]
fn a_further_request_interrupts_the_exit() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let task = create_task(async move { noted(&own, async || sleep(Duration::MAX).await).await });
        yield_now().await;
        task.cancel();
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(get_running_loop().expect("it runs").time(), Duration::ZERO);
    });
    assert!(trace.borrow().is_empty());
}

#[test]
fn what_the_body_raises_and_a_timeout_around_it_are_cancellations() {
    let trace = Trace::default();
    run(async {
        let raises = noted(&trace, async || {
            Cancelled::new("own").raise().await;
        });
        assert_eq!(catch_cancelled(raises).await.expect_err("it raises").message(), Some("own"));
        assert!(timeout(MOMENT, noted(&trace, async || sleep(Duration::MAX).await)).await.is_err());
    });
    assert_eq!(*trace.borrow(), ["cancelled", "cancelled"]);
}

#[test]
fn a_generator_that_is_closed_leaves_by_the_exit() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let generator = async_gen(|y| async move { noted(&own, async || y.yield_(1).await).await });
        assert_eq!(generator.anext().await, Ok(Some(1)));
        assert_eq!(generator.aclose().await, Ok(()));
    });
    assert_eq!(*trace.borrow(), ["cancelled"]);
}

#[test]
fn a_destructor_that_panics_keeps_no_exit_from_running() {
    struct Fails;
    impl Drop for Fails {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    /// A future that panics, and again when it is dropped.
    struct FailsTwice(Fails);
    impl Future for FailsTwice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in poll");
        }
    }
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let asked = create_task(async move {
            noted(&own, async || {
                let _fails = Fails;
                sleep(Duration::MAX).await;
            })
            .await;
        });
        yield_now().await;
        asked.cancel();
        assert!(
            matches!(asked.await, Err(TaskError::Panicked(_))),
            "as everywhere, a panic replaces the request"
        );
        let own = Rc::clone(&trace);
        let exit = async |trace: Trace, ended| {
            trace.borrow_mut().push("exit");
            ended
        };
        let twice = create_task(async_with(own, |_: &mut Trace| FailsTwice(Fails), exit));
        assert!(matches!(twice.await, Err(TaskError::Panicked(panicked)) if panicked.message() == "in poll"));
    });
    assert_eq!(*trace.borrow(), ["panicked", "exit"]);
}
