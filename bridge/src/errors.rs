//! What can go wrong where threads meet, each with a text that says what to do.

use std::any::Any;
use std::error::Error;
use std::fmt;

use crate::foreign::drop_payload;
use crate::sync::{Arc, Mutex, lock};

/// What an error tells. Each task has room for an error, which hardly any has, so that it is a word large.
#[derive(Clone, PartialEq, Eq)]
struct Apart<T>(Box<T>);

impl<T> Apart<T> {
    fn new(told: T) -> Self {
        Self(Box::new(told))
    }
}

impl<T: fmt::Debug> fmt::Debug for Apart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The loop is closed, or was closed before it took the work up: nothing of it ran. asyncio's
/// `RuntimeError: Event loop is closed`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{FutureError, LoopClosed};
///
/// let error = FutureError::LoopClosed(LoopClosed::new("worker"));
/// assert!(error.to_string().starts_with("event loop 'worker' is closed"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopClosed {
    name: Apart<String>,
}

impl LoopClosed {
    /// Makes an error about the loop of this name.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::LoopClosed::new("worker"), perloop::LoopClosed::new("worker".to_owned()));
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: Apart::new(name.into()) }
    }

    /// Returns the loop's name.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::LoopClosed::new("worker").loop_name(), "worker");
    /// ```
    pub fn loop_name(&self) -> &str {
        &self.name.0
    }
}

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event loop '{}' is closed; submit to a loop that is open, or make a new one", self.name.0)
    }
}

impl Error for LoopClosed {}

/// The loop's thread ended, or its loop was ended by a panic, before the work was done. In asyncio one would wait for
/// ever.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::FutureError;
///
/// /// Which loop should be made anew?
/// fn lost_loop(error: &FutureError) -> Option<&str> {
///     match error {
///         FutureError::LoopDied(died) => Some(died.loop_name()),
///         _ => None,
///     }
/// }
/// assert_eq!(lost_loop(&FutureError::Cancelled), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopDied {
    name: Apart<String>,
}

impl LoopDied {
    pub(crate) fn new(name: String) -> Self {
        Self { name: Apart::new(name) }
    }

    /// Returns the loop's name.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Closing, FutureError, Home, Ready, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("worker", Spin::Never, Box::new(NoBell));
    /// # let future = home.remote().submit::<(), _>((), std::future::pending::<()>());
    /// # let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
    /// # assert!(task.adopt());
    /// # home.close(Closing::Died);
    /// // The future of a task whose loop, 'worker', was ended by a panic:
    /// let Err(FutureError::LoopDied(died)) = future.result() else { unreachable!() };
    /// assert_eq!(died.loop_name(), "worker");
    /// ```
    pub fn loop_name(&self) -> &str {
        &self.name.0
    }
}

impl fmt::Display for LoopDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name.0;
        write!(
            f,
            "event loop '{name}' died before the work was done; its thread ended or panicked, see `LoopThread::join`"
        )
    }
}

impl Error for LoopDied {}

/// The loop belongs to the process that this one was forked from, and does not live in this one. In asyncio one would
/// wait for ever.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{Forked, FutureError};
///
/// let error = FutureError::Forked(Forked);
/// assert!(error.to_string().ends_with("make a new one after the fork"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forked;

impl fmt::Display for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop belongs to the parent process; make a new one after the fork")
    }
}

impl Error for Forked {}

/// Waiting here could never end: the thread, or the actor, that would have to do the work is this one, or waits for this
/// one, or may do so, as its loop runs here and would be held up. In asyncio one would wait for ever.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::WouldDeadlock;
///
/// let error = WouldDeadlock::of_loop("ui");
/// assert!(error.to_string().starts_with("blocking here would deadlock: 'ui' waits for 'ui'"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDeadlock {
    circle: Apart<Circle>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Circle {
    path: Vec<String>,
    of: Who,
}

/// Who would wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Loops,
    Actors,
    /// A loop runs in the thread that would wait, for whomever, and all of its tasks would be held up.
    RunningLoop,
}

impl WouldDeadlock {
    /// Makes an error that says that the thread of the loop of this name waits for itself.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::WouldDeadlock::of_loop("ui").path().len(), 1);
    /// ```
    pub fn of_loop(name: impl Into<String>) -> Self {
        Self::of_loops(vec![name.into()])
    }

    /// Of threads, named as their loops.
    pub(crate) fn of_loops(path: Vec<String>) -> Self {
        Self { circle: Apart::new(Circle { path, of: Who::Loops }) }
    }

    /// Of a loop that runs in this thread.
    pub(crate) fn of_running_loop(name: String) -> Self {
        Self { circle: Apart::new(Circle { path: vec![name], of: Who::RunningLoop }) }
    }

    /// Of actors.
    pub(crate) fn of_actors(path: Vec<String>) -> Self {
        Self { circle: Apart::new(Circle { path, of: Who::Actors }) }
    }

    /// Returns the names of the loops, or actors, in the circle: each one waits for the next, the last one for the
    /// first.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::WouldDeadlock::of_loop("ui").path(), ["ui"]);
    /// ```
    pub fn path(&self) -> &[String] {
        &self.circle.0.path
    }
}

impl fmt::Display for WouldDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (act, advice) = match self.circle.0.of {
            Who::Loops => ("blocking", "await the future instead, or block in a thread that owns no loop"),
            Who::Actors => ("waiting", "let the handler end first: tell, or ask in a task of its own"),
            Who::RunningLoop => {
                let name = self.path().join("', '");
                let why = "which runs in this thread; await it instead";
                return write!(f, "waiting here would hold up event loop '{name}', {why}");
            }
        };
        write!(f, "{act} here would deadlock: ")?;
        for name in self.path() {
            write!(f, "'{name}' waits for ")?;
        }
        let first = self.path().first().map_or("itself", String::as_str);
        write!(f, "'{first}'; {advice}")
    }
}

impl Error for WouldDeadlock {}

/// A body panicked. Holds what it threw, until somebody takes it. Clones stand for the same panic. What an exception
/// that leaves a coroutine is in asyncio, if it is not expected; one that is expected is an `Err`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use std::panic::catch_unwind;
/// use perloop::Panicked;
///
/// let thrown = catch_unwind(|| panic!("out of paper")).unwrap_err();
/// let panicked = Panicked::new(thrown);
/// assert_eq!(panicked.message(), "out of paper");
/// ```
#[derive(Clone)]
pub struct Panicked(Arc<Thrown>);

struct Thrown {
    text: String,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Panicked {
    /// Makes one of a panic's payload, as `catch_unwind` gives it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let panicked = perloop::Panicked::new(Box::new("out of paper"));
    /// assert_eq!(panicked.message(), "out of paper");
    /// ```
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "a payload that is no text".to_owned()
        };
        Self(Arc::new(Thrown { text, payload: Mutex::new(Some(payload)) }))
    }

    /// Returns the panic's message; one that says so if what was thrown is neither `&str` nor `String`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let panicked = perloop::Panicked::new(Box::new(42));
    /// assert_eq!(panicked.message(), "a payload that is no text");
    /// ```
    pub fn message(&self) -> &str {
        &self.0.text
    }

    /// Gives what was thrown, for `std::panic::resume_unwind`. If another clone of this error gave it away before, it
    /// is the message.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let panicked = perloop::Panicked::new(Box::new(42));
    /// assert_eq!(panicked.into_payload().downcast_ref(), Some(&42));
    /// ```
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let payload = lock(&self.0.payload).take();
        payload.unwrap_or_else(|| Box::new(self.0.text.clone()))
    }

    /// Gives what it threw once more, if that is an [`Arc`](std::sync::Arc) of this and still there.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::sync::Arc;
    ///
    /// let panicked = perloop::Panicked::new(Box::new(Arc::new(42)));
    /// assert_eq!((panicked.shared(), panicked.shared::<u8>()), (Some(Arc::new(42)), None));
    /// ```
    pub fn shared<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let payload = lock(&self.0.payload);
        payload.as_ref()?.downcast_ref::<Arc<T>>().cloned()
    }
}

impl Drop for Thrown {
    fn drop(&mut self) {
        drop_payload(lock(&self.payload).take());
    }
}

impl PartialEq for Panicked {
    /// Two are equal if they stand for the same panic.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panicked").field(&self.message()).finish()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked: {}; `into_payload` gives what it threw", self.message())
    }
}

impl Error for Panicked {}

/// Why a [`CrossThreadFuture`](crate::CrossThreadFuture) gives no value: what `concurrent.futures.Future.result`
/// raises. The set is closed: a submission ends in no other way.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use std::time::Duration;
/// use perloop::{FutureError, Promise};
///
/// let (promise, future) = Promise::<i32>::new();
/// let timeout = Duration::from_millis(1);
/// let answer = match future.result_timeout(timeout) {
///     Ok(answer) => answer,
///     Err(FutureError::TimedOut) => 0, // it goes on
///     Err(error) => panic!("{error}"),
/// };
/// assert_eq!(answer, 0);
/// drop(promise);
/// assert_eq!(future.result(), Err(FutureError::Cancelled));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum FutureError {
    /// The future was cancelled, or its task ended cancelled.
    Cancelled,
    /// The task panicked.
    Panicked(Panicked),
    /// The loop was closed and never took the work up.
    LoopClosed(LoopClosed),
    /// The loop died with the work undone.
    LoopDied(LoopDied),
    /// The loop is the parent process's.
    Forked(Forked),
    /// Waiting here could never end. The future is as it was.
    WouldDeadlock(WouldDeadlock),
    /// The time was up first. The future is as it was.
    TimedOut,
    /// The value was taken before: it is given once.
    Taken,
}

impl FutureError {
    /// Says whether the future was cancelled: `concurrent.futures.CancelledError`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::FutureError;
    ///
    /// assert!(FutureError::Cancelled.is_cancelled() && !FutureError::TimedOut.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Says whether the future is as it was, so that one may ask it again.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::FutureError;
    ///
    /// assert!(FutureError::TimedOut.is_retryable() && !FutureError::Taken.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::WouldDeadlock(_) | Self::TimedOut)
    }
}

impl fmt::Display for FutureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the future was cancelled"),
            Self::Panicked(error) => error.fmt(f),
            Self::LoopClosed(error) => error.fmt(f),
            Self::LoopDied(error) => error.fmt(f),
            Self::Forked(error) => error.fmt(f),
            Self::WouldDeadlock(error) => error.fmt(f),
            Self::TimedOut => f.write_str("no result in time; the work goes on, ask again or cancel it"),
            Self::Taken => f.write_str("the result was taken before; it is given once, so keep it"),
        }
    }
}

impl Error for FutureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Panicked(error) => Some(error),
            Self::LoopClosed(error) => Some(error),
            Self::LoopDied(error) => Some(error),
            Self::Forked(error) => Some(error),
            Self::WouldDeadlock(error) => Some(error),
            Self::Cancelled | Self::TimedOut | Self::Taken => None,
        }
    }
}

/// Why a loop did not take a submission, see [`Refused::reason`].
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{Forked, FutureError, LoopClosed, Refusal};
///
/// let refusal = Refusal::LoopClosed(LoopClosed::new("worker"));
/// assert_eq!(FutureError::from(refusal), FutureError::LoopClosed(LoopClosed::new("worker")));
/// assert_eq!(Refusal::Forked(Forked).to_string(), Forked.to_string());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is closed.
    LoopClosed(LoopClosed),
    /// It is the parent process's.
    Forked(Forked),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoopClosed(error) => error.fmt(f),
            Self::Forked(error) => error.fmt(f),
        }
    }
}

impl Error for Refusal {}

impl From<Refusal> for FutureError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::LoopClosed(error) => Self::LoopClosed(error),
            Refusal::Forked(error) => Self::Forked(error),
        }
    }
}

/// Work that a loop did not take, and why. Nothing of it ran. asyncio raises `RuntimeError: Event loop is closed`, and
/// keeps the work.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Closing, Home, Refused, Remote, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # struct Handle(Remote);
/// # impl Handle {
/// #     fn call_soon_threadsafe<F: FnOnce() + Send + 'static>(&self, work: F) -> Result<(), Refused<F>> { self.0.call(work) }
/// # }
/// # let home = Home::new("worker", Spin::Never, Box::new(NoBell));
/// # home.close(Closing::Closed);
/// # let handle = Handle(home.remote());
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// // The loop of this handle is closed.
/// if let Err(refused) = handle.call_soon_threadsafe(move || drop(sender.send("done"))) {
///     let work = refused.into_inner();
///     work(); // so do it here
/// }
/// assert_eq!(receiver.recv()?, "done");
/// # Ok::<(), mpsc::RecvError>(())
/// ```
pub struct Refused<W> {
    pub(crate) work: W,
    pub(crate) why: Refusal,
}

impl<W> Refused<W> {
    /// Gives the work back, to hand it to another loop.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Closing, Home, Refused, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("worker", Spin::Never, Box::new(NoBell));
    /// # home.close(Closing::Closed);
    /// /// Does here what the loop would not take.
    /// fn do_here(refused: Refused<impl FnOnce()>) {
    ///     let work = refused.into_inner();
    ///     work();
    /// }
    /// # do_here(home.remote().call(|| ()).unwrap_err());
    /// ```
    pub fn into_inner(self) -> W {
        self.work
    }

    /// Returns why it was refused.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// # use perloop_bridge::{Bell, Closing, Home, Spin};
    /// use perloop::{Refusal, Refused};
    ///
    /// fn is_for_good<W>(refused: &Refused<W>) -> bool {
    ///     matches!(refused.reason(), Refusal::LoopClosed(_))
    /// }
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("worker", Spin::Never, Box::new(NoBell));
    /// # home.close(Closing::Closed);
    /// # assert!(is_for_good(&home.remote().call(|| ()).unwrap_err()));
    /// ```
    pub fn reason(&self) -> &Refusal {
        &self.why
    }
}

impl<W> fmt::Debug for Refused<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<W> fmt::Display for Refused<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<W> Error for Refused<W> {}

/// A bare future was set though it has its outcome already: `concurrent.futures.InvalidStateError`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{InvalidState, Promise};
///
/// let (mut promise, future) = Promise::new();
/// promise.set_result(1)?;
/// assert_eq!(promise.set_result(2), Err(InvalidState));
/// assert_eq!(future.result(), Ok(1));
/// # Ok::<(), InvalidState>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future has its outcome already; ask `done` or `cancelled` before setting it")
    }
}

impl Error for InvalidState {}
