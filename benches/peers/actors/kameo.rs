//! kameo, on a `current_thread` runtime of tokio's.

use std::convert::Infallible;

use ::kameo::actor::{Actor, ActorRef, Spawn};
use ::kameo::message::{Context, Message};

use super::{ActorSystem, Add, AddAndGet, Do, Sum, Work};
use crate::peers::tokio::CurrentThread;

pub(crate) struct Actors;

impl ActorSystem for Actors {
    const NAME: &'static str = "kameo";
    type Loop = CurrentThread<true>;
    type Address = ActorRef<Sum>;

    async fn create() -> Self::Address {
        Sum::spawn(Sum::default())
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.tell(Add(number)).await.expect("it lives");
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        address.tell(Add(number)).blocking_send().expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.ask(AddAndGet(number)).await.expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        address.ask(Do(work)).await.expect("it answers");
    }
}

impl Actor for Sum {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(sum: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(sum)
    }
}

impl Message<Add> for Sum {
    type Reply = ();

    async fn handle(&mut self, Add(number): Add, _: &mut Context<Self, ()>) {
        self.add(number);
    }
}

impl Message<AddAndGet> for Sum {
    type Reply = u64;

    async fn handle(&mut self, AddAndGet(number): AddAndGet, _: &mut Context<Self, u64>) -> u64 {
        self.add(number)
    }
}

impl Message<Do> for Sum {
    type Reply = ();

    async fn handle(&mut self, Do(work): Do, _: &mut Context<Self, ()>) {
        work.await;
    }
}
