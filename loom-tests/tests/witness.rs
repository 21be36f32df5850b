//! Who hears of a future's end, against who brings it.
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{Panicked, Promise, Witness};
use loom::sync::Arc;
use loom::thread;
use support::{Ledger, model, wait_for};

/// How a promise brings its end.
const ENDS: [fn(Promise<()>); 3] = [
    |mut promise| promise.set_result(()).unwrap(),
    |mut promise| promise.set_exception(Panicked::new(Box::new(support::MEANT))).unwrap(),
    drop,
];

/// One blocks, another one awaits, and the future is gone: both hear of the end.
#[test]
fn an_end_against_two_who_wait_for_it_is_heard_by_both() {
    for end in ENDS {
        model(2, move || {
            let (promise, future) = Promise::new();
            let (blocked, awaiting) = (future.witness(), future.witness());
            drop(future);
            let waits = [
                thread::spawn(move || assert!(blocked.wait(None).is_ok() && blocked.done())),
                thread::spawn(move || wait_for(awaiting)),
            ];
            end(promise);
            support::join_all(waits);
        });
    }
}

/// A watch is put up and taken back or left, as the end comes: told once, or not if it was taken back; what it holds is
/// dropped once.
#[test]
fn a_watch_against_an_end_is_told_once_or_taken_back() {
    for end in ENDS {
        for is_kept in [true, false] {
            model(3, move || {
                let ledger = Ledger::default();
                let (promise, future) = Promise::new();
                let (told, value) = (Arc::new(AtomicUsize::new(0)), ledger.value());
                let counts = Arc::clone(&told);
                let other = thread::spawn(move || end(promise));
                let tell = move |witness: &Witness| {
                    assert!(witness.done() && value.get() == 1);
                    counts.fetch_add(1, Relaxed);
                };
                let watch = future.witness().watch(tell);
                if is_kept {
                    watch.keep()
                } else {
                    drop(watch)
                }
                other.join().unwrap();
                assert!(told.load(Relaxed) == 1 || !is_kept && told.load(Relaxed) == 0);
                drop(future);
                ledger.check();
            });
        }
    }
}

/// Who awaits gives up as the end comes.
#[test]
fn a_wait_that_is_given_up_against_an_end_leaves_nothing() {
    for end in ENDS {
        model(3, move || {
            let (promise, future) = Promise::new();
            let (bell, mut witness) = (support::TestBell::new(), future.witness());
            let other = thread::spawn(move || end(promise));
            let is_there = support::poll_once(&mut witness, &support::ringing(&bell)).is_ready();
            drop(witness);
            assert!(!is_there || future.done());
            other.join().unwrap();
        });
    }
}
