//! Bounded submission: never more than so many at a time, and each permit comes back, whatever becomes of the work.
#![expect(clippy::disallowed_types, reason = "a witness from several threads")]

use std::future::{pending, ready};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use perloop::{
    EventLoop, FutureError, LimitReached, LoopHandle, LoopThread, PanicPolicy, PermitError, SubmitLimit,
    catch_cancelled, create_task, run, run_coroutine_threadsafe, yield_now,
};

fn worker() -> (LoopThread, SubmitLimit) {
    (LoopThread::spawn("worker").unwrap(), SubmitLimit::new(1))
}

#[test]
fn what_is_refused_is_never_made() {
    let (worker, limit) = worker();
    let held = limit.try_acquire();
    let refused = limit.try_submit(&worker, || -> std::future::Ready<()> { panic!("it was made") });
    assert_eq!(refused.err(), Some(LimitReached { most: 1 }));
    drop(held);
    assert_eq!(limit.try_submit(&worker, || ready(42)).unwrap().result(), Ok(42));
}

#[test]
fn who_has_an_outcome_finds_the_permit_given_back() {
    let (worker, limit) = worker();
    for _ in 0..1_000 {
        limit.try_submit(&worker, || ready(())).unwrap().result().unwrap();
    }
}

#[test]
fn the_permit_comes_back_after_a_panic() {
    let (worker, limit) = worker();
    let submitted = limit.try_submit(&worker, || async { resume_unwind(Box::new("meant")) });
    assert!(matches!(submitted.unwrap().result(), Err::<(), _>(FutureError::Panicked(_))));
    assert_eq!(limit.available(), 1);
    let permit = limit.acquire_blocking().unwrap();
    let made = permit.run_with(&worker, || -> std::future::Ready<()> { resume_unwind(Box::new("meant")) });
    assert!(made.result().is_err());
    assert_eq!(limit.available(), 1);
}

#[test]
fn the_permit_comes_back_when_its_maker_panics() {
    let (worker, limit) = worker();
    let submitter = thread::spawn({
        let (handle, limit) = (worker.handle(), limit.clone());
        move || limit.try_submit(&handle, || -> std::future::Ready<()> { resume_unwind(Box::new("meant")) })
    });
    assert!(submitter.join().is_err());
    assert_eq!(limit.available(), 1);
}

#[test]
fn the_permit_comes_back_from_a_task_that_is_cancelled_when_it_has_ended() {
    let (worker, limit) = worker();
    let (sender, receiver) = mpsc::channel();
    let in_task = limit.clone();
    let submitted = limit.try_submit(&worker, || async move {
        drop(catch_cancelled(pending::<()>()).await);
        sender.send(in_task.available()).unwrap();
    });
    let submitted = submitted.unwrap();
    // Begun, so that the request meets it where it waits.
    worker.block_on(yield_now()).unwrap();
    assert!(submitted.cancel_and_wait().unwrap());
    assert_eq!((receiver.recv(), limit.available()), (Ok(0), 1));
}

#[test]
fn the_permit_comes_back_from_a_loop_that_is_closed() {
    let (worker, limit) = worker();
    let handle = worker.handle();
    worker.join().unwrap();
    for _ in 0..3 {
        let refused = limit.try_submit(&handle, || ready(())).unwrap();
        assert!(matches!(refused.result(), Err(FutureError::LoopClosed(_))));
    }
    assert_eq!(limit.available(), 1);
}

#[test]
fn the_permits_of_a_loop_that_closes_come_back() {
    let (worker, limit) = (LoopThread::spawn("worker").unwrap(), SubmitLimit::new(3));
    let submitted: Vec<_> = (0..3).map(|_| limit.try_submit(&worker, pending::<()>).unwrap()).collect();
    drop(worker);
    assert_eq!(limit.available(), 3);
    drop(submitted);
}

#[test]
fn who_waits_for_a_permit_of_a_loop_that_dies_gets_it() {
    let dies = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let worker = LoopThread::spawn_with("dies", dies).unwrap();
    let limit = SubmitLimit::new(1);
    let endless = limit.try_submit(&worker, pending::<()>).unwrap();
    let waiter = thread::spawn({
        let (handle, limit) = (worker.handle(), limit.clone());
        move || limit.submit_blocking(&handle, || ready(())).map(|submitted| submitted.result())
    });
    worker.call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).unwrap();
    assert!(matches!(waiter.join().unwrap(), Ok(Err(FutureError::LoopClosed(_)))));
    assert!(endless.result().is_err());
}

#[test]
fn who_gives_an_awaited_submission_up_has_submitted_nothing() {
    let (worker, limit) = worker();
    let held = limit.try_acquire().unwrap();
    let (handle, in_task) = (worker.handle(), limit.clone());
    run(async move {
        let task = create_task(async move {
            drop(in_task.submit(&handle, || -> std::future::Ready<()> { panic!("it was made") }).await);
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
    })
    .unwrap();
    drop(held);
    assert_eq!(limit.available(), 1);
}

#[test]
fn a_permit_that_was_told_to_who_gave_up_goes_to_the_next() {
    let (_worker, limit) = worker();
    let held = limit.try_acquire().unwrap();
    run(async {
        let waits = || {
            let limit = limit.clone();
            create_task(async move { limit.acquire().await.map(drop) })
        };
        let (first, second) = (waits(), waits());
        yield_now().await;
        drop(held);
        first.cancel();
        assert!(first.await.is_err());
        assert_eq!(second.await.unwrap(), Ok(()));
    })
    .unwrap();
}

#[test]
fn blocking_for_a_permit_on_a_running_loop_is_refused() {
    let (worker, limit) = worker();
    let _held = limit.try_acquire();
    let on = worker.handle();
    let refused = worker.block_on(async { limit.submit_blocking(&on, || ready(())).err() }).unwrap();
    let Some(PermitError::WouldDeadlock(circle)) = refused else { panic!("{refused:?}") };
    assert_eq!(circle.path(), ["worker"]);
}

#[test]
fn never_more_than_the_limit_run_at_once_whoever_submits() {
    const EACH: usize = 500;
    let loops = [LoopThread::spawn("first").unwrap(), LoopThread::spawn("second").unwrap()];
    let (limit, running, most) = (SubmitLimit::new(3), Arc::new(AtomicUsize::new(0)), 3);
    let work = move |running: Arc<AtomicUsize>| async move {
        assert!(running.fetch_add(1, Ordering::Relaxed) < most);
        yield_now().await;
        running.fetch_sub(1, Ordering::Relaxed);
    };
    let submit = |on: LoopHandle| {
        let (limit, running) = (limit.clone(), Arc::clone(&running));
        move || -> Vec<_> {
            let submit = |_| limit.submit_blocking(&on, || work(Arc::clone(&running))).unwrap();
            (0..EACH).map(submit).collect()
        }
    };
    let submitters = loops.each_ref().map(|on| thread::spawn(submit(on.handle())));
    for submitter in submitters {
        submitter.join().unwrap().iter().for_each(|submitted| submitted.result().unwrap());
    }
    assert_eq!(limit.available(), 3);
}

#[test]
fn a_timeout_that_is_over_leaves_the_permit_to_others() {
    let (worker, limit) = worker();
    let endless = limit.try_submit(&worker, pending::<()>).unwrap();
    let late = limit.submit_timeout(&worker, || ready(()), Duration::from_millis(1));
    assert_eq!(late.err(), Some(PermitError::TimedOut));
    endless.cancel_and_wait().unwrap();
    assert_eq!(run_coroutine_threadsafe(ready(1), &worker).result(), Ok(1));
    assert!(limit.submit_timeout(&worker, || ready(()), Duration::ZERO).is_ok());
}
