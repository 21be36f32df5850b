//! What tasks of one loop wait for each other with. None of it leaves its thread.

mod barrier;
mod bounded_semaphore;
mod condition;
mod event;
mod lock;
mod semaphore;

pub use barrier::{Barrier, BrokenBarrier, NoParties};
pub use bounded_semaphore::{BoundedSemaphore, ReleasedTooMany};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard, NotAcquired};
pub use semaphore::{Semaphore, SemaphorePermit};
