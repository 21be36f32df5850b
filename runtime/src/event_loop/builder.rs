//! How a loop is set up.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::Rc;

use perloop_bridge::{Home, Outside, Spin};

use crate::async_gen::Asyncgens;
use crate::clock::Clock;
use crate::current;
use crate::debug::{self, Debug};
use crate::errors::RunError;
use crate::event_loop::{EventLoop, LoopInner};
use crate::exception::PanicPolicy;
use crate::executor::DefaultExecutor;
use crate::handle::LoopHandle;
use crate::lodging::Lodgers;
use crate::reactor::{Reactor, WaitKind};
use crate::run::run_on;
use crate::sleep::Risen;
use crate::timers::Timers;
use crate::wrap_future::Arrivals;

/// Settings of a loop that is to be made: what `loop_factory` is for in asyncio.
///
/// # Examples
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
    pub(crate) takes_ctrl_c: bool,
    /// None: as the environment says.
    is_debugged: Option<bool>,
    panic_policy: PanicPolicy,
    is_eager: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            has_virtual_time: false,
            spin: Spin::Adaptive,
            wait: WaitKind::Native,
            takes_ctrl_c: true,
            is_debugged: None,
            panic_policy: PanicPolicy::Report,
            is_eager: false,
        }
    }

    /// Sets the loop's name, for errors, events and `WouldDeadlock`'s path. By default it is made from the
    /// thread's, with a number from the thread's second such loop on.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::EventLoop::builder().name("index").build()?;
    /// assert_eq!(event_loop.name(), "index");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives the loop a clock that starts at zero and moves only when nothing is ready: then straight to the next
    /// timer.
    ///
    /// What comes from outside (I/O, other threads) takes no virtual time. While a task awaits work on another loop, and
    /// until a job that was handed to an executor has ended, the clock stands still; for other things from outside it
    /// does not wait. So work elsewhere must not wait for a time of this clock.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, sleep};
    ///
    /// let hour = Duration::from_secs(3600);
    /// let times = EventLoop::builder().virtual_time().run(async {
    ///     let event_loop = perloop::get_running_loop()?;
    ///     let before = event_loop.time();
    ///     sleep(hour).await; // takes no time
    ///     Ok::<_, perloop::NoRunningLoop>((before, event_loop.time()))
    /// })?;
    /// assert_eq!(times, Ok((Duration::ZERO, hour)));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn virtual_time(mut self) -> Self {
        self.has_virtual_time = true;
        self
    }

    /// Sets how long the loop, and who blocks on its futures, look for news before they sleep. By default it is
    /// [`Spin::Adaptive`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, LoopThread, Spin};
    ///
    /// // For a machine whose every core is wanted elsewhere.
    /// let worker = LoopThread::spawn_with("worker", EventLoop::builder().spin(Spin::Never))?;
    /// assert_eq!(worker.block_on(async { 42 })?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Makes the loop wait by `polling::Poller::wait` even where the system has something better, to try what other
    /// systems do.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, sleep};
    ///
    /// EventLoop::builder().portable_wait().run(sleep(Duration::from_millis(1)))?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn portable_wait(mut self) -> Self {
        self.wait = WaitKind::Portable;
        self
    }

    /// Sets whether [`run`](Self::run), or a [`Runner`](crate::Runner), takes Ctrl-C while it runs in the main thread.
    /// It does by default.
    ///
    /// # Examples
    /// ```
    /// use perloop::EventLoop;
    ///
    /// // A program that has its own way with signals.
    /// assert_eq!(EventLoop::builder().ctrl_c(false).run(async { 42 })?, 42);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn ctrl_c(mut self, takes_it: bool) -> Self {
        self.takes_ctrl_c = takes_it;
        self
    }

    /// Sets whether the loop is in debug mode from the beginning, whatever the environment's `PERLOOP_DEBUG` says: the
    /// `debug` of asyncio's `run`. [`EventLoop::set_debug`] tells what it does.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::EventLoop::builder().debug(true).build()?;
    /// assert!(event_loop.get_debug());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn debug(mut self, is_on: bool) -> Self {
        self.is_debugged = Some(is_on);
        self
    }

    /// Sets what becomes of the loop when a panic reaches its exception handler. By default the loop goes on.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, PanicPolicy, RunError, create_task, sleep};
    /// use std::time::Duration;
    ///
    /// let outcome = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop).run(async {
    ///     create_task(async { panic!("nobody will ask") }); // detached
    ///     sleep(Duration::from_secs(3600)).await;
    /// });
    /// assert!(matches!(outcome, Err(RunError::Panicked(_))));
    /// ```
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Self {
        self.panic_policy = policy;
        self
    }

    /// Sets whether tasks that are made while the loop runs take their first step at once: asyncio's
    /// `eager_task_factory`. They do not by default. See [`TaskBuilder::eager_start`](crate::TaskBuilder::eager_start).
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, create_task};
    ///
    /// let is_done = EventLoop::builder().eager_start(true).run(async {
    ///     let task = create_task(async { 42 });
    ///     task.done() // without a turn between
    /// })?;
    /// assert!(is_done);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn eager_start(mut self, is_eager: bool) -> Self {
        self.is_eager = is_eager;
        self
    }

    /// Makes the loop, in this thread, to which it belongs. It is not set as the thread's current one.
    ///
    /// # Errors
    /// If the system gives no descriptor to wait on, or the thread is ending and its thread-locals are gone.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::EventLoop::builder().build()?;
    /// assert!(!event_loop.is_running() && !event_loop.is_closed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn build(self) -> io::Result<EventLoop> {
        let clock = if self.has_virtual_time { Clock::virtual_time() } else { Clock::monotonic() };
        self.build_on(clock, Outside::OtherLoops)
    }

    /// Makes one of several loops of this thread that have the same virtual clock.
    pub(crate) fn build_sharing(self, clock: &Clock) -> io::Result<EventLoop> {
        self.build_on(clock.clone(), Outside::OtherThreads)
    }

    fn build_on(self, clock: Clock, outside: Outside) -> io::Result<EventLoop> {
        let reactor = Reactor::new(self.wait)?;
        let guest_fd: OwnedFd = reactor.as_fd().try_clone_to_owned()?;
        let name = self.name.unwrap_or_else(default_name);
        let home = Home::new(name, self.spin, reactor.bell());
        let timers = Rc::new(RefCell::new(Timers::new()));
        let event_loop = EventLoop(Rc::new(LoopInner {
            handle: LoopHandle::new(home.remote()),
            home,
            clock,
            risen: Risen::new(Rc::clone(&timers)),
            timers,
            reactor: RefCell::new(Some(reactor)),
            guest_fd,
            is_running: Cell::new(false),
            is_stopping: Cell::new(false),
            turns_without_io: Cell::new(0),
            tasks_made: Cell::new(0),
            asyncgens: Asyncgens::default(),
            in_flight: Cell::new(0),
            current: RefCell::new(None),
            exception_handler: RefCell::new(None),
            executor: DefaultExecutor::default(),
            arrivals: Arrivals::default(),
            lodgers: Lodgers::default(),
            panic_policy: self.panic_policy,
            fatal: RefCell::new(None),
            is_eager: self.is_eager,
            debug: Debug::new(self.is_debugged.unwrap_or_else(debug::is_asked_for)),
        }));
        if event_loop.0.clock.is_virtual() {
            event_loop.0.home.note_outside_waits(outside);
        }
        current::own(&event_loop)?;
        // At rest it is asleep, so that a submission rings: a guest's poller may be waiting.
        event_loop.0.home.fall_asleep();
        Ok(event_loop)
    }

    /// Makes a loop with these settings, runs `main` on it and closes it, as [`run`](crate::run) does.
    ///
    /// # Errors
    /// As `run`.
    ///
    /// # Panics
    /// As `run`.
    ///
    /// # Examples
    /// ```
    /// let name = perloop::EventLoop::builder().name("main loop").run(async {
    ///     perloop::get_running_loop().map(|running| running.name().to_owned())
    /// })?;
    /// assert_eq!(name.as_deref(), Ok("main loop"));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        run_on(self, Location::caller(), main)
    }
}

/// Errors name two loops of one thread: they must differ.
fn default_name() -> String {
    let number = match current::next_nameless() {
        1 => String::new(),
        number => format!(" {number}"),
    };
    let thread = std::thread::current();
    match thread.name() {
        Some(name) => format!("loop{number} of thread '{name}'"),
        None => format!("loop{number} of unnamed thread {:?}", thread.id()),
    }
}
