//! No framework: a task of tokio's that receives from tokio's channel, and answers by its `oneshot`.

use tokio::sync::{mpsc, oneshot};

use super::{ActorSystem, Add, AddAndGet, Do, Sum, Work};
use crate::peers::tokio::CurrentThread;

/// With channels as bounded as perloop's mailboxes, or unbounded.
pub(crate) struct Tasks<const IS_BOUNDED: bool>;

impl<const IS_BOUNDED: bool> ActorSystem for Tasks<IS_BOUNDED> {
    const NAME: &'static str =
        if IS_BOUNDED { "tokio mpsc by hand, bounded" } else { "tokio mpsc by hand, unbounded" };
    const IS_FRAMEWORK: bool = false;
    type Loop = CurrentThread<true>;
    type Address = Sender;

    async fn create() -> Self::Address {
        if IS_BOUNDED {
            let (sender, mut receiver) = mpsc::channel::<Letter>(1024);
            tokio::spawn(async move {
                let mut sum = Sum::default();
                while let Some(letter) = receiver.recv().await {
                    letter.open(&mut sum).await;
                }
            });
            Sender::Bounded(sender)
        } else {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Letter>();
            tokio::spawn(async move {
                let mut sum = Sum::default();
                while let Some(letter) = receiver.recv().await {
                    letter.open(&mut sum).await;
                }
            });
            Sender::Unbounded(sender)
        }
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.send(Letter::Add(Add(number))).await;
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        let letter = Letter::Add(Add(number));
        match address {
            Sender::Bounded(sender) => sender.blocking_send(letter).expect("it lives"),
            Sender::Unbounded(sender) => sender.send(letter).expect("it lives"),
        }
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        let (reply, replied) = oneshot::channel();
        address.send(Letter::AddAndGet(AddAndGet(number), reply)).await;
        replied.await.expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        let (reply, replied) = oneshot::channel();
        address.send(Letter::Do(Do(work), reply)).await;
        replied.await.expect("it answers");
    }
}

#[derive(Clone)]
pub(crate) enum Sender {
    Bounded(mpsc::Sender<Letter>),
    Unbounded(mpsc::UnboundedSender<Letter>),
}

impl Sender {
    async fn send(&self, letter: Letter) {
        match self {
            Self::Bounded(sender) => sender.send(letter).await.expect("it lives"),
            Self::Unbounded(sender) => sender.send(letter).expect("it lives"),
        }
    }
}

pub(crate) enum Letter {
    Add(Add),
    AddAndGet(AddAndGet, oneshot::Sender<u64>),
    Do(Do, oneshot::Sender<()>),
}

impl Letter {
    async fn open(self, sum: &mut Sum) {
        match self {
            Self::Add(Add(number)) => _ = sum.add(number),
            Self::AddAndGet(AddAndGet(number), reply) => _ = reply.send(sum.add(number)),
            Self::Do(Do(work), reply) => {
                work.await;
                _ = reply.send(());
            }
        }
    }
}
