//! smol's executors, each on one thread, and without smol's reactor where they need not keep time.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_executor::{Executor, LocalExecutor, StaticExecutor, StaticLocalExecutor, Task};
use async_io::Timer;
use futures_lite::future::{block_on, or};

use super::{LocalLoop, OwnLoop, Worker};

/// An `Executor`, and a thread that runs it.
pub(crate) struct Shared(Arc<Executor<'static>>);

impl Worker for Shared {
    const NAME: &'static str = "smol Executor";
    type Handle = Task<u64>;

    fn start() -> Result<Self, String> {
        let executor = Arc::new(Executor::new());
        let its = Arc::clone(&executor);
        std::thread::spawn(move || block_on(its.run(pending::<()>())));
        Ok(Self(executor))
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.0.spawn(body).detach();
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> + Send + 'static {
        handle
    }
}

/// A `StaticExecutor`, which keeps no list of its tasks.
pub(crate) struct SharedStatic(&'static StaticExecutor);

impl Worker for SharedStatic {
    const NAME: &'static str = "smol StaticExecutor";
    type Handle = Task<u64>;

    fn start() -> Result<Self, String> {
        let executor: &'static StaticExecutor = Box::leak(Box::new(StaticExecutor::new()));
        std::thread::spawn(|| block_on(executor.run(pending::<()>())));
        Ok(Self(executor))
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.0.spawn(body).detach();
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> + Send + 'static {
        handle
    }
}

/// A `LocalExecutor`.
#[derive(Clone)]
pub(crate) struct Local(Rc<LocalExecutor<'static>>);

impl LocalLoop for Local {
    const NAME: &'static str = "smol LocalExecutor";
    type Handle = Task<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let executor = Rc::new(LocalExecutor::new());
        block_on(executor.run(main(Self(Rc::clone(&executor)))));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}

impl OwnLoop for Local {
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        let executor = Rc::new(LocalExecutor::new());
        async_io::block_on(executor.run(main(Self(Rc::clone(&executor)))));
        Ok(())
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        sleep(time)
    }

    fn timeout(time: Duration, body: impl Future<Output = ()>) -> impl Future<Output = ()> {
        or(body, sleep(time))
    }
}

/// A `StaticLocalExecutor`, which keeps no list of its tasks.
#[derive(Clone)]
pub(crate) struct LocalStatic(&'static StaticLocalExecutor);

impl LocalLoop for LocalStatic {
    const NAME: &'static str = "smol StaticLocalExecutor";
    type Handle = Task<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let executor: &'static StaticLocalExecutor = Box::leak(Box::new(StaticLocalExecutor::new()));
        block_on(executor.run(main(Self(executor))));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}

impl OwnLoop for LocalStatic {
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        let executor: &'static StaticLocalExecutor = Box::leak(Box::new(StaticLocalExecutor::new()));
        async_io::block_on(executor.run(main(Self(executor))));
        Ok(())
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        sleep(time)
    }

    fn timeout(time: Duration, body: impl Future<Output = ()>) -> impl Future<Output = ()> {
        or(body, sleep(time))
    }
}

async fn sleep(time: Duration) {
    Timer::after(time).await;
}
