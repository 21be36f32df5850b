//! What an actor is told beside its messages: the signs of its mailbox.

use std::task::{Context, Poll};

use perloop_bridge::Mailbox;

use crate::actor::envelope::Place;
use crate::actor::{Actor, ActorEnd};

/// To end after the message that it handles.
pub(crate) const STOP: u32 = 1;
/// To end at once.
pub(crate) const KILL: u32 = 2;
/// That nobody has its address any more.
pub(crate) const FORGOTTEN: u32 = 4;

/// The signs that an actor has seen.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    signs: u32,
}

impl Leash {
    #[inline]
    pub(crate) fn look<A: Actor>(&mut self, mailbox: &Mailbox<Place<A>>) {
        self.signs |= mailbox.take_signs();
    }

    /// As `look`, and from now on each sign wakes the actor's task. True: there is a new one.
    #[inline]
    pub(crate) fn watch<A: Actor>(&mut self, mailbox: &Mailbox<Place<A>>, cx: &Context<'_>) -> bool {
        let before = self.signs;
        while let Poll::Ready(signs) = mailbox.poll_signs(cx) {
            self.signs |= signs;
        }
        self.signs != before
    }

    #[inline]
    pub(crate) fn is(&self, sign: u32) -> bool {
        self.signs & sign != 0
    }

    /// How it ends, if it was killed.
    #[inline]
    pub(crate) fn killed<A: Actor>(&self, mailbox: &Mailbox<Place<A>>) -> Option<ActorEnd> {
        self.is(KILL).then(|| reason(mailbox))
    }
}

#[cold]
fn reason<A: Actor>(mailbox: &Mailbox<Place<A>>) -> ActorEnd {
    let reason = mailbox.take_reason().and_then(|reason| reason.downcast::<ActorEnd>().ok());
    reason.map_or(ActorEnd::Killed, |reason| *reason)
}
