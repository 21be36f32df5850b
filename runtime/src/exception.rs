//! What nobody else hears of: the loop's exception handler.

use std::fmt;

use perloop_bridge::Panicked;

use crate::task::AnyTask;

/// What went wrong, by the place where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionKind {
    /// A callback, a timer or a done callback panicked.
    Callback,
    /// A task panicked, and was dropped without anybody having asked for its outcome.
    NeverRetrieved,
    /// A task panicked while [`run`](crate::run) was ending it.
    Shutdown,
    /// The system refused to wait for events; the loop has built its reactor anew.
    Reactor,
}

/// What an exception handler is told.
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
            ExceptionKind::NeverRetrieved => "a task failed and nobody asked for its outcome",
            ExceptionKind::Shutdown => "a task failed while the loop was shut down",
            ExceptionKind::Reactor => "waiting for events failed",
        };
        write!(f, "{what}: {}", self.message)?;
        if let Some(task) = &self.task {
            write!(f, " (task '{}', created at {})", task.name(), task.created_at())?;
        }
        Ok(())
    }
}
