//! A loop that closes while others hand work in: each submission ends in exactly one way.
mod support;

use bridge::{Closing, FutureError, Remote};
use loom::thread;
use support::{AddOnDrop, Driver, Ledger, Shared, Value, model};

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
    model(3, || {
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
        driver.turn();
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

/// The loop's core is freed by whoever leaves last: a producer that is refused, a thread that drops its handle, or
/// the home. The witness fails the model if one of them looks at it afterwards.
#[test]
fn close_against_push_against_the_last_handle_frees_the_core_once() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let pusher = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || drop(try_submit(&remote, &ledger))
        });
        let dropper = thread::spawn({
            let remote = driver.remote();
            move || drop(remote)
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
        driver.turn();
        driver.turn();
        let canceller = thread::spawn(move || assert!(future.cancel() || future.done()));
        driver.close();
        assert_eq!(dropped.get(), 1);
        canceller.join().unwrap();
    });
}

/// Each loop is a producer of the other while both shut their doors: nobody's lock or half-pushed node may hold the
/// other up.
#[test]
fn two_loops_that_submit_to_each_other_while_both_close_end() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::named("here");
        let (remote, to_there) = (driver.remote(), ledger.clone());
        let (send, receive) = loom::sync::mpsc::channel();
        let there = thread::spawn(move || {
            let other = Driver::named("there");
            send.send(other.remote()).unwrap();
            let future = try_submit(&remote, &to_there);
            other.turn();
            other.close();
            future
        });
        let future = try_submit(&receive.recv().unwrap(), &ledger);
        driver.turn();
        driver.close();
        for future in [future, there.join().unwrap()].into_iter().flatten() {
            check_end(future.result());
        }
        ledger.check();
    });
}
