//! ractor, on a `current_thread` runtime of tokio's.

use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::{ActorSystem, Add, AddAndGet, Do, Sum, Work};
use crate::peers::tokio::CurrentThread;

pub(crate) struct Actors;

impl ActorSystem for Actors {
    const NAME: &'static str = "ractor";
    type Loop = CurrentThread<true>;
    type Address = ActorRef<Letter>;

    async fn create() -> Self::Address {
        Actor::spawn(None, Summing, Sum::default()).await.expect("it begins").0
    }

    async fn tell(address: &Self::Address, number: u64) {
        Self::tell_blocking(address, number);
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        address.cast(Letter::Add(Add(number))).expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        let letter = |reply| Letter::AddAndGet(AddAndGet(number), reply);
        address.call(letter, None).await.expect("it lives").expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        let letter = |reply| Letter::Do(Do(work), reply);
        address.call(letter, None).await.expect("it lives").expect("it answers");
    }

    fn stop(address: Self::Address) {
        address.stop(None);
    }
}

/// An actor has one type of message.
pub(crate) enum Letter {
    Add(Add),
    AddAndGet(AddAndGet, RpcReplyPort<u64>),
    Do(Do, RpcReplyPort<()>),
}

struct Summing;

impl Actor for Summing {
    type Msg = Letter;
    type State = Sum;
    type Arguments = Sum;

    async fn pre_start(&self, _: ActorRef<Letter>, sum: Sum) -> Result<Sum, ActorProcessingErr> {
        Ok(sum)
    }

    async fn handle(
        &self,
        _: ActorRef<Letter>,
        letter: Letter,
        sum: &mut Sum,
    ) -> Result<(), ActorProcessingErr> {
        match letter {
            Letter::Add(Add(number)) => _ = sum.add(number),
            Letter::AddAndGet(AddAndGet(number), reply) => reply.send(sum.add(number))?,
            Letter::Do(Do(work), reply) => {
                work.await;
                reply.send(())?;
            }
        }
        Ok(())
    }
}
