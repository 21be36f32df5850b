//! monoio: a loop on io_uring.

use std::time::Duration;

use flume::Receiver;
use futures::channel::oneshot;
use monoio::task::JoinHandle;
use monoio::{IoUringDriver, RuntimeBuilder};

use super::fed::{Feeder, Work, dispatch};
use super::thread::{Ready, reason};
use super::{LocalLoop, OwnLoop, Worker};

/// A loop on a thread of its own, and a task that takes work out of a channel.
pub(crate) struct Fed(Feeder);

impl Worker for Fed {
    const NAME: &'static str = "monoio, fed by a channel";
    type Handle = oneshot::Receiver<u64>;

    fn start() -> Result<Self, String> {
        Feeder::start(live).map(Self)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        self.0.submit(body)
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.0.forget(body);
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}

fn live(works: Receiver<Work>, ready: Ready<()>) {
    match RuntimeBuilder::<IoUringDriver>::new().build() {
        Ok(mut runtime) => {
            _ = ready.send(Ok(()));
            runtime.block_on(dispatch(works, |work| drop(monoio::spawn(work))));
        }
        Err(error) => _ = ready.send(Err(reason(error))),
    }
}

/// A loop in the calling thread.
#[derive(Clone)]
pub(crate) struct Local;

impl LocalLoop for Local {
    const NAME: &'static str = "monoio";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        RuntimeBuilder::<IoUringDriver>::new().build().map_err(reason)?.block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        monoio::spawn(body)
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}

impl OwnLoop for Local {
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        let builder = RuntimeBuilder::<IoUringDriver>::new().enable_timer();
        builder.build().map_err(reason)?.block_on(main(Self));
        Ok(())
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        monoio::spawn(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        monoio::time::timeout(time, body).await.expect("it is enough");
    }
}
