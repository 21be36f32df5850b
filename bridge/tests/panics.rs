//! Panics in code that is not ours: wakers, callbacks, destructors, payloads. None gets into the loop, and the others
//! are served.
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use perloop_bridge::{CrossThreadFuture, FutureError, NameEntry, Promise, Spin};
use support::hooked_waker::{Used, waker_that_panics};
use support::{Bomb, Driver, LoopThread, MEANT, PanicsOnDrop, hush};

/// Those who wait for a future beside a hostile waker.
struct Others(Arc<AtomicUsize>);

impl Others {
    fn watch<T: Send + 'static>(&self, future: &CrossThreadFuture<T>) {
        let told = Arc::clone(&self.0);
        future.add_done_callback(move |_| _ = told.fetch_add(1, SeqCst));
    }
}

/// Polls with a hostile waker, whose panic goes to the poller and to nobody else, and is waited for before and after.
fn watch_with<T: Send + 'static>(future: &mut CrossThreadFuture<T>, waker: &Waker) -> Others {
    let others = Others(Arc::default());
    others.watch(future);
    let _ = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *future).poll(&mut Context::from_waker(waker))));
    others.watch(future);
    others
}

/// A place where a waker of somebody else's is used.
type Place = fn(&Waker);

/// Waited for, the same waker again, and another one in its place.
fn replaced(waker: &Waker) {
    let (mut promise, mut future) = Promise::new();
    let others = watch_with(&mut future, waker);
    drop(watch_with(&mut future, waker));
    drop(watch_with(&mut future, Waker::noop()));
    drop(watch_with(&mut future, waker));
    promise.set_result(1).unwrap();
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Ok(1)));
}

/// Told by who keeps a promise.
fn told_of_a_value(waker: &Waker) {
    let (mut promise, mut future) = Promise::new();
    let others = watch_with(&mut future, waker);
    promise.set_result(1).unwrap();
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Ok(1)));
}

/// Told by who breaks a promise.
fn told_of_a_lost_promise(waker: &Waker) {
    let (promise, mut future) = Promise::<()>::new();
    let others = watch_with(&mut future, waker);
    drop(promise);
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Err(FutureError::Cancelled)));
}

/// Told by who cancels.
fn told_of_a_cancel(waker: &Waker) {
    let (_promise, mut future) = Promise::<()>::new();
    let others = watch_with(&mut future, waker);
    assert!(future.cancel());
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Err(FutureError::Cancelled)));
}

/// Told by the loop.
fn told_by_a_loop(waker: &Waker) {
    let driver = Driver::new(Spin::Never);
    let mut future = driver.home.remote().submit::<(), _>((), async { 1 });
    let others = watch_with(&mut future, waker);
    driver.run_until(|| future.done());
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Ok(1)));
}

/// Told by a loop that closes, beside another submission, which is told as well.
fn told_by_a_close(waker: &Waker) {
    let driver = Driver::new(Spin::Never);
    let mut futures = [0; 2].map(|_| driver.home.remote().submit::<(), _>((), std::future::pending::<()>()));
    let others = futures.each_mut().map(|future| watch_with(future, waker));
    driver.turn();
    driver.turn();
    drop(driver);
    for (future, others) in futures.iter().zip(others) {
        assert_eq!(others.0.load(SeqCst), 2);
        assert!(matches!(future.try_result(), Some(Err(FutureError::LoopDied(_)))));
    }
}

/// Given up, by who waited for the value and by who waited for the end.
fn given_up(waker: &Waker) {
    let (mut promise, mut future) = Promise::new();
    let others = watch_with(&mut future, waker);
    {
        let mut completion = std::pin::pin!(future.completion());
        let poll = || completion.as_mut().poll(&mut Context::from_waker(waker)).is_ready();
        let _ = catch_unwind(AssertUnwindSafe(poll));
    }
    promise.set_result(1).unwrap();
    assert_eq!((others.0.load(SeqCst), future.result()), (2, Ok(1)));
    let (_promise, mut future) = Promise::<()>::new();
    drop(watch_with(&mut future, waker));
    drop(future);
}

/// Each of a waker's functions panics, in each place where one is called: the others are told, and whoever completes,
/// cancels or closes goes on.
#[test]
fn t_waker_vtable_panics() {
    hush();
    const PLACES: [Place; 7] = [
        replaced,
        told_of_a_value,
        told_of_a_lost_promise,
        told_of_a_cancel,
        told_by_a_loop,
        told_by_a_close,
        given_up,
    ];
    for when in [Used::Cloned, Used::Woken, Used::WokenByRef, Used::Dropped] {
        for place in PLACES {
            let waker = waker_that_panics(when);
            place(&waker);
            // Its own drop is the test's.
            std::mem::forget(waker);
        }
    }
}

#[test]
fn a_callback_that_is_late_panics_harmlessly() {
    hush();
    let (mut promise, future) = Promise::new();
    promise.set_result(3).unwrap();
    future.add_done_callback(|_| panic_any(MEANT));
    assert_eq!(future.result(), Ok(3));
}

/// A body that panics when it is dropped: its value is gone, and the panic the outcome.
#[test]
fn a_body_whose_destructor_panics_has_panicked() {
    hush();
    let drops = Arc::new(AtomicUsize::new(0));
    let looping = LoopThread::start();
    let mut held = Some(PanicsOnDrop(Arc::clone(&drops)));
    let body = std::future::poll_fn(move |_| {
        assert!(held.is_some());
        let _ = held.as_mut();
        Poll::Ready(4)
    });
    let outcome = looping.remote.submit::<(), _>((), body).result();
    assert!(matches!(outcome, Err(FutureError::Panicked(panicked)) if panicked.message() == MEANT));
    let held = PanicsOnDrop(Arc::clone(&drops));
    let cancelled = looping.remote.submit::<(), _>((), async move {
        let _held = held;
        std::future::pending::<()>().await
    });
    assert_eq!(cancelled.cancel_and_wait(), Ok(true));
    assert_eq!(drops.load(SeqCst), 2);
    assert_eq!(looping.remote.block_on::<(), _>((), async { 5 }), Ok(5));
}

/// An output that panics when it is dropped, in each place where we drop one.
#[test]
fn an_output_whose_destructor_panics_harms_nobody() {
    hush();
    let drops = Arc::new(AtomicUsize::new(0));
    let output = || PanicsOnDrop(Arc::clone(&drops));
    let driver = Driver::new(Spin::Never);
    let remote = driver.home.remote();
    // Detached before the end, and after.
    let given = output();
    drop(remote.submit::<(), _>((), async { given }));
    let given = output();
    let kept = remote.submit::<(), _>((), async { given });
    // Cancelled between the end and its publication.
    let given = output();
    let cancelled = remote.submit::<(), _>((), async { given });
    driver.turn();
    driver.turn();
    assert!(cancelled.cancel());
    driver.turn();
    assert!(kept.done());
    drop(kept);
    // A task's own.
    let given = output();
    drop(driver.home.spawn(|| (), async { given }));
    driver.turn();
    // A promise's, cancelled before.
    let (mut promise, future) = Promise::new();
    assert!(future.cancel());
    assert!(catch_unwind(AssertUnwindSafe(|| promise.set_result(output()).is_err())).unwrap_or(true));
    drop((promise, future));
    assert_eq!(drops.load(SeqCst), 5);
}

/// Panics in destructors while the loop closes: all the others are still told, and dropped.
#[test]
fn destructors_that_panic_do_not_stop_a_close() {
    hush();
    let drops = Arc::new(AtomicUsize::new(0));
    let driver = Driver::new(Spin::Never);
    let submit = || {
        let held = PanicsOnDrop(Arc::clone(&drops));
        driver.home.remote().submit::<(), _>((), async move {
            let _held = held;
            std::future::pending::<()>().await
        })
    };
    let begun: Vec<_> = (0..8).map(|_| submit()).collect();
    driver.turn();
    driver.turn();
    let queued: Vec<_> = (0..8).map(|_| submit()).collect();
    drop(driver);
    assert_eq!(drops.load(SeqCst), 16);
    assert!(begun.iter().all(|future| matches!(future.try_result(), Some(Err(FutureError::LoopDied(_))))));
    assert!(queued.iter().all(|future| matches!(future.try_result(), Some(Err(FutureError::LoopClosed(_))))));
}

/// Throws a bomb when it is dropped.
struct ThrowsBomb;

impl Drop for ThrowsBomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

/// A payload that panics when it is dropped: thrown by a body, by its destructor, by an outcome's, or by a callback, and
/// handed out, left in the future, or thrown away.
#[test]
fn t_payload_bomb() {
    hush();
    let looping = LoopThread::start();
    let held = ThrowsBomb;
    let cancelled = looping.remote.submit::<(), _>((), async move {
        let _held = held;
        std::future::pending::<()>().await
    });
    assert_eq!(looping.remote.block_on::<(), _>((), async { 1 }), Ok(1));
    assert_eq!(cancelled.cancel_and_wait(), Ok(true));
    drop(looping.remote.submit::<(), _>((), async { ThrowsBomb }));
    let bomb = || looping.remote.submit::<(), _>((), async { panic_any(Bomb) });
    let future: CrossThreadFuture<()> = bomb();
    let panicked = future.exception().unwrap().unwrap();
    assert!(panicked.message().contains("no text"));
    std::mem::forget(panicked.clone().into_payload());
    drop((future, panicked));
    let future = bomb();
    while !future.done() {
        std::thread::yield_now();
    }
    drop(future);
    drop(bomb());
    looping.remote.call(|| panic_any(Bomb)).unwrap();
    let (mut promise, future) = Promise::new();
    future.add_done_callback(|_| panic_any(Bomb));
    promise.set_result(6).unwrap();
    assert_eq!(looping.remote.block_on::<(), _>((), async { 7 }), Ok(7));
}

/// The scope's closure panics: its bodies are cancelled and gone before the panic goes on.
#[test]
fn a_scope_that_panics_takes_its_bodies_along() {
    hush();
    let looping = LoopThread::start();
    let mut number = 0;
    let scoped = catch_unwind(AssertUnwindSafe(|| {
        looping.remote.scope::<(), (), _>(|scope| {
            scope.submit((), async {
                number += 1;
                std::future::pending::<()>().await;
            });
            panic_any(MEANT);
        })
    }));
    assert!(scoped.is_err());
    assert!(number <= 1);
}

/// A bell whose destructor panics does not stop a close half-way.
#[test]
fn a_bell_whose_destructor_panics_does_not_stop_a_close() {
    struct Bell(#[expect(dead_code, reason = "it panics when it is dropped")] PanicsOnDrop);
    impl perloop_bridge::Bell for Bell {
        fn ring(&self) {}
    }
    hush();
    let dropped = Arc::new(AtomicUsize::new(0));
    let bell = Box::new(Bell(PanicsOnDrop(Arc::clone(&dropped))));
    let home = perloop_bridge::Home::new("loop", Spin::Never, bell);
    let remote = home.remote();
    let refused = std::thread::spawn(move || remote.submit::<(), _>((), async {})).join().unwrap();
    home.close(perloop_bridge::Closing::Closed);
    assert!(matches!(refused.result(), Err(FutureError::LoopClosed(_))));
    assert_eq!(dropped.load(SeqCst), 1);
}

/// A value that panics when it is dropped with its entry: its name is free, and who drops the entry goes on.
#[test]
fn a_named_value_whose_destructor_panics_leaves_its_name_free() {
    hush();
    let drops = Arc::new(AtomicUsize::new(0));
    let enter = || {
        let value = Arc::new(PanicsOnDrop(Arc::clone(&drops)));
        NameEntry::enter("bomb".into(), value, |_| true).unwrap_or_else(|_| panic!("the name is free"))
    };
    drop(enter());
    drop(enter());
    assert_eq!(drops.load(SeqCst), 2);
}
