//! `wait_for`: the end of a task or future, until a deadline.

use std::rc::Rc;
use std::time::Duration;

use crate::errors::{TaskError, TimedOut};
use crate::loop_future::End;
use crate::notice::Notice;
use crate::task::done::check_await;
use crate::task::{Awaitable, step};
use crate::timeout::TimeoutScope;

/// Waits for a task or future, and cancels it if it has not ended after `timeout`: asyncio's `wait_for`. Without a
/// timeout it waits for as long as it takes. For a coroutine use [`timeout`](crate::timeout), which runs it in place.
///
/// After the request it waits for the end, clean-up included. What ended otherwise than cancelled comes as it is, not
/// as `TimedOut`. With a timeout of zero what is done is read, and anything else cancelled. To leave the task alone at
/// the timeout, give it [`shield`](crate::shield)ed.
///
/// Cancel safety: a request to the awaiting task goes on to what it waits for.
///
/// # Errors
/// [`TimedOut`]; inside, how a task or future ended without a value.
///
/// # Panics
/// When it is polled outside of a perloop task.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{TimedOut, create_task, sleep, wait_for};
///
/// perloop::run(async {
///     let quick = create_task(async { 42 });
///     assert_eq!(wait_for(quick, Duration::from_secs(1)).await, Ok(Ok(42)));
///     let slow = create_task(sleep(Duration::MAX));
///     let any = (*slow).clone();
///     assert_eq!(wait_for(slow, Duration::from_millis(1)).await, Err(TimedOut::default()));
///     assert!(any.cancelled());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub async fn wait_for<A: Awaitable>(
    awaitable: A,
    timeout: impl Into<Option<Duration>>,
) -> Result<Result<A::Value, TaskError>, TimedOut> {
    let timeout = timeout.into();
    if timeout == Some(Duration::ZERO) {
        return give_up_at_once(&awaitable).await;
    }
    let scope = TimeoutScope::after(timeout);
    let body = async {
        match read_end(&awaitable).await {
            // The scope tells its own request from others.
            Err(TaskError::Cancelled(cancelled)) if scope.expired() => match cancelled.raise().await {},
            ended => ended,
        }
    };
    scope.run(body).await
}

async fn read_end<A: Awaitable>(awaitable: &A) -> Result<A::Value, TaskError> {
    End::of(awaitable.inside().0).await?;
    awaitable.read()
}

async fn give_up_at_once<A: Awaitable>(awaitable: &A) -> Result<Result<A::Value, TaskError>, TimedOut> {
    let awaited = awaitable.inside().0;
    if awaited.done() {
        return Ok(awaitable.read());
    }
    if let Err(misuse) = check_await(&awaited) {
        // It would never come.
        return Ok(Err(misuse));
    }
    let end = Rc::<Notice>::default();
    let give = end.giver();
    awaited.add_callback(move |_| give());
    step::cancel_awaited(awaited, None);
    end.come().await;
    match awaitable.read() {
        Err(TaskError::Cancelled(_)) => Err(TimedOut),
        ended => Ok(ended),
    }
}
