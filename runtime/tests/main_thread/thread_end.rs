//! The end of a thread, when its thread-locals are dropped one after the other, and foreign ones among them.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;

use perloop::{
    CrossThreadFuture, EventLoop, LoopHandle, LoopThread, Task, all_tasks, current_task, get_event_loop,
    get_running_loop, new_event_loop, run, run_coroutine_threadsafe, set_event_loop, yield_now,
};

use crate::{Ends, Test};

pub(crate) const TESTS: &[Test] = &[
    ("t_tls_destructor_matrix", t_tls_destructor_matrix, Ends::Well),
    ("t_tls_destructor_matrix_of_the_main_thread", fill_thread_locals, Ends::Well),
];

thread_local! {
    /// Made before any of perloop's own, and so dropped after them.
    static LATE: RefCell<Option<Everything>> = const { RefCell::new(None) };
    /// Made when the first loop is there and has not run yet.
    static BETWEEN: RefCell<Option<Everything>> = const { RefCell::new(None) };
    /// Made after all of perloop's, and so dropped first.
    static EARLY: RefCell<Option<Everything>> = const { RefCell::new(None) };
}

/// One of each, used once more when it is dropped.
struct Everything {
    event_loop: EventLoop,
    handle: LoopHandle,
    task: Task<()>,
    future: CrossThreadFuture<()>,
    waker: Waker,
    worker: LoopThread,
}

impl Everything {
    fn new() -> Self {
        let event_loop = new_event_loop().unwrap();
        let slot = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&slot);
        let waits = poll_fn(move |cx| {
            kept.replace(Some(cx.waker().clone()));
            Poll::Pending
        });
        let task = event_loop.create_task(waits).unwrap();
        event_loop.run_until_complete(async { yield_now().await }).unwrap();
        let waker = slot.take().unwrap();
        let handle = event_loop.handle();
        let future = run_coroutine_threadsafe(pending(), &handle);
        Self { event_loop, handle, task, future, waker, worker: LoopThread::spawn("worker").unwrap() }
    }

    fn use_once_more(&mut self) {
        self.waker.wake_by_ref();
        self.task.cancel();
        self.task.add_done_callback(|_| ());
        self.future.cancel();
        let _ = self.handle.call_soon_threadsafe(|| ());
        let _ = self.event_loop.call_soon(|| ());
        let _ = self.event_loop.call_later(Duration::ZERO, || ());
        let _ = self.event_loop.create_task(async {});
        let _ = self.event_loop.run_until_complete(async { yield_now().await });
        let _ = (get_running_loop(), get_event_loop(), current_task(), all_tasks());
        let _ = set_event_loop(Some(&self.event_loop));
        let _ = set_event_loop(None);
        if let Ok(new) = new_event_loop() {
            let _ = new.run_until_complete(async { yield_now().await });
        }
        let _ = run(async { yield_now().await });
        assert_eq!(run_coroutine_threadsafe(async { 1 }, &self.worker).result(), Ok(1));
        assert_eq!(self.worker.block_on(async { 1 }), Ok(1));
        let _ = self.event_loop.close();
    }
}

#[expect(clippy::disallowed_types, reason = "the thread that asks has outlived those that count")]
static USED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl Drop for Everything {
    fn drop(&mut self) {
        self.use_once_more();
        USED.fetch_add(1, Ordering::SeqCst);
    }
}

fn fill_thread_locals() {
    LATE.with(|_| ());
    drop(new_event_loop());
    BETWEEN.with(|_| ());
    BETWEEN.set(Some(Everything::new()));
    let late = Everything::new();
    set_event_loop(Some(&late.event_loop));
    LATE.set(Some(late));
    EARLY.set(Some(Everything::new()));
}

/// Thread-locals that were made before perloop's own, between them and after them, each with one of everything: when they
/// are dropped all of it can be used once more, and goes.
fn t_tls_destructor_matrix() {
    std::thread::spawn(fill_thread_locals).join().unwrap();
    assert_eq!(USED.load(Ordering::SeqCst), 3, "each of the three was dropped");
}
