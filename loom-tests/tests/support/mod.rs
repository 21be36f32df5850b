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
use loom::sync::{Condvar, Mutex};

thread_local! {
    /// Panics that no model meant, in the models of this thread. The bridge contains panics of foreign code, so one of
    /// loom's own may end up as the outcome of a task.
    static UNMEANT: Cell<usize> = const { Cell::new(0) };
    /// Is a model of this thread to fail?
    static IS_TO_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// What a model throws on purpose.
pub const MEANT: &str = "meant by the model";

fn count_unmeant_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() == Some(&MEANT) {
                return;
            }
            UNMEANT.set(UNMEANT.get() + 1);
            if !IS_TO_FAIL.get() {
                before(info);
            }
        }));
    });
}

/// Runs `body` in every order that at most `preemptions` forced switches of threads give. `LOOM_MAX_PREEMPTIONS`
/// overrides it.
pub fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    count_unmeant_panics();
    UNMEANT.set(0);
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
    assert_eq!(UNMEANT.get(), 0, "a panic was contained that no model meant");
}

/// Does the model fail, as it should?
pub fn is_caught(preemptions: usize, body: impl Fn() + Send + Sync + 'static) -> bool {
    IS_TO_FAIL.set(true);
    let is_caught = catch_unwind(AssertUnwindSafe(|| model(preemptions, body))).is_err();
    IS_TO_FAIL.set(false);
    is_caught
}

/// A lock and a condition.
#[derive(Clone)]
pub struct TestBell(Arc<(Mutex<bool>, Condvar)>);

impl TestBell {
    pub fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub fn wait(&self) {
        let mut rung = self.0.0.lock().unwrap();
        while !*rung {
            rung = self.0.1.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Bell for TestBell {
    fn ring(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
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
        let home = Home::new(name, spin, Box::new(bell.clone()));
        Self { home, bell, publish: Publish::AtOnce }
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

/// A waker that rings the bell.
pub fn ringing(bell: &TestBell) -> Waker {
    struct Ringing(TestBell);
    impl Wake for Ringing {
        fn wake(self: Arc<Self>) {
            self.0.ring();
        }
    }
    Waker::from(Arc::new(Ringing(bell.clone())))
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
