//! Turning the loop: `run_forever`, `run_until_complete`, `run_once`, `stop`.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{Forked, FutureError};

use crate::context::InLoop;
use crate::current;
use crate::errors::{LoopError, StoppedBeforeDone};
use crate::event_loop::{EventLoop, WeakLoop};
use crate::task::{AnyTask, Seed, TaskRecord, Waitable};

/// The loop runs in this thread as long as this lives. If a panic of the loop's own ends it, the loop dies with it.
struct Running<'a> {
    event_loop: &'a EventLoop,
    before: Option<EventLoop>,
    context: Option<InLoop>,
    was_panicking: bool,
}

impl<'a> Running<'a> {
    fn begin(event_loop: &'a EventLoop) -> Result<Self, LoopError> {
        if event_loop.is_inherited() {
            return Err(LoopError::Forked(Forked));
        }
        event_loop.check_open().map_err(LoopError::Closed)?;
        if event_loop.is_running() {
            return Err(LoopError::AlreadyRunning(event_loop.name().to_owned()));
        }
        if let Ok(other) = current::with_running(|running| running.name().to_owned()) {
            return Err(LoopError::AnotherLoopRunning(other));
        }
        event_loop.0.is_running.set(true);
        event_loop.0.home.set_running(true);
        let before = current::set_running(Some(event_loop.clone()));
        let context = Some(InLoop::enter());
        let running = Self { event_loop, before, context, was_panicking: std::thread::panicking() };
        // A subscriber is foreign code: if it panics, the loop is not left running.
        tracing::trace!(target: "perloop", event_loop = event_loop.name(), "start");
        Ok(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let event_loop = self.event_loop;
        drop(self.context.take());
        drop(current::set_running(self.before.take()));
        event_loop.0.is_running.set(false);
        event_loop.0.is_stopping.set(false);
        tracing::trace!(target: "perloop", event_loop = event_loop.name(), "stop");
        let is_fatal = event_loop.0.fatal.borrow().is_some();
        if is_fatal || (std::thread::panicking() && !self.was_panicking) {
            event_loop.die();
        } else if !event_loop.is_closed() {
            event_loop.0.home.set_running(false);
            // At rest it is asleep, so that a submission rings: a guest's poller may be waiting.
            event_loop.0.home.fall_asleep();
        }
    }
}

impl EventLoop {
    /// Turns the loop until [`stop`](Self::stop): asyncio's `run_forever`. Afterwards it may run again.
    ///
    /// # Errors
    /// If the loop is closed, running, or the parent process's; if another loop runs in this thread; if the system
    /// refuses to wait for events.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// for minutes in 1..=2 {
    ///     let stop = event_loop.clone();
    ///     event_loop.call_later(Duration::from_secs(60), move || stop.stop())?;
    ///     event_loop.run_forever()?;
    ///     assert_eq!(event_loop.time(), Duration::from_secs(60 * minutes));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_forever(&self) -> Result<(), LoopError> {
        let _running = Running::begin(self)?;
        self.turn_until_stopped()
    }

    fn turn_until_stopped(&self) -> Result<(), LoopError> {
        loop {
            // A task may have forked, and the child must not wait in the parent's place.
            if self.is_inherited() {
                return Err(LoopError::Forked(Forked));
            }
            self.turn(None).map_err(LoopError::Io)?;
            if self.0.is_stopping.get() {
                return self.check_alive();
            }
        }
    }

    /// Runs `main` as a task until it is done, and gives its value: asyncio's `run_until_complete`. Other tasks run
    /// meanwhile; what is left of them goes on when the loop runs again. `main` may borrow.
    ///
    /// # Errors
    /// As [`run_forever`](Self::run_forever), and if the loop is stopped before `main` is done (it is dropped then;
    /// to keep it, make a task of it and run until `&mut task` is done), or if it ends cancelled.
    ///
    /// # Panics
    /// With `main`'s payload, if `main` panics. The loop can be used on.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let words = vec!["no", "clone", "needed"];
    /// let length = event_loop.run_until_complete(async { words.iter().map(|word| word.len()).sum::<usize>() })?;
    /// assert_eq!(length, 13);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[doc(alias = "block_on")]
    pub fn run_until_complete<F: Future>(&self, main: F) -> Result<F::Output, LoopError> {
        self.run_main(Seed::new(None, Location::caller()), main, |_| ())
    }

    /// As `run_until_complete`; `begun` gets the main task before the first turn.
    pub(crate) fn run_main<F: Future>(
        &self,
        seed: Seed,
        main: F,
        begun: impl FnOnce(AnyTask),
    ) -> Result<F::Output, LoopError> {
        let running = Running::begin(self)?;
        let (driven, outcome) = self.0.home.lend(
            || TaskRecord::new(seed, self),
            main,
            |task| {
                let task = AnyTask::new(task.clone());
                begun(task.clone());
                let end = RunEnd::new(self);
                task.add_done_callback(move |_| end.come());
                self.turn_until_stopped()?;
                // Whoever called hears of its panic, so that the exception handler need not.
                drop(task.exception());
                Ok(task.cancelled_error())
            },
        );
        drop(running);
        let cancelled = driven?;
        match outcome {
            None => Err(LoopError::StoppedBeforeDone(StoppedBeforeDone)),
            Some(Ok(value)) => Ok(value),
            Some(Err(FutureError::Panicked(panicked))) => std::panic::resume_unwind(panicked.into_payload()),
            Some(Err(_)) => Err(LoopError::Cancelled(cancelled.unwrap_or_default())),
        }
    }

    /// Runs until a task or future of this loop is done: asyncio's `run_until_complete(task)`. Unlike
    /// [`run_until_complete`](Self::run_until_complete) with `&mut task` it makes no task of its own, so it takes no turn
    /// more than asyncio; the outcome stays where it is. What is done already takes one turn.
    ///
    /// # Errors
    /// As [`run_forever`](Self::run_forever), if the loop is stopped before that, and if it belongs to another loop.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.create_task(async { 42 })?;
    /// event_loop.run_until_done(&task)?;
    /// assert_eq!(task.result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_until_done(&self, awaited: &impl Waitable) -> Result<(), LoopError> {
        let running = Running::begin(self)?;
        let awaited = awaited.inside().0;
        self.check_owns(awaited.loop_id()).map_err(LoopError::WrongLoop)?;
        let end = RunEnd::new(self);
        let in_callback = Rc::clone(&end);
        awaited.add_callback(move |_| in_callback.come());
        let turned = self.turn_until_stopped();
        // Stopped by somebody else, the callback is still to come, and must not stop a later run.
        end.is_over.set(true);
        turned?;
        drop(running);
        if awaited.done() { Ok(()) } else { Err(LoopError::StoppedBeforeDone(StoppedBeforeDone)) }
    }

    /// One turn, for a guest whose own loop turns this one: asyncio's `_run_once`, which is private there. Waits at
    /// most for `max_wait` if nothing is ready; `None` waits for as long as it takes.
    ///
    /// # Errors
    /// As [`run_forever`](Self::run_forever).
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let called = Rc::new(Cell::new(false));
    /// let flag = Rc::clone(&called);
    /// event_loop.call_soon(move || flag.set(true))?;
    /// assert_eq!(event_loop.next_deadline(), Some(Duration::ZERO));
    /// event_loop.run_once(Some(Duration::ZERO))?;
    /// assert!(called.get() && event_loop.next_deadline().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_once(&self, max_wait: Option<Duration>) -> Result<(), LoopError> {
        let _running = Running::begin(self)?;
        self.poll_io_in_this_turn();
        self.turn(max_wait).map_err(LoopError::Io)?;
        self.check_alive()
    }

    /// One turn of a loop that has something to do. True: it was stopped.
    pub(crate) fn turn_once(&self) -> Result<bool, LoopError> {
        let _running = Running::begin(self)?;
        self.turn(Some(Duration::ZERO)).map_err(LoopError::Io)?;
        let is_stopped = self.0.is_stopping.get();
        self.check_alive().map(|()| is_stopped)
    }

    /// Does the loop have to die of a panic, or has it?
    pub(crate) fn check_alive(&self) -> Result<(), LoopError> {
        match &*self.0.fatal.borrow() {
            Some(panicked) => Err(LoopError::Panicked(panicked.clone())),
            None => Ok(()),
        }
    }

    /// Returns when the loop has to be turned again, on its own clock, unless something comes from outside: zero if
    /// there is something ready, none if there is nothing to wait for. For guests, who poll until then.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
    /// assert_eq!(event_loop.next_deadline(), None);
    /// let task = event_loop.create_task(perloop::sleep(Duration::from_secs(3)))?;
    /// assert_eq!(event_loop.next_deadline(), Some(Duration::ZERO)); // its first step
    /// event_loop.run_once(Some(Duration::ZERO))?;
    /// assert_eq!(event_loop.next_deadline(), Some(Duration::from_secs(3)));
    /// # drop(task);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.0.home.has_work() {
            return Some(Duration::ZERO);
        }
        self.0.timers.borrow().next_deadline()
    }

    /// Lets the current turn finish, and then the loop return: asyncio's `stop`. Before it runs, it makes the next run
    /// last one turn. From another thread use [`LoopHandle::stop`](crate::LoopHandle::stop).
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let ran = Rc::new(Cell::new(0));
    /// for _ in 0..2 {
    ///     let ran = Rc::clone(&ran);
    ///     event_loop.call_soon(move || ran.set(ran.get() + 1))?;
    /// }
    /// event_loop.stop();
    /// event_loop.run_forever()?; // one turn, with all that was ready when it began
    /// assert_eq!(ran.get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) {
        self.0.is_stopping.set(true);
    }
}

/// The end of one run, for the callback that brings it about. It stops no later run, and keeps no loop.
struct RunEnd {
    of: WeakLoop,
    is_over: Cell<bool>,
}

impl RunEnd {
    fn new(event_loop: &EventLoop) -> Rc<Self> {
        Rc::new(Self { of: event_loop.downgrade(), is_over: Cell::new(false) })
    }

    fn come(&self) {
        if let Some(event_loop) = self.of.upgrade()
            && !self.is_over.get()
        {
            event_loop.stop();
        }
    }
}
