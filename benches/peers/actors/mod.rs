//! Who has actors: each contestant written once, as an [`ActorSystem`] on a loop of those in [`super`].
//!
//! Mailboxes are as they come: bounded by perloop (1024) and kameo (64), unbounded by ractor; where one has to say, as with
//! xtra and with channels by hand, there are both. actix's are bounded, but `do_send`, with which one tells, heeds it not.

mod actix;
mod by_hand;
mod kameo;
mod perloop;
mod ractor;
mod xtra;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Worker;
use crate::harness::metric::Outcome;
use crate::harness::workload::{Contestant, Role, Run};

/// What an actor is given to do, while which it handles nothing else: to talk to another one, in its own name.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Actors on a loop, each of which keeps a sum.
pub(crate) trait ActorSystem: 'static {
    const NAME: &'static str;
    /// Is it more than a channel by hand?
    const IS_FRAMEWORK: bool = true;

    /// On which they live.
    type Loop: Worker;
    type Address: Clone + Send + Sync + 'static;

    /// Makes an actor on the loop that polls this.
    fn create() -> impl Future<Output = Self::Address> + Send;

    /// Has a number added, and does not wait for it.
    fn tell(address: &Self::Address, number: u64) -> impl Future<Output = ()> + Send;

    /// The same, of a thread without a loop.
    fn tell_blocking(address: &Self::Address, number: u64);

    /// Has a number added, and gives the sum.
    fn ask(address: &Self::Address, number: u64) -> impl Future<Output = u64> + Send;

    /// Has the actor do something, to its end.
    fn work(address: &Self::Address, work: Work) -> impl Future<Output = ()> + Send;

    /// Ends the actor, whose last address this is; which may end it by itself.
    fn stop(address: Self::Address) {
        drop(address);
    }
}

/// Something to do with actors, whosever they are.
pub(crate) trait ActorJob: 'static {
    fn run<S: ActorSystem>(run: &Run) -> Outcome;
}

/// Actors that are restarted when they panic. (actix restarts those that stop, and no panic ends one alone.)
pub(crate) trait SupervisionSystem: ActorSystem {
    /// An actor, and who supervises it.
    type Child: Send + Sync + 'static;

    /// Makes both on the loop that polls this. However often the actor fails, it is restarted at once.
    fn supervise() -> impl Future<Output = Self::Child> + Send;

    /// Has the actor panic, and comes back when its next life has answered.
    fn fail(child: &Self::Child) -> impl Future<Output = ()> + Send;
}

/// Something to do with supervised actors, whosever they are.
pub(crate) trait SupervisionJob: 'static {
    fn run<S: SupervisionSystem>(run: &Run) -> Outcome;
}

/// What they have in common: the sum. It counts those that have ended.
#[derive(Default)]
pub(crate) struct Sum(u64);

static ENDED: AtomicUsize = AtomicUsize::new(0);

/// How many actors have ended, of this process.
pub(crate) fn ended() -> usize {
    ENDED.load(Ordering::Relaxed)
}

impl Sum {
    fn add(&mut self, number: u64) -> u64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

/// To be added, without an answer.
pub(crate) struct Add(u64);

/// To be added; the answer is the sum.
pub(crate) struct AddAndGet(u64);

/// To be done.
pub(crate) struct Do(Work);

impl Do {
    /// A panic.
    fn panic() -> Self {
        Self(Box::pin(async { panic!("on purpose") }))
    }
}

/// All that supervise.
pub(crate) fn supervision_systems<J: SupervisionJob>() -> Vec<Contestant> {
    vec![
        Contestant::new(perloop::Actors::NAME, Role::Ours, J::run::<perloop::Actors>),
        Contestant::new(kameo::Actors::NAME, Role::Peer, J::run::<kameo::Actors>),
        Contestant::new(ractor::Actors::NAME, Role::Peer, J::run::<ractor::Actors>),
    ]
}

/// All of them.
pub(crate) fn actor_systems<J: ActorJob>() -> Vec<Contestant> {
    vec![
        system::<perloop::Actors, J>(Role::Ours),
        system::<actix::Actors, J>(Role::Peer),
        system::<kameo::Actors, J>(Role::Peer),
        system::<ractor::Actors, J>(Role::Peer),
        system::<xtra::Actors<true>, J>(Role::Peer),
        system::<xtra::Actors<false>, J>(Role::Peer),
        system::<by_hand::Tasks<true>, J>(Role::Peer),
        system::<by_hand::Tasks<false>, J>(Role::Peer),
    ]
}

fn system<S: ActorSystem, J: ActorJob>(role: Role) -> Contestant {
    Contestant { is_of_class: Some(|| S::IS_FRAMEWORK), ..Contestant::new(S::NAME, role, J::run::<S>) }
}
