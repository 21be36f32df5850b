//! The one-word inbox, and a loop that goes to sleep on it.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bridge::{Bell, Remote, Spin};
use loom::thread::{self, JoinHandle};
use support::{Driver, Ledger, model};

/// Hands in a callback that reads a value and drops it.
fn call(remote: &Remote, ledger: &Ledger) {
    let value = ledger.value();
    remote.call(move || assert_eq!(value.get(), 1)).expect("the loop is open");
}

fn producer(driver: &Driver, ledger: &Ledger, calls: usize) -> JoinHandle<()> {
    let (remote, ledger) = (driver.remote(), ledger.clone());
    thread::spawn(move || (0..calls).for_each(|_| call(&remote, &ledger)))
}

fn run(producers: usize, calls: usize) {
    let ledger = Ledger::default();
    let driver = Driver::new();
    let producers: Vec<_> = (0..producers).map(|_| producer(&driver, &ledger, calls)).collect();
    driver.run_until_dropped(&ledger, producers.len() * calls);
    for producer in producers {
        producer.join().unwrap();
    }
    ledger.check();
}

/// A push that comes between the loop's last look and its sleep would wait for the next push, perhaps for ever. A lost
/// one shows as a deadlock.
#[test]
fn one_push_wakes_a_loop_that_falls_asleep() {
    model(3, || run(1, 1));
}

/// The second push of a producer meets a loop that is just taking the first one, runs it, or sleeps again.
#[test]
fn two_pushes_in_a_row_wake_a_loop_that_falls_asleep() {
    model(3, || run(1, 2));
}

/// One of two producers finds the loop asleep and rings; the other's node rides along without a ring.
#[test]
fn two_producers_wake_a_loop_that_falls_asleep() {
    model(2, || run(2, 1));
}

/// A ring that means nothing makes the loop look once and sleep again; then it must not take the second sleep for
/// the first.
#[test]
fn a_ring_without_a_push_lets_the_loop_sleep_again() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let ringer = thread::spawn({
            let bell = driver.bell.clone();
            move || bell.ring()
        });
        let producer = producer(&driver, &ledger, 1);
        driver.run_until_dropped(&ledger, 1);
        producer.join().unwrap();
        ringer.join().unwrap();
        ledger.check();
    });
}

/// A loop that only looks, and sleeps and is awake again without having waited, takes what came meanwhile.
#[test]
fn a_loop_that_gives_its_sleep_up_takes_what_came() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producer = producer(&driver, &ledger, 1);
        driver.home.look(std::time::Duration::MAX);
        let _ = driver.home.fall_asleep();
        // As after a timer: nobody has rung.
        driver.turn();
        driver.run_until_dropped(&ledger, 1);
        producer.join().unwrap();
        ledger.check();
    });
}

/// Who looks before it sleeps must not take a look that found nothing for a sleep, nor one that found something for
/// having taken it. (All other models look once, without a loop.)
#[test]
fn a_look_before_the_sleep_loses_nothing() {
    model(1, || {
        let ledger = Ledger::default();
        let driver = Driver::spinning(Spin::For(Duration::ZERO));
        let asker = thread::spawn({
            let (remote, value) = (driver.remote(), ledger.value());
            move || assert_eq!(remote.submit::<(), _>((), async move { value.get() }).result(), Ok(1))
        });
        driver.run_until(|| driver.home.look(std::time::Duration::MAX) || ledger.dropped() == 1);
        driver.run_until_ended(&ledger, 1);
        asker.join().unwrap();
        ledger.check();
    });
}

/// The list in the inbox has the newest in front: taken the wrong way round, or in two pieces, it would run one
/// producer's work out of order.
#[test]
fn each_producers_work_runs_in_its_order() {
    model(2, || {
        let driver = Driver::new();
        let last = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
        let producers = last.clone().map(|last| {
            let remote = driver.remote();
            thread::spawn(move || {
                for number in 1..=2 {
                    let last = Arc::clone(&last);
                    let run = move || assert_eq!(last.swap(number, Relaxed), number - 1);
                    remote.call(run).expect("the loop is open");
                }
            })
        });
        driver.run_until(|| last.iter().all(|last| last.load(Relaxed) == 2));
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// The bell is replaced while a producer rings: the loop waits on the new one, so that one has to be rung.
#[test]
fn a_loop_that_has_replaced_its_bell_is_woken() {
    model(2, || {
        let ledger = Ledger::default();
        let mut driver = Driver::new();
        let producer = producer(&driver, &ledger, 1);
        let bell = support::TestBell::new();
        driver.home.replace_bell(Box::new(bell.clone()));
        driver.bell = bell;
        driver.run_until_dropped(&ledger, 1);
        producer.join().unwrap();
        ledger.check();
    });
}

/// A handle that is made from the number of a loop that closes is refused, or keeps the loop's core.
#[test]
fn a_loop_that_closes_is_found_open_or_not_at_all() {
    model(2, || {
        let driver = Driver::new();
        let id = driver.home.id();
        let finder = thread::spawn(move || {
            if let Some(remote) = Remote::find(id) {
                assert_eq!(remote.name(), "loop");
                drop(remote.call(|| {}));
            }
        });
        drop(driver);
        finder.join().unwrap();
    });
}
