//! A list that some read while others change it.
mod support;

use bridge::Members;
use loom::sync::Arc;
use loom::thread;
use support::{Ledger, Value, model};

/// A list of numbered values.
fn members(ledger: &Ledger, numbers: &[u32]) -> Members<Arc<Value>> {
    Members::new(numbers.iter().map(|number| Arc::new(ledger.value_of(*number))).collect())
}

fn numbers(values: &[Arc<Value>]) -> Vec<u32> {
    values.iter().map(|value| value.get()).collect()
}

#[test]
fn a_look_against_a_change_sees_the_whole_of_either() {
    model(3, || {
        let ledger = Ledger::default();
        let members = members(&ledger, &[1]);
        let (other, new) = (members.clone(), Arc::new(ledger.value_of(2)));
        let adds = thread::spawn(move || other.change(|list| list.push(new)));
        let mut seen = members.look();
        members.refresh(&mut seen);
        assert!([&[1][..], &[1, 2]].contains(&&*numbers(&seen)));
        adds.join().unwrap();
        members.refresh(&mut seen);
        assert_eq!(numbers(&seen), [1, 2]);
        drop((seen, members));
        ledger.check();
    });
}

#[test]
fn of_two_changes_both_count() {
    model(3, || {
        let ledger = Ledger::default();
        let members = members(&ledger, &[1]);
        let (other, new) = (members.clone(), Arc::new(ledger.value_of(2)));
        let adds = thread::spawn(move || other.change(|list| list.push(new)));
        let removed = members.change(|list| list.swap_remove(0));
        assert_eq!(removed.get(), 1);
        adds.join().unwrap();
        assert_eq!(numbers(&members.look()), [2]);
        drop((removed, members));
        ledger.check();
    });
}

/// Two change it, and one who has looked in between, or not, sees both in the end.
#[test]
fn two_changes_against_a_look_are_both_seen() {
    model(2, || {
        let ledger = Ledger::default();
        let members = members(&ledger, &[1]);
        let changers = [2, 3].map(|number| {
            let (members, new) = (members.clone(), Arc::new(ledger.value_of(number)));
            thread::spawn(move || members.change(|list| list.push(new)))
        });
        let mut seen = members.look();
        support::join_all(changers);
        members.refresh(&mut seen);
        let mut numbers = numbers(&seen);
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        drop((seen, members));
        ledger.check();
    });
}

#[test]
fn who_is_told_of_a_change_sees_it() {
    model(3, || {
        let ledger = Ledger::default();
        let members = members(&ledger, &[1]);
        let mut seen = members.look();
        let (told, tell) = (Arc::new(loom::sync::Mutex::new(false)), members.clone());
        let is_told = Arc::clone(&told);
        let new = Arc::new(ledger.value_of(2));
        let changes = thread::spawn(move || {
            tell.change(|list| list.push(new));
            *is_told.lock().unwrap() = true;
        });
        if *told.lock().unwrap() {
            members.refresh(&mut seen);
            assert_eq!(numbers(&seen), [1, 2]);
        }
        changes.join().unwrap();
        drop((seen, members));
        ledger.check();
    });
}

#[test]
fn what_was_taken_out_lives_as_long_as_somebody_sees_it() {
    model(3, || {
        let ledger = Ledger::default();
        let members = members(&ledger, &[1]);
        let (seen, other) = (members.look(), members.clone());
        let removes = thread::spawn(move || drop(other.change(|list| list.pop())));
        assert_eq!(numbers(&seen), [1]);
        drop(seen);
        removes.join().unwrap();
        assert_eq!((members.look().len(), ledger.dropped()), (0, 1));
        drop(members);
        ledger.check();
    });
}

#[test]
fn each_asker_gets_a_number_of_its_own() {
    model(3, || {
        let members = Members::new(vec![()]);
        let other = members.clone();
        let asks = thread::spawn(move || other.next());
        let mut numbers = [members.next(), asks.join().unwrap()];
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1]);
    });
}
