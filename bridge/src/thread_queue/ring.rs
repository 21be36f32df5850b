//! The ring: where the items of a queue are, and two words that say which are next.
//!
//! Each slot has a stamp, which says whose turn it is there: the position of the put that may fill it, or, with `FULL`, of
//! the get that may empty it. Who has moved `tail` (or `head`) on owns the slot of the old position until it sets the
//! stamp. So a put and a get never meet but in a slot's stamp, and nobody waits for anybody: a slot that somebody is about
//! to fill or to empty is *busy*, which is said.
//!
//! The two words carry marks beside the position. Who is about to wait for an item marks `tail`, by a change that every
//! later put sees as it moves on; who waits for room marks `head`. So there is no second flag, and no argument about the
//! order of two words: if the queue was empty when `tail` was marked, each put that could end that sees the mark.

use std::mem::MaybeUninit;

use crate::core::Apart;
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};
use crate::waits::Stuck;

/// In `tail`: somebody waits for an item; in `head`: for room.
const WAITED: usize = 1;
/// In `tail`: no more items are taken.
const CLOSED: usize = 2;
const MARKS: usize = WAITED | CLOSED;
/// What positions are counted in.
const STEP: usize = MARKS + 1;
/// In a stamp: the slot has the item of this position.
const FULL: usize = 1;

struct Slot<T> {
    stamp: AtomicUsize,
    item: UnsafeCell<MaybeUninit<T>>,
}

/// See the [module](self).
pub(super) struct Ring<T> {
    tail: Apart<AtomicUsize>,
    head: Apart<AtomicUsize>,
    slots: Box<[Slot<T>]>,
    /// From a slot's position to its next one. The part of a position below it is the slot's place.
    lap: usize,
}

// SAFETY: an item goes from one thread to another one, and each slot is touched by one thread at a time, which has moved
// `head` or `tail` past it.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as for Send; items are moved, and never shared.
unsafe impl<T: Send> Sync for Ring<T> {}

/// An item was put, or taken out.
pub(super) struct Moved<R> {
    pub(super) what: R,
    /// Somebody waits on the other side, and is to be told.
    pub(super) is_waited_for: bool,
}

impl<T> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let slot = |place: usize| Slot {
            stamp: AtomicUsize::new(place * STEP),
            item: UnsafeCell::new(MaybeUninit::uninit()),
        };
        let lap = capacity.checked_next_power_of_two().and_then(|places| places.checked_mul(STEP));
        Self {
            tail: Apart::new(AtomicUsize::new(0)),
            head: Apart::new(AtomicUsize::new(0)),
            slots: (0..capacity).map(slot).collect(),
            lap: lap.expect("a capacity that there is memory for"),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn place(&self, position: usize) -> usize {
        (position & (self.lap - 1)) / STEP
    }

    fn after(&self, position: usize) -> usize {
        if self.place(position) + 1 < self.slots.len() {
            position.wrapping_add(STEP)
        } else {
            (position & !(self.lap - 1)).wrapping_add(self.lap)
        }
    }

    #[inline]
    pub(super) fn put(&self, item: T) -> Result<Moved<()>, (T, Stuck)> {
        loop {
            // ORDERING: Acquire pairs with the Release of `close`: who is refused sees what was before.
            let tail = self.tail.load(Ordering::Acquire);
            if tail & CLOSED != 0 {
                return Err((item, Stuck::Closed));
            }
            let position = tail & !MARKS;
            let slot = &self.slots[self.place(position)];
            // ORDERING: Acquire pairs with the Release in `get`: the item before is out.
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == position {
                if self.move_on(&self.tail, tail) {
                    slot.item.with_mut(|there| {
                        // SAFETY: the slot is empty, and ours until its stamp is set.
                        unsafe { (*there).write(item) };
                    });
                    // ORDERING: Release: the item is whole before it is seen.
                    slot.stamp.store(position | FULL, Ordering::Release);
                    return Ok(Moved { what: (), is_waited_for: tail & WAITED != 0 });
                }
            } else if stamp.wrapping_add(self.lap) == position | FULL {
                // ORDERING: Relaxed; who is to wait looks once more, by a change of the word.
                let head = self.head.load(Ordering::Relaxed);
                if self.is_lap_behind(head, tail) {
                    return Err((item, Stuck::Blocked));
                }
                // ORDERING: Relaxed; a word that has moved on is looked at again.
                if self.tail.load(Ordering::Relaxed) == tail {
                    return Err((item, Stuck::Busy));
                }
            }
        }
    }

    #[inline]
    pub(super) fn get(&self) -> Result<Moved<T>, Stuck> {
        loop {
            // ORDERING: Relaxed; the stamp says whether the position is out of date.
            let head = self.head.load(Ordering::Relaxed);
            let position = head & !MARKS;
            let slot = &self.slots[self.place(position)];
            // ORDERING: Acquire pairs with the Release in `put`: the item is whole.
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == position | FULL {
                if self.move_on(&self.head, head) {
                    let item = slot.item.with_mut(|there| {
                        // SAFETY: the slot has an item, and is ours until its stamp is set.
                        unsafe { there.cast::<T>().read() }
                    });
                    // ORDERING: Release: the item is out before the slot is filled again.
                    slot.stamp.store(position.wrapping_add(self.lap), Ordering::Release);
                    return Ok(Moved { what: item, is_waited_for: head & WAITED != 0 });
                }
            } else if stamp == position {
                // ORDERING: Acquire pairs with the Release of `close`, as in `put`.
                let tail = self.tail.load(Ordering::Acquire);
                if tail & !MARKS == position {
                    return Err(if tail & CLOSED == 0 { Stuck::Blocked } else { Stuck::Closed });
                }
                // ORDERING: Relaxed; as in `put`.
                if self.head.load(Ordering::Relaxed) == head {
                    return Err(Stuck::Busy);
                }
            }
        }
    }

    #[inline]
    fn move_on(&self, word: &AtomicUsize, old: usize) -> bool {
        let new = self.after(old & !MARKS) | old & MARKS;
        // ORDERING: Relaxed, both; what is handed over is ordered by the slot's stamp, and marks by the word itself.
        word.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn is_lap_behind(&self, head: usize, tail: usize) -> bool {
        (head & !MARKS).wrapping_add(self.lap) == tail & !MARKS
    }

    /// Somebody is about to wait for an item. True: there was none, so that each later put will see the mark.
    pub(super) fn mark_waiting_get(&self) -> bool {
        // ORDERING: Relaxed; the mark is seen by each later change of the word, and who sees it takes the lock of the line, under
        // which this is called.
        let tail = self.tail.fetch_or(WAITED, Ordering::Relaxed);
        // ORDERING: Relaxed; if it is out of date the queue does not seem empty, and one looks again.
        let head = self.head.load(Ordering::Relaxed);
        tail & CLOSED == 0 && head & !MARKS == tail & !MARKS
    }

    /// Somebody is about to wait for room. True: there was none, so that each later get will see the mark.
    pub(super) fn mark_waiting_put(&self) -> bool {
        // ORDERING: Relaxed; as in `mark_waiting_get`.
        let head = self.head.fetch_or(WAITED, Ordering::Relaxed);
        // ORDERING: Relaxed; who closes takes the lock of the line afterwards: before this is called, and then the close is
        // seen by that, or later, and then it finds the caller in the line.
        let tail = self.tail.load(Ordering::Relaxed);
        tail & CLOSED == 0 && self.is_lap_behind(head, tail)
    }

    /// Nobody waits for an item any more.
    pub(super) fn unmark_get(&self) {
        // ORDERING: Relaxed; who waits marks under the same lock.
        self.tail.fetch_and(!WAITED, Ordering::Relaxed);
    }

    /// Nobody waits for room any more.
    pub(super) fn unmark_put(&self) {
        // ORDERING: Relaxed; as in `unmark_get`.
        self.head.fetch_and(!WAITED, Ordering::Relaxed);
    }

    /// From now on no item is taken. True: it was not closed before.
    pub(super) fn close(&self) -> bool {
        // ORDERING: Release: who is refused sees what was before. Nothing is read of who has closed it before.
        self.tail.fetch_or(CLOSED, Ordering::Release) & CLOSED == 0
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `close`.
        self.tail.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// How many items there are, those included that are being put or taken out.
    pub(super) fn len(&self) -> usize {
        loop {
            // ORDERING: Acquire, so that the second look comes after the others.
            let tail = self.tail.load(Ordering::Acquire);
            // ORDERING: Acquire, as above.
            let head = self.head.load(Ordering::Acquire);
            // ORDERING: Relaxed; the two belong together if the first has not changed.
            if self.tail.load(Ordering::Relaxed) & !MARKS != tail & !MARKS {
                continue;
            }
            let (from, to) = (self.place(head), self.place(tail));
            return match () {
                () if self.is_lap_behind(head, tail) => self.slots.len(),
                () if from <= to => to - from,
                () => self.slots.len() - from + to,
            };
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while let Ok(moved) = self.get() {
            crate::foreign::drop_contained(moved.what);
        }
    }
}
