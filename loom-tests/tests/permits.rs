//! So many at a time: who takes a permit, who gives one back, who waits for one, and who gives up.
mod support;

use bridge::{PermitError, Permits, Spin};
use loom::thread::{self, JoinHandle};
use support::{Shared, TestBell, join_all, model, poll_once, ringing, wait_for};

fn permits(most: usize) -> Permits {
    Permits::new(most, Spin::Never)
}

/// Takes a permit, in a thread of its own, which blocks when it has to, and gives it back.
fn taker(permits: &Permits) -> JoinHandle<()> {
    let permits = permits.clone();
    thread::spawn(move || drop(permits.take_blocking(None).expect("it waits for as long as it takes")))
}

/// There is one permit: who has it is alone, and sees what the one before has done.
#[test]
fn two_blocking_takes_of_one_permit_come_one_after_the_other() {
    model(3, || {
        let (permits, shared) = (permits(1), Shared::new());
        let other = thread::spawn({
            let (permits, shared) = (permits.clone(), shared.clone());
            move || {
                let _permit = permits.take_blocking(None).unwrap();
                shared.add();
            }
        });
        let permit = permits.take_blocking(None).unwrap();
        shared.add();
        drop(permit);
        other.join().unwrap();
        assert_eq!((shared.get(), permits.free()), (2, 1));
    });
}

/// As above, and both await.
#[test]
fn two_awaited_takes_of_one_permit_come_one_after_the_other() {
    model(3, || {
        let (permits, shared) = (permits(1), Shared::new());
        let other = thread::spawn({
            let (permits, shared) = (permits.clone(), shared.clone());
            move || {
                let _permit = wait_for(permits.take()).unwrap();
                shared.add();
            }
        });
        let permit = wait_for(permits.take()).unwrap();
        shared.add();
        drop(permit);
        other.join().unwrap();
        assert_eq!((shared.get(), permits.free()), (2, 1));
    });
}

/// Two wait, as a thread and as a task, and two permits come back one after the other: both are told.
#[test]
fn two_permits_that_come_back_serve_two_who_wait() {
    model(2, || {
        let permits = permits(2);
        let held = [permits.try_take().unwrap(), permits.try_take().unwrap()];
        let others = [
            taker(&permits),
            thread::spawn({
                let permits = permits.clone();
                move || drop(wait_for(permits.take()).unwrap())
            }),
        ];
        drop(held);
        join_all(others);
        assert_eq!(permits.free(), 2);
    });
}

/// Two give their permits back at once, and two wait: neither is forgotten.
#[test]
fn two_permits_that_come_back_at_once_serve_two_who_wait() {
    model(2, || {
        let permits = permits(2);
        let (first, second) = (permits.try_take().unwrap(), permits.try_take().unwrap());
        let bells = [TestBell::new(), TestBell::new()];
        let mut takes = [permits.take(), permits.take()];
        for (take, bell) in takes.iter_mut().zip(&bells) {
            assert!(poll_once(take, &ringing(bell)).is_pending());
        }
        let other = thread::spawn(move || drop(first));
        drop(second);
        for (take, bell) in takes.iter_mut().zip(&bells) {
            bell.wait();
            assert!(poll_once(take, &ringing(bell)).is_ready());
        }
        other.join().unwrap();
    });
}

/// A task waits and gives up as the permit comes back: another one that waits gets it.
#[test]
fn a_take_that_gives_up_against_a_permit_leaves_it_to_others() {
    model(2, || {
        let permits = permits(1);
        let held = permits.try_take().unwrap();
        let mut first = permits.take();
        assert!(poll_once(&mut first, &ringing(&TestBell::new())).is_pending());
        let others = [taker(&permits), thread::spawn(move || drop(held))];
        drop(first);
        join_all(others);
        assert_eq!(permits.free(), 1);
    });
}

/// A thread's time is up as the permit comes back: it has it, or it is free.
#[test]
fn a_take_that_times_out_against_a_permit_loses_nothing() {
    model(3, || {
        let permits = permits(1);
        let held = permits.try_take().unwrap();
        let other = thread::spawn(move || drop(held));
        let taken = permits.take_blocking(Some(std::time::Duration::from_secs(1)));
        assert!(matches!(taken, Ok(_) | Err(PermitError::TimedOut)));
        drop(taken);
        other.join().unwrap();
        assert_eq!(permits.free(), 1);
    });
}

/// A wait that is polled again by another waker, as the permit comes back, is told by that one or is ready.
#[test]
fn a_take_that_changes_its_waker_against_a_permit_is_told() {
    model(3, || {
        let permits = permits(1);
        let held = permits.try_take().unwrap();
        let mut take = permits.take();
        assert!(poll_once(&mut take, &ringing(&TestBell::new())).is_pending());
        let other = thread::spawn(move || drop(held));
        let bell = TestBell::new();
        while poll_once(&mut take, &ringing(&bell)).is_pending() {
            bell.wait();
        }
        other.join().unwrap();
    });
}

/// The last handle goes while a permit that somebody had waited for comes back.
#[test]
fn a_permit_that_comes_back_against_the_last_handle_frees_the_permits_once() {
    model(3, || {
        let permits = permits(1);
        let held = permits.try_take().unwrap();
        let other = thread::spawn(move || drop(held));
        let mut take = permits.take();
        let taken = poll_once(&mut take, &ringing(&TestBell::new()));
        drop(take);
        drop(taken);
        drop(permits);
        other.join().unwrap();
    });
}
