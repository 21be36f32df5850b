//! Actors whose handlers wait for each other's replies.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{ActorName, Asking, WouldDeadlock};
use loom::thread;
use support::model;

const NAMES: [&str; 4] = ["zero", "one", "two", "three"];

fn ask(from: usize, to: usize, is_beside: bool) -> Result<Asking, WouldDeadlock> {
    Asking::enter(from, to, is_beside, || ActorName { given: None, kind: NAMES[to] })
}

/// Each of `count` actors, on threads of their own, waits for the next one; none lets go before all have tried.
fn ring(count: usize) {
    let refused = Arc::new(AtomicUsize::new(0));
    let ask_next = move |from: usize, refused: &AtomicUsize| {
        let to = (from + 1) % count;
        let asking = ask(from, to, false);
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
            thread::spawn(move || ask_next(from, &refused))
        })
        .collect();
    let first = ask_next(0, &refused);
    let asked: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
    assert_eq!(refused.load(Relaxed), 1);
    drop((first, asked));
    // Who is done is in nobody's way.
    assert!(ask(0, 1, false).is_ok());
}

#[test]
fn of_a_circle_within_a_thread_the_one_who_closes_it_is_told() {
    model(1, || {
        // The first ticket is the table's.
        drop(ask(0, 1, true));
        let waits = [ask(0, 1, true), ask(1, 2, true)];
        assert!(waits.iter().all(Result::is_ok));
        let circle = ask(2, 0, true).unwrap_err();
        assert_eq!(circle.path(), ["two", "zero", "one"]);
        assert_eq!(ask(3, 3, true).unwrap_err().path(), ["three"]);
        drop(waits);
        assert!(ask(2, 0, true).is_ok());
    });
}

/// A wait within the thread is taken along by one that is not: it is in the table then, and counts all the same.
#[test]
fn of_a_circle_that_was_taken_along_the_one_who_closes_it_is_told() {
    model(1, || {
        // The first ticket is the table's.
        drop(ask(0, 1, true));
        let kept = ask(0, 1, true);
        let takes_along = ask(2, 3, false);
        assert!(kept.is_ok() && takes_along.is_ok());
        assert_eq!(ask(1, 0, true).unwrap_err().path(), ["one", "zero"]);
        drop(kept);
        assert!(ask(1, 0, true).is_ok());
    });
}

/// Two threads have two actors each, 0 and 1, 2 and 3. The first of each waits for the second, which waits for the first of
/// the other thread; in the order that is said. None lets go before all have tried. How many were told?
fn two_of_each(order: [bool; 2]) -> usize {
    let ask_both = |first: usize, other: usize, second_first: bool| {
        // The first ticket is the table's.
        drop(ask(first, first + 1, true));
        let mut both = [(first, first + 1, true), (first + 1, other, false)];
        if second_first {
            both.reverse();
        }
        both.map(|(from, to, is_beside)| ask(from, to, is_beside))
    };
    let there = thread::spawn(move || ask_both(2, 0, order[1]));
    let here = ask_both(0, 2, order[0]);
    let there = there.join().unwrap();
    here.iter().chain(&there).filter(|asked| asked.is_err()).count()
}

#[test]
fn of_a_circle_that_is_partly_within_threads_one_is_told() {
    for order in [[false, false], [false, true], [true, true]] {
        model(2, move || assert_eq!(two_of_each(order), 1));
    }
}

#[test]
fn a_wait_that_another_thread_takes_back_is_in_nobody_s_way() {
    for is_published in [false, true] {
        model(2, move || {
            drop(ask(0, 1, true));
            let waits = if is_published {
                // What is entered for all takes the other along.
                vec![ask(0, 1, true).unwrap(), ask(1, 2, false).unwrap()]
            } else {
                vec![ask(0, 1, true).unwrap()]
            };
            thread::spawn(move || drop(waits)).join().unwrap();
            assert!(ask(1, 0, true).is_ok() && ask(2, 0, false).is_ok());
        });
    }
}

#[test]
fn of_two_actors_that_ask_each_other_one_is_told() {
    model(3, || ring(2));
}

#[test]
fn of_three_actors_in_a_ring_one_is_told() {
    model(2, || ring(3));
}

#[test]
fn an_answer_from_another_thread_ends_the_wait_once() {
    for is_published in [false, true] {
        model(2, move || {
            drop(ask(0, 1, true));
            let asking = ask(0, 1, !is_published).unwrap();
            let asker = asking.asker();
            let answerer = thread::spawn(move || {
                asker.is_answered();
                ask(1, 0, false).is_ok()
            });
            let next = is_published.then(|| ask(2, 0, true).unwrap());
            drop(asking);
            assert!(answerer.join().unwrap());
            assert!(ask(1, 0, true).is_ok());
            drop(next);
        });
    }
}
