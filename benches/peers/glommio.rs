//! glommio: a loop on io_uring.

use std::time::Duration;

use flume::Receiver;
use futures::channel::oneshot;
use glommio::{LocalExecutorBuilder, Placement, Task};

use super::fed::{Feeder, Work, dispatch};
use super::thread::{Ready, reason};
use super::{LocalLoop, OwnLoop, Worker};

/// A loop on a thread of its own, and a task that takes work out of a channel.
pub(crate) struct Fed(Feeder);

impl Worker for Fed {
    const NAME: &'static str = "glommio, fed by a channel";
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
    match LocalExecutorBuilder::new(Placement::Unbound).make() {
        Ok(executor) => {
            _ = ready.send(Ok(()));
            executor.run(dispatch(works, |work| drop(glommio::spawn_local(work).detach())));
        }
        Err(error) => _ = ready.send(Err(reason(error))),
    }
}

/// A loop in the calling thread.
#[derive(Clone)]
pub(crate) struct Local;

impl LocalLoop for Local {
    const NAME: &'static str = "glommio";
    type Handle = Task<u64>;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        LocalExecutorBuilder::new(Placement::Unbound).make().map_err(reason)?.run(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        glommio::spawn_local(body)
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}

impl OwnLoop for Local {
    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle {
        glommio::spawn_local(body)
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> {
        glommio::timer::sleep(time)
    }

    async fn timeout(time: Duration, body: impl Future<Output = ()>) {
        let in_time = glommio::timer::timeout(time, async {
            body.await;
            Ok::<_, glommio::GlommioError<()>>(())
        });
        in_time.await.expect("it is enough");
    }
}
