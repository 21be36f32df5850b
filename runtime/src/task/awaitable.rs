//! What gives a value at its end.

use crate::errors::TaskError;
use crate::loop_future::LoopFuture;
use crate::task::Task;
use crate::task::awaited::Waitable;

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
}

impl<T> Awaitable for Task<T> {
    type Value = T;

    const IS_UNIQUE: bool = true;

    fn read(&self) -> Result<T, TaskError> {
        self.result()
    }
}

impl<T: Clone> Awaitable for LoopFuture<T> {
    type Value = T;

    fn read(&self) -> Result<T, TaskError> {
        self.result()
    }
}

impl<A: Awaitable> Awaitable for &A {
    type Value = A::Value;

    fn read(&self) -> Result<A::Value, TaskError> {
        (**self).read()
    }
}
