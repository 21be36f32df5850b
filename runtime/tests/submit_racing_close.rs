//! Submissions from several threads, while their loop ends, and cancels from several threads: the ledger is exact.
#![expect(clippy::disallowed_types, reason = "several threads count here")]

#[path = "../../bridge/tests/support/ledger.rs"]
mod ledger;

use std::future::pending;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ledger::{Dice, End, Ledger, MEANT, Owned, hush};
use perloop::{
    CrossThreadFuture, EventLoop, LoopHandle, LoopThread, new_event_loop, run_coroutine_threadsafe, yield_now,
};

const THREADS: usize = 8;
const EACH: usize = 21;

/// Made on the loop's thread, which it must not leave.
struct Homebody(Option<Owned>, PhantomData<*mut ()>);

impl Homebody {
    fn new(mut owned: Owned) -> Self {
        owned.begin();
        Self(Some(owned), PhantomData)
    }

    fn leave(mut self) -> Owned {
        self.0.take().expect("left once").leave()
    }
}

/// A callback that tells how it ended: called, dropped by the loop before its turn, or come back.
struct Callback {
    ledger: Ledger,
    number: usize,
    was_called: bool,
    submitter: ThreadId,
    _owned: Owned,
}

impl Callback {
    fn call(mut self) {
        self.was_called = true;
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        let end = match (self.was_called, thread::current().id() == self.submitter) {
            (true, _) => End::Completed,
            (false, true) => End::Refused,
            (false, false) => End::Cancelled,
        };
        self.ledger.end(self.number, end);
    }
}

/// Hands in one thing of one kind. What has a future may be left to be asked later.
fn submit(on: &LoopHandle, ledger: &Ledger, number: usize) -> Option<CrossThreadFuture<Owned>> {
    let mut owned = ledger.owned();
    Some(match number % 7 {
        0 => run_coroutine_threadsafe(async { owned }, on),
        1 => run_coroutine_threadsafe(
            async move {
                owned.begin();
                pending().await
            },
            on,
        ),
        2 => run_coroutine_threadsafe(
            async move {
                owned.begin();
                yield_now().await;
                panic_any(MEANT)
            },
            on,
        ),
        3 => on.run_with(move || async move {
            let _homebody = Homebody::new(owned);
            pending().await
        }),
        4 => on.run_with(move || async move {
            let homebody = Homebody::new(owned);
            yield_now().await;
            homebody.leave()
        }),
        5 => {
            try_submit(on, ledger, number, owned);
            return None;
        }
        _ => {
            call(on, ledger, number, owned);
            return None;
        }
    })
}

/// What is refused comes back: the very one, by its address.
fn try_submit(on: &LoopHandle, ledger: &Ledger, number: usize, owned: Owned) {
    let boxed = Box::new(owned);
    let address: *const Owned = &*boxed;
    match on.try_submit(std::future::ready(boxed)) {
        Ok(future) => {
            let told = ledger.clone();
            future.add_done_callback(move |future| {
                told.end(number, End::of(&future.try_result().expect("it is done")));
            });
        }
        Err(refused) => {
            let back = refused.into_inner().into_inner();
            assert!(std::ptr::eq(&*back, address), "another one came back");
            ledger.end(number, End::Refused);
        }
    }
}

fn call(on: &LoopHandle, ledger: &Ledger, number: usize, owned: Owned) {
    let (ledger, submitter) = (ledger.clone(), thread::current().id());
    let callback = Callback { ledger, number, was_called: false, submitter, _owned: owned };
    drop(on.call_soon_threadsafe(move || callback.call()));
}

/// One thread's submissions; then it waits for the end of each.
fn submit_many(on: &LoopHandle, ledger: &Ledger, numbers: Range<usize>) {
    let futures: Vec<_> = numbers.filter_map(|number| Some((number, submit(on, ledger, number)?))).collect();
    for (number, future) in futures {
        let outcome = future.result();
        assert!(future.done() && !future.cancel() || future.cancelled());
        ledger.end(number, End::of(&outcome));
    }
}

/// How a loop of this thread is brought to its end.
type Life = fn(EventLoop, turns: usize);

/// Eight threads submit, while a thread turns its loop a few times and ends it. Gives how the submissions ended.
fn race(rounds: usize, life: Life) -> [usize; 5] {
    hush();
    let (mut dice, mut sums) = (Dice(5), [0; 5]);
    for _ in 0..rounds {
        let ledger = Ledger::new(THREADS * EACH);
        let (started, begun) = (Arc::new(AtomicUsize::new(0)), dice.index(THREADS + 1));
        let (turns, in_owner) = (dice.index(7), Arc::clone(&started));
        let (send, receive) = mpsc::channel();
        let owner = thread::spawn(move || {
            let event_loop = new_event_loop().unwrap();
            send.send(event_loop.handle()).unwrap();
            while in_owner.load(SeqCst) < begun {
                thread::yield_now();
            }
            life(event_loop, turns);
        });
        let handle = receive.recv().unwrap();
        submit_from_threads(&handle, &ledger, &started);
        owner.join().unwrap();
        assert!(handle.is_closed());
        for (sum, count) in sums.iter_mut().zip(ledger.check()) {
            *sum += count;
        }
    }
    sums
}

fn submit_from_threads(handle: &LoopHandle, ledger: &Ledger, started: &AtomicUsize) {
    thread::scope(|scope| {
        for index in 0..THREADS {
            scope.spawn(move || {
                started.fetch_add(1, SeqCst);
                submit_many(handle, ledger, index * EACH..(index + 1) * EACH);
            });
        }
    });
}

fn turn(event_loop: &EventLoop, turns: usize) {
    for _ in 0..turns {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn s_submit_racing_close() {
    let sums = race(400, |event_loop, turns| {
        turn(&event_loop, turns);
        event_loop.close().unwrap();
    });
    let [ends @ .., 0] = sums else { panic!("it was closed, and none died: {sums:?}") };
    assert!(ends.iter().all(|count| *count > 0), "each other way to end was met: {sums:?}");
}

#[test]
fn every_submission_ends_once_when_the_thread_ends() {
    let sums = race(400, |event_loop, turns| {
        turn(&event_loop, turns);
        std::mem::forget(event_loop);
    });
    // What had begun died; what hadn't was thrown away or refused.
    assert!(sums.iter().all(|count| *count > 0), "each way to end was met: {sums:?}");
}

#[test]
fn every_submission_ends_once_when_a_loop_thread_is_joined() {
    hush();
    let mut dice = Dice(9);
    for _ in 0..400 {
        let (ledger, started) = (Ledger::new(THREADS * EACH), AtomicUsize::new(0));
        let worker = LoopThread::spawn("joined").unwrap();
        let (handle, begun) = (worker.handle(), dice.index(THREADS + 1));
        thread::scope(|scope| {
            scope.spawn(|| submit_from_threads(&handle, &ledger, &started));
            while started.load(SeqCst) < begun {
                thread::yield_now();
            }
            worker.join().unwrap();
        });
        assert_eq!(ledger.check()[4], 0, "it was joined, and none died");
    }
}

/// Four threads cancel what they have submitted, a hundred thousand bodies that are not `Send`, at all stages: each is
/// dropped on the loop's thread, whoever cancels it.
#[test]
fn t_abort_elsewhere_drops_home() {
    const ABORTS: usize = 25_000;
    let ledger = Ledger::new(4 * ABORTS);
    let worker = LoopThread::spawn("home").unwrap();
    thread::scope(|scope| {
        for index in 0..4 {
            let (worker, ledger) = (&worker, &ledger);
            scope.spawn(move || {
                for number in index * ABORTS..(index + 1) * ABORTS {
                    let future = submit(worker, ledger, 7 * number + 3).expect("it has a future");
                    // Most are cancelled on their way, some when they have begun.
                    if number % 50 == 0 {
                        run_coroutine_threadsafe(async {}, worker).result().unwrap();
                    }
                    assert!(if number % 200 == 0 {
                        future.cancel_and_wait().unwrap()
                    } else {
                        future.cancel()
                    });
                    ledger.end(number, End::of(&future.result()));
                }
            });
        }
    });
    worker.join().unwrap();
    assert_eq!(ledger.check(), [0, 4 * ABORTS, 0, 0, 0]);
}

/// As before, all four the same futures, while the loop closes.
#[test]
fn cancelling_from_several_threads_while_the_loop_closes_ends_each_body_at_home() {
    for round in 0..60 {
        let (ledger, started) = (Ledger::new(0), Arc::new(AtomicUsize::new(0)));
        let (send, receive) = mpsc::channel();
        let at_start = Arc::clone(&started);
        let owner = thread::spawn(move || {
            let event_loop = new_event_loop().unwrap();
            send.send(event_loop.handle()).unwrap();
            while at_start.load(SeqCst) < 1 + round % 4 {
                thread::yield_now();
            }
            turn(&event_loop, round % 5);
            event_loop.close().unwrap();
        });
        let handle = receive.recv().unwrap();
        let futures: Vec<_> = (0..160).filter_map(|_| submit(&handle, &ledger, 3)).collect();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    started.fetch_add(1, SeqCst);
                    futures.iter().for_each(|future| _ = future.cancel());
                });
            }
        });
        owner.join().unwrap();
        assert!(futures.iter().all(CrossThreadFuture::done));
        ledger.check();
    }
}
