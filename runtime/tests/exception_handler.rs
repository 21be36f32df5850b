//! What the exception handler is told, and what becomes of the loop then.

use std::cell::RefCell;
use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::panic::{Location, resume_unwind};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    Builder, EventLoop, ExceptionContext, ExceptionKind, FutureError, JoinError, LoopError, LoopThread,
    PanicPolicy, RunError, TaskError, catch_cancelled, create_task, new_event_loop, run_coroutine_threadsafe,
    shield, sleep, yield_now,
};

/// What a handler was told.
type Told = Rc<RefCell<Vec<ExceptionContext>>>;

fn listen(event_loop: &EventLoop) -> Told {
    let told = Told::default();
    let log = Rc::clone(&told);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        log.borrow_mut().push(context.clone());
    }));
    told
}

fn fail() {
    resume_unwind(Box::new("meant"));
}

fn turns(event_loop: &EventLoop) {
    event_loop.run_until_complete(sleep(Duration::from_millis(1))).unwrap();
}

#[test]
fn each_kind_of_callback_is_told_with_the_place_where_it_was_given() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let told = listen(&event_loop);
    let mut lines = Vec::new();
    let handle = event_loop.call_soon(fail).unwrap();
    lines.push(line!() - 1);
    event_loop.call_later(Duration::ZERO, fail).unwrap();
    lines.push(line!() - 1);
    let task = event_loop.create_task(async {}).unwrap();
    task.add_done_callback(|_| fail());
    lines.push(line!() - 1);
    event_loop.handle().call_soon_threadsafe(fail).unwrap();
    lines.push(line!() - 1);
    turns(&event_loop);
    let mut found: Vec<_> =
        told.borrow().iter().filter_map(|told| told.created_at.map(Location::line)).collect();
    found.sort_unstable();
    assert_eq!(found, lines);
    for context in told.borrow().iter() {
        assert_eq!((context.kind, context.message.as_str()), (ExceptionKind::Callback, "meant"));
        assert_eq!(context.panicked.as_ref().map(|panicked| panicked.message()), Some("meant"));
    }
    let of_task = told.borrow().iter().filter_map(|told| told.task.clone()).collect::<Vec<_>>();
    assert_eq!(of_task, [(*task).clone()]);
    assert_eq!(told.borrow().iter().filter(|told| told.handle.is_some()).count(), 2);
    assert!(!handle.cancelled());
}

#[test]
fn a_task_or_future_that_nobody_asked_is_told_with_its_place_of_creation() {
    let event_loop = new_event_loop().unwrap();
    let told = listen(&event_loop);
    drop(event_loop.create_task(async { fail() }).unwrap());
    let task_line = line!() - 1;
    let future = event_loop.create_future::<()>();
    let future_line = line!() - 1;
    turns(&event_loop);
    future.set_exception(perloop::Panicked::new(Box::new("set"))).unwrap();
    drop(future);
    let told = told.borrow();
    let lines: Vec<_> = told.iter().filter_map(|told| told.created_at.map(Location::line)).collect();
    assert_eq!(lines, [task_line, future_line]);
    assert!(told.iter().all(|told| told.kind == ExceptionKind::NeverRetrieved));
}

#[test]
fn what_fails_behind_a_cancelled_shield_is_told_with_its_task() {
    let event_loop = new_event_loop().unwrap();
    let told = listen(&event_loop);
    let task = event_loop.create_named_task("shielded", async {
        yield_now().await;
        fail();
    });
    let shielded = shield(task.unwrap());
    shielded.cancel();
    turns(&event_loop);
    let told = told.borrow();
    assert_eq!(told.iter().map(|told| told.kind).collect::<Vec<_>>(), [ExceptionKind::Shielded]);
    assert_eq!(told[0].task.as_ref().map(|task| task.name()).as_deref(), Some("shielded"));
}

#[test]
fn a_program_may_call_the_handler_itself_and_the_policy_is_not_asked() {
    let event_loop = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop).build().unwrap();
    let told = listen(&event_loop);
    let mut context = ExceptionContext::new("out of paper");
    context.panicked = Some(perloop::Panicked::new(Box::new("it tore")));
    event_loop.call_exception_handler(&context);
    assert_eq!(told.borrow()[0].to_string(), "out of paper");
    assert!(!event_loop.is_closed());
}

fn closing() -> Builder {
    EventLoop::builder().panic_policy(PanicPolicy::CloseLoop)
}

#[test]
fn by_default_a_panic_harms_no_loop() {
    let event_loop = new_event_loop().unwrap();
    event_loop.call_soon(fail).unwrap();
    drop(event_loop.create_task(async { fail() }).unwrap());
    turns(&event_loop);
    assert!(!event_loop.is_closed());
}

#[test]
fn a_loop_that_closes_at_a_panic_ends_its_turn_and_tells_whoever_runs_it() {
    let event_loop = closing().build().unwrap();
    let told = listen(&event_loop);
    let ran = Rc::new(RefCell::new(Vec::new()));
    let submitted = run_coroutine_threadsafe(pending::<()>(), &event_loop.handle());
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    event_loop.call_soon(|| resume_unwind(Box::new("first"))).unwrap();
    event_loop.call_soon(|| resume_unwind(Box::new("second"))).unwrap();
    let (this_turn, own) = (Rc::clone(&ran), event_loop.clone());
    let later = move || {
        this_turn.borrow_mut().push("this turn");
        let ran = Rc::clone(&this_turn);
        own.call_soon(move || ran.borrow_mut().push("next turn")).unwrap();
    };
    event_loop.call_soon(later).unwrap();
    let ended = event_loop.run_forever();
    assert!(
        matches!(&ended, Err(LoopError::Panicked(panicked)) if panicked.message() == "first"),
        "{ended:?}"
    );
    assert_eq!(*ran.borrow(), ["this turn"]);
    assert_eq!(told.borrow().len(), 2);
    assert!(event_loop.is_closed());
    assert!(matches!(submitted.result(), Err(FutureError::LoopDied(_))));
    assert!(matches!(event_loop.run_forever(), Err(LoopError::Closed(_))));
}

#[test]
fn a_panic_that_somebody_awaits_closes_no_loop() {
    let outcome = closing().run(async {
        let failed = create_task(async { fail() }).await;
        assert!(matches!(failed, Err(TaskError::Panicked(_))));
        42
    });
    assert_eq!(outcome.unwrap(), 42);
}

#[test]
fn run_tells_of_the_panic_and_main_is_dropped() {
    let dropped = Rc::new(());
    let held = Rc::clone(&dropped);
    let outcome = closing().run(async move {
        let _held = held;
        create_task(async { fail() });
        pending::<()>().await;
    });
    assert!(matches!(&outcome, Err(RunError::Panicked(panicked)) if panicked.message() == "meant"));
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn run_tells_of_a_panic_while_it_ended_what_was_left() {
    let outcome = closing().run(async {
        create_task(async {
            catch_cancelled(pending::<()>()).await.unwrap_err();
            fail();
        });
        yield_now().await;
    });
    assert!(
        matches!(&outcome, Err(RunError::Panicked(panicked)) if panicked.message() == "meant"),
        "{outcome:?}"
    );
}

#[test]
fn a_loop_thread_ends_with_a_panic_that_its_owner_hears_of() {
    let worker = LoopThread::spawn_with("worker", closing()).unwrap();
    let left = run_coroutine_threadsafe(pending::<()>(), &worker);
    worker.call_soon_threadsafe(fail).unwrap();
    assert!(matches!(left.result(), Err(FutureError::LoopDied(_) | FutureError::LoopClosed(_))));
    assert!(matches!(worker.join(), Err(JoinError::Panicked(_))));
}

#[test]
fn a_panic_that_is_reported_while_the_loop_rests_closes_it_at_once() {
    let event_loop = closing().build().unwrap();
    let task = event_loop.create_task(async { fail() }).unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert!(!event_loop.is_closed(), "somebody may still ask");
    drop(task);
    assert!(event_loop.is_closed());
}

const ABORTS: &str = "PERLOOP_TEST_ABORTS";

/// Run by the next test in a process of its own.
#[test]
fn in_this_process_a_panic_aborts() {
    if std::env::var_os(ABORTS).is_none() {
        return;
    }
    let event_loop = EventLoop::builder().panic_policy(PanicPolicy::Abort).build().unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, context: &ExceptionContext| {
        std::fs::write(std::env::var_os(ABORTS).unwrap(), &context.message).unwrap();
    }));
    event_loop.call_soon(fail).unwrap();
    drop(event_loop.run_forever());
}

#[test]
fn a_loop_that_aborts_tells_its_handler_first() {
    let file = std::env::temp_dir().join(format!("perloop-aborts-{}", std::process::id()));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "in_this_process_a_panic_aborts"]).env(ABORTS, &file);
    let status = child.output().unwrap().status;
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "meant");
    std::fs::remove_file(&file).unwrap();
}
