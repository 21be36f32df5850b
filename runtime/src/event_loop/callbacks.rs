//! Plain callbacks: `call_soon`, `call_later`, `call_at`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{Call, CallRef, LoopClosed, Panicked, Ready};

use crate::context;
use crate::current;
use crate::event_loop::{EventLoop, Timer, WeakLoop};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::timers::TimerKey;

/// A callback that runs once, unless it is cancelled.
pub(crate) struct Once {
    callback: RefCell<Option<Box<dyn FnOnce()>>>,
    is_cancelled: Cell<bool>,
    made_at: &'static Location<'static>,
}

impl Once {
    fn new(callback: impl FnOnce() + 'static, made_at: &'static Location<'static>) -> Rc<Self> {
        let callback: Box<dyn FnOnce()> = if context::is_set() {
            let mut context = context::copy_context();
            Box::new(move || context.run(callback))
        } else {
            Box::new(callback)
        };
        Rc::new(Self { callback: RefCell::new(Some(callback)), is_cancelled: Cell::new(false), made_at })
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
            run_callback_of(callback, |context| {
                context.created_at = Some(self.made_at);
                context.handle = Some(Handle(self));
            });
        }
    }

    fn made_at(&self) -> Option<&'static Location<'static>> {
        Some(self.made_at)
    }
}

/// Runs foreign code as a callback of the running loop: a panic in it, or in what it drops, goes to the exception
/// handler.
pub(crate) fn run_callback(callback: impl FnOnce()) {
    run_callback_of(callback, |_| ());
}

/// As `run_callback`; `describe` adds to what the handler is told.
pub(crate) fn run_callback_of(callback: impl FnOnce(), describe: impl FnOnce(&mut ExceptionContext)) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
        let mut context = ExceptionContext::of_panic(ExceptionKind::Callback, Panicked::new(payload));
        describe(&mut context);
        if let Ok(running) = current::get_running_loop() {
            running.report(&context);
        }
    }
}

/// A callback that was queued: asyncio's `Handle`. Dropping it changes nothing. It belongs to its loop's thread.
///
/// # Examples
/// ```
/// let event_loop = perloop::new_event_loop()?;
/// let handle: perloop::Handle = event_loop.call_soon(|| unreachable!("taken back"))?;
/// handle.cancel();
/// event_loop.run_once(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle(Rc<Once>);

impl Handle {
    /// Takes the callback back, and drops it, here and now: asyncio's `handle.cancel()`. If it has run, only
    /// [`cancelled`](Self::cancelled) changes.
    ///
    /// # Examples
    /// ```
    /// use std::rc::Rc;
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let kept = Rc::new(());
    /// let held = Rc::clone(&kept);
    /// let handle = event_loop.call_soon(move || drop(held))?;
    /// handle.cancel();
    /// assert_eq!(Rc::strong_count(&kept), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Says whether it was cancelled: asyncio's `handle.cancelled()`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.call_soon(|| ())?;
    /// assert!(!handle.cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancelled(&self) -> bool {
        self.0.is_cancelled.get()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("cancelled", &self.cancelled()).finish()
    }
}

/// A callback that waits for its time: asyncio's `TimerHandle`. Dropping it changes nothing. It belongs to its loop's
/// thread.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let event_loop = perloop::new_event_loop()?;
/// let timer: perloop::TimerHandle = event_loop.call_later(Duration::from_secs(3600), || ())?;
/// assert_eq!(event_loop.next_deadline(), Some(timer.when()));
/// timer.cancel();
/// assert_eq!(event_loop.next_deadline(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TimerHandle {
    once: Rc<Once>,
    when: Duration,
    key: TimerKey,
    of: WeakLoop,
}

impl TimerHandle {
    /// Takes the callback back, and drops it, here and now; the loop does not wake for it: asyncio's
    /// `timer_handle.cancel()`. If it has run, only [`cancelled`](Self::cancelled) changes.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// let timer = event_loop.call_later(Duration::from_secs(1), || unreachable!("taken back"))?;
    /// timer.cancel();
    /// event_loop.run_until_complete(perloop::sleep(Duration::from_secs(2)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) {
        if let Some(event_loop) = self.of.upgrade() {
            event_loop.remove_timer(self.key);
        }
        self.once.cancel();
    }

    /// Says whether it was cancelled: asyncio's `handle.cancelled()`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let timer = event_loop.call_later(Duration::MAX, || ())?;
    /// timer.cancel();
    /// assert!(timer.cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancelled(&self) -> bool {
        self.once.is_cancelled.get()
    }

    /// Returns when it is due, on the loop's clock ([`EventLoop::time`]): asyncio's `TimerHandle.when()`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// let timer = event_loop.call_later(Duration::from_secs(5), || ())?;
    /// assert_eq!(timer.when(), Duration::from_secs(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let stop = event_loop.clone();
    /// event_loop.call_soon(move || stop.stop())?;
    /// event_loop.run_forever()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Result<Handle, LoopClosed> {
        self.check_open()?;
        let once = Once::new(callback, Location::caller());
        self.0.home.push(Ready::Call(CallRef(once.clone())));
        Ok(Handle(once))
    }

    /// Queues a callback for `delay` from now: asyncio's `call_later`. `Duration::MAX` is never. A panic in it goes
    /// to the exception handler.
    ///
    /// # Errors
    /// If the loop is closed.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use perloop::{EventLoop, sleep};
    ///
    /// let event_loop = EventLoop::builder().virtual_time().build()?;
    /// let rang = Rc::new(Cell::new(false));
    /// let bell = Rc::clone(&rang);
    /// event_loop.call_later(Duration::from_secs(60), move || bell.set(true))?;
    /// event_loop.run_until_complete(sleep(Duration::from_secs(59)))?;
    /// assert!(!rang.get());
    /// event_loop.run_until_complete(sleep(Duration::from_secs(2)))?;
    /// assert!(rang.get());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_later(
        &self,
        delay: Duration,
        callback: impl FnOnce() + 'static,
    ) -> Result<TimerHandle, LoopClosed> {
        self.call_at(self.0.clock.deadline_after(delay), callback)
    }

    /// Queues a callback for a time of the loop's clock: asyncio's `call_at`. A time that is past is due in the next
    /// turn; of equal times, the first that was queued comes first. A panic in it goes to the exception handler.
    ///
    /// # Errors
    /// If the loop is closed.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// let (noon, stop) = (Duration::from_secs(12 * 3600), event_loop.clone());
    /// event_loop.call_at(noon, move || stop.stop())?;
    /// event_loop.run_forever()?;
    /// assert_eq!(event_loop.time(), noon);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_at(
        &self,
        when: Duration,
        callback: impl FnOnce() + 'static,
    ) -> Result<TimerHandle, LoopClosed> {
        self.check_open()?;
        let once = Once::new(callback, Location::caller());
        let key = self.0.timers.borrow_mut().insert(when, Timer::callback(Rc::clone(&once)));
        Ok(TimerHandle { once, when, key, of: self.downgrade() })
    }

    /// Takes a timer out, if it has not fired.
    pub(crate) fn remove_timer(&self, key: TimerKey) {
        // What it would have called is dropped outside of the borrow.
        let _timer = self.0.timers.borrow_mut().remove(key);
    }
}
