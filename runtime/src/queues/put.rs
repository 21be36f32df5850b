//! A put that may wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::queues::{Fifo, Order, PutNowaitError, Queue, QueueShutDown};

/// The future that [`Queue::put`] makes.
///
/// # Examples
/// ```
/// use perloop::{Put, Queue};
///
/// let queue = Queue::new(0);
/// let put: Put<'_, i32> = queue.put(42); // it puts nothing before it is awaited
/// assert!(queue.empty());
/// assert_eq!(perloop::run(put)?, Ok(()));
/// assert_eq!(queue.get_nowait(), Ok(42));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T, O: Order<T> = Fifo<T>> {
    queue: &'a Queue<T, O>,
    /// None when it is over.
    item: Option<T>,
    place: Option<u32>,
}

// Nothing of it is pinned: the item is moved into the queue.
impl<T, O: Order<T>> Unpin for Put<'_, T, O> {}

impl<'a, T, O: Order<T>> Put<'a, T, O> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<T, O>, item: T) -> Self {
        Self { queue, item: Some(item), place: None }
    }

    #[cold]
    #[inline(never)]
    fn poll_in_line(&mut self, cx: &Context<'_>) -> Poll<Result<(), QueueShutDown<T>>> {
        let putters = &self.queue.0.putters;
        if self.place.is_some_and(|place| !putters.goes_on(place, cx)) {
            return Poll::Pending;
        }
        let item = self.item.take().expect("`Queue::put` was polled after it was ready");
        let put = match self.queue.put_nowait(item) {
            Ok(()) => Ok(()),
            Err(PutNowaitError::ShutDown(item)) => Err(QueueShutDown(item)),
            Err(PutNowaitError::Full(item)) => {
                self.leave();
                self.place = Some(self.queue.join_line(putters, "Queue::put", cx));
                self.item = Some(item);
                return Poll::Pending;
            }
        };
        self.leave();
        Poll::Ready(put)
    }

    /// True if it had been woken.
    fn leave(&mut self) -> bool {
        self.place.take().is_some_and(|place| self.queue.0.putters.leave(place))
    }

    fn give_up(&mut self) {
        if self.leave() && !self.queue.full() {
            self.queue.0.putters.wake_next();
        }
    }
}

impl<T, O: Order<T>> Future for Put<'_, T, O> {
    type Output = Result<(), QueueShutDown<T>>;

    /// # Panics
    /// Polled again after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.place.is_none()
            && self.queue.takes_more()
            && let Some(item) = self.item.take()
        {
            self.queue.push(item);
            return Poll::Ready(Ok(()));
        }
        self.poll_in_line(cx)
    }
}

impl<T, O: Order<T>> Drop for Put<'_, T, O> {
    /// Given up. Was it woken, and there is room, then the next one is woken in its place.
    #[inline]
    fn drop(&mut self) {
        if self.place.is_some() {
            self.give_up();
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Put<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("is_over", &self.item.is_none()).finish_non_exhaustive()
    }
}
