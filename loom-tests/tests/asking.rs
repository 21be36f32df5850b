//! Actors whose handlers wait for each other's replies.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{ActorName, Asking};
use loom::thread;
use support::model;

const NAMES: [&str; 3] = ["zero", "one", "two"];

/// Each of `count` actors, on threads of their own, waits for the next one; none lets go before all have tried.
fn ring(count: usize) {
    let refused = Arc::new(AtomicUsize::new(0));
    let ask = move |from: usize, refused: &AtomicUsize| {
        let to = (from + 1) % count;
        let asking = Asking::enter(from, to, || ActorName { given: None, kind: NAMES[to] });
        if let Err(circle) = &asking {
            refused.fetch_add(1, Relaxed);
            let names: Vec<_> = (0..count).map(|step| NAMES[(from + step) % count]).collect();
            assert_eq!(circle.path(), names);
        }
        asking
    };
    let others: Vec<_> = (1..count)
        .map(|from| {
            let refused = Arc::clone(&refused);
            thread::spawn(move || ask(from, &refused))
        })
        .collect();
    let first = ask(0, &refused);
    let asked: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
    assert_eq!(refused.load(Relaxed), 1);
    drop((first, asked));
    // Who is done is in nobody's way.
    assert!(Asking::enter(0, 1, || ActorName { given: None, kind: NAMES[1] }).is_ok());
}

#[test]
fn of_two_actors_that_ask_each_other_one_is_told() {
    model(3, || ring(2));
}

#[test]
fn of_three_actors_in_a_ring_one_is_told() {
    model(2, || ring(3));
}
