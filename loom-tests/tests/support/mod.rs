//! What the models share: the one door to loom, a bell, a loop's turn, and values that tell what became of them.
//!
//! Counters here are std's, which loom does not see at all: nothing but the code under test orders anything.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs, the root of none")]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};

use bridge::{Bell, Closing, FutureError, Home, Ready, Remote, Spin, Stepped, TaskRef};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{AcqRel, Acquire};
use loom::sync::{Condvar, Mutex};
use loom::thread::JoinHandle;

thread_local! {
    /// The first panic that the model of this thread did not mean. The bridge contains panics of foreign code, so one
    /// of loom's own may end up as the outcome of a task.
    static UNMEANT: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Is the model of this thread to fail?
    static IS_TO_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// What a model throws on purpose.
pub const MEANT: &str = "meant by the model";

fn note_unmeant_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>().copied();
            let text = text.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
            if text == Some(MEANT) {
                return;
            }
            UNMEANT.with_borrow_mut(|first| {
                first.get_or_insert_with(|| text.unwrap_or("no text").to_owned());
            });
            if !IS_TO_FAIL.get() {
                before(info);
            }
        }));
    });
}

/// Runs `body` in every order that at most `preemptions` forced switches of threads give. `LOOM_MAX_PREEMPTIONS`
/// overrides it.
pub fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    note_unmeant_panics();
    UNMEANT.take();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 100_000;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        body();
    });
    let name = std::thread::current().name().unwrap_or("a model").to_owned();
    println!("{name}: {} executions", runs.load(Relaxed));
    assert_eq!(UNMEANT.take(), None, "a panic was contained that no model meant");
}

/// Runs a model that has to fail, for one of the reasons `why`: a part of the text that it panics with.
pub fn fails(preemptions: usize, why: &[&str], body: impl Fn() + Send + Sync + 'static) {
    IS_TO_FAIL.set(true);
    let ran = catch_unwind(AssertUnwindSafe(|| model(preemptions, body)));
    IS_TO_FAIL.set(false);
    let text = UNMEANT.take().unwrap_or_default();
    assert!(ran.is_err(), "the wrong variant passes");
    assert!(why.iter().any(|why| text.contains(why)), "it fails for another reason: {text}");
}

/// Joins threads that may be joined in any order.
pub fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A lock and a condition.
#[derive(Clone)]
pub struct TestBell(Arc<Sound>);

struct Sound {
    is_rung: Mutex<bool>,
    heard: Condvar,
    rings: AtomicUsize,
}

impl TestBell {
    pub fn new() -> Self {
        let (is_rung, heard) = (Mutex::new(false), Condvar::new());
        Self(Arc::new(Sound { is_rung, heard, rings: AtomicUsize::new(0) }))
    }

    pub fn wait(&self) {
        let mut is_rung = self.0.is_rung.lock().unwrap();
        while !*is_rung {
            is_rung = self.0.heard.wait(is_rung).unwrap();
        }
        *is_rung = false;
    }

    /// Ends a wait for no reason of the bridge's.
    pub fn strike(&self) {
        *self.0.is_rung.lock().unwrap() = true;
        self.0.heard.notify_one();
    }

    /// How often the bridge has rung.
    pub fn rings(&self) -> usize {
        self.0.rings.load(Relaxed)
    }
}

impl Bell for TestBell {
    fn ring(&self) {
        self.0.rings.fetch_add(1, Relaxed);
        self.strike();
    }
}

/// A bell as a poller's: by a flag, rings that come together are one.
#[derive(Clone)]
pub struct Coalescing {
    is_notified: Arc<AtomicBool>,
    pub bell: TestBell,
}

impl Coalescing {
    pub fn new() -> Self {
        Self { is_notified: Arc::new(AtomicBool::new(false)), bell: TestBell::new() }
    }

    pub fn wait(&self) {
        self.bell.wait();
        self.is_notified.swap(false, AcqRel);
    }
}

impl Bell for Coalescing {
    fn ring(&self) {
        // A compare-exchange that fails is a load, which may read an old value. loom's reads the newest one, and so do
        // its SeqCst loads, so here stands what it may be.
        if !self.is_notified.load(Acquire)
            && self.is_notified.compare_exchange(false, true, AcqRel, Acquire).is_ok()
        {
            self.bell.ring();
        }
    }
}

/// When a submission's outcome is given to its future.
#[derive(Clone, Copy, PartialEq)]
pub enum Publish {
    AtOnce,
    /// In its turn, as the runtime does.
    NextTurn,
}

/// A loop with its bell, turned by hand.
pub struct Driver {
    pub home: Home,
    pub bell: TestBell,
    pub publish: Publish,
}

impl Driver {
    pub fn new() -> Self {
        Self::named("loop")
    }

    pub fn named(name: &str) -> Self {
        Self::make(name, Spin::Never)
    }

    pub fn spinning(spin: Spin) -> Self {
        Self::make("loop", spin)
    }

    fn make(name: &str, spin: Spin) -> Self {
        let bell = TestBell::new();
        Self::with_bell(name, spin, bell.clone(), bell)
    }

    /// A loop that rings `rung`, which has to sound as `bell`.
    pub fn with_bell(name: &str, spin: Spin, rung: impl Bell + 'static, bell: TestBell) -> Self {
        Self { home: Home::new(name, spin, Box::new(rung)), bell, publish: Publish::AtOnce }
    }

    pub fn publishing(publish: Publish) -> Self {
        Self { publish, ..Self::new() }
    }

    pub fn remote(&self) -> Remote {
        self.home.remote()
    }

    /// Takes what has come, and runs what was ready then.
    pub fn turn(&self) {
        self.home.collect();
        for _ in 0..self.home.ready_len() {
            let Some(entry) = self.home.pop() else { return };
            self.run(entry);
        }
    }

    /// As `turn`, after a sleep that was given up. A mere turn looks at the inbox and leaves it, and loom overlooks that such
    /// a look may come after a push.
    pub fn nap_and_turn(&self) {
        let _ = self.home.fall_asleep();
        self.turn();
    }

    pub fn run(&self, entry: Ready) {
        match entry {
            Ready::Step(task) => self.step(&task),
            Ready::Adopt(task) => {
                if task.adopt() {
                    task.wake();
                }
            }
            Ready::Publish(task) => task.publish(),
            Ready::Call(call) => call.0.call(),
            Ready::Handed(call) => self.home.run_handed(call).expect("a call that does not panic"),
        }
    }

    fn step(&self, task: &TaskRef) {
        let is_asked = task.begin_step();
        if task.has_ended() {
            return;
        }
        let stepped = if is_asked { task.end_with(FutureError::Cancelled) } else { task.poll() };
        if stepped == (Stepped::Ended { publish: true }) {
            match self.publish {
                Publish::AtOnce => task.publish(),
                Publish::NextTurn => self.home.push(Ready::Publish(task.clone())),
            }
        }
    }

    /// Sleeps, unless there is something to do.
    pub fn sleep(&self) {
        if !self.home.has_work() && self.home.fall_asleep() {
            self.bell.wait();
        }
    }

    /// Turns and sleeps until it is so.
    pub fn run_until(&self, is_so: impl Fn() -> bool) {
        loop {
            self.turn();
            if is_so() {
                return;
            }
            self.sleep();
        }
    }

    /// Turns and sleeps until nothing is left of `count` submissions.
    pub fn run_until_ended(&self, ledger: &Ledger, count: usize) {
        self.run_until(|| {
            ledger.dropped() >= count && self.home.task_count() == 0 && self.home.ready_len() == 0
        });
    }

    /// Turns and sleeps until `count` of the values have been dropped.
    pub fn run_until_dropped(&self, ledger: &Ledger, count: usize) {
        self.run_until(|| ledger.dropped() >= count);
    }

    pub fn close(&self) {
        self.home.close(Closing::Closed);
    }
}

/// What became of a model's values.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Ledger {
    pub fn value(&self) -> Value {
        self.value_of(1)
    }

    /// A value that is written when it is made, read when it is used, and written again when it is dropped: loom fails
    /// the model if one of these may come at the same time as another.
    pub fn value_of(&self, number: u32) -> Value {
        self.0.made.fetch_add(1, Relaxed);
        let cell = UnsafeCell::new(0);
        // SAFETY: loom watches.
        cell.with_mut(|cell| unsafe { *cell = number });
        Value { cell, ledger: self.clone(), _leaks: loom::alloc::Track::new(()) }
    }

    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Relaxed)
    }

    /// Each was dropped once.
    pub fn check(&self) {
        assert_eq!(self.0.made.load(Relaxed), self.0.dropped.load(Relaxed), "made and dropped");
    }
}

/// See [`Ledger::value_of`].
pub struct Value {
    cell: UnsafeCell<u32>,
    ledger: Ledger,
    _leaks: loom::alloc::Track<()>,
}

// SAFETY: loom fails the model if two threads use it at the same time.
unsafe impl Sync for Value {}

impl Value {
    pub fn get(&self) -> u32 {
        // SAFETY: loom watches.
        self.cell.with(|cell| unsafe { *cell })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: loom watches.
        self.cell.with_mut(|cell| unsafe { *cell = u32::MAX });
        self.ledger.0.dropped.fetch_add(1, Relaxed);
    }
}

/// A value that its home thread drops.
pub struct AtHome {
    home: loom::thread::ThreadId,
    value: Value,
}

impl AtHome {
    /// Called on the thread that has to drop it.
    pub fn new(value: Value) -> Self {
        Self { home: loom::thread::current().id(), value }
    }

    pub fn touch(&self) {
        assert_eq!(loom::thread::current().id(), self.home, "used at home");
        self.value.get();
    }
}

impl Drop for AtHome {
    fn drop(&mut self) {
        assert_eq!(loom::thread::current().id(), self.home, "dropped at home");
    }
}

/// A task that has been polled once, waits until `is_ready`, and holds a value; and its waker.
pub fn waiting(driver: &Driver, held: Value, is_ready: impl Fn() -> bool + 'static) -> (TaskRef, Waker) {
    let kept = Rc::new(RefCell::new(None));
    let (slot, held) = (Rc::clone(&kept), AtHome::new(held));
    let task = driver.home.spawn(
        || (),
        poll_fn(move |cx| {
            if slot.borrow().is_none() {
                let waker = cx.waker().clone();
                slot.replace(Some(waker));
                return Poll::Pending;
            }
            held.touch();
            if is_ready() { Poll::Ready(()) } else { Poll::Pending }
        }),
    );
    driver.turn();
    let waker = kept.take().expect("polled once");
    // Or the body would own itself.
    let other = waker.clone();
    kept.replace(Some(Waker::noop().clone()));
    drop(waker);
    (task, other)
}

/// Cells of one number that loom watches, without any order of their own.
#[derive(Clone)]
pub struct Shared(Arc<Watched>);

struct Watched(UnsafeCell<u32>);

// SAFETY: loom fails the model if two threads use it at the same time.
unsafe impl Sync for Watched {}

impl Shared {
    pub fn new() -> Self {
        Self(Arc::new(Watched(UnsafeCell::new(0))))
    }

    pub fn get(&self) -> u32 {
        // SAFETY: loom watches.
        self.0.0.with(|cell| unsafe { *cell })
    }

    pub fn add(&self) {
        // SAFETY: loom watches.
        self.0.0.with_mut(|cell| unsafe { *cell += 1 });
    }
}

/// Adds to a cell when it is dropped.
pub struct AddOnDrop(pub Shared);

impl Drop for AddOnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// A waker that does `then`, and is counted when it is gone. Its own count of references is std's, so it holds nothing
/// that loom watches.
pub fn counted_waker(ledger: &Ledger, then: fn()) -> Waker {
    struct Counted {
        ledger: Ledger,
        then: fn(),
        _leaks: loom::alloc::Track<()>,
    }
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            (self.then)();
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.ledger.0.dropped.fetch_add(1, Relaxed);
        }
    }
    ledger.0.made.fetch_add(1, Relaxed);
    Waker::from(Arc::new(Counted { ledger: ledger.clone(), then, _leaks: loom::alloc::Track::new(()) }))
}

/// Polls a future once.
pub fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A waker that rings the bell. One that is left behind is a leak.
pub fn ringing(bell: &TestBell) -> Waker {
    struct Ringing {
        bell: TestBell,
        _leaks: loom::alloc::Track<()>,
    }
    impl Wake for Ringing {
        fn wake(self: Arc<Self>) {
            self.bell.ring();
        }
    }
    Waker::from(Arc::new(Ringing { bell: bell.clone(), _leaks: loom::alloc::Track::new(()) }))
}

/// Blocks this thread on any future, by way of a bell.
pub fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let bell = TestBell::new();
    let waker = ringing(&bell);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}
