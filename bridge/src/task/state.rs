//! The word of a task cell that every thread may change: its bits, its rows, and its transitions by name.
//!
//! What only the home thread needs to know of a task (queued, running, ended) is not here but in
//! [`Local`](super::local::Local), in plain memory, so that a task that never meets another thread never pays for
//! one.
//!
//! | row         | `FINISHED` | `CANCELLED` | `ENDED` | left by |
//! | ----------- | ---------- | ----------- | ------- | ------- |
//! | pending     |            |             |         | `finish` → finished; `ask_cancel` → cancelled; `end_cancelled` → gone |
//! | cancelled   |            | x           |         | `end_cancelled` → gone |
//! | finished    | x          |             | x       | nobody |
//! | gone        |            | x           | x       | nobody |
//!
//! `RUNNING` is a pending row's mark that forbids `ask_cancel`; only a bare future ever has it. `NOTIFIED`, `DEAF`,
//! `CANCEL`, `WATCHED` and `TAKEN` may stand beside any row, and the references fill the rest of the word.

use std::fmt;

use crate::sync::{AtomicUsize, Ordering};

/// The cell's node is in the inbox, on its way there, or taken from it and not yet run. Set by whoever pushes the
/// node, cleared by the home thread when it runs it. While it is set nobody else pushes, so the node is in the inbox
/// at most once, and it carries one reference.
const NOTIFIED: usize = 1 << 0;
/// Wakes and requests reach nobody any more, and the loop may be gone. Set by the home thread when the body has ended
/// or the loop closes, or at birth if there is no body. Never cleared.
const DEAF: usize = 1 << 1;
/// Somebody asked for cancellation, and the home thread has not taken the request up. Set by any thread, cleared by
/// the home thread together with `NOTIFIED`.
const CANCEL: usize = 1 << 2;
/// Somebody stands, or stood, in the list of watchers. Set by any thread *after* it put itself there; never cleared.
const WATCHED: usize = 1 << 3;
/// The output is in its slot. Set once, by the home thread or the promise.
const FINISHED: usize = 1 << 4;
/// The future is cancelled. Set once, by any thread.
const CANCELLED: usize = 1 << 5;
/// The body and all that it owned are dropped, and what is in the slot will not change. Set once, by home or promise.
const ENDED: usize = 1 << 6;
/// Somebody has taken, or is just taking, the output. Set by any thread.
const TAKEN: usize = 1 << 7;
/// A bare future whose work has begun: it cannot be cancelled. Set by the promise.
const RUNNING: usize = 1 << 8;
/// One reference. The home thread's, however many it has, count as one (see `Local`).
const REFERENCE: usize = 1 << 9;

/// See the [module](self).
pub(crate) struct State(AtomicUsize);

/// What was read from a [`State`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(usize);

/// What a waking thread has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterWake {
    /// Nothing: the node is on its way already, or nobody listens.
    Nothing,
    /// Push the node; the reference that it needs is counted.
    Push,
}

/// What a cancelling thread has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterCancel {
    /// Nothing: it is too late, the future has its outcome or its work has begun.
    TooLate,
    /// Nothing: it was cancelled before.
    Again,
    /// Push the node if `push` says so; then tell the watchers if there are any.
    Won { push: bool, watched: bool },
}

/// What the finisher has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterFinish {
    /// The output is published: tell the watchers if there are any.
    Won { watched: bool },
    /// The future was cancelled first: drop the output, then `end_cancelled`.
    Lost,
}

impl State {
    /// A task made on its own loop: the home thread's one reference.
    #[inline]
    pub(crate) fn home_made() -> Self {
        Self(AtomicUsize::new(REFERENCE))
    }

    /// A submission: one reference for its future, one for the home that it goes to. Its node is on its way.
    pub(crate) fn submitted() -> Self {
        Self(AtomicUsize::new(NOTIFIED | (3 * REFERENCE)))
    }

    /// A call that is handed in and that nobody waits for.
    pub(crate) fn call() -> Self {
        Self(AtomicUsize::new(NOTIFIED | (2 * REFERENCE)))
    }

    /// A future without a body: one reference for its promise, one for itself.
    pub(crate) fn bare() -> Self {
        Self(AtomicUsize::new(DEAF | (2 * REFERENCE)))
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        // ORDERING: Acquire pairs with the Release of `finish` and `end_cancelled`: who sees that the output is there
        // may read it.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Any thread that has a reference: adds one.
    #[inline]
    pub(crate) fn retain(&self) {
        // ORDERING: Relaxed; a new reference is made from one that the caller has, and orders nothing.
        let old = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if old > usize::MAX / 2 {
            // Forgotten references could wrap the count, and wrapped it would free what is in use.
            std::process::abort();
        }
    }

    /// Gives a reference back. True if it was the last one: free the cell.
    #[must_use]
    #[inline]
    pub(crate) fn release(&self) -> bool {
        // ORDERING: Release: our accesses come before whoever frees the cell. If that is us, everybody's come before it
        // by the Acquire of `load`.
        let old = self.0.fetch_sub(REFERENCE, Ordering::Release);
        debug_assert!(old >= REFERENCE, "released more often than retained: {:?}", Snapshot(old));
        old / REFERENCE == 1 && self.load().is_unreferenced()
    }

    /// Home: gives the home thread's reference back; true if it was the last one. Spares the read-modify-write when
    /// nobody else has a reference, as then nobody can come by one.
    #[must_use]
    #[inline]
    pub(crate) fn release_home(&self) -> bool {
        self.load().is_ours_alone() || self.release()
    }

    /// Any thread but home: makes the node go to the inbox.
    #[inline]
    pub(crate) fn wake(&self) -> AfterWake {
        // ORDERING: Relaxed; a deaf cell is left at once, with nothing of it read, and else the exchange decides.
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & DEAF != 0 {
                return AfterWake::Nothing;
            }
            let push = old & NOTIFIED == 0;
            let new = if push { (old | NOTIFIED) + REFERENCE } else { old };
            // ORDERING: Release, also when nothing changes: what the waker wrote before is read by the step that
            // clears NOTIFIED (`begin_step`), though the node was pushed by another. Acquire: `next` is ours to write
            // only after home has read it, which it did before it cleared NOTIFIED. Relaxed on failure, as for the load.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if push => return AfterWake::Push,
                Ok(_) => return AfterWake::Nothing,
                Err(now) => old = now,
            }
        }
    }

    /// Any thread: cancels the future at once, and asks for the task to be cancelled on its loop.
    pub(crate) fn ask_cancel(&self) -> AfterCancel {
        // ORDERING: Relaxed; who is told that it is too late reads the output after a `load` of its own, which sees at
        // least as much.
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & CANCELLED != 0 {
                return AfterCancel::Again;
            }
            if old & (FINISHED | RUNNING) != 0 {
                return AfterCancel::TooLate;
            }
            let push = old & (NOTIFIED | DEAF) == 0;
            let asked = if old & DEAF == 0 { CANCEL | NOTIFIED } else { 0 };
            let new = (old | CANCELLED | asked) + if push { REFERENCE } else { 0 };
            // ORDERING: as in `wake`. The list of watchers that WATCHED announces is acquired by its lock.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return AfterCancel::Won { push, watched: old & WATCHED != 0 },
                Err(now) => old = now,
            }
        }
    }

    /// Home: the node, taken from the inbox, is about to be run. Clears `NOTIFIED`, its reference and `CANCEL`; wakes
    /// that come later push again. True if cancellation was asked for.
    #[inline]
    pub(crate) fn begin_step(&self) -> bool {
        // ORDERING: Acquire, as for the exchange below, for the way that needs none.
        let mut old = self.0.load(Ordering::Acquire);
        if old == NOTIFIED | (2 * REFERENCE) {
            // The home's reference and the node's: nobody else can come by one but from us.
            // ORDERING: Relaxed; so nobody else looks.
            self.0.store(REFERENCE, Ordering::Relaxed);
            return false;
        }
        loop {
            debug_assert!(old & NOTIFIED != 0, "run without having been notified: {:?}", Snapshot(old));
            let new = (old & !(NOTIFIED | CANCEL)) - REFERENCE;
            // ORDERING: Acquire pairs with the Release of every `wake` since the last step. Release: our read of
            // `next` comes before the next pusher's write.
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return old & CANCEL != 0,
                Err(now) => old = now,
            }
        }
    }

    /// Home: from now on nobody pushes the node. What is read tells whether it is on its way.
    #[inline]
    pub(crate) fn deafen(&self) -> Snapshot {
        let now = self.load();
        if now.is_ours_alone() {
            return now;
        }
        self.deafen_always()
    }

    /// As `deafen`, also if nobody else has a reference yet.
    pub(crate) fn deafen_always(&self) -> Snapshot {
        // ORDERING: Relaxed; the word is the whole message: a `wake` or `ask_cancel` comes before it, and is seen here, or
        // after it, and leaves the loop alone. What a waker wrote before is acquired with its node.
        Snapshot(self.0.fetch_or(DEAF, Ordering::Relaxed))
    }

    /// Home or promise: the output is in its slot, and all else of the body is dropped.
    pub(crate) fn finish(&self) -> AfterFinish {
        // ORDERING: Relaxed; nothing is read of a canceller that was first.
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & CANCELLED != 0 {
                return AfterFinish::Lost;
            }
            debug_assert!(old & ENDED == 0, "finished twice: {:?}", Snapshot(old));
            let new = old | FINISHED | ENDED | DEAF;
            // ORDERING: Release pairs with the Acquire of every `load`: the output is whole before it is seen. The list of
            // watchers that WATCHED announces is acquired by its lock. Relaxed on failure, as for the load.
            match self.0.compare_exchange_weak(old, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return AfterFinish::Won { watched: old & WATCHED != 0 },
                Err(now) => old = now,
            }
        }
    }

    /// Home or promise: the task has ended cancelled, or its future was cancelled before, and all is dropped. What is
    /// read tells whether it was cancelled before and whether it is watched.
    pub(crate) fn end_cancelled(&self) -> Snapshot {
        // ORDERING: Release: the destructors have run before ENDED is seen. The watchers are acquired by their lock.
        let old = Snapshot(self.0.fetch_or(CANCELLED | ENDED | DEAF, Ordering::Release));
        debug_assert!(!old.is_ended(), "ended twice: {old:?}");
        old
    }

    /// Promise: the work begins. False if the future was cancelled first.
    #[must_use]
    pub(crate) fn begin_running(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `ask_cancel`: who is refused sees why.
        let mut old = self.0.load(Ordering::Acquire);
        while old & CANCELLED == 0 {
            // ORDERING: Relaxed on success: the word is the whole message, `ask_cancel` comes before or after. Acquire on
            // failure as for the load.
            match self.0.compare_exchange_weak(old, old | RUNNING, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Any thread that has just put itself into the list of watchers. If what it reads says that the end has come,
    /// the completer may have seen no watcher: the caller looks after itself.
    pub(crate) fn watch(&self) -> Snapshot {
        // ORDERING: Acquire: if the end came first, the output may be read. Our entry in the list needs no Release: a
        // completer that sees WATCHED locks the list afterwards, and can't come before us there, or it would have read
        // what we had not written yet.
        Snapshot(self.0.fetch_or(WATCHED, Ordering::Acquire))
    }

    /// Any thread that has seen `FINISHED`: true for the one that gets the output.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Relaxed; the output was acquired with FINISHED, and of two takers one is first.
        self.0.fetch_or(TAKEN, Ordering::Relaxed) & TAKEN == 0
    }
}

impl Snapshot {
    #[inline]
    pub(crate) fn is_notified(self) -> bool {
        self.0 & NOTIFIED != 0
    }
    pub(crate) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }
    pub(crate) fn is_finished(self) -> bool {
        self.0 & FINISHED != 0
    }
    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }
    pub(crate) fn is_ended(self) -> bool {
        self.0 & ENDED != 0
    }
    #[inline]
    pub(crate) fn is_taken(self) -> bool {
        self.0 & TAKEN != 0
    }
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0 && !self.is_done()
    }
    pub(crate) fn is_done(self) -> bool {
        self.0 & (FINISHED | CANCELLED) != 0
    }
    fn is_unreferenced(self) -> bool {
        self.0 / REFERENCE == 0
    }
    /// The home thread's reference is the only one.
    #[inline]
    pub(crate) fn is_ours_alone(self) -> bool {
        self.0 / REFERENCE == 1
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(usize, &str); 9] = [
            (NOTIFIED, "NOTIFIED"),
            (DEAF, "DEAF"),
            (CANCEL, "CANCEL"),
            (WATCHED, "WATCHED"),
            (FINISHED, "FINISHED"),
            (CANCELLED, "CANCELLED"),
            (ENDED, "ENDED"),
            (TAKEN, "TAKEN"),
            (RUNNING, "RUNNING"),
        ];
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.0 & bit != 0) {
            write!(f, "{name}|")?;
        }
        write!(f, "{} references", self.0 / REFERENCE)
    }
}
