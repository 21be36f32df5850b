//! `run`: a loop for one main future, from making it to closing it.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::current::get_running_loop;
use crate::errors::{LoopError, RunError};
use crate::event_loop::{Builder, EventLoop};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::loop_future::LoopFuture;
use crate::runner::Runner;
use crate::task::{AnyTask, current_task};

/// How long the default executor's jobs may take at the end of `run`: asyncio's five minutes.
const EXECUTOR_LIMIT: Duration = Duration::from_secs(300);

/// Makes a loop, runs `main` on it as a task, cancels the tasks that are left and waits for them, then for the jobs of the
/// [default executor](EventLoop::shutdown_default_executor), at most five minutes, and closes the loop: asyncio's `run`.
/// `main` may borrow. It may be called in any thread, and again; afterwards the thread has no current
/// loop.
///
/// In the main thread Ctrl-C cancels the main task, which may clean up; a second one ends the process. To leave Ctrl-C
/// alone, or for other settings, use [`Builder::run`]; to run several futures on one loop, a [`Runner`].
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

/// A [`Runner`] for one run.
pub(crate) fn run_on<F: Future>(
    builder: Builder,
    at: &'static Location<'static>,
    main: F,
) -> Result<F::Output, RunError> {
    let runner = Runner::with_builder(builder);
    let outcome = catch_unwind(AssertUnwindSafe(|| runner.run_from(at, main)));
    let closed = runner.close();
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(Ok(value)) => closed.map(|()| value),
        Ok(Err(error)) => Err(error),
    }
}

/// Ends what is left: cancels all tasks, in the order of their creation, and waits for them; then closes generators that
/// are open; then shuts the default executor down.
pub(crate) fn tear_down(event_loop: &EventLoop) -> Result<(), LoopError> {
    let tasks = event_loop.all_tasks();
    if !tasks.is_empty() {
        let end = cancel_all(event_loop, &tasks);
        whoever_stops_it(|| event_loop.run_until_done(&end))?;
        tasks.iter().for_each(|task| report(event_loop, task));
        event_loop.check_alive()?;
    }
    finish(event_loop, event_loop.shutdown_asyncgens())?;
    finish(event_loop, async {
        // That it took too long was said there.
        let _timed_out = event_loop.shutdown_default_executor(EXECUTOR_LIMIT).await;
    })
}

/// As `tear_down`, as a task of the loop.
pub(crate) async fn wind_down() {
    let event_loop = get_running_loop().expect("it runs this");
    let me = current_task().ok().flatten();
    let mut tasks = event_loop.all_tasks();
    tasks.retain(|task| Some(task) != me.as_ref());
    if !tasks.is_empty() {
        // Nothing but the end of the last one comes of it.
        let _end = cancel_all(&event_loop, &tasks).await;
        tasks.iter().for_each(|task| report(&event_loop, task));
    }
    event_loop.shutdown_asyncgens().await;
    // That it took too long was said there.
    let _timed_out = event_loop.shutdown_default_executor(EXECUTOR_LIMIT).await;
}

/// Asks the tasks to stop, in their order, and gives a future of their end.
fn cancel_all(event_loop: &EventLoop, tasks: &[AnyTask]) -> LoopFuture<()> {
    tasks.iter().for_each(|task| _ = task.cancel());
    end_of_all(event_loop, tasks)
}

/// Runs a part of the teardown.
fn finish(event_loop: &EventLoop, part: impl Future<Output = ()>) -> Result<(), LoopError> {
    let mut part = pin!(part);
    whoever_stops_it(|| event_loop.run_until_complete(&mut part))
}

/// Runs a loop until what it runs for is done.
fn whoever_stops_it(mut run: impl FnMut() -> Result<(), LoopError>) -> Result<(), LoopError> {
    loop {
        match run() {
            Err(LoopError::StoppedBeforeDone(_)) => {}
            ended => return ended,
        }
    }
}

/// A future that is set when the last of the tasks has ended, with as many hops as `gather` takes.
fn end_of_all(event_loop: &EventLoop, tasks: &[AnyTask]) -> LoopFuture<()> {
    let (end, left) = (event_loop.create_future(), Rc::new(Cell::new(tasks.len())));
    for task in tasks {
        let (end, left) = (end.clone(), Rc::clone(&left));
        task.add_done_callback(move |_| {
            left.set(left.get() - 1);
            if left.get() == 0 {
                end.set_result(()).expect("nobody else has it");
            }
        });
    }
    end
}

/// Tells the exception handler of a task's panic, if that is how it ended.
pub(crate) fn report(event_loop: &EventLoop, task: &AnyTask) {
    if let Some(panicked) = task.exception() {
        let context = ExceptionContext::of_panic(ExceptionKind::Shutdown, panicked);
        let (task, created_at) = (Some(task.clone()), Some(task.created_at()));
        event_loop.report(&ExceptionContext { task, created_at, ..context });
    }
}
