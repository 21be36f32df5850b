//! What an actor is told beside its messages: the signs of its mailbox.

use std::future::poll_fn;
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
/// Of a supervisor, to one that is between two lives: to begin the next one. It lowers `STOP` and `KILL`, which were meant
/// for the life before.
pub(crate) const BEGIN: u32 = 8;
/// Of a supervisor: that the life that it lives is the last one.
pub(crate) const END: u32 = 16;
/// What is for all lives.
const FOR_GOOD: u32 = FORGOTTEN | END;

/// The signs that an actor has seen.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    signs: u32,
}

impl Leash {
    #[inline]
    pub(crate) fn look<A: Actor>(&mut self, mailbox: &Mailbox<Place<A>>) {
        self.see(mailbox.take_signs());
    }

    #[inline]
    fn see(&mut self, signs: u32) {
        if signs & BEGIN != 0 {
            // What came with it came after it.
            self.signs &= FOR_GOOD;
        }
        self.signs |= signs;
    }

    /// Waits until the next life is to begin. False: there is none.
    pub(crate) async fn may_begin<A: Actor>(&mut self, mailbox: &Mailbox<Place<A>>) -> bool {
        poll_fn(|cx| {
            self.watch(mailbox, cx);
            if !self.is(END | BEGIN) {
                return Poll::Pending;
            }
            // It was a reason to end the life before.
            drop(mailbox.take_reason());
            let begins = !self.is(END);
            self.signs &= !BEGIN;
            Poll::Ready(begins)
        })
        .await
    }

    /// As `look`, and from now on each sign wakes the actor's task. True: there is a new one.
    #[inline]
    pub(crate) fn watch<A: Actor>(&mut self, mailbox: &Mailbox<Place<A>>, cx: &Context<'_>) -> bool {
        let before = self.signs;
        while let Poll::Ready(signs) = mailbox.poll_signs(cx) {
            self.see(signs);
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
