//! How an actor ends, and how others are told.

use std::fmt;
use std::sync::Arc;

use perloop_bridge::{FutureError, LoopClosed, LoopDied, Panicked, Promise};

use crate::handle::LoopHandle;
use crate::supervisor::GaveUp;

/// How an actor has ended.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorEnd, create_actor};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// let (stopped, killed) = perloop::run(async {
///     let (first, second) = (create_actor(|| Clerk), create_actor(|| Clerk));
///     first.stop();
///     second.kill();
///     (first.ended().await, second.ended().await)
/// })?;
/// assert_eq!((&stopped, &killed), (&ActorEnd::Stopped, &ActorEnd::Killed));
/// assert!(stopped.is_normal() && !killed.is_normal());
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ActorEnd {
    /// It was asked to, or nobody had its address any more.
    Stopped,
    /// By a panic, in a handler or a hook, or when it was made or dropped.
    Panicked(Panicked),
    /// By [`Address::kill`](crate::Address::kill).
    Killed,
    /// An actor that it was [linked](crate::ActorContext::link) to has ended, and not as one that was asked to.
    Linked(Box<Down>),
    /// Its task was cancelled, as all are when their loop's thread ends.
    Cancelled,
    /// Its loop was closed, maybe before it began.
    LoopClosed(LoopClosed),
    /// Its loop was ended by a panic, or its thread ended.
    LoopDied(LoopDied),
    /// It was a supervisor, and its children failed too often.
    GaveUp(Box<GaveUp>),
}

impl ActorEnd {
    /// Says whether it was asked to end, or nobody had its address any more: what OTP calls a normal exit.
    ///
    /// # Examples
    /// See [`ActorEnd`].
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    pub(crate) fn of(outcome: Result<Option<Panicked>, FutureError>) -> Self {
        match outcome {
            Ok(None) => Self::Stopped,
            Ok(Some(panicked)) => match panicked.shared::<Self>() {
                Some(end) => Self::clone(&end),
                None => Self::Panicked(panicked),
            },
            Err(_) => Self::Cancelled,
        }
    }
}

impl fmt::Display for ActorEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Panicked(panicked) => write!(f, "panicked: {}", panicked.message()),
            Self::Killed => f.write_str("killed"),
            Self::Linked(down) => write!(f, "linked to one that is down: {down}"),
            Self::Cancelled => f.write_str("cancelled, with its task"),
            Self::LoopClosed(closed) => write!(f, "its event loop '{}' was closed", closed.loop_name()),
            Self::LoopDied(died) => write!(f, "its event loop '{}' died", died.loop_name()),
            Self::GaveUp(gave_up) => gave_up.fmt(f),
        }
    }
}

/// The news of an actor's end, see [`Address::monitor`](crate::Address::monitor).
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorBuilder, ActorEnd, Down};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// let down: Down = perloop::run(async {
///     let clerk = ActorBuilder::new().name("Bob").create(|| Clerk);
///     clerk.kill();
///     clerk.monitor().await
/// })?;
/// assert_eq!((down.name.as_str(), &down.end, down.was_gone), ("Bob", &ActorEnd::Killed, false));
/// assert_eq!(down.to_string(), "actor 'Bob' is down: killed");
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Down {
    /// The actor's name.
    pub name: String,
    /// How it has ended.
    pub end: ActorEnd,
    /// There was no such actor any more when the monitor was made: what OTP calls `noproc`.
    pub was_gone: bool,
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, end, was_gone } = self;
        let already = if *was_gone { "was already" } else { "is" };
        write!(f, "actor '{name}' {already} down: {end}")
    }
}

/// Tells how an actor has ended, whatever ends it.
pub(crate) struct End {
    /// None: it was told.
    promise: Option<Promise<()>>,
    home: LoopHandle,
}

impl End {
    pub(crate) fn new(promise: Promise<()>, home: LoopHandle) -> Self {
        Self { promise: Some(promise), home }
    }

    pub(crate) fn tell(mut self, end: &ActorEnd) {
        if let Some(promise) = self.promise.take() {
            set(promise, end);
        }
    }
}

fn set(mut promise: Promise<()>, end: &ActorEnd) {
    // Nobody else sets it, and nobody can cancel it.
    let _is_wanted = match end {
        ActorEnd::Stopped => promise.set_result(()),
        ActorEnd::Panicked(panicked) => promise.set_exception(panicked.clone()),
        other => promise.set_exception(Panicked::new(Box::new(Arc::new(other.clone())))),
    };
}

impl Drop for End {
    /// The actor's task was dropped half-way, or never began.
    fn drop(&mut self) {
        let Some(promise) = self.promise.take() else { return };
        let end = match self.home.remote().loss() {
            Some(FutureError::LoopDied(died)) => ActorEnd::LoopDied(died),
            Some(FutureError::LoopClosed(closed)) => ActorEnd::LoopClosed(closed),
            _ => ActorEnd::Cancelled,
        };
        set(promise, &end);
    }
}
