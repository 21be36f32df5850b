//! [`Runner`]: one loop for several main futures, from making it to closing it.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::panic::Location;

use crate::context::{Context, copy_context};
use crate::current::{self, set_event_loop};
use crate::errors::{Interrupted, LoopError, RunError, RunnerClosed};
use crate::event_loop::{Builder, EventLoop};
use crate::run::tear_down;
use crate::signal::Interrupts;
use crate::task::{AnyTask, Seed};

/// Runs main futures one after the other on one loop, which keeps its tasks and timers between them: asyncio's
/// `Runner`. [`run`](crate::run) is a runner for one run.
///
/// The loop is made when it is first needed, and is then the thread's current one. [`close`](Self::close), or dropping
/// the runner, ends what is left as `run` does. A runner belongs to the thread that first used it.
///
/// # Examples
/// ```
/// use perloop::{Runner, create_task, yield_now};
///
/// let runner = Runner::new();
/// let task = runner.run(async {
///     create_task(async {
///         yield_now().await;
///         42
///     })
/// })?;
/// assert_eq!(runner.run(task)?, Ok(42)); // it went on in the second run
/// runner.close()?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    builder: Builder,
    event_loop: OnceCell<EventLoop>,
    is_closed: Cell<bool>,
    /// What the main futures find, and set.
    context: RefCell<Context>,
}

impl Runner {
    /// Makes a runner whose loop has the usual settings: asyncio's `Runner()`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::Runner::new().run(async { 42 })?, 42);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn new() -> Self {
        Self::with_builder(EventLoop::builder())
    }

    /// Makes a runner whose loop has these settings: the `loop_factory` and `debug` of asyncio's `Runner`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, Runner};
    ///
    /// let runner = Runner::with_builder(EventLoop::builder().name("main loop").virtual_time());
    /// assert_eq!(runner.get_loop()?.name(), "main loop");
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn with_builder(builder: Builder) -> Self {
        Self {
            builder,
            event_loop: OnceCell::new(),
            is_closed: Cell::new(false),
            context: RefCell::default(),
        }
    }

    /// Returns the loop, and makes it if there is none yet: asyncio's `Runner.get_loop()`.
    ///
    /// # Errors
    /// If the runner is closed, or the system gives no descriptor to wait on.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Runner, get_event_loop};
    ///
    /// let runner = Runner::new();
    /// let event_loop = runner.get_loop()?;
    /// assert_eq!(get_event_loop()?, event_loop);
    /// let task = event_loop.create_task(async { 42 })?; // before the first run
    /// assert_eq!(runner.run(task)?, Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_loop(&self) -> Result<EventLoop, RunError> {
        if self.is_closed.get() {
            return Err(RunError::RunnerClosed(RunnerClosed));
        }
        if let Some(made) = self.event_loop.get() {
            return Ok(made.clone());
        }
        let made = self.builder.clone().build().map_err(RunError::Io)?;
        let kept = self.event_loop.get_or_init(|| made).clone();
        self.context.replace(copy_context());
        // The thread's loop before this one may be closed by that, and runs foreign destructors.
        drop(set_event_loop(Some(&kept)));
        Ok(kept)
    }

    /// Runs `main` as a task until it is done, and gives its value: asyncio's `Runner.run()`. `main` may borrow. Other
    /// tasks run meanwhile, and what is left of them goes on in the next run. What `main` sets in
    /// [`ContextVar`](crate::ContextVar)s the next one finds.
    ///
    /// In the main thread Ctrl-C cancels `main`, as with [`run`](crate::run), and the runner can be used on.
    ///
    /// # Errors
    /// As `run`, and if the runner was closed.
    ///
    /// # Panics
    /// With the payload of `main`, if it panics. The runner can be used on.
    ///
    /// # Examples
    /// ```
    /// let runner = perloop::Runner::new();
    /// let words = vec!["no", "clone", "needed"];
    /// assert_eq!(runner.run(async { words.len() })?, 3);
    /// assert_eq!(runner.run(async { words.concat().len() })?, 13);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    #[doc(alias = "block_on")]
    pub fn run<F: Future>(&self, main: F) -> Result<F::Output, RunError> {
        self.run_from(Location::caller(), main)
    }

    pub(crate) fn run_from<F: Future>(
        &self,
        at: &'static Location<'static>,
        main: F,
    ) -> Result<F::Output, RunError> {
        check_outside()?;
        let event_loop = self.get_loop()?;
        event_loop.check_open().map_err(RunError::LoopClosed)?;
        let takes_ctrl_c = self.builder.takes_ctrl_c && current::is_main_thread();
        let interrupts =
            if takes_ctrl_c { Interrupts::watch(&event_loop).map_err(RunError::Io)? } else { None };
        let seed = Seed::with(None, at, Some(self.context.take()), None);
        let main_task = MainTask { of: self, task: OnceCell::new() };
        let outcome = event_loop.run_main(seed, main, |main| {
            if let Some(interrupts) = &interrupts {
                interrupts.set_main(main.clone());
            }
            main_task.task.get_or_init(|| main);
        });
        outcome.map_err(|error| match (error, interrupts, main_task.task.get()) {
            // Interrupted, unless there was another request beside that of Ctrl-C.
            (LoopError::Cancelled(_), Some(interrupts), Some(task))
                if interrupts.has_come() && task.uncancel() == 0 =>
            {
                RunError::Interrupted(Interrupted)
            }
            (error, ..) => run_error(error),
        })
    }

    /// Cancels the tasks that are left and waits for them, however long they take, and closes the loop; then the
    /// thread has no current loop: asyncio's `Runner.close()`. A second call does nothing. A runner that has made no
    /// loop does nothing either, and can still be used.
    ///
    /// # Errors
    /// If a loop runs in this thread, where nothing is done; if the system refuses to wait for events, or the process
    /// was forked, where the loop is closed without waiting.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Runner, catch_cancelled, create_task, yield_now};
    ///
    /// let runner = Runner::new();
    /// let task = runner.run(async {
    ///     let task = create_task(std::future::pending::<()>());
    ///     yield_now().await;
    ///     task
    /// })?;
    /// assert!(!task.done());
    /// runner.close()?;
    /// assert!(task.cancelled());
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn close(&self) -> Result<(), RunError> {
        let Some(event_loop) = self.event_loop.get().filter(|_| !self.is_closed.get()) else { return Ok(()) };
        check_outside()?;
        self.is_closed.set(true);
        let torn_down = if event_loop.is_closed() { Ok(()) } else { tear_down(event_loop) };
        drop(set_event_loop(None));
        event_loop.close().expect("it does not run any more");
        torn_down.map_err(run_error)
    }
}

/// The task of one run. However that ends, the runner keeps its context.
struct MainTask<'a> {
    of: &'a Runner,
    task: OnceCell<AnyTask>,
}

impl Drop for MainTask<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            self.of.context.replace(task.record().take_context());
        }
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Runner {
    /// Closes it. Where a loop runs, its own loop cannot, and is closed without waiting for its tasks.
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(target: "perloop", "a runner was dropped and could not wait for its tasks: {error}");
            // One that runs now is this thread's, and is closed by whoever runs it.
            let _runs = self.event_loop.take().map(|event_loop| event_loop.close());
        }
    }
}

/// Fails if a loop runs in this thread.
pub(crate) fn check_outside() -> Result<(), RunError> {
    match current::with_running(|running| running.name().to_owned()) {
        Ok(running) => Err(RunError::Nested(running)),
        Err(_) => Ok(()),
    }
}

/// Why there is no value, from why the loop gave none.
pub(crate) fn run_error(error: LoopError) -> RunError {
    match error {
        LoopError::Cancelled(cancelled) => RunError::Cancelled(cancelled),
        LoopError::StoppedBeforeDone(stopped) => RunError::Stopped(stopped),
        LoopError::Io(error) => RunError::Io(error),
        LoopError::AlreadyRunning(name) | LoopError::AnotherLoopRunning(name) => RunError::Nested(name),
        LoopError::Forked(error) => RunError::Forked(error),
        LoopError::Panicked(panicked) => RunError::Panicked(panicked),
        LoopError::Closed(error) => RunError::LoopClosed(error),
        LoopError::WrongLoop(_) => unreachable!("only `run_until_done` can be given a task of another loop"),
    }
}
