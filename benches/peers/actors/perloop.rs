//! perloop's actors.

use std::time::Duration;

use ::perloop::{
    Actor, ActorContext, Address, Child, ChildRef, Handler, Intensity, Supervisor, WhichChildren,
    create_actor,
};

use super::{ActorSystem, Add, AddAndGet, Do, Sum, SupervisionSystem, Work};
use crate::peers::perloop::{Adaptive, Loop};

pub(crate) struct Actors;

impl ActorSystem for Actors {
    const NAME: &'static str = "perloop";
    type Loop = Loop<Adaptive>;
    type Address = Address<Sum>;

    async fn create() -> Self::Address {
        create_actor(Sum::default)
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.tell(Add(number)).await.expect("it lives");
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        address.tell_blocking(Add(number)).expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.ask(AddAndGet(number)).await.expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        address.ask(Do(work)).await.expect("it answers");
    }
}

impl SupervisionSystem for Actors {
    type Child = (Address<Supervisor>, Address<Sum>);

    async fn supervise() -> Self::Child {
        let sum = ChildRef::new();
        let intensity = Intensity { restarts: u32::MAX, period: Duration::from_millis(1) };
        let child = Child::new("sum", Sum::default).known_as(&sum);
        let supervisor = Supervisor::builder().intensity(intensity).child(child).create();
        supervisor.ask(WhichChildren).await.expect("it answers");
        (supervisor, sum.address().expect("it has begun"))
    }

    async fn fail((_, sum): &Self::Child) {
        assert!(sum.ask(Do::panic()).await.is_err());
        Self::ask(sum, 1).await;
    }
}

impl Actor for Sum {}

impl Handler<Add> for Sum {
    type Reply = ();

    async fn handle(&mut self, Add(number): Add, _: &mut ActorContext<Self>) {
        self.add(number);
    }
}

impl Handler<AddAndGet> for Sum {
    type Reply = u64;

    async fn handle(&mut self, AddAndGet(number): AddAndGet, _: &mut ActorContext<Self>) -> u64 {
        self.add(number)
    }
}

impl Handler<Do> for Sum {
    type Reply = ();

    async fn handle(&mut self, Do(work): Do, _: &mut ActorContext<Self>) {
        work.await;
    }
}
