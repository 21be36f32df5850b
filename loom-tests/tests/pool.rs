//! The memory that threads leave for each other.
mod support;

use std::sync::Arc;

use bridge::Depot;
use loom::cell::UnsafeCell;
use loom::thread;
use support::model;

/// What is taken out was left there by one thread, which does not touch it any more; nothing is given to two.
#[test]
fn what_is_left_in_the_depot_is_one_threads_at_a_time() {
    model(3, || {
        let depot = Arc::new(Depot::default());
        let taker = thread::spawn({
            let depot = Arc::clone(&depot);
            move || take_and_write(&depot)
        });
        let block = Box::new(UnsafeCell::new(0));
        // SAFETY: it is ours until it is left in the depot.
        block.with_mut(|block| unsafe { *block = 1 });
        let left = depot.deposit(block, 1);
        let taken = usize::from(take_and_write(&depot));
        let taken = taken + usize::from(taker.join().unwrap());
        assert!(taken <= usize::from(left.is_ok()), "given to two");
    });
}

fn take_and_write(depot: &Depot<Box<UnsafeCell<u32>>>) -> bool {
    let Some(block) = depot.withdraw() else { return false };
    // SAFETY: loom fails the model if another thread's access is concurrent with this one.
    block.with_mut(|block| unsafe { *block += 1 });
    true
}
