//! Closing a generator where it stands.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::async_gen::GeneratorError;
use crate::async_gen::anext::Ask;
use crate::async_gen::body::{Body, Polled};
use crate::cancel::Cancelled;

/// The future that [`AsyncGenerator::aclose`](crate::AsyncGenerator::aclose) makes.
///
/// # Examples
/// ```
/// use perloop::{Aclose, async_gen};
///
/// perloop::run(async {
///     let numbers = async_gen(|y| async move { y.yield_(1).await });
///     let closed: Aclose<'_, i32> = numbers.aclose();
///     assert_eq!(closed.await, Ok(()));
///     assert_eq!(numbers.anext().await, Ok(None));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Aclose<'a, T: 'static> {
    body: &'a Rc<Body<T>>,
    ask: Ask,
}

impl<'a, T: 'static> Aclose<'a, T> {
    pub(super) fn new(body: &'a Rc<Body<T>>) -> Self {
        Self { body, ask: Ask::default() }
    }

    /// Tells the body to end. True: it has.
    fn tell(&mut self, cx: &mut Context<'_>) -> bool {
        // Its scopes are those of the task that polls it last, and that is this one from now on.
        let has_ended = self.body.has_begun()
            && matches!(self.body.poll(&mut self.ask.frame, cx), Polled::Ended | Polled::Raised(_));
        if !has_ended && !self.ask.frame.ask(&Cancelled::generator_exit()) {
            self.body.abandon();
            return true;
        }
        has_ended
    }
}

impl<T: 'static> Future for Aclose<'_, T> {
    type Output = Result<(), GeneratorError>;

    /// Polled again after it was ready, it closes again, which changes nothing.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ask.has_raised() {
            return Poll::Pending;
        }
        this.ask.begin(this.body)?;
        let is_told = this.body.channel.is_closing.replace(true);
        let polled =
            if !is_told && this.tell(cx) { Polled::Ended } else { this.body.poll(&mut this.ask.frame, cx) };
        if matches!(polled, Polled::Waits) {
            return Poll::Pending;
        }
        this.ask.end(this.body);
        match polled {
            Polled::Yielded(_) => {
                this.body.channel.is_closing.set(false);
                Poll::Ready(Err(GeneratorError::IgnoredExit))
            }
            // A request to this task, or one that the body made up.
            Polled::Raised(cancelled) if !cancelled.is_generator_exit() => {
                this.ask.raise(cancelled);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<T: 'static> Drop for Aclose<'_, T> {
    fn drop(&mut self) {
        self.ask.give_up(self.body);
    }
}

impl<T: 'static> fmt::Debug for Aclose<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aclose").field(self.body).finish()
    }
}
