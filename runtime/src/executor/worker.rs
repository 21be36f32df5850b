//! A pool's worker.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use perloop_bridge::{Promise, Staff};

use crate::executor::job::Job;

/// Says that all who had one are gone.
pub(super) struct EndNote(pub(super) Promise<()>);

impl Drop for EndNote {
    fn drop(&mut self) {
        // Whoever asked for it may have given up.
        let _set = self.0.set_result(());
    }
}

/// One thread of a pool.
pub(super) struct Worker {
    pub(super) queue: Receiver<Job>,
    pub(super) staff: Arc<Staff>,
    pub(super) idle_time: Duration,
    /// Dropped last.
    pub(super) _end: Arc<EndNote>,
}

impl Worker {
    /// The thread's whole life: until the pool has ended, or there was nothing to do for long.
    pub(super) fn live(self) {
        loop {
            match self.queue.recv_timeout(self.idle_time) {
                Ok(job) => {
                    job.run();
                    self.staff.finish();
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.staff.leave() => return,
                // A job is on its way.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
