//! A get that may wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::queues::{Fifo, GetNowaitError, Order, Queue, QueueShutDown};

/// The future that [`Queue::get`] makes.
///
/// # Examples
/// ```
/// use perloop::{Get, Queue};
///
/// let queue = Queue::new(0);
/// let get: Get<'_, i32> = queue.get(); // it takes nothing before it is awaited
/// queue.put_nowait(42)?;
/// assert_eq!(perloop::run(get).expect("no loop runs here"), Ok(42));
/// # Ok::<(), perloop::PutNowaitError<i32>>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, T, O: Order<T> = Fifo<T>> {
    queue: &'a Queue<T, O>,
    place: Option<u32>,
    is_over: bool,
}

impl<'a, T, O: Order<T>> Get<'a, T, O> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<T, O>) -> Self {
        Self { queue, place: None, is_over: false }
    }

    #[cold]
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Result<T, QueueShutDown>> {
        self.leave();
        self.place = Some(self.queue.join_line(&self.queue.0.getters, "Queue::get", cx));
        Poll::Pending
    }

    /// True if it had been woken.
    fn leave(&mut self) -> bool {
        self.place.take().is_some_and(|place| self.queue.0.getters.leave(place))
    }
}

impl<T, O: Order<T>> Future for Get<'_, T, O> {
    type Output = Result<T, QueueShutDown>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_over, "`Queue::get` was polled after it was ready");
        if self.place.is_some_and(|place| !self.queue.0.getters.goes_on(place, cx)) {
            return Poll::Pending;
        }
        let taken = match self.queue.get_nowait() {
            Ok(item) => Ok(item),
            Err(GetNowaitError::ShutDown) => Err(QueueShutDown(())),
            Err(GetNowaitError::Empty) => return self.wait(cx),
        };
        self.leave();
        self.is_over = true;
        Poll::Ready(taken)
    }
}

impl<T, O: Order<T>> Drop for Get<'_, T, O> {
    /// Given up. Was it woken, and there is an item, then the next one is woken in its place.
    fn drop(&mut self) {
        if self.leave() && !self.queue.empty() {
            self.queue.0.getters.wake_next();
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Get<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
