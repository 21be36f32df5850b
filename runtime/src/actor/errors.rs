//! Why an actor did not take a message. Who tells gets the message back.

use std::error::Error;
use std::fmt;

use perloop_bridge::{FutureError, Panicked, PutBlockingError, TryPutError, WouldDeadlock};

use crate::actor::envelope::Displaced;

const STOPPED: &str = "the actor has ended, or its loop has; it takes no more messages";

/// Why [`Address::try_tell`](crate::Address::try_tell) did not tell.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorBuilder, ActorContext, Handler, TryTellError};
///
/// struct Clerk;
/// impl Actor for Clerk {}
/// impl Handler<u8> for Clerk {
///     type Reply = ();
///     async fn handle(&mut self, _: u8, _: &mut ActorContext<Self>) {}
/// }
///
/// perloop::run(async {
///     let clerk = ActorBuilder::new().mailbox(1).create(|| Clerk);
///     assert_eq!(clerk.try_tell(1), Ok(()));
///     assert_eq!(clerk.try_tell(2), Err(TryTellError::Full(2)));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryTellError<M> {
    /// There is no room in the mailbox now.
    Full(M),
    /// The actor has ended.
    Stopped(M),
}

/// Why a `tell`, awaited or blocking, did not tell.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{Actor, ActorBuilder, ActorContext, Handler, TellError, new_event_loop};
///
/// struct Clerk;
/// impl Actor for Clerk {}
/// impl Handler<u8> for Clerk {
///     type Reply = ();
///     async fn handle(&mut self, _: u8, _: &mut ActorContext<Self>) {}
/// }
///
/// let event_loop = new_event_loop()?; // nobody turns it
/// let clerk = ActorBuilder::new().mailbox(1).create_on(&event_loop.handle(), || Clerk);
/// clerk.tell_blocking(1)?;
/// let late = clerk.tell_timeout(2, Duration::from_millis(1));
/// assert_eq!(late, Err(TellError::TimedOut(2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum TellError<M> {
    /// The actor has ended.
    Stopped(M),
    /// The time was up first.
    TimedOut(M),
    /// The wait for room could never end: it would block a thread whose event loop runs, or close a circle of actors that wait
    /// for each other.
    WouldDeadlock(M, WouldDeadlock),
}

/// Why an `ask` has no reply.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, AskError, Handler, create_actor};
///
/// struct Divider;
/// struct Divide(i32, i32);
///
/// impl Actor for Divider {}
/// impl Handler<Divide> for Divider {
///     type Reply = i32;
///
///     async fn handle(&mut self, Divide(a, b): Divide, _: &mut ActorContext<Self>) -> i32 {
///         a / b
///     }
/// }
///
/// perloop::run(async {
///     let divider = create_actor(|| Divider);
///     assert_eq!(divider.ask(Divide(6, 2)).await, Ok(3));
///     let error = divider.ask(Divide(1, 0)).await.unwrap_err();
///     assert_eq!(error.to_string(), "the actor's handler panicked: attempt to divide by zero");
///     assert_eq!(divider.ask(Divide(6, 2)).await, Err(AskError::Stopped));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AskError {
    /// The actor has ended, before it took the message or before it had replied.
    Stopped,
    /// The handler panicked, and the actor has ended by that.
    Panicked(Panicked),
    /// The mailbox was full, and a later message took the place of this one, see [`WhenFull::DropOldest`](crate::WhenFull).
    Dropped,
    /// The time was up first. If the message was in the mailbox it is still handled.
    TimedOut,
    /// The wait could never end: it would block the actor's own loop, or close a circle of actors that wait for each other's
    /// replies.
    WouldDeadlock(WouldDeadlock),
}

impl<M> TryTellError<M> {
    pub(crate) fn of(refused: TryPutError<M>) -> Self {
        match refused {
            TryPutError::Full(message) => Self::Full(message),
            TryPutError::Closed(message) => Self::Stopped(message),
        }
    }

    /// Gives the message back.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::TryTellError::Full("message").into_inner(), "message");
    /// ```
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Stopped(message) => message,
        }
    }
}

impl<M> TellError<M> {
    pub(crate) fn of(message: M, refused: PutBlockingError<()>) -> Self {
        match refused {
            PutBlockingError::Closed(()) => Self::Stopped(message),
            PutBlockingError::TimedOut(()) => Self::TimedOut(message),
            PutBlockingError::WouldDeadlock((), why) => Self::WouldDeadlock(message, why),
        }
    }

    /// Gives the message back.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::TellError::TimedOut("message").into_inner(), "message");
    /// ```
    pub fn into_inner(self) -> M {
        match self {
            Self::Stopped(message) | Self::TimedOut(message) | Self::WouldDeadlock(message, _) => message,
        }
    }
}

impl AskError {
    /// Of the future that carries the reply.
    pub(crate) fn of_reply(error: FutureError) -> Self {
        match error {
            FutureError::Panicked(panicked) if panicked.shared::<Displaced>().is_some() => Self::Dropped,
            FutureError::Panicked(panicked) => Self::Panicked(panicked),
            FutureError::TimedOut => Self::TimedOut,
            FutureError::WouldDeadlock(why) => Self::WouldDeadlock(why),
            _ => Self::Stopped,
        }
    }

    /// Of a wait for room.
    pub(crate) fn of_room(refused: PutBlockingError<()>) -> Self {
        match refused {
            PutBlockingError::Closed(()) => Self::Stopped,
            PutBlockingError::TimedOut(()) => Self::TimedOut,
            PutBlockingError::WouldDeadlock((), why) => Self::WouldDeadlock(why),
        }
    }
}

impl<M> fmt::Display for TryTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the actor's mailbox is full; await `tell`, or try again later"),
            Self::Stopped(_) => f.write_str(STOPPED),
        }
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(_) => f.write_str(STOPPED),
            Self::TimedOut(_) => {
                f.write_str("there was no room in the actor's mailbox before the time was up")
            }
            Self::WouldDeadlock(_, why) => why.fmt(f),
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the actor has ended, or its loop has, and gives no reply"),
            Self::Panicked(panicked) => write!(f, "the actor's handler panicked: {}", panicked.message()),
            Self::TimedOut => f.write_str("the time was up before the actor had replied, or ended"),
            Self::Dropped => {
                f.write_str("the actor's mailbox was full, and a later message took the place of this one")
            }
            Self::WouldDeadlock(why) => why.fmt(f),
        }
    }
}

impl<M> fmt::Debug for TryTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Stopped(_) => "Stopped",
        })
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(_) => f.write_str("Stopped"),
            Self::TimedOut(_) => f.write_str("TimedOut"),
            Self::WouldDeadlock(_, why) => f.debug_tuple("WouldDeadlock").field(why).finish(),
        }
    }
}

impl<M> Error for TryTellError<M> {}
impl<M> Error for TellError<M> {}
impl Error for AskError {}
