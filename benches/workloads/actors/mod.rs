//! Actors: what a message costs, and what an actor does.

mod asked;
mod between;
mod kept;
mod restarted;
mod told;

use std::sync::mpsc::channel;

use super::started;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{Metric, Outcome, Sample};
use crate::harness::pinning::Pinning;
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{ActorJob, ActorSystem, Worker, actor_systems};

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Workload> {
    vec![
        told::workload(),
        asked::workload(),
        asked::in_flight(),
        between::told(),
        between::asked(),
        kept::memory(),
        kept::start(),
        restarted::workload(),
    ]
}

/// One on a single loop, by one metric.
fn on_one_loop<J: ActorJob>(
    name: &'static str,
    title: &'static str,
    metric: &'static Metric,
    figures: Figures,
) -> Workload {
    Workload {
        name,
        title,
        settings: vec![Setting::new(Pinning::None)],
        metrics: std::slice::from_ref(metric),
        contestants: actor_systems::<J>(),
        class: Some("is a framework"),
        figures,
        goals: vec![Goal::new(*metric, Against::BestPeer, 0.5)],
    }
}

/// Runs `main` on a loop of the system's, and gives what it measured.
fn on_loop<S: ActorSystem, F: Future<Output = Sample> + Send + 'static>(run: &Run, main: F) -> Outcome {
    let there = started::worker::<S::Loop>(run)?;
    await_on::<S, _>(&there, main)
}

/// The same on this loop.
fn await_on<S: ActorSystem, T: Send + 'static>(
    there: &S::Loop,
    main: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    there.forget(async move {
        _ = sender.send(main.await);
        0
    });
    receiver.recv().map_err(|_| "its task did not come to its end".to_owned())
}
