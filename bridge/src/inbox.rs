//! An inbox, a loop's or a mailbox's lane: one word, through which every other thread reaches it.
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
use crate::task::CellPtr;

/// What an inbox holds: pointers to something that has a place for the next one, and is aligned to more than two bytes.
pub(crate) trait Node: Copy {
    type Head;

    fn from_raw(raw: *mut Self::Head) -> Option<Self>;
    fn as_ptr(self) -> *mut Self::Head;
    /// The caller owns the node.
    fn next(self) -> *mut Self::Head;
    /// The caller owns the node.
    fn set_next(self, node: *mut Self::Head);
}

/// The owner is awake and nothing waits for it.
const fn awake<H>() -> *mut H {
    ptr::null_mut()
}

/// The owner waits for its bell. No node lies at this address, as nodes are aligned.
const fn asleep<H>() -> *mut H {
    ptr::without_provenance_mut(1)
}

/// The owner takes nothing more. No node lies at this address, as nodes are aligned.
const fn closed<H>() -> *mut H {
    ptr::without_provenance_mut(2)
}

/// See the [module](self).
pub(crate) struct Inbox<N: Node = CellPtr>(AtomicPtr<N::Head>);

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

impl<N: Node> Inbox<N> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(awake()))
    }

    /// Any thread: puts a node in. `keep` is called only if the loop sleeps, and gives what ringing it needs; it is
    /// called before the node is seen, since afterwards the loop may run it, close, and be gone.
    pub(crate) fn push<Keep>(&self, node: N, keep: impl Fn() -> Keep) -> Pushed<Keep> {
        // ORDERING: Acquire; if this is CLOSED, it pairs with the Release of `close`: who is refused sees what the closing
        // loop did before. Above all that it has counted a reference for a node on its way, before that one is given
        // back: two read-modify-writes of one count, whose order no model can turn round.
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            if head == closed() {
                return Pushed::Refused;
            }
            let kept = (head == asleep()).then(&keep);
            node.set_next(if head == asleep() { awake() } else { head });
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

    /// Any thread: is there something to take? A look that owes nothing: `take` decides.
    pub(crate) fn has_news(&self) -> bool {
        // ORDERING: Relaxed; `take` synchronises, this only saves it. Elsewhere than at home it is a hint.
        let head = self.0.load(Ordering::Relaxed);
        head != awake() && head != asleep() && head != closed()
    }

    /// Home: takes everything that waits, oldest first, and is awake afterwards.
    pub(crate) fn take(&self) -> Batch<N> {
        // ORDERING: Acquire pairs with the Release of each `push`. Nothing of ours is published by going to AWAKE.
        let head = self.0.swap(awake(), Ordering::Acquire);
        debug_assert!(head != closed(), "a closed inbox is not taken from");
        Batch::new(head)
    }

    /// Home: says that the loop will wait for its bell, unless something has come.
    pub(crate) fn fall_asleep(&self) -> Asleep {
        // ORDERING: Release on success: a pusher that sees ASLEEP sees what was before the sleep, above all that the bell
        // was taken back since its last ring (a bell may join rings by a flag of its own, and a ring that found it up
        // would be lost). Relaxed on failure; what has come is acquired by `take`.
        match self.0.compare_exchange(awake(), asleep(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Asleep::Yes,
            Err(now) if now == asleep() => Asleep::Yes,
            Err(_) => Asleep::No,
        }
    }

    /// Any thread: is it closed? A no may be out of date.
    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `close`, as in `push`.
        self.0.load(Ordering::Acquire) == closed()
    }

    /// Home: refuses all that comes from now on, and gives all that came before.
    pub(crate) fn close(&self) -> Batch<N> {
        // ORDERING: Acquire as in `take`; Release so that who is refused reads why.
        let head = self.0.swap(closed(), Ordering::AcqRel);
        debug_assert!(head != closed(), "an inbox is closed once");
        Batch::new(head)
    }
}

/// What was taken from an inbox, oldest first: in the order in which each producer pushed.
pub(crate) struct Batch<N: Node = CellPtr> {
    oldest: *mut N::Head,
}

impl<N: Node> Batch<N> {
    /// Turns the list round, since a push puts the newest in front.
    fn new(newest: *mut N::Head) -> Self {
        let mut rest = if newest == asleep() || newest == closed() { awake() } else { newest };
        let mut oldest = awake();
        while let Some(node) = N::from_raw(rest) {
            rest = node.next();
            node.set_next(oldest);
            oldest = node.as_ptr();
        }
        Self { oldest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.oldest == awake()
    }
}

impl<N: Node> Default for Batch<N> {
    fn default() -> Self {
        Self { oldest: awake() }
    }
}

impl<N: Node> Iterator for Batch<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        let node = N::from_raw(self.oldest)?;
        self.oldest = node.next();
        Some(node)
    }
}
