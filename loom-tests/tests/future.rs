//! A cross-thread future in the submitter's thread, against the loop that completes it.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use bridge::{CrossThreadFuture, FutureError, Outside, Remote};
use loom::{sync as loom_sync, thread};
use support::{AddOnDrop, Driver, Ledger, Publish, Shared, Value, counted_waker, model, poll_once, wait_for};

/// A body that uses up one value and gives another.
fn submit(remote: &Remote, ledger: &Ledger) -> CrossThreadFuture<Value> {
    let (given, gives) = (ledger.value(), ledger.value_of(2));
    remote.submit::<(), _>((), async move {
        given.get();
        gives
    })
}

fn check(outcome: Result<Value, FutureError>) {
    assert_eq!(outcome.expect("nobody cancels it").get(), 2);
}

/// Runs `act` with a future on a thread of its own, against a loop that runs its body.
fn against_completion(
    preemptions: usize,
    publish: Publish,
    act: impl Fn(CrossThreadFuture<Value>, &Ledger) + Copy + Send + Sync + 'static,
) {
    model(preemptions, move || {
        let ledger = Ledger::default();
        let driver = Driver::publishing(publish);
        let submitter = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || act(submit(&remote, &ledger), &ledger)
        });
        // The given value is always dropped at home, or with a body that never began.
        driver.run_until_ended(&ledger, 1);
        submitter.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// The value is written by the loop's thread and read by this one; a wait that missed the end would hang.
#[test]
fn result_gets_the_value() {
    against_completion(3, Publish::NextTurn, |future, _| check(future.result()));
}

/// The time may be up before, at, or after the end; then the future is as it was and gives its value later.
#[test]
fn result_after_a_timeout_still_gets_the_value() {
    against_completion(2, Publish::AtOnce, |future, _| {
        match future.result_timeout(Duration::from_millis(1)) {
            Err(FutureError::TimedOut) => check(future.result()),
            outcome => check(outcome),
        }
    });
}

/// A look that does not block reads the value without having waited for it: it has to be whole when it is seen.
#[test]
fn try_result_and_exception_against_completion_see_all_or_nothing() {
    against_completion(3, Publish::AtOnce, |future, _| {
        let looked = future.try_result();
        assert_eq!(future.exception().expect("nobody cancels it"), None);
        match looked {
            Some(outcome) => {
                check(outcome);
                assert!(matches!(future.try_result(), Some(Err(FutureError::Taken))));
            }
            None => check(future.try_result().expect("it is done")),
        }
    });
}

/// A poll that puts its waker into the list as the loop completes the future is either told or sees the end.
#[test]
fn an_await_against_completion_is_woken() {
    against_completion(3, Publish::NextTurn, |future, _| check(wait_for(future)));
}

/// As before, for one who waits for the end and leaves the value.
#[test]
fn a_completion_leaves_the_value_for_result() {
    against_completion(2, Publish::AtOnce, |future, _| {
        wait_for(future.completion());
        check(future.try_result().expect("it is done"));
    });
}

/// A second poll brings another waker while the first one may just be told: the second one must be woken if the poll
/// said that it waits, and both be dropped once.
#[test]
fn a_replaced_waker_is_woken_or_the_poll_is_ready() {
    against_completion(2, Publish::AtOnce, |mut future, ledger| {
        let first = counted_waker(ledger, || {});
        if let Poll::Ready(outcome) = poll_once(&mut future, &first) {
            return check(outcome);
        }
        drop(first);
        check(wait_for(future));
    });
}

/// RUSTSEC-2026-0005: a future that was polled is dropped, with its waker in the list, while the loop completes it.
#[test]
fn l_xfuture_polled_then_dropped_vs_complete() {
    against_completion(3, Publish::AtOnce, |mut future, ledger| {
        let waker = counted_waker(ledger, || {});
        let polled = poll_once(&mut future, &waker);
        drop((waker, future));
        if let Poll::Ready(outcome) = polled {
            check(outcome);
        }
    });
}

/// oneshot #87: the future is dropped while the completer is inside of the waker that it took from the list; the
/// memory has to last until the completer is out.
#[test]
fn l_xfuture_drop_while_completer_wakes() {
    against_completion(3, Publish::AtOnce, |mut future, ledger| {
        let waker = counted_waker(ledger, thread::yield_now);
        let polled = poll_once(&mut future, &waker);
        drop(future);
        if let Poll::Ready(outcome) = polled {
            check(outcome);
        }
    });
}

/// Dropped without having been asked, the future leaves a value that nobody takes: it is dropped once, by whoever is
/// last.
#[test]
fn a_dropped_future_leaves_no_value() {
    against_completion(3, Publish::NextTurn, |future, _| drop(future));
}

/// A callback that comes as the loop completes the future is called by one of the two, once, and sees the value.
#[test]
fn a_done_callback_against_completion_is_called_once() {
    against_completion(3, Publish::AtOnce, |future, ledger| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let value = ledger.value();
        future.add_done_callback(move |future| {
            counted.fetch_add(1, Relaxed);
            value.get();
            check(future.try_result().expect("it is done"));
        });
        // Whoever comes first here waits for the end; the callback may take the value before or after.
        assert_eq!(future.exception().expect("nobody cancels it"), None);
        assert!(calls.load(Relaxed) <= 1);
    });
}

fn cancel(future: CrossThreadFuture<Value>) {
    let is_cancelled = future.cancel();
    assert_eq!(is_cancelled, future.cancelled());
    match future.result() {
        Ok(value) => assert!(!is_cancelled && value.get() == 2),
        Err(error) => assert!(is_cancelled && error.is_cancelled(), "{error}"),
    }
}

/// A cancel comes before the start, between the steps, or too late: the body is dropped at home or never began, and
/// the future has one outcome, the one that `cancel` told.
#[test]
fn l_xfuture_cancel_vs_complete_one_winner() {
    against_completion(3, Publish::AtOnce, |future, _| cancel(future));
}

/// Between the body's end and its publication the value is there and nobody has seen it: who cancels now wins, and the
/// value is dropped at home.
#[test]
fn a_cancel_against_publish_has_one_outcome() {
    against_completion(3, Publish::NextTurn, |future, _| cancel(future));
}

/// RUSTSEC-2021-0124: the future is closed by the one who looks at it, by a cancel, or by its loop, while the other side is
/// writing the value: who looks then finds the value or its absence, and never a half.
#[test]
fn l_xfuture_close_then_try_vs_complete() {
    fn cancel_then_try(future: &CrossThreadFuture<Value>) {
        let is_cancelled = future.cancel();
        match future.try_result().expect("it is done, by the cancel or before") {
            Ok(value) => assert!(!is_cancelled && value.get() == 2),
            Err(error) => assert!(is_cancelled && error.is_cancelled(), "{error}"),
        }
    }
    against_completion(3, Publish::AtOnce, |future, _| cancel_then_try(&future));
    model(3, || {
        let ledger = Ledger::default();
        let (mut promise, future) = bridge::Promise::new();
        let value = ledger.value_of(2);
        let setter = thread::spawn(move || promise.set_result(value).is_ok());
        cancel_then_try(&future);
        assert_eq!(setter.join().unwrap(), !future.cancelled());
        drop(future);
        ledger.check();
    });
    model(3, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let future = submit(&driver.remote(), &ledger);
        driver.turn();
        let looker = thread::spawn(move || match future.try_result() {
            Some(Ok(value)) => assert_eq!(value.get(), 2),
            Some(Err(error)) => assert!(error.is_cancelled(), "{error}"),
            None => {}
        });
        driver.nap_and_turn();
        driver.close();
        looker.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// The loop is busy and does not turn. Who waits for a future that is cancelled meanwhile must not wait for the loop.
#[test]
fn a_cancel_tells_who_waits_at_once() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let future = loom_sync::Arc::new(submit(&driver.remote(), &ledger));
        let waiter = thread::spawn({
            let future = loom_sync::Arc::clone(&future);
            move || assert!(future.result().is_err_and(|error| error.is_cancelled()))
        });
        assert!(future.cancel());
        waiter.join().unwrap();
        drop((future, driver));
        ledger.check();
    });
}

/// Two threads cancel: both are told the same, and the loop hears of it once.
#[test]
fn two_cancels_are_told_the_same() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let future = loom_sync::Arc::new(submit(&driver.remote(), &ledger));
        let cancellers = [(); 2].map(|()| {
            let future = loom_sync::Arc::clone(&future);
            thread::spawn(move || future.cancel())
        });
        driver.run_until_ended(&ledger, 1);
        let [first, second] = cancellers.map(|canceller| canceller.join().unwrap());
        assert_eq!(first, second);
        assert_eq!(first, future.cancelled());
        drop((future, driver));
        ledger.check();
    });
}

/// The future is cancelled at once, the body is dropped later, at home: who waits for that may then use what the body
/// borrowed.
#[test]
fn cancel_and_wait_returns_after_the_destructors() {
    model(3, || {
        let shared = Shared::new();
        let ledger = Ledger::default();
        let driver = Driver::new();
        let canceller = thread::spawn({
            let (remote, shared, value) = (driver.remote(), shared.clone(), ledger.value());
            move || {
                let guard = AddOnDrop(shared.clone());
                let future = remote.submit::<(), _>((), async move {
                    let _held = (guard, value);
                    std::future::pending::<()>().await
                });
                assert_eq!(future.cancel_and_wait(), Ok(true));
                assert_eq!(shared.get(), 1);
                shared.add();
            }
        });
        driver.run_until_ended(&ledger, 1);
        canceller.join().unwrap();
        assert_eq!(shared.get(), 2);
    });
}

/// A value that was there and that nobody will ever see is dropped before the wait is over, too.
#[test]
fn cancel_and_wait_returns_after_the_values_destructor() {
    model(3, || {
        let driver = Driver::publishing(Publish::NextTurn);
        let ledger = Ledger::default();
        let canceller = thread::spawn({
            let (remote, value) = (driver.remote(), ledger.value());
            move || {
                let shared = Shared::new();
                let gives = AddOnDrop(shared.clone());
                let future = remote.submit::<(), _>((), async move {
                    drop(value);
                    gives
                });
                if future.cancel_and_wait() == Ok(false) {
                    drop(future.result());
                }
                shared.add();
                assert_eq!(shared.get(), 2);
            }
        });
        driver.run_until_ended(&ledger, 1);
        canceller.join().unwrap();
    });
}

/// One waits for the value, one cancels, and a callback is there: all three are told the same end.
#[test]
fn a_waiter_a_canceller_and_a_callback_agree() {
    model(1, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let future = loom_sync::Arc::new(submit(&driver.remote(), &ledger));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        future.add_done_callback(move |future| {
            assert!(future.done());
            counted.fetch_add(1, Relaxed);
        });
        let waiter = thread::spawn({
            let future = loom_sync::Arc::clone(&future);
            move || future.result().map(|value| value.get())
        });
        let canceller = thread::spawn({
            let future = loom_sync::Arc::clone(&future);
            move || future.cancel()
        });
        driver.run_until_ended(&ledger, 1);
        let is_cancelled = canceller.join().unwrap();
        let outcome = waiter.join().unwrap();
        assert_eq!(outcome, if is_cancelled { Err(FutureError::Cancelled) } else { Ok(2) });
        assert_eq!(calls.load(Relaxed), 1);
        drop((future, driver));
        ledger.check();
    });
}

/// The loop closes with the future pending, begun or done: whoever waits is told, and a cancel meanwhile changes only
/// what.
#[test]
fn close_resolves_a_future_that_is_waited_for_and_cancelled() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let future = loom_sync::Arc::new(submit(&driver.remote(), &ledger));
        let waiter = thread::spawn({
            let future = loom_sync::Arc::clone(&future);
            move || match future.result() {
                Ok(value) => assert_eq!(value.get(), 2),
                Err(FutureError::Cancelled | FutureError::LoopClosed(_)) => {}
                Err(other) => panic!("{other}"),
            }
        });
        let canceller = thread::spawn(move || future.cancel());
        driver.nap_and_turn();
        driver.close();
        waiter.join().unwrap();
        canceller.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// A panic is an outcome like any other, and is handed over whole.
#[test]
fn exception_gets_the_panic() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let waiter = thread::spawn({
            let (remote, value) = (driver.remote(), ledger.value());
            move || {
                let future = remote.submit::<(), _>((), async move {
                    value.get();
                    std::panic::panic_any(support::MEANT);
                });
                let panicked = future.exception().expect("it ended by itself").expect("it panicked");
                assert_eq!(panicked.message(), support::MEANT);
            }
        });
        driver.run_until_ended(&ledger, 1);
        waiter.join().unwrap();
        ledger.check();
    });
}

/// A thread waits for the first of two futures, or for both in the order of their ends, while the loop completes them.
#[test]
fn a_wait_for_several_futures_is_told_of_each() {
    model(1, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let waiter = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || {
                let futures = [submit(&remote, &ledger), submit(&remote, &ledger)];
                let both: [&dyn bridge::AnyFuture; 2] = [&futures[0], &futures[1]];
                let found = bridge::wait(&both, bridge::ReturnWhen::FirstCompleted, None).unwrap();
                assert!(!found.done.is_empty());
                let order: Result<Vec<_>, _> = bridge::as_completed(&both, None).unwrap().collect();
                assert_eq!(order.unwrap().len(), 2);
            }
        });
        driver.run_until_ended(&ledger, 2);
        driver.run_until(|| ledger.dropped() >= 2);
        waiter.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// A loop counts the futures of other loops that its tasks await, by references of its own. The other loop completes one,
/// or closes, while the task is being polled for it; then the count is down and the cell is freed.
#[test]
fn a_wait_that_a_loop_has_noted_ends_with_its_future() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        driver.home.note_outside_waits(Outside::OtherLoops);
        let (send, receive) = loom_sync::mpsc::channel();
        let other = thread::spawn({
            let ledger = ledger.clone();
            move || {
                let other = Driver::named("other");
                send.send(submit(&other.remote(), &ledger)).unwrap();
                other.turn();
                other.turn();
            }
        });
        let future = receive.recv().unwrap();
        let task = driver.home.spawn(|| (), async move { future.await.map(|value| value.get()) });
        driver.run_until(|| task.has_ended());
        assert!(!driver.home.has_outside_waits());
        assert!(matches!(task.take::<Result<u32, FutureError>>(), Some(Ok(Ok(2) | Err(_)))));
        other.join().unwrap();
        drop((task, driver));
        ledger.check();
    });
}

/// A loop whose tasks await a future of another loop looks whether its clock may jump, while that future gets its outcome:
/// if it sees no wait outstanding, the wake-up has come. (That of the end is later than the outcome.)
#[test]
fn where_no_noted_wait_is_outstanding_its_wake_up_has_come() {
    model(2, || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        driver.home.note_outside_waits(Outside::OtherLoops);
        let (send, receive) = loom_sync::mpsc::channel();
        let other = thread::spawn({
            let ledger = ledger.clone();
            move || {
                let other = Driver::named("other");
                send.send(submit(&other.remote(), &ledger)).unwrap();
                other.turn();
                other.turn();
            }
        });
        let future = receive.recv().unwrap();
        let task = driver.home.spawn(|| (), async move { future.await.map(|value| value.get()) });
        driver.turn();
        if !driver.home.has_outside_waits() {
            driver.home.collect();
            assert!(task.has_ended() || driver.home.ready_len() > 0, "the clock would jump");
        }
        driver.run_until(|| task.has_ended());
        other.join().unwrap();
        drop((task, driver));
        ledger.check();
    });
}

/// A future whose wait a loop has noted is dropped in another thread as the loop closes: it finds the loop by its number,
/// or no more, and leaves the note to it.
#[test]
fn a_noted_wait_that_is_forgotten_elsewhere_against_close_frees_the_cell_once() {
    model(3, || {
        let ledger = Ledger::default();
        let (driver, other) = (Driver::new(), Driver::named("other"));
        driver.home.note_outside_waits(Outside::OtherLoops);
        let slot = std::rc::Rc::new(std::cell::RefCell::new(Some(submit(&other.remote(), &ledger))));
        let kept = std::rc::Rc::clone(&slot);
        let task = driver.home.spawn(
            || (),
            std::future::poll_fn(move |cx| match kept.borrow_mut().as_mut() {
                Some(future) => std::pin::Pin::new(future).poll(cx).map(drop),
                None => Poll::Ready(()),
            }),
        );
        driver.turn();
        assert!(driver.home.has_outside_waits());
        let future = slot.take();
        let dropper = thread::spawn(move || drop(future));
        drop((task, driver));
        drop(other);
        dropper.join().unwrap();
        ledger.check();
    });
}
