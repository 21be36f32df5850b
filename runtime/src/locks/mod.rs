//! What tasks of one loop wait for each other with. None of it leaves its thread.

mod event;
mod line;
mod lock;

pub use event::Event;
pub use lock::{Lock, LockGuard, NotAcquired};
