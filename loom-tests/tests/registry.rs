//! What is found by its name, while it comes and goes.
mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bridge::NameEntry;
use loom::sync::Arc;
use loom::thread;
use support::{Ledger, Value, model};

/// A value, and whether it is still of use. The flag orders nothing.
#[derive(Clone)]
struct Named(Arc<Value>, std::sync::Arc<AtomicBool>);

impl Named {
    fn new(ledger: &Ledger, number: u32) -> Self {
        Self(Arc::new(ledger.value_of(number)), std::sync::Arc::new(AtomicBool::new(true)))
    }

    fn is_of_use(&self) -> bool {
        self.1.load(Relaxed)
    }
}

fn enter(named: Named) -> Option<NameEntry> {
    NameEntry::enter("name".into(), named, Named::is_of_use).ok()
}

fn found() -> Option<u32> {
    NameEntry::find::<Named>("name").map(|named| named.0.get())
}

#[test]
fn of_two_that_enter_by_one_name_one_is_refused() {
    model(3, || {
        let ledger = Ledger::default();
        let (first, second) = (Named::new(&ledger, 1), Named::new(&ledger, 2));
        let other = thread::spawn(move || enter(second));
        let (first, second) = (enter(first), other.join().unwrap());
        let winner = if first.is_some() { 1 } else { 2 };
        assert!(first.is_some() != second.is_some());
        assert_eq!(found(), Some(winner));
        drop((first, second));
        assert_eq!(found(), None);
        ledger.check();
    });
}

#[test]
fn a_look_against_an_entry_that_goes_finds_it_whole_or_not() {
    model(3, || {
        let ledger = Ledger::default();
        let entry = enter(Named::new(&ledger, 1));
        let other = thread::spawn(|| assert!(found().is_none_or(|number| number == 1)));
        drop(entry);
        assert_eq!(found(), None);
        other.join().unwrap();
        ledger.check();
    });
}

#[test]
fn an_entry_that_goes_leaves_the_name_to_who_comes() {
    model(3, || {
        let ledger = Ledger::default();
        let (first, second) = (Named::new(&ledger, 1), Named::new(&ledger, 2));
        let entry = enter(first);
        let other = thread::spawn(move || enter(second));
        drop(entry);
        let second = other.join().unwrap();
        assert_eq!(found(), second.as_ref().map(|_| 2));
        drop(second);
        ledger.check();
    });
}

#[test]
fn one_that_is_of_no_use_is_in_nobodys_way_and_takes_no_other_out() {
    model(2, || {
        let ledger = Ledger::default();
        let first = Named::new(&ledger, 1);
        first.1.store(false, Relaxed);
        let entry = enter(first);
        let come = |number| {
            let named = Named::new(&ledger, number);
            thread::spawn(move || enter(named))
        };
        let others = [come(2), come(3)];
        drop(entry);
        let [second, third] = others.map(|other| other.join().unwrap());
        assert!(second.is_some() != third.is_some());
        assert_eq!(found(), Some(if second.is_some() { 2 } else { 3 }));
        drop((second, third));
        ledger.check();
    });
}

#[test]
fn who_is_taken_out_twice_is_so_once() {
    model(3, || {
        let ledger = Ledger::default();
        let entry = enter(Named::new(&ledger, 1));
        let remove = || NameEntry::remove("name", |named: &Named| named.0.get() == 1);
        let other = thread::spawn(remove);
        assert!(remove() != other.join().unwrap());
        drop(entry);
        ledger.check();
    });
}
