//! The wait for the end of all work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::queues::{Fifo, Order, Queue};

/// The future that [`Queue::join`] makes. Polled again after it was ready, it is ready.
///
/// # Examples
/// ```
/// use perloop::{Join, Queue};
///
/// let queue = Queue::<i32>::new(0);
/// let join: Join<'_, i32> = queue.join();
/// perloop::run(join)?; // nothing was put
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Join<'a, T, O: Order<T> = Fifo<T>> {
    queue: &'a Queue<T, O>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    Waiting(u32),
    Over,
}

impl<'a, T, O: Order<T>> Join<'a, T, O> {
    pub(super) fn new(queue: &'a Queue<T, O>) -> Self {
        Self { queue, state: State::New }
    }

    fn poll_state(&mut self, cx: &Context<'_>) -> Poll<()> {
        let joiners = &self.queue.0.joiners;
        match self.state {
            State::Over => Poll::Ready(()),
            State::New if self.queue.0.unfinished.get() == 0 => Poll::Ready(()),
            State::New => {
                self.state = State::Waiting(self.queue.join_line(joiners, "Queue::join", cx));
                Poll::Pending
            }
            // All was done at that moment, whatever was put since.
            State::Waiting(place) if joiners.goes_on(place, cx) => {
                joiners.leave(place);
                Poll::Ready(())
            }
            State::Waiting(_) => Poll::Pending,
        }
    }
}

impl<T, O: Order<T>> Future for Join<'_, T, O> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_state(cx);
        if polled.is_ready() {
            self.state = State::Over;
        }
        polled
    }
}

impl<T, O: Order<T>> Drop for Join<'_, T, O> {
    fn drop(&mut self) {
        if let State::Waiting(place) = self.state {
            self.queue.0.joiners.leave(place);
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Join<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("state", &self.state).finish_non_exhaustive()
    }
}
