//! kameo, on a `current_thread` runtime of tokio's.

use std::convert::Infallible;
use std::time::Duration;

use ::kameo::actor::{Actor, ActorRef, Spawn};
use ::kameo::message::{Context, Message};
use tokio::task::yield_now;

use super::{ActorSystem, Add, AddAndGet, Do, Sum, SupervisionSystem, Work};
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

impl SupervisionSystem for Actors {
    type Child = (ActorRef<Boss>, ActorRef<Sum>);

    async fn supervise() -> Self::Child {
        let boss = Boss::spawn(());
        let child =
            Sum::supervise_with(&boss, Sum::default).restart_limit(u32::MAX, Duration::from_millis(1));
        let sum = child.spawn().await;
        (boss, sum)
    }

    async fn fail((_, sum): &Self::Child) {
        assert!(sum.ask(Do::panic()).await.is_err());
        // Questions that come before its next life are refused.
        while sum.ask(AddAndGet(1)).await.is_err() {
            yield_now().await;
        }
    }
}

pub(crate) struct Boss;

impl Actor for Boss {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
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
