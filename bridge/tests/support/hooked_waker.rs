//! A waker that tells of each use of it. (The runtime's tests use it too.)
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of several test programs, the root of none")]

use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What is done to a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    Cloned,
    Woken,
    WokenByRef,
    Dropped,
}

type Hook = Box<dyn Fn(Used) + Send + Sync>;

/// Makes a waker that calls `hook` at each use, which may panic or do what it likes.
pub fn hooked_waker(hook: impl Fn(Used) + Send + Sync + 'static) -> Waker {
    let hook: Arc<Hook> = Arc::new(Box::new(hook));
    // SAFETY: the table keeps to the contract of wakers; each waker owns one count of the `Arc`.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &TABLE)) }
}

/// Makes a waker that panics when it is used in this way.
pub fn waker_that_panics(when: Used) -> Waker {
    hooked_waker(move |used| {
        if used == when && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("a waker's"));
        }
    })
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_it);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's waker keeps the hook.
    (unsafe { &*data.cast::<Hook>() })(Used::Cloned);
    // SAFETY: the pointer is that of `Arc::into_raw`, and the caller's waker has a count.
    unsafe { Arc::increment_strong_count(data.cast::<Hook>()) };
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's waker gives its count up.
    let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
    hook(Used::Woken);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller's waker keeps the hook.
    (unsafe { &*data.cast::<Hook>() })(Used::WokenByRef);
}

unsafe fn drop_it(data: *const ()) {
    // SAFETY: the caller's waker gives its count up.
    let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
    hook(Used::Dropped);
}
