//! The one-word inbox, and a loop that goes to sleep on it.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bridge::{Bell, Remote, Spin};
use loom::thread::{self, JoinHandle};
use support::{Coalescing, Driver, Ledger, Shared, TestBell, join_all, model};

/// Hands in a callback that reads a value and drops it.
fn call(remote: &Remote, ledger: &Ledger) {
    let value = ledger.value();
    remote.call(move || assert_eq!(value.get(), 1)).expect("the loop is open");
}

fn producer(driver: &Driver, ledger: &Ledger, calls: usize) -> JoinHandle<()> {
    let (remote, ledger) = (driver.remote(), ledger.clone());
    thread::spawn(move || (0..calls).for_each(|_| call(&remote, &ledger)))
}

/// Each of so many producers hands in so many calls, which all run, in its order.
fn run(producers: usize, calls: usize) {
    let ledger = Ledger::default();
    let driver = Driver::new();
    let producer = |_| {
        let (remote, ledger, last) = (driver.remote(), ledger.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for number in 1..=calls {
                let (value, last) = (ledger.value(), Arc::clone(&last));
                let check = move || {
                    assert_eq!(value.get(), 1);
                    assert_eq!(last.swap(number, Relaxed), number - 1, "out of order");
                };
                remote.call(check).expect("the loop is open");
            }
        })
    };
    let threads: Vec<_> = (0..producers).map(producer).collect();
    driver.run_until_dropped(&ledger, producers * calls);
    join_all(threads);
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

/// A loop that only looks, and sleeps and is awake again without having waited, since a task of its own has work, takes
/// what came meanwhile; and of one push it hears one ring at the most.
#[test]
fn a_loop_that_gives_its_sleep_up_takes_what_came() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producer = producer(&driver, &ledger, 1);
        driver.home.look(std::time::Duration::MAX);
        let _ = driver.home.fall_asleep();
        let local = driver.home.spawn(|| (), async { 7 });
        driver.turn();
        assert_eq!(local.take(), Some(Ok(7)));
        driver.run_until_dropped(&ledger, 1);
        producer.join().unwrap();
        assert!(driver.bell.rings() <= 1);
        ledger.check();
    });
}

/// A sleep with a deadline ends by a push or by its time, here a thread that strikes the bell. Either way the loop is
/// awake after it has collected, so who pushes then need not ring, and does not.
#[test]
fn a_push_after_a_sleep_that_timed_out_rings_nobody() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producer = producer(&driver, &ledger, 1);
        let timer = thread::spawn({
            let bell = driver.bell.clone();
            move || bell.strike()
        });
        driver.sleep();
        driver.turn();
        let has_run = ledger.dropped() == 1;
        join_all([producer, timer]);
        assert!(driver.bell.rings() <= usize::from(has_run), "rung though it was awake");
        driver.turn();
        ledger.check();
    });
}

/// A poller's own bell rings once for rings that come together. Who finds its flag up writes nothing, so the inbox must
/// not rest on that.
#[test]
fn a_bell_that_joins_rings_wakes_a_loop_for_each_push() {
    model(3, || {
        let ledger = Ledger::default();
        let bell = Coalescing::new();
        let driver = Driver::with_bell("loop", Spin::Never, bell.clone(), bell.bell.clone());
        let producers = [(); 2].map(|()| producer(&driver, &ledger, 1));
        driver.turn();
        while ledger.dropped() < 2 {
            if driver.home.fall_asleep() {
                bell.wait();
            }
            driver.turn();
        }
        join_all(producers);
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
    model(2, || run(2, 2));
}

/// Of three producers two may be between their look at the word and their change of it.
#[test]
fn three_producers_wake_a_loop_that_falls_asleep() {
    model(1, || run(3, 1));
}

/// The bell is replaced while a producer rings: the loop waits on the new one, so that one has to be rung.
#[test]
fn a_loop_that_has_replaced_its_bell_is_woken() {
    model(2, || {
        let ledger = Ledger::default();
        let mut driver = Driver::new();
        let producer = producer(&driver, &ledger, 1);
        let bell = TestBell::new();
        driver.home.replace_bell(Box::new(bell.clone()));
        driver.bell = bell;
        driver.run_until_dropped(&ledger, 1);
        producer.join().unwrap();
        ledger.check();
    });
}

/// A bell that fails the model if it is rung when it is gone.
struct Mortal {
    bell: TestBell,
    is_gone: Shared,
}

impl Bell for Mortal {
    fn ring(&self) {
        assert_eq!(self.is_gone.get(), 0, "rung when it was gone");
        self.bell.ring();
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.is_gone.add();
    }
}

/// libuv #2226 and its kind: two producers ring a loop that sleeps while it wakes for another reason, takes another bell,
/// closes and is gone. A bell that is gone is not rung.
#[test]
fn l_bell_ring_vs_close() {
    model(2, || {
        let bell = || Mortal { bell: TestBell::new(), is_gone: Shared::new() };
        let driver = Driver::with_bell("loop", Spin::Never, bell(), TestBell::new());
        assert!(driver.home.fall_asleep());
        let submitter = thread::spawn({
            let remote = driver.remote();
            move || drop(remote.submit::<(), _>((), async {}))
        });
        let caller = thread::spawn({
            let remote = driver.remote();
            move || drop(remote.call(|| {}))
        });
        driver.home.replace_bell(Box::new(bell()));
        drop(driver);
        join_all([submitter, caller]);
    });
}

/// A producer that is inside of a ring while the bell is replaced clears the old one away when it leaves. Its next ring is
/// the new bell's.
#[test]
fn a_ring_that_clears_a_bell_away_is_the_last_of_that_bell() {
    model(2, || {
        let (bell, is_gone) = (TestBell::new(), Shared::new());
        let mortal = Mortal { bell: bell.clone(), is_gone };
        let driver = Driver::with_bell("loop", Spin::Never, mortal, bell);
        assert!(driver.home.fall_asleep());
        let producer = thread::spawn({
            let remote = driver.remote();
            move || (0..2).for_each(|_| drop(remote.call(|| {})))
        });
        driver.bell.wait();
        driver.turn();
        let _ = driver.home.fall_asleep();
        driver.home.replace_bell(Box::new(TestBell::new()));
        producer.join().unwrap();
        driver.turn();
    });
}

/// A handle that is made from the number of a loop that closes is refused, or keeps the loop's core. It never reaches
/// the loop that the thread makes next.
#[test]
fn a_loop_that_closes_is_found_open_or_not_at_all() {
    model(3, || {
        let driver = Driver::new();
        let id = driver.home.id();
        let stale = thread::spawn({
            let remote = driver.remote();
            move || drop(remote.call(|| {}))
        });
        let finder = thread::spawn(move || {
            if let Some(remote) = Remote::find(id) {
                assert_eq!(remote.name(), "loop");
                drop(remote.call(|| {}));
            }
        });
        drop(driver);
        let next = Driver::named("next");
        assert_ne!(next.home.id(), id);
        join_all([stale, finder]);
        next.home.collect();
        assert_eq!(next.home.ready_len(), 0);
    });
}
