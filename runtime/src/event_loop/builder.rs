//! How a loop is set up.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use perloop_bridge::{Home, Spin};

use crate::clock::Clock;
use crate::current;
use crate::errors::RunError;
use crate::event_loop::{EventLoop, LoopInner};
use crate::handle::LoopHandle;
use crate::reactor::{Reactor, WaitKind};
use crate::run::run_on;
use crate::timers::Timers;

/// Settings of a loop that is to be made.
///
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, sleep};
///
/// let event_loop = EventLoop::builder().name("clockwork").virtual_time().build()?;
/// event_loop.run_until_complete(async { sleep(Duration::from_secs(3600)).await })?; // at once
/// assert_eq!(event_loop.time(), Duration::from_secs(3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `build` or `run`"]
pub struct Builder {
    name: Option<String>,
    has_virtual_time: bool,
    spin: Spin,
    wait: WaitKind,
    takes_ctrl_c: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            has_virtual_time: false,
            spin: Spin::Adaptive,
            wait: WaitKind::Native,
            takes_ctrl_c: true,
        }
    }

    /// The loop's name, for errors, events and `WouldDeadlock`'s path. By default it is made from the thread's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A clock that starts at zero and moves only when nothing is ready: then straight to the next timer.
    pub fn virtual_time(mut self) -> Self {
        self.has_virtual_time = true;
        self
    }

    /// How long the loop, and who blocks on its futures, look for news before they sleep.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Waits by `polling::Poller::wait` even where the system has something better.
    pub fn portable_wait(mut self) -> Self {
        self.wait = WaitKind::Portable;
        self
    }

    /// Whether [`run`](Self::run) takes Ctrl-C while it runs in the main thread. It does by default.
    pub fn ctrl_c(mut self, takes_it: bool) -> Self {
        self.takes_ctrl_c = takes_it;
        self
    }

    /// Makes the loop, in this thread.
    ///
    /// # Errors
    /// If the system gives no descriptor to wait on.
    pub fn build(self) -> io::Result<EventLoop> {
        let reactor = Reactor::new(self.wait)?;
        let guest_fd: OwnedFd = reactor.as_fd().try_clone_to_owned()?;
        let name = self.name.unwrap_or_else(|| match std::thread::current().name() {
            Some(thread) => format!("loop of thread '{thread}'"),
            None => "loop of an unnamed thread".to_owned(),
        });
        let home = Home::new(name, self.spin, reactor.bell());
        let event_loop = EventLoop(Rc::new(LoopInner {
            handle: LoopHandle::new(home.remote()),
            home,
            clock: if self.has_virtual_time { Clock::virtual_time() } else { Clock::monotonic() },
            timers: RefCell::new(Timers::new()),
            reactor: RefCell::new(Some(reactor)),
            guest_fd,
            is_running: Cell::new(false),
            is_stopping: Cell::new(false),
            turns_without_io: Cell::new(0),
            tasks_made: Cell::new(0),
            exception_handler: RefCell::new(None),
        }));
        current::own(&event_loop)?;
        // At rest it is asleep, so that a submission rings: a guest's poller may be waiting.
        event_loop.0.home.fall_asleep();
        Ok(event_loop)
    }

    /// As [`run`](crate::run), with these settings.
    ///
    /// # Errors
    /// As `run`.
    #[track_caller]
    pub fn run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        let takes_ctrl_c = self.takes_ctrl_c;
        run_on(self, takes_ctrl_c, main)
    }
}
