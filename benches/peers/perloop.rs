//! perloop itself.

use std::marker::PhantomData;
use std::time::Duration;

use perloop::{CrossThreadFuture, EventLoop, LoopThread, Spin, Task, run_coroutine_threadsafe};

use super::thread::reason;
use super::{LocalLoop, OwnLoop, Worker};

/// How a loop looks for news before it sleeps.
pub(crate) trait Spinning: Send + Sync + 'static {
    const NAME: &'static str;
    const SPIN: Spin;
}

pub(crate) struct Adaptive;

impl Spinning for Adaptive {
    const NAME: &'static str = "perloop";
    const SPIN: Spin = Spin::Adaptive;
}

pub(crate) struct Never;

impl Spinning for Never {
    const NAME: &'static str = "perloop, Spin::Never";
    const SPIN: Spin = Spin::Never;
}

/// A loop with a thread of its own.
pub(crate) struct Loop<S> {
    thread: LoopThread,
    spinning: PhantomData<S>,
}

impl<S: Spinning> Worker for Loop<S> {
    const NAME: &'static str = S::NAME;
    type Handle = CrossThreadFuture<u64>;

    fn start() -> Result<Self, String> {
        let builder = EventLoop::builder().spin(S::SPIN);
        let thread = LoopThread::spawn_with("loop", builder).map_err(reason)?;
        Ok(Self { thread, spinning: PhantomData })
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        run_coroutine_threadsafe(body, &self.thread)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn wait(handle: Self::Handle) -> u64 {
        handle.result().expect("it gives a value")
    }
}

/// A loop in the calling thread.
#[derive(Clone)]
pub(crate) struct Local;

impl LocalLoop for Local {
    const NAME: &'static str = "perloop";
    type Handle = Task<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        let event_loop = EventLoop::builder().build().map_err(reason)?;
        event_loop.run_until_complete(main(Self)).map_err(reason)
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        perloop::create_task(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        perloop::yield_now()
    }
}

impl OwnLoop for Local {
    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        perloop::create_task(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        perloop::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        perloop::timeout(time, body).await.expect("it is enough");
    }
}
