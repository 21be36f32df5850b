//! Plain callbacks: `call_soon`, `call_later`, `call_at`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{Call, CallRef, LoopClosed, Panicked, Ready};

use crate::current;
use crate::event_loop::{EventLoop, Timer, WeakLoop};
use crate::timers::TimerKey;

/// A callback that runs once, unless it is cancelled.
struct Once {
    callback: RefCell<Option<Box<dyn FnOnce()>>>,
    is_cancelled: Cell<bool>,
}

impl Once {
    fn new(callback: impl FnOnce() + 'static) -> Rc<Self> {
        let callback: Box<dyn FnOnce()> = Box::new(callback);
        Rc::new(Self { callback: RefCell::new(Some(callback)), is_cancelled: Cell::new(false) })
    }

    fn cancel(&self) {
        self.is_cancelled.set(true);
        // Its destructors run outside of the borrow.
        let _callback = self.callback.take();
    }
}

impl Call for Once {
    fn call(self: Rc<Self>) {
        if let Some(callback) = self.callback.take() {
            run_callback(callback);
        }
    }
}

/// Runs foreign code as a callback of the running loop: a panic in it goes to the exception handler.
pub(crate) fn run_callback(callback: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
        let panicked = Panicked::new(payload);
        if let Ok(running) = current::get_running_loop() {
            running.report_callback(panicked);
        }
    }
}

/// A callback that was queued: asyncio's `Handle`. Dropping it changes nothing.
#[derive(Clone)]
pub struct Handle(Rc<Once>);

impl Handle {
    /// Takes the callback back, and drops it. If it has run, only [`cancelled`](Self::cancelled) changes.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Was it cancelled?
    pub fn cancelled(&self) -> bool {
        self.0.is_cancelled.get()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("cancelled", &self.cancelled()).finish()
    }
}

/// A callback that waits for its time: asyncio's `TimerHandle`. Dropping it changes nothing.
#[derive(Clone)]
pub struct TimerHandle {
    once: Rc<Once>,
    when: Duration,
    key: TimerKey,
    of: WeakLoop,
}

impl TimerHandle {
    /// Takes the callback back, and drops it; the loop does not wake for it.
    pub fn cancel(&self) {
        if let Some(event_loop) = self.of.upgrade() {
            event_loop.remove_timer(self.key);
        }
        self.once.cancel();
    }

    /// Was it cancelled?
    pub fn cancelled(&self) -> bool {
        self.once.is_cancelled.get()
    }

    /// When it is due, on the loop's clock.
    pub fn when(&self) -> Duration {
        self.when
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle")
            .field("when", &self.when())
            .field("cancelled", &self.cancelled())
            .finish()
    }
}

impl EventLoop {
    /// Queues a callback, to run in the next turn: asyncio's `call_soon`. A panic in it goes to the exception
    /// handler.
    ///
    /// # Errors
    /// If the loop is closed.
    ///
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let stop = event_loop.clone();
    /// event_loop.call_soon(move || stop.stop())?;
    /// event_loop.run_forever()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Result<Handle, LoopClosed> {
        self.check_open()?;
        let once = Once::new(callback);
        self.0.home.push(Ready::Call(CallRef(once.clone())));
        Ok(Handle(once))
    }

    /// Queues a callback for `delay` from now: asyncio's `call_later`. `Duration::MAX` is never.
    ///
    /// # Errors
    /// If the loop is closed.
    pub fn call_later(
        &self,
        delay: Duration,
        callback: impl FnOnce() + 'static,
    ) -> Result<TimerHandle, LoopClosed> {
        self.call_at(self.0.clock.deadline_after(delay), callback)
    }

    /// Queues a callback for a time of the loop's clock: asyncio's `call_at`. A time that is past is due in the next
    /// turn; of equal times, the first that was queued comes first.
    ///
    /// # Errors
    /// If the loop is closed.
    pub fn call_at(
        &self,
        when: Duration,
        callback: impl FnOnce() + 'static,
    ) -> Result<TimerHandle, LoopClosed> {
        self.check_open()?;
        let once = Once::new(callback);
        let key = self.0.timers.borrow_mut().insert(when, Timer::Call(CallRef(once.clone())));
        Ok(TimerHandle { once, when, key, of: self.downgrade() })
    }

    /// Takes a timer out, if it has not fired.
    pub(crate) fn remove_timer(&self, key: TimerKey) {
        // What it would have called is dropped outside of the borrow.
        let _timer = self.0.timers.borrow_mut().remove(key);
    }
}
