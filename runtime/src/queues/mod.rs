//! Queues between the tasks of a loop: `Queue`, `LifoQueue`, `PriorityQueue`.
//!
//! A wake-up is no item: who was woken looks again, and if somebody else came first, goes to the end of the line. Who was
//! woken and does not come hands the wake-up on.

mod errors;
mod get;
mod join;
mod kinds;
mod order;
mod put;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::Context;

pub use errors::{GetNowaitError, PutNowaitError, QueueShutDown, TaskDoneTooOften};
pub use get::Get;
pub use join::Join;
pub use kinds::{LifoQueue, PriorityQueue};
pub use order::{Fifo, Least, Lifo, Order};
pub use put::Put;

use crate::line::Line;

/// A queue between tasks of a loop: asyncio's `Queue`. It gives the items in the order in which they were put;
/// [`LifoQueue`] and [`PriorityQueue`] give them in another one and are else the same.
///
/// Clones are the same queue, for several tasks to use; none of them can leave the thread. It belongs to the loop on
/// which it is first waited for. What need not wait does not suspend. Who waits is served in the order of asking;
/// a task that runs and finds an item, or room, takes it at once, even if another one was woken for it.
///
/// # Examples
/// ```
/// use perloop::{Queue, QueueShutDown, create_task};
///
/// perloop::run(async {
///     let queue = Queue::new(2); // `put` waits while it holds two
///     let worker = create_task({
///         let queue = queue.clone();
///         async move {
///             let mut sum = 0;
///             while let Ok(number) = queue.get().await {
///                 sum += number;
///                 queue.task_done().expect("once for each item");
///             }
///             sum
///         }
///     });
///     for number in 1..=10 {
///         queue.put(number).await?;
///     }
///     queue.join().await;
///     queue.shutdown(false);
///     assert_eq!(worker.await, Ok(55));
///     Ok::<(), QueueShutDown<i32>>(())
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Queue<T, O: Order<T> = Fifo<T>>(Rc<Inner<T, O>>);

struct Inner<T, O> {
    items: RefCell<O>,
    maxsize: usize,
    /// It takes an item if it holds fewer than that: none once it was shut down.
    limit: Cell<usize>,
    /// Items that were put, and for which `task_done` was not called yet.
    unfinished: Cell<usize>,
    is_shut_down: Cell<bool>,
    getters: Line,
    putters: Line,
    joiners: Line,
    _items: std::marker::PhantomData<T>,
}

impl<T> Queue<T> {
    /// Makes an empty queue that holds up to `maxsize` items; zero is any number: asyncio's `Queue(maxsize)`.
    ///
    /// # Examples
    /// ```
    /// let queue = perloop::Queue::new(1);
    /// queue.put_nowait("one")?;
    /// assert!(queue.put_nowait("two").is_err());
    /// # Ok::<(), perloop::PutNowaitError<&str>>(())
    /// ```
    pub fn new(maxsize: usize) -> Self {
        Self::with_order(maxsize)
    }
}

impl<T, O: Order<T>> Queue<T, O> {
    fn with_order(maxsize: usize) -> Self {
        Self(Rc::new(Inner {
            items: RefCell::default(),
            maxsize,
            limit: Cell::new(if maxsize == 0 { usize::MAX } else { maxsize }),
            unfinished: Cell::new(0),
            is_shut_down: Cell::new(false),
            getters: Line::default(),
            putters: Line::default(),
            joiners: Line::default(),
            _items: std::marker::PhantomData,
        }))
    }

    /// Puts an item in, and waits for room if there is none: asyncio's `put`. A putter that has waited longer is served
    /// first.
    ///
    /// Cancel safe: a put that is given up has put nothing, and drops the item; if it had been woken for room that
    /// is still there, the next putter is woken.
    ///
    /// # Errors
    /// If the queue was shut down, also while this waited. The item is in the error.
    ///
    /// # Panics
    /// If it has to wait outside of a running loop, or on another loop than was waited on before.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Queue, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let queue = Queue::new(1);
    ///     queue.put("first").await.expect("it is open");
    ///     let second = create_task({
    ///         let queue = queue.clone();
    ///         async move { queue.put("second").await }
    ///     });
    ///     yield_now().await;
    ///     assert!(!second.done()); // there is no room
    ///     assert_eq!(queue.get().await, Ok("first"));
    ///     assert_eq!(second.await, Ok(Ok(())));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn put(&self, item: T) -> Put<'_, T, O> {
        Put::new(self, item)
    }

    /// Takes an item out, and waits for one if there is none: asyncio's `get`. A getter that has waited longer is served
    /// first.
    ///
    /// Cancel safe: a get that is given up has taken nothing; if it had been woken for an item that is still there, the
    /// next getter is woken.
    ///
    /// # Errors
    /// If the queue was shut down and has no item left.
    ///
    /// # Panics
    /// If it has to wait outside of a running loop, or on another loop than was waited on before.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Queue, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let queue = Queue::new(0);
    ///     let getter = create_task({
    ///         let queue = queue.clone();
    ///         async move { queue.get().await }
    ///     });
    ///     yield_now().await;
    ///     queue.put("here").await.expect("it is open");
    ///     assert_eq!(getter.await, Ok(Ok("here")));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn get(&self) -> Get<'_, T, O> {
        Get::new(self)
    }

    /// Puts an item in, if there is room: asyncio's `put_nowait`.
    ///
    /// # Errors
    /// If there is no room, or the queue was shut down. The item is in the error.
    ///
    /// # Examples
    /// ```
    /// use perloop::{PutNowaitError, Queue};
    ///
    /// let queue = Queue::new(1);
    /// assert_eq!(queue.put_nowait("first"), Ok(()));
    /// assert_eq!(queue.put_nowait("second"), Err(PutNowaitError::Full("second")));
    /// ```
    #[inline]
    pub fn put_nowait(&self, item: T) -> Result<(), PutNowaitError<T>> {
        if self.takes_more() {
            self.push(item);
            return Ok(());
        }
        Err(if self.0.is_shut_down.get() {
            PutNowaitError::ShutDown(item)
        } else {
            PutNowaitError::Full(item)
        })
    }

    #[inline]
    fn takes_more(&self) -> bool {
        self.qsize() < self.0.limit.get()
    }

    #[inline]
    fn push(&self, item: T) {
        self.0.unfinished.set(self.0.unfinished.get() + 1);
        // An item's `Ord`, which is foreign code, may panic: the item is in the heap all the same.
        let _wakes = Wakes(&self.0.getters);
        self.0.items.borrow_mut().push(item);
    }

    /// Takes an item out, if there is one: asyncio's `get_nowait`.
    ///
    /// # Errors
    /// If there is none, or none any more.
    ///
    /// # Examples
    /// ```
    /// use perloop::{GetNowaitError, Queue};
    ///
    /// let queue = Queue::new(0);
    /// queue.put_nowait("here")?;
    /// assert_eq!(queue.get_nowait(), Ok("here"));
    /// assert_eq!(queue.get_nowait(), Err(GetNowaitError::Empty));
    /// # Ok::<(), perloop::PutNowaitError<&str>>(())
    /// ```
    #[inline]
    pub fn get_nowait(&self) -> Result<T, GetNowaitError> {
        match self.pop() {
            Some(item) => Ok(item),
            None if self.0.is_shut_down.get() => Err(GetNowaitError::ShutDown),
            None => Err(GetNowaitError::Empty),
        }
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        let item = self.0.items.borrow_mut().pop()?;
        self.0.putters.wake_next();
        Some(item)
    }

    /// Says that the work on an item that was taken is done; when it is done on all, those who [`join`](Self::join) go
    /// on: asyncio's `task_done`.
    ///
    /// # Errors
    /// If it was called for every item already.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Queue, TaskDoneTooOften};
    ///
    /// let queue = Queue::new(0);
    /// queue.put_nowait("work")?;
    /// let _work = queue.get_nowait();
    /// assert_eq!(queue.task_done(), Ok(()));
    /// assert_eq!(queue.task_done(), Err(TaskDoneTooOften));
    /// # Ok::<(), perloop::PutNowaitError<&str>>(())
    /// ```
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        let left = self.0.unfinished.get().checked_sub(1).ok_or(TaskDoneTooOften)?;
        self.set_unfinished(left);
        Ok(())
    }

    /// Waits until [`task_done`](Self::task_done) was called as often as items were put, counting what is put meanwhile;
    /// with nothing unfinished it does not suspend: asyncio's `join`.
    ///
    /// Cancel safe.
    ///
    /// # Panics
    /// If it has to wait outside of a running loop, or on another loop than was waited on before.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Queue, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("work").await.expect("it is open");
    ///     let joiner = create_task({
    ///         let queue = queue.clone();
    ///         async move { queue.join().await }
    ///     });
    ///     assert_eq!(queue.get().await, Ok("work"));
    ///     yield_now().await;
    ///     assert!(!joiner.done()); // taken, and not done
    ///     queue.task_done().expect("once for each item");
    ///     assert_eq!(joiner.await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn join(&self) -> Join<'_, T, O> {
        Join::new(self)
    }

    /// Shuts the queue down: it takes no more items. What is left can still be taken, unless `immediate`: then it is
    /// dropped here, and counts as done. Everyone who waits to put or get is woken, and fails unless a getter finds an
    /// item. A second call may be the immediate one. asyncio's `shutdown`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Queue, QueueShutDown};
    ///
    /// perloop::run(async {
    ///     let queue = Queue::new(0);
    ///     queue.put("last").await.expect("it is open");
    ///     queue.shutdown(false);
    ///     assert_eq!(queue.put("late").await, Err(QueueShutDown("late")));
    ///     assert_eq!(queue.get().await, Ok("last"));
    ///     assert_eq!(queue.get().await, Err(QueueShutDown(())));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn shutdown(&self, immediate: bool) {
        self.0.is_shut_down.set(true);
        self.0.limit.set(0);
        // They are dropped when all is said: destructors are foreign code.
        let _thrown_away = immediate.then(|| {
            let items = self.0.items.take();
            self.set_unfinished(self.0.unfinished.get().saturating_sub(items.len()));
            items
        });
        self.0.getters.wake_all();
        self.0.putters.wake_all();
    }

    /// Returns how many items are in it: asyncio's `qsize`.
    ///
    /// # Examples
    /// ```
    /// let queue = perloop::Queue::new(0);
    /// queue.put_nowait("one")?;
    /// assert_eq!(queue.qsize(), 1);
    /// # Ok::<(), perloop::PutNowaitError<&str>>(())
    /// ```
    #[doc(alias = "len")]
    #[inline]
    pub fn qsize(&self) -> usize {
        self.0.items.borrow().len()
    }

    /// Says whether there is no item in it: asyncio's `empty`.
    ///
    /// # Examples
    /// ```
    /// assert!(perloop::Queue::<i32>::new(0).empty());
    /// ```
    #[doc(alias = "is_empty")]
    #[inline]
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Says whether there is no room in it; without a maximum there always is: asyncio's `full`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Queue::<i32>::new(0).full());
    /// ```
    #[inline]
    pub fn full(&self) -> bool {
        self.0.maxsize > 0 && self.qsize() >= self.0.maxsize
    }

    /// Returns how many items it holds at most; zero is any number: asyncio's `maxsize`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::Queue::<i32>::new(8).maxsize(), 8);
    /// ```
    pub fn maxsize(&self) -> usize {
        self.0.maxsize
    }

    fn set_unfinished(&self, left: usize) {
        self.0.unfinished.set(left);
        if left == 0 {
            self.0.joiners.wake_all();
        }
    }

    /// Goes to the end of one of its lines. All three are of one loop: that of the getters.
    fn join_line(&self, line: &Line, what: &str, cx: &Context<'_>) -> u32 {
        self.0.getters.bind(what);
        line.join(what, cx)
    }
}

/// Wakes the next in line when it is dropped.
struct Wakes<'a>(&'a Line);

impl Drop for Wakes<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.wake_next();
    }
}

impl<T, O: Order<T>> Clone for Queue<T, O> {
    /// It is the same queue.
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T, O: Order<T>> Default for Queue<T, O> {
    /// Without a maximum.
    fn default() -> Self {
        Self::with_order(0)
    }
}

impl<T, O: Order<T>> fmt::Debug for Queue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("qsize", &self.0.items.try_borrow().map_or(0, |items| items.len()))
            .field("maxsize", &self.0.maxsize)
            .field("unfinished", &self.0.unfinished.get())
            .field("shut_down", &self.0.is_shut_down.get())
            .finish_non_exhaustive()
    }
}
