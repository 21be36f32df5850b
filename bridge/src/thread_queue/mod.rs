//! A bounded queue between any two of thread and loop.
//!
//! `ring` is where the items are, and knows nobody who waits; `shared` puts it together with who waits on either side;
//! here are the two ends, and in `errors` why they refuse.

mod errors;
mod ring;
mod shared;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use errors::{GetBlockingError, PutBlockingError, QueueClosed, TryGetError, TryPutError};

use crate::foreign::drop_contained;
use crate::sync::Arc;
use crate::thread_queue::shared::{Shared, Side};
use crate::wait::Spin;
use crate::waiters::Ticket;
use crate::waits::{Failed, Stuck};

/// Makes a queue of at most `maxsize` items between any two of thread and loop, and gives its two ends: what janus is for
/// asyncio, but also between two loops.
///
/// Each end can be cloned and sent, and has each call in two forms: awaiting, for tasks of any loop or executor, and
/// blocking, for threads. Items of one sender come in its order. The queue is closed by [`ThreadSender::close`] or
/// [`ThreadReceiver::close`], and when the last of its senders or of its receivers is dropped: then puts are refused, and
/// give the item back, and gets give what is left and are refused after that.
///
/// Who waits is told in the order of coming; who comes at that moment may still be served first. An item whose put is in
/// progress, in a thread that has lost its core, holds up those behind it.
///
/// A blocking form that would have to wait in a thread whose event loop runs refuses instead
/// ([`WouldDeadlock`](crate::WouldDeadlock)): it would hold up all of the loop's tasks, perhaps the one that it waits for.
///
/// In the child of a fork what would wait is refused as on a closed queue, since the other end may be the parent's.
///
/// # Panics
/// If `maxsize` is zero: there is no queue without a bound between threads.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use std::thread;
/// use perloop::thread_queue;
///
/// let (sender, receiver) = thread_queue(2);
/// let producer = thread::spawn(move || (1..=3).try_for_each(|n| sender.put_blocking(n)));
/// let mut sum = 0;
/// while let Ok(n) = receiver.get_blocking() {
///     sum += n;
/// }
/// assert_eq!(sum, 6);
/// # producer.join().expect("it does not panic").expect("it was not closed");
/// ```
#[doc(alias = "ThreadQueue")]
#[doc(alias = "janus")]
pub fn thread_queue<T: Send>(maxsize: usize) -> (ThreadSender<T>, ThreadReceiver<T>) {
    thread_queue_with(maxsize, Spin::Adaptive)
}

/// As [`thread_queue`], and says how long threads look before they sleep in it. (janus has nothing like it.)
///
/// # Panics
/// If `maxsize` is zero.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{Spin, thread_queue_with};
///
/// let (sender, receiver) = thread_queue_with(8, Spin::Never);
/// sender.try_put("item")?;
/// assert_eq!(receiver.get_blocking(), Ok("item"));
/// # Ok::<(), perloop::TryPutError<&str>>(())
/// ```
pub fn thread_queue_with<T: Send>(maxsize: usize, spin: Spin) -> (ThreadSender<T>, ThreadReceiver<T>) {
    assert!(maxsize > 0, "thread_queue: it needs room for at least one item");
    let shared = Arc::new(Shared::new(maxsize, spin));
    (ThreadSender(Arc::clone(&shared)), ThreadReceiver(shared))
}

/// Where items are put into a [`thread_queue`]: janus' `queue.async_q` and `queue.sync_q` of who puts.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{ThreadSender, TryPutError, thread_queue};
///
/// fn offer(sender: &ThreadSender<i32>) -> Result<(), TryPutError<i32>> {
///     sender.try_put(42)
/// }
/// let (sender, receiver) = thread_queue(1);
/// offer(&sender)?;
/// assert_eq!(offer(&sender), Err(TryPutError::Full(42)));
/// drop(receiver);
/// assert_eq!(offer(&sender), Err(TryPutError::Closed(42)));
/// # Ok::<(), TryPutError<i32>>(())
/// ```
pub struct ThreadSender<T: Send>(Arc<Shared<T>>);

/// Where items are taken out of a [`thread_queue`]: janus' `queue.async_q` and `queue.sync_q` of who gets.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{ThreadReceiver, TryGetError, thread_queue};
///
/// fn drain(receiver: &ThreadReceiver<i32>) -> Vec<i32> {
///     std::iter::from_fn(|| receiver.try_get().ok()).collect()
/// }
/// let (sender, receiver) = thread_queue(8);
/// (1..=3).try_for_each(|n| sender.try_put(n))?;
/// assert_eq!(drain(&receiver), [1, 2, 3]);
/// # Ok::<(), perloop::TryPutError<i32>>(())
/// ```
pub struct ThreadReceiver<T: Send>(Arc<Shared<T>>);

impl<T: Send> ThreadSender<T> {
    /// Puts an item if there is room. Never waits; from any thread. janus' `put_nowait`.
    ///
    /// # Errors
    /// If the queue is full, or closed. The item comes back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (sender, receiver) = perloop::thread_queue(1);
    /// sender.try_put("first")?;
    /// assert_eq!(sender.try_put("second").map_err(|error| error.into_inner()), Err("second"));
    /// # drop(receiver);
    /// # Ok::<(), perloop::TryPutError<&str>>(())
    /// ```
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let mut item = Some(item);
        self.0.try_put(&mut item).map_err(|stuck| {
            let item = item.expect("it was not put");
            if stuck == Stuck::Closed { TryPutError::Closed(item) } else { TryPutError::Full(item) }
        })
    }

    /// Puts an item, and waits for room if there is none: for tasks. janus' `await async_q.put(item)`.
    ///
    /// Cancel safety: a wait that is given up has put nothing, and the item is dropped with it.
    ///
    /// # Errors
    /// If the queue is closed. The item comes back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # fn now<F: Future>(future: F) -> Poll<F::Output> {
    /// #     pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    /// # }
    /// let (sender, receiver) = perloop::thread_queue(1);
    /// let put = async { sender.put(42).await };
    /// # assert_eq!(now(put), Poll::Ready(Ok(())));
    /// # assert_eq!(receiver.try_get(), Ok(42));
    /// ```
    pub fn put(&self, item: T) -> ThreadPut<'_, T> {
        ThreadPut { queue: &self.0, item: Some(item), place: None }
    }

    /// Puts an item, and blocks until there is room if there is none: for threads. janus' `sync_q.put(item)`.
    ///
    /// # Errors
    /// If the queue is closed, or if it would have to wait in a thread whose event loop runs. The item comes back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (sender, receiver) = perloop::thread_queue(1);
    /// let consumer = std::thread::spawn(move || receiver.get_blocking());
    /// sender.put_blocking(42)?;
    /// assert_eq!(consumer.join().expect("it does not panic"), Ok(42));
    /// # Ok::<(), perloop::PutBlockingError<i32>>(())
    /// ```
    pub fn put_blocking(&self, item: T) -> Result<(), PutBlockingError<T>> {
        self.block(item, None)
    }

    /// As [`put_blocking`](Self::put_blocking), at most for `timeout`: janus' `sync_q.put(item, timeout=...)`.
    ///
    /// # Errors
    /// As [`put_blocking`](Self::put_blocking), and if the time was up first.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::time::Duration;
    /// use perloop::{PutBlockingError, thread_queue};
    ///
    /// let (sender, receiver) = thread_queue(1);
    /// sender.put_timeout(1, Duration::ZERO)?;
    /// assert_eq!(sender.put_timeout(2, Duration::from_millis(1)), Err(PutBlockingError::TimedOut(2)));
    /// # drop(receiver);
    /// # Ok::<(), PutBlockingError<i32>>(())
    /// ```
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutBlockingError<T>> {
        self.block(item, Some(timeout))
    }

    fn block(&self, item: T, timeout: Option<Duration>) -> Result<(), PutBlockingError<T>> {
        let mut item = Some(item);
        self.0.block(Side::Put, timeout, || self.0.try_put(&mut item)).map_err(|failed| {
            let item = item.expect("it was not put");
            match failed {
                Failed::Closed => PutBlockingError::Closed(item),
                Failed::TimedOut => PutBlockingError::TimedOut(item),
                Failed::WouldDeadlock(why) => PutBlockingError::WouldDeadlock(item, why),
            }
        })
    }
}

impl<T: Send> ThreadReceiver<T> {
    /// Takes the next item if there is one. Never waits; from any thread. janus' `get_nowait`.
    ///
    /// # Errors
    /// If there is none, and if there never will be, as the queue is closed.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::{TryGetError, thread_queue};
    ///
    /// let (sender, receiver) = thread_queue(1);
    /// assert_eq!(receiver.try_get(), Err(TryGetError::Empty));
    /// sender.try_put(42)?;
    /// drop(sender);
    /// assert_eq!((receiver.try_get(), receiver.try_get()), (Ok(42), Err(TryGetError::Closed)));
    /// # Ok::<(), perloop::TryPutError<i32>>(())
    /// ```
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let why = |stuck| if stuck == Stuck::Closed { TryGetError::Closed } else { TryGetError::Empty };
        self.0.try_get().map_err(why)
    }

    /// Takes the next item, and waits for one if there is none: for tasks. janus' `await async_q.get()`.
    ///
    /// Cancel safety: a wait that is given up has taken nothing, and if it was told of an item another one is.
    ///
    /// # Errors
    /// If the queue is closed and nothing is left.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # fn now<F: Future>(future: F) -> Poll<F::Output> {
    /// #     pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    /// # }
    /// let (sender, receiver) = perloop::thread_queue(1);
    /// sender.try_put(42)?;
    /// let get = async { receiver.get().await };
    /// # assert_eq!(now(get), Poll::Ready(Ok(42)));
    /// # Ok::<(), perloop::TryPutError<i32>>(())
    /// ```
    pub fn get(&self) -> ThreadGet<'_, T> {
        ThreadGet { queue: &self.0, place: None }
    }

    /// Takes the next item, and blocks until there is one if there is none: for threads. janus' `sync_q.get()`.
    ///
    /// # Errors
    /// If the queue is closed and nothing is left, or if it would have to wait in a thread whose event loop runs.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (sender, receiver) = perloop::thread_queue(1);
    /// let producer = std::thread::spawn(move || sender.put_blocking(42));
    /// assert_eq!(receiver.get_blocking(), Ok(42));
    /// # producer.join().expect("it does not panic").expect("it was not closed");
    /// ```
    pub fn get_blocking(&self) -> Result<T, GetBlockingError> {
        self.block(None)
    }

    /// As [`get_blocking`](Self::get_blocking), at most for `timeout`: janus' `sync_q.get(timeout=...)`.
    ///
    /// # Errors
    /// As [`get_blocking`](Self::get_blocking), and if the time was up first.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::time::Duration;
    /// use perloop::{GetBlockingError, thread_queue};
    ///
    /// let (sender, receiver) = thread_queue::<i32>(1);
    /// assert_eq!(receiver.get_timeout(Duration::from_millis(1)), Err(GetBlockingError::TimedOut));
    /// # drop(sender);
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetBlockingError> {
        self.block(Some(timeout))
    }

    fn block(&self, timeout: Option<Duration>) -> Result<T, GetBlockingError> {
        self.0.block(Side::Get, timeout, || self.0.try_get()).map_err(|failed| match failed {
            Failed::Closed => GetBlockingError::Closed,
            Failed::TimedOut => GetBlockingError::TimedOut,
            Failed::WouldDeadlock(why) => GetBlockingError::WouldDeadlock(why),
        })
    }
}

/// What is the same for both ends.
macro_rules! either_end {
    ($end:ident, $count:ident, $last:expr) => {
        impl<T: Send> $end<T> {
            /// Closes the queue, for both ends: from now on puts are refused, and gets once nothing is left. A second
            /// call does nothing. janus' `queue.close()`.
            ///
            /// # Examples
            /// ```
            /// # use perloop_bridge as perloop;
            /// let (sender, receiver) = perloop::thread_queue(1);
            /// sender.try_put(42)?;
            /// receiver.close();
            /// assert!(sender.is_closed() && sender.try_put(43).is_err());
            /// assert_eq!(receiver.try_get(), Ok(42));
            /// # Ok::<(), perloop::TryPutError<i32>>(())
            /// ```
            pub fn close(&self) {
                self.0.close();
            }

            /// Says whether the queue is closed, so that puts are refused. A yes is for good.
            ///
            /// # Examples
            /// ```
            /// # use perloop_bridge as perloop;
            /// let (sender, receiver) = perloop::thread_queue::<i32>(1);
            /// assert!(!receiver.is_closed());
            /// drop(sender);
            /// assert!(receiver.is_closed());
            /// ```
            pub fn is_closed(&self) -> bool {
                self.0.ring.is_closed()
            }

            /// Returns how many items there are: janus' `qsize`. It may be otherwise by the time that you read it.
            ///
            /// # Examples
            /// ```
            /// # use perloop_bridge as perloop;
            /// let (sender, receiver) = perloop::thread_queue(3);
            /// sender.try_put(42)?;
            /// assert_eq!((sender.len(), receiver.len()), (1, 1));
            /// # Ok::<(), perloop::TryPutError<i32>>(())
            /// ```
            pub fn len(&self) -> usize {
                self.0.ring.len()
            }

            /// Says whether there are none. It may be otherwise by the time that you read it.
            ///
            /// # Examples
            /// ```
            /// # use perloop_bridge as perloop;
            /// let (sender, receiver) = perloop::thread_queue::<i32>(3);
            /// assert!(sender.is_empty() && receiver.is_empty());
            /// ```
            pub fn is_empty(&self) -> bool {
                self.0.ring.is_empty()
            }

            /// Returns for how many items it has room.
            ///
            /// # Examples
            /// ```
            /// # use perloop_bridge as perloop;
            /// let (sender, receiver) = perloop::thread_queue::<i32>(3);
            /// assert_eq!((sender.maxsize(), receiver.maxsize()), (3, 3));
            /// ```
            pub fn maxsize(&self) -> usize {
                self.0.ring.capacity()
            }
        }

        impl<T: Send> Clone for $end<T> {
            fn clone(&self) -> Self {
                Shared::<T>::add_to(&self.0.$count);
                Self(Arc::clone(&self.0))
            }
        }

        impl<T: Send> Drop for $end<T> {
            fn drop(&mut self) {
                if Shared::<T>::take_from(&self.0.$count) {
                    self.0.close();
                    let last: fn(&Shared<T>) = $last;
                    last(&self.0);
                }
            }
        }

        impl<T: Send> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("maxsize", &self.maxsize())
                    .field("is_closed", &self.is_closed())
                    .finish()
            }
        }
    };
}

either_end!(ThreadSender, senders, |_| ());
// Nobody will ask for what is left.
either_end!(ThreadReceiver, receivers, |shared| {
    while let Ok(item) = shared.try_get() {
        drop_contained(item);
    }
});

/// The future that [`ThreadSender::put`] makes.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{ThreadPut, thread_queue};
///
/// let (sender, receiver) = thread_queue(1);
/// let put: ThreadPut<'_, i32> = sender.put(42); // it puts nothing before it is awaited
/// assert!(receiver.is_empty());
/// # drop(put);
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct ThreadPut<'a, T: Send> {
    queue: &'a Shared<T>,
    item: Option<T>,
    place: Option<Ticket>,
}

/// The future that [`ThreadReceiver::get`] makes.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{ThreadGet, thread_queue};
///
/// let (sender, receiver) = thread_queue(1);
/// sender.try_put(42)?;
/// let get: ThreadGet<'_, i32> = receiver.get(); // it takes nothing before it is awaited
/// assert_eq!(sender.len(), 1);
/// # drop(get);
/// # Ok::<(), perloop::TryPutError<i32>>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct ThreadGet<'a, T: Send> {
    queue: &'a Shared<T>,
    place: Option<Ticket>,
}

// Items are moved, and never pinned.
impl<T: Send> Unpin for ThreadPut<'_, T> {}

impl<T: Send> Future for ThreadPut<'_, T> {
    type Output = Result<(), QueueClosed<T>>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, item, place } = self.get_mut();
        let polled = queue.poll(Side::Put, place, cx, || queue.try_put(item));
        polled.map_err(|()| QueueClosed(item.take().expect("it was not put")))
    }
}

impl<T: Send> Future for ThreadGet<'_, T> {
    type Output = Result<T, QueueClosed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, place } = self.get_mut();
        queue.poll(Side::Get, place, cx, || queue.try_get()).map_err(|()| QueueClosed(()))
    }
}

impl<T: Send> Drop for ThreadPut<'_, T> {
    fn drop(&mut self) {
        self.queue.forget(Side::Put, &mut self.place);
    }
}

impl<T: Send> Drop for ThreadGet<'_, T> {
    fn drop(&mut self) {
        self.queue.forget(Side::Get, &mut self.place);
    }
}

impl<T: Send> fmt::Debug for ThreadPut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPut").field("is_waiting", &self.place.is_some()).finish_non_exhaustive()
    }
}

impl<T: Send> fmt::Debug for ThreadGet<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadGet").field("is_waiting", &self.place.is_some()).finish_non_exhaustive()
    }
}
