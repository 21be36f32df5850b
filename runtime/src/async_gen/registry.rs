//! The generators that a loop closes at its end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};

use perloop_bridge::Panicked;

use crate::async_gen::GeneratorError;
use crate::errors::TaskError;
use crate::event_loop::EventLoop;
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::gather::gather_outcomes;

/// A generator of any type.
pub(crate) trait Closable {
    /// Neither ended nor closed.
    fn is_open(&self) -> bool;
    /// As `aclose`, for a task of its own.
    fn close(self: Rc<Self>) -> Pin<Box<dyn Future<Output = Result<(), GeneratorError>>>>;
}

/// Those that were asked for a value on one loop, in that order.
#[derive(Default)]
pub(crate) struct Asyncgens {
    known: RefCell<Vec<Weak<dyn Closable>>>,
    /// How many there may be before those that are gone are looked for.
    room: Cell<usize>,
    is_shut: Cell<bool>,
}

impl Asyncgens {
    const FEW: usize = 16;

    pub(super) fn add(&self, of: &EventLoop, generator: &Rc<dyn Closable>) {
        if self.is_shut.get() {
            tracing::warn!(target: "perloop", event_loop = of.name(), "a generator began after shutdown_asyncgens, which will not close it");
        }
        let mut known = self.known.borrow_mut();
        if known.len() >= self.room.get() {
            known.retain(|generator| generator.upgrade().is_some_and(|generator| generator.is_open()));
            self.room.set(Self::FEW.max(2 * known.len()));
        }
        known.push(Rc::downgrade(generator));
    }

    fn shut(&self) -> Vec<Rc<dyn Closable>> {
        self.is_shut.set(true);
        let known = self.known.take();
        let mut open: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        open.retain(|generator| generator.is_open());
        open
    }
}

impl EventLoop {
    /// Closes the asynchronous generators that have begun on this loop and are open still, each in a task of its own, and
    /// waits for them: asyncio's `shutdown_asyncgens`. What fails in that goes to the exception handler.
    /// [`run`](crate::run()) does it at its end. To be awaited on this loop.
    ///
    /// A generator that begins later is a warning event for `tracing`, as this will not be called for it again.
    ///
    /// # Panics
    /// If the loop is closed, or another one runs.
    ///
    /// # Examples
    /// ```
    /// use perloop::{async_gen, get_running_loop};
    ///
    /// perloop::run(async {
    ///     let numbers = async_gen(|y| async move { y.yield_(1).await });
    ///     assert_eq!(numbers.anext().await, Ok(Some(1)));
    ///     get_running_loop()?.shutdown_asyncgens().await;
    ///     assert_eq!(numbers.anext().await, Ok(None));
    ///     Ok::<(), perloop::NoRunningLoop>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn shutdown_asyncgens(&self) {
        let open = self.0.asyncgens.shut();
        if open.is_empty() {
            return;
        }
        let close = |generator: Rc<dyn Closable>| {
            self.create_task(generator.close()).expect("generators are shut down before their loop is closed")
        };
        let closed = open.into_iter().map(close).collect::<Vec<_>>();
        let outcomes = match gather_outcomes(closed).await {
            Ok(outcomes) => outcomes,
            Err(TaskError::Cancelled(cancelled)) => match cancelled.raise().await {},
            Err(error) => panic!("shutdown_asyncgens: {error}"),
        };
        for outcome in outcomes {
            match outcome {
                Err(TaskError::Panicked(panicked)) => {
                    self.report_asyncgen(panicked.message().to_owned(), Some(panicked));
                }
                Ok(Err(error)) => self.report_asyncgen(error.to_string(), None),
                Ok(Ok(())) | Err(_) => {}
            }
        }
    }

    fn report_asyncgen(&self, message: String, panicked: Option<Panicked>) {
        let kind = ExceptionKind::Asyncgen;
        self.report(&ExceptionContext { kind, panicked, ..ExceptionContext::new(message) });
    }
}
