//! In which order a queue gives its items.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// In which order a [`Queue`](crate::Queue) gives its items: [`Fifo`], [`Lifo`] or [`Least`]. There are no others.
///
/// # Examples
/// ```
/// use perloop::{LifoQueue, Order, PriorityQueue, Queue};
///
/// /// Takes a queue of each kind.
/// fn take_two<O: Order<i32>>(queue: &Queue<i32, O>) -> [Option<i32>; 2] {
///     [queue.get_nowait().ok(), queue.get_nowait().ok()]
/// }
/// let (last, least) = (LifoQueue::new(0), PriorityQueue::new(0));
/// for item in [1, 3, 2] {
///     last.put_nowait(item)?;
///     least.put_nowait(item)?;
/// }
/// assert_eq!(take_two(&last), [Some(2), Some(3)]);
/// assert_eq!(take_two(&least), [Some(1), Some(2)]);
/// # Ok::<(), perloop::PutNowaitError<i32>>(())
/// ```
pub trait Order<T>: Items<T> {}

/// What a queue needs of its items' order.
pub trait Items<T>: Default {
    fn push(&mut self, item: T);
    fn pop(&mut self) -> Option<T>;
    fn len(&self) -> usize;
}

/// First in, first out: the order of a [`Queue`](crate::Queue), asyncio's `Queue`.
///
/// # Examples
/// ```
/// use perloop::{Fifo, Queue};
///
/// let queue: Queue<i32, Fifo<i32>> = Queue::<i32>::new(0); // the same type
/// assert!(queue.empty());
/// ```
#[derive(Debug)]
pub struct Fifo<T>(VecDeque<T>);

/// Last in, first out: the order of a [`LifoQueue`](crate::LifoQueue), asyncio's `LifoQueue`.
///
/// # Examples
/// ```
/// use perloop::{Lifo, LifoQueue, Queue};
///
/// fn newest<T>(queue: &Queue<T, Lifo<T>>) -> Option<T> {
///     queue.get_nowait().ok()
/// }
/// assert_eq!(newest(&LifoQueue::<i32>::new(0)), None);
/// ```
#[derive(Debug)]
pub struct Lifo<T>(Vec<T>);

/// The least first, at the moment of the get: the order of a [`PriorityQueue`](crate::PriorityQueue), asyncio's
/// `PriorityQueue`.
///
/// # Examples
/// ```
/// use perloop::{Least, PriorityQueue, Queue};
///
/// fn most_urgent<T: Ord>(queue: &Queue<T, Least<T>>) -> Option<T> {
///     queue.get_nowait().ok()
/// }
/// assert_eq!(most_urgent(&PriorityQueue::<i32>::new(0)), None);
/// ```
#[derive(Debug)]
pub struct Least<T>(BinaryHeap<Reverse<T>>);

impl<T> Order<T> for Fifo<T> {}
impl<T> Order<T> for Lifo<T> {}
impl<T: Ord> Order<T> for Least<T> {}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Default for Least<T> {
    fn default() -> Self {
        Self(BinaryHeap::new())
    }
}

impl<T> Items<T> for Fifo<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Items<T> for Lifo<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item);
    }
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Ord> Items<T> for Least<T> {
    fn push(&mut self, item: T) {
        self.0.push(Reverse(item));
    }
    fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|Reverse(item)| item)
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}
