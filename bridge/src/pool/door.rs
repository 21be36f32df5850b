//! A lock for which nobody waits.
//!
//! The models see who finds it taken. With a `Mutex` they would not: loom does not try what happens between the taking and
//! the leaving of one.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::sync::{AtomicUsize, Ordering, UnsafeCell};

const FREE: usize = 0;
const TAKEN: usize = 1;

/// A value that one thread has at a time.
pub(super) struct Door<T> {
    state: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the value goes from thread to thread, and is never two threads' at once.
unsafe impl<T: Send> Sync for Door<T> {}

/// Who is inside.
pub(super) struct Inside<'a, T>(&'a Door<T>);

impl<T> Door<T> {
    pub(super) fn new(value: T) -> Self {
        Self { state: AtomicUsize::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Goes in, unless somebody is inside.
    pub(super) fn enter(&self) -> Option<Inside<'_, T>> {
        // ORDERING: Acquire pairs with the Release of who was inside before. Relaxed on failure, as nothing is read then.
        let entered = self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        entered.is_ok().then(|| Inside(self))
    }
}

impl<T> fmt::Debug for Door<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl<T> Deref for Inside<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: nobody else is inside.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for Inside<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: nobody else is inside.
        self.0.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        // ORDERING: Release: what was done inside comes before the next one's.
        self.0.state.store(FREE, Ordering::Release);
    }
}
