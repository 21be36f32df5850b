//! For runtimes to which other threads cannot submit: a task on the loop takes work out of a channel and spawns it, as
//! compio's dispatcher does.

use std::pin::Pin;

use flume::{Receiver, Sender};
use futures::channel::oneshot;

use super::thread::{self, Ready};

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The channel's other end.
pub(crate) struct Feeder(Sender<Work>);

impl Feeder {
    /// Starts the thread, which runs [`dispatch`] when it has said that it is ready.
    pub(crate) fn start(live: fn(Receiver<Work>, Ready<()>)) -> Result<Self, String> {
        let (sender, receiver) = flume::unbounded();
        thread::start(move |ready| live(receiver, ready))?;
        Ok(Self(sender))
    }

    pub(crate) fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        self.feed(Box::pin(async { _ = sender.send(body.await) }));
        receiver
    }

    pub(crate) fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.feed(Box::pin(async { _ = body.await }));
    }

    fn feed(&self, work: Work) {
        self.0.send(work).expect("the dispatcher takes work for ever");
    }
}

/// Spawns what comes, for as long as anything can come.
pub(crate) async fn dispatch(works: Receiver<Work>, spawn: impl Fn(Work)) {
    while let Ok(work) = works.recv_async().await {
        spawn(work);
    }
}
