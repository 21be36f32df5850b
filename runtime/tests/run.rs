//! `run`: what it lends, what it ends, and in which order.

use std::cell::RefCell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use perloop::{
    Cancelled, EventLoop, ExceptionKind, FutureError, LoopError, RunError, catch_cancelled, create_task,
    current_task, get_event_loop, get_running_loop, new_event_loop, run, run_coroutine_threadsafe,
    set_event_loop, sleep, yield_now,
};

/// A list of what happened, shared by tasks.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn add(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Notes its end.
struct Noted(Trace, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.add(format!("{} dropped", self.1));
    }
}

#[test]
fn main_may_borrow_and_its_value_comes_back() {
    let words = ["a", "b"];
    let mut count = 0;
    let first = run(async {
        yield_now().await;
        count += words.len();
        words.first()
    });
    assert_eq!((first.unwrap(), count), (Some(&"a"), 2));
}

#[test]
fn what_is_left_is_cancelled_in_order_and_may_clean_up() {
    let trace = Trace::default();
    run(async {
        for name in ["first", "second"] {
            let trace = trace.clone();
            create_task(async move {
                let _noted = Noted(trace.clone(), name.to_owned());
                catch_cancelled(pending::<()>()).await.unwrap_err();
                trace.add(format!("{name} cleans up"));
                sleep(Duration::from_millis(1)).await;
                trace.add(format!("{name} is clean"));
            });
        }
        let trace_of_new = trace.clone();
        let _noted = Noted(trace.clone(), "main".to_owned());
        yield_now().await;
        create_task(async move { trace_of_new.add("the last one runs") });
    })
    .unwrap();
    let expected = [
        "main dropped",
        // Its step was queued before the callback that stops the loop.
        "the last one runs",
        "first cleans up",
        "second cleans up",
        "first is clean",
        "first dropped",
        "second is clean",
        "second dropped",
    ];
    assert_eq!(trace.take(), expected);
}

#[test]
fn a_task_that_fails_in_the_teardown_is_told_to_the_handler() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let kept = Rc::clone(&heard);
        let handler = move |_: &EventLoop, context: &perloop::ExceptionContext| {
            kept.borrow_mut().push((context.kind, context.message.clone()));
        };
        get_running_loop().unwrap().set_exception_handler(Some(handler));
        create_task(async {
            drop(catch_cancelled(pending::<()>()).await);
            resume_unwind(Box::new("while it cleaned up"));
        });
        yield_now().await;
    })
    .unwrap();
    assert_eq!(*heard.borrow(), [(ExceptionKind::Shutdown, "while it cleaned up".to_owned())]);
}

#[test]
fn a_panic_of_main_reaches_the_caller_after_the_teardown() {
    let trace = Trace::default();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let _noted = Noted(trace.clone(), "main".to_owned());
            let of_task = Noted(trace.clone(), "task".to_owned());
            create_task(async move {
                let _noted = of_task;
                pending::<()>().await;
            });
            yield_now().await;
            resume_unwind(Box::new(42_u8));
        })
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&42_u8));
    assert_eq!(trace.take(), ["main dropped", "task dropped"]);
    assert!(get_running_loop().is_err());
    assert_eq!(run(async { 1 }).unwrap(), 1);
}

#[test]
fn main_can_be_cancelled_and_says_so() {
    let cancelled = run(async {
        current_task().unwrap().unwrap().cancel_with("enough");
        pending::<()>().await;
    });
    assert!(matches!(cancelled, Err(RunError::Cancelled(error)) if error.message() == Some("enough")));
    let raised = run(async { Cancelled::new("by hand").raise().await });
    assert!(matches!(raised, Err(RunError::Cancelled(error)) if error.message() == Some("by hand")));
}

#[test]
fn run_inside_of_a_running_loop_is_an_error_that_names_it() {
    let error = EventLoop::builder().name("outer").run(async { run(async {}).unwrap_err() }).unwrap();
    assert!(matches!(&error, RunError::Nested(name) if name == "outer"), "{error:?}");
    assert!(error.to_string().contains("'outer'"));
}

#[test]
fn stopping_the_loop_ends_main_early() {
    let dropped = Trace::default();
    let stopped = run(async {
        let _noted = Noted(dropped.clone(), "main".to_owned());
        get_running_loop().unwrap().stop();
        pending::<()>().await;
    });
    assert!(matches!(stopped, Err(RunError::Stopped(_))), "{stopped:?}");
    assert_eq!(dropped.take(), ["main dropped"]);
}

#[test]
fn afterwards_the_thread_has_no_loop_and_handles_are_refused() {
    let previous = new_event_loop().unwrap();
    set_event_loop(Some(&previous));
    let handle = run(async { get_event_loop().unwrap().handle() }).unwrap();
    assert!(handle.is_closed() && get_event_loop().is_err());
    let refused = run_coroutine_threadsafe(async {}, &handle).result();
    assert!(matches!(refused, Err(FutureError::LoopClosed(_))));
}

#[test]
fn submissions_that_come_during_the_teardown_end() {
    let (sender, receiver) = mpsc::channel();
    run(async {
        let handle = get_running_loop().unwrap().handle();
        create_task(async move {
            drop(catch_cancelled(pending::<()>()).await);
            sender.send(run_coroutine_threadsafe(pending::<()>(), &handle)).unwrap();
        });
        yield_now().await;
    })
    .unwrap();
    assert!(receiver.recv().unwrap().result().is_err());
}

#[test]
fn a_loop_can_run_one_future_after_the_other_and_keeps_its_tasks() {
    let event_loop = new_event_loop().unwrap();
    let task = event_loop.create_task(async {
        yield_now().await;
        yield_now().await;
        7
    });
    let mut task = task.unwrap();
    event_loop.run_until_complete(async {}).unwrap();
    assert!(!task.done());
    assert_eq!(event_loop.run_until_complete(&mut task).unwrap(), Ok(7));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        event_loop.run_until_complete(async { resume_unwind(Box::new("main's")) })
    }));
    assert_eq!(panicked.map(|_: Result<(), _>| ()).unwrap_err().downcast_ref(), Some(&"main's"));
    event_loop.stop();
    let stopped = event_loop.run_until_complete(pending::<()>());
    assert!(matches!(stopped, Err(LoopError::StoppedBeforeDone(_))));
    assert_eq!(event_loop.run_until_complete(async { 1 }).unwrap(), 1);
}
