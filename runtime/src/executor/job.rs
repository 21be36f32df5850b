//! A job: what it runs in, and how its outcome comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use perloop_bridge::{CrossThreadFuture, Panicked, Promise};

use crate::context::Carried;

/// What a worker takes out of the queue.
pub(super) struct Job(Box<dyn FnOnce() + Send>);

impl Job {
    /// Prepares `work`, and gives the future of its outcome. Dropped without having been run, the future is cancelled.
    pub(super) fn new<T, F>(work: F) -> (Self, CrossThreadFuture<T>)
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (mut promise, future) = Promise::new();
        let carried = Carried::now();
        let work = Box::new(move || {
            if !promise.set_running_or_notify_cancel() {
                // It was taken back.
                return;
            }
            let set = match catch_unwind(AssertUnwindSafe(|| Carried::run(carried, work))) {
                Ok(value) => promise.set_result(value),
                Err(payload) => promise.set_exception(Panicked::new(payload)),
            };
            set.expect("what runs is set by nobody else");
        });
        (Self(work), future)
    }

    /// Runs it. What panics here besides the job itself is a destructor, and the panic hook has reported it.
    pub(super) fn run(self) {
        drop(catch_unwind(AssertUnwindSafe(self.0)).map_err(Panicked::new));
    }
}
