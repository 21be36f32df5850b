//! A bare future and its promise, which belong to no loop.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{FutureError, InvalidState, Promise};
use loom::thread;
use support::{Ledger, Value, model, wait_for};

fn promise() -> (Ledger, Promise<Value>, bridge::CrossThreadFuture<Value>) {
    let (promise, future) = Promise::new();
    (Ledger::default(), promise, future)
}

/// The value is written by the setter and read by the waiter, one of whom comes first.
#[test]
fn set_against_wait_hands_the_value_over() {
    model(3, || {
        let (ledger, mut promise, future) = promise();
        let value = ledger.value();
        let setter = thread::spawn(move || promise.set_result(value).unwrap());
        assert_eq!(future.result().unwrap().get(), 1);
        setter.join().unwrap();
        drop(future);
        ledger.check();
    });
}

/// Two threads that wait for one value: both go on, one of them has it.
#[test]
fn of_two_results_one_gets_the_value() {
    model(2, || {
        let (ledger, mut promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let waiter = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || future.result().map(|value| value.get())
        });
        promise.set_result(ledger.value()).unwrap();
        let outcomes = [future.result().map(|value| value.get()), waiter.join().unwrap()];
        assert!(outcomes.contains(&Ok(1)) && outcomes.contains(&Err(FutureError::Taken)));
        drop(future);
        ledger.check();
    });
}

/// A look takes no lock: what it sees at its second try, if not at its first, is whole.
#[test]
fn two_looks_against_set_see_nothing_or_the_whole_value() {
    model(3, || {
        let (ledger, mut promise, future) = promise();
        // The setter is the model's own thread, which runs first: see PROTOCOL.md on looks that loom does not see.
        let looker = thread::spawn(move || {
            let looks = [future.try_result(), future.try_result()];
            let mut values = looks.into_iter().flatten().map(|outcome| outcome.map(|value| value.get()));
            let (first, second) = (values.next(), values.next());
            assert!([None, Some(Ok(1))].contains(&first), "{first:?}");
            assert!([None, Some(Err(FutureError::Taken))].contains(&second), "{second:?}");
        });
        promise.set_result(ledger.value()).unwrap();
        looker.join().unwrap();
        drop(promise);
        ledger.check();
    });
}

/// Setter and canceller come at once, and somebody waits: one of the two wins, both know who, and so does the waiter.
#[test]
fn set_against_cancel_against_wait_has_one_outcome() {
    model(2, || {
        let (ledger, mut promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let value = ledger.value();
        let setter = thread::spawn(move || promise.set_result(value));
        let canceller = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || future.cancel()
        });
        let outcome = future.result().map(|value| value.get());
        let (set, is_cancelled) = (setter.join().unwrap(), canceller.join().unwrap());
        let expected =
            if is_cancelled { (Err(InvalidState), Err(FutureError::Cancelled)) } else { (Ok(()), Ok(1)) };
        assert_eq!((set, outcome), expected);
        drop(future);
        ledger.check();
    });
}

/// As before, and somebody hangs a callback on it meanwhile: it is called once, and sees what the others see.
#[test]
fn set_against_cancel_against_a_callback_against_wait_has_one_outcome() {
    model(1, || {
        let (ledger, mut promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let value = ledger.value();
        let setter = thread::spawn(move || promise.set_result(value).is_ok());
        let canceller = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || future.cancel()
        });
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let adder = thread::spawn({
            let (future, seen) = (loom::sync::Arc::clone(&future), Arc::clone(&seen));
            move || future.add_done_callback(move |future| seen.lock().unwrap().push(future.exception()))
        });
        let waited = future.exception();
        let is_cancelled = canceller.join().unwrap();
        adder.join().unwrap();
        assert_eq!(setter.join().unwrap(), !is_cancelled);
        let expected = if is_cancelled { Err(FutureError::Cancelled) } else { Ok(None) };
        assert_eq!(waited, expected);
        assert_eq!(*seen.lock().unwrap(), [expected]);
        drop(future);
        ledger.check();
    });
}

/// Two wait, one cancels and one sets: both who wait are told the same.
#[test]
fn two_waits_against_set_against_cancel_see_one_outcome() {
    model(0, || {
        let (ledger, mut promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let value = ledger.value();
        let setter = thread::spawn(move || promise.set_result(value).is_ok());
        let waiter = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || future.exception()
        });
        let canceller = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || future.cancel()
        });
        let waited = [future.exception(), waiter.join().unwrap()];
        let is_cancelled = canceller.join().unwrap();
        assert_eq!(setter.join().unwrap(), !is_cancelled);
        let expected = if is_cancelled { Err(FutureError::Cancelled) } else { Ok(None) };
        assert_eq!(waited, [expected.clone(), expected]);
        drop(future);
        ledger.check();
    });
}

/// Set running and cancelled at once, a future is either running to its end or never set.
#[test]
fn set_running_against_cancel_has_one_winner() {
    model(3, || {
        let (ledger, mut promise, future) = promise();
        let value = ledger.value();
        let worker = thread::spawn(move || {
            let runs = promise.set_running_or_notify_cancel();
            assert_eq!(promise.set_result(value).is_ok(), runs);
            runs
        });
        let is_cancelled = future.cancel();
        assert_eq!(future.result().is_ok(), !is_cancelled);
        assert_eq!(worker.join().unwrap(), !is_cancelled);
        drop(future);
        ledger.check();
    });
}

/// A worker that is told that its work was cancelled may read what the canceller wrote before.
#[test]
fn a_refused_worker_sees_what_was_before_the_cancel() {
    model(3, || {
        let (_, mut promise, future) = promise();
        let reason = support::Shared::new();
        let worker = thread::spawn({
            let reason = reason.clone();
            move || {
                if !promise.set_running_or_notify_cancel() {
                    assert_eq!(reason.get(), 1);
                }
            }
        });
        reason.add();
        let _ = future.cancel();
        worker.join().unwrap();
    });
}

/// A promise that is dropped leaves its future cancelled; who waits is told, by a wake or by a block.
#[test]
fn a_dropped_promise_ends_every_wait() {
    model(2, || {
        let (_, promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let blocked = thread::spawn({
            let future = loom::sync::Arc::clone(&future);
            move || assert!(future.result().is_err_and(|error| error.is_cancelled()))
        });
        let dropper = thread::spawn(move || drop(promise));
        wait_for(future.completion());
        assert!(future.cancelled());
        blocked.join().unwrap();
        dropper.join().unwrap();
    });
}

/// `cancel_and_wait` on a bare future waits for its worker, who drops the promise when it has seen the request.
#[test]
fn cancel_and_wait_waits_for_the_worker() {
    model(3, || {
        let (_, mut promise, future) = promise();
        let left = support::Shared::new();
        let worker = thread::spawn({
            let left = left.clone();
            move || {
                let runs = promise.set_running_or_notify_cancel();
                left.add();
                drop(promise);
                runs
            }
        });
        let is_cancelled = future.cancel_and_wait().unwrap();
        assert_eq!(left.get(), 1);
        // A promise that is dropped cancels its future too, so it may be both.
        assert!(worker.join().unwrap() || is_cancelled);
        assert!(future.cancelled());
    });
}

/// Callbacks that come from two threads as the value is set: each is called once, and after the value is there.
#[test]
fn callbacks_against_set_are_called_once_each() {
    model(2, || {
        let (ledger, mut promise, future) = promise();
        let future = loom::sync::Arc::new(future);
        let calls = Arc::new(AtomicUsize::new(0));
        let adders = [(); 2].map(|()| {
            let (future, calls) = (loom::sync::Arc::clone(&future), Arc::clone(&calls));
            thread::spawn(move || {
                future.add_done_callback(move |future| {
                    assert_eq!(future.exception(), Ok(None));
                    calls.fetch_add(1, Relaxed);
                });
            })
        });
        promise.set_result(ledger.value()).unwrap();
        for adder in adders {
            adder.join().unwrap();
        }
        assert_eq!(calls.load(Relaxed), 2);
        drop((future, promise));
        ledger.check();
    });
}
