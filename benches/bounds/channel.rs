//! A thread that runs boxed closures out of a crossbeam channel: what one writes who has no loop.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::peers::Worker;

pub(crate) struct Channel(Sender<Box<dyn FnOnce() + Send>>);

impl Worker for Channel {
    const NAME: &'static str = "crossbeam channel, boxed closure";
    type Handle = Receiver<u64>;

    fn start() -> Result<Self, String> {
        let (sender, receiver) = unbounded::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || receiver.into_iter().for_each(|closure| closure()));
        Ok(Self(sender))
    }

    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        let (sender, receiver) = bounded(1);
        self.send(move || _ = sender.send(run(body)));
        receiver
    }

    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        self.send(|| _ = run(body));
    }

    /// Blocks the thread, which has nothing else to do.
    async fn join(handle: Self::Handle) -> u64 {
        Self::wait(handle)
    }

    fn wait(handle: Self::Handle) -> u64 {
        handle.recv().expect("it gives a value")
    }
}

impl Channel {
    fn send(&self, closure: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(closure)).expect("the thread takes closures for ever");
    }
}

/// A body is a closure here: it may block, and never waits.
fn run(body: impl Future<Output = u64>) -> u64 {
    match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a closure does not wait"),
    }
}
