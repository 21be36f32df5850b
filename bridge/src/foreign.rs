//! Running code that is not ours: bodies, destructors, wakers, callbacks. It may panic, re-enter, or drop the last
//! reference to anything, so it runs outside every lock, after every change of state, and inside these functions.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::errors::Panicked;

/// Runs `code`; a panic in it ends here.
#[inline]
pub(crate) fn contain<R>(code: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Panicked::new)
}

/// Drops `value`; a panic in its destructor ends here. (The panic hook has reported it.)
#[inline]
pub(crate) fn drop_contained<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        drop_payload(Some(payload));
    }
}

/// Drops what a panic threw, which may panic in turn; what *that* throws is forgotten, or there would be no end.
pub(crate) fn drop_payload(payload: Option<Box<dyn Any + Send>>) {
    if let Err(bomb) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(bomb);
    }
}
