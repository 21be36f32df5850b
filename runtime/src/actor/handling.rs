//! Which actor's handler runs in this thread.

use std::cell::Cell;

thread_local! {
    /// The number of its mailbox.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The actor whose handler is being polled.
pub(crate) fn current() -> Option<usize> {
    CURRENT.get()
}

/// Calls `poll`, in which the handler of the actor of this number is polled.
#[inline]
pub(crate) fn within<R>(id: usize, poll: impl FnOnce() -> R) -> R {
    with(Some(id), poll)
}

/// Calls `poll`, for which no handler waits, even if one runs.
#[inline]
pub(crate) fn outside<R>(poll: impl FnOnce() -> R) -> R {
    with(None, poll)
}

#[inline]
fn with<R>(current: Option<usize>, poll: impl FnOnce() -> R) -> R {
    struct Reset(Option<usize>);
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _reset = Reset(CURRENT.replace(current));
    poll()
}
