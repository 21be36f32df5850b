//! Futures that borrow from the stack of the thread that hands them in: `block_on` and `scope`.
#![expect(clippy::disallowed_types, reason = "two threads count here")]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use perloop::{FutureError, LoopThread, new_event_loop, sleep, yield_now};

/// Counts its drops where it was lent from.
struct Borrowed<'a>(&'a AtomicUsize, ThreadId);

impl<'a> Borrowed<'a> {
    fn new(drops: &'a AtomicUsize) -> Self {
        Self(drops, thread::current().id())
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        assert_ne!(thread::current().id(), self.1, "a body is dropped at home");
        self.0.fetch_add(1, Relaxed);
    }
}

async fn holds(borrowed: Borrowed<'_>) {
    let _borrowed = borrowed;
    pending().await
}

#[test]
fn block_on_borrows_and_changes_the_caller_s_own() {
    let worker = LoopThread::spawn("worker").unwrap();
    let mut words = vec![String::from("lent")];
    for n in 0..100 {
        let length = worker.block_on(async {
            yield_now().await;
            words.push(n.to_string());
            words.len()
        });
        assert_eq!(length, Ok(n + 2));
    }
    assert_eq!(words.len(), 101);
}

#[test]
fn a_panic_of_what_was_lent_comes_back() {
    let worker = LoopThread::spawn("worker").unwrap();
    let drops = AtomicUsize::new(0);
    let borrowed = Borrowed::new(&drops);
    let error = worker.block_on(async move {
        let _borrowed = borrowed;
        resume_unwind(Box::new("on purpose"))
    });
    let Err::<(), _>(FutureError::Panicked(panicked)) = error else { panic!("{error:?}") };
    assert_eq!((panicked.message(), drops.load(Relaxed)), ("on purpose", 1));
}

#[test]
fn a_panic_in_a_scope_waits_until_all_that_was_lent_is_gone() {
    let worker = LoopThread::spawn("worker").unwrap();
    let drops = AtomicUsize::new(0);
    let panics = || {
        worker.scope(|scope| {
            let one = scope.submit(holds(Borrowed::new(&drops)));
            scope.submit(holds(Borrowed::new(&drops)));
            assert_eq!(one.result_timeout(Duration::ZERO), Err(FutureError::TimedOut));
            resume_unwind(Box::new("the lender's"))
        })
    };
    let Err(payload) = catch_unwind(AssertUnwindSafe(panics)).map(|_: Result<(), _>| ()) else {
        panic!("it did")
    };
    assert_eq!(payload.downcast_ref(), Some(&"the lender's"));
    assert_eq!(drops.load(Relaxed), 2);
    assert_eq!(worker.block_on(async { 1 }), Ok(1));
}

#[test]
fn after_a_timeout_in_a_scope_the_lender_can_cancel_and_go_on() {
    let worker = LoopThread::spawn("worker").unwrap();
    let drops = AtomicUsize::new(0);
    let cancelled = worker.scope(|scope| {
        let slow = scope.submit(holds(Borrowed::new(&drops)));
        assert_eq!(slow.result_timeout(Duration::from_millis(1)), Err(FutureError::TimedOut));
        slow.cancel_and_wait()
    });
    assert_eq!((cancelled, drops.load(Relaxed)), (Ok(Ok(true)), 1));
}

#[test]
fn a_scope_ends_only_after_what_nobody_asked_for() {
    let worker = LoopThread::spawn("worker").unwrap();
    let done = AtomicUsize::new(0);
    let add = || async {
        sleep(Duration::from_millis(1)).await;
        done.fetch_add(1, Relaxed);
        &done
    };
    worker
        .scope(|scope| {
            for _ in 0..50 {
                scope.submit(add());
            }
            // It may be sent on inside of the scope as well.
            thread::scope(|threads| drop(threads.spawn(|| done.load(Relaxed))));
        })
        .unwrap();
    assert_eq!(done.load(Relaxed), 50);
}

#[test]
fn a_loop_that_closes_gives_back_what_was_lent() {
    for turns in 0..4 {
        let (sender, receiver) = mpsc::channel();
        let owner = thread::spawn(move || {
            let event_loop = new_event_loop().unwrap();
            let (lent, is_lent) = mpsc::channel();
            sender.send((event_loop.handle(), lent)).unwrap();
            is_lent.recv().unwrap();
            for _ in 0..turns {
                event_loop.run_once(Some(Duration::ZERO)).unwrap();
            }
            event_loop.close().unwrap();
        });
        let (handle, lent) = receiver.recv().unwrap();
        let drops = AtomicUsize::new(0);
        let (one, other) = handle
            .scope(|scope| {
                let futures =
                    (scope.submit(holds(Borrowed::new(&drops))), scope.submit(holds(Borrowed::new(&drops))));
                lent.send(()).unwrap();
                (futures.0.result(), futures.1.result())
            })
            .unwrap();
        assert_eq!((one.is_err(), other.is_err(), drops.load(Relaxed)), (true, true, 2));
        owner.join().unwrap();
    }
}

#[test]
fn a_closed_loop_refuses_what_is_lent() {
    let event_loop = new_event_loop().unwrap();
    event_loop.close().unwrap();
    let handle = event_loop.handle();
    let text = String::from("here");
    let refused =
        thread::scope(|scope| scope.spawn(|| handle.block_on(async { text.len() })).join().unwrap());
    assert!(matches!(refused, Err(FutureError::LoopClosed(_))));
}

#[test]
fn one_can_lend_while_the_thread_unwinds() {
    struct Lends<'a>(&'a LoopThread, &'a AtomicUsize);
    impl Drop for Lends<'_> {
        fn drop(&mut self) {
            let counted = self.0.block_on(async { self.1.fetch_add(1, Relaxed) });
            let scoped = self.0.scope(|scope| scope.submit(async { self.1.fetch_add(1, Relaxed) }).result());
            assert_eq!((counted, scoped), (Ok(0), Ok(Ok(1))));
        }
    }
    let worker = LoopThread::spawn("worker").unwrap();
    let count = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = Lends(&worker, &count);
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_eq!(count.load(Relaxed), 2);
}
