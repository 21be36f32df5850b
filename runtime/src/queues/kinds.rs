//! The kinds of queues beside the plain one.

use std::fmt;
use std::ops::Deref;

use crate::queues::{Least, Lifo, Queue};

/// A queue that gives the newest item first: asyncio's `LifoQueue`. All that a [`Queue`] can, it can.
///
/// # Examples
/// ```
/// let queue = perloop::LifoQueue::new(0);
/// queue.put_nowait("first")?;
/// queue.put_nowait("second")?;
/// assert_eq!(queue.get_nowait(), Ok("second"));
/// # Ok::<(), perloop::PutNowaitError<&str>>(())
/// ```
pub struct LifoQueue<T>(Queue<T, Lifo<T>>);

impl<T> LifoQueue<T> {
    /// Makes an empty queue that holds up to `maxsize` items; zero is any number: asyncio's `LifoQueue(maxsize)`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::LifoQueue::<i32>::new(2).maxsize(), 2);
    /// ```
    pub fn new(maxsize: usize) -> Self {
        Self(Queue::with_order(maxsize))
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T, Lifo<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Clone for LifoQueue<T> {
    /// It is the same queue.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for LifoQueue<T> {
    /// Without a maximum.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LifoQueue").field(&self.0).finish()
    }
}

/// A queue that gives the least item first, by its `Ord`: asyncio's `PriorityQueue`. All that a [`Queue`] can, it can.
///
/// Of items that compare as equal any may come first: put `(priority, number, item)` in if that matters. While items are
/// compared the queue is in use: an `Ord` that uses it panics.
///
/// # Examples
/// ```
/// let queue = perloop::PriorityQueue::new(0);
/// queue.put_nowait((2, "second"))?;
/// queue.put_nowait((1, "first"))?;
/// assert_eq!(queue.get_nowait(), Ok((1, "first")));
/// # Ok::<(), perloop::PutNowaitError<(i32, &str)>>(())
/// ```
pub struct PriorityQueue<T: Ord>(Queue<T, Least<T>>);

impl<T: Ord> PriorityQueue<T> {
    /// Makes an empty queue that holds up to `maxsize` items; zero is any number: asyncio's `PriorityQueue(maxsize)`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::PriorityQueue::<i32>::new(2).maxsize(), 2);
    /// ```
    pub fn new(maxsize: usize) -> Self {
        Self(Queue::with_order(maxsize))
    }
}

impl<T: Ord> Deref for PriorityQueue<T> {
    type Target = Queue<T, Least<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Ord> Clone for PriorityQueue<T> {
    /// It is the same queue.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Ord> Default for PriorityQueue<T> {
    /// Without a maximum.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Ord> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriorityQueue").field(&self.0).finish()
    }
}
