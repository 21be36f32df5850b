//! The memory that threads leave for each other.
mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bridge::Depot;
use loom::cell::UnsafeCell;
use loom::thread;
use support::model;

/// What each block holds, for loom to watch.
#[derive(Default)]
struct Blocks(Mutex<HashMap<usize, Arc<UnsafeCell<u32>>>>);

// SAFETY: the cells are what loom watches for accesses that are not ordered.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

impl Blocks {
    fn write(&self, block: usize) {
        let holds =
            Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(block).or_default());
        // SAFETY: loom fails the model if another thread's access is concurrent with this one.
        holds.with_mut(|holds| unsafe { *holds += 1 });
    }
}

/// Two threads take so many blocks each time, use them and leave them, so often.
fn take_and_leave(preemptions: usize, blocks_of_a_slab: u32, hands: [usize; 2], times: [usize; 2]) {
    model(preemptions, move || {
        let depot = Arc::new(Depot::small(blocks_of_a_slab, 0));
        let blocks = Arc::new(Blocks::default());
        let user = |hands, times| {
            let (depot, blocks) = (Arc::clone(&depot), Arc::clone(&blocks));
            move || {
                for _ in 0..times {
                    let taken: Vec<_> = (0..hands).map(|_| depot.withdraw_one()).collect();
                    for block in taken {
                        blocks.write(block.as_ptr().addr());
                        // SAFETY: it comes from there, and nobody uses it any more.
                        unsafe { depot.deposit_one(block) };
                    }
                }
            }
        };
        let other = thread::spawn(user(hands[0], times[0]));
        user(hands[1], times[1])();
        other.join().unwrap();
        // Who comes last takes in what was left beside the door.
        user(1, 1)();
    });
}

/// A block is one thread's at a time; who gets it next sees all that was done to it. (And each slab goes back to the system
/// when all of it has come back: loom tells what leaks.)
#[test]
fn a_block_that_is_left_in_the_depot_is_one_threads_at_a_time() {
    take_and_leave(3, 2, [1, 1], [2, 2]);
}

#[test]
fn a_slab_of_one_block_goes_back_and_forth() {
    take_and_leave(3, 1, [1, 1], [2, 2]);
}

/// A block that was left at the door, since somebody was inside, is given to who comes next.
#[test]
fn a_block_that_is_left_at_the_door_is_one_threads_at_a_time() {
    take_and_leave(3, 3, [1, 3], [1, 1]);
}
