//! The executors of the futures crate.

use futures::executor;
use futures::future::RemoteHandle;
use futures::task::{LocalSpawnExt as _, SpawnExt as _};

use super::thread::reason;
use super::{LocalLoop, Worker};

/// A `ThreadPool` of one thread.
pub(crate) struct ThreadPool(executor::ThreadPool);

impl Worker for ThreadPool {
    const NAME: &'static str = "futures ThreadPool";
    type Handle = RemoteHandle<u64>;

    fn start() -> Result<Self, String> {
        executor::ThreadPool::builder().pool_size(1).create().map(Self).map_err(reason)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn_with_handle(body).expect("a pool takes tasks for ever")
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.0.spawn_ok(async { _ = body.await });
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> + Send + 'static {
        handle
    }
}

/// A `LocalPool`.
#[derive(Clone)]
pub(crate) struct LocalPool(executor::LocalSpawner);

impl LocalLoop for LocalPool {
    const NAME: &'static str = "futures LocalPool";
    type Handle = RemoteHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let mut pool = executor::LocalPool::new();
        let main = main(Self(pool.spawner()));
        pool.run_until(main);
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn_local_with_handle(body).expect("the pool is there while its main runs")
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}
