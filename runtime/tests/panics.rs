//! Foreign code that panics where the loop calls it: destructors, wakers, payloads. Nothing of it ends the loop.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::join;
use perloop::{
    EventLoop, ExceptionContext, FutureError, LoopThread, TaskError, catch_cancelled, create_task,
    get_running_loop, new_event_loop, run_coroutine_threadsafe, sleep, yield_now,
};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new("a bomb's"));
        }
    }
}

/// Panics when it is dropped, also if that ends the process.
struct HeavyBomb;

impl Drop for HeavyBomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("a heavy bomb's"));
    }
}

/// Runs the loop for a few turns, and checks that it can.
fn assert_lives(event_loop: &EventLoop) {
    let turns = async {
        for _ in 0..5 {
            yield_now().await;
        }
        run_coroutine_threadsafe(async { 1 }, &get_running_loop().unwrap().handle()).await
    };
    assert_eq!(event_loop.run_until_complete(turns).unwrap(), Ok(1));
}

/// Collects the messages of what the exception handler is told.
fn listen(event_loop: &EventLoop) -> Rc<RefCell<Vec<String>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&heard);
    let handler =
        move |_: &EventLoop, context: &ExceptionContext| kept.borrow_mut().push(context.message.clone());
    event_loop.set_exception_handler(Some(handler));
    heard
}

#[test]
fn a_future_whose_destructor_panics_ends_its_task_only() {
    let event_loop = new_event_loop().unwrap();
    let ended = event_loop.create_task(async {
        let _bomb = Bomb;
        yield_now().await;
    });
    let cancelled = event_loop.create_task(async {
        let _bomb = Bomb;
        pending::<()>().await;
    });
    let (ended, cancelled) = (ended.unwrap(), cancelled.unwrap());
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    cancelled.cancel();
    assert_lives(&event_loop);
    // As an exception out of a `finally` replaces the cancellation in Python.
    for task in [ended, cancelled] {
        assert!(
            matches!(task.result(), Err(TaskError::Panicked(panicked)) if panicked.message() == "a bomb's")
        );
    }
}

#[test]
fn an_output_whose_destructor_panics_is_dropped_by_whoever_gets_it() {
    let event_loop = new_event_loop().unwrap();
    drop(event_loop.create_task(async { Bomb }).unwrap());
    let kept = event_loop.create_task(async { Bomb }).unwrap();
    assert_lives(&event_loop);
    assert!(kept.done());
    drop(kept);
    drop(run_coroutine_threadsafe(async { Bomb }, &event_loop.handle()));
    assert_lives(&event_loop);
}

#[test]
fn callbacks_whose_captures_panic_when_dropped_harm_nobody() {
    let event_loop = new_event_loop().unwrap();
    let heard = listen(&event_loop);
    let keep = |bomb: Bomb| move || drop(bomb);
    event_loop.call_soon(keep(Bomb)).unwrap();
    event_loop.call_later(Duration::ZERO, keep(Bomb)).unwrap();
    event_loop.handle().call_soon_threadsafe(keep(Bomb)).unwrap();
    let task = event_loop.create_task(async {}).unwrap();
    let bomb = Bomb;
    task.add_done_callback(move |_| drop(bomb));
    assert_lives(&event_loop);
    assert_eq!(*heard.borrow(), ["a bomb's"; 4]);
}

#[test]
fn a_reader_that_removes_itself_may_panic_when_it_is_dropped() {
    let event_loop = new_event_loop().unwrap();
    let heard = listen(&event_loop);
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(there);
    let own = event_loop.clone();
    let here = Rc::new(here);
    let kept = Rc::clone(&here);
    let bomb = Bomb;
    event_loop
        .add_reader(&*here, move || {
            let _bomb = &bomb;
            own.remove_reader(&*kept);
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert_lives(&event_loop);
    event_loop.run_until_complete(sleep(Duration::from_millis(1))).unwrap();
    assert_lives(&event_loop);
    assert!(heard.borrow().iter().all(|message| message == "a bomb's"));
}

#[test]
fn closing_drops_everything_though_each_destructor_panics() {
    let event_loop = new_event_loop().unwrap();
    let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    let (reader, writer) = (HeavyBomb, HeavyBomb);
    event_loop.add_reader(&here, move || _ = &reader).unwrap();
    event_loop.add_writer(&here, move || _ = &writer).unwrap();
    for _ in 0..2 {
        let (soon, later, task, abroad, done) = (HeavyBomb, HeavyBomb, HeavyBomb, HeavyBomb, HeavyBomb);
        event_loop.call_soon(move || drop(soon)).unwrap();
        event_loop.call_later(Duration::from_secs(1), move || drop(later)).unwrap();
        event_loop.handle().call_soon_threadsafe(move || drop(abroad)).unwrap();
        let task = event_loop.create_task(async move {
            let _task = task;
            pending::<()>().await;
        });
        task.unwrap().add_done_callback(move |_| drop(done));
        let task = event_loop.create_task(async move { pending::<()>().await }).unwrap();
        let done = HeavyBomb;
        task.add_done_callback(move |_| drop(done));
        let done = HeavyBomb;
        task.add_done_callback(move |_| drop(done));
    }
    let handler = HeavyBomb;
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &ExceptionContext| _ = &handler));
    event_loop.close().unwrap();
    assert!(event_loop.is_closed());
}

#[test]
fn payloads_that_panic_when_they_are_dropped_harm_nobody() {
    let event_loop = new_event_loop().unwrap();
    event_loop
        .set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| resume_unwind(Box::new(Bomb))));
    event_loop.call_soon(|| resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.call_later(Duration::ZERO, || resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.handle().call_soon_threadsafe(|| resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.create_task(async { resume_unwind(Box::new(Bomb)) }).unwrap();
    let submitted = run_coroutine_threadsafe(async { resume_unwind(Box::new(Bomb)) }, &event_loop.handle());
    assert_lives(&event_loop);
    let outcome: Option<Result<_, _>> = submitted.try_result();
    assert!(matches!(outcome, Some(Err(FutureError::Panicked(_)))));
}

/// A waker that panics as it is told to.
struct BadWaker {
    when_woken: bool,
    when_dropped: bool,
}

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if self.when_woken {
            resume_unwind(Box::new("woken"));
        }
    }
}

impl Drop for BadWaker {
    fn drop(&mut self) {
        if self.when_dropped {
            resume_unwind(Box::new("dropped"));
        }
    }
}

/// Polls a future with a waker of its own, once, and never again.
async fn poll_once_with(waker: Waker, future: impl Future) {
    let mut future = pin!(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(waker);
    pending::<()>().await;
}

#[test]
fn wakers_that_panic_harm_neither_the_loop_nor_those_who_wait_as_well() {
    for (when_woken, when_dropped) in [(true, false), (false, true)] {
        let bad = || Waker::from(Arc::new(BadWaker { when_woken, when_dropped }));
        let event_loop = new_event_loop().unwrap();
        let awaited = Rc::new(RefCell::new(event_loop.create_task(sleep(Duration::from_millis(1))).unwrap()));
        let (one, other) = (bad(), bad());
        let on_sleep = event_loop.create_task(poll_once_with(one, sleep(Duration::from_millis(1)))).unwrap();
        let kept = Rc::clone(&awaited);
        let wait_for_task = poll_fn(move |cx| Pin::new(&mut *kept.borrow_mut()).poll(cx));
        let on_task = event_loop.create_task(poll_once_with(other, wait_for_task)).unwrap();
        event_loop.run_until_complete(sleep(Duration::from_millis(3))).unwrap();
        assert_lives(&event_loop);
        assert!(awaited.borrow().done());
        assert!(!on_sleep.done() && !on_task.done());
        on_sleep.cancel();
        on_task.cancel();
        assert_lives(&event_loop);
        // The last of the wakers lies in it.
        drop(catch_unwind(AssertUnwindSafe(|| drop(awaited))));
    }
}

#[test]
fn a_waker_that_panics_when_a_scope_is_asked_harms_nobody() {
    let event_loop = new_event_loop().unwrap();
    let waker = Waker::from(Arc::new(BadWaker { when_woken: true, when_dropped: false }));
    let task = event_loop.create_task(async move {
        let mut scope = pin!(catch_cancelled(pending::<()>()));
        poll_fn(|cx| {
            // An executor inside of the task: it polls with its own waker first, and with the task's from then on.
            let _ = scope.as_mut().poll(&mut Context::from_waker(&waker));
            match scope.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => cx.waker().wake_by_ref(),
                Poll::Ready(_) => return Poll::Ready(()),
            }
            Poll::Pending
        })
        .await;
    });
    let task = task.unwrap();
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    task.cancel();
    assert_lives(&event_loop);
}

#[test]
fn a_waker_of_a_task_is_harmless_when_its_loop_is_gone() {
    let (sender, receiver) = mpsc::channel();
    let worker = LoopThread::spawn("worker").unwrap();
    let future = worker.run_with(move || {
        poll_fn(move |cx| {
            sender.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })
    });
    let waker = receiver.recv().unwrap();
    waker.wake_by_ref();
    // Woken, it was polled again.
    drop(receiver.recv().unwrap());
    worker.join().unwrap();
    assert_eq!(future.result(), Err(FutureError::Cancelled));
    waker.wake_by_ref();
    let clone = waker.clone();
    clone.wake();
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn a_main_future_that_panics_beside_many_tasks_leaves_nothing_behind() {
    let witness = Rc::new(());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        perloop::run(async {
            for _ in 0..10_000 {
                let witness = Rc::clone(&witness);
                create_task(async move {
                    let _witness = witness;
                    pending::<()>().await;
                });
            }
            yield_now().await;
            resume_unwind(Box::new("main's"));
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
fn waiting_for_many_of_which_some_panic_gives_each_its_own() {
    let outcome = perloop::run(async {
        let bad: perloop::Task<()> = create_task(async {
            yield_now().await;
            panic_any(Quiet)
        });
        join(bad, create_task(async { 1 })).await
    });
    let (bad, good) = outcome.unwrap();
    assert!(matches!(bad, Err(TaskError::Panicked(_))) && good == Ok(1));
}

/// A payload that is no text.
struct Quiet;

#[test]
fn a_thousand_panics_later_the_loop_takes_submissions() {
    let worker = LoopThread::spawn("worker").unwrap();
    for n in 0..1000 {
        let panicked = run_coroutine_threadsafe(async move { resume_unwind(Box::new(n)) }, &worker).result();
        let Err(FutureError::Panicked(panicked)) = panicked else { panic!("{panicked:?}") };
        assert_eq!(panicked.into_payload().downcast_ref(), Some(&n));
        worker.call_soon_threadsafe(|| resume_unwind(Box::new(Bomb))).unwrap();
    }
    for n in 0..10_000 {
        drop(run_coroutine_threadsafe(async move { n }, &worker));
    }
    assert_eq!(run_coroutine_threadsafe(async { 1 }, &worker).result(), Ok(1));
    worker.join().unwrap();
}
