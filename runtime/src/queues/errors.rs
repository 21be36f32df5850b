//! Why a queue did not take or give.

use std::error::Error;
use std::fmt;

/// The queue was shut down, see [`Queue::shutdown`](crate::Queue::shutdown): asyncio's `QueueShutDown`. A put has its
/// item in it.
///
/// # Examples
/// ```
/// use perloop::{Queue, QueueShutDown};
///
/// perloop::run(async {
///     let queue = Queue::new(0);
///     queue.shutdown(false);
///     let refused: QueueShutDown<&str> = queue.put("late").await.unwrap_err();
///     assert_eq!(refused.into_inner(), "late");
///     assert_eq!(queue.get().await, Err(QueueShutDown(())));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueShutDown<T = ()>(
    /// What was to be put.
    pub T,
);

impl<T> QueueShutDown<T> {
    /// Gives back what was to be put.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::QueueShutDown(42).into_inner(), 42);
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Display for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHUT_DOWN)
    }
}

impl<T> fmt::Debug for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueShutDown")
    }
}

impl<T> Error for QueueShutDown<T> {}

const SHUT_DOWN: &str = "the queue was shut down; it takes no more items, and gives those that are left";

/// Why [`Queue::get_nowait`](crate::Queue::get_nowait) gives no item: asyncio's `QueueEmpty` and `QueueShutDown`.
///
/// # Examples
/// ```
/// use perloop::{GetNowaitError, Queue};
///
/// let queue = Queue::<i32>::new(0);
/// assert_eq!(queue.get_nowait(), Err(GetNowaitError::Empty));
/// queue.shutdown(false);
/// assert_eq!(queue.get_nowait(), Err(GetNowaitError::ShutDown));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetNowaitError {
    /// It has no item now: asyncio's `QueueEmpty`.
    #[doc(alias = "QueueEmpty")]
    Empty,
    /// It was shut down, and no item is left: asyncio's `QueueShutDown`.
    #[doc(alias = "QueueShutDown")]
    ShutDown,
}

impl fmt::Display for GetNowaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty; await `get`, or try again later"),
            Self::ShutDown => f.write_str(SHUT_DOWN),
        }
    }
}

impl Error for GetNowaitError {}

/// Why [`Queue::put_nowait`](crate::Queue::put_nowait) does not take an item, with the item: asyncio's `QueueFull` and
/// `QueueShutDown`.
///
/// # Examples
/// ```
/// use perloop::{PutNowaitError, Queue};
///
/// let queue = Queue::new(1);
/// queue.put_nowait("first")?;
/// assert_eq!(queue.put_nowait("second"), Err(PutNowaitError::Full("second")));
/// queue.shutdown(false);
/// assert_eq!(queue.put_nowait("third"), Err(PutNowaitError::ShutDown("third")));
/// # Ok::<(), PutNowaitError<&str>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutNowaitError<T> {
    /// It has no room now: asyncio's `QueueFull`.
    #[doc(alias = "QueueFull")]
    Full(T),
    /// It was shut down: asyncio's `QueueShutDown`.
    #[doc(alias = "QueueShutDown")]
    ShutDown(T),
}

impl<T> PutNowaitError<T> {
    /// Gives back what was to be put.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::PutNowaitError::Full(42).into_inner(), 42);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Display for PutNowaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full; await `put`, or try again later"),
            Self::ShutDown(_) => f.write_str(SHUT_DOWN),
        }
    }
}

impl<T> fmt::Debug for PutNowaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full"),
            Self::ShutDown(_) => f.write_str("ShutDown"),
        }
    }
}

impl<T> Error for PutNowaitError<T> {}

/// [`Queue::task_done`](crate::Queue::task_done) was called more often than items were put: asyncio's `ValueError`.
///
/// # Examples
/// ```
/// let queue = perloop::Queue::<i32>::new(0);
/// assert_eq!(queue.task_done(), Err(perloop::TaskDoneTooOften));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneTooOften;

impl fmt::Display for TaskDoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`task_done` was called more often than items were put; call it once for each item")
    }
}

impl Error for TaskDoneTooOften {}
