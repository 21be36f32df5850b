//! How much a loop has to do, for those who choose among several.
//!
//! What is under way is what was submitted, less what the loop has taken up, and its tasks that have not ended. The first
//! is counted where each push writes anyway; the other two are the loop's own, which tells them once a turn. So a task's
//! end costs nothing, and a burst of submissions is seen at once.

use crate::core::LoopCore;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What a loop tells of its load. All of it is a hint.
pub(crate) struct Load {
    /// Is it 0, nobody counts.
    is_counted: AtomicU32,
    /// How many submissions it has taken up, modulo 2^32, and how many tasks it has.
    at_home: AtomicU64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { is_counted: AtomicU32::new(0), at_home: AtomicU64::new(0) }
    }
}

impl LoopCore {
    /// From now on it is counted. What was submitted before is not.
    pub(crate) fn count_load(&self) {
        // ORDERING: Relaxed, here and below: nothing is concluded from the numbers but where to submit next.
        self.load.is_counted.store(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn counts_load(&self) -> bool {
        // ORDERING: Relaxed; a hint.
        self.load.is_counted.load(Ordering::Relaxed) != 0
    }

    /// A submission is about to be handed in.
    #[inline]
    pub(crate) fn note_submission(&self) {
        if self.counts_load() {
            // ORDERING: Relaxed; a hint.
            self.door.submitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Home: tells the load as it is at this turn.
    #[inline]
    pub(crate) fn tell_load(&self) {
        if self.counts_load() {
            let (taken_up, tasks) = self.on_home(|home| (home.taken_up, home.tasks.len()));
            let now = (u64::from(taken_up) << 32) | (tasks as u64 & u64::from(u32::MAX));
            // ORDERING: Relaxed, both; a hint. Read first, as a write takes the cache line from others.
            if self.load.at_home.load(Ordering::Relaxed) != now {
                self.load.at_home.store(now, Ordering::Relaxed);
            }
        }
    }

    /// How much is under way, as of the loop's last turn and the last submission.
    pub(crate) fn current_load(&self) -> usize {
        // ORDERING: Relaxed; a hint.
        let at_home = self.load.at_home.load(Ordering::Relaxed);
        // ORDERING: Relaxed; a hint.
        let submitted = self.door.submitted.load(Ordering::Relaxed);
        let [a, b, c, d, e, f, g, h] = at_home.to_le_bytes();
        let (tasks, taken_up) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        // The submission may not be seen yet whose taking up is.
        let waiting = submitted.wrapping_sub(taken_up).cast_signed().max(0).cast_unsigned();
        waiting as usize + tasks as usize
    }
}
