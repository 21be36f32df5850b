//! Who is measured: each contestant written once, as a [`Worker`], a [`LocalLoop`], or both.

mod actix;
mod actors;
mod channels;
mod compio;
mod conditions;
mod crossings;
mod events;
mod fed;
mod futures;
mod glommio;
mod holds;
mod monoio;
mod perloop;
mod python;
mod smol;
mod thread;
mod tokio;
mod tokio_util;

pub(crate) use actors::{
    ActorJob, ActorSystem, SupervisionJob, SupervisionSystem, actor_systems, ended, supervision_systems,
};
pub(crate) use channels::{BOUND, Channel, bounded, unbounded};
pub(crate) use conditions::{Turns, conditions};
pub(crate) use crossings::{Across, Crossing, crossings};
pub(crate) use events::{Event, events};
pub(crate) use holds::{Hold, locks, semaphores};
pub(crate) use perloop::Local as OurLocalLoop;
pub(crate) use python::python;

use std::time::Duration;

use crate::harness::metric::Outcome;
use crate::harness::workload::{Contestant, Role, Run};

/// A loop on a thread of its own, to which other threads submit.
pub(crate) trait Worker: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// What one has of a submission: a way to its outcome.
    type Handle: Send + 'static;

    /// Starts it, with threads that inherit the affinity of the calling one.
    fn start() -> Result<Self, String>;

    /// Hands work in.
    fn submit(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle;

    /// Hands work in about which nobody wants to hear again.
    fn forget(&self, body: impl Future<Output = u64> + Send + 'static) {
        drop(self.submit(body));
    }

    /// Awaits the outcome, on another loop.
    fn join(handle: Self::Handle) -> impl Future<Output = u64> + Send + 'static;

    /// Blocks the thread until the outcome is there.
    fn wait(handle: Self::Handle) -> u64 {
        futures_lite::future::block_on(Self::join(handle))
    }
}

/// A loop of the calling thread, with tasks of its own.
pub(crate) trait LocalLoop: Clone + 'static {
    const NAME: &'static str;

    type Handle: 'static;

    /// Makes a loop, and runs `main` on it to its end.
    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String>;

    /// Makes a task. None of these bodies is tied to its thread, so that a peer may use what needs that.
    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle;

    fn join(handle: Self::Handle) -> impl Future<Output = u64>;

    /// Gives up the turn, in the way that the runtime offers.
    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }
}

/// A loop of the calling thread that keeps time, and whose tasks may be tied to their thread.
pub(crate) trait OwnLoop: LocalLoop {
    /// As [`run`](LocalLoop::run), of a loop that keeps time.
    fn run_timed<F: Future<Output = ()> + 'static>(
        main: impl FnOnce(Self) -> F + 'static,
    ) -> Result<(), String> {
        Self::run(main)
    }

    fn spawn_local(&self, body: impl Future<Output = u64> + 'static) -> Self::Handle;

    fn sleep(time: Duration) -> impl Future<Output = ()>;

    /// Gives `body` so much time, which is enough, in the way that the runtime offers.
    async fn timeout(time: Duration, body: impl Future<Output = ()>);
}

/// Something to do with a worker, whoever it is.
pub(crate) trait Job: 'static {
    fn run<W: Worker>(run: &Run) -> Outcome;
}

/// Something to do with a loop of this thread, whoever it is.
pub(crate) trait LocalJob: 'static {
    fn run<L: LocalLoop>(run: &Run) -> Outcome;

    /// Is the loop of the class that matters here? See [`Contestant::is_of_class`].
    fn is_of_class<L: LocalLoop>() -> bool;
}

/// Something to do with a loop of this thread that keeps time, whoever it is.
pub(crate) trait OwnJob: 'static {
    fn run<L: OwnLoop>(run: &Run) -> Outcome;
}

/// Something that tasks of a loop do with each other by means of a `T`, on whosever loop it is.
pub(crate) trait Meeting<T>: 'static {
    fn run<L: OwnLoop>(run: &Run) -> Outcome;
}

/// perloop as it comes, and without looking before it sleeps.
pub(crate) fn our_workers<J: Job>() -> Vec<Contestant> {
    vec![
        worker::<perloop::Loop<perloop::Adaptive>, J>(Role::Ours),
        worker::<perloop::Loop<perloop::Never>, J>(Role::Ours),
    ]
}

/// All other workers.
pub(crate) fn workers<J: Job>() -> Vec<Contestant> {
    vec![
        worker::<tokio::CurrentThread<true>, J>(Role::Peer),
        worker::<tokio::CurrentThread<false>, J>(Role::Peer),
        worker::<tokio::MultiThread<1>, J>(Role::Peer),
        worker::<tokio::MultiThread<2>, J>(Role::Peer),
        worker::<tokio_util::LocalPool, J>(Role::Peer),
        worker::<actix::Arbiter, J>(Role::Peer),
        worker::<smol::Shared, J>(Role::Peer),
        worker::<smol::SharedStatic, J>(Role::Peer),
        worker::<compio::Dispatcher, J>(Role::Peer),
        worker::<monoio::Fed, J>(Role::Peer),
        worker::<glommio::Fed, J>(Role::Peer),
        worker::<futures::ThreadPool, J>(Role::Peer),
    ]
}

/// All loops of the calling thread.
pub(crate) fn local_loops<J: LocalJob>() -> Vec<Contestant> {
    vec![
        local_loop::<perloop::Local, J>(Role::Ours),
        local_loop::<tokio::LocalSet, J>(Role::Peer),
        local_loop::<tokio::LocalRuntime, J>(Role::Peer),
        local_loop::<tokio::LocalCurrentThread, J>(Role::Peer),
        local_loop::<actix::Local, J>(Role::Peer),
        local_loop::<smol::Local, J>(Role::Peer),
        local_loop::<smol::LocalStatic, J>(Role::Peer),
        local_loop::<compio::Local, J>(Role::Peer),
        local_loop::<monoio::Local, J>(Role::Peer),
        local_loop::<glommio::Local, J>(Role::Peer),
        local_loop::<futures::LocalPool, J>(Role::Peer),
    ]
}

/// All loops of the calling thread that keep time.
pub(crate) fn own_loops<J: OwnJob>() -> Vec<Contestant> {
    fn own_loop<L: OwnLoop, J: OwnJob>(role: Role) -> Contestant {
        Contestant::new(L::NAME, role, J::run::<L>)
    }
    vec![
        own_loop::<perloop::Local, J>(Role::Ours),
        own_loop::<tokio::LocalSet, J>(Role::Peer),
        own_loop::<tokio::LocalRuntime, J>(Role::Peer),
        own_loop::<smol::Local, J>(Role::Peer),
        own_loop::<smol::LocalStatic, J>(Role::Peer),
        own_loop::<compio::Local, J>(Role::Peer),
        own_loop::<monoio::Local, J>(Role::Peer),
        own_loop::<glommio::Local, J>(Role::Peer),
    ]
}

/// perloop's own on its loop.
fn ours<T: 'static, M: Meeting<T>>() -> Contestant {
    Contestant::new("perloop", Role::Ours, M::run::<perloop::Local>)
}

/// Somebody else's on this loop.
fn meeting<T: 'static, M: Meeting<T>, L: OwnLoop>(name: &'static str) -> Contestant {
    Contestant::new(name, Role::Peer, M::run::<L>)
}

pub(crate) fn worker<W: Worker, J: Job>(role: Role) -> Contestant {
    Contestant::new(W::NAME, role, J::run::<W>)
}

fn local_loop<L: LocalLoop, J: LocalJob>(role: Role) -> Contestant {
    Contestant { is_of_class: Some(J::is_of_class::<L>), ..Contestant::new(L::NAME, role, J::run::<L>) }
}
