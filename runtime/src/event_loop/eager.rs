//! Tasks with other than the usual settings, and those that take their first step where they are made.

use std::future::Future;
use std::panic::Location;

use perloop_bridge::LoopClosed;

use crate::actor::handling;
use crate::context::Context;
use crate::event_loop::EventLoop;
use crate::task::{Seed, Task, TaskRecord, step};

/// Settings of a task that is to be made, see [`EventLoop::build_task`]: the keyword arguments of asyncio's
/// `create_task`.
///
/// # Examples
/// ```
/// use perloop::{Context, ContextVar};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let event_loop = perloop::new_event_loop()?;
/// let mut context = Context::new();
/// context.run(|| drop(USER.set("Ada")));
/// let task = event_loop.build_task().name("greeter").context(context).create(async { USER.get() })?;
/// assert_eq!(task.name(), "greeter");
/// assert_eq!(event_loop.run_until_complete(task)?, Ok(Some("Ada")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "call `create`"]
pub struct TaskBuilder<'a> {
    of: &'a EventLoop,
    name: Option<String>,
    context: Option<Context>,
    is_eager: bool,
}

impl TaskBuilder<'_> {
    /// Sets the task's name.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.build_task().name("reader").create(async {})?;
    /// assert_eq!(task.name(), "reader");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the context that the task begins with. By default it is a copy of the current one.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Context, ContextVar, get_running_loop};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// perloop::run(async {
    ///     USER.set("Ada");
    ///     let running = get_running_loop()?;
    ///     let task = running.build_task().context(Context::new()).create(async { USER.get() });
    ///     assert_eq!(task.expect("it is open").await, Ok(None));
    ///     Ok::<_, perloop::NoRunningLoop>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Sets whether the task takes its first step here and now, inside of [`create`](Self::create): asyncio's
    /// `eager_start`. One that ends without waiting is done then, and was never queued. By default it is as the loop was
    /// [built](crate::Builder::eager_start). While the loop does not run, the step is queued as that of any other.
    ///
    /// During that step the task is the current one, and it may make eager tasks itself; mind the stack.
    ///
    /// # Examples
    /// ```
    /// use perloop::{get_running_loop, yield_now};
    ///
    /// perloop::run(async {
    ///     let running = get_running_loop()?;
    ///     let quick = running.build_task().eager_start(true).create(async { 42 });
    ///     assert_eq!(quick.expect("it is open").result(), Ok(42));
    ///     let slow = running.build_task().eager_start(true).create(yield_now()).expect("it is open");
    ///     assert!(!slow.done());
    ///     assert_eq!(slow.await, Ok(()));
    ///     Ok::<_, perloop::NoRunningLoop>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn eager_start(mut self, is_eager: bool) -> Self {
        self.is_eager = is_eager;
        self
    }

    /// Makes the task, as [`EventLoop::create_task`] does.
    ///
    /// # Errors
    /// If the loop is closed. The future is dropped.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.build_task().create(async { 42 })?;
    /// assert_eq!(event_loop.run_until_complete(task)?, Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn create<F: Future + 'static>(self, future: F) -> Result<Task<F::Output>, LoopClosed> {
        self.of.check_open()?;
        let seed = Seed::with(self.name, Location::caller(), self.context, None);
        let starts_now = self.is_eager && self.of.is_running();
        Ok(if starts_now { self.of.spawn_eagerly(seed, future) } else { self.of.spawn_queued(seed, future) })
    }
}

impl EventLoop {
    /// Makes a task with more settings than a name: asyncio's `loop.create_task` with keyword arguments.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let task = event_loop.build_task().name("answer").create(async { 42 })?;
    /// assert_eq!(event_loop.run_until_complete(task)?, Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_task(&self) -> TaskBuilder<'_> {
        TaskBuilder { of: self, name: None, context: None, is_eager: self.0.is_eager }
    }

    /// Does a task that is made here and now begin at once?
    #[inline]
    pub(crate) fn starts_eagerly(&self) -> bool {
        self.0.is_eager && self.is_running()
    }

    /// The first step runs inside of this.
    pub(super) fn spawn_eagerly<F: Future + 'static>(&self, seed: Seed, future: F) -> Task<F::Output> {
        let task = self.0.home.spawn_unqueued(|| TaskRecord::new(seed, self), future);
        // What it asks is its own question, also if a handler makes it.
        handling::outside(|| step::run(self, &task));
        Task::new(task)
    }
}
