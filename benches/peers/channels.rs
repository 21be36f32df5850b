//! Queues between two tasks of a loop: perloop's, channels that stay in their thread, and channels that need not.

use std::rc::Rc;

use ::glommio::channels::local_channel::{self as glommio_channel, LocalReceiver, LocalSender};
use ::tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use async_unsync::{bounded as bounded_unsync, unbounded as unsync};
use futures::StreamExt as _;
use local_channel::mpsc;

use super::{Meeting, glommio, meeting, ours, perloop, smol, tokio};
use crate::harness::workload::Contestant;

/// So many items a bounded one holds.
pub(crate) const BOUND: usize = 1_024;

/// A queue with its two ends.
pub(crate) trait Channel: 'static {
    type Sender: 'static;
    type Receiver: 'static;

    fn ends() -> (Self::Sender, Self::Receiver);

    async fn put(sender: &Self::Sender, item: u64);

    async fn get(receiver: &mut Self::Receiver) -> u64;
}

/// Those that hold any number of items.
pub(crate) fn unbounded<M>() -> Vec<Contestant>
where
    M: Meeting<Ours<0>> + Meeting<LocalChannel> + Meeting<UnsyncUnbounded> + Meeting<TokioUnbounded>,
    M: Meeting<AsyncChannel<0>> + Meeting<Flume<0>> + Meeting<Glommio<0>>,
{
    vec![
        ours::<Ours<0>, M>(),
        meeting::<LocalChannel, M, perloop::Local>("local-channel, on perloop's loop"),
        meeting::<LocalChannel, M, tokio::LocalSet>("local-channel, on tokio LocalSet"),
        meeting::<UnsyncUnbounded, M, perloop::Local>("async-unsync, on perloop's loop"),
        meeting::<TokioUnbounded, M, perloop::Local>("tokio mpsc, on perloop's loop"),
        meeting::<TokioUnbounded, M, tokio::LocalSet>("tokio mpsc, on tokio LocalSet"),
        meeting::<AsyncChannel<0>, M, perloop::Local>("async-channel, on perloop's loop"),
        meeting::<AsyncChannel<0>, M, smol::Local>("async-channel, on smol LocalExecutor"),
        meeting::<Flume<0>, M, perloop::Local>("flume, on perloop's loop"),
        meeting::<Glommio<0>, M, glommio::Local>("glommio local_channel"),
    ]
}

/// Those that hold [`BOUND`] items.
pub(crate) fn bounded<M>() -> Vec<Contestant>
where
    M: Meeting<Ours<BOUND>> + Meeting<UnsyncBounded> + Meeting<TokioBounded>,
    M: Meeting<AsyncChannel<BOUND>> + Meeting<Flume<BOUND>> + Meeting<Glommio<BOUND>>,
{
    vec![
        ours::<Ours<BOUND>, M>(),
        meeting::<UnsyncBounded, M, perloop::Local>("async-unsync, on perloop's loop"),
        meeting::<TokioBounded, M, perloop::Local>("tokio mpsc, on perloop's loop"),
        meeting::<TokioBounded, M, tokio::LocalSet>("tokio mpsc, on tokio LocalSet"),
        meeting::<AsyncChannel<BOUND>, M, perloop::Local>("async-channel, on perloop's loop"),
        meeting::<AsyncChannel<BOUND>, M, smol::Local>("async-channel, on smol LocalExecutor"),
        meeting::<Flume<BOUND>, M, perloop::Local>("flume, on perloop's loop"),
        meeting::<Glommio<BOUND>, M, glommio::Local>("glommio local_channel"),
    ]
}

/// perloop's `Queue`; of no maximum if `N` is zero, as all of these.
pub(crate) struct Ours<const N: usize>;

impl<const N: usize> Channel for Ours<N> {
    type Sender = Rc<::perloop::Queue<u64>>;
    type Receiver = Rc<::perloop::Queue<u64>>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        let queue = Rc::new(::perloop::Queue::new(N));
        (Rc::clone(&queue), queue)
    }

    async fn put(sender: &Self::Sender, item: u64) {
        if N == 0 {
            // It need not wait, as with all that are unbounded.
            sender.put_nowait(item).expect("it is open");
        } else {
            sender.put(item).await.expect("it is open");
        }
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.get().await.expect("the sender is there")
    }
}

/// What actix has for it.
pub(crate) struct LocalChannel;

impl Channel for LocalChannel {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        mpsc::channel()
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.next().await.expect("the sender is there")
    }
}

/// async-unsync's, unbounded.
pub(crate) struct UnsyncUnbounded;

impl Channel for UnsyncUnbounded {
    type Sender = unsync::UnboundedSender<u64>;
    type Receiver = unsync::UnboundedReceiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        unsync::channel().into_split()
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

/// async-unsync's, bounded.
pub(crate) struct UnsyncBounded;

impl Channel for UnsyncBounded {
    type Sender = bounded_unsync::Sender<u64>;
    type Receiver = bounded_unsync::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        bounded_unsync::channel(BOUND).into_split()
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

/// tokio's, unbounded.
pub(crate) struct TokioUnbounded;

impl Channel for TokioUnbounded {
    type Sender = UnboundedSender<u64>;
    type Receiver = UnboundedReceiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        unbounded_channel()
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

/// tokio's, bounded.
pub(crate) struct TokioBounded;

impl Channel for TokioBounded {
    type Sender = Sender<u64>;
    type Receiver = Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        channel(BOUND)
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

/// smol's.
pub(crate) struct AsyncChannel<const N: usize>;

impl<const N: usize> Channel for AsyncChannel<N> {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        if N == 0 { async_channel::unbounded() } else { async_channel::bounded(N) }
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

/// flume's.
pub(crate) struct Flume<const N: usize>;

impl<const N: usize> Channel for Flume<N> {
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        if N == 0 { flume::unbounded() } else { flume::bounded(N) }
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send_async(item).await.expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv_async().await.expect("the sender is there")
    }
}

/// glommio's between tasks.
pub(crate) struct Glommio<const N: usize>;

impl<const N: usize> Channel for Glommio<N> {
    type Sender = LocalSender<u64>;
    type Receiver = LocalReceiver<u64>;

    fn ends() -> (Self::Sender, Self::Receiver) {
        if N == 0 { glommio_channel::new_unbounded() } else { glommio_channel::new_bounded(N) }
    }

    async fn put(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    async fn get(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}
