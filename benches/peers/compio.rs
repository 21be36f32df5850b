//! compio: its dispatcher, and its runtime.

use std::num::NonZeroUsize;
use std::time::Duration;

use compio::dispatcher;
use compio::runtime::{JoinHandle, Runtime};
use futures::channel::oneshot;

use super::thread::reason;
use super::{LocalLoop, OwnLoop, Worker};

/// A `Dispatcher` of one thread.
pub(crate) struct Dispatcher(dispatcher::Dispatcher);

impl Worker for Dispatcher {
    const NAME: &'static str = "compio Dispatcher";
    type Handle = oneshot::Receiver<u64>;

    fn start() -> Result<Self, String> {
        dispatcher::Dispatcher::builder().worker_threads(NonZeroUsize::MIN).build().map(Self).map_err(reason)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.dispatch(move || body).unwrap_or_else(|_| panic!("the dispatcher has ended"))
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}

/// A `Runtime` in the calling thread.
#[derive(Clone)]
pub(crate) struct Local;

impl LocalLoop for Local {
    const NAME: &'static str = "compio";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        Runtime::new().map_err(reason)?.block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        compio::runtime::spawn(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.unwrap_or_else(|error| panic!("it gives a value: {error}"))
    }
}

impl OwnLoop for Local {
    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        compio::runtime::spawn(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        compio::time::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        compio::time::timeout(time, body).await.expect("it is enough");
    }
}
