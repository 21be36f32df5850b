//! Who sits where: who looks while a seat is given anew, and while the roster is closed.
mod support;

use std::sync::Arc;

use bridge::Roster;
use loom::thread;
use support::{Ledger, join_all, model};

/// Who looks as a seat is given anew finds a whole one, the old or the new, and what it has found stays.
#[test]
fn a_look_against_a_replacement_finds_a_whole_one_that_stays() {
    model(3, || {
        let ledger = Ledger::default();
        let roster = Arc::new(Roster::new([ledger.value_of(1)]));
        let other = thread::spawn({
            let roster = Arc::clone(&roster);
            move || {
                let found = roster.get(0).unwrap();
                let number = found.get();
                let later = roster.get(0).unwrap().get();
                assert!(number <= later && found.get() == number);
            }
        });
        assert!(roster.replace(0, ledger.value_of(2)).is_ok());
        other.join().unwrap();
        assert_eq!((roster.get(0).unwrap().get(), roster.generation(0)), (2, Some(1)));
        drop(roster);
        ledger.check();
    });
}

/// Once a roster is closed nothing changes, and who comes too late has the value back.
#[test]
fn a_replacement_against_a_close_is_seen_or_comes_back() {
    model(3, || {
        let ledger = Ledger::default();
        let roster = Arc::new(Roster::new([ledger.value_of(1)]));
        let others = [2, 3].map(|number| {
            let (roster, value) = (Arc::clone(&roster), ledger.value_of(number));
            thread::spawn(move || drop(roster.replace(0, value)))
        });
        assert!(roster.close());
        let (seated, generation) = (roster.get(0).unwrap().get(), roster.generation(0));
        join_all(others);
        assert_eq!((roster.get(0).unwrap().get(), roster.generation(0)), (seated, generation));
        drop(roster);
        ledger.check();
    });
}

/// Those who ask for the next seat at once get different ones.
#[test]
fn two_who_ask_at_once_get_the_two_next_seats() {
    model(3, || {
        let roster = Arc::new(Roster::new([(), ()]));
        let other = thread::spawn({
            let roster = Arc::clone(&roster);
            move || roster.next()
        });
        let mine = roster.next();
        assert_eq!(mine + other.join().unwrap(), 1);
    });
}
