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
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    Waiting(u32),
    Over,
}

impl<'a, T, O: Order<T>> Get<'a, T, O> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<T, O>) -> Self {
        Self { queue, state: State::New }
    }

    #[cold]
    #[inline(never)]
    fn poll_in_line(&mut self, cx: &Context<'_>) -> Poll<Result<T, QueueShutDown>> {
        let getters = &self.queue.0.getters;
        if let State::Waiting(place) = self.state
            && !getters.goes_on(place, cx)
        {
            return Poll::Pending;
        }
        let taken = match self.queue.get_nowait() {
            Ok(item) => Ok(item),
            Err(GetNowaitError::ShutDown) => Err(QueueShutDown(())),
            Err(GetNowaitError::Empty) => {
                self.leave(State::New);
                self.state = State::Waiting(self.queue.join_line(getters, "Queue::get", cx));
                return Poll::Pending;
            }
        };
        self.leave(State::Over);
        Poll::Ready(taken)
    }

    /// True if it had been woken.
    fn leave(&mut self, now: State) -> bool {
        match std::mem::replace(&mut self.state, now) {
            State::Waiting(place) => self.queue.0.getters.leave(place),
            State::New | State::Over => false,
        }
    }

    fn give_up(&mut self) {
        if self.leave(State::Over) && !self.queue.empty() {
            self.queue.0.getters.wake_next();
        }
    }
}

impl<T, O: Order<T>> Future for Get<'_, T, O> {
    type Output = Result<T, QueueShutDown>;

    /// # Panics
    /// Polled again after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.state {
            State::New => {
                let Some(item) = self.queue.pop() else { return self.poll_in_line(cx) };
                self.state = State::Over;
                Poll::Ready(Ok(item))
            }
            State::Waiting(_) => self.poll_in_line(cx),
            State::Over => panic!("`Queue::get` was polled after it was ready"),
        }
    }
}

impl<T, O: Order<T>> Drop for Get<'_, T, O> {
    /// Given up. Was it woken, and there is an item, then the next one is woken in its place.
    #[inline]
    fn drop(&mut self) {
        if let State::Waiting(_) = self.state {
            self.give_up();
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Get<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("state", &self.state).finish_non_exhaustive()
    }
}
