//! The ledger: each submission ends in exactly one way, and all that was made is dropped. (The runtime's tests use it too.)
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::disallowed_types, reason = "several threads count here")]
#![allow(unreachable_pub, reason = "a module of several test programs, the root of none")]

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::thread::{self, ThreadId};

use perloop_bridge::FutureError;

/// A small generator of numbers, so that a run can be repeated.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// One of so many things.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

/// How a submission has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Completed = 1,
    Cancelled = 2,
    Panicked = 4,
    Refused = 8,
    /// Its loop died.
    Died = 16,
}

impl End {
    pub fn of<T>(outcome: &Result<T, FutureError>) -> Self {
        match outcome {
            Ok(_) => Self::Completed,
            Err(FutureError::Cancelled) => Self::Cancelled,
            Err(FutureError::Panicked(_)) => Self::Panicked,
            Err(FutureError::LoopClosed(_)) => Self::Refused,
            Err(FutureError::LoopDied(_)) => Self::Died,
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
    pub fn check(&self) -> [usize; 5] {
        let count = |end: End| self.0.ends.iter().filter(|kept| kept.load(Relaxed) == end as u8).count();
        let counts = [End::Completed, End::Cancelled, End::Panicked, End::Refused, End::Died].map(count);
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
