//! What gives a value at its end.

use crate::errors::TaskError;
use crate::loop_future::LoopFuture;
use crate::task::awaited::Waitable;
use crate::task::awaited::sealed::Inside;
use crate::task::{Awaited, Task};

/// A task or future that gives a value: what [`wait_for`](crate::wait_for) takes; asyncio's `Future`. Nothing else
/// implements it; of a coroutine make a task, by [`create_task`](crate::create_task).
///
/// A task moves its value out, a future clones it.
///
/// # Examples
/// ```
/// use perloop::{Awaitable, TaskError, create_task, wait_for};
///
/// async fn patient<A: Awaitable>(work: A) -> Result<A::Value, TaskError> {
///     wait_for(work, None).await.expect("it waits for ever")
/// }
/// assert_eq!(perloop::run(async { patient(create_task(async { 42 })).await })?, Ok(42));
/// # Ok::<(), perloop::RunError>(())
/// ```
pub trait Awaitable: Waitable {
    /// What it gives.
    type Value: 'static;

    /// No other of this type is the same thing.
    #[doc(hidden)]
    const IS_UNIQUE: bool = false;

    /// Gives the outcome of one that is done.
    #[doc(hidden)]
    fn read(&self) -> Result<Self::Value, TaskError>;

    /// Looks at the value of one that is done, later, and leaves it where it is: false if there is none. It holds
    /// nothing, so that it may stand in the list of who waits for it.
    #[doc(hidden)]
    fn test(&self, test: fn(&Self::Value) -> bool) -> Box<dyn FnOnce(Inside) -> bool>;
}

impl<T> Awaitable for Task<T> {
    type Value = T;

    const IS_UNIQUE: bool = true;

    fn read(&self) -> Result<T, TaskError> {
        self.result()
    }

    fn test(&self, test: fn(&T) -> bool) -> Box<dyn FnOnce(Inside) -> bool> {
        Box::new(move |Inside(ended)| match ended {
            Awaited::Task(task) => task.look(test).unwrap_or(false),
            Awaited::Future(_) => false,
        })
    }
}

impl<T: Clone> Awaitable for LoopFuture<T> {
    type Value = T;

    fn read(&self) -> Result<T, TaskError> {
        self.result()
    }

    fn test(&self, test: fn(&T) -> bool) -> Box<dyn FnOnce(Inside) -> bool> {
        let again = self.finder();
        Box::new(move |Inside(ended)| again(&ended).outcome().is_ok_and(test))
    }
}

impl<A: Awaitable> Awaitable for &A {
    type Value = A::Value;

    fn read(&self) -> Result<A::Value, TaskError> {
        (**self).read()
    }

    fn test(&self, test: fn(&A::Value) -> bool) -> Box<dyn FnOnce(Inside) -> bool> {
        (**self).test(test)
    }
}
