//! What nobody else hears of: the loop's exception handler.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::process;
use std::rc::Rc;

use perloop_bridge::Panicked;

use crate::event_loop::{EventLoop, Handle};
use crate::task::AnyTask;

/// What went wrong, by the place where it did: what asyncio tells apart by the words of the context's message.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use perloop::{EventLoop, ExceptionContext, ExceptionKind};
///
/// let event_loop = perloop::new_event_loop()?;
/// let seen = Rc::new(Cell::new(None));
/// let kind = Rc::clone(&seen);
/// event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
///     kind.set(Some(context.kind));
/// }));
/// drop(event_loop.create_task(async { panic!("nobody will ask") })?);
/// event_loop.run_once(None)?;
/// assert_eq!(seen.get(), Some(ExceptionKind::NeverRetrieved));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionKind {
    /// A callback, a timer or a done callback panicked.
    Callback,
    /// A task panicked, or a future was set to a failure, and was dropped without anybody having asked for its outcome.
    NeverRetrieved,
    /// A task panicked while [`run`](crate::run) was ending it.
    Shutdown,
    /// What was [`shield`](crate::shield)ed failed after the shield was cancelled.
    Shielded,
    /// An asynchronous generator failed while
    /// [`shutdown_asyncgens`](crate::EventLoop::shutdown_asyncgens) closed it.
    Asyncgen,
    /// The system refused to wait for events; the loop has built its reactor anew.
    Reactor,
    /// What the program says itself, by [`EventLoop::call_exception_handler`].
    Own,
}

/// What an exception handler is told, see
/// [`EventLoop::set_exception_handler`](crate::EventLoop::set_exception_handler): the dictionary of asyncio's
/// handlers. Its text says all of it in one line.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use perloop::{EventLoop, ExceptionContext};
///
/// let event_loop = perloop::new_event_loop()?;
/// let seen = Rc::new(RefCell::new(String::new()));
/// let text = Rc::clone(&seen);
/// event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
///     assert!(context.panicked.is_some() && context.handle.is_some());
///     text.replace(context.to_string());
/// }));
/// event_loop.call_soon(|| panic!("out of paper"))?;
/// event_loop.run_once(None)?;
/// assert!(seen.borrow().starts_with("a callback failed: out of paper (created at "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExceptionContext {
    /// Where it went wrong.
    pub kind: ExceptionKind,
    /// What went wrong, in words.
    pub message: String,
    /// The panic, if it was one.
    pub panicked: Option<Panicked>,
    /// The task, if it was one that is still there, or the one whose done callback it was.
    pub task: Option<AnyTask>,
    /// The callback, if it was one of [`EventLoop::call_soon`] or its kin.
    pub handle: Option<Handle>,
    /// Where the task or future was created, or the callback given to the loop, if that is known.
    pub created_at: Option<&'static Location<'static>>,
}

impl ExceptionContext {
    /// Makes one of the program's own, for [`EventLoop::call_exception_handler`].
    ///
    /// # Examples
    /// ```
    /// use perloop::ExceptionContext;
    ///
    /// let mut context = ExceptionContext::new("out of paper");
    /// context.task = perloop::run(async { perloop::current_task().ok().flatten() })?;
    /// assert!(context.to_string().starts_with("out of paper (task 'Task-1', created at "));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            kind: ExceptionKind::Own,
            message: message.into(),
            panicked: None,
            task: None,
            handle: None,
            created_at: None,
        }
    }

    pub(crate) fn of_panic(kind: ExceptionKind, panicked: Panicked) -> Self {
        let message = panicked.message().to_owned();
        Self { kind, panicked: Some(panicked), ..Self::new(message) }
    }
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ExceptionKind::Callback => "a callback failed: ",
            ExceptionKind::NeverRetrieved => "a failure that nobody asked for: ",
            ExceptionKind::Shutdown => "a task failed while the loop was shut down: ",
            ExceptionKind::Shielded => "a failure behind a shield that was cancelled: ",
            ExceptionKind::Asyncgen => "an asynchronous generator failed while it was closed: ",
            ExceptionKind::Reactor => "waiting for events failed: ",
            ExceptionKind::Own => "",
        };
        write!(f, "{what}{}", self.message)?;
        match (&self.task, self.created_at) {
            (Some(task), _) => write!(f, " (task '{}', created at {})", task.name(), task.created_at()),
            (None, Some(at)) => write!(f, " (created at {at})"),
            (None, None) => Ok(()),
        }
    }
}

/// What becomes of a loop when a panic reaches its exception handler: one that nobody else hears of, see
/// [`ExceptionKind`]. A panic of a task that somebody awaits is that task's outcome, and harms nobody.
///
/// # Examples
/// ```
/// use perloop::{EventLoop, LoopError, PanicPolicy};
///
/// let event_loop = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop).build()?;
/// event_loop.call_soon(|| panic!("out of paper"))?;
/// let Err(LoopError::Panicked(panicked)) = event_loop.run_forever() else { unreachable!() };
/// assert_eq!(panicked.message(), "out of paper");
/// assert!(event_loop.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The handler is told, and the loop goes on, as asyncio's does.
    #[default]
    Report,
    /// The handler is told; when the turn is over the loop dies. Whoever runs it gets
    /// [`LoopError::Panicked`](crate::LoopError::Panicked), and what was handed in ends with `LoopDied`.
    CloseLoop,
    /// The handler is told, and the process is aborted.
    Abort,
}

pub(crate) type ExceptionHandler = Rc<dyn Fn(&EventLoop, &ExceptionContext)>;

impl EventLoop {
    /// Sets what is told of errors that nobody else hears of, or puts
    /// [`default_exception_handler`](Self::default_exception_handler) back. The handler runs on the loop's thread and
    /// may use the loop: asyncio's `set_exception_handler`.
    ///
    /// A panic in the handler is an error event for `tracing`, and harms nothing else.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use perloop::{EventLoop, ExceptionContext};
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let messages = Rc::new(RefCell::new(Vec::new()));
    /// let log = Rc::clone(&messages);
    /// event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
    ///     log.borrow_mut().push(context.message.clone());
    /// }));
    /// event_loop.call_soon(|| panic!("out of paper"))?;
    /// event_loop.run_once(None)?;
    /// assert_eq!(*messages.borrow(), ["out of paper"]);
    ///
    /// event_loop.set_exception_handler(None::<fn(&EventLoop, &ExceptionContext)>);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_exception_handler(&self, handler: Option<impl Fn(&Self, &ExceptionContext) + 'static>) {
        let handler = handler.map(|handler| Rc::new(handler) as ExceptionHandler);
        // The old one is dropped outside of the borrow.
        let _old = self.0.exception_handler.replace(handler);
    }

    /// Tells the exception handler of something: asyncio's `call_exception_handler`. The loop's
    /// [`PanicPolicy`] is not asked.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use perloop::{EventLoop, ExceptionContext, ExceptionKind};
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let kind = Rc::new(Cell::new(None));
    /// let seen = Rc::clone(&kind);
    /// event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
    ///     seen.set(Some(context.kind));
    /// }));
    /// event_loop.call_exception_handler(&ExceptionContext::new("out of paper"));
    /// assert_eq!(kind.get(), Some(ExceptionKind::Own));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn call_exception_handler(&self, context: &ExceptionContext) {
        let handler = self.0.exception_handler.borrow().clone();
        let Some(handler) = handler else { return self.default_exception_handler(context) };
        let told = catch_unwind(AssertUnwindSafe(move || handler(self, context)));
        // What it threw may panic when it is dropped; a `Panicked` does not.
        if told.map_err(Panicked::new).is_err() {
            tracing::error!(target: "perloop", event_loop = self.name(), "the exception handler panicked on: {context}");
        }
    }

    /// Does what is done where no handler was set: an error event for `tracing`, with the context's text. For handlers
    /// that pass on what they do not know: asyncio's `default_exception_handler`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, ExceptionContext, ExceptionKind};
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// event_loop.set_exception_handler(Some(|own: &EventLoop, context: &ExceptionContext| {
    ///     if context.kind != ExceptionKind::Callback {
    ///         own.default_exception_handler(context);
    ///     }
    /// }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        tracing::error!(target: "perloop", event_loop = self.name(), "{context}");
    }

    /// Tells the handler of what went wrong, and does as the policy says.
    pub(crate) fn report(&self, context: &ExceptionContext) {
        self.call_exception_handler(context);
        let Some(panicked) = &context.panicked else { return };
        match self.0.panic_policy {
            PanicPolicy::Report => {}
            PanicPolicy::Abort => process::abort(),
            PanicPolicy::CloseLoop => self.die_of(panicked),
        }
    }

    fn die_of(&self, panicked: &Panicked) {
        // The first one is the reason.
        let first = self.0.fatal.take().unwrap_or_else(|| panicked.clone());
        self.0.fatal.replace(Some(first));
        if self.is_running() { self.stop() } else { self.die() }
    }

    pub(crate) fn report_callback(&self, panicked: Panicked) {
        self.report(&ExceptionContext::of_panic(ExceptionKind::Callback, panicked));
    }
}
