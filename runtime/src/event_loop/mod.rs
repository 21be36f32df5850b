//! The event loop: what one thread turns.
//!
//! `turn` is the heart, and the only place where callbacks and tasks are run; `drive` turns it until something is
//! true; `callbacks` and `sources` put things in.

mod builder;
mod callbacks;
mod drive;
mod eager;
mod sources;
mod turn;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use perloop_bridge::{CallRef, Closing, Home, LoopClosed, Panicked, TaskRef};

pub use builder::Builder;
pub use callbacks::{Handle, TimerHandle};
pub(crate) use callbacks::{run_callback, run_callback_of};
pub use eager::TaskBuilder;

use callbacks::Once;

use crate::async_gen::Asyncgens;
use crate::clock::Clock;
use crate::current;
use crate::debug::Debug;
use crate::errors::{CloseRunning, WrongLoop};
use crate::exception::{ExceptionHandler, PanicPolicy};
use crate::executor::DefaultExecutor;
use crate::handle::LoopHandle;
use crate::lodging::Lodgers;
use crate::reactor::Reactor;
use crate::sleep::Risen;
use crate::task::{AnyTask, Seed, Task, TaskRecord};
use crate::timers::{Stamp, Stamped, Timers};
use crate::wrap_future::Arrivals;

/// An event loop, which belongs to the thread that made it: asyncio's loop. Clones are the same loop; none of them can
/// leave the thread. Other threads have a [`LoopHandle`].
///
/// Dropping the last clone closes it, and so does the end of its thread.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc};
///
/// let event_loop = perloop::new_event_loop()?;
/// let words = Rc::new(RefCell::new(Vec::new()));
/// let task = event_loop.create_task({
///     let words = Rc::clone(&words); // tasks need not be `Send`
///     async move { words.borrow_mut().push("hello") }
/// })?;
/// event_loop.run_until_complete(task)??;
/// assert_eq!(*words.borrow(), ["hello"]);
/// event_loop.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventLoop(pub(crate) Rc<LoopInner>);

/// What becomes ready when its time has come. With its stamp it is two words.
pub(crate) enum Timer {
    /// A sleeping task.
    Task(Stamp, TaskRef),
    /// Another sleeper.
    Waker(Stamp, Box<Waker>),
    Callback(Stamp, Rc<Once>),
    /// Who is to be asked to stop at a deadline. It stays with its timer, as the next two do, until the body has ended.
    Timeout(Stamp, TaskRef),
    /// What is inside of the timeout's scope was asked to stop.
    Expired(Stamp, TaskRef),
    /// So was the whole task, by a request that counts, and that the end of the body takes back.
    ExpiredTask(Stamp, TaskRef),
}

impl Timer {
    pub(crate) fn callback(once: Rc<Once>) -> Self {
        Self::Callback(Stamp::default(), once)
    }
}

impl Stamped for Timer {
    fn stamp(&self) -> &Stamp {
        match self {
            Self::Task(stamp, _) | Self::Waker(stamp, _) | Self::Callback(stamp, _) => stamp,
            Self::Timeout(stamp, _) | Self::Expired(stamp, _) | Self::ExpiredTask(stamp, _) => stamp,
        }
    }
}

/// A reference to a loop that does not keep it.
#[derive(Clone, Debug)]
pub(crate) struct WeakLoop(Weak<LoopInner>);

impl fmt::Debug for LoopInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopInner").field("name", &self.handle.name()).finish_non_exhaustive()
    }
}

pub(crate) struct LoopInner {
    pub(crate) home: Home,
    handle: LoopHandle,
    pub(crate) clock: Clock,
    pub(crate) timers: Rc<RefCell<Timers<Timer>>>,
    pub(crate) risen: Rc<Risen>,
    /// None once the loop is closed.
    reactor: RefCell<Option<Reactor<CallRef>>>,
    /// The reactor's descriptor, under a number that stays when the reactor is rebuilt.
    guest_fd: OwnedFd,
    is_running: Cell<bool>,
    is_stopping: Cell<bool>,
    /// Turns since I/O was last polled.
    turns_without_io: Cell<u32>,
    tasks_made: Cell<u64>,
    pub(crate) asyncgens: Asyncgens,
    /// What is under way elsewhere, so that virtual time stands still.
    in_flight: Cell<usize>,
    /// The task whose step runs.
    pub(crate) current: RefCell<Option<TaskRef>>,
    pub(crate) exception_handler: RefCell<Option<ExceptionHandler>>,
    pub(crate) panic_policy: PanicPolicy,
    /// The panic that the loop dies of, when its turn is over.
    pub(crate) fatal: RefCell<Option<Panicked>>,
    pub(crate) executor: DefaultExecutor,
    pub(crate) arrivals: Arrivals,
    pub(crate) lodgers: Lodgers,
    pub(crate) debug: Debug,
    is_eager: bool,
}

/// Something is under way elsewhere whose outcome this loop will hear of: on virtual time the clock does not jump as
/// long as this lives.
#[derive(Debug)]
pub(crate) struct InFlight(WeakLoop);

impl InFlight {
    pub(crate) fn on(event_loop: &EventLoop) -> Self {
        event_loop.0.in_flight.set(event_loop.0.in_flight.get() + 1);
        Self(event_loop.downgrade())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(event_loop) = self.0.upgrade() {
            event_loop.0.in_flight.set(event_loop.0.in_flight.get() - 1);
        }
    }
}

impl EventLoop {
    /// Sets up a loop with other than the usual settings; asyncio has `new_event_loop` and setters for some.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::EventLoop::builder().name("clockwork").virtual_time().build()?;
    /// assert_eq!(event_loop.name(), "clockwork");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Returns the loop's name, given by the builder or made up from the thread's, where the second is `loop 2 of
    /// thread 'io'`.
    ///
    /// # Examples
    /// ```
    /// let thread = std::thread::Builder::new().name("io".to_owned()).spawn(|| {
    ///     perloop::new_event_loop().map(|event_loop| event_loop.name().to_owned())
    /// })?;
    /// assert_eq!(thread.join().expect("it does not panic")?, "loop of thread 'io'");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        self.0.handle.name()
    }

    /// A number that no other loop of the process ever has.
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.0.home.id()
    }

    /// Returns a handle for other threads, which in asyncio share the loop itself. It does not keep the loop alive.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.handle();
    /// let submitter = std::thread::spawn(move || {
    ///     let answer = perloop::run_coroutine_threadsafe(async { 6 * 7 }, &handle).result();
    ///     handle.stop();
    ///     answer
    /// });
    /// event_loop.run_forever()?;
    /// assert_eq!(submitter.join().expect("it does not panic")?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> LoopHandle {
        self.0.handle.clone()
    }

    /// Says whether it is being run, further up this thread's stack: asyncio's `loop.is_running()`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// assert!(!event_loop.is_running());
    /// assert!(event_loop.run_until_complete(async { event_loop.is_running() })?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_running(&self) -> bool {
        self.0.is_running.get()
    }

    /// Says whether it was closed, or died by a panic of its own: asyncio's `loop.is_closed()`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// event_loop.close()?;
    /// assert!(event_loop.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.home.is_closed()
    }

    /// Returns the time since the loop was made, by the loop's own clock: asyncio's `loop.time()`. It never goes
    /// backwards.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// assert_eq!(event_loop.time(), Duration::ZERO);
    /// event_loop.run_until_complete(perloop::sleep(Duration::from_millis(1500)))?;
    /// assert_eq!(event_loop.time().as_secs_f64(), 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn time(&self) -> Duration {
        self.0.clock.time()
    }

    /// Moves virtual time forward, here and now and without giving up the turn, as if the caller had worked for so long:
    /// for tests of what comes late. Timers that become due run in the next turn.
    ///
    /// # Panics
    /// If the loop's clock is not [virtual](Builder::virtual_time).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, get_running_loop, sleep};
    ///
    /// let second = Duration::from_secs(1);
    /// let times = EventLoop::builder().virtual_time().run(async move {
    ///     let running = get_running_loop()?;
    ///     running.advance(5 * second);
    ///     sleep(second).await;
    ///     Ok::<_, perloop::NoRunningLoop>(running.time())
    /// })?;
    /// assert_eq!(times, Ok(6 * second));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn advance(&self, by: Duration) {
        assert!(
            self.0.clock.is_virtual(),
            "advance: only virtual time can be moved; see `Builder::virtual_time`"
        );
        self.0.clock.advance_to(self.0.clock.deadline_after(by));
    }

    /// Makes a task, whose first step runs in the next turn: asyncio's `loop.create_task`. The future need not be
    /// `Send`. The loop keeps the task until it has ended; dropping the [`Task`] detaches it.
    ///
    /// # Errors
    /// If the loop is closed. The future is dropped.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.create_task(async { 6 * 7 })?; // also before the loop runs
    /// assert_eq!(event_loop.run_until_complete(task)?, Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[doc(alias = "spawn")]
    pub fn create_task<F>(&self, future: F) -> Result<Task<F::Output>, LoopClosed>
    where
        F: Future + 'static,
    {
        self.check_open()?;
        Ok(self.spawn(Seed::new(None, Location::caller()), future))
    }

    /// As [`create_task`](Self::create_task), with a name: asyncio's `loop.create_task(coroutine, name=...)`.
    ///
    /// # Errors
    /// As `create_task`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.create_named_task("answer", async { 42 })?;
    /// assert_eq!(task.name(), "answer");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn create_named_task<F>(
        &self,
        name: impl Into<String>,
        future: F,
    ) -> Result<Task<F::Output>, LoopClosed>
    where
        F: Future + 'static,
    {
        self.check_open()?;
        Ok(self.spawn(Seed::new(Some(name.into()), Location::caller()), future))
    }

    #[inline]
    pub(crate) fn spawn<F: Future + 'static>(&self, seed: Seed, future: F) -> Task<F::Output> {
        if self.starts_eagerly() {
            return self.spawn_eagerly(seed, future);
        }
        self.spawn_queued(seed, future)
    }

    /// The first step runs in the next turn.
    #[inline]
    pub(crate) fn spawn_queued<F: Future + 'static>(&self, seed: Seed, future: F) -> Task<F::Output> {
        Task::new(self.0.home.spawn(|| TaskRecord::new(seed, self), future))
    }

    #[inline]
    pub(crate) fn next_task_number(&self) -> u64 {
        let number = self.0.tasks_made.get() + 1;
        self.0.tasks_made.set(number);
        number
    }

    /// How many tasks were ever made.
    pub(crate) fn tasks_made(&self) -> u64 {
        self.0.tasks_made.get()
    }

    /// Returns every task of the loop that has not ended, begun or not, in the order of creation: asyncio's
    /// `all_tasks(loop)`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let first = event_loop.create_task(async {})?;
    /// event_loop.create_task(std::future::pending::<()>())?; // detached
    /// assert_eq!(event_loop.all_tasks().len(), 2);
    /// event_loop.run_until_complete(first)??;
    /// assert_eq!(event_loop.all_tasks().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all_tasks(&self) -> Vec<AnyTask> {
        self.0.home.tasks().into_iter().map(AnyTask::new).collect()
    }

    /// Closes the loop: everything that is queued is thrown away, submissions that it had not taken up are refused,
    /// those that it had end cancelled, and every future of a task that has not ended is dropped, here and now,
    /// without running on. A second call does nothing: asyncio's `loop.close()`.
    ///
    /// # Errors
    /// If it is running.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.create_task(std::future::pending::<()>())?;
    /// event_loop.close()?;
    /// assert!(!task.done()); // dropped, and never done
    /// assert!(event_loop.create_task(async {}).is_err());
    /// assert!(event_loop.handle().call_soon_threadsafe(|| ()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> Result<(), CloseRunning> {
        if self.is_running() {
            return Err(CloseRunning);
        }
        self.0.close(Closing::Closed);
        Ok(())
    }

    /// The thread ends, or a panic of the loop's own ended it.
    pub(crate) fn die(&self) {
        self.0.close(Closing::Died);
    }

    /// Does it belong to the process that this one was forked from?
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        self.0.home.is_inherited()
    }

    pub(crate) fn check_open(&self) -> Result<(), LoopClosed> {
        if self.is_closed() { Err(LoopClosed::new(self.name())) } else { Ok(()) }
    }

    /// Does what belongs to the loop of this number belong here?
    pub(crate) fn check_owns(&self, loop_id: u32) -> Result<(), WrongLoop> {
        if loop_id == self.id() {
            return Ok(());
        }
        Err(WrongLoop { belongs_to: current::name_of(loop_id), used_on: self.name().to_owned() })
    }

    pub(crate) fn downgrade(&self) -> WeakLoop {
        WeakLoop(Rc::downgrade(&self.0))
    }
}

impl WeakLoop {
    pub(crate) fn upgrade(&self) -> Option<EventLoop> {
        self.0.upgrade().map(EventLoop)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl LoopInner {
    fn close(&self, why: Closing) {
        if self.home.is_closed() {
            return;
        }
        tracing::trace!(target: "perloop", event_loop = self.handle.name(), ?why, "closed");
        // Foreign destructors run in each of these, and find a loop that is closed and nothing that is borrowed.
        self.home.close(why);
        let timers = self.timers.borrow_mut().take_all();
        let reactor = self.reactor.borrow_mut().take();
        let handlers = (self.exception_handler.take(), self.debug.take_handler());
        timers.into_iter().for_each(|timer| run_callback(|| drop(timer)));
        self.arrivals.take_all().into_iter().for_each(|arrival| run_callback(|| drop(arrival)));
        self.lodgers.take_all().for_each(|lodger| run_callback(|| drop(lodger)));
        self.executor.close();
        run_callback(|| drop(handlers.0));
        run_callback(|| drop(handlers.1));
        match reactor {
            // The system shares it with the parent process: hands off.
            Some(reactor) if self.home.is_inherited() => reactor.abandon_in_child(),
            Some(reactor) => reactor.close().for_each(|callback| run_callback(|| drop(callback))),
            None => {}
        }
    }
}

impl Drop for LoopInner {
    fn drop(&mut self) {
        self.close(Closing::Closed);
    }
}

impl AsFd for EventLoop {
    /// For another poller that turns this loop (guest mode): readable when something has come that
    /// [`EventLoop::run_once`] should look at. Ask [`EventLoop::next_deadline`] for how long to poll. What is queued
    /// from this thread, outside of `run_once`, shows there and not here.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.guest_fd.as_fd()
    }
}

impl AsRawFd for EventLoop {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.guest_fd.as_raw_fd()
    }
}

impl PartialEq for EventLoop {
    /// Is it the same loop?
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("name", &self.name())
            .field("running", &self.is_running())
            .field("closed", &self.is_closed())
            .field("tasks", &self.0.home.task_count())
            .finish()
    }
}
