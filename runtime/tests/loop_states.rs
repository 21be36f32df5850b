//! What a loop's state means for what is handed to it.

mod events;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use events::Listener;
use perloop::{
    EventLoop, FutureError, LoopError, LoopHandle, LoopThread, Refusal, Spin, new_event_loop,
    run_coroutine_threadsafe, set_event_loop, yield_now,
};

/// Tries every way into a loop that takes nothing more.
fn assert_refuses(handle: &LoopHandle) {
    assert!(handle.is_closed() && !handle.is_running());
    let refused = run_coroutine_threadsafe(async { 1 }, handle).result();
    assert!(matches!(refused, Err(FutureError::LoopClosed(_))), "{refused:?}");
    let refused = handle.run_with(|| async { 1 }).result();
    assert!(matches!(refused, Err(FutureError::LoopClosed(_))), "{refused:?}");
    let back = handle.try_submit(async { 42 }).unwrap_err();
    assert!(matches!(back.reason(), Refusal::LoopClosed(closed) if closed.loop_name() == handle.name()));
    assert_eq!(thread::spawn(|| perloop::run(back.into_inner())).join().unwrap().unwrap(), 42);
    let callback = handle.call_soon_threadsafe(|| panic!("never called")).unwrap_err();
    assert!(matches!(callback.reason(), Refusal::LoopClosed(_)));
    handle.stop();
}

#[test]
fn a_new_loop_keeps_what_is_submitted_until_it_runs() {
    let event_loop = new_event_loop().unwrap();
    let handle = event_loop.handle();
    let submit = move || {
        assert!(!handle.is_running() && !handle.is_closed());
        let future = run_coroutine_threadsafe(async { 1 }, &handle);
        assert_eq!(future.result_timeout(Duration::ZERO), Err(FutureError::TimedOut));
        future
    };
    let future = thread::spawn(submit).join().unwrap();
    assert!(future.try_result().is_none());
    assert_eq!(event_loop.run_until_complete(future).unwrap(), Ok(1));
}

#[test]
fn a_stopped_loop_keeps_what_is_submitted_until_it_runs_again() {
    let event_loop = new_event_loop().unwrap();
    event_loop.stop();
    event_loop.run_forever().unwrap();
    let handle = event_loop.handle();
    let future = thread::spawn(move || run_coroutine_threadsafe(async { 1 }, &handle)).join().unwrap();
    assert!(!event_loop.handle().is_running() && future.try_result().is_none());
    assert_eq!(event_loop.run_until_complete(future).unwrap(), Ok(1));
}

#[test]
fn a_running_loop_takes_submissions_in_order() {
    let worker = LoopThread::spawn("running").unwrap();
    assert!(
        worker.run_with(|| async { perloop::get_running_loop().unwrap().is_running() }).result().unwrap()
    );
    let (sender, receiver) = mpsc::channel();
    for n in 0..1000 {
        let sender = sender.clone();
        worker.call_soon_threadsafe(move || sender.send(n).unwrap()).unwrap();
    }
    assert_eq!(receiver.iter().take(1000).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_loop_that_sleeps_is_woken_by_each_submission() {
    for builder in [EventLoop::builder(), EventLoop::builder().portable_wait()] {
        let worker = LoopThread::spawn_with("asleep", builder.name("asleep").spin(Spin::Never)).unwrap();
        let (sender, sleeps) = mpsc::channel();
        let listen = move |message: &str| {
            if message == "sleep" {
                sender.send(()).unwrap();
            }
        };
        worker.call_soon_threadsafe(|| Listener::install(listen)).unwrap();
        for n in 0..100 {
            sleeps.recv().unwrap();
            assert_eq!(run_coroutine_threadsafe(async move { n }, &worker).result(), Ok(n));
        }
    }
}

/// When it is dropped, tells what it finds.
struct Probe<F: FnMut()>(F);

impl<F: FnMut()> Drop for Probe<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_closing_loop_refuses_what_destructors_hand_in() {
    let event_loop = new_event_loop().unwrap();
    let probed = Rc::new(RefCell::new(0));
    let probe = || {
        let (event_loop, probed) = (event_loop.clone(), Rc::clone(&probed));
        Probe(move || {
            assert_refuses(&event_loop.handle());
            assert!(event_loop.create_task(async {}).is_err());
            assert!(event_loop.call_soon(|| ()).is_err());
            assert!(event_loop.call_later(Duration::ZERO, || ()).is_err());
            assert!(matches!(event_loop.run_forever(), Err(LoopError::Closed(_))));
            event_loop.close().unwrap();
            *probed.borrow_mut() += 1;
        })
    };
    let in_task = probe();
    let _task = event_loop.create_task(async move {
        let _kept = in_task;
        pending::<()>().await;
    });
    event_loop.run_until_complete(yield_now()).unwrap();
    let (in_new_task, in_callback, in_timer) = (probe(), probe(), probe());
    let _new = event_loop.create_task(async move { drop(in_new_task) });
    event_loop.call_soon(move || drop(in_callback)).unwrap();
    event_loop.call_later(Duration::from_secs(1), move || drop(in_timer)).unwrap();
    event_loop.close().unwrap();
    assert_eq!(*probed.borrow(), 4);
}

#[test]
fn what_a_closing_loop_had_taken_up_is_cancelled_and_the_rest_is_refused() {
    let event_loop = new_event_loop().unwrap();
    let handle = event_loop.handle();
    let taken_up = run_coroutine_threadsafe(pending::<()>(), &handle);
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    let rest = run_coroutine_threadsafe(pending::<()>(), &handle);
    let (other, handle) =
        thread::spawn(move || (run_coroutine_threadsafe(async {}, &handle), handle)).join().unwrap();
    event_loop.close().unwrap();
    assert_eq!(taken_up.result(), Err(FutureError::Cancelled));
    assert!(matches!(rest.result(), Err(FutureError::LoopClosed(_))));
    assert!(matches!(other.result(), Err(FutureError::LoopClosed(_))));
    assert_refuses(&handle);
    thread::spawn(move || assert_refuses(&handle)).join().unwrap();
}

/// A thread that ends, as `end` has it, with a submission taken up and another one not.
fn in_a_thread_that_ends(end: impl FnOnce(EventLoop) + Send + 'static) {
    let life = move || {
        let event_loop = EventLoop::builder().name("short").build().unwrap();
        let handle = event_loop.handle();
        let begun = run_coroutine_threadsafe(pending::<()>(), &handle);
        event_loop.run_until_complete(async { yield_now().await }).unwrap();
        let waiting = run_coroutine_threadsafe(async {}, &handle);
        end(event_loop);
        (handle, begun, waiting)
    };
    let (handle, begun, waiting) = thread::spawn(life).join().unwrap();
    assert!(matches!(begun.result(), Err(FutureError::LoopDied(died)) if died.loop_name() == "short"));
    assert!(matches!(waiting.result(), Err(FutureError::LoopClosed(_))));
    assert_refuses(&handle);
}

#[test]
fn a_loop_that_is_set_when_its_thread_ends_dies() {
    in_a_thread_that_ends(|event_loop| drop(set_event_loop(Some(&event_loop))));
}

#[test]
fn a_loop_that_is_leaked_when_its_thread_ends_dies() {
    in_a_thread_that_ends(std::mem::forget);
}

#[test]
fn a_running_loop_can_be_neither_closed_nor_run_again() {
    let event_loop = EventLoop::builder().name("outer").build().unwrap();
    let other = new_event_loop().unwrap();
    let inner = event_loop.clone();
    let check = async move {
        assert!(inner.is_running() && inner.handle().is_running());
        assert!(inner.close().is_err());
        assert!(matches!(inner.run_forever(), Err(LoopError::AlreadyRunning(name)) if name == "outer"));
        assert!(matches!(inner.run_once(None), Err(LoopError::AlreadyRunning(_))));
        let error = other.run_until_complete(async {}).unwrap_err();
        assert!(matches!(error, LoopError::AnotherLoopRunning(name) if name == "outer"));
        assert!(!other.is_running());
        other.close().unwrap();
    };
    event_loop.run_until_complete(check).unwrap();
    assert!(!event_loop.is_running() && !event_loop.is_closed());
}

#[test]
fn a_loop_that_runs_while_its_thread_unwinds_lives_on() {
    struct RunsLoop<'a>(&'a EventLoop);
    impl Drop for RunsLoop<'_> {
        fn drop(&mut self) {
            assert!(thread::panicking());
            assert_eq!(self.0.run_until_complete(async { yield_now().await }).ok(), Some(()));
        }
    }
    let event_loop = new_event_loop().unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _cleanup = RunsLoop(&event_loop);
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err() && !event_loop.is_closed());
    assert_eq!(event_loop.run_until_complete(async { 1 }).unwrap(), 1);
}
