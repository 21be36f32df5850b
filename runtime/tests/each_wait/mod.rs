//! The two ways in which a loop waits, so that a test tries both.

use perloop::{Builder, EventLoop};

/// Runs the test with the system's own wait, and with the portable one.
pub(crate) fn with_each_wait(test: impl Fn(Builder)) {
    test(EventLoop::builder());
    test(EventLoop::builder().portable_wait());
}
