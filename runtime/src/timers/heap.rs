//! A heap of timers: the earliest on top.

use std::time::Duration;

/// A timer in a heap. They are ordered by deadline, then by sequence number.
pub(super) trait Entry: Copy + Ord {
    fn slot(&self) -> u32;
}

/// One whose deadline in nanoseconds has 64 bits: with the sequence number and the slot, from the highest bits to the
/// lowest, so that one comparison orders two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near(u128);

impl Near {
    pub(super) fn new(deadline: u64, sequence: u32, slot: u32) -> Self {
        Self(u128::from(deadline) << 64 | u128::from(sequence) << 32 | u128::from(slot))
    }

    pub(super) fn deadline(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl Entry for Near {
    fn slot(&self) -> u32 {
        self.0 as u32
    }
}

/// One that is further away, by centuries, or that never fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Far {
    pub(super) deadline: Duration,
    pub(super) sequence: u64,
    pub(super) slot: u32,
}

impl Entry for Far {
    fn slot(&self) -> u32 {
        self.slot
    }
}

/// Each entry has so many below it. Four are half as deep as two, and lie beside each other in memory.
const CHILDREN: usize = 4;

/// See the [module](self). No entry is later than those below it.
#[derive(Debug)]
pub(super) struct Heap<E>(Vec<E>);

impl<E: Entry> Heap<E> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<E> {
        self.0.first().copied()
    }

    pub(super) fn push(&mut self, entry: E) {
        self.0.push(entry);
        let mut place = self.0.len() - 1;
        while place > 0 {
            let above = (place - 1) / CHILDREN;
            if self.0[above] <= entry {
                break;
            }
            self.0[place] = self.0[above];
            place = above;
        }
        self.0[place] = entry;
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        let last = self.0.pop()?;
        let Some(first) = self.0.first_mut() else { return Some(last) };
        let popped = std::mem::replace(first, last);
        self.sink(0);
        Some(popped)
    }

    /// Pops those on top that are not kept.
    pub(super) fn drop_top_until(&mut self, mut is_kept: impl FnMut(&E) -> bool) {
        while self.0.first().is_some_and(|top| !is_kept(top)) {
            self.pop();
        }
    }

    pub(super) fn retain(&mut self, is_kept: impl FnMut(&E) -> bool) {
        self.0.retain(is_kept);
        for place in (0..self.0.len().div_ceil(CHILDREN)).rev() {
            self.sink(place);
        }
    }

    /// All entries, from the earliest to the latest. The heap stays one, whatever is changed that keeps this order.
    pub(super) fn sorted(&mut self) -> &mut Vec<E> {
        self.0.sort_unstable();
        &mut self.0
    }

    /// Moves an entry down until none below it is earlier.
    fn sink(&mut self, mut place: usize) {
        let entry = self.0[place];
        loop {
            let begin = (place * CHILDREN + 1).min(self.0.len());
            let end = (begin + CHILDREN).min(self.0.len());
            let below = self.0[begin..end].iter().enumerate();
            let Some((nth, &earliest)) = below.min_by_key(|(_, below)| **below) else { break };
            if entry <= earliest {
                break;
            }
            self.0[place] = earliest;
            place = begin + nth;
        }
        self.0[place] = entry;
    }
}
