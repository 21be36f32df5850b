//! What can go wrong where threads meet, each with a text that says what to do.

use std::any::Any;
use std::error::Error;
use std::fmt;

use crate::foreign::drop_payload;
use crate::sync::{Arc, Mutex, lock};

/// The loop is closed, or was closed before it took the work up: nothing of it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopClosed {
    pub(crate) name: String,
}

impl LoopClosed {
    /// An error about the loop of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The loop's name.
    pub fn loop_name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event loop '{}' is closed; submit to a loop that is open, or make a new one", self.name)
    }
}

impl Error for LoopClosed {}

/// The loop's thread ended, or its loop was ended by a panic, before the work was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopDied {
    pub(crate) name: String,
}

impl LoopDied {
    /// The loop's name.
    pub fn loop_name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for LoopDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        write!(
            f,
            "event loop '{name}' died before the work was done; its thread ended or panicked, see `LoopThread::join`"
        )
    }
}

impl Error for LoopDied {}

/// The loop belongs to the process that this one was forked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forked;

impl fmt::Display for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop belongs to the parent process; make a new one after the fork")
    }
}

impl Error for Forked {}

/// Blocking here could never end: the thread that would have to do the work is this one, or waits for this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDeadlock {
    pub(crate) path: Vec<String>,
}

impl WouldDeadlock {
    /// The thread of the loop of this name waits for itself.
    pub fn of_loop(name: impl Into<String>) -> Self {
        Self { path: vec![name.into()] }
    }

    /// The names of the loops in the circle: each one's thread waits for the next, the last one for the first.
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

impl fmt::Display for WouldDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking here would deadlock: ")?;
        for name in &self.path {
            write!(f, "'{name}' waits for ")?;
        }
        let first = self.path.first().map_or("itself", String::as_str);
        write!(f, "'{first}'; await the future instead, or block in a thread that owns no loop")
    }
}

impl Error for WouldDeadlock {}

/// A body panicked. Holds what it threw, until somebody takes it.
#[derive(Clone)]
pub struct Panicked(Arc<Thrown>);

struct Thrown {
    text: String,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Panicked {
    /// A panic with this payload, as `catch_unwind` gives it.
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

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.0.text
    }

    /// What was thrown, for `std::panic::resume_unwind`. If another clone of this error gave it away before, it is
    /// the message.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let payload = lock(&self.0.payload).take();
        payload.unwrap_or_else(|| Box::new(self.0.text.clone()))
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

/// Why a [`CrossThreadFuture`](crate::CrossThreadFuture) gives no value.
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
    /// Was it cancelled?
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Is the future as it was, so that one may ask it again?
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

/// Why a loop did not take a submission.
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

/// Work that a loop did not take, and why. Nothing of it ran.
pub struct Refused<W> {
    pub(crate) work: W,
    pub(crate) why: Refusal,
}

impl<W> Refused<W> {
    /// The work, to hand it to another loop.
    pub fn into_inner(self) -> W {
        self.work
    }

    /// Why it was refused.
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

/// A bare future was set, or set running, though it has its outcome already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future has its outcome already; ask `done` or `cancelled` before setting it")
    }
}

impl Error for InvalidState {}
