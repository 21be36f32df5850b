//! Panics in code that is not ours: wakers, callbacks, destructors, payloads. None gets into the loop, and the others
//! are served.
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use perloop_bridge::{CrossThreadFuture, FutureError, Promise, Spin};
use support::{Bomb, Driver, LoopThread, MEANT, PanicsOnDrop, hush};

/// A waker whose functions panic, as the numbers say.
fn hostile(clone: bool, wake: bool, drop: bool) -> Waker {
    fn panic_if(bits: *const (), bit: usize) {
        if bits.addr() & bit != 0 && !std::thread::panicking() {
            panic_any(MEANT);
        }
    }
    unsafe fn clone_it(bits: *const ()) -> RawWaker {
        panic_if(bits, 1);
        RawWaker::new(bits, &VTABLE)
    }
    unsafe fn wake_it(bits: *const ()) {
        panic_if(bits, 2);
    }
    unsafe fn drop_it(bits: *const ()) {
        panic_if(bits, 4);
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_it, wake_it, wake_it, drop_it);
    let bits = usize::from(clone) | usize::from(wake) << 1 | usize::from(drop) << 2;
    // SAFETY: the functions use no memory.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(bits), &VTABLE)) }
}

fn poll<T>(future: &mut CrossThreadFuture<T>, waker: &Waker) -> Poll<Result<T, FutureError>> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_future_as_it_was() {
    hush();
    let (mut promise, mut future) = Promise::new();
    let waker = hostile(true, false, false);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future, &waker).is_ready())).is_err());
    assert!(poll(&mut future, Waker::noop()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future, &waker).is_ready())).is_err());
    promise.set_result(1).unwrap();
    assert_eq!(future.result(), Ok(1));
}

#[test]
fn a_waker_whose_wake_or_drop_panics_keeps_nobody_from_being_told() {
    hush();
    let told = Arc::new(AtomicUsize::new(0));
    let (mut promise, mut future) = Promise::new();
    let first = hostile(false, true, true);
    assert!(poll(&mut future, &first).is_pending());
    // Replacing it drops it.
    let second = hostile(false, true, false);
    assert!(poll(&mut future, &second).is_pending());
    for _ in 0..2 {
        let told = Arc::clone(&told);
        future.add_done_callback(move |_| {
            told.fetch_add(1, SeqCst);
            panic_any(MEANT);
        });
    }
    promise.set_result(2).unwrap();
    assert_eq!(told.load(SeqCst), 2);
    assert_eq!(future.result(), Ok(2));
    std::mem::forget(first);
}

#[test]
fn a_future_that_is_dropped_drops_a_waker_that_panics() {
    hush();
    let (_promise, mut future) = Promise::<()>::new();
    let waker = hostile(false, false, true);
    assert!(poll(&mut future, &waker).is_pending());
    drop(future);
    std::mem::forget(waker);
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

/// A payload that panics when it is dropped: whether it is handed out, left in the future, or thrown by a callback.
#[test]
fn a_payload_whose_destructor_panics_harms_nobody() {
    hush();
    let looping = LoopThread::start();
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
