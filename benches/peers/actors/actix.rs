//! actix, in an arbiter.

use ::actix::{Actor, Addr, Context, Handler, Message, ResponseFuture};

use super::{ActorSystem, Add, AddAndGet, Do, Sum, Work};
use crate::peers::actix::Arbiter;

pub(crate) struct Actors;

impl ActorSystem for Actors {
    const NAME: &'static str = "actix";
    type Loop = Arbiter;
    type Address = Addr<Sum>;

    async fn create() -> Self::Address {
        Sum::default().start()
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.do_send(Add(number));
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        address.do_send(Add(number));
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.send(AddAndGet(number)).await.expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        address.send(Do(work)).await.expect("it answers");
    }
}

impl Message for Add {
    type Result = ();
}

impl Message for AddAndGet {
    type Result = u64;
}

impl Message for Do {
    type Result = ();
}

impl Actor for Sum {
    type Context = Context<Self>;
}

impl Handler<Add> for Sum {
    type Result = ();

    fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) {
        self.add(number);
    }
}

impl Handler<AddAndGet> for Sum {
    type Result = u64;

    fn handle(&mut self, AddAndGet(number): AddAndGet, _: &mut Context<Self>) -> u64 {
        self.add(number)
    }
}

impl Handler<Do> for Sum {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Do(work): Do, _: &mut Context<Self>) -> Self::Result {
        work
    }
}
