//! The net is up: loom sees what it should, in the bridge's own source.
mod support;

use std::sync::Arc;
use std::task::Waker;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use support::{TestBell, is_caught};

use bridge::Bell;

/// Two threads that read, add and write lose an update. If this one passes, no other model means anything.
#[test]
fn a_lost_update_is_caught() {
    assert!(is_caught(2, || {
        let count = Arc::new(AtomicUsize::new(0));
        let adder = thread::spawn({
            let count = Arc::clone(&count);
            move || count.store(count.load(Ordering::Acquire) + 1, Ordering::Release)
        });
        count.store(count.load(Ordering::Acquire) + 1, Ordering::Release);
        adder.join().unwrap();
        assert_eq!(count.load(Ordering::Acquire), 2);
    }));
}

/// If the library were built from std's atomics, every model would pass and none would prove anything.
#[test]
fn a_bridge_type_outside_of_a_model_panics() {
    let made = std::panic::catch_unwind(|| drop(bridge::Promise::<()>::new()));
    assert!(made.is_err(), "the bridge was built without loom");
}

/// The inbox in miniature: a loop that says that it sleeps by a store, and not by a read-modify-write, writes over what
/// came meanwhile. Its other half, with the compare-exchange, passes.
#[test]
fn a_sleep_that_is_stored_loses_a_push() {
    fn sleeping(fall_asleep: fn(&AtomicUsize) -> bool) -> impl Fn() + Send + Sync + 'static {
        const AWAKE: usize = 0;
        const NODE: usize = 2;
        move || {
            let (word, bell) = (Arc::new(AtomicUsize::new(AWAKE)), TestBell::new());
            let producer = thread::spawn({
                let (word, bell) = (Arc::clone(&word), bell.clone());
                move || {
                    if word.swap(NODE, Ordering::AcqRel) != AWAKE {
                        bell.ring();
                    }
                }
            });
            if word.load(Ordering::Acquire) == AWAKE && fall_asleep(&word) {
                bell.wait();
            }
            assert_eq!(word.swap(AWAKE, Ordering::AcqRel), NODE);
            producer.join().unwrap();
        }
    }
    const ASLEEP: usize = 1;
    assert!(is_caught(
        2,
        sleeping(|word| {
            word.store(ASLEEP, Ordering::Release);
            true
        })
    ));
    support::model(
        2,
        sleeping(|word| word.compare_exchange(0, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()),
    );
}

/// RUSTSEC-2026-0005 in miniature: one side gives its share up and uses the memory once more, the other frees it. loom
/// does not see freed memory; it sees the witness, which every shared allocation of the bridge has.
#[test]
fn a_use_after_free_is_caught_by_the_witness() {
    struct Slot {
        alive: UnsafeCell<bool>,
        is_shared: AtomicBool,
        waker: UnsafeCell<Option<Waker>>,
    }
    // SAFETY: loom watches.
    unsafe impl Sync for Slot {}

    fn give_up(slot: &Slot, is_waker_first: bool) {
        let drop_waker = || {
            // SAFETY: loom watches.
            slot.alive.with(|alive| assert!(unsafe { *alive }));
            // SAFETY: loom watches.
            drop(slot.waker.with_mut(|waker| unsafe { (*waker).take() }));
        };
        if is_waker_first {
            drop_waker();
        }
        if !slot.is_shared.swap(false, Ordering::AcqRel) {
            // SAFETY: loom watches.
            slot.alive.with_mut(|alive| unsafe { *alive = false });
        } else if !is_waker_first {
            drop_waker();
        }
    }
    fn both(is_waker_first: bool) {
        let waker = UnsafeCell::new(Some(Waker::noop().clone()));
        let slot = Arc::new(Slot { alive: UnsafeCell::new(true), is_shared: AtomicBool::new(true), waker });
        let sender = thread::spawn({
            let slot = Arc::clone(&slot);
            move || {
                if !slot.is_shared.swap(false, Ordering::AcqRel) {
                    // SAFETY: loom watches.
                    slot.alive.with_mut(|alive| unsafe { *alive = false });
                }
            }
        });
        give_up(&slot, is_waker_first);
        sender.join().unwrap();
    }
    assert!(is_caught(2, || both(false)));
    support::model(2, || both(true));
}
