//! The cross products: each thing that one thread can do with what it shares, against each thing that another can do to it.
mod support;

use std::task::{Poll, Waker};
use std::time::Duration;

use bridge::{
    Closing, CrossThreadFuture, FutureError, Panicked, Promise, Ready, Remote, ReturnWhen, Spin, TaskRef,
};
use loom::{sync as loom_sync, thread};
use support::{Driver, Ledger, Publish, TestBell, Value, counted_waker, model, poll_once, wait_for, waiting};

/// A row of a table, for whoever reads which model failed.
type Named<T> = (&'static str, T);

type Future = CrossThreadFuture<Value>;
/// The outcome that was given, if one was.
type Seen = Option<Result<u32, FutureError>>;

/// Something that one does with a future.
#[derive(Clone, Copy)]
enum Use {
    /// Others may do something with it meanwhile.
    Shared(fn(&Future, &Ledger) -> Seen),
    Owned(fn(Future, &Ledger) -> Seen),
}

impl Use {
    fn apply(self, future: Future, ledger: &Ledger) -> Seen {
        match self {
            Self::Shared(act) => act(&future, ledger),
            Self::Owned(act) => act(future, ledger),
        }
    }
}

fn given(outcome: Result<Value, FutureError>) -> Seen {
    Some(outcome.map(|value| value.get()))
}

fn told(is_cancelled: bool, future: &Future) -> Seen {
    let outcome = future.result();
    assert_eq!(is_cancelled, future.cancelled());
    if is_cancelled {
        assert!(outcome.is_err_and(|error| error.is_cancelled()));
        return None;
    }
    given(outcome)
}

/// What a callback holds: it is dropped when that has been called.
struct IsCalled(bool);

impl IsCalled {
    fn call(mut self) {
        self.0 = true;
    }
}

impl Drop for IsCalled {
    fn drop(&mut self) {
        assert!(self.0, "dropped without having been called");
    }
}

fn hang_callback(future: &Future, ledger: &Ledger) -> Seen {
    let (value, called) = (ledger.value(), IsCalled(false));
    future.add_done_callback(move |future| {
        assert!(value.get() == 1 && future.done());
        called.call();
    });
    given(future.result())
}

fn await_in_two_tasks(mut future: Future, ledger: &Ledger) -> Seen {
    let first = counted_waker(ledger, || {});
    match poll_once(&mut future, &first) {
        Poll::Ready(outcome) => given(outcome),
        Poll::Pending => {
            drop(first);
            given(wait_for(future))
        }
    }
}

/// Polls it so often, each time for another task, and drops it as `drop_it` does.
fn poll_and_drop(mut future: Future, ledger: &Ledger, polls: usize, drop_it: fn(Future)) -> Seen {
    for _ in 0..polls {
        if let Poll::Ready(outcome) = poll_once(&mut future, &counted_waker(ledger, thread::yield_now)) {
            return given(outcome);
        }
    }
    drop_it(future);
    None
}

const USES: [Named<Use>; 18] = [
    ("result", Use::Shared(|future, _| given(future.result()))),
    (
        "result after a timeout",
        Use::Shared(|future, _| match future.result_timeout(Duration::ZERO) {
            Err(FutureError::TimedOut) => given(future.result()),
            outcome => given(outcome),
        }),
    ),
    ("two looks", Use::Shared(|future, _| given(future.try_result().or_else(|| future.try_result())?))),
    (
        "exception, result",
        Use::Shared(|future, _| {
            let exception = future.exception();
            assert!(future.done());
            let outcome = future.result();
            assert_eq!(exception.is_ok_and(|panicked| panicked.is_none()), outcome.is_ok());
            given(outcome)
        }),
    ),
    (
        "exception after a timeout, result",
        Use::Shared(|future, _| {
            if future.exception_timeout(Duration::ZERO) == Err(FutureError::TimedOut) {
                drop(future.exception());
            }
            given(future.result())
        }),
    ),
    (
        "completion",
        Use::Shared(|future, _| {
            wait_for(future.completion());
            given(future.try_result().expect("it is done"))
        }),
    ),
    (
        "a dropped completion",
        Use::Shared(|future, ledger| {
            let _ = poll_once(&mut future.completion(), &counted_waker(ledger, || {}));
            None
        }),
    ),
    ("callback", Use::Shared(hang_callback)),
    ("cancel", Use::Shared(|future, _| told(future.cancel(), future))),
    (
        "cancel_and_wait",
        Use::Shared(|future, _| told(future.cancel_and_wait().expect("another thread's"), future)),
    ),
    (
        "wait",
        Use::Shared(|future, _| {
            let found = bridge::wait(&[future], ReturnWhen::AllCompleted, None).expect("no circle");
            assert_eq!(found.done, [0]);
            given(future.result())
        }),
    ),
    (
        "as_completed, given up",
        Use::Shared(|future, _| {
            let both: [&dyn bridge::AnyFuture; 2] = [future, future];
            let _ = bridge::as_completed(&both, Some(Duration::ZERO)).expect("no circle").next();
            None
        }),
    ),
    ("await", Use::Owned(|future, _| given(wait_for(future)))),
    ("await in two tasks", Use::Owned(await_in_two_tasks)),
    ("drop", Use::Owned(|_, _| None)),
    ("poll, drop", Use::Owned(|future, ledger| poll_and_drop(future, ledger, 1, drop))),
    ("two polls, drop", Use::Owned(|future, ledger| poll_and_drop(future, ledger, 2, drop))),
    (
        "poll, drop with its cancelled task",
        Use::Owned(|future, ledger| {
            poll_and_drop(future, ledger, 1, |future| bridge::drop_cancelled(|| drop(future)))
        }),
    ),
];

/// How a promise ends its future, and the outcomes that this can lead to, if nobody cancels it.
type PromiseEnd = (&'static str, fn(Promise<Value>, &Ledger), fn(&Result<u32, FutureError>) -> bool);

const PROMISE_ENDS: [PromiseEnd; 4] = [
    (
        "set_result",
        |mut promise, ledger| {
            let is_set = promise.set_result(ledger.value_of(2)).is_ok();
            assert!(is_set || promise.cancelled());
        },
        |end| *end == Ok(2),
    ),
    (
        "set_running, set_result",
        |mut promise, ledger| {
            let runs = promise.set_running_or_notify_cancel();
            assert_eq!(promise.set_result(ledger.value_of(2)).is_ok(), runs);
        },
        |end| *end == Ok(2),
    ),
    (
        "set_exception",
        |mut promise, _| {
            let is_set = promise.set_exception(Panicked::new(Box::new(support::MEANT))).is_ok();
            assert!(is_set || promise.cancelled());
        },
        |end| matches!(end, Err(FutureError::Panicked(_))),
    ),
    ("drop", |promise, _| drop(promise), |end| *end == Err(FutureError::Cancelled)),
];

/// Who uses a future is on a thread of its own, and who ends it on the model's, which runs first: loom overlooks that a
/// look, which is a mere load, may come after an exchange that its thread begins with a load.
fn against(preemptions: usize, name: &str, end: &str, body: impl Fn() + Send + Sync + 'static) {
    println!("{name}, against {end}");
    model(preemptions, body);
}

/// A promise is set, set running, failed or dropped while its future is used, in each way.
#[test]
fn each_use_of_a_future_against_each_end_of_its_promise() {
    for (name, using) in USES {
        for (end_name, end, fits) in PROMISE_ENDS {
            against(2, name, end_name, move || {
                let ledger = Ledger::default();
                let (promise, future) = Promise::new();
                let user = thread::spawn({
                    let ledger = ledger.clone();
                    move || using.apply(future, &ledger)
                });
                end(promise, &ledger);
                let seen = user.join().unwrap();
                assert!(seen.as_ref().is_none_or(fits), "{seen:?}");
                ledger.check();
            });
        }
    }
}

/// As before, with a third thread that cancels the future: there is one outcome, and it is either's.
#[test]
fn each_use_of_a_future_against_a_cancel_and_the_end_of_its_promise() {
    for (name, using) in USES {
        let Use::Shared(act) = using else { continue };
        against(1, name, "set_result and cancel", move || {
            let ledger = Ledger::default();
            let (mut promise, future) = Promise::new();
            let future = loom_sync::Arc::new(future);
            let user = thread::spawn({
                let (future, ledger) = (loom_sync::Arc::clone(&future), ledger.clone());
                move || act(&future, &ledger)
            });
            let canceller = thread::spawn({
                let future = loom_sync::Arc::clone(&future);
                move || future.cancel()
            });
            let is_set = promise.set_result(ledger.value_of(2)).is_ok();
            drop(promise);
            let (seen, is_cancelled) = (user.join().unwrap(), canceller.join().unwrap());
            assert!(is_set || future.cancelled());
            assert!(!is_cancelled || !is_set);
            let expected = if is_set { Ok(2) } else { Err(FutureError::Cancelled) };
            assert!(seen.is_none_or(|seen| seen == expected));
            drop(future);
            ledger.check();
        });
    }
}

/// How a loop ends a submission.
type LoopEnd = (&'static str, Publish, fn(Driver, &Ledger));

fn run(driver: Driver, ledger: &Ledger) {
    driver.run_until_ended(ledger, 1);
}

const LOOP_ENDS: [LoopEnd; 5] = [
    ("a loop that runs it", Publish::AtOnce, run),
    ("a loop that runs it and publishes later", Publish::NextTurn, run),
    ("a loop that closes before it begins", Publish::AtOnce, |driver, _| driver.close()),
    ("a loop that closes before it is published", Publish::NextTurn, |driver, _| {
        driver.nap_and_turn();
        driver.turn();
        driver.close();
    }),
    ("a loop that dies when it has begun", Publish::AtOnce, |driver, _| {
        driver.nap_and_turn();
        drop(driver);
    }),
];

/// A loop runs a submission, closes or dies while its future is used, in each way.
#[test]
fn each_use_of_a_future_against_each_end_of_its_loop() {
    for (name, using) in USES {
        for (end_name, publish, end) in LOOP_ENDS {
            against(2, name, end_name, move || {
                let ledger = Ledger::default();
                let driver = Driver::publishing(publish);
                let (used, gives) = (ledger.value(), ledger.value_of(2));
                let future = driver.remote().submit::<(), _>((), async move {
                    used.get();
                    gives
                });
                let user = thread::spawn({
                    let ledger = ledger.clone();
                    move || using.apply(future, &ledger)
                });
                end(driver, &ledger);
                match user.join().unwrap() {
                    None | Some(Ok(2)) => {}
                    Some(Err(
                        FutureError::Cancelled | FutureError::LoopClosed(_) | FutureError::LoopDied(_),
                    )) => {}
                    Some(other) => panic!("{other:?}"),
                }
                ledger.check();
            });
        }
    }
}

const WAKER_USES: [Named<fn(Waker)>; 5] = [
    ("wake", Waker::wake),
    ("wake_by_ref", |waker| waker.wake_by_ref()),
    ("a copy's wake, wake", |waker| {
        let copy = waker.clone();
        copy.wake();
        waker.wake();
    }),
    ("a copy's drop", |waker| drop(waker.clone())),
    ("drop", drop),
];

/// What the home does with a task that has been polled once.
type Step = fn(&Driver, TaskRef);

const STEPS: [Named<Step>; 8] = [
    ("a poll", |driver, _| driver.turn()),
    ("its last poll", |driver, task| {
        task.wake();
        driver.nap_and_turn();
    }),
    ("its being ended", |_, task| {
        let _ = task.end_with(FutureError::Cancelled);
    }),
    ("its being ended before a turn", |driver, task| {
        let _ = task.end_with(FutureError::Cancelled);
        drop(task);
        driver.nap_and_turn();
    }),
    ("its being let go", |_, task| drop(task)),
    ("a close", |driver, _| driver.close()),
    ("a sleep", |driver, _| {
        let _ = driver.home.fall_asleep();
        driver.turn();
    }),
    ("a sleep before a close", |driver, _| {
        let _ = driver.home.fall_asleep();
        driver.home.replace_bell(Box::new(TestBell::new()));
        driver.close();
    }),
];

/// A task is polled, ended, let go or closed with its loop while a waker of it is used, in each way.
#[test]
fn each_use_of_a_waker_against_each_step_of_its_task() {
    for (name, using) in WAKER_USES {
        for (step_name, step) in STEPS {
            against(3, name, step_name, move || {
                let ledger = Ledger::default();
                let driver = Driver::new();
                let (task, waker) = waiting(&driver, ledger.value(), || true);
                let user = thread::spawn(move || using(waker));
                step(&driver, task);
                drop(driver);
                assert_eq!(ledger.dropped(), 1, "the body is dropped at home");
                user.join().unwrap();
                ledger.check();
            });
        }
    }
}

/// Whatever becomes of what is handed in: its value is used before it is dropped.
async fn using(value: Value) -> u32 {
    value.get()
}

/// Who uses a handle has the loop's number too.
type RemoteUse = fn(Remote, u32, &Ledger);

const REMOTE_USES: [Named<RemoteUse>; 9] = [
    ("call", |remote, _, ledger| {
        let value = ledger.value();
        drop(remote.call(move || assert_eq!(value.get(), 1)));
    }),
    ("try_submit, drop", |remote, _, ledger| drop(remote.try_submit::<(), _>((), using(ledger.value())))),
    ("submit, result", |remote, _, ledger| drop(remote.submit::<(), _>((), using(ledger.value())).result())),
    ("submit, cancel", |remote, _, ledger| {
        let value = ledger.value();
        let future = remote.submit_with::<(), _, _>((), move || using(value));
        assert!(future.cancel() || future.done());
    }),
    ("block_on", |remote, _, ledger| drop(remote.block_on::<(), _>((), using(ledger.value())))),
    ("scope", |remote, _, ledger| {
        let scoped = remote.scope::<(), _, _>(|scope| drop(scope.submit((), using(ledger.value()))));
        assert_eq!(scoped, Ok(()));
    }),
    ("a copy's drop", |remote, _, _| {
        let another = remote.clone();
        drop(remote);
        drop(another);
    }),
    ("find, call", |remote, id, _| {
        drop(remote);
        if let Some(found) = Remote::find(id) {
            drop(found.call(|| {}));
        }
    }),
    ("looks", |remote, _, _| {
        let was_closed = remote.is_closed();
        let runs = remote.is_running();
        assert!(!was_closed || (remote.is_closed() && !runs && remote.call(|| {}).is_err()));
    }),
];

/// What the home does before it is gone.
const HOME_STEPS: [Named<fn(Driver)>; 7] = [
    ("a close", |driver| driver.close()),
    ("a death", drop),
    ("two turns", |driver| {
        driver.turn();
        driver.turn();
    }),
    ("a sleep", |driver| {
        let _ = driver.home.fall_asleep();
    }),
    ("a sleep before a turn", |driver| {
        driver.home.set_running(true);
        let _ = driver.home.look(std::time::Duration::MAX) || driver.home.fall_asleep();
        driver.turn();
        driver.home.set_running(false);
    }),
    ("another bell", |driver| {
        let _ = driver.home.fall_asleep();
        driver.home.replace_bell(Box::new(TestBell::new()));
        driver.turn();
        driver.close();
    }),
    ("a close with what has come in hand", |driver| {
        driver.home.collect();
        let in_hand = driver.home.pop();
        driver.home.close(Closing::Died);
        if let Some(Ready::Adopt(task)) = in_hand {
            assert!(!task.adopt());
        }
    }),
];

/// A loop turns, sleeps, closes or dies while a handle of it is used, in each way. Here the loop has the other thread, and
/// what hands in runs first.
#[test]
fn each_use_of_a_handle_against_each_step_of_its_loop() {
    for (name, using) in REMOTE_USES {
        for (step_name, step) in HOME_STEPS {
            against(2, name, step_name, move || {
                let ledger = Ledger::default();
                let (send, receive) = loom_sync::mpsc::channel();
                let home = thread::spawn(move || {
                    let driver = Driver::spinning(Spin::Never);
                    send.send((driver.remote(), driver.home.id())).unwrap();
                    step(driver);
                });
                let (remote, id) = receive.recv().unwrap();
                using(remote, id, &ledger);
                home.join().unwrap();
                ledger.check();
            });
        }
    }
}
