//! What the tests with real threads share: a loop turned by hand, and the ledger.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs, the root of none")]

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, Once, mpsc};
use std::thread::{self, JoinHandle, ThreadId};

use perloop_bridge::{Bell, Closing, FutureError, Home, Ready, Remote, Spin, Stepped, TaskRef};

/// A lock and a condition.
#[derive(Clone, Default)]
pub struct TestBell(Arc<(Mutex<bool>, Condvar)>);

impl TestBell {
    fn wait(&self) {
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

/// A loop with its bell, turned by hand.
pub struct Driver {
    pub home: Home,
    bell: TestBell,
}

impl Driver {
    pub fn new(spin: Spin) -> Self {
        Self::named("test", spin)
    }

    pub fn named(name: &str, spin: Spin) -> Self {
        let bell = TestBell::default();
        Self { home: Home::new(name, spin, Box::new(bell.clone())), bell }
    }

    /// Takes what has come, and runs what was ready then.
    pub fn turn(&self) {
        self.home.collect();
        for _ in 0..self.home.ready_len() {
            match self.home.pop() {
                None => return,
                Some(entry) => self.run(entry),
            }
        }
    }

    fn run(&self, entry: Ready) {
        match entry {
            Ready::Step(task) => self.step(&task),
            Ready::Adopt(task) => {
                if task.adopt() {
                    task.wake();
                }
            }
            Ready::Publish(task) => task.publish(),
            Ready::Call(call) => call.0.call(),
            Ready::Handed(call) => drop(self.home.run_handed(call)),
        }
    }

    fn step(&self, task: &TaskRef) {
        let is_asked = task.begin_step();
        if task.has_ended() {
            return;
        }
        let stepped = if is_asked { task.end_with(FutureError::Cancelled) } else { task.poll() };
        if stepped == (Stepped::Ended { publish: true }) {
            self.home.push(Ready::Publish(task.clone()));
        }
    }

    pub fn run_until(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            self.turn();
            if is_so() || self.home.has_work() || self.home.look(std::time::Duration::MAX) {
                continue;
            }
            if self.home.fall_asleep() {
                self.bell.wait();
            }
        }
    }
}

/// A loop that a thread of its own turns.
pub struct LoopThread {
    pub remote: Remote,
    pub id: ThreadId,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LoopThread {
    pub fn start() -> Self {
        Self::start_with(Spin::Adaptive)
    }

    pub fn start_with(spin: Spin) -> Self {
        Self::start_named("test", spin)
    }

    pub fn start_named(name: &'static str, spin: Spin) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let driver = Driver::named(name, spin);
            send.send(driver.home.remote()).unwrap();
            driver.run_until(|| stopped.load(SeqCst));
            driver.home.close(Closing::Closed);
        });
        let id = thread.thread().id();
        Self { remote: receive.recv().unwrap(), id, stop, thread: Some(thread) }
    }

    /// Closes the loop soon.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
        // Refused if it has closed by now.
        drop(self.remote.call(|| {}));
    }
}

impl Drop for LoopThread {
    fn drop(&mut self) {
        self.stop();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

/// How a submission has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Completed = 1,
    Cancelled = 2,
    Panicked = 4,
    Refused = 8,
}

impl End {
    pub fn of<T>(outcome: &Result<T, FutureError>) -> Self {
        match outcome {
            Ok(_) => Self::Completed,
            Err(FutureError::Cancelled) => Self::Cancelled,
            Err(FutureError::Panicked(_)) => Self::Panicked,
            Err(FutureError::LoopClosed(_)) => Self::Refused,
            Err(other) => panic!("no way to end: {other}"),
        }
    }
}

/// Each submission ends in exactly one way, and all that was made is dropped, bodies that had begun at home.
#[derive(Clone)]
pub struct Ledger(Arc<Accounts>);

struct Accounts {
    ends: Vec<AtomicU8>,
    made: AtomicUsize,
    dropped: AtomicUsize,
    astray: AtomicUsize,
}

impl Ledger {
    pub fn new(submissions: usize) -> Self {
        let ends = (0..submissions).map(|_| AtomicU8::new(0)).collect();
        let zero = AtomicUsize::default;
        Self(Arc::new(Accounts { ends, made: zero(), dropped: zero(), astray: zero() }))
    }

    /// What a body owns.
    pub fn owned(&self) -> Owned {
        self.0.made.fetch_add(1, Relaxed);
        Owned { ledger: self.clone(), home: None }
    }

    pub fn end(&self, submission: usize, end: End) {
        assert_eq!(self.0.ends[submission].fetch_or(end as u8, Relaxed), 0, "{submission} ended twice");
    }

    /// How many ended each way, when all have.
    pub fn check(&self) -> [usize; 4] {
        let count = |end: End| self.0.ends.iter().filter(|kept| kept.load(Relaxed) == end as u8).count();
        let counts = [End::Completed, End::Cancelled, End::Panicked, End::Refused].map(count);
        assert_eq!(counts.iter().sum::<usize>(), self.0.ends.len(), "{counts:?}");
        assert_eq!(self.0.made.load(SeqCst), self.0.dropped.load(SeqCst), "made and dropped");
        assert_eq!(self.0.astray.load(SeqCst), 0, "dropped away from home");
        counts
    }
}

/// See [`Ledger::owned`].
pub struct Owned {
    ledger: Ledger,
    home: Option<ThreadId>,
}

impl Owned {
    /// The body has begun: from now on it belongs to this thread.
    pub fn begin(&mut self) {
        self.home = Some(thread::current().id());
    }

    /// It goes elsewhere, as an outcome.
    pub fn leave(mut self) -> Self {
        self.home = None;
        self
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.home.is_some_and(|home| home != thread::current().id()) {
            self.ledger.0.astray.fetch_add(1, SeqCst);
        }
        self.ledger.0.dropped.fetch_add(1, SeqCst);
    }
}

/// What a test throws on purpose.
pub const MEANT: &str = "meant by the test";

/// Keeps the report of meant panics off the terminal.
pub fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&MEANT) && !info.payload().is::<Bomb>() {
                before(info);
            }
        }));
    });
}

/// A payload that panics when it is dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            std::panic::panic_any(MEANT);
        }
    }
}

/// Panics when it is dropped, and counts it.
pub struct PanicsOnDrop(pub Arc<AtomicUsize>);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        if !thread::panicking() {
            std::panic::panic_any(MEANT);
        }
    }
}
