//! Errors as the traces write them.

use std::any::Any;

use perloop::{Cancelled, FutureError, LoopError, Panicked, RunError, TaskError};

use crate::generators::EXIT;

/// An error by its text: `ValueError(x)`, `Cancelled`, `RuntimeError:closed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) String);

impl Error {
    pub(crate) fn named(kind: &str, message: &str) -> Self {
        Self(if message.is_empty() { kind.to_owned() } else { format!("{kind}({message})") })
    }

    pub(crate) fn misuse(code: &str) -> Self {
        Self(format!("RuntimeError:{code}"))
    }

    /// The part that handlers match.
    pub(crate) fn kind(&self) -> &str {
        self.0.split(['(', ':', '[']).next().unwrap_or_default()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.kind() == "Cancelled" || self.is_generator_exit()
    }

    /// The cancellation that this error stands for.
    pub(crate) fn to_cancelled(&self) -> Cancelled {
        if let Some(exit) = self.to_generator_exit() {
            return exit;
        }
        let message = self.0.strip_prefix("Cancelled(").and_then(|rest| rest.strip_suffix(')'));
        message.map_or_else(Cancelled::default, Cancelled::new)
    }

    /// What a task or callback that fails panics with. Only the panic's text is looked at, so no hook is told.
    pub(crate) fn throw(self) -> ! {
        std::panic::resume_unwind(Box::new(self.0))
    }

    /// The error in a payload that `throw` made. Other panics go on.
    pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Self {
        match payload.downcast::<String>() {
            Ok(text) => Self(*text),
            Err(other) => std::panic::resume_unwind(other),
        }
    }
}

impl From<&Panicked> for Error {
    fn from(panicked: &Panicked) -> Self {
        Self(panicked.message().to_owned())
    }
}

impl From<&Cancelled> for Error {
    fn from(cancelled: &Cancelled) -> Self {
        if cancelled.is_generator_exit() {
            return Self::named(EXIT, "");
        }
        Self::named("Cancelled", cancelled.message().unwrap_or_default())
    }
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Cancelled(cancelled) => Self::from(&cancelled),
            TaskError::Panicked(panicked) => Self::from(&panicked),
            TaskError::NotDone => Self::named("InvalidState", ""),
            TaskError::AwaitSelf => Self::misuse("await-self"),
            TaskError::WrongLoop(_) => Self::misuse("different-loop"),
            other => Self(format!("{other:?}")),
        }
    }
}

impl From<LoopError> for Error {
    fn from(error: LoopError) -> Self {
        match error {
            LoopError::Closed(_) => Self::misuse("closed"),
            LoopError::AlreadyRunning(_) => Self::misuse("already-running"),
            LoopError::AnotherLoopRunning(_) => Self::misuse("another-loop-running"),
            LoopError::StoppedBeforeDone(_) => Self::misuse("stopped-before-done"),
            LoopError::WrongLoop(_) => Self("ValueError:different-loop".to_owned()),
            LoopError::Cancelled(cancelled) => Self::from(&cancelled),
            other => Self(format!("{other:?}")),
        }
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Nested(_) => Self::misuse("run-inside-running-loop"),
            RunError::Interrupted(_) => Self::named("Interrupted", ""),
            RunError::Cancelled(cancelled) => Self::from(&cancelled),
            RunError::Stopped(_) => Self::misuse("stopped-before-done"),
            RunError::RunnerClosed(_) => Self::misuse("runner-closed"),
            RunError::LoopClosed(_) => Self::misuse("closed"),
            other => Self(format!("{other:?}")),
        }
    }
}

impl From<FutureError> for Error {
    fn from(error: FutureError) -> Self {
        match error {
            FutureError::Cancelled => Self::named("Cancelled", ""),
            FutureError::Panicked(panicked) => Self::from(&panicked),
            FutureError::LoopClosed(_) => Self::misuse("closed"),
            FutureError::TimedOut => Self::named("Timeout", ""),
            other => Self(format!("{other:?}")),
        }
    }
}
