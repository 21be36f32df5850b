//! Foreign code that panics where the loop calls it: destructors, wakers, payloads. Nothing of it ends the loop.

#[path = "../../bridge/tests/support/hooked_waker.rs"]
mod hooked_waker;

use std::cell::RefCell;
use std::future::{Future, Pending, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join;
use hooked_waker::{Used, waker_that_panics};
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

/// Throws a bomb when it is dropped.
struct ThrowsBomb;

impl Drop for ThrowsBomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(Bomb));
        }
    }
}

/// A payload that panics when it is dropped, thrown by every kind of foreign code: nothing of it unwinds out of the
/// loop, nor out of whoever drops what carries it.
#[test]
fn t_payload_bomb() {
    let event_loop = new_event_loop().unwrap();
    event_loop
        .set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| resume_unwind(Box::new(Bomb))));
    let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.add_writer(&here, || resume_unwind(Box::new(Bomb))).unwrap();
    let held = ThrowsBomb;
    let cancelled = event_loop.create_task(async move {
        let _held = held;
        pending::<()>().await;
    });
    let cancelled = cancelled.unwrap();
    cancelled.add_done_callback(|_| resume_unwind(Box::new(Bomb)));
    drop(event_loop.create_task(async { ThrowsBomb }).unwrap());
    let unread = event_loop.create_task(async { resume_unwind(Box::new(Bomb)) }).unwrap();
    let _: &perloop::Task<()> = &unread;
    assert_lives(&event_loop);
    cancelled.cancel();
    assert_lives(&event_loop);
    drop((cancelled, unread));
    event_loop.remove_writer(&here);
    event_loop.call_soon(|| resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.call_later(Duration::ZERO, || resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.handle().call_soon_threadsafe(|| resume_unwind(Box::new(Bomb))).unwrap();
    event_loop.create_task(async { resume_unwind(Box::new(Bomb)) }).unwrap();
    let submitted = run_coroutine_threadsafe(async { resume_unwind(Box::new(Bomb)) }, &event_loop.handle());
    assert_lives(&event_loop);
    let outcome: Option<Result<(), _>> = submitted.try_result();
    assert!(matches!(outcome, Some(Err(FutureError::Panicked(_)))));
    drop(outcome);
    let held = ThrowsBomb;
    event_loop.create_task(async move { drop(held) }).unwrap();
    event_loop.close().unwrap();
    let main = catch_unwind(AssertUnwindSafe(|| perloop::run(async { resume_unwind(Box::new(Bomb)) })));
    let payload = main.map(|_: Result<(), _>| ()).expect_err("main's panic is its caller's");
    assert!(payload.is::<Bomb>());
    std::mem::forget(payload);
}

/// Polls a future with a waker of its own, twice if that goes well, and never again.
async fn poll_with(waker: Waker, future: impl Future) {
    let mut future = pin!(future);
    for _ in 0..2 {
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // Its own drop is ours.
    std::mem::forget(waker);
    pending::<()>().await;
}

/// One who waits with a waker that panics, for as long as another one waits who does not.
type Place = fn(&EventLoop, Waker) -> perloop::Task<()>;

fn waits_for_a_sleep(event_loop: &EventLoop, waker: Waker) -> perloop::Task<()> {
    event_loop.create_task(poll_with(waker, sleep(Duration::from_millis(1)))).unwrap()
}

fn waits_for_a_task(event_loop: &EventLoop, waker: Waker) -> perloop::Task<()> {
    let awaited = event_loop.create_task(sleep(Duration::from_millis(1))).unwrap();
    event_loop.create_task(poll_with(waker, awaited)).unwrap()
}

fn waits_for_a_submission(event_loop: &EventLoop, waker: Waker) -> perloop::Task<()> {
    let awaited = run_coroutine_threadsafe(sleep(Duration::from_millis(1)), &event_loop.handle());
    event_loop.create_task(poll_with(waker, awaited)).unwrap()
}

fn waits_in_a_scope(event_loop: &EventLoop, waker: Waker) -> perloop::Task<()> {
    event_loop.create_task(poll_with(waker, catch_cancelled(pending::<()>()))).unwrap()
}

/// Each of a waker's functions panics, in each place where one is called: the loop goes on, and so does who waits with a
/// good one.
#[test]
fn t_waker_vtable_panics() {
    const PLACES: [Place; 4] =
        [waits_for_a_sleep, waits_for_a_task, waits_for_a_submission, waits_in_a_scope];
    for when in [Used::Cloned, Used::Woken, Used::WokenByRef, Used::Dropped] {
        for (number, place) in PLACES.iter().enumerate() {
            let event_loop = EventLoop::builder().virtual_time().build().unwrap();
            let bad = place(&event_loop, waker_that_panics(when));
            let good = event_loop.create_task(sleep(Duration::from_millis(1))).unwrap();
            assert_eq!(event_loop.run_until_complete(good).unwrap(), Ok(()));
            assert_lives(&event_loop);
            // What panicked in the poll itself was the panic of the task that polled, and of nobody else.
            let is_own = matches!(when, Used::Cloned | Used::Dropped);
            assert!(!bad.done() || is_own, "{when:?} in place {number}: {:?}", bad.exception());
            bad.cancel();
            assert_lives(&event_loop);
            assert!(bad.done());
            event_loop.close().unwrap();
        }
    }
}

/// Its body is dropped at home by the close, and a waker that comes later does nothing, wherever it is used.
#[test]
fn t_wake_after_loop_gone() {
    struct AtHome(std::thread::ThreadId, mpsc::Sender<bool>);
    impl Drop for AtHome {
        fn drop(&mut self) {
            self.1.send(std::thread::current().id() == self.0).unwrap();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let (dropped, was_dropped) = mpsc::channel();
    let worker = LoopThread::spawn("worker").unwrap();
    let future = worker.run_with(move || {
        let at_home = AtHome(std::thread::current().id(), dropped);
        poll_fn(move |cx| {
            let _ = &at_home;
            sender.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })
    });
    let waker = receiver.recv().unwrap();
    waker.wake_by_ref();
    // Woken, it was polled again.
    drop(receiver.recv().unwrap());
    // This one may be on its way when the loop closes.
    waker.wake_by_ref();
    worker.join().unwrap();
    assert_eq!(was_dropped.try_recv(), Ok(true));
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

type Site = fn(&EventLoop);

/// Foreign code that panics where the loop calls it, by name.
const SITES: &[(&str, Site)] = &[
    ("a task", |event_loop| {
        event_loop.create_task(async { panics() }).unwrap();
    }),
    ("a task's destructor", |event_loop| {
        let bomb = Bomb;
        event_loop
            .create_task(async move {
                let _bomb = bomb;
                pending::<()>().await;
            })
            .unwrap()
            .cancel();
    }),
    ("a value's destructor", |event_loop| {
        event_loop.create_task(async { Bomb }).unwrap();
    }),
    ("a scope", |event_loop| {
        event_loop.create_task(catch_cancelled(async { panics() })).unwrap();
    }),
    ("a callback", |event_loop| {
        event_loop.call_soon(panics).unwrap();
    }),
    ("a callback's destructor", |event_loop| {
        let bomb = Bomb;
        event_loop.call_soon(move || drop(bomb)).unwrap();
    }),
    ("a timer", |event_loop| {
        event_loop.call_later(Duration::from_nanos(1), panics).unwrap();
    }),
    ("a done callback", |event_loop| {
        event_loop.create_task(async {}).unwrap().add_done_callback(|_| panics());
    }),
    ("a writer", |event_loop| {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        let (own, watched) = (event_loop.clone(), here.try_clone().unwrap());
        let callback = move || {
            own.remove_writer(&here);
            let _there = &there;
            panics();
        };
        event_loop.add_writer(&watched, callback).unwrap();
        std::mem::forget(watched);
    }),
    ("an exception handler", |event_loop| {
        event_loop.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| panics()));
        event_loop.call_soon(panics).unwrap();
    }),
    ("a submission", |event_loop| {
        drop(run_coroutine_threadsafe(async { panics() }, &event_loop.handle()));
    }),
    ("a maker", |event_loop| {
        drop(event_loop.handle().run_with(|| -> Pending<()> { resume_unwind(Box::new("meant")) }));
    }),
    ("a callback from elsewhere", |event_loop| {
        let handle = event_loop.handle();
        std::thread::spawn(move || handle.call_soon_threadsafe(panics).unwrap()).join().unwrap();
    }),
    ("a future's callback", |event_loop| {
        run_coroutine_threadsafe(async {}, &event_loop.handle()).add_done_callback(|_| panics());
    }),
    ("a waker that is woken", |event_loop| {
        drop(waits_for_a_sleep(event_loop, waker_that_panics(Used::Woken)));
        drop(waits_for_a_submission(event_loop, waker_that_panics(Used::Woken)));
    }),
    ("a waker that is cloned", |event_loop| {
        drop(waits_for_a_submission(event_loop, waker_that_panics(Used::Cloned)));
        drop(waits_for_a_task(event_loop, waker_that_panics(Used::Cloned)));
    }),
    ("a waker that is dropped", |event_loop| {
        drop(waits_for_a_submission(event_loop, waker_that_panics(Used::Dropped)));
        drop(waits_for_a_task(event_loop, waker_that_panics(Used::Dropped)));
    }),
];

fn panics() {
    resume_unwind(Box::new("meant"));
}

/// Foreign code panics everywhere in turn, and no lock, borrow or list is left as it should not be: the loop takes
/// thousands of submissions after each.
#[test]
fn t_panic_never_poisons() {
    let worker = LoopThread::spawn("worker").unwrap();
    let submit_many = |site: &str| {
        let futures: Vec<_> = (0..700).map(|n| run_coroutine_threadsafe(async move { n }, &worker)).collect();
        for (n, future) in futures.into_iter().enumerate() {
            assert_eq!(future.result(), Ok(n), "after the panic of {site}");
        }
    };
    for (site, panics) in SITES {
        let plays = run_coroutine_threadsafe(async { panics(&get_running_loop().unwrap()) }, &worker);
        plays.result().unwrap_or_else(|error| panic!("{site}: {error}"));
        submit_many(site);
        worker.block_on(sleep(Duration::from_micros(10))).unwrap();
    }
    // On the submitter's side.
    let lends = || worker.scope(|scope| scope.submit(async { panics() }).result().map(|()| panics()));
    assert!(lends().unwrap().is_err());
    assert!(worker.block_on(async { panics() }).is_err());
    let scoped = catch_unwind(AssertUnwindSafe(|| worker.scope(|_| panics())));
    assert!(scoped.is_err());
    submit_many("a scope");
    worker.join().unwrap();
}
