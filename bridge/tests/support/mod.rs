//! What the tests with real threads share: a loop turned by hand, and the ledger.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs, the root of none")]

pub mod hooked_waker;
mod ledger;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle, ThreadId};

use perloop_bridge::{
    Bell, Closing, FutureError, Home, Ready, Remote, Spin, Stepped, TaskRef, drop_cancelled,
};

#[allow(unused_imports, reason = "each test file uses its part")]
pub use ledger::{Bomb, Dice, End, Ledger, MEANT, Owned, PanicsOnDrop, hush};

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

    /// With a bell that ends no wait of its own.
    pub fn with_bell(bell: Box<dyn Bell>) -> Self {
        Self { home: Home::new("test", Spin::Never, bell), bell: TestBell::default() }
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
        let stepped = match is_asked {
            true => drop_cancelled(|| task.end_with(FutureError::Cancelled)),
            false => task.poll(),
        };
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
