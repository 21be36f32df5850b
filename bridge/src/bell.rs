//! What a producer rings when the loop that it pushed to is asleep. The bridge knows no I/O, so the runtime brings
//! the bell along.

/// Wakes the thread of one loop out of its wait.
///
/// A ring may come from any thread, at any time until the loop's last handle is gone, and also when the loop is
/// awake; then the next wait returns at once. Rings that come together may count as one.
pub trait Bell: Send + Sync {
    /// Makes the loop's current wait return, or its next one.
    fn ring(&self);
}
