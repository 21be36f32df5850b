//! What can go wrong on a loop's own thread, each with a text that says what to do.

use std::error::Error;
use std::fmt;
use std::io;

use perloop_bridge::{Forked, LoopClosed, Panicked};

use crate::cancel::Cancelled;

/// Declares an error that carries nothing but its text.
macro_rules! plain_error {
    ($(#[$meta:meta])* $name:ident: $text:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl Error for $name {}
    };
}
pub(crate) use plain_error;

plain_error! {
    /// No loop is running in this thread: asyncio's `RuntimeError: no running event loop`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{NoRunningLoop, current_task};
    ///
    /// assert_eq!(current_task().unwrap_err(), NoRunningLoop::default());
    /// ```
    NoRunningLoop: "no running event loop in this thread; call this from a task or callback, or hold an `EventLoop`"
}

plain_error! {
    /// A running loop was to be closed: asyncio's `RuntimeError: Cannot close a running event loop`.
    ///
    /// # Examples
    /// ```
    /// use perloop::CloseRunning;
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let refused = event_loop.run_until_complete(async { event_loop.close() })?;
    /// assert_eq!(refused, Err(CloseRunning::default()));
    /// event_loop.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    CloseRunning: "cannot close a running event loop; stop it first, and close it when `run_forever` has returned"
}

plain_error! {
    /// The event loop was interrupted by Ctrl-C, and its main task ended cancelled: asyncio's `KeyboardInterrupt`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Interrupted, RunError};
    ///
    /// /// What a program should exit with.
    /// fn status(outcome: Result<(), RunError>) -> u8 {
    ///     match outcome {
    ///         Ok(()) => 0,
    ///         Err(RunError::Interrupted(_)) => 130,
    ///         Err(_) => 1,
    ///     }
    /// }
    /// assert_eq!(status(perloop::run(async {})), 0);
    /// assert_eq!(status(Err(RunError::Interrupted(Interrupted::default()))), 130);
    /// ```
    Interrupted: "interrupted by Ctrl-C; the main task was cancelled and has cleaned up"
}

plain_error! {
    /// The loop was stopped before what it ran for was done: asyncio's
    /// `RuntimeError: Event loop stopped before Future completed.`
    ///
    /// # Examples
    /// ```
    /// use perloop::LoopError;
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let mut task = event_loop.create_task(std::future::pending::<()>())?;
    /// event_loop.stop();
    /// let outcome = event_loop.run_until_complete(&mut task);
    /// assert!(matches!(outcome, Err(LoopError::StoppedBeforeDone(_))));
    /// assert!(!task.done()); // it can be waited for again
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    StoppedBeforeDone: "the event loop was stopped before the future completed; run it again, or do not call `stop`"
}

plain_error! {
    /// A timeout's deadline came first: asyncio's `TimeoutError`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{TimedOut, sleep, timeout};
    ///
    /// let outcome = perloop::run(timeout(Duration::ZERO, sleep(Duration::MAX)))?;
    /// assert_eq!(outcome, Err(TimedOut::default()));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    TimedOut: "the deadline came first; what was awaited has been cancelled"
}

plain_error! {
    /// A timeout was to be moved that has not begun, has expired, or has ended: asyncio's `RuntimeError` of
    /// `reschedule`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{TimeoutNotActive, TimeoutScope};
    ///
    /// let scope = TimeoutScope::after(None);
    /// assert_eq!(scope.reschedule(None), Err(TimeoutNotActive::default()));
    /// ```
    TimeoutNotActive: "the timeout has not begun, has expired, or has ended; reschedule it while its body runs"
}

plain_error! {
    /// A [`Runner`](crate::Runner) was to run something after it was closed.
    ///
    /// # Examples
    /// ```
    /// use perloop::{RunError, Runner, RunnerClosed};
    ///
    /// let runner = Runner::new();
    /// runner.run(async {})?;
    /// runner.close()?;
    /// let refused = runner.run(async {});
    /// assert!(matches!(refused, Err(RunError::RunnerClosed(error)) if error == RunnerClosed::default()));
    /// # Ok::<(), RunError>(())
    /// ```
    RunnerClosed: "the runner is closed, and its event loop with it; make a new one"
}

/// This thread has no current loop, see [`get_event_loop`](crate::get_event_loop): asyncio's
/// `RuntimeError: There is no current event loop in thread ...`.
///
/// # Examples
/// ```
/// perloop::set_event_loop(None);
/// let error = perloop::get_event_loop().unwrap_err();
/// assert!(error.to_string().starts_with("there is no current event loop in thread"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoEventLoop {
    pub(crate) thread: String,
}

impl NoEventLoop {
    /// Returns the thread's name; `unnamed` if it has none.
    ///
    /// # Examples
    /// ```
    /// let thread = std::thread::Builder::new().name("bare".to_owned()).spawn(perloop_less)?;
    /// assert_eq!(thread.join().ok().as_deref(), Some("bare"));
    ///
    /// fn perloop_less() -> String {
    ///     perloop::get_event_loop().unwrap_err().thread_name().to_owned()
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_name(&self) -> &str {
        &self.thread
    }
}

impl fmt::Display for NoEventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = &self.thread;
        write!(
            f,
            "there is no current event loop in thread '{thread}'; make one and `set_event_loop` it there"
        )
    }
}

impl Error for NoEventLoop {}

/// Something that belongs to one loop was waited for in another: asyncio's `RuntimeError`, "attached to a different
/// loop". Its text names both.
///
/// # Examples
/// ```
/// use perloop::{EventLoop, TaskError};
///
/// let (first, second) = (EventLoop::builder().name("first"), EventLoop::builder().name("second"));
/// let (first, second) = (first.build()?, second.build()?);
/// let task = first.create_task(async {})?;
/// let Err(TaskError::WrongLoop(error)) = second.run_until_complete(task)? else { unreachable!() };
/// assert!(error.to_string().starts_with("a task or future of event loop 'first' was awaited on event loop 'second'"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongLoop {
    pub(crate) belongs_to: String,
    pub(crate) used_on: String,
}

impl fmt::Display for WrongLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { belongs_to, used_on } = self;
        write!(
            f,
            "a task or future of event loop '{belongs_to}' was awaited on event loop '{used_on}'; \
             use `run_coroutine_threadsafe` to wait for work on another loop"
        )
    }
}

impl Error for WrongLoop {}

/// Why a handle does not give its loop, see [`LoopHandle::event_loop`](crate::LoopHandle::event_loop).
///
/// # Examples
/// ```
/// use perloop::NotHome;
///
/// let event_loop = perloop::new_event_loop()?;
/// let handle = event_loop.handle();
/// drop(event_loop);
/// let Err(NotHome::Closed(error)) = handle.event_loop() else { unreachable!() };
/// assert_eq!(error.loop_name(), handle.name());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotHome {
    /// The loop, of this name, belongs to another thread.
    WrongThread(String),
    /// It is gone.
    Closed(LoopClosed),
}

impl fmt::Display for NotHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongThread(name) => write!(
                f,
                "event loop '{name}' belongs to another thread; use `call_soon_threadsafe` or `run_coroutine_threadsafe`"
            ),
            Self::Closed(error) => error.fmt(f),
        }
    }
}

impl Error for NotHome {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::WrongThread(_) => None,
            Self::Closed(error) => Some(error),
        }
    }
}

/// Why a loop does not run, or did not run to the end: what asyncio's `run_until_complete` raises.
///
/// # Examples
/// ```
/// use perloop::LoopError;
///
/// let event_loop = perloop::new_event_loop()?;
/// let nested = event_loop.run_until_complete(async { event_loop.run_forever() })?;
/// assert!(matches!(nested, Err(LoopError::AlreadyRunning(_))));
/// event_loop.close()?;
/// assert!(matches!(event_loop.run_forever(), Err(LoopError::Closed(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LoopError {
    /// It is closed.
    Closed(LoopClosed),
    /// It is running already.
    AlreadyRunning(String),
    /// Another loop is running in this thread; its name.
    AnotherLoopRunning(String),
    /// It was stopped before the future was done.
    StoppedBeforeDone(StoppedBeforeDone),
    /// The future's task ended cancelled.
    Cancelled(Cancelled),
    /// It belongs to the parent process.
    Forked(Forked),
    /// The task belongs to another loop.
    WrongLoop(WrongLoop),
    /// A panic that nobody else heard of has ended it, see [`PanicPolicy::CloseLoop`](crate::PanicPolicy::CloseLoop).
    Panicked(Panicked),
    /// The system refused what the loop waits with.
    Io(io::Error),
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(error) => error.fmt(f),
            Self::AlreadyRunning(name) => {
                write!(f, "event loop '{name}' is running already; use `create_task` to run something on it")
            }
            Self::AnotherLoopRunning(name) => {
                write!(
                    f,
                    "event loop '{name}' is running in this thread; run this one in a thread of its own"
                )
            }
            Self::StoppedBeforeDone(error) => error.fmt(f),
            Self::Cancelled(error) => error.fmt(f),
            Self::Forked(error) => error.fmt(f),
            Self::WrongLoop(error) => error.fmt(f),
            Self::Panicked(error) => {
                write!(f, "the event loop was closed, as its policy says, by a panic: {}", error.message())
            }
            Self::Io(error) => write!(f, "the event loop could not wait for events: {error}"),
        }
    }
}

impl Error for LoopError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed(error) => Some(error),
            Self::StoppedBeforeDone(error) => Some(error),
            Self::Cancelled(error) => Some(error),
            Self::Forked(error) => Some(error),
            Self::WrongLoop(error) => Some(error),
            Self::Panicked(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::AlreadyRunning(_) | Self::AnotherLoopRunning(_) => None,
        }
    }
}

/// Why [`run`](crate::run) gives no value: what asyncio's `run` raises.
///
/// # Examples
/// ```
/// use perloop::RunError;
///
/// let nested = perloop::run(async { perloop::run(async {}) })?;
/// assert!(matches!(nested, Err(RunError::Nested(_))));
/// let cancelled = perloop::run(async { perloop::Cancelled::new("enough").raise().await });
/// assert!(matches!(cancelled, Err(RunError::Cancelled(_))));
/// # Ok::<(), RunError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// A loop is running in this thread already; its name.
    Nested(String),
    /// Ctrl-C.
    Interrupted(Interrupted),
    /// The main task ended cancelled.
    Cancelled(Cancelled),
    /// Somebody stopped the loop.
    Stopped(StoppedBeforeDone),
    /// The [`Runner`](crate::Runner) was closed before.
    RunnerClosed(RunnerClosed),
    /// The loop of the [`Runner`](crate::Runner) was closed by somebody else.
    LoopClosed(LoopClosed),
    /// The process was forked while it ran, and this is the child.
    Forked(Forked),
    /// A panic that nobody else heard of has ended it, see [`PanicPolicy::CloseLoop`](crate::PanicPolicy::CloseLoop).
    Panicked(Panicked),
    /// The system refused a descriptor, or to wait on it.
    Io(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested(name) => {
                write!(
                    f,
                    "`run` cannot be called while event loop '{name}' runs in this thread; await it instead"
                )
            }
            Self::Interrupted(error) => error.fmt(f),
            Self::Cancelled(error) => error.fmt(f),
            Self::Stopped(error) => error.fmt(f),
            Self::RunnerClosed(error) => error.fmt(f),
            Self::LoopClosed(error) => error.fmt(f),
            Self::Forked(error) => error.fmt(f),
            Self::Panicked(error) => {
                write!(f, "the event loop was closed, as its policy says, by a panic: {}", error.message())
            }
            Self::Io(error) => write!(f, "the event loop could not be made or could not wait: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Nested(_) => None,
            Self::Interrupted(error) => Some(error),
            Self::Cancelled(error) => Some(error),
            Self::Stopped(error) => Some(error),
            Self::Panicked(error) => Some(error),
            Self::RunnerClosed(error) => Some(error),
            Self::LoopClosed(error) => Some(error),
            Self::Forked(error) => Some(error),
            Self::Io(error) => Some(error),
        }
    }
}

/// Why a task or a future gives no value: what asyncio's `await task` and `task.result()` raise.
///
/// # Examples
/// ```
/// use perloop::{TaskError, create_task};
///
/// perloop::run(async {
///     let task = create_task(async { panic!("out of paper") });
///     assert_eq!(task.result(), Err::<(), _>(TaskError::NotDone));
///     let Err(TaskError::Panicked(panicked)) = task.await else { unreachable!() };
///     assert_eq!(panicked.message(), "out of paper");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TaskError {
    /// It ended cancelled.
    Cancelled(Cancelled),
    /// It panicked.
    Panicked(Panicked),
    /// It is not done: await it.
    NotDone,
    /// Its value was taken before: it is given once.
    Taken,
    /// It awaited itself.
    AwaitSelf,
    /// It belongs to another loop than the one that runs.
    WrongLoop(WrongLoop),
}

impl TaskError {
    /// Says whether the task ended cancelled: asyncio's `CancelledError`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let task = perloop::create_task(std::future::pending::<()>());
    ///     task.cancel();
    ///     assert!(task.await.is_err_and(|error| error.is_cancelled()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(error) => error.fmt(f),
            Self::Panicked(error) => error.fmt(f),
            Self::NotDone => f.write_str("it is not done; await it, or ask `done` first"),
            Self::Taken => f.write_str("the task's result was taken before; it is given once, so keep it"),
            Self::AwaitSelf => f.write_str("a task cannot await itself; it would wait for ever"),
            Self::WrongLoop(error) => error.fmt(f),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cancelled(error) => Some(error),
            Self::Panicked(error) => Some(error),
            Self::WrongLoop(error) => Some(error),
            Self::NotDone | Self::Taken | Self::AwaitSelf => None,
        }
    }
}

/// Why a future was not set: asyncio's `InvalidStateError`, and what it says when a task is to be set.
///
/// # Examples
/// ```
/// use perloop::{SetError, create_future};
///
/// perloop::run(async {
///     let future = create_future();
///     assert_eq!(future.set_result(1), Ok(()));
///     assert_eq!(future.set_result(2), Err(SetError::Done));
///     assert_eq!(future.await, Ok(1));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetError {
    /// It has its outcome already.
    Done,
    /// It is a task's: only the task's own end sets it.
    OfTask,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "the future has its outcome already; ask `done` before setting it",
            Self::OfTask => "a task's future is set by the end of the task; use `create_future` for one that is set by hand",
        })
    }
}

impl Error for SetError {}

/// Why [`wait`](crate::wait) does not wait: asyncio's `ValueError` and `RuntimeError` there.
///
/// # Examples
/// ```
/// use perloop::{ReturnWhen, Task, WaitError, wait};
///
/// let nothing: [Task<i32>; 0] = [];
/// let outcome = perloop::run(async { wait(&nothing, ReturnWhen::AllCompleted, None).await })?;
/// assert_eq!(outcome, Err(WaitError::Nothing));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// There is nothing to wait for.
    Nothing,
    /// One belongs to another loop.
    WrongLoop(WrongLoop),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is nothing to wait for; give `wait` a task or future"),
            Self::WrongLoop(error) => error.fmt(f),
        }
    }
}

impl Error for WaitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Nothing => None,
            Self::WrongLoop(error) => Some(error),
        }
    }
}
