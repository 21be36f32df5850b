//! What sending leads to: [`Tell`] and [`Ask`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use perloop_bridge::{Asker, Asking, CrossThreadFuture, PutBlockingError, Reply, RoomWait, WouldDeadlock};

use crate::actor::{AskError, TellError, TryTellError};

/// The actor has ended.
#[derive(Debug)]
pub(crate) struct Ended;

/// Somebody who takes messages of a type, whatever else he is. Each call that sends takes the message only if it is sent.
pub(crate) trait Accept<M>: Send + Sync {
    /// The current handler, if one is being polled, is about to wait for this actor.
    fn enter_wait(&self) -> Result<Option<Asking>, WouldDeadlock>;
    fn try_tell(&self, message: M) -> Result<(), TryTellError<M>>;
    /// Waits for room and sends. An error: it has ended.
    fn poll_tell(
        &self,
        message: &mut Option<M>,
        wait: &mut RoomWait,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Ended>>;
    fn block_tell(
        &self,
        message: &mut Option<M>,
        timeout: Option<Duration>,
    ) -> Result<(), PutBlockingError<()>>;
    fn forget(&self, wait: &mut RoomWait);
    fn takes_no_more(&self) -> bool;
}

/// One whose replies to that are of type `R`.
pub(crate) trait AcceptAsk<M, R: Send + 'static>: Accept<M> {
    /// As `Accept::poll_tell`, with a reply to come.
    fn poll_ask(
        &self,
        message: &mut Option<M>,
        asker: Option<Asker>,
        wait: &mut RoomWait,
        cx: &Context<'_>,
    ) -> Poll<Result<Awaited<R>, Ended>>;
    /// As `Accept::block_tell`, with a reply to come, for which a thread may block.
    fn block_ask(
        &self,
        message: &mut Option<M>,
        asker: Option<Asker>,
        timeout: Option<Duration>,
    ) -> Result<CrossThreadFuture<R>, PutBlockingError<()>>;
}

/// How a task awaits a reply.
pub(crate) enum Awaited<R: Send + 'static> {
    Reply(Reply<R>),
    /// By a loop whose time stands still until it has heard.
    Noted(CrossThreadFuture<R>),
}

/// A message that is being sent, see [`Address::tell`](crate::Address::tell). It is `Ready` when the message is in the
/// mailbox.
///
/// Cancel safety: given up, it has told nothing, and the message is dropped with it.
///
/// # Examples
/// See [`Address::tell`](crate::Address::tell).
#[must_use = "futures do nothing unless awaited"]
pub struct Tell<'a, M> {
    to: &'a dyn Accept<M>,
    message: Option<M>,
    wait: RoomWait,
    /// Set while a handler waits for room.
    waiting: Option<Asking>,
}

impl<'a, M> Tell<'a, M> {
    pub(crate) fn new(to: &'a dyn Accept<M>, message: M) -> Self {
        Self { to, message: Some(message), wait: RoomWait::default(), waiting: None }
    }
}

// Messages are moved, and never pinned.
impl<M> Unpin for Tell<'_, M> {}

impl<M> Future for Tell<'_, M> {
    type Output = Result<(), TellError<M>>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { to, message, wait, waiting } = self.get_mut();
        let told = to.poll_tell(message, wait, cx);
        let mut give_back = || message.take().expect("it was not sent");
        if told.is_ready() {
            *waiting = None;
        } else if waiting.is_none() {
            match to.enter_wait() {
                Ok(entered) => *waiting = entered,
                Err(why) => {
                    to.forget(wait);
                    return Poll::Ready(Err(TellError::WouldDeadlock(give_back(), why)));
                }
            }
        }
        told.map_err(|Ended| TellError::Stopped(give_back()))
    }
}

impl<M> Drop for Tell<'_, M> {
    fn drop(&mut self) {
        if self.wait.is_waiting() {
            self.to.forget(&mut self.wait);
        }
    }
}

impl<M> fmt::Debug for Tell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tell").field("is_sent", &self.message.is_none()).finish_non_exhaustive()
    }
}

/// A question that is being asked, see [`Address::ask`](crate::Address::ask). It gives the reply.
///
/// Cancel safety: given up before the message is in the mailbox, it has asked nothing; after that the message is handled,
/// and the reply dropped.
///
/// # Examples
/// See [`Address::ask`](crate::Address::ask).
#[must_use = "futures do nothing unless awaited"]
pub struct Ask<'a, M, R: Send + 'static> {
    to: &'a dyn AcceptAsk<M, R>,
    step: Step<M, R>,
    /// Set from the first poll in an actor's handler to the reply.
    asking: Option<Asking>,
}

enum Step<M, R: Send + 'static> {
    Send(Option<M>, RoomWait),
    Await(Awaited<R>),
}

impl<'a, M, R: Send + 'static> Ask<'a, M, R> {
    pub(crate) fn new(to: &'a dyn AcceptAsk<M, R>, message: M) -> Self {
        Self { to, step: Step::Send(Some(message), RoomWait::default()), asking: None }
    }
}

// Messages are moved, and never pinned.
impl<M, R: Send + 'static> Unpin for Ask<'_, M, R> {}

impl<M, R: Send + 'static> Future for Ask<'_, M, R> {
    type Output = Result<R, AskError>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { to, step, asking } = self.get_mut();
        if let Step::Send(message, wait) = step {
            if asking.is_none() {
                *asking = to.enter_wait().map_err(AskError::WouldDeadlock)?;
            }
            match to.poll_ask(message, asking.as_ref().map(Asking::asker), wait, cx) {
                Poll::Ready(Ok(reply)) => *step = Step::Await(reply),
                Poll::Ready(Err(Ended)) => return Poll::Ready(Err(AskError::Stopped)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let polled = match step {
            Step::Await(Awaited::Reply(reply)) => Pin::new(reply).poll(cx),
            Step::Await(Awaited::Noted(reply)) => Pin::new(reply).poll(cx),
            Step::Send(..) => unreachable!("it was sent above"),
        };
        if polled.is_ready() {
            *asking = None;
        }
        polled.map_err(AskError::of_reply)
    }
}

impl<M, R: Send + 'static> Drop for Ask<'_, M, R> {
    fn drop(&mut self) {
        if let Step::Send(_, wait) = &mut self.step
            && wait.is_waiting()
        {
            self.to.forget(wait);
        }
    }
}

impl<M, R: Send + 'static> fmt::Debug for Ask<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_sent = matches!(self.step, Step::Await(_));
        f.debug_struct("Ask").field("is_sent", &is_sent).finish_non_exhaustive()
    }
}

/// Tells, and blocks for room.
pub(crate) fn tell_blocking<M>(
    to: &dyn Accept<M>,
    message: M,
    timeout: Option<Duration>,
) -> Result<(), TellError<M>> {
    let mut message = Some(message);
    to.block_tell(&mut message, timeout)
        .map_err(|refused| TellError::of(message.expect("it was not sent"), refused))
}

/// Asks, and blocks for room and reply, together at most for `timeout`.
pub(crate) fn ask_blocking<M, R: Send + 'static>(
    to: &dyn AcceptAsk<M, R>,
    message: M,
    timeout: Option<Duration>,
) -> Result<R, AskError> {
    // A handler that blocks handles nothing meanwhile, as one that awaits.
    let asking = to.enter_wait().map_err(AskError::WouldDeadlock)?;
    let asker = asking.as_ref().map(Asking::asker);
    let began = Instant::now();
    let reply = to.block_ask(&mut Some(message), asker, timeout).map_err(AskError::of_room)?;
    let outcome = match timeout {
        None => reply.result(),
        Some(timeout) => reply.result_timeout(timeout.saturating_sub(began.elapsed())),
    };
    outcome.map_err(AskError::of_reply)
}
