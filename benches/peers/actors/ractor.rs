//! ractor, on a `current_thread` runtime of tokio's.

use std::sync::{Arc, Mutex};

use ::ractor::rpc::CallResult;
use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::Notify;

use super::{ActorSystem, Add, AddAndGet, Do, Sum, SupervisionSystem, Work};
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

impl SupervisionSystem for Actors {
    type Child = Arc<Supervised>;

    async fn supervise() -> Self::Child {
        let supervised = Arc::new(Supervised::default());
        Actor::spawn(None, Boss, Arc::clone(&supervised)).await.expect("it begins");
        supervised
    }

    async fn fail(supervised: &Self::Child) {
        let letter = |reply| Letter::Do(Do::panic(), reply);
        assert!(!matches!(supervised.address().call(letter, None).await, Ok(CallResult::Success(()))));
        supervised.is_restarted.notified().await;
        Self::ask(&supervised.address(), 1).await;
    }
}

/// A restarted actor is another one, of which its supervisor tells.
#[derive(Default)]
pub(crate) struct Supervised {
    address: Mutex<Option<ActorRef<Letter>>>,
    is_restarted: Notify,
}

impl Supervised {
    fn address(&self) -> ActorRef<Letter> {
        self.address.lock().expect("nobody panics with it").clone().expect("it was begun")
    }

    async fn begin(&self, boss: &ActorRef<()>) -> Result<(), ActorProcessingErr> {
        let (sum, _) = Actor::spawn_linked(None, Summing, Sum::default(), boss.get_cell()).await?;
        *self.address.lock().expect("nobody panics with it") = Some(sum);
        Ok(())
    }
}

struct Boss;

impl Actor for Boss {
    type Msg = ();
    type State = Arc<Supervised>;
    type Arguments = Arc<Supervised>;

    async fn pre_start(
        &self,
        this: ActorRef<()>,
        supervised: Arc<Supervised>,
    ) -> Result<Arc<Supervised>, ActorProcessingErr> {
        supervised.begin(&this).await?;
        Ok(supervised)
    }

    async fn handle_supervisor_evt(
        &self,
        this: ActorRef<()>,
        event: SupervisionEvent,
        supervised: &mut Arc<Supervised>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            supervised.begin(&this).await?;
            supervised.is_restarted.notify_one();
        }
        Ok(())
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
