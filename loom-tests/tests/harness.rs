//! The net is up: loom sees what it should, in the bridge's own source.
mod support;

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use support::fails;

/// Two threads that read, add and write lose an update. If this one passes, no other model means anything.
#[test]
fn a_lost_update_is_caught() {
    fails(2, &["an update is lost"], || {
        let count = Arc::new(AtomicUsize::new(0));
        let adder = thread::spawn({
            let count = Arc::clone(&count);
            move || count.store(count.load(Ordering::Acquire) + 1, Ordering::Release)
        });
        count.store(count.load(Ordering::Acquire) + 1, Ordering::Release);
        adder.join().unwrap();
        assert_eq!(count.load(Ordering::Acquire), 2, "an update is lost");
    });
}

/// If the library were built from std's atomics, every model would pass and none would prove anything.
#[test]
fn a_bridge_type_outside_of_a_model_panics() {
    let made = std::panic::catch_unwind(|| drop(bridge::Promise::<()>::new()));
    assert!(made.is_err(), "the bridge was built without loom");
}

/// A panic that the bridge contains, and that might be one of loom's, fails the model all the same.
#[test]
fn a_contained_panic_fails_its_model() {
    fails(0, &["nobody meant this"], || {
        let (mut promise, future) = bridge::Promise::new();
        future.add_done_callback(|_| panic!("nobody meant this"));
        promise.set_result(()).unwrap();
    });
}
