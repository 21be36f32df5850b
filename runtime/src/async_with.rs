//! `async_with`: a body between an entry and an exit that always runs, and may await.

use std::panic::resume_unwind;

use perloop_bridge::Panicked;

use crate::cancel::{Cancelled, catch_cancelled};
use crate::caught::caught;

/// How the body of an [`async_with`] was left: what asyncio gives to `__aexit__`.
///
/// # Examples
/// ```
/// use perloop::{BodyEnd, async_with};
///
/// let answer = perloop::run(async_with((), async |_| 6 * 7, async |_, ended| match ended {
///     BodyEnd::Returned(answer) => BodyEnd::Returned(answer),
///     swallowed @ (BodyEnd::Panicked(_) | BodyEnd::Cancelled(_)) => {
///         assert!(matches!(swallowed, BodyEnd::Cancelled(_)));
///         BodyEnd::Returned(0)
///     }
/// }))?;
/// assert_eq!(answer, 42);
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
pub enum BodyEnd<R> {
    /// With a value, which may be an `Err`.
    Returned(R),
    /// By a panic.
    Panicked(Panicked),
    /// By a request to the task, or by what the body raised.
    Cancelled(Cancelled),
}

/// Runs `body`, and then `exit`, in whatever way the body was left: asyncio's `async with`. What would be `__aenter__` is
/// the code that makes `entered`; if that fails, there is neither a body nor an exit.
///
/// The body borrows what was entered, `exit` owns it, may await, and says how the whole ends: as the body did, if it gives
/// back what it got, or otherwise, if it takes an error, a panic or the cancellation upon itself. When it runs, the body
/// has been dropped, with all that was in it. A further request to the task interrupts `exit`.
///
/// Dropped halfway, as by `select!` or by a loop that is closed, it runs no exit: nothing can await then. What must happen
/// even so belongs into a destructor of `entered`.
///
/// # Panics
/// With the body's panic, unless `exit` takes it, and with that of `exit`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{async_with, get_running_loop, sleep};
///
/// // A context manager is a function: this one times its body.
/// async fn timed<R>(body: impl AsyncFnOnce() -> R) -> (R, Duration) {
///     let own = get_running_loop().expect("a loop runs");
///     let began = own.time();
///     let value = async_with((), async |_| body().await, async |_, ended| {
///         sleep(Duration::from_millis(1)).await; // for instance to write a log
///         ended
///     });
///     (value.await, own.time() - began)
/// }
///
/// let event_loop = perloop::EventLoop::builder().virtual_time().build()?;
/// let (words, time) = event_loop.run_until_complete(timed(async || {
///     sleep(Duration::from_millis(4)).await;
///     "slept well"
/// }))?;
/// assert_eq!((words, time), ("slept well", Duration::from_millis(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn async_with<V, R>(
    mut entered: V,
    body: impl AsyncFnOnce(&mut V) -> R,
    exit: impl AsyncFnOnce(V, BodyEnd<R>) -> BodyEnd<R>,
) -> R {
    let ended = match caught(catch_cancelled(body(&mut entered))).await {
        Ok(Ok(value)) => BodyEnd::Returned(value),
        Ok(Err(cancelled)) => BodyEnd::Cancelled(cancelled),
        Err(panicked) => BodyEnd::Panicked(panicked),
    };
    match exit(entered, ended).await {
        BodyEnd::Returned(value) => value,
        BodyEnd::Panicked(panicked) => resume_unwind(panicked.into_payload()),
        BodyEnd::Cancelled(cancelled) => match cancelled.raise().await {},
    }
}
