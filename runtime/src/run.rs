//! `run`: a loop for one main future, from making it to closing it.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::current::{self, set_event_loop};
use crate::errors::{Interrupted, LoopError, RunError};
use crate::event_loop::{Builder, EventLoop};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::signal::Interrupts;
use crate::task::{AnyTask, Seed};

/// How long the default executor's jobs may take at the end of `run`: asyncio's five minutes.
const EXECUTOR_LIMIT: Duration = Duration::from_secs(300);

/// Makes a loop, runs `main` on it as a task, cancels the tasks that are left and waits for them, then for the jobs of the
/// [default executor](EventLoop::shutdown_default_executor), at most five minutes, and closes the loop: asyncio's `run`.
/// `main` may borrow. It may be called in any thread, and again; afterwards the thread has no current
/// loop.
///
/// In the main thread Ctrl-C cancels the main task, which may clean up; a second one ends the process. To leave Ctrl-C
/// alone, or for other settings, use [`Builder::run`].
///
/// # Errors
/// If a loop runs in this thread already, if the main task ends cancelled, or if Ctrl-C was the reason for that.
///
/// # Panics
/// With the payload of `main`, if it panics, after the teardown.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{create_task, sleep};
///
/// let answer = perloop::run(async {
///     let task = create_task(async {
///         sleep(Duration::from_millis(1)).await;
///         42
///     });
///     task.await
/// })??;
/// assert_eq!(answer, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
#[doc(alias = "block_on")]
pub fn run<F: Future>(main: F) -> Result<F::Output, RunError> {
    EventLoop::builder().run(main)
}

#[track_caller]
pub(crate) fn run_on<F: Future>(
    builder: Builder,
    takes_ctrl_c: bool,
    main: F,
) -> Result<F::Output, RunError> {
    if let Ok(running) = current::with_running(|running| running.name().to_owned()) {
        return Err(RunError::Nested(running));
    }
    let seed = Seed::new(None, Location::caller());
    let event_loop = builder.build().map_err(RunError::Io)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| run_main(&event_loop, takes_ctrl_c, seed, main)));
    let torn_down = tear_down(&event_loop);
    event_loop.close().expect("it does not run any more");
    drop(set_event_loop(None));
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(Ok(value)) => torn_down.map(|()| value).map_err(run_error),
        Ok(Err(error)) => Err(error),
    }
}

fn run_main<F: Future>(
    event_loop: &EventLoop,
    takes_ctrl_c: bool,
    seed: Seed,
    main: F,
) -> Result<F::Output, RunError> {
    let is_ours = takes_ctrl_c && current::is_main_thread();
    let interrupts = if is_ours { Interrupts::watch(event_loop).map_err(RunError::Io)? } else { None };
    let task = Rc::new(Cell::new(None));
    let outcome = event_loop.run_main(seed, main, |main| {
        if let Some(interrupts) = &interrupts {
            interrupts.set_main(main.clone());
        }
        task.set(Some(main));
    });
    outcome.map_err(|error| match (error, interrupts, task.take()) {
        // Interrupted, unless there was another request beside that of Ctrl-C.
        (LoopError::Cancelled(_), Some(interrupts), Some(task))
            if interrupts.has_come() && task.uncancel() == 0 =>
        {
            RunError::Interrupted(Interrupted)
        }
        (error, ..) => run_error(error),
    })
}

/// Why `run` gives no value, from why its loop did not.
fn run_error(error: LoopError) -> RunError {
    match error {
        LoopError::Cancelled(cancelled) => RunError::Cancelled(cancelled),
        LoopError::StoppedBeforeDone(stopped) => RunError::Stopped(stopped),
        LoopError::Io(error) => RunError::Io(error),
        LoopError::AlreadyRunning(name) | LoopError::AnotherLoopRunning(name) => RunError::Nested(name),
        LoopError::Forked(error) => RunError::Forked(error),
        LoopError::Closed(_) | LoopError::WrongLoop(_) => unreachable!("`run` has a loop of its own"),
    }
}

/// Ends what is left: cancels all tasks, in the order of their creation, and waits for them; then closes generators that
/// are open; then shuts the default executor down.
pub(crate) fn tear_down(event_loop: &EventLoop) -> Result<(), LoopError> {
    let tasks = event_loop.all_tasks();
    if !tasks.is_empty() {
        for task in &tasks {
            task.cancel();
        }
        event_loop.run_until(|stop| stop_after_all(event_loop, &tasks, stop))?;
        tasks.iter().for_each(|task| report(event_loop, task));
    }
    finish(event_loop, event_loop.shutdown_asyncgens())?;
    finish(event_loop, async {
        // That it took too long was said there.
        let _timed_out = event_loop.shutdown_default_executor(EXECUTOR_LIMIT).await;
    })
}

/// Runs a part of the teardown, whoever stops the loop meanwhile.
fn finish(event_loop: &EventLoop, part: impl Future<Output = ()>) -> Result<(), LoopError> {
    let mut part = pin!(part);
    loop {
        match event_loop.run_until_complete(&mut part) {
            Err(LoopError::StoppedBeforeDone(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// Stops the loop two hops after the end of the last of the tasks, as `gather` would.
fn stop_after_all(event_loop: &EventLoop, tasks: &[AnyTask], stop: Rc<dyn Fn()>) {
    let left = Rc::new(Cell::new(tasks.len()));
    for task in tasks {
        let (left, stop, event_loop) = (Rc::clone(&left), Rc::clone(&stop), event_loop.clone());
        task.add_done_callback(move |_| {
            left.set(left.get() - 1);
            if left.get() == 0 {
                // The loop runs, so it is open.
                drop(event_loop.call_soon(move || stop()));
            }
        });
    }
}

fn report(event_loop: &EventLoop, task: &AnyTask) {
    if let Some(panicked) = task.exception() {
        event_loop.call_exception_handler(&ExceptionContext {
            kind: ExceptionKind::Shutdown,
            message: panicked.message().to_owned(),
            panicked: Some(panicked),
            task: Some(task.clone()),
        });
    }
}
