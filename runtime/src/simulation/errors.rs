//! Why a simulation gives no value.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use crate::errors::RunError;
use crate::event_loop::EventLoop;
use crate::task::AnyTask;

/// How many pending tasks an error's text names.
const NAMED: usize = 8;

/// Why a [`Simulation`](crate::Simulation) has given no value.
///
/// # Examples
/// ```
/// use perloop::{Simulation, SimulationError, create_future};
///
/// let outcome = Simulation::seeded(1).run(|_| async { create_future::<()>().await });
/// let Err(SimulationError::Deadlock(pending)) = outcome else { unreachable!() };
/// assert_eq!((pending[0].event_loop.as_str(), pending[0].task.as_str()), ("loop-0", "Task-1"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SimulationError {
    /// Nothing is ready on any loop, no timer will fire, and nothing comes from outside: these tasks would wait for
    /// ever.
    Deadlock(Vec<PendingTask>),
    /// It has taken [so many turns](crate::Simulation::max_turns), and these tasks have not ended.
    TooManyTurns(u64, Vec<PendingTask>),
    /// For a reason that [`run`](crate::run) has, too. What is told of *the* loop is of the first one, where the main
    /// future runs.
    Run(RunError),
}

/// A task that has not ended when its simulation did.
///
/// # Examples
/// See [`SimulationError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingTask {
    /// The name of its loop.
    pub event_loop: String,
    /// Its own name. An actor that was given none has its task's, `Task-1` and so on.
    pub task: String,
    /// Where it was created.
    pub created_at: &'static Location<'static>,
}

impl PendingTask {
    pub(super) fn new(event_loop: &EventLoop, task: &AnyTask) -> Self {
        Self { event_loop: event_loop.name().to_owned(), task: task.name(), created_at: task.created_at() }
    }
}

impl fmt::Display for PendingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' of '{}' (created at {})", self.task, self.event_loop, self.created_at)
    }
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = match self {
            Self::Deadlock(pending) => {
                f.write_str("the simulation is in a deadlock: nothing is left that could wake a task;")?;
                pending
            }
            Self::TooManyTurns(turns, pending) => {
                write!(f, "the simulation has not ended after {turns} turns (see `Simulation::max_turns`);")?;
                pending
            }
            Self::Run(error) => return error.fmt(f),
        };
        f.write_str(" pending: ")?;
        for (place, task) in pending.iter().take(NAMED).enumerate() {
            write!(f, "{}{task}", if place == 0 { "" } else { ", " })?;
        }
        match pending.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl Error for SimulationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Run(error) => error.source(),
            Self::Deadlock(_) | Self::TooManyTurns(..) => None,
        }
    }
}
