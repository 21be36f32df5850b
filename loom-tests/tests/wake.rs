//! Wakers on other threads against the task's own thread.
mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use bridge::{FutureError, Stepped};
use loom::thread::{self, JoinHandle};
use support::{AtHome, Driver, Ledger, Publish, Shared, join_all, model, waiting};

/// A thread that counts an event and wakes.
fn waking(events: &Arc<AtomicUsize>, waker: &Waker) -> JoinHandle<()> {
    let (events, waker) = (Arc::clone(events), waker.clone());
    thread::spawn(move || {
        events.fetch_add(1, Relaxed);
        waker.wake();
    })
}

/// A task that waits for so many events, each of which comes with a wake of its own thread.
fn wait_for_wakes(wakes: usize) {
    let ledger = Ledger::default();
    let events = Arc::new(AtomicUsize::new(0));
    let driver = Driver::new();
    let seen = Arc::clone(&events);
    let (task, waker) = waiting(&driver, ledger.value(), move || seen.load(Relaxed) == wakes);
    let wakers: Vec<_> = (0..wakes).map(|_| waking(&events, &waker)).collect();
    drop(waker);
    driver.run_until(|| task.has_ended());
    assert!(task.take::<()>().is_some_and(|outcome| outcome.is_ok()));
    drop((task, driver));
    for waker in wakers {
        waker.join().unwrap();
    }
    ledger.check();
}

/// A wake that comes while the task is polled, or is on its way to be, must lead to another poll: else the task
/// sleeps for ever.
#[test]
fn a_wake_across_a_poll_leads_to_another_poll() {
    model(3, || wait_for_wakes(1));
}

/// compio #948: the second wake comes after the first one's node was run and polled, while the first waker is still
/// inside of its push. Skipped on a stale bit, it is lost.
#[test]
fn l_two_remote_wakes_across_poll() {
    model(2, || wait_for_wakes(2));
}

/// tokio #7622: a wake that finds the node on its way already pushes nothing, but what its thread wrote before has to
/// be seen by the step that takes the node up.
#[test]
fn l_wake_already_scheduled_publishes() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let cells = [Shared::new(), Shared::new()];
        let woken: [Arc<AtomicBool>; 2] = Default::default();
        let (task, waker) = waiting(&driver, ledger.value(), || false);
        let threads = [0, 1].map(|index| {
            let (cell, woken, waker) = (cells[index].clone(), Arc::clone(&woken[index]), waker.clone());
            thread::spawn(move || {
                cell.add();
                waker.wake_by_ref();
                woken.store(true, Relaxed);
            })
        });
        drop(waker);
        while !woken.iter().all(|woken| woken.load(Relaxed)) {
            driver.turn();
            thread::yield_now();
        }
        // Both have woken, and nothing but the steps that took their wakes up orders their writes. (Falling asleep makes
        // the loop look at the newest word.)
        let _ = driver.home.fall_asleep();
        driver.turn();
        assert_eq!(cells[0].get() + cells[1].get(), 2);
        assert_eq!(task.end_with(FutureError::Cancelled), Stepped::Ended { publish: false });
        drop((task, driver));
        for thread in threads {
            thread.join().unwrap();
        }
        ledger.check();
    });
}

/// The task ends by itself while a wake is between its word and the inbox: the node arrives late, at a task that is
/// gone, and its reference has to be given back once.
#[test]
fn a_wake_against_the_tasks_end_arrives_late() {
    model(3, || {
        let ledger = Ledger::default();
        let events = Arc::new(AtomicUsize::new(0));
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || true);
        let thread = waking(&events, &waker);
        task.wake();
        driver.nap_and_turn();
        assert!(task.has_ended());
        drop((task, waker));
        driver.nap_and_turn();
        thread.join().unwrap();
        driver.nap_and_turn();
        drop(driver);
        ledger.check();
    });
}

/// As before, with a loop that closes before the late node has come: it must count it, or the pusher touches a core
/// that is gone.
#[test]
fn a_late_wake_against_close_keeps_the_core() {
    model(3, || {
        let ledger = Ledger::default();
        let events = Arc::new(AtomicUsize::new(0));
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || true);
        let thread = waking(&events, &waker);
        task.wake();
        driver.nap_and_turn();
        assert!(task.has_ended());
        drop((task, waker, driver));
        thread.join().unwrap();
        ledger.check();
    });
}

/// A cancel from outside and a wake use the same node: neither may swallow the other, and each takes its reference
/// along.
#[test]
fn a_wake_against_a_cancel_ends_the_task_once() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let slot = Arc::new(Mutex::new(None));
        let (out, value) = (Arc::clone(&slot), ledger.value());
        let future = driver.remote().submit::<(), _>(
            (),
            poll_fn(move |cx| {
                value.get();
                let waker = cx.waker().clone();
                *out.lock().unwrap() = Some(waker);
                Poll::<()>::Pending
            }),
        );
        driver.turn();
        driver.turn();
        let waker: Waker = slot.lock().unwrap().take().unwrap();
        let waker = thread::spawn(move || waker.wake());
        let canceller = thread::spawn(move || {
            assert!(future.cancel());
            assert_eq!(future.result(), Err(FutureError::Cancelled));
        });
        driver.run_until_ended(&ledger, 1);
        // The body was given a new waker if it was polled again.
        slot.lock().unwrap().take();
        waker.join().unwrap();
        canceller.join().unwrap();
        driver.turn();
        drop(driver);
        ledger.check();
    });
}

fn wakes_against_close(wakes: usize, by_value: bool) {
    let ledger = Ledger::default();
    let driver = Driver::new();
    let (task, waker) = waiting(&driver, ledger.value(), || false);
    let wakers: Vec<_> = (0..wakes)
        .map(|_| {
            let waker = waker.clone();
            thread::spawn(move || if by_value { waker.wake() } else { waker.wake_by_ref() })
        })
        .collect();
    drop((task, waker));
    driver.nap_and_turn();
    drop(driver);
    assert_eq!(ledger.dropped(), 1, "the body is dropped at home, before the loop is gone");
    for waker in wakers {
        waker.join().unwrap();
    }
    ledger.check();
}

/// A waker that has set its bit and not pushed yet meets a door that shuts. The body must be dropped at home, not by
/// the waker (RUSTSEC-2021-0072), and the cell be freed by whoever is last.
#[test]
fn l_push_to_closed_inbox_keeps_body_home() {
    model(3, || wakes_against_close(1, false));
}

/// As before, with a second waker that finds the bit set, or the cell deaf.
#[test]
fn two_wakes_against_close_leave_the_body_at_home() {
    model(2, || wakes_against_close(2, false));
}

/// async-executor #163: a wake by value has the last reference to the cell, and its push is the last that the loop's
/// core is kept for. Neither may be touched afterwards.
#[test]
fn l_wake_vs_loop_drop_after_publish() {
    model(3, || wakes_against_close(1, true));
}

/// libuv #2226: the waker finds the loop asleep and pushes; before it rings, the loop is awake for another reason, takes
/// the node, closes and is gone. The bell must be there still.
#[test]
fn a_ring_against_the_loops_drop_uses_what_it_kept() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || false);
        assert!(driver.home.fall_asleep());
        let thread = thread::spawn(move || waker.wake());
        drop((task, driver));
        thread.join().unwrap();
        ledger.check();
    });
}

/// A loop that closes with a wake's node in its inbox has to take the node's reference back, and the one that it
/// lent to the pusher, each once.
#[test]
fn a_wake_that_has_arrived_is_taken_back_by_close() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || false);
        let thread = thread::spawn(move || waker.wake());
        let _ = driver.home.fall_asleep();
        driver.home.collect();
        drop((task, driver));
        thread.join().unwrap();
        ledger.check();
    });
}

/// References that come and go on two threads while the home thread gives its own back: the cell is freed once, by
/// the last.
#[test]
fn clones_and_drops_of_wakers_free_the_cell_once() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || true);
        let threads = [(); 2].map(|()| {
            let waker = waker.clone();
            thread::spawn(move || {
                let another = waker.clone();
                drop(waker);
                drop(another);
            })
        });
        drop(waker);
        task.wake();
        driver.turn();
        drop((task, driver));
        for thread in threads {
            thread.join().unwrap();
        }
        ledger.check();
    });
}

/// A task's body is lent by the loop's own thread, which goes on without it while a waker of it is on its way: the body is
/// dropped before, and the node arrives late at what is left.
#[test]
fn a_wake_against_the_end_of_a_lent_body_arrives_late() {
    for is_closed_at_once in [true, false] {
        model(3, move || {
            let ledger = Ledger::default();
            let driver = Driver::new();
            let (out, value) = (Cell::new(None), AtHome::new(ledger.value()));
            let body = poll_fn(|cx| {
                value.touch();
                out.set(Some(cx.waker().clone()));
                Poll::<()>::Pending
            });
            let (thread, outcome) = driver.home.lend(
                || (),
                body,
                |_| {
                    driver.nap_and_turn();
                    let waker = out.take().expect("polled once");
                    let thread = thread::spawn(move || waker.wake());
                    driver.nap_and_turn();
                    thread
                },
            );
            assert!(outcome.is_none());
            // What it was woken with again, if it was.
            drop(out.take());
            drop(value);
            if !is_closed_at_once {
                driver.nap_and_turn();
            }
            drop(driver);
            thread.join().unwrap();
            ledger.check();
        });
    }
}

/// A task is woken for its last poll while it is cancelled from a third thread: it ends by itself or is ended, its future
/// says which, and its body is dropped at home.
#[test]
fn a_cancel_against_a_wake_that_ends_the_task_has_one_outcome() {
    model(1, || {
        let ledger = Ledger::default();
        let driver = Driver::publishing(Publish::NextTurn);
        let (slot, is_ready) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (out, ready, value) = (Arc::clone(&slot), Arc::clone(&is_ready), ledger.value());
        let future = driver.remote().submit_with::<(), _, _>((), move || {
            let held = AtHome::new(value);
            poll_fn(move |cx| {
                held.touch();
                if ready.load(Relaxed) {
                    return Poll::Ready(7);
                }
                let waker = cx.waker().clone();
                *out.lock().unwrap() = Some(waker);
                Poll::Pending
            })
        });
        driver.turn();
        driver.turn();
        let last: Waker = slot.lock().unwrap().take().expect("polled once");
        let ender = thread::spawn(move || {
            is_ready.store(true, Relaxed);
            last.wake();
        });
        let canceller = thread::spawn(move || {
            let is_cancelled = future.cancel();
            let expected = if is_cancelled { Err(FutureError::Cancelled) } else { Ok(7) };
            assert_eq!(future.result(), expected);
        });
        driver.run_until_ended(&ledger, 1);
        // What it was woken with again, if it was.
        drop(slot.lock().unwrap().take());
        join_all([ender, canceller]);
        drop(driver);
        ledger.check();
    });
}

/// A task that closes its own loop is on its thread's stack: its body is dropped when the poll returns, and a waker
/// that it cloned after the close reaches nobody.
#[test]
fn a_task_that_closes_its_own_loop_ends_with_its_poll() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Rc::new(Driver::new());
        let (own, value) = (Rc::clone(&driver), ledger.value());
        let thread = Rc::new(Cell::new(None));
        let started = Rc::clone(&thread);
        let task = driver.home.spawn(
            || (),
            poll_fn(move |cx| {
                own.close();
                value.get();
                let waker = cx.waker().clone();
                started.set(Some(thread::spawn(move || waker.wake())));
                Poll::<()>::Pending
            }),
        );
        driver.turn();
        assert!(task.has_ended() && task.take::<()>().is_none());
        assert_eq!(ledger.dropped(), 1);
        drop((task, driver));
        thread.take().unwrap().join().unwrap();
        ledger.check();
    });
}
