//! Timers that are not near: in piles by their time, so that most of them are moved a few times and compared with none.

use std::mem;

/// Each level goes by so many bits of a deadline.
const BITS: u32 = 6;
const DIGITS: usize = 1 << BITS;
const LEVELS: usize = (u64::BITS.div_ceil(BITS)) as usize;

/// A timer in a pile. It has no number: who is piled up stays in the order of coming.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    /// Nanoseconds, the higher half first: as a `u64` it would take four bytes more.
    deadline: [u32; 2],
    slot: u32,
}

impl Later {
    pub(super) fn new(deadline: u64, slot: u32) -> Self {
        Self { deadline: [(deadline >> 32) as u32, deadline as u32], slot }
    }

    pub(super) fn deadline(self) -> u64 {
        u64::from(self.deadline[0]) << 32 | u64::from(self.deadline[1])
    }

    pub(super) fn slot(self) -> u32 {
        self.slot
    }
}

/// All deadlines here are later than `after`. A deadline's level is that of the highest digit in which it differs from
/// `after`, and its pile is that of its digit there. So all on a level are earlier than those on a higher one, those of a
/// digit are earlier than those of a higher one, and equal deadlines lie in one pile.
#[derive(Debug)]
pub(super) struct Piles {
    after: u64,
    /// By level and digit. None at all before the first is needed.
    piles: Vec<Vec<Later>>,
    /// Of each level, a bit for each digit whose pile is not empty.
    occupied: [u64; LEVELS],
    count: usize,
}

fn level(after: u64, deadline: u64) -> usize {
    ((after ^ deadline).ilog2() / BITS) as usize
}

fn digit(deadline: u64, level: usize) -> usize {
    (deadline >> (level as u32 * BITS)) as usize % DIGITS
}

impl Piles {
    pub(super) fn new() -> Self {
        Self { after: 0, piles: Vec::new(), occupied: [0; LEVELS], count: 0 }
    }

    pub(super) fn after(&self) -> u64 {
        self.after
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, entry: Later) {
        debug_assert!(entry.deadline() > self.after);
        if self.piles.is_empty() {
            self.piles.resize_with(LEVELS * DIGITS, Vec::new);
        }
        let level = level(self.after, entry.deadline());
        self.pile(level, digit(entry.deadline(), level)).push(entry);
        self.count += 1;
    }

    /// For who puts something there.
    fn pile(&mut self, level: usize, digit: usize) -> &mut Vec<Later> {
        self.occupied[level] |= 1 << digit;
        &mut self.piles[level * DIGITS + digit]
    }

    fn take(&mut self, level: usize, digit: usize) -> Vec<Later> {
        self.occupied[level] &= !(1 << digit);
        mem::take(&mut self.piles[level * DIGITS + digit])
    }

    fn take_first_of(&mut self, level: usize) -> Option<Vec<Later>> {
        let digit = self.occupied[level].trailing_zeros() as usize;
        (digit < DIGITS).then(|| self.take(level, digit))
    }

    /// Takes the pile with the earliest deadlines. Then `after` is to become one of them.
    pub(super) fn take_first(&mut self) -> Option<Vec<Later>> {
        let pile = (0..LEVELS).find_map(|level| self.take_first_of(level))?;
        self.count -= pile.len();
        Some(pile)
    }

    /// Nothing is here, or `after` is a deadline of the pile that was just taken: all others stay where they are.
    pub(super) fn raise(&mut self, after: u64) {
        self.after = after;
    }

    /// What is on levels below the highest digit that changes belongs to one pile of that level.
    pub(super) fn lower(&mut self, after: u64) {
        debug_assert!(after < self.after);
        let highest = level(after, self.after);
        for lower in 0..highest {
            while let Some(pile) = self.take_first_of(lower) {
                self.pile(highest, digit(self.after, highest)).extend(pile);
            }
        }
        self.after = after;
    }

    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(Later) -> bool) {
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            for digit in (0..DIGITS).filter(|digit| occupied >> digit & 1 == 1) {
                let mut pile = self.take(level, digit);
                self.count -= pile.len();
                pile.retain(|entry| is_kept(*entry));
                self.count += pile.len();
                if !pile.is_empty() {
                    *self.pile(level, digit) = pile;
                }
            }
        }
    }
}
