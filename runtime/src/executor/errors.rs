//! Why a job gives no value, and why a pool takes none.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use perloop_bridge::{Forked, LoopClosed, Panicked};

use crate::cancel::Cancelled;
use crate::errors::{TaskError, WrongLoop};

/// Why a job was not taken. It is dropped. asyncio's `RuntimeError` of `run_in_executor`, as `Executor shutdown has been
/// called` or `Event loop is closed`.
///
/// # Examples
/// ```
/// use perloop::{ExecutorError, get_running_loop};
///
/// perloop::run(async {
///     let running = get_running_loop()?;
///     running.shutdown_default_executor(None).await?;
///     let refused = running.run_in_executor(None, || 42);
///     assert!(matches!(refused, Err(ExecutorError::ShutDown)));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The loop's default executor was shut down.
    ShutDown,
    /// The loop is closed.
    LoopClosed(LoopClosed),
    /// The pool has no thread, and the system gives none.
    NoThread(io::Error),
    /// The pool's threads are the parent process's.
    Forked(Forked),
}

impl fmt::Display for ExecutorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str(
                "the event loop's default executor was shut down; hand jobs in before, or to a pool of your own",
            ),
            Self::LoopClosed(error) => error.fmt(f),
            Self::NoThread(error) => write!(f, "the pool could not start its first thread: {error}"),
            Self::Forked(error) => error.fmt(f),
        }
    }
}

impl Error for ExecutorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ShutDown => None,
            Self::LoopClosed(error) => Some(error),
            Self::NoThread(error) => Some(error),
            Self::Forked(error) => Some(error),
        }
    }
}

/// Why a job gives no value, see [`to_thread`](crate::to_thread): what `await loop.run_in_executor(...)` raises in
/// asyncio.
///
/// # Examples
/// ```
/// use perloop::{JobError, to_thread};
///
/// let outcome = perloop::run(to_thread(|| -> u8 { "300".parse().expect("it fits") }))?;
/// let Err(JobError::Panicked(panicked)) = outcome else { unreachable!() };
/// assert!(panicked.message().starts_with("it fits"));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// It was not taken, and never began.
    Refused(ExecutorError),
    /// It panicked.
    Panicked(Panicked),
    /// The task was asked to stop while it waited for the job, which goes on if it had begun.
    Cancelled(Cancelled),
    /// The wait began on another loop than the one that runs. The job goes on.
    WrongLoop(WrongLoop),
}

impl From<TaskError> for JobError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Cancelled(error) => Self::Cancelled(error),
            TaskError::Panicked(error) => Self::Panicked(error),
            TaskError::WrongLoop(error) => Self::WrongLoop(error),
            TaskError::NotDone | TaskError::Taken | TaskError::AwaitSelf => {
                unreachable!("a job's future was awaited, by one: {error}")
            }
        }
    }
}

impl From<ExecutorError> for JobError {
    fn from(error: ExecutorError) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Panicked(error) => write!(f, "the job panicked: {}", error.message()),
            Self::Cancelled(error) => error.fmt(f),
            Self::WrongLoop(error) => error.fmt(f),
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Panicked(error) => Some(error),
            Self::Cancelled(error) => Some(error),
            Self::WrongLoop(error) => Some(error),
        }
    }
}

/// The default executor was told to end, and its jobs did not end in time. They go on; what they give is dropped.
/// asyncio gives a `RuntimeWarning` instead.
///
/// # Examples
/// ```
/// use std::{sync::mpsc, time::Duration};
/// use perloop::get_running_loop;
///
/// let (go_on, told) = mpsc::channel();
/// perloop::run(async move {
///     let running = get_running_loop()?;
///     let _job = running.run_in_executor(None, move || told.recv().is_ok())?;
///     let error = running.shutdown_default_executor(Duration::ZERO).await.unwrap_err();
///     assert_eq!(error.timeout(), Duration::ZERO);
///     go_on.send(())?; // or `run` waits for it, up to five minutes
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorTimedOut {
    pub(super) timeout: Duration,
}

impl ExecutorTimedOut {
    /// Returns for how long it was waited.
    ///
    /// # Examples
    /// ```
    /// use perloop::ExecutorTimedOut;
    ///
    /// fn report(error: ExecutorTimedOut) -> String {
    ///     format!("gave up after {:?}", error.timeout())
    /// }
    /// # let _ = report;
    /// ```
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl fmt::Display for ExecutorTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the default executor's jobs did not end within {:?}; they go on, so let them end sooner or wait longer",
            self.timeout
        )
    }
}

impl Error for ExecutorTimedOut {}
