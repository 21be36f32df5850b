//! What tasks hold for a while: locks and semaphores.

use ::glommio::sync::Semaphore as GlommioSemaphore;
use ::perloop::{Lock, Semaphore};
use ::tokio::sync::{Mutex as TokioMutex, Semaphore as TokioSemaphore};
use async_lock::{Mutex as SmolMutex, Semaphore as SmolSemaphore};
use async_unsync::semaphore::Semaphore as UnsyncSemaphore;

use super::{Meeting, glommio, meeting, ours, perloop, smol, tokio};
use crate::harness::workload::Contestant;

/// So many tasks hold a semaphore at a time.
const PERMITS: usize = 2;

/// A lock or a semaphore.
pub(crate) trait Hold: 'static {
    fn make() -> Self;

    /// Waits until it can be held. It is held as long as what this gives lives.
    async fn acquire(&self) -> impl Sized;
}

/// Locks.
pub(crate) fn locks<M>() -> Vec<Contestant>
where
    M: Meeting<Lock> + Meeting<TokioMutex<()>> + Meeting<SmolMutex<()>>,
{
    vec![
        ours::<Lock, M>(),
        meeting::<TokioMutex<()>, M, perloop::Local>("tokio Mutex, on perloop's loop"),
        meeting::<TokioMutex<()>, M, tokio::LocalSet>("tokio Mutex, on tokio LocalSet"),
        meeting::<SmolMutex<()>, M, perloop::Local>("async-lock Mutex, on perloop's loop"),
        meeting::<SmolMutex<()>, M, smol::Local>("async-lock Mutex, on smol LocalExecutor"),
    ]
}

/// Semaphores.
pub(crate) fn semaphores<M>() -> Vec<Contestant>
where
    M: Meeting<Semaphore> + Meeting<TokioSemaphore> + Meeting<SmolSemaphore>,
    M: Meeting<UnsyncSemaphore> + Meeting<GlommioSemaphore>,
{
    vec![
        ours::<Semaphore, M>(),
        meeting::<TokioSemaphore, M, perloop::Local>("tokio, on perloop's loop"),
        meeting::<TokioSemaphore, M, tokio::LocalSet>("tokio, on tokio LocalSet"),
        meeting::<SmolSemaphore, M, perloop::Local>("async-lock, on perloop's loop"),
        meeting::<SmolSemaphore, M, smol::Local>("async-lock, on smol LocalExecutor"),
        meeting::<UnsyncSemaphore, M, perloop::Local>("async-unsync, on perloop's loop"),
        meeting::<GlommioSemaphore, M, glommio::Local>("glommio"),
    ]
}

impl Hold for Lock {
    fn make() -> Self {
        Self::new()
    }

    async fn acquire(&self) -> impl Sized {
        Self::acquire(self).await
    }
}

impl Hold for TokioMutex<()> {
    fn make() -> Self {
        Self::new(())
    }

    async fn acquire(&self) -> impl Sized {
        self.lock().await
    }
}

impl Hold for SmolMutex<()> {
    fn make() -> Self {
        Self::new(())
    }

    async fn acquire(&self) -> impl Sized {
        self.lock().await
    }
}

impl Hold for Semaphore {
    fn make() -> Self {
        Self::new(PERMITS)
    }

    async fn acquire(&self) -> impl Sized {
        Self::acquire(self).await
    }
}

impl Hold for TokioSemaphore {
    fn make() -> Self {
        Self::new(PERMITS)
    }

    async fn acquire(&self) -> impl Sized {
        Self::acquire(self).await.expect("it is open")
    }
}

impl Hold for SmolSemaphore {
    fn make() -> Self {
        Self::new(PERMITS)
    }

    async fn acquire(&self) -> impl Sized {
        Self::acquire(self).await
    }
}

impl Hold for UnsyncSemaphore {
    fn make() -> Self {
        Self::new(PERMITS)
    }

    async fn acquire(&self) -> impl Sized {
        Self::acquire(self).await.expect("it is open")
    }
}

impl Hold for GlommioSemaphore {
    fn make() -> Self {
        Self::new(PERMITS as u64)
    }

    async fn acquire(&self) -> impl Sized {
        self.acquire_permit(1).await.expect("it is open")
    }
}
