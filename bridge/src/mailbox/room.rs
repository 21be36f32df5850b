//! How many letters a mailbox may have, and who waits for room.
//!
//! One word: the letters that were let in and whose room was not given back, and two marks. Who is about to wait goes into
//! the line, marks the word, and looks once more by that very change: if there was no room then, whoever gives some back
//! sees the mark, and tells the first in the line.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::sync::{AtomicUsize, Ordering, generation};
use crate::wait::Spin;
use crate::waiters::{Ticket, Waiters};
use crate::waits::{self, Brought, Failed, Stuck};

/// Somebody waits for room.
const WAITED: usize = 1;
/// Nobody is let in any more.
const CLOSED: usize = 2;
const MARKS: usize = WAITED | CLOSED;
/// What letters are counted in.
const STEP: usize = MARKS + 1;

/// See the [module](self). What each letter changes comes first, and then what a full mailbox needs.
#[repr(C)]
pub(super) struct Room {
    word: AtomicUsize,
    capacity: usize,
    waiters: Waiters,
    generation: u32,
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    Full,
    Closed,
}

impl Room {
    pub(super) fn new(capacity: usize) -> Self {
        Self { word: AtomicUsize::new(0), capacity, waiters: Waiters::new(), generation: generation() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many are in. It may be otherwise by the time that one reads it.
    pub(super) fn taken(&self) -> usize {
        // ORDERING: Relaxed; nothing is concluded from it.
        self.word.load(Ordering::Relaxed) / STEP
    }

    /// Lets one letter in, if there is room.
    #[inline]
    pub(super) fn enter(&self) -> Result<(), Outside> {
        // ORDERING: Acquire pairs with the Release of `close`: who is refused sees what was before.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Err(Outside::Closed);
            }
            if word / STEP >= self.capacity {
                return Err(Outside::Full);
            }
            // ORDERING: Relaxed on success: the letter is handed over by its lane. Acquire on failure, as above.
            match self.word.compare_exchange_weak(word, word + STEP, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives the room of so many letters back. Tells those who wait, which is foreign code.
    #[inline]
    pub(super) fn leave(&self, letters: usize) {
        // ORDERING: Relaxed; who waits goes by the count alone.
        let before = self.word.fetch_sub(letters * STEP, Ordering::Relaxed);
        debug_assert!(before / STEP >= letters, "room is given back once");
        if before & WAITED != 0 {
            self.tell(letters);
        }
    }

    /// From now on nobody is let in, and nobody waits. A second call does nothing.
    pub(super) fn close(&self) {
        // ORDERING: Release: who is refused sees what was before.
        self.word.fetch_or(CLOSED, Ordering::Release);
        if !self.is_inherited() {
            self.waiters.tell_all(|| self.unmark());
        }
    }

    #[cold]
    fn tell(&self, letters: usize) {
        // ORDERING: Relaxed; whoever marks it later looks for room by that.
        let is_waited = |_: &usize| self.word.load(Ordering::Relaxed) & WAITED != 0;
        (0..letters).take_while(is_waited).for_each(|_| waits::tell(self));
    }

    fn attempt(&self) -> Result<(), Stuck> {
        self.enter().map_err(|outside| match outside {
            Outside::Full => Stuck::Blocked,
            Outside::Closed => Stuck::Closed,
        })
    }

    /// Gives a wait up.
    pub(super) fn forget(&self, place: &mut Option<Ticket>) {
        waits::forget(self, place);
    }

    /// One poll of a task's wait to be let in. An error: it is closed.
    pub(super) fn poll_enter(&self, place: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Result<(), ()>> {
        waits::poll(self, place, cx, || self.attempt())
    }

    /// Blocks until one letter is let in.
    pub(super) fn block_enter(&self, spin: Spin, timeout: Option<Duration>) -> Result<(), Failed> {
        waits::block(self, spin, timeout, || self.attempt())
    }
}

impl Brought for Room {
    fn line(&self) -> &Waiters {
        &self.waiters
    }

    fn mark(&self) -> bool {
        // ORDERING: Relaxed; one that finds it closed goes on to `enter`, which acquires.
        let word = self.word.fetch_or(WAITED, Ordering::Relaxed);
        word & CLOSED == 0 && word / STEP >= self.capacity
    }

    fn unmark(&self) {
        // ORDERING: Relaxed; who waits marks under the same lock.
        self.word.fetch_and(!WAITED, Ordering::Relaxed);
    }

    fn is_there(&self) -> bool {
        self.taken() < self.capacity
    }

    fn is_inherited(&self) -> bool {
        self.generation != generation()
    }
}
