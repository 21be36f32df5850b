//! Asking a generator for its next value.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use perloop_bridge::drops_cancelled;

use crate::async_gen::GeneratorError;
use crate::async_gen::body::{Body, Polled};
use crate::cancel::{Cancelled, Frame, Raised};

/// One question to a generator, from its first poll on.
#[derive(Debug, Default)]
pub(super) struct Ask {
    is_asking: bool,
    pub(super) frame: Frame,
    raised: Raised,
}

impl Ask {
    pub(super) fn poll<T>(
        &mut self,
        body: &Rc<Body<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<T>, GeneratorError>> {
        if self.has_raised() {
            return Poll::Pending;
        }
        self.begin(body)?;
        if body.channel.is_closing.get() {
            self.end(body);
            return Poll::Ready(Ok(None));
        }
        body.begin();
        let polled = body.poll(&mut self.frame, cx);
        if !matches!(polled, Polled::Waits) {
            self.end(body);
        }
        match polled {
            Polled::Yielded(value) => Poll::Ready(Ok(Some(value))),
            Polled::Ended => Poll::Ready(Ok(None)),
            Polled::Raised(cancelled) => {
                self.raise(cancelled);
                Poll::Pending
            }
            Polled::Waits => Poll::Pending,
        }
    }

    pub(super) fn begin<T>(&mut self, body: &Body<T>) -> Result<(), GeneratorError> {
        if !self.is_asking {
            body.begin_ask()?;
            self.is_asking = true;
        }
        Ok(())
    }

    /// The body stands still from now on.
    pub(super) fn end<T>(&mut self, body: &Body<T>) {
        self.frame.leave();
        self.let_go(body);
    }

    /// Others may ask; the body's scopes are still the task's.
    pub(super) fn let_go<T>(&mut self, body: &Body<T>) {
        if std::mem::take(&mut self.is_asking) {
            body.end_ask();
        }
    }

    /// Whoever hears it drops this.
    pub(super) fn has_raised(&self) -> bool {
        self.raised.is_said()
    }

    pub(super) fn raise(&mut self, cancelled: Cancelled) {
        self.raised = Raised::begin(cancelled);
    }

    /// The future that asks is dropped. By a request to its task, that was the body's, and ends it.
    pub(super) fn give_up<T>(&mut self, body: &Body<T>) {
        if self.is_asking {
            if drops_cancelled() {
                body.abandon();
            }
            self.end(body);
        }
    }
}

/// The future that [`AsyncGenerator::anext`](crate::AsyncGenerator::anext) makes.
///
/// # Examples
/// ```
/// use perloop::{Anext, async_gen};
///
/// perloop::run(async {
///     let numbers = async_gen(|y| async move { y.yield_(1).await });
///     let asked: Anext<'_, i32> = numbers.anext();
///     assert_eq!(asked.await, Ok(Some(1)));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Anext<'a, T: 'static> {
    body: &'a Rc<Body<T>>,
    ask: Ask,
}

impl<'a, T: 'static> Anext<'a, T> {
    pub(super) fn new(body: &'a Rc<Body<T>>) -> Self {
        Self { body, ask: Ask::default() }
    }
}

impl<T: 'static> Future for Anext<'_, T> {
    type Output = Result<Option<T>, GeneratorError>;

    /// Polled again after it was ready, it asks again.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.ask.poll(this.body, cx)
    }
}

impl<T: 'static> Drop for Anext<'_, T> {
    fn drop(&mut self) {
        self.ask.give_up(self.body);
    }
}

impl<T: 'static> fmt::Debug for Anext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Anext").field(self.body).finish()
    }
}
