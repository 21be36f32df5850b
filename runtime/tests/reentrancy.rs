//! Foreign code that uses the loop while the loop calls it.
#![expect(clippy::disallowed_types, reason = "what goes to a loop is counted there")]

mod events;
#[path = "../../bridge/tests/support/hooked_waker.rs"]
mod hooked_waker;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use events::Listener;
use hooked_waker::hooked_waker;
use perloop::{
    EventLoop, ExceptionContext, FutureError, LoopError, LoopHandle, all_tasks, catch_cancelled, create_task,
    current_task, get_event_loop, get_running_loop, new_event_loop, run_coroutine_threadsafe, set_event_loop,
    sleep, yield_now,
};

thread_local! {
    /// The loop that foreign code uses.
    static LOOP: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    static ENTERED: Cell<usize> = const { Cell::new(0) };
    static FAILURES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What each hook does: everything. A panic in it would stay in the loop, so it is noted.
fn reenter() {
    let Some(event_loop) = LOOP.with_borrow(Option::clone) else { return };
    if IS_INSIDE.replace(true) {
        return;
    }
    ENTERED.set(ENTERED.get() + 1);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| use_everything(&event_loop))) {
        let message = payload.downcast::<String>().map_or_else(|_| "?".to_owned(), |message| *message);
        FAILURES.with_borrow_mut(|failures| failures.push(message));
    }
    IS_INSIDE.set(false);
}

fn use_everything(event_loop: &EventLoop) {
    queue_and_take_back(event_loop);
    use_tasks(event_loop);
    watch_descriptors(event_loop);
    use_handle(&event_loop.handle());
    turn_it(event_loop);
    let _ = (format!("{event_loop:?} {:?}", event_loop.handle()), event_loop.time());
    let _ = (event_loop.next_deadline(), get_running_loop(), get_event_loop());
    drop(set_event_loop(set_event_loop(Some(event_loop)).as_ref()));
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| ()));
}

fn queue_and_take_back(event_loop: &EventLoop) {
    let _ = event_loop.call_soon(|| ());
    let _ = event_loop.call_later(Duration::ZERO, || ());
    if let Ok(handle) = event_loop.call_soon(|| ()) {
        handle.cancel();
    }
    if let Ok(handle) = event_loop.call_at(Duration::from_secs(1_000), || ()) {
        handle.cancel();
    }
}

fn use_tasks(event_loop: &EventLoop) {
    let Ok(task) = event_loop.create_named_task("made inside", sleep(Duration::from_nanos(1))) else {
        return;
    };
    task.add_done_callback(|_| ());
    for task in event_loop.all_tasks() {
        let _ = (task.name(), task.done(), task.cancelled(), task.cancelling(), task.exception());
    }
    let _ = (all_tasks(), current_task().map(|task| task.map(|task| task.uncancel())));
    task.cancel();
}

fn watch_descriptors(event_loop: &EventLoop) {
    let (here, _there) = UnixStream::pair().unwrap();
    if event_loop.add_reader(&here, || ()).is_ok() {
        event_loop.add_reader(&here, || ()).unwrap();
        event_loop.add_writer(&here, || ()).unwrap();
        assert!(event_loop.remove_reader(&here) && event_loop.remove_writer(&here));
    }
}

fn use_handle(handle: &LoopHandle) {
    let _ = handle.call_soon_threadsafe(|| ());
    let future = run_coroutine_threadsafe(yield_now(), handle);
    future.add_done_callback(|_| ());
    let refused = future.result_timeout(Duration::from_secs(60));
    assert!(
        matches!(refused, Err(FutureError::WouldDeadlock(_) | FutureError::LoopClosed(_))),
        "{refused:?}"
    );
    let _ = future.cancel();
    drop(run_coroutine_threadsafe(pending::<()>(), handle));
    drop(handle.run_with(|| async { yield_now().await }));
    assert!(handle.block_on(async {}).is_err());
}

/// It may run already, or another loop, or be closed.
fn turn_it(event_loop: &EventLoop) {
    if event_loop.is_running() {
        assert!(matches!(event_loop.run_once(Some(Duration::ZERO)), Err(LoopError::AlreadyRunning(_))));
        assert!(event_loop.close().is_err());
    }
}

/// Uses the loop when it is dropped.
struct Reenters;

impl Drop for Reenters {
    fn drop(&mut self) {
        reenter();
    }
}

/// Waits with a waker that uses the loop whenever it is used.
async fn wait_with_hooked_waker(future: impl Future) {
    let waker = hooked_waker(|_| reenter());
    let mut future = Box::pin(future);
    let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
    // Another one, and the first one is dropped.
    let other = hooked_waker(|_| reenter());
    let _ = future.as_mut().poll(&mut Context::from_waker(&other));
    // A wait that is given up at once.
    let mut given_up = Box::pin(sleep(Duration::from_secs(1_000)));
    let _ = given_up.as_mut().poll(&mut Context::from_waker(&other));
    drop(given_up);
    pending::<()>().await;
    drop(future);
}

/// A place where the loop calls foreign code.
type Hook = fn(&EventLoop);

const HOOKS: &[(&str, Hook)] = &[
    ("a task", |event_loop| drop(event_loop.create_task(async { reenter() }).unwrap())),
    ("a callback", |event_loop| drop(event_loop.call_soon(reenter).unwrap())),
    ("a timer", |event_loop| drop(event_loop.call_later(Duration::from_nanos(1), reenter).unwrap())),
    ("a callback from elsewhere", |event_loop| {
        let handle = event_loop.handle();
        std::thread::spawn(move || handle.call_soon_threadsafe(reenter).unwrap()).join().unwrap();
    }),
    ("a submission", |event_loop| {
        drop(run_coroutine_threadsafe(async { reenter() }, &event_loop.handle()));
    }),
    ("a maker", |event_loop| {
        let make = || {
            reenter();
            async { reenter() }
        };
        drop(event_loop.handle().run_with(make));
    }),
    ("a done callback", |event_loop| {
        event_loop.create_task(async {}).unwrap().add_done_callback(|_| reenter());
    }),
    ("a future's callback", |event_loop| {
        let future = run_coroutine_threadsafe(async {}, &event_loop.handle());
        future.add_done_callback(|_| reenter());
    }),
    ("a reader and a writer", |event_loop| {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        event_loop.add_reader(&here, reenter).unwrap();
        event_loop.add_writer(&here, reenter).unwrap();
        event_loop.call_later(Duration::from_micros(500), move || drop(here)).unwrap();
    }),
    ("a reader's destructor", |event_loop| {
        let (here, _there) = UnixStream::pair().unwrap();
        for _ in 0..2 {
            let held = Reenters;
            event_loop.add_reader(&here, move || _ = &held).unwrap();
        }
        event_loop.remove_reader(&here);
    }),
    ("an exception handler", |event_loop| {
        event_loop.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| reenter()));
        event_loop.call_soon(|| resume_unwind(Box::new("for the handler"))).unwrap();
    }),
    ("an exception handler's destructor", |event_loop| {
        let held = Reenters;
        event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &ExceptionContext| _ = &held));
        event_loop.set_exception_handler(None::<fn(&EventLoop, &ExceptionContext)>);
    }),
    ("a callback's destructor", |event_loop| {
        let held = [(); 4].map(|()| Reenters);
        let [ran, cancelled, timer, abroad] = held;
        event_loop.call_soon(move || drop(ran)).unwrap();
        event_loop.call_soon(move || drop(cancelled)).unwrap().cancel();
        event_loop.call_later(Duration::from_secs(1), move || drop(timer)).unwrap().cancel();
        event_loop.handle().call_soon_threadsafe(move || drop(abroad)).unwrap();
    }),
    ("a task's destructors", |event_loop| {
        let (held, done) = (Reenters, Reenters);
        let body = async move {
            let _held = held;
            catch_cancelled(pending::<()>()).await.unwrap_err();
            Reenters
        };
        let task = event_loop.create_task(body).unwrap();
        task.add_done_callback(move |_| drop(done));
        event_loop.call_later(Duration::from_micros(1), move || _ = task.cancel()).unwrap();
    }),
    ("what is left to the close", |event_loop| {
        let held = [(); 5].map(|()| Reenters);
        let [task, done, timer, reader, abroad] = held;
        let body = async move {
            let _held = task;
            pending::<()>().await;
        };
        event_loop.create_task(body).unwrap().add_done_callback(move |_| drop(done));
        event_loop.call_later(Duration::from_secs(1_000), move || drop(timer)).unwrap();
        let (here, _there) = UnixStream::pair().unwrap();
        event_loop.add_reader(&here, move || _ = &reader).unwrap();
        std::mem::forget(here);
        drop(run_coroutine_threadsafe(
            async move {
                let _held = abroad;
                pending::<()>().await;
            },
            &event_loop.handle(),
        ));
    }),
    ("wakers", |event_loop| {
        drop(event_loop.create_task(wait_with_hooked_waker(sleep(Duration::from_micros(1)))).unwrap());
        let awaited = event_loop.create_task(sleep(Duration::from_micros(1))).unwrap();
        drop(event_loop.create_task(wait_with_hooked_waker(awaited)).unwrap());
        let awaited = run_coroutine_threadsafe(sleep(Duration::from_micros(1)), &event_loop.handle());
        drop(event_loop.create_task(wait_with_hooked_waker(awaited)).unwrap());
        let scope = catch_cancelled(pending::<()>());
        let task = event_loop.create_task(wait_with_hooked_waker(scope)).unwrap();
        event_loop.call_later(Duration::from_micros(1), move || _ = task.cancel()).unwrap();
    }),
    ("a subscriber", |event_loop| {
        let install = || {
            Listener::install(|_| reenter());
            create_task(async { yield_now().await });
        };
        event_loop.call_soon(install).unwrap();
        drop(run_coroutine_threadsafe(async {}, &event_loop.handle()));
    }),
];

/// The hook is played on a loop of a thread of its own, which runs for a while and is closed.
fn play(name: &'static str, hook: Hook) {
    let life = move || {
        let event_loop = new_event_loop().unwrap();
        LOOP.set(Some(event_loop.clone()));
        hook(&event_loop);
        event_loop.run_until_complete(sleep(Duration::from_millis(2))).unwrap();
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        event_loop.close().unwrap();
        assert!(ENTERED.get() > 0, "{name} was never called");
        let failures = FAILURES.take();
        assert!(failures.is_empty(), "{name}: {failures:?}");
        LOOP.take();
    };
    std::thread::spawn(life).join().unwrap();
}

/// Everything that foreign code can do with its loop it can do from everywhere: no borrow is held while it runs.
#[test]
fn t_reentrant_borrow() {
    HOOKS.iter().for_each(|(name, hook)| play(name, *hook));
}

/// How many links a chain has made, and how many were refused.
#[derive(Default)]
struct Chain {
    made: Cell<usize>,
    refused: Cell<usize>,
}

/// Makes a task that holds the next link, when it is dropped.
struct Respawns {
    event_loop: EventLoop,
    chain: std::rc::Rc<Chain>,
    left: usize,
}

impl Drop for Respawns {
    fn drop(&mut self) {
        if self.left == 0 {
            return;
        }
        let (event_loop, chain) = (self.event_loop.clone(), std::rc::Rc::clone(&self.chain));
        chain.made.set(chain.made.get() + 1);
        let next = Respawns { event_loop, chain, left: self.left - 1 };
        if self.event_loop.create_task(async move { drop(next) }).is_err() {
            self.chain.refused.set(self.chain.refused.get() + 1);
        }
    }
}

/// Each task's destructor makes another task, of which the close is not impressed: what destructors make then is
/// refused.
#[test]
fn t_drop_respawns() {
    const LINKS: usize = 100_000;
    const TURNS: usize = LINKS - 500;
    let event_loop = new_event_loop().unwrap();
    let chain = std::rc::Rc::new(Chain::default());
    drop(Respawns { event_loop: event_loop.clone(), chain: std::rc::Rc::clone(&chain), left: LINKS });
    for _ in 0..TURNS {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!((chain.made.get(), chain.refused.get()), (TURNS + 1, 0));
    event_loop.close().unwrap();
    assert_eq!((chain.made.get(), chain.refused.get()), (LINKS, LINKS - TURNS - 1));
    assert_eq!((std::rc::Rc::strong_count(&chain), event_loop.all_tasks().len()), (1, 0));
}

/// As before, from where what is refused comes back, so that a chain of any length can be taken apart link by link.
struct Resubmits {
    handle: LoopHandle,
    shared: Arc<(AtomicUsize, Mutex<Vec<Link>>)>,
    left: usize,
}

/// A body, which was never polled if it is here.
struct Link(Option<Resubmits>);

impl Future for Link {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        drop(self.0.take());
        Poll::Ready(())
    }
}

impl Drop for Resubmits {
    fn drop(&mut self) {
        if self.left == 0 {
            return;
        }
        let (handle, shared) = (self.handle.clone(), Arc::clone(&self.shared));
        shared.0.fetch_add(1, SeqCst);
        let next = Resubmits { handle, shared, left: self.left - 1 };
        if let Err(refused) = self.handle.try_submit(Link(Some(next))) {
            self.shared.1.lock().unwrap().push(refused.into_inner());
        }
    }
}

#[test]
fn t_drop_respawns_a_million_deep() {
    const LINKS: usize = 1_000_000;
    let event_loop = new_event_loop().unwrap();
    let shared = Arc::new((AtomicUsize::new(0), Mutex::new(Vec::new())));
    drop(Resubmits { handle: event_loop.handle(), shared: Arc::clone(&shared), left: LINKS });
    for _ in 0..1_000 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    event_loop.close().unwrap();
    let before = shared.0.load(SeqCst);
    assert!(before < 1_002, "the close went on with {before}");
    assert_eq!(shared.1.lock().unwrap().len(), 1, "the first one that was refused came back");
    // Each one that goes now brings the next.
    let next = || shared.1.lock().unwrap().pop();
    while let Some(link) = next() {
        drop(link);
    }
    assert_eq!((shared.0.load(SeqCst), Arc::strong_count(&shared)), (LINKS, 1));
}
