//! The bell of a loop by itself: rung by several threads, hung up and taken down by one.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{Belfry, Bell};
use loom::cell::UnsafeCell;
use loom::thread;
use support::{join_all, model};

/// A bell that breaks when it is rung while it is dropped, or later.
struct Brittle {
    metal: UnsafeCell<u32>,
    gone: Arc<AtomicUsize>,
}

impl Brittle {
    fn cast(gone: &Arc<AtomicUsize>) -> Option<Box<dyn Bell>> {
        Some(Box::new(Self { metal: UnsafeCell::new(0), gone: Arc::clone(gone) }))
    }
}

// SAFETY: the cell is what loom watches for accesses that are not ordered.
unsafe impl Sync for Brittle {}

impl Bell for Brittle {
    fn ring(&self) {
        // SAFETY: loom fails the model if the bell is dropped meanwhile.
        assert_eq!(self.metal.with(|metal| unsafe { *metal }), 0, "rung when it was gone");
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        // SAFETY: loom fails the model if somebody rings meanwhile.
        self.metal.with_mut(|metal| unsafe { *metal = 1 });
        self.gone.fetch_add(1, Relaxed);
    }
}

/// So many threads, each ringing so often, while home hangs up so many other bells: each bell that was taken down is gone
/// when all are done, once, and the last one with the belfry.
fn ring_and_replace(preemptions: usize, ringers: usize, rings: usize, bells: usize) {
    model(preemptions, move || {
        let gone = Arc::new(AtomicUsize::new(0));
        let belfry = Arc::new(Belfry::new(Brittle::cast(&gone).unwrap()));
        let ringer = |_| {
            let belfry = Arc::clone(&belfry);
            thread::spawn(move || (0..rings).for_each(|_| belfry.ring()))
        };
        let ringers: Vec<_> = (0..ringers).map(ringer).collect();
        (0..bells).for_each(|_| belfry.replace(Brittle::cast(&gone)));
        join_all(ringers);
        assert_eq!(gone.load(Relaxed), bells, "the bells that were taken down");
        drop(belfry);
        assert_eq!(gone.load(Relaxed), bells + 1, "all bells");
    });
}

#[test]
fn a_bell_that_is_rung_while_it_is_replaced_goes_after_the_ring() {
    ring_and_replace(4, 1, 2, 1);
}

#[test]
fn a_bell_that_two_ring_while_it_is_replaced_goes_after_both() {
    ring_and_replace(3, 2, 1, 1);
}

#[test]
fn bells_that_are_replaced_in_a_row_go_one_by_one() {
    ring_and_replace(3, 2, 1, 2);
}
