//! Submissions from several threads, while the loop closes: the ledger is exact.
#![expect(clippy::disallowed_types, reason = "several threads count here")]

use std::future::pending;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, ThreadId};

use perloop::{
    CrossThreadFuture, EventLoop, FutureError, LoopHandle, LoopThread, new_event_loop,
    run_coroutine_threadsafe, yield_now,
};

const THREADS: usize = 4;
const EACH: usize = 40;

/// What was made and dropped, and whether it was in the right thread.
#[derive(Default)]
struct Ledger {
    made: AtomicUsize,
    dropped: AtomicUsize,
    dropped_abroad: AtomicUsize,
    called: AtomicUsize,
    given_back: AtomicUsize,
}

/// Travels with a submission.
struct Token(Arc<Ledger>);

impl Token {
    fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.made.fetch_add(1, Relaxed);
        Self(Arc::clone(ledger))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }
}

/// Made on the loop's thread, which it must not leave.
struct Homebody(Token, ThreadId, PhantomData<*mut ()>);

impl Drop for Homebody {
    fn drop(&mut self) {
        if thread::current().id() != self.1 {
            self.0.0.dropped_abroad.fetch_add(1, Relaxed);
        }
    }
}

fn submit(n: usize, on: &LoopHandle, ledger: &Arc<Ledger>) -> Option<CrossThreadFuture<Token>> {
    let token = Token::new(ledger);
    let at_home = move |token| Homebody(token, thread::current().id(), PhantomData);
    match n % 6 {
        0 => Some(run_coroutine_threadsafe(async { token }, on)),
        1 => Some(run_coroutine_threadsafe(
            async move {
                let _token = token;
                pending().await
            },
            on,
        )),
        2 => Some(run_coroutine_threadsafe(
            async move {
                yield_now().await;
                let _token = token;
                resume_unwind(Box::new("on purpose"))
            },
            on,
        )),
        3 => Some(on.run_with(move || async move {
            let _homebody = at_home(token);
            pending().await
        })),
        4 => Some(on.run_with(move || async move {
            let homebody = at_home(token);
            yield_now().await;
            Token::new(&homebody.0.0)
        })),
        _ => {
            let call = move || {
                token.0.called.fetch_add(1, Relaxed);
            };
            if let Err(refused) = on.call_soon_threadsafe(call) {
                ledger.given_back.fetch_add(1, Relaxed);
                drop(refused.into_inner());
            }
            None
        }
    }
}

/// Every future says one of the five ends, and says it.
fn assert_ended(futures: Vec<CrossThreadFuture<Token>>, may_die: bool) {
    for future in futures {
        match future.result() {
            Ok(_) => assert!(matches!(future.result(), Err(FutureError::Taken))),
            Err(FutureError::LoopDied(_)) => assert!(may_die),
            Err(FutureError::Cancelled) => assert!(future.cancelled() && future.done()),
            Err(FutureError::Panicked(panicked)) => assert_eq!(panicked.message(), "on purpose"),
            Err(FutureError::LoopClosed(_)) => assert!(future.done() && !future.cancel()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Four threads submit, while `live` turns its loop a few times and ends it.
fn race(rounds: usize, may_die: bool, live: impl Fn(EventLoop, usize) + Copy + Send + 'static) {
    for round in 0..rounds {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = std::sync::mpsc::channel();
        let start = Arc::new(Barrier::new(THREADS + 1));
        let at_start = Arc::clone(&start);
        let owner = thread::spawn(move || {
            let event_loop = new_event_loop().unwrap();
            sender.send(event_loop.handle()).unwrap();
            at_start.wait();
            live(event_loop, round);
        });
        let handle = receiver.recv().unwrap();
        let submitters: Vec<_> = (0..THREADS)
            .map(|_| {
                let (ledger, handle, start) = (Arc::clone(&ledger), handle.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    (0..EACH).filter_map(|n| submit(n, &handle, &ledger)).collect::<Vec<_>>()
                })
            })
            .collect();
        for submitter in submitters {
            assert_ended(submitter.join().unwrap(), may_die);
        }
        owner.join().unwrap();
        assert_eq!(ledger.dropped_abroad.load(Relaxed), 0);
        assert_eq!(ledger.made.load(Relaxed), ledger.dropped.load(Relaxed));
        let calls = ledger.called.load(Relaxed) + ledger.given_back.load(Relaxed);
        assert!(calls <= THREADS * (EACH / 6), "a call ran twice");
    }
}

fn turn(event_loop: &EventLoop, turns: usize) {
    for _ in 0..turns {
        event_loop.run_once(Some(std::time::Duration::ZERO)).unwrap();
    }
}

#[test]
fn every_submission_ends_once_when_the_loop_closes() {
    race(60, false, |event_loop, round| {
        turn(&event_loop, round % 7);
        event_loop.close().unwrap();
    });
}

#[test]
fn every_submission_ends_once_when_the_thread_ends() {
    race(60, true, |event_loop, round| {
        turn(&event_loop, round % 7);
        std::mem::forget(event_loop);
    });
}

#[test]
fn every_submission_ends_once_when_a_loop_thread_is_joined() {
    for _ in 0..60 {
        let ledger = Arc::new(Ledger::default());
        let worker = LoopThread::spawn("joined").unwrap();
        let start = Arc::new(Barrier::new(THREADS + 1));
        let submitters: Vec<_> = (0..THREADS)
            .map(|_| {
                let (ledger, handle, start) = (Arc::clone(&ledger), (*worker).clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    (0..EACH).filter_map(|n| submit(n, &handle, &ledger)).collect::<Vec<_>>()
                })
            })
            .collect();
        start.wait();
        worker.join().unwrap();
        for submitter in submitters {
            assert_ended(submitter.join().unwrap(), false);
        }
        assert_eq!(ledger.dropped_abroad.load(Relaxed), 0);
        assert_eq!(ledger.made.load(Relaxed), ledger.dropped.load(Relaxed));
    }
}

#[test]
fn cancelling_from_several_threads_while_the_loop_closes_ends_each_body_at_home() {
    for round in 0..60 {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = std::sync::mpsc::channel();
        let start = Arc::new(Barrier::new(THREADS + 1));
        let at_start = Arc::clone(&start);
        let owner = thread::spawn(move || {
            let event_loop = new_event_loop().unwrap();
            sender.send(event_loop.handle()).unwrap();
            at_start.wait();
            turn(&event_loop, round % 5);
            event_loop.close().unwrap();
        });
        let handle = receiver.recv().unwrap();
        let futures: Vec<_> =
            (0..THREADS * EACH).filter_map(|_| submit(3, &handle, &ledger)).map(Arc::new).collect();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    futures.iter().for_each(|future| {
                        future.cancel();
                    });
                });
            }
        });
        owner.join().unwrap();
        assert!(futures.iter().all(|future| future.done()));
        assert_eq!(ledger.dropped_abroad.load(Relaxed), 0);
        assert_eq!(ledger.made.load(Relaxed), ledger.dropped.load(Relaxed));
    }
}
