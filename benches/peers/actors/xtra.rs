//! xtra, on a `current_thread` runtime of tokio's.

use ::xtra::{Actor, Address, Context, Handler, Mailbox};
use futures_lite::future::block_on;

use super::{ActorSystem, Add, AddAndGet, Do, Sum, Work};
use crate::peers::tokio::CurrentThread;

/// With mailboxes as bounded as perloop's, or unbounded.
pub(crate) struct Actors<const IS_BOUNDED: bool>;

impl<const IS_BOUNDED: bool> ActorSystem for Actors<IS_BOUNDED> {
    const NAME: &'static str = if IS_BOUNDED { "xtra, bounded" } else { "xtra, unbounded" };
    type Loop = CurrentThread<true>;
    type Address = Address<Sum>;

    async fn create() -> Self::Address {
        let (address, mailbox) = if IS_BOUNDED { Mailbox::bounded(1024) } else { Mailbox::unbounded() };
        tokio::spawn(::xtra::run(mailbox, Sum::default()));
        address
    }

    async fn tell(address: &Self::Address, number: u64) {
        _ = address.send(Add(number)).detach().await.expect("it lives");
    }

    fn tell_blocking(address: &Self::Address, number: u64) {
        block_on(Self::tell(address, number));
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.send(AddAndGet(number)).await.expect("it answers")
    }

    async fn work(address: &Self::Address, work: Work) {
        address.send(Do(work)).await.expect("it answers");
    }
}

impl Actor for Sum {
    type Stop = ();

    async fn stopped(self) {}
}

impl Handler<Add> for Sum {
    type Return = ();

    async fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) {
        self.add(number);
    }
}

impl Handler<AddAndGet> for Sum {
    type Return = u64;

    async fn handle(&mut self, AddAndGet(number): AddAndGet, _: &mut Context<Self>) -> u64 {
        self.add(number)
    }
}

impl Handler<Do> for Sum {
    type Return = ();

    async fn handle(&mut self, Do(work): Do, _: &mut Context<Self>) {
        work.await;
    }
}
