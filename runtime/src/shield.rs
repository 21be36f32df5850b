//! `shield`: an await that may be cancelled without what it waits for.

use std::panic::Location;
use std::rc::{Rc, Weak};

use crate::current;
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::loop_future::{self, AnyState, LoopFuture, State};
use crate::task::Awaited;

/// Makes a future that ends as the given one does, and can be cancelled, or await in a task that is cancelled, while
/// the given one goes on: asyncio's `shield`. Of a future that is done it is that future. For a coroutine make a task
/// first, and keep it: what nobody holds goes on as well, but nobody hears how it ends.
///
/// Cancelling the inner one cancels the shield. If the shield was cancelled and the inner one fails later, the
/// exception handler hears of it: once, however many shields around it were cancelled.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{create_task, ensure_future, shield, sleep, wait_for};
///
/// perloop::run(async {
///     let work = ensure_future(create_task(async {
///         sleep(Duration::from_millis(2)).await;
///         42
///     }));
///     assert!(wait_for(shield(&work), Duration::from_millis(1)).await.is_err());
///     assert_eq!(work.await, Ok(42)); // it went on
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[track_caller]
pub fn shield<T: Clone + 'static>(awaitable: impl Into<LoopFuture<T>>) -> LoopFuture<T> {
    let inner = awaitable.into();
    let awaited = inner.as_awaited();
    let own = current::find_owned(awaited.loop_id());
    let Some(own) = own.filter(|_| !awaited.done()) else { return inner };
    let outer = State::new(&own, Location::caller());
    link(&inner, &outer);
    LoopFuture::new(outer)
}

fn link<T: Clone + 'static>(inner: &LoopFuture<T>, outer: &Rc<State<T>>) {
    let to = Rc::downgrade(outer);
    let place = inner.add_done_callback(move |inner| pass_on(inner, &to));
    let link = Link { inner: inner.as_awaited(), place: place.0 };
    outer.as_awaited().add_callback(move |_| {
        // Cancelled first: from now on a failure of the inner one is nobody's.
        if link.cut() {
            link.inner.note_cancelled_shield();
        }
    });
}

/// The callback on the inner one, as long as the outer one waits for it. A shield that is dropped leaves nothing there.
struct Link {
    inner: Awaited,
    place: u64,
}

impl Link {
    /// False: the inner one has ended.
    fn cut(&self) -> bool {
        self.inner.remove_callback(self.place)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The inner one has ended.
fn pass_on<T: Clone + 'static>(inner: &LoopFuture<T>, to: &Weak<State<T>>) {
    let Some(outer) = to.upgrade() else { return };
    if inner.cancelled() {
        let outer: Rc<dyn AnyState> = outer;
        loop_future::cancel(&outer, None);
    } else {
        outer.settle(inner.result());
    }
}

/// The end of what a cancelled shield was around.
pub(crate) fn report(inner: &Awaited) {
    if let (Some(panicked), Some(own)) = (inner.failure(), current::find_owned(inner.loop_id())) {
        let context = ExceptionContext::of_panic(ExceptionKind::Shielded, panicked);
        let (task, created_at) = (inner.task(), Some(inner.created_at()));
        own.report(&ExceptionContext { task, created_at, ..context });
    }
}

#[cfg(test)]
mod tests {
    use crate::{create_future, shield};

    #[test]
    fn one_that_is_dropped_leaves_nothing_on_what_it_shielded() -> Result<(), crate::RunError> {
        crate::run(async {
            let inner = create_future::<()>();
            for place in 1..=3 {
                drop(shield(&inner));
                assert!(!inner.as_awaited().remove_callback(place));
            }
        })
    }
}
