//! Wakers, handles and futures that are used after what they belong to has ended: task, loop, thread.
mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use perloop_bridge::{Closing, CrossThreadFuture, FutureError, Ready, Remote, Spin, TaskRef};
use support::{Driver, Ledger, LoopThread};

/// A task of the loop that has been polled and waits, and its waker.
fn waiting(driver: &Driver, ledger: &Ledger) -> (TaskRef, Waker) {
    let slot = Arc::new(Mutex::new(None));
    let (out, mut owned) = (Arc::clone(&slot), ledger.owned());
    let task = driver.home.spawn(
        || (),
        std::future::poll_fn(move |cx| {
            owned.begin();
            *out.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }),
    );
    driver.turn();
    let waker = slot.lock().unwrap().take().unwrap();
    (task, waker)
}

fn use_up(waker: &Waker) {
    let another = waker.clone();
    another.wake_by_ref();
    another.wake();
    drop(waker.clone());
}

/// Here, and on another thread.
fn use_up_everywhere(waker: &Waker) {
    use_up(waker);
    thread::scope(|scope| scope.spawn(|| use_up(waker)).join().unwrap());
}

#[test]
fn a_waker_after_its_task_was_woken_last_does_nothing() {
    let ledger = Ledger::new(0);
    let driver = Driver::new(Spin::Never);
    let (task, waker) = waiting(&driver, &ledger);
    let _ = task.end_with(FutureError::Cancelled);
    use_up_everywhere(&waker);
    assert!(!driver.home.has_work() && driver.home.task_count() == 0);
    assert_eq!(task.take::<()>(), Some(Err(FutureError::Cancelled)));
    drop(task);
    use_up_everywhere(&waker);
    assert!(TaskRef::from_waker(&waker).is_none(), "the task is gone");
    ledger.check();
}

/// Wakes that come when the loop is closed, or gone, do nothing, and what the task owned is dropped at home by the
/// close, also if a wake was on its way then. Async runtimes that queue the task itself dropped it on the waker's
/// thread.
#[test]
fn t_wake_after_loop_gone() {
    for is_woken in [false, true] {
        let ledger = Ledger::new(0);
        let driver = Driver::new(Spin::Never);
        let (task, waker) = waiting(&driver, &ledger);
        if is_woken {
            thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
        }
        driver.home.close(Closing::Closed);
        ledger.check();
        use_up_everywhere(&waker);
        assert!(task.has_ended() && task.has_no_outcome() && task.take::<()>().is_none());
        drop(driver);
        use_up_everywhere(&waker);
        drop(task);
        use_up_everywhere(&waker);
        thread::spawn(move || waker.wake()).join().unwrap();
    }
}

/// A waker may outlive the thread of its loop; it does nothing then, and points to nothing of that thread's.
#[test]
fn t_waker_outlives_thread() {
    let ledger = Ledger::new(0);
    let theirs = ledger.clone();
    let making = thread::spawn(move || {
        let driver = Driver::new(Spin::Never);
        waiting(&driver, &theirs).1
    });
    let waker = making.join().unwrap();
    ledger.check();
    use_up_everywhere(&waker);
    assert!(TaskRef::from_waker(&waker).is_none(), "it is another thread's");
    thread::spawn(move || waker.wake()).join().unwrap();
}

/// A thread that gave up waiting and is gone is not told.
#[test]
fn a_waiter_that_gave_up_and_whose_thread_is_gone_is_not_told() {
    let (mut promise, future) = perloop_bridge::Promise::new();
    let future = Arc::new(future);
    for _ in 0..10 {
        let theirs = Arc::clone(&future);
        let waited = thread::spawn(move || theirs.result_timeout(Duration::from_micros(200)));
        assert_eq!(waited.join().unwrap(), Err(FutureError::TimedOut));
    }
    promise.set_result(1).unwrap();
    assert_eq!(future.try_result(), Some(Ok(1)));
}

thread_local! {
    /// Its address names the thread, as long as it lives.
    static HERE: Cell<u8> = const { Cell::new(0) };
}

/// The system gives the name and the memory of a thread that has ended to another one. That one is not at home in
/// loops of its predecessors, whose handles stay closed.
#[test]
fn t_home_id_never_recycled() {
    const LOOPS: usize = 10_000;
    let (mut last, mut ids, mut recycled) = (None::<(usize, u32, Remote, Waker)>, HashSet::new(), 0);
    for _ in 0..LOOPS {
        let before = last.take();
        let life = move || {
            let here = HERE.with(|here| std::ptr::from_ref(here).addr());
            let is_recycled = before.as_ref().is_some_and(|(place, ..)| *place == here);
            if let Some((_, id, remote, waker)) = before {
                assert!(!remote.is_home() && remote.is_closed() && remote.check_foreign().is_ok());
                let refused = remote.submit::<(), _>((), async {}).result();
                assert!(matches!(refused, Err(FutureError::LoopClosed(_))));
                assert!(remote.call(|| {}).is_err() && Remote::find(id).is_none());
                assert!(TaskRef::from_waker(&waker).is_none(), "it was another thread's");
                waker.wake();
            }
            let driver = Driver::new(Spin::Never);
            let (_task, waker) = waiting(&driver, &Ledger::new(0));
            let remote = driver.home.remote();
            assert!(remote.is_home() && !remote.is_closed() && TaskRef::from_waker(&waker).is_some());
            ((here, driver.home.id(), remote, waker), is_recycled)
        };
        let (own, is_recycled) = thread::spawn(life).join().unwrap();
        assert!(ids.insert(own.1), "a loop's number came twice");
        recycled += usize::from(is_recycled);
        last = Some(own);
    }
    assert!(recycled > LOOPS / 100, "only {recycled} threads had the place of their predecessor");
}

/// Runs something when its thread ends.
struct AtExit(Option<Box<dyn FnOnce()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

thread_local! {
    static AT_EXIT: RefCell<Vec<AtExit>> = const { RefCell::new(Vec::new()) };
}

fn at_exit(act: impl FnOnce() + 'static) {
    AT_EXIT.with_borrow_mut(|list| list.push(AtExit(Some(Box::new(act)))));
}

/// Thread-local values are destroyed in an order that nobody knows: a waker, a handle, a future and the loop itself may
/// all be used, and be dropped, from there.
#[test]
fn all_of_it_can_be_used_while_its_thread_ends() {
    let ledger = Ledger::new(0);
    let (theirs, elsewhere) = (ledger.clone(), LoopThread::start());
    let remote = elsewhere.remote.clone();
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let driver = Driver::new(Spin::Never);
        let (task, waker) = waiting(&driver, &theirs);
        let future = remote.submit::<(), _>((), async { 1 });
        let own = driver.home.remote();
        let refused = own.submit::<(), _>((), async { 2 });
        let after = waker.clone();
        // They run in this order.
        at_exit(move || {
            use_up(&waker);
            assert_eq!(TaskRef::from_waker(&waker).as_ref(), Some(&task));
            drop(driver);
            use_up(&waker);
            assert!(task.has_ended());
        });
        at_exit(move || {
            use_up(&after);
            assert!(matches!(refused.try_result(), Some(Err(FutureError::LoopClosed(_)))));
            assert!(own.is_home() && own.is_closed());
            assert!(own.try_submit::<(), _>((), async {}).is_err());
            send.send(future.cancel_and_wait().is_ok()).unwrap();
        });
    })
    .join()
    .unwrap();
    assert_eq!(receive.recv(), Ok(true));
    ledger.check();
}

/// A thread that ends takes its loop along; who waits for it hears that it died.
#[test]
fn a_thread_that_ends_ends_the_waits_for_its_loop() {
    let (send, receive) = mpsc::channel::<Remote>();
    let (begun, has_begun) = mpsc::channel();
    let thread = thread::spawn(move || {
        let driver = Driver::new(Spin::Never);
        send.send(driver.home.remote()).unwrap();
        let started = AtomicUsize::new(0);
        driver.run_until(|| {
            started.store(driver.home.task_count(), SeqCst);
            started.load(SeqCst) == 1
        });
        driver.turn();
        begun.send(()).unwrap();
    });
    let remote = receive.recv().unwrap();
    let begun = remote.submit::<(), _>((), std::future::pending::<()>());
    assert!(matches!(begun.result(), Err(FutureError::LoopDied(_))));
    has_begun.recv().unwrap();
    thread.join().unwrap();
    assert!(matches!(remote.submit::<(), _>((), async {}).result(), Err(FutureError::LoopClosed(_))));
}

/// A future that is dropped does not keep the waker until the end, which may never come.
#[test]
fn a_dropped_future_drops_its_waker_at_once() {
    struct Counted;
    impl std::task::Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
    let counted = Arc::new(Counted);
    let waker = Waker::from(Arc::clone(&counted));
    let (_promise, mut future) = perloop_bridge::Promise::<()>::new();
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_pending());
    let mut completion = Box::pin(future.completion());
    assert!(completion.as_mut().poll(&mut cx).is_pending());
    assert_eq!(Arc::strong_count(&counted), 4);
    drop(completion);
    assert_eq!(Arc::strong_count(&counted), 3);
    drop(future);
    assert_eq!(Arc::strong_count(&counted), 2);
}

/// What a runtime takes from the ready list and loses does not leave its submitter waiting.
#[test]
fn a_lost_submission_ends_cancelled() {
    let driver = Driver::new(Spin::Never);
    let future: CrossThreadFuture<()> = driver.home.remote().submit::<(), _>((), async {});
    let Some(Ready::Adopt(task)) = driver.home.pop() else { panic!("a submission comes first") };
    drop(task);
    assert_eq!(future.try_result(), Some(Err(FutureError::Cancelled)));
}

/// What a closed loop is given all the same is dropped by its own thread, not by that of the last handle.
#[test]
fn a_closed_loop_keeps_nothing_for_others() {
    struct Counted(Arc<AtomicUsize>);
    impl perloop_bridge::Call for Counted {
        fn call(self: std::rc::Rc<Self>) {}
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let driver = Driver::new(Spin::Never);
    assert!(driver.home.fall_asleep());
    driver.home.close(Closing::Closed);
    driver.home.collect();
    assert!(!driver.home.fall_asleep());
    let remote = driver.home.remote();
    driver.home.push(Ready::Call(perloop_bridge::CallRef(std::rc::Rc::new(Counted(Arc::clone(&dropped))))));
    drop(driver);
    assert_eq!(dropped.load(SeqCst), 1);
    assert!(remote.is_closed());
}

/// A runtime may still have a submission in hand when its loop goes: it is refused, then or when it is lost.
#[test]
fn a_submission_in_hand_outlives_its_loop() {
    let driver = Driver::new(Spin::Never);
    let remote = driver.home.remote();
    let futures = [(); 4].map(|()| remote.submit::<(), _>((), async {}));
    let mut popped = (0..4).map(|_| match driver.home.pop() {
        Some(Ready::Adopt(task)) => task,
        other => panic!("{other:?}"),
    });
    let (given_back, adopted, kept, lost) =
        (popped.next().unwrap(), popped.next().unwrap(), popped.next().unwrap(), popped.next().unwrap());
    driver.home.push(Ready::Adopt(given_back));
    assert!(adopted.adopt());
    drop((driver, remote));
    assert!(adopted.has_ended() && !kept.adopt() && kept.has_ended());
    drop(lost);
    let ends = futures.map(|future| future.try_result().expect("it has ended"));
    assert!(matches!(ends[0], Err(FutureError::LoopClosed(_))));
    assert!(matches!(ends[1], Err(FutureError::LoopDied(_))));
    assert!(matches!(ends[2], Err(FutureError::LoopClosed(_))));
    assert_eq!(ends[3], Err(FutureError::Cancelled));
}
