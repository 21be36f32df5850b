//! tokio: its runtimes of one thread and of several, and its three ways of having local tasks.

use std::future::pending;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::thread::{self, reason};
use super::{LocalLoop, OwnLoop, Worker};

/// A `current_thread` runtime on a thread of its own, with `Handle::spawn`. One that can wait for I/O is woken by a
/// system call, one that cannot by a condition variable.
pub(crate) struct CurrentThread<const HAS_IO: bool>(Handle);

impl<const HAS_IO: bool> Worker for CurrentThread<HAS_IO> {
    const NAME: &'static str = if HAS_IO { "tokio current_thread" } else { "tokio current_thread, no I/O" };
    type Handle = JoinHandle<u64>;

    fn start() -> Result<Self, String> {
        let mut builder = Builder::new_current_thread();
        if HAS_IO {
            builder.enable_io();
        }
        let live = move |ready: thread::Ready<Handle>| match builder.build() {
            Ok(runtime) => {
                _ = ready.send(Ok(runtime.handle().clone()));
                runtime.block_on(pending())
            }
            Err(error) => _ = ready.send(Err(reason(error))),
        };
        thread::start(live).map(Self)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}

/// A `multi_thread` runtime with so many threads, that can wait for I/O.
pub(crate) struct MultiThread<const THREADS: usize>(Runtime);

impl<const THREADS: usize> Worker for MultiThread<THREADS> {
    const NAME: &'static str =
        if THREADS == 1 { "tokio multi_thread, 1 thread" } else { "tokio multi_thread, 2 threads" };
    type Handle = JoinHandle<u64>;

    fn start() -> Result<Self, String> {
        Builder::new_multi_thread().worker_threads(THREADS).enable_io().build().map(Self).map_err(reason)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.spawn(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}

/// `spawn_local` in a `LocalSet`.
#[derive(Clone)]
pub(crate) struct LocalSet;

impl LocalLoop for LocalSet {
    const NAME: &'static str = "tokio LocalSet";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let runtime = Builder::new_current_thread().build().map_err(reason)?;
        tokio::task::LocalSet::new().block_on(&runtime, main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        tokio::task::spawn_local(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}

impl OwnLoop for LocalSet {
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        let runtime = Builder::new_current_thread().enable_time().build().map_err(reason)?;
        tokio::task::LocalSet::new().block_on(&runtime, main(Self));
        Ok(())
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        tokio::task::spawn_local(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        tokio::time::timeout(time, body).await.expect("it is enough");
    }
}

/// `spawn_local` in a `LocalRuntime`.
#[derive(Clone)]
pub(crate) struct LocalRuntime;

impl LocalLoop for LocalRuntime {
    const NAME: &'static str = "tokio LocalRuntime";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let runtime = Builder::new_current_thread().build_local(Default::default()).map_err(reason)?;
        runtime.block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        tokio::task::spawn_local(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}

impl OwnLoop for LocalRuntime {
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        let runtime =
            Builder::new_current_thread().enable_time().build_local(Default::default()).map_err(reason)?;
        runtime.block_on(main(Self));
        Ok(())
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        tokio::task::spawn_local(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        tokio::time::timeout(time, body).await.expect("it is enough");
    }
}

/// `spawn` in a `current_thread` runtime: its tasks must be `Send`.
#[derive(Clone)]
pub(crate) struct LocalCurrentThread;

impl LocalLoop for LocalCurrentThread {
    const NAME: &'static str = "tokio current_thread (Send)";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let runtime = Builder::new_current_thread().build().map_err(reason)?;
        runtime.block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        tokio::task::spawn(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}
