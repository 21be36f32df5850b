//! Bounded queues between any two of thread and loop: perloop's, and the channels that go from thread to thread.

use ::perloop::{ThreadReceiver, ThreadSender, thread_queue};
use ::tokio::sync::mpsc::{Receiver, Sender, channel};

use super::channels::{AsyncChannel, BOUND, Flume, TokioBounded};
use super::{Worker, perloop, smol, tokio};
use crate::harness::metric::Outcome;
use crate::harness::workload::{Contestant, Role, Run};

/// A queue that holds [`BOUND`] items, with its two ends.
pub(crate) trait Crossing: 'static {
    type Sender: Send + 'static;
    type Receiver: Send + 'static;

    fn ends() -> (Self::Sender, Self::Receiver);

    fn put(sender: &mut Self::Sender, item: u64) -> impl Future<Output = ()> + Send;

    fn put_blocking(sender: &mut Self::Sender, item: u64);

    fn get(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

/// Something that is sent through a queue of the kind `T`, on whosever loops it is.
pub(crate) trait Across<T>: 'static {
    fn run<W: Worker>(run: &Run) -> Outcome;
}

/// All of them.
pub(crate) fn crossings<M>() -> Vec<Contestant>
where
    M: Across<ThreadQueue> + Across<AsyncChannel<BOUND>> + Across<Flume<BOUND>> + Across<TokioBounded>,
{
    type Ours = perloop::Loop<perloop::Adaptive>;
    vec![
        Contestant::new("perloop", Role::Ours, <M as Across<ThreadQueue>>::run::<Ours>),
        peer::<AsyncChannel<BOUND>, M, Ours>("async-channel, on perloop's loops"),
        peer::<AsyncChannel<BOUND>, M, smol::Shared>("async-channel, on smol Executors"),
        peer::<Flume<BOUND>, M, Ours>("flume, on perloop's loops"),
        peer::<Flume<BOUND>, M, tokio::CurrentThread<true>>("flume, on tokio current_threads"),
        peer::<TokioBounded, M, Ours>("tokio mpsc, on perloop's loops"),
        peer::<TokioBounded, M, tokio::CurrentThread<true>>("tokio mpsc, on tokio current_threads"),
    ]
}

fn peer<T: 'static, M: Across<T>, W: Worker>(name: &'static str) -> Contestant {
    Contestant::new(name, Role::Peer, M::run::<W>)
}

/// perloop's.
pub(crate) struct ThreadQueue;

impl Crossing for ThreadQueue {
    type Sender = ThreadSender<u64>;
    type Receiver = ThreadReceiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        thread_queue(BOUND)
    }

    async fn put(sender: &mut Self::Sender, item: u64) {
        sender.put(item).await.expect("the receiver is there");
    }

    fn put_blocking(sender: &mut Self::Sender, item: u64) {
        sender.put_blocking(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.get().await.expect("the sender is there")
    }
}

impl Crossing for AsyncChannel<BOUND> {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(BOUND)
    }

    async fn put(sender: &mut Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    fn put_blocking(sender: &mut Self::Sender, item: u64) {
        sender.send_blocking(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

impl Crossing for Flume<BOUND> {
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        flume::bounded(BOUND)
    }

    async fn put(sender: &mut Self::Sender, item: u64) {
        sender.send_async(item).await.expect("the receiver is there");
    }

    fn put_blocking(sender: &mut Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv_async().await.expect("the sender is there")
    }
}

impl Crossing for TokioBounded {
    type Sender = Sender<u64>;
    type Receiver = Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        channel(BOUND)
    }

    async fn put(sender: &mut Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    fn put_blocking(sender: &mut Self::Sender, item: u64) {
        sender.blocking_send(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}
