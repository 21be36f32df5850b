//! What nobody else hears of: the loop's exception handler.

use std::fmt;

use perloop_bridge::Panicked;

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
///     assert!(context.panicked.is_some() && context.task.is_none());
///     text.replace(context.to_string());
/// }));
/// event_loop.call_soon(|| panic!("out of paper"))?;
/// event_loop.run_once(None)?;
/// assert_eq!(*seen.borrow(), "a callback failed: out of paper");
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
    /// The task, if it was one.
    pub task: Option<AnyTask>,
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ExceptionKind::Callback => "a callback failed",
            ExceptionKind::NeverRetrieved => "a failure that nobody asked for",
            ExceptionKind::Shutdown => "a task failed while the loop was shut down",
            ExceptionKind::Shielded => "a failure behind a shield that was cancelled",
            ExceptionKind::Asyncgen => "an asynchronous generator failed while it was closed",
            ExceptionKind::Reactor => "waiting for events failed",
        };
        write!(f, "{what}: {}", self.message)?;
        if let Some(task) = &self.task {
            write!(f, " (task '{}', created at {})", task.name(), task.created_at())?;
        }
        Ok(())
    }
}
