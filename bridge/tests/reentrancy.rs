//! Wakers that use the bridge while the bridge uses them. Had it called them under a lock, or between two changes of
//! state, they would block for ever; so each test has a watchdog.
mod support;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use perloop_bridge::{Closing, CrossThreadFuture, FutureError, Promise, Remote, Spin};
use support::hooked_waker::{Used, hooked_waker};
use support::{Driver, Ledger, Owned};

/// A hang fails the test.
fn with_watchdog(act: impl FnOnce() + Send + 'static) {
    let (send, ended) = mpsc::channel();
    let acting = thread::spawn(move || {
        act();
        send.send(()).unwrap();
    });
    let has_hung = ended.recv_timeout(Duration::from_secs(30)) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!has_hung, "it hangs");
    acting.join().unwrap();
}

thread_local! {
    static LOOP: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
}

/// What a waker that is used can reach.
struct Scene {
    ledger: Ledger,
    remote: Remote,
    /// Another task of the same loop.
    other: Waker,
    /// The future that the waker waits for.
    future: OnceLock<CrossThreadFuture<Owned>>,
    promise: OnceLock<std::sync::Mutex<Option<Promise<Owned>>>>,
    entered: AtomicUsize,
    /// A panic of the act's, which does not get out of the bridge.
    has_panicked: AtomicBool,
}

type Act = fn(&Scene);

impl Scene {
    fn new() -> (Arc<Self>, Rc<Driver>) {
        let driver = Rc::new(Driver::new(Spin::Never));
        LOOP.set(Some(Rc::clone(&driver)));
        let slot = Rc::new(RefCell::new(None));
        let out = Rc::clone(&slot);
        drop(driver.home.spawn(
            || (),
            std::future::poll_fn(move |cx| {
                out.borrow_mut().get_or_insert_with(|| cx.waker().clone());
                std::task::Poll::<()>::Pending
            }),
        ));
        driver.turn();
        let other = slot.replace(Some(Waker::noop().clone())).unwrap();
        let (ledger, remote) = (Ledger::new(0), driver.home.remote());
        let (future, promise, entered) = (OnceLock::new(), OnceLock::new(), AtomicUsize::new(0));
        let has_panicked = AtomicBool::new(false);
        (Arc::new(Self { ledger, remote, other, future, promise, entered, has_panicked }), driver)
    }

    /// The scene waits for a submission, which has begun.
    fn submit(self: &Arc<Self>, driver: &Driver, ends: bool) {
        let mut owned = self.ledger.owned();
        let body = async move {
            owned.begin();
            if !ends {
                std::future::pending::<()>().await;
            }
            owned.leave()
        };
        self.future.set(self.remote.submit::<(), _>((), body)).unwrap_or_else(|_| unreachable!("set once"));
        driver.turn();
    }

    fn promise(self: &Arc<Self>) {
        let (promise, future) = Promise::new();
        self.future.set(future).unwrap_or_else(|_| unreachable!("set once"));
        let _ = self.promise.set(std::sync::Mutex::new(Some(promise)));
    }

    /// A waker that does it whenever it is cloned, woken or dropped, but not inside of itself.
    fn waker(self: &Arc<Self>, act: Act) -> Waker {
        thread_local! {
            static IS_INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        }
        let scene = Arc::downgrade(self);
        hooked_waker(move |_: Used| {
            let Some(scene) = scene.upgrade() else { return };
            if !IS_INSIDE.replace(true) {
                scene.entered.fetch_add(1, SeqCst);
                let acted = catch_unwind(AssertUnwindSafe(|| act(&scene)));
                scene.has_panicked.fetch_or(acted.is_err(), SeqCst);
                IS_INSIDE.set(false);
            }
        })
    }

    fn future(&self) -> &CrossThreadFuture<Owned> {
        self.future.get().unwrap()
    }

    /// Polls a wait for the future's end with one waker after the other, and leaves the last one in it.
    fn watch_with(self: &Arc<Self>, wakers: &[Waker]) {
        let mut completion = Box::pin(self.future().completion());
        for waker in wakers {
            if completion.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                return;
            }
        }
        // It stays in the list of those who are told, which keeps the last waker.
        std::mem::forget(completion);
    }
}

/// A waker that is replaced, and one that is told of a value.
fn replaced_and_told(act: Act) {
    let (scene, driver) = Scene::new();
    scene.submit(&driver, true);
    scene.watch_with(&[scene.waker(act), scene.waker(act)]);
    driver.run_until(|| scene.future().done());
    finish(scene, driver);
}

/// A waker that goes with its wait.
fn dropped(act: Act) {
    let (scene, driver) = Scene::new();
    scene.submit(&driver, false);
    {
        let waker = scene.waker(act);
        let mut completion = pin!(scene.future().completion());
        let _ = completion.as_mut().poll(&mut Context::from_waker(&waker));
    }
    let _ = scene.future().cancel();
    finish(scene, driver);
}

/// A waker that is told of a cancel, by the canceller.
fn cancelled(act: Act) {
    let (scene, driver) = Scene::new();
    scene.submit(&driver, false);
    scene.watch_with(&[scene.waker(act)]);
    let _ = scene.future().cancel();
    finish(scene, driver);
}

/// A waker that is told of the loop's close, by the close.
fn closed(act: Act) {
    let (scene, driver) = Scene::new();
    scene.submit(&driver, false);
    scene.watch_with(&[scene.waker(act), scene.waker(act)]);
    driver.home.close(Closing::Closed);
    finish(scene, driver);
}

/// A waker that is told by who keeps a promise, or breaks it.
fn promised(act: Act) {
    for is_kept in [true, false] {
        let (scene, driver) = Scene::new();
        scene.promise();
        scene.watch_with(&[scene.waker(act), scene.waker(act)]);
        let promise = scene.promise.get().unwrap().lock().unwrap().take();
        let mut promise = promise.unwrap();
        if is_kept {
            let _ = promise.set_result(scene.ledger.owned());
        }
        drop(promise);
        finish(scene, driver);
    }
}

/// All has an end, whatever the wakers did, and everything is dropped once.
fn finish(scene: Arc<Scene>, driver: Rc<Driver>) {
    assert!(scene.entered.load(SeqCst) > 0, "the waker was never used");
    assert!(!scene.has_panicked.load(SeqCst));
    driver.turn();
    drop(LOOP.take());
    drop(driver);
    assert!(scene.future().done() && scene.remote.is_closed());
    let ledger = scene.ledger.clone();
    drop(scene.future().try_result());
    drop(scene);
    ledger.check();
}

fn everywhere(act: Act) {
    with_watchdog(move || {
        [replaced_and_told, dropped, cancelled, closed, promised].iter().for_each(|place| place(act))
    });
}

#[test]
fn t_waker_drop_reenters_submit() {
    everywhere(|scene| {
        let mut owned = scene.ledger.owned();
        drop(scene.remote.submit::<(), _>((), async move { owned.begin() }));
        let owned = scene.ledger.owned();
        drop(scene.remote.call(move || drop(owned)));
    });
}

#[test]
fn t_waker_drop_reenters_wake() {
    everywhere(|scene| {
        scene.other.wake_by_ref();
        let owned = scene.other.clone();
        owned.wake();
        // And it waits for the very same future, with a waker of its own.
        let mut completion = pin!(scene.future().completion());
        let _ = completion.as_mut().poll(&mut Context::from_waker(&scene.other));
    });
}

#[test]
fn t_waker_drop_reenters_cancel() {
    everywhere(|scene| {
        let _ = scene.future().cancel();
        assert!(scene.future().done());
        if let Some(outcome) = scene.future().try_result() {
            assert!(outcome.is_ok() || matches!(outcome, Err(FutureError::Cancelled | FutureError::Taken)));
        }
    });
}

#[test]
fn t_waker_drop_reenters_close() {
    everywhere(|_| {
        if let Some(driver) = LOOP.take() {
            driver.home.close(Closing::Closed);
        }
    });
}
