//! Why an end of a queue refuses. Who puts gets the item back.

use std::error::Error;
use std::fmt;

use crate::errors::WouldDeadlock;

const CLOSED: &str = "the queue is closed, by `close` or since all senders or all receivers are gone";

/// The queue is closed. Of a put it has the item, which was not put. asyncio's `QueueShutDown`, and janus'.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # fn now<F: Future>(future: F) -> Poll<F::Output> {
/// #     pin!(future).poll(&mut Context::from_waker(Waker::noop()))
/// # }
/// use perloop::{QueueClosed, thread_queue};
///
/// let (sender, receiver) = thread_queue(1);
/// drop(receiver);
/// let put = async { sender.put(42).await };
/// # assert_eq!(now(put), Poll::Ready(Err(QueueClosed(42))));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueClosed<T = ()>(pub T);

/// Why [`ThreadSender::try_put`](crate::ThreadSender::try_put) put nothing: Python's `queue.Full`, and `ShutDown`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{TryPutError, thread_queue};
///
/// let (sender, receiver) = thread_queue(1);
/// sender.try_put(1)?;
/// assert_eq!(sender.try_put(2), Err(TryPutError::Full(2)));
/// # drop(receiver);
/// # Ok::<(), TryPutError<i32>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room now.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

/// Why a blocking put put nothing: Python's `queue.Full` of a `put` with a timeout, and `ShutDown`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{PutBlockingError, thread_queue};
///
/// let (sender, receiver) = thread_queue(1);
/// drop(receiver);
/// assert_eq!(sender.put_blocking(42), Err(PutBlockingError::Closed(42)));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum PutBlockingError<T> {
    /// The queue is closed.
    Closed(T),
    /// The time was up first.
    TimedOut(T),
    /// It would have had to wait in a thread whose event loop runs.
    WouldDeadlock(T, WouldDeadlock),
}

/// Why [`ThreadReceiver::try_get`](crate::ThreadReceiver::try_get) took nothing: Python's `queue.Empty`, and `ShutDown`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{TryGetError, thread_queue};
///
/// let (sender, receiver) = thread_queue::<i32>(1);
/// assert_eq!(receiver.try_get(), Err(TryGetError::Empty));
/// drop(sender);
/// assert_eq!(receiver.try_get(), Err(TryGetError::Closed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is no item now.
    Empty,
    /// The queue is closed, and nothing is left.
    Closed,
}

/// Why a blocking get took nothing: Python's `queue.Empty` of a `get` with a timeout, and `ShutDown`.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{GetBlockingError, thread_queue};
///
/// let (sender, receiver) = thread_queue::<i32>(1);
/// drop(sender);
/// assert_eq!(receiver.get_blocking(), Err(GetBlockingError::Closed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetBlockingError {
    /// The queue is closed, and nothing is left.
    Closed,
    /// The time was up first.
    TimedOut,
    /// It would have had to wait in a thread whose event loop runs.
    WouldDeadlock(WouldDeadlock),
}

impl<T> QueueClosed<T> {
    /// Gives the item back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::QueueClosed(42).into_inner(), 42);
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TryPutError<T> {
    /// Gives the item back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::TryPutError::Full(42).into_inner(), 42);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> PutBlockingError<T> {
    /// Gives the item back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// assert_eq!(perloop::PutBlockingError::TimedOut(42).into_inner(), 42);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(item) | Self::TimedOut(item) | Self::WouldDeadlock(item, _) => item,
        }
    }
}

impl<T> fmt::Display for QueueClosed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full; await `put`, or try again later",
            Self::Closed(_) => CLOSED,
        })
    }
}

impl<T> fmt::Display for PutBlockingError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str(CLOSED),
            Self::TimedOut(_) => f.write_str("the queue had no room in time; try again, or wait longer"),
            Self::WouldDeadlock(_, why) => why.fmt(f),
        }
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty; await `get`, or try again later",
            Self::Closed => CLOSED,
        })
    }
}

impl fmt::Display for GetBlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str(CLOSED),
            Self::TimedOut => f.write_str("no item came in time; try again, or wait longer"),
            Self::WouldDeadlock(why) => why.fmt(f),
        }
    }
}

// Items need not be `Debug`, for an error to be.
impl<T> fmt::Debug for QueueClosed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueClosed(..)")
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for PutBlockingError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::TimedOut(_) => f.write_str("TimedOut(..)"),
            Self::WouldDeadlock(_, why) => write!(f, "WouldDeadlock(.., {why:?})"),
        }
    }
}

impl<T> Error for QueueClosed<T> {}
impl<T> Error for TryPutError<T> {}
impl<T> Error for PutBlockingError<T> {}
impl Error for TryGetError {}
impl Error for GetBlockingError {}
