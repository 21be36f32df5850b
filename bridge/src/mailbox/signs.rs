//! What a receiver is told beside its letters, whatever it waits for: signs, each a bit of one word.
//!
//! The receiver sets `WATCHED` before it waits for something else than letters, and looks once more by that very change;
//! so whoever raises a sign and does not find the mark is seen. The waker is written before the mark is set for the first
//! time. A sign takes no memory, so that it can be raised again and again.

use std::any::Any;

use crate::foreign::drop_contained;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// The receiver's waker is there, and is to be woken. Set once.
const WATCHED: u32 = 1 << 31;

type Reason = Box<dyn Any + Send>;

/// See the [module](self).
pub(super) struct Signs {
    word: AtomicU32,
    /// Why the receiver is to break off, if whoever said so gave a reason. The first one stays until it is taken.
    /// (In a box of its own, as few have one.)
    reason: Mutex<Option<Box<Reason>>>,
}

impl Signs {
    pub(super) fn new() -> Self {
        Self { word: AtomicU32::new(0), reason: Mutex::new(None) }
    }

    /// Lowers some signs and raises others, in one act. True: the receiver is to be woken.
    pub(super) fn change(&self, lower: u32, raise: u32) -> bool {
        // Raised by others the mark would lie: who found it would look for the waker while that is written.
        assert!((lower | raise) & WATCHED == 0, "the highest bit is no sign");
        // ORDERING: Relaxed; the exchange below decides.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let new = word & !lower | raise;
            // ORDERING: Release: who sees the sign sees what was before it was raised. Acquire pairs with the Release of
            // `watch`: who finds the mark finds the waker. Relaxed on failure: it is tried again.
            match self.word.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return word & WATCHED != 0,
                Err(now) => word = now,
            }
        }
    }

    /// Gives a reason for what is raised next, unless there is one.
    pub(super) fn give_reason(&self, reason: Reason) {
        let late = {
            let mut kept = lock(&self.reason);
            if kept.is_some() {
                Some(reason)
            } else {
                *kept = Some(Box::new(reason));
                None
            }
        };
        // Outside of the lock, and the sign is raised whatever it does.
        drop_contained(late);
    }

    pub(super) fn take_reason(&self) -> Option<Reason> {
        lock(&self.reason).take().map(|reason| *reason)
    }

    /// Receiver's thread: takes the signs that are raised.
    #[inline]
    pub(super) fn take(&self) -> u32 {
        // ORDERING: Relaxed; if there is one, the exchange below acquires.
        let has_news = self.word.load(Ordering::Relaxed) & !WATCHED != 0;
        // ORDERING: Acquire pairs with the Release of `change`: what was before the sign is seen.
        if has_news { self.word.fetch_and(WATCHED, Ordering::Acquire) & !WATCHED } else { 0 }
    }

    /// Receiver's thread, whose waker is there: as `take`, and from now on each sign wakes it.
    #[inline]
    pub(super) fn watch(&self) -> u32 {
        // ORDERING: Relaxed; only this thread sets it.
        if self.word.load(Ordering::Relaxed) & WATCHED == 0 {
            // ORDERING: Release: who finds the mark finds the waker. What was raised before is taken below.
            self.word.fetch_or(WATCHED, Ordering::Release);
        }
        self.take()
    }
}
