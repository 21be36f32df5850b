//! A loop that closes while others hand work in: each submission ends in exactly one way.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{Closing, FutureError, Ready, Remote};
use loom::thread;
use support::{AddOnDrop, Driver, Ledger, Shared, Value, join_all, model, waiting};

/// Submits a body that owns a value. If it is refused, the value has to come back whole.
fn try_submit(remote: &Remote, ledger: &Ledger) -> Option<bridge::CrossThreadFuture<Value>> {
    let value = ledger.value();
    let body = Body(Some(value));
    match remote.try_submit::<(), _>((), body) {
        Ok(future) => Some(future),
        Err(refused) => {
            assert_eq!(refused.into_inner().0.expect("it never ran").get(), 1);
            None
        }
    }
}

struct Body(Option<Value>);

impl Future for Body {
    type Output = Value;

    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Value> {
        std::task::Poll::Ready(self.0.take().expect("polled once"))
    }
}

fn check_end(outcome: Result<Value, FutureError>) {
    match outcome {
        Ok(value) => assert_eq!(value.get(), 1),
        Err(FutureError::Cancelled | FutureError::LoopClosed(_)) => {}
        Err(other) => panic!("{other}"),
    }
}

/// A push that comes as the loop closes is either in what the close takes, or refused with the body in hand. If it
/// were neither, its future would never end.
#[test]
fn two_pushes_against_a_close_end_in_one_way_each() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producer = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || {
                let futures = [try_submit(&remote, &ledger), try_submit(&remote, &ledger)];
                for future in futures.into_iter().flatten() {
                    check_end(future.result());
                }
            }
        });
        driver.nap_and_turn();
        driver.close();
        producer.join().unwrap();
        ledger.check();
    });
}

/// Two producers, of whom one may have seen the other's node in the inbox when the door shuts.
#[test]
fn two_producers_against_a_close_end_in_one_way_each() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producers = [(); 2].map(|()| {
            let (remote, ledger) = (driver.remote(), ledger.clone());
            thread::spawn(move || {
                if let Some(future) = try_submit(&remote, &ledger) {
                    check_end(future.result());
                }
            })
        });
        driver.close();
        for producer in producers {
            producer.join().unwrap();
        }
        ledger.check();
    });
}

/// What became of calls.
#[derive(Clone, Default)]
struct Fates {
    run: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

/// A call that was neither run nor refused.
struct Unrun(Value, Fates);

impl Unrun {
    fn run(self) {
        assert_eq!(self.0.get(), 1);
        self.1.run.fetch_add(1, Relaxed);
        // Which the drop counts.
        self.1.dropped.fetch_sub(1, Relaxed);
    }
}

impl Drop for Unrun {
    fn drop(&mut self) {
        self.1.dropped.fetch_add(1, Relaxed);
    }
}

/// A call has no future to tell its end: it is run, is dropped by the close, or comes back to who handed it in.
#[test]
fn calls_of_two_producers_against_a_close_end_in_one_way_each() {
    model(2, || {
        let (ledger, fates) = (Ledger::default(), Fates::default());
        let driver = Driver::new();
        let producers = [(); 2].map(|()| {
            let (remote, ledger, fates) = (driver.remote(), ledger.clone(), fates.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let call = Unrun(ledger.value(), fates.clone());
                    let refused = remote.call(|| call.run());
                    // What comes back is what was handed in, and can still be run.
                    refused.unwrap_or_else(|refused| {
                        refused.into_inner()();
                        fates.run.fetch_sub(1, Relaxed);
                        fates.refused.fetch_add(1, Relaxed);
                    });
                }
            })
        });
        driver.nap_and_turn();
        driver.close();
        join_all(producers);
        let counts = [&fates.run, &fates.dropped, &fates.refused].map(|fate| fate.load(Relaxed));
        assert_eq!(counts.iter().sum::<usize>(), 4, "run, dropped, refused: {counts:?}");
        ledger.check();
    });
}

/// `submit` gives nothing back: its future says that the loop is closed, if the close was first.
#[test]
fn submit_against_a_close_says_that_it_is_closed() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let producer = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || {
                let value = ledger.value();
                let outcome = remote.submit::<(), _>((), async move { value.get() }).result();
                assert!(matches!(outcome, Err(FutureError::LoopClosed(_))), "it was never run: {outcome:?}");
                assert!(remote.is_closed());
            }
        });
        driver.home.close(Closing::Died);
        producer.join().unwrap();
        ledger.check();
    });
}

/// Who learns that a loop is closed may use what its thread wrote before it closed it, as if it had joined it.
#[test]
fn who_is_refused_sees_what_was_before_the_close() {
    model(3, || {
        let before = Shared::new();
        let driver = Driver::new();
        let producer = thread::spawn({
            let (remote, before) = (driver.remote(), before.clone());
            move || {
                if remote.call(|| {}).is_err() {
                    assert_eq!(before.get(), 1);
                }
            }
        });
        let onlooker = thread::spawn({
            let (remote, before) = (driver.remote(), before.clone());
            move || {
                if remote.is_closed() {
                    assert_eq!(before.get(), 1);
                }
            }
        });
        before.add();
        driver.close();
        producer.join().unwrap();
        onlooker.join().unwrap();
    });
}

/// What a loop had begun when it died ends with `LoopDied`; the waiting thread must hear of it.
#[test]
fn a_wait_for_a_loop_that_dies_ends() {
    model(3, || {
        let driver = Driver::new();
        let future = driver.remote().submit::<(), _>((), std::future::pending::<()>());
        driver.turn();
        driver.turn();
        let waiter = thread::spawn(move || {
            assert!(matches!(future.result(), Err(FutureError::LoopDied(_))));
        });
        driver.home.close(Closing::Died);
        waiter.join().unwrap();
    });
}

/// The loop's core is freed by whoever leaves last: a producer that is refused, a thread that copies its handle and
/// drops it, or the home. The witness fails the model if one of them looks at it afterwards.
#[test]
fn l_inbox_close_vs_push_vs_last_drop() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let pusher = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || drop(try_submit(&remote, &ledger))
        });
        let dropper = thread::spawn({
            let remote = driver.remote();
            move || {
                let another = remote.clone();
                drop(remote);
                drop(another);
            }
        });
        drop(driver);
        pusher.join().unwrap();
        dropper.join().unwrap();
        ledger.check();
    });
}

/// A body that was refused is dropped by the submitter, in its own time; one that had begun is dropped at home before
/// the close returns.
#[test]
fn nothing_of_a_body_is_left_when_close_returns() {
    model(3, || {
        let dropped = Shared::new();
        let driver = Driver::new();
        let held = AddOnDrop(dropped.clone());
        let future = driver.remote().submit::<(), _>((), async move {
            let _held = held;
            std::future::pending::<()>().await
        });
        driver.nap_and_turn();
        driver.nap_and_turn();
        let canceller = thread::spawn(move || assert!(future.cancel() || future.done()));
        driver.close();
        assert_eq!(dropped.get(), 1);
        canceller.join().unwrap();
    });
}

/// A push to a loop that is awake is the last that its pusher does with node and loop. The loop may run the node at once,
/// free it, close and be gone, and the witnesses in both would tell who looks at them then.
#[test]
fn l_push_is_last_access() {
    // A submission whose future and handle are dropped at once: the node is home's alone.
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let submitter = thread::spawn({
            let (remote, value) = (driver.remote(), ledger.value());
            move || {
                drop(remote.submit::<(), _>((), async move { value.get() }));
                drop(remote);
            }
        });
        driver.turn();
        driver.turn();
        drop(driver);
        submitter.join().unwrap();
        ledger.check();
    });
    // The last waker, which has no handle of the loop.
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let (task, waker) = waiting(&driver, ledger.value(), || true);
        let waker = thread::spawn(move || waker.wake());
        driver.turn();
        drop((task, driver));
        waker.join().unwrap();
        ledger.check();
    });
}

/// A submission that the loop has taken in hand, and not adopted yet, when it closes: it is refused, once, though it is
/// cancelled meanwhile, and keeps the core until then.
#[test]
fn a_submission_in_hand_against_a_close_and_a_cancel_is_refused() {
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let value = ledger.value();
        let future = driver.remote().submit::<(), _>((), async move { value.get() });
        let Some(Ready::Adopt(task)) = driver.home.pop() else { panic!("it was handed in at home") };
        let canceller = thread::spawn(move || {
            let is_cancelled = future.cancel();
            match future.result() {
                Err(FutureError::Cancelled) => assert!(is_cancelled),
                Err(FutureError::LoopClosed(_)) => assert!(!is_cancelled),
                other => panic!("{other:?}"),
            }
        });
        drop(driver);
        assert!(!task.adopt());
        drop(task);
        assert_eq!(ledger.dropped(), 1);
        canceller.join().unwrap();
        ledger.check();
    });
}

/// Each of two loops is a producer of the other while both shut their doors: nobody's lock or half-pushed node may hold
/// the other up, and whoever waits is told.
#[test]
fn two_loops_that_submit_to_each_other_while_both_close_end() {
    model(2, || {
        let ledger = Ledger::default();
        let (to_first, for_first) = loom::sync::mpsc::channel::<Remote>();
        let (to_second, for_second) = loom::sync::mpsc::channel::<Remote>();
        let ends = [("first", to_second, for_first), ("second", to_first, for_second)];
        let loops = ends.map(|(name, to_other, for_this)| {
            let ledger = ledger.clone();
            thread::spawn(move || {
                let driver = Driver::named(name);
                to_other.send(driver.remote()).unwrap();
                let future = try_submit(&for_this.recv().unwrap(), &ledger);
                driver.nap_and_turn();
                driver.close();
                if let Some(future) = future {
                    check_end(future.result());
                }
            })
        });
        join_all(loops);
        ledger.check();
    });
}
