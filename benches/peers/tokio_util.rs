//! tokio-util: a pool of threads with local tasks.

use tokio::task::JoinHandle;
use tokio_util::task::LocalPoolHandle;

use super::Worker;

/// A `LocalPoolHandle` of one thread.
pub(crate) struct LocalPool(LocalPoolHandle);

impl Worker for LocalPool {
    const NAME: &'static str = "tokio-util LocalPoolHandle";
    type Handle = JoinHandle<u64>;

    fn start() -> Result<Self, String> {
        Ok(Self(LocalPoolHandle::new(1)))
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn_pinned(move || body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}
