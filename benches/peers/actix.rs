//! actix-rt: tokio's `LocalSet` on a thread of its own, fed by a channel.

use actix_rt::System;
use futures::channel::oneshot;
use tokio::task::JoinHandle;

use super::thread::reason;
use super::{LocalLoop, Worker};

/// An `Arbiter`. It gives no handles, so that outcomes come by a channel.
pub(crate) struct Arbiter(actix_rt::Arbiter);

impl Worker for Arbiter {
    const NAME: &'static str = "actix-rt Arbiter";
    type Handle = oneshot::Receiver<u64>;

    fn start() -> Result<Self, String> {
        if System::try_current().is_none() {
            // An arbiter needs a system, and not that it runs.
            std::mem::forget(System::new());
        }
        actix_rt::Arbiter::try_new().map(Self).map_err(reason)
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(async { _ = sender.send(body.await) });
        receiver
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.0.spawn(async { _ = body.await });
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }
}

/// `actix_rt::spawn` in a runtime of the calling thread.
#[derive(Clone)]
pub(crate) struct Local;

impl LocalLoop for Local {
    const NAME: &'static str = "actix-rt";
    type Handle = JoinHandle<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        actix_rt::Runtime::new().map_err(reason)?.block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        actix_rt::spawn(body)
    }

    async fn join(handle: Self::Handle) -> u64 {
        handle.await.expect("it gives a value")
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}
