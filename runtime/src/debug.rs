//! Debug mode: callbacks and steps that hold the loop up for long are told.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{Panicked, Ready};

use crate::event_loop::EventLoop;
use crate::task::AnyTask;

/// Switches debug mode on for all loops that are not told otherwise, as `PYTHONASYNCIODEBUG` does.
const VARIABLE: &str = "PERLOOP_DEBUG";

/// From how long on a callback is slow, as in asyncio.
const SLOW: Duration = Duration::from_millis(100);

/// Does the environment ask for debug mode?
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

pub(crate) type SlowHandler = Rc<dyn Fn(&EventLoop, &SlowCallback)>;

/// What a loop keeps for its debug mode.
pub(crate) struct Debug {
    is_on: Cell<bool>,
    slow: Cell<Duration>,
    handler: RefCell<Option<SlowHandler>>,
}

thread_local! {
    /// Is something being timed?
    static IS_TIMED: Cell<bool> = const { Cell::new(false) };
    /// Where the callback that is being timed was handed in, by another thread.
    static HANDED_AT: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

impl Debug {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on: Cell::new(is_on), slow: Cell::new(SLOW), handler: RefCell::default() }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// What it gives is foreign, and dropped by the caller.
    pub(crate) fn take_handler(&self) -> Option<SlowHandler> {
        self.handler.take()
    }
}

/// A callback, or a step of a task, that has held its loop up, see
/// [`EventLoop::set_slow_callback_handler`]. Its text says all of it in one line.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc, time::Duration};
/// use perloop::{EventLoop, SlowCallback};
///
/// let event_loop = EventLoop::builder().virtual_time().debug(true).build()?;
/// let seen = Rc::new(RefCell::new(String::new()));
/// let text = Rc::clone(&seen);
/// event_loop.set_slow_callback_handler(Some(move |_: &EventLoop, slow: &SlowCallback| {
///     assert!(slow.task.is_none() && slow.created_at.is_some());
///     text.replace(slow.to_string());
/// }));
/// let busy = event_loop.clone();
/// event_loop.call_soon(move || busy.advance(Duration::from_millis(150)))?;
/// event_loop.run_once(None)?;
/// assert!(seen.borrow().starts_with("a callback, created at "));
/// assert!(seen.borrow().ends_with("took 150ms; meanwhile nothing else ran"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlowCallback {
    /// How long it took, by the loop's clock.
    pub took: Duration,
    /// The task, if it was a step of one, or the publishing of its outcome.
    pub task: Option<AnyTask>,
    /// Where the task was created, or the callback given to the loop, if that is known.
    pub created_at: Option<&'static Location<'static>>,
}

impl fmt::Display for SlowCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "a step of task '{}'", task.name())?,
            None => f.write_str("a callback")?,
        }
        if let Some(at) = self.created_at {
            write!(f, ", created at {at},")?;
        }
        write!(f, " took {:?}; meanwhile nothing else ran", self.took)
    }
}

/// An entry of the ready list that is being run, and timed.
pub(crate) struct Timed {
    began: Duration,
    task: Option<AnyTask>,
    created_at: Option<&'static Location<'static>>,
}

impl Timed {
    pub(crate) fn begin(event_loop: &EventLoop, entry: &Ready) -> Self {
        let (task, created_at) = match entry {
            Ready::Step(task) | Ready::Publish(task) => {
                let task = AnyTask::new(task.clone());
                let created_at = task.created_at();
                (Some(task), Some(created_at))
            }
            Ready::Call(call) => (None, call.0.made_at()),
            // It has no record yet; or it says by itself where it comes from.
            Ready::Adopt(_) | Ready::Handed(_) => (None, None),
        };
        IS_TIMED.set(true);
        HANDED_AT.set(None);
        Self { began: event_loop.time(), task, created_at }
    }

    pub(crate) fn end(self, event_loop: &EventLoop) {
        let took = event_loop.time().saturating_sub(self.began);
        IS_TIMED.set(false);
        let created_at = self.created_at.or(HANDED_AT.take());
        if took >= event_loop.0.debug.slow.get() {
            event_loop.report_slow(&SlowCallback { took, task: self.task, created_at });
        }
    }
}

/// A callback that was handed in begins.
#[inline]
pub(crate) fn note_handed(at: &'static Location<'static>) {
    if IS_TIMED.get() {
        HANDED_AT.set(Some(at));
    }
}

impl EventLoop {
    /// Switches debug mode, from the next callback on: asyncio's `loop.set_debug()`. It is off unless
    /// [`Builder::debug`](crate::Builder::debug) or a `PERLOOP_DEBUG` in the environment that is not empty says
    /// otherwise.
    ///
    /// In debug mode each callback and each step of a task is timed, and slow ones are told; see
    /// [`set_slow_callback_handler`](Self::set_slow_callback_handler). Use from a wrong thread needs no mode: a loop
    /// can't leave its thread, and a [`LoopHandle`](crate::LoopHandle) gives it back only
    /// [there](crate::LoopHandle::event_loop).
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::EventLoop::builder().debug(false).build()?;
    /// event_loop.set_debug(true);
    /// assert!(event_loop.get_debug());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_debug(&self, is_on: bool) {
        self.0.debug.is_on.set(is_on);
    }

    /// Says whether debug mode is on: asyncio's `loop.get_debug()`.
    ///
    /// # Examples
    /// ```
    /// let debug = perloop::EventLoop::builder().debug(true).run(async {
    ///     perloop::get_running_loop().map(|running| running.get_debug())
    /// })?;
    /// assert_eq!(debug, Ok(true));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn get_debug(&self) -> bool {
        self.0.debug.is_on()
    }

    /// Returns from how long on debug mode calls a callback slow, at first 100 ms: asyncio's
    /// `loop.slow_callback_duration`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// assert_eq!(event_loop.slow_callback_duration().as_millis(), 100);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn slow_callback_duration(&self) -> Duration {
        self.0.debug.slow.get()
    }

    /// Sets from how long on debug mode calls a callback slow: asyncio's `loop.slow_callback_duration`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// event_loop.set_slow_callback_duration(Duration::from_millis(5));
    /// assert_eq!(event_loop.slow_callback_duration().as_millis(), 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        self.0.debug.slow.set(duration);
    }

    /// Sets what is told of slow callbacks and steps in debug mode, or puts the default back, which is a warning event
    /// for `tracing`; asyncio only logs. The handler runs on the loop's thread, after the slow one, and may use the
    /// loop.
    ///
    /// A panic in the handler is an error event for `tracing`, and harms nothing else.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    /// use perloop::{EventLoop, SlowCallback};
    ///
    /// let event_loop = EventLoop::builder().virtual_time().debug(true).build()?;
    /// let slow_tasks = Rc::new(RefCell::new(Vec::new()));
    /// let log = Rc::clone(&slow_tasks);
    /// event_loop.set_slow_callback_handler(Some(move |_: &EventLoop, slow: &SlowCallback| {
    ///     log.borrow_mut().extend(slow.task.as_ref().map(|task| (task.name(), slow.took)));
    /// }));
    /// let busy = event_loop.clone();
    /// let task = event_loop.create_named_task("reader", async move {
    ///     busy.advance(Duration::from_millis(150)); // stands for work that blocks
    /// })?;
    /// event_loop.run_until_complete(task)??;
    /// assert_eq!(*slow_tasks.borrow(), [("reader".to_owned(), Duration::from_millis(150))]);
    ///
    /// event_loop.set_slow_callback_handler(None::<fn(&EventLoop, &SlowCallback)>);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_slow_callback_handler(&self, handler: Option<impl Fn(&Self, &SlowCallback) + 'static>) {
        let handler = handler.map(|handler| Rc::new(handler) as SlowHandler);
        // The old one is dropped outside of the borrow.
        let _old = self.0.debug.handler.replace(handler);
    }

    fn report_slow(&self, slow: &SlowCallback) {
        let handler = self.0.debug.handler.borrow().clone();
        let Some(handler) = handler else {
            tracing::warn!(target: "perloop", event_loop = self.name(), "{slow}");
            return;
        };
        let told = catch_unwind(AssertUnwindSafe(move || handler(self, slow)));
        // What it threw may panic when it is dropped; a `Panicked` does not.
        if told.map_err(Panicked::new).is_err() {
            tracing::error!(target: "perloop", event_loop = self.name(), "the slow callback handler panicked on: {slow}");
        }
    }
}
