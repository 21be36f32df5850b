//! The inbox of a loop: one word, through which every other thread reaches it.
//!
//! | word      | what is true                                                        | who leaves this row, and how |
//! | --------- | ------------------------------------------------------------------- | ---------------------------- |
//! | `AWAKE`   | nothing waits; the loop will look here again before it sleeps        | `push` → list; `fall_asleep` → `ASLEEP`; `close` |
//! | a node    | the newest of a list that ends in null; older ones follow by `next`  | `push` → longer list; `take` → `AWAKE`; `close` |
//! | `ASLEEP`  | nothing waits; the loop waits for its bell, or will before long      | `push` → list, and *that* pusher rings; `take` → `AWAKE`; `close` |
//! | `CLOSED`  | nothing is accepted any more                                        | nobody |
//!
//! Every transition is one read-modify-write of this one word, so of any two there is a first: a push either comes
//! before the loop falls asleep, which then fails, or after it, and then sees `ASLEEP` and rings. There is no second
//! flag that could tell another story.

use std::ptr;

use crate::sync::{AtomicPtr, Ordering};
use crate::task::{CellPtr, Header};

/// The loop is awake and nothing waits for it.
const AWAKE: *mut Header = ptr::null_mut();
/// The loop waits for its bell. No header lies at this address, as headers are aligned.
const ASLEEP: *mut Header = ptr::without_provenance_mut(1);
/// The loop takes nothing more. No header lies at this address, as headers are aligned.
const CLOSED: *mut Header = ptr::without_provenance_mut(2);

/// See the [module](self).
pub(crate) struct Inbox(AtomicPtr<Header>);

/// What a pusher has to do next.
#[must_use]
pub(crate) enum Pushed<Keep> {
    /// Nothing: the loop is awake, or somebody else rings.
    Quietly,
    /// Ring the bell, which the value keeps alive.
    MustRing(Keep),
    /// The inbox is closed, and the node still the caller's.
    Refused,
}

/// What a loop that wants to sleep has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Asleep {
    /// Wait for the bell: every push from now on rings.
    Yes,
    /// Something has come: take it.
    No,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(AWAKE))
    }

    /// Any thread: puts a node in. `keep` is called only if the loop sleeps, and gives what ringing it needs; it is
    /// called before the node is seen, since afterwards the loop may run it, close, and be gone.
    pub(crate) fn push<Keep>(&self, node: CellPtr, keep: impl Fn() -> Keep) -> Pushed<Keep> {
        // ORDERING: Acquire; if this is CLOSED, it pairs with the Release of `close`: who is refused sees what the closing
        // loop did before. Above all that it has counted a reference for a node on its way, before that one is given
        // back: two read-modify-writes of one count, whose order no model can turn round.
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            if head == CLOSED {
                return Pushed::Refused;
            }
            let kept = (head == ASLEEP).then(&keep);
            node.set_next(if head == ASLEEP { AWAKE } else { head });
            // ORDERING: Release on success pairs with the Acquire in `take` and `close`: the node is whole before it
            // is seen. Nodes further down stay published, as the word is only ever read-modify-written (a release
            // sequence). Acquire on success pairs with the Release of `fall_asleep`, since the ASLEEP that is replaced may
            // be that of a later sleep than the one that was read. Acquire on failure as for the load above.
            match self.0.compare_exchange_weak(head, node.as_ptr(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return kept.map_or(Pushed::Quietly, Pushed::MustRing),
                Err(now) => head = now,
            }
        }
    }

    /// Home: is there something to take? A look that owes nothing: `take` decides.
    pub(crate) fn has_news(&self) -> bool {
        // ORDERING: Relaxed; `take` synchronises, this only saves it.
        let head = self.0.load(Ordering::Relaxed);
        head != AWAKE && head != ASLEEP && head != CLOSED
    }

    /// Home: takes everything that waits, oldest first, and is awake afterwards.
    pub(crate) fn take(&self) -> Batch {
        // ORDERING: Acquire pairs with the Release of each `push`. Nothing of ours is published by going to AWAKE.
        let head = self.0.swap(AWAKE, Ordering::Acquire);
        debug_assert!(head != CLOSED, "a closed inbox is not taken from");
        Batch::new(head)
    }

    /// Home: says that the loop will wait for its bell, unless something has come.
    pub(crate) fn fall_asleep(&self) -> Asleep {
        // ORDERING: Release on success: a pusher that sees ASLEEP sees what was before the sleep, above all that the bell
        // was taken back since its last ring (a bell may join rings by a flag of its own, and a ring that found it up
        // would be lost). Relaxed on failure; what has come is acquired by `take`.
        match self.0.compare_exchange(AWAKE, ASLEEP, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Asleep::Yes,
            Err(now) if now == ASLEEP => Asleep::Yes,
            Err(_) => Asleep::No,
        }
    }

    /// Any thread: is it closed? A no may be out of date.
    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `close`, as in `push`.
        self.0.load(Ordering::Acquire) == CLOSED
    }

    /// Home: refuses all that comes from now on, and gives all that came before.
    pub(crate) fn close(&self) -> Batch {
        // ORDERING: Acquire as in `take`; Release so that who is refused reads why.
        let head = self.0.swap(CLOSED, Ordering::AcqRel);
        debug_assert!(head != CLOSED, "an inbox is closed once");
        Batch::new(head)
    }
}

/// What was taken from an inbox, oldest first: in the order in which each producer pushed.
pub(crate) struct Batch {
    oldest: *mut Header,
}

impl Batch {
    /// Turns the list round, since a push puts the newest in front.
    fn new(newest: *mut Header) -> Self {
        let mut rest = if newest == ASLEEP || newest == CLOSED { AWAKE } else { newest };
        let mut oldest = AWAKE;
        while let Some(node) = CellPtr::from_raw(rest) {
            rest = node.next();
            node.set_next(oldest);
            oldest = node.as_ptr();
        }
        Self { oldest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.oldest == AWAKE
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { oldest: AWAKE }
    }
}

impl Iterator for Batch {
    type Item = CellPtr;

    fn next(&mut self) -> Option<CellPtr> {
        let node = CellPtr::from_raw(self.oldest)?;
        self.oldest = node.next();
        Some(node)
    }
}
