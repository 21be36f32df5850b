//! A thread tells an actor on a loop as much as it can: what a mailbox can take.

use std::time::Instant;

use futures_lite::future::block_on;

use super::{await_on, started};
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{ActorJob, ActorSystem, actor_systems};

pub(crate) fn workload() -> Workload {
    Workload {
        name: "actors-tell",
        title: "a thread tells an actor a million, until all are handled; time of one",
        settings: vec![Setting::new(Pinning::Cross)],
        metrics: &[MEAN],
        contestants: actor_systems::<Tell>(),
        class: Some("is a framework"),
        figures: Figures::Timed,
        goals: vec![
            Goal::new(MEAN, Against::BestPeerOfClass(true), 0.4),
            Goal::new(MEAN, Against::BestPeerOfClass(false), 1.0),
        ],
    }
}

struct Tell;

impl ActorJob for Tell {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let there = started::worker::<S::Loop>(run)?;
        let actor = await_on::<S, _>(&there, S::create())?;
        let times = run.operations(1_000_000, 200_000);
        tell::<S>(&actor, times / 10);
        let began = Instant::now();
        tell::<S>(&actor, times);
        Ok(mean_of(times, began))
    }
}

/// Returns when the last one, and so all before it, are handled.
fn tell<S: ActorSystem>(actor: &S::Address, times: usize) {
    for _ in 1..times {
        S::tell_blocking(actor, 1);
    }
    block_on(S::ask(actor, 1));
}
