//! Long chains, on a small stack: whatever is dropped, completed or cancelled, nothing goes one frame deeper with each
//! link.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use perloop_bridge::{Closing, CrossThreadFuture, FutureError, Promise, Spin};
use support::Driver;

const LENGTH: usize = 1_000_000;
/// Tasks cost more to make, and a stack this small ends at a thousandth of that.
const TASKS: usize = 100_000;

/// The value of each future is the next one.
struct Link(#[expect(dead_code, reason = "it is there to be dropped")] Option<CrossThreadFuture<Link>>);

fn on_a_small_stack(act: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(256 * 1024).spawn(act).unwrap().join().unwrap();
}

fn chain() -> Link {
    (0..LENGTH).fold(Link(None), |last, _| {
        let (mut promise, future) = Promise::new();
        promise.set_result(last).unwrap_or_else(|_| unreachable!("set once"));
        Link(Some(future))
    })
}

/// Each value's destructor drops the last handle of the next: freed one inside of the other they would use up the
/// stack.
#[test]
fn t_chain_1e6() {
    on_a_small_stack(|| drop(chain()));
}

/// As many callbacks on one future, which are called one after the other.
#[test]
fn t_chain_1e6_of_callbacks() {
    let (send, receive) = std::sync::mpsc::channel();
    on_a_small_stack(move || {
        let (mut promise, future) = Promise::new();
        for number in 0..LENGTH {
            let send = send.clone();
            future.add_done_callback(move |_| send.send(number).unwrap());
        }
        promise.set_result(()).unwrap();
    });
    assert!(receive.iter().eq(0..LENGTH));
}

/// Each task awaits the next one's cross-thread future.
fn tasks(driver: &Driver) -> (Promise<usize>, CrossThreadFuture<Result<usize, FutureError>>) {
    let (promise, first) = Promise::<usize>::new();
    let remote = driver.home.remote();
    let mut last = remote.submit::<(), _>((), first);
    for _ in 0..TASKS {
        last = remote.submit::<(), _>((), async move { last.await?.map(|number| number + 1) });
    }
    driver.turn();
    driver.turn();
    (promise, last)
}

#[test]
fn t_chain_of_tasks_completed() {
    on_a_small_stack(|| {
        let driver = Driver::new(Spin::Never);
        let (mut first, last) = tasks(&driver);
        first.set_result(0).unwrap();
        driver.run_until(|| last.done());
        assert_eq!(last.try_result(), Some(Ok(Ok(TASKS))));
    });
}

#[test]
fn t_chain_of_tasks_cancelled() {
    on_a_small_stack(|| {
        let driver = Driver::new(Spin::Never);
        let (first, last) = tasks(&driver);
        assert!(last.cancel());
        driver.run_until(|| driver.home.task_count() == 0);
        drop(first);
    });
}

#[test]
fn t_chain_of_tasks_closed() {
    on_a_small_stack(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        let driver = Driver::new(Spin::Never);
        let (_first, last) = tasks(&driver);
        let counted = Arc::clone(&ended);
        last.add_done_callback(move |_| _ = counted.fetch_add(1, SeqCst));
        driver.home.close(Closing::Closed);
        assert_eq!((driver.home.task_count(), ended.load(SeqCst)), (0, 1));
    });
}

/// Each future's callback keeps the next promise.
fn callbacks_that_complete(
    complete: impl FnOnce(Promise<usize>) + Send + 'static,
    expected: Result<usize, FutureError>,
) {
    on_a_small_stack(move || {
        let (first, mut last) = Promise::<usize>::new();
        for _ in 0..LENGTH {
            let (mut next, future) = Promise::new();
            last.add_done_callback(move |last| match last.try_result() {
                Some(Ok(number)) => next.set_result(number + 1).unwrap(),
                _ => drop(next),
            });
            last = future;
        }
        complete(first);
        assert_eq!(last.try_result(), Some(expected));
    });
}

#[test]
fn t_chain_1e6_completed_by_callbacks() {
    callbacks_that_complete(|mut first| first.set_result(0).unwrap(), Ok(LENGTH));
}

#[test]
fn t_chain_1e6_cancelled_by_callbacks() {
    callbacks_that_complete(drop, Err(FutureError::Cancelled));
}

/// A callback that is as deep inside of others as callbacks go sets a future for which a thread is blocked, and waits for
/// that thread.
#[test]
fn a_blocked_thread_is_told_at_once_however_deep() {
    let (mut awaited, future) = Promise::<()>::new();
    let (send, receive) = std::sync::mpsc::channel();
    let waiter = thread::spawn(move || send.send(future.result()).unwrap());
    let (mut first, mut last) = Promise::<()>::new();
    for _ in 0..40 {
        let (mut next, future) = Promise::new();
        last.add_done_callback(move |_| next.set_result(()).unwrap());
        last = future;
    }
    last.add_done_callback(move |_| {
        awaited.set_result(()).unwrap();
        receive.recv().unwrap().unwrap();
    });
    first.set_result(()).unwrap();
    assert!(last.done());
    waiter.join().unwrap();
}

/// What is put off, since it would be too deep, comes in the order in which it would have come.
#[test]
fn callbacks_that_are_put_off_keep_their_order() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (mut first, mut last) = Promise::<()>::new();
    for _ in 0..20 {
        let (mut next, future) = Promise::new();
        last.add_done_callback(move |_| next.set_result(()).unwrap());
        last = future;
    }
    let noted = Arc::clone(&order);
    last.add_done_callback(move |_| {
        for number in 0..3 {
            let (mut promise, future) = Promise::new();
            let noted = Arc::clone(&noted);
            future.add_done_callback(move |_| noted.lock().unwrap().push(number));
            promise.set_result(()).unwrap();
        }
    });
    first.set_result(()).unwrap();
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}

/// Tasks whose values are the next task.
#[test]
fn a_chain_of_tasks_values_is_dropped_on_a_small_stack() {
    struct Value(#[expect(dead_code, reason = "it is there to be dropped")] Option<perloop_bridge::TaskRef>);
    on_a_small_stack(|| {
        let driver = Driver::new(Spin::Never);
        let mut last = None;
        for _ in 0..TASKS {
            let before = last.take();
            let task = driver.home.spawn(|| (), async move { Value(before) });
            driver.turn();
            assert!(task.has_ended());
            last = Some(task);
        }
    });
}
