//! Tasks as their users see them.

pub(crate) mod done;
pub(crate) mod step;

mod awaitable;
pub(crate) mod awaited;
mod few;
mod first;
mod record;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use perloop_bridge::{FutureError, Panicked, TaskRef};

pub use awaitable::Awaitable;
pub(crate) use awaited::Awaited;
pub use awaited::Waitable;
pub(crate) use record::{Failure, Rare, Seed, TaskRecord};

use crate::cancel::Cancelled;
use crate::current::{self, get_running_loop};
use crate::errors::{NoRunningLoop, TaskError};

/// Makes a task of the running loop: asyncio's `create_task`. The future need not be `Send`; its first step runs in
/// the next turn. The loop keeps the task until it has ended; dropping the [`Task`] detaches it.
///
/// # Panics
/// Outside of a running loop; [`EventLoop::create_task`](crate::EventLoop::create_task) needs none.
///
/// # Examples
/// ```
/// let sum = perloop::run(async {
///     let tasks: Vec<_> = (1..=3).map(|n| perloop::create_task(async move { n * n })).collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.expect("it neither panics nor is cancelled");
///     }
///     sum
/// })?;
/// assert_eq!(sum, 14);
/// # Ok::<(), perloop::RunError>(())
/// ```
#[track_caller]
#[doc(alias = "spawn")]
pub fn create_task<F: Future + 'static>(future: F) -> Task<F::Output> {
    let seed = Seed::new(None, Location::caller());
    match current::with_running(|running| running.spawn(seed, future)) {
        Ok(task) => task,
        Err(error) => panic!("{error}"),
    }
}

/// The task whose step runs, also inside of futures that it awaits directly; none in callbacks: asyncio's
/// `current_task`.
///
/// # Errors
/// Outside of a running loop.
///
/// # Examples
/// ```
/// use perloop::{create_task, current_task};
///
/// perloop::run(async {
///     let task = create_task(async { current_task().ok().flatten() });
///     let any = (*task).clone();
///     assert_eq!(task.await, Ok(Some(any)));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn current_task() -> Result<Option<AnyTask>, NoRunningLoop> {
    get_running_loop().map(|_| step::current().map(AnyTask::new))
}

/// Every task of the running loop that has not ended, in the order of creation: asyncio's `all_tasks`.
///
/// # Errors
/// Outside of a running loop.
///
/// # Examples
/// ```
/// use perloop::{all_tasks, create_task};
///
/// let names = perloop::run(async {
///     create_task(std::future::pending::<()>()); // detached
///     all_tasks().map(|tasks| tasks.iter().map(|task| task.name()).collect::<Vec<_>>())
/// })??;
/// assert_eq!(names, ["Task-1", "Task-2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn all_tasks() -> Result<Vec<AnyTask>, NoRunningLoop> {
    get_running_loop().map(|running| running.all_tasks())
}

/// A task, whatever its value: asyncio's `Task`, as [`current_task`] and [`all_tasks`] give, and what [`Task`] derefs
/// to. Clones are the same task. It belongs to its loop's thread.
///
/// # Examples
/// ```
/// use perloop::{AnyTask, create_task};
///
/// perloop::run(async {
///     let number = create_task(async { 42 });
///     let words = create_task(async { "forty-two" });
///     let both: [AnyTask; 2] = [(*number).clone(), (*words).clone()];
///     both.iter().for_each(|task| assert!(task.cancel()));
///     assert!(number.await.is_err() && words.await.is_err());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AnyTask(TaskRef);

impl AnyTask {
    pub(crate) fn new(task: TaskRef) -> Self {
        Self(task)
    }

    #[inline]
    pub(crate) fn as_awaited(&self) -> Awaited {
        Awaited::Task(self.0.clone())
    }

    pub(crate) fn inner(&self) -> &TaskRef {
        &self.0
    }

    /// See [`step::cancel_inside`].
    pub(crate) fn cancel_inside(&self, scope: u64) -> bool {
        step::cancel_inside(&self.0, scope)
    }

    #[inline]
    pub(crate) fn record(&self) -> &TaskRecord {
        self.0.record()
    }

    /// Asks the task to stop: asyncio's `task.cancel()`. It returns at once; the request meets the task at the await
    /// where it stands, in a later turn. There its future is dropped and the task ends cancelled, unless it is inside
    /// of [`catch_cancelled`](crate::catch_cancelled). If it awaits another task, the request goes to that one.
    ///
    /// False: the task is done, and nothing changes.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{create_task, sleep};
    ///
    /// perloop::run(async {
    ///     let mut task = create_task(sleep(Duration::from_secs(3600)));
    ///     assert!(task.cancel());
    ///     assert!(!task.done()); // it is a request: await its end
    ///     assert!((&mut task).await.is_err());
    ///     assert!(task.cancelled() && !task.cancel());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        step::cancel(&self.0, None)
    }

    /// As [`cancel`](Self::cancel), with a message that travels along: asyncio's `task.cancel(msg)`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{TaskError, create_task};
    ///
    /// perloop::run(async {
    ///     let task = create_task(std::future::pending::<()>());
    ///     task.cancel_with("out of time");
    ///     let Err(TaskError::Cancelled(cancelled)) = task.await else { unreachable!() };
    ///     assert_eq!(cancelled.message(), Some("out of time"));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        let message: String = message.into();
        step::cancel(&self.0, Some(message.into()))
    }

    /// Returns how many requests to cancel it were made and not taken back: asyncio's `task.cancelling()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(std::future::pending::<()>());
    ///     assert_eq!(task.cancelling(), 0);
    ///     task.cancel();
    ///     task.cancel();
    ///     assert_eq!(task.cancelling(), 2);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancelling(&self) -> usize {
        self.record().rare_if_any().map_or(0, |rare| rare.cancel.requests())
    }

    /// Takes one request back, and returns how many are left: asyncio's `task.uncancel()`. Taking the last one back
    /// withdraws it if it waits for the task's next suspension. With none to take back it is zero.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(async { 42 });
    ///     task.cancel();
    ///     assert_eq!(task.uncancel(), 0); // in time
    ///     assert_eq!(task.await, Ok(42));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn uncancel(&self) -> usize {
        self.record().rare_if_any().map_or(0, |rare| rare.cancel.take_back())
    }

    /// Says whether it has ended, with a value, by a panic, or cancelled: asyncio's `task.done()`. One whose loop was
    /// closed before it ended is never done.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let mut task = perloop::create_task(async { 42 });
    ///     assert!(!task.done());
    ///     assert_eq!((&mut task).await, Ok(42));
    ///     assert!(task.done());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn done(&self) -> bool {
        self.0.has_ended() && !self.0.has_no_outcome()
    }

    /// Says whether it has ended cancelled: asyncio's `task.cancelled()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let mut task = perloop::create_task(std::future::pending::<()>());
    ///     task.cancel();
    ///     assert!(!task.cancelled()); // not yet
    ///     assert!((&mut task).await.is_err());
    ///     assert!(task.cancelled());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancelled(&self) -> bool {
        self.done() && self.cancelled_error().is_some()
    }

    /// Returns the panic that it ended with, if any; it counts as having asked for the outcome: asyncio's
    /// `task.exception()`. None as well if it is not done or was cancelled.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let mut task = perloop::create_task(async { panic!("out of paper") });
    ///     assert!(task.exception().is_none());
    ///     assert!((&mut task).await.is_err_and(|error: perloop::TaskError| !error.is_cancelled()));
    ///     assert_eq!(task.exception().as_ref().map(|panicked| panicked.message()), Some("out of paper"));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn exception(&self) -> Option<Panicked> {
        self.record().rare_if_any()?.failure.retrieve()
    }

    /// The error of one that was cancelled, or has failed.
    #[cold]
    fn rare_end(&self, rare: &Rare) -> Option<TaskError> {
        if !self.done() {
            return None;
        }
        let cancelled = rare.cancel.ended_by().map(TaskError::Cancelled);
        cancelled.or_else(|| rare.failure.retrieve().map(TaskError::Panicked))
    }

    pub(crate) fn cancelled_error(&self) -> Option<Cancelled> {
        self.record().rare_if_any()?.cancel.ended_by()
    }

    /// Returns its name: given, or made up from its number on its loop. asyncio's `task.get_name()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(async {});
    ///     assert_eq!(task.name(), "Task-2"); // the main task is the first
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn name(&self) -> String {
        self.record().name()
    }

    /// Gives it another name: asyncio's `task.set_name()`. Names need not differ.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(async {});
    ///     task.set_name("printer");
    ///     assert_eq!(task.name(), "printer");
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn set_name(&self, name: impl Into<String>) {
        self.record().set_name(name.into());
    }

    /// Returns where in the program it was created: the call of `create_task`, `run_coroutine_threadsafe` or their
    /// kin.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(async {});
    ///     let line = line!() - 1;
    ///     assert_eq!((task.created_at().file(), task.created_at().line()), (file!(), line));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn created_at(&self) -> &'static Location<'static> {
        self.record().created_at()
    }

    /// Has `callback` called when the task ends, in a turn of its own after the task's last step; callbacks and
    /// awaiting tasks come in the order in which they were added. Of a task that is done it is queued at once:
    /// asyncio's `add_done_callback`. A panic in it goes to the exception handler.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use perloop::{create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let heard = Rc::new(Cell::new(false));
    ///     let task = create_task(async {});
    ///     task.add_done_callback({
    ///         let heard = Rc::clone(&heard);
    ///         move |task| heard.set(task.done())
    ///     });
    ///     yield_now().await; // the task's step
    ///     assert!(!heard.get());
    ///     yield_now().await; // the callback's turn
    ///     assert!(heard.get());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + 'static) -> CallbackKey {
        let callback = |ended: &Awaited| match ended {
            Awaited::Task(task) => callback(&Self(task.clone())),
            Awaited::Future(_) => unreachable!("a task's callback gets the task"),
        };
        CallbackKey(self.as_awaited().add_user_callback(callback, Location::caller()))
    }

    /// Takes a callback back, and drops it, here and now: asyncio's `remove_done_callback`. False: it was taken back
    /// before, or the task is done and the callback has run or is about to.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let mut task = perloop::create_task(async {});
    ///     let key = task.add_done_callback(|_| unreachable!("it was taken back"));
    ///     assert!(task.remove_done_callback(key));
    ///     assert_eq!((&mut task).await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn remove_done_callback(&self, key: CallbackKey) -> bool {
        self.as_awaited().remove_callback(key.0)
    }
}

impl fmt::Debug for AnyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .field("created_at", &format_args!("{}", self.created_at()))
            .field("done", &self.done())
            .finish()
    }
}

/// Names a done callback of one task or future, to take it back by `remove_done_callback`; asyncio takes the callback
/// itself there.
///
/// # Examples
/// ```
/// use perloop::{CallbackKey, create_future};
///
/// perloop::run(async {
///     let future = create_future::<()>();
///     let key: CallbackKey = future.add_done_callback(|_| ());
///     assert!(future.remove_done_callback(key) && !future.remove_done_callback(key));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackKey(pub(crate) u64);

/// A task and the right to its value: asyncio's `Task`. Await it, or ask it; what is common to all tasks is said at
/// [`AnyTask`].
///
/// It belongs to its loop's thread, as the task does: awaited on another loop it gives [`TaskError::WrongLoop`].
/// Dropping it detaches the task, which goes on; if it panics then, the loop's exception handler hears of it.
///
/// Cancel safety: giving up an await leaves the task as it is. But if the *awaiting task* is cancelled, the request
/// goes on to this task, as in asyncio.
///
/// # Examples
/// ```
/// use perloop::{Task, create_task};
///
/// perloop::run(async {
///     let task: Task<i32> = create_task(async { 6 * 7 });
///     assert_eq!(task.await, Ok(42));
///
///     let failing: Task<Result<i32, std::num::ParseIntError>> = create_task(async { "x".parse() });
///     assert!(matches!(failing.await, Ok(Err(_)))); // an exception is an `Err`
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Task<T: 'static> {
    any: AnyTask,
    value: PhantomData<T>,
}

// Nothing of it is pinned: the task's future lies in the task's own cell.
impl<T: 'static> Unpin for Task<T> {}

impl<T: 'static> Task<T> {
    /// The task's future gives a `T`.
    #[inline]
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { any: AnyTask::new(task), value: PhantomData }
    }

    /// Ends the await of it that was begun, if any. That lies apart with the task's record, so that a handle is a word.
    #[inline]
    fn leave(&self) {
        if let Some(waits) = self.record().waits_if_any() {
            waits.leave_handle(|| self.as_awaited());
        }
    }

    /// Gives the outcome, if the task is done, and does not wait: asyncio's `task.result()`. The value is given once,
    /// here or by awaiting the task.
    ///
    /// # Errors
    /// What it ended with, if not with a value; `NotDone`; `Taken`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{TaskError, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let task = create_task(async { 42 });
    ///     assert_eq!(task.result(), Err(TaskError::NotDone));
    ///     yield_now().await;
    ///     assert_eq!(task.result(), Ok(42));
    ///     assert_eq!(task.result(), Err(TaskError::Taken));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn result(&self) -> Result<T, TaskError> {
        if let Some(rare) = self.record().rare_if_any()
            && let Some(error) = self.rare_end(rare)
        {
            return Err(error);
        }
        match self.inner().take::<T>() {
            None => Err(if self.done() { TaskError::Taken } else { TaskError::NotDone }),
            Some(outcome) => outcome.map_err(|error| match error {
                FutureError::Panicked(panicked) => TaskError::Panicked(panicked),
                _ => TaskError::Cancelled(Cancelled::default()),
            }),
        }
    }
}

impl<T: 'static> std::ops::Deref for Task<T> {
    type Target = AnyTask;

    fn deref(&self) -> &AnyTask {
        &self.any
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = Result<T, TaskError>;

    /// # Panics
    /// Never; polled again after its value was given it is `Taken`.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done() {
            self.leave();
            return Poll::Ready(self.result());
        }
        match self.record().waits().poll_handle(&self.as_awaited(), cx) {
            Ok(()) => Poll::Pending,
            Err(misuse) => Poll::Ready(Err(misuse)),
        }
    }
}

impl<T: 'static> Drop for Task<T> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T: 'static> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}
