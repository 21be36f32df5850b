//! A task asks an actor on another loop, one question after the other; and a thousand tasks do.

use std::sync::Arc;
use std::time::Instant;

use super::{await_on, started};
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome, P50};
use crate::harness::pinning::Pinning;
use crate::harness::times::{Times, mean_of};
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{ActorJob, ActorSystem, Worker, actor_systems};

/// So many ask at once.
const TASKS: usize = 1_000;

pub(crate) fn workload() -> Workload {
    Workload {
        name: "actors-ask",
        title: "a task asks an actor on another loop",
        settings: vec![Setting::new(Pinning::Cross), Setting::new(Pinning::Same)],
        metrics: &[P50, MEAN],
        contestants: actor_systems::<Ask>(),
        class: Some("is a framework"),
        figures: Figures::Timed,
        goals: vec![
            Goal::new(P50, Against::BestPeer, 1.0 / 40.0).pinned(Pinning::Cross),
            Goal::new(P50, Against::BestPeer, 1.1).pinned(Pinning::Same),
        ],
    }
}

pub(crate) fn in_flight() -> Workload {
    Workload {
        name: "actors-in-flight",
        title: "a thousand tasks of a loop ask an actor on another, again and again; time of one question",
        settings: vec![Setting::new(Pinning::Cross)],
        metrics: &[MEAN],
        contestants: actor_systems::<InFlight>(),
        class: Some("is a framework"),
        figures: Figures::Timed,
        goals: vec![Goal::new(MEAN, Against::BestPeer, 0.4)],
    }
}

struct Ask;

impl ActorJob for Ask {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let (here, there) = started::two_workers::<S::Loop>(run)?;
        let actor = await_on::<S, _>(&there, S::create())?;
        let mut times = Times::of(run);
        await_on::<S, _>(&here, async move {
            loop {
                let began = Instant::now();
                S::ask(&actor, 1).await;
                if !times.note(began) {
                    return times.into_sample();
                }
            }
        })
    }
}

struct InFlight;

impl ActorJob for InFlight {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let (here, there) = started::two_workers::<S::Loop>(run)?;
        let actor = Arc::new(await_on::<S, _>(&there, S::create())?);
        let each = run.operations(200, 50);
        ask_at_once::<S>(&here, &actor, each / 10);
        let began = Instant::now();
        ask_at_once::<S>(&here, &actor, each);
        Ok(mean_of(TASKS * each, began))
    }
}

/// Returns when each of the tasks has asked so often.
fn ask_at_once<S: ActorSystem>(here: &S::Loop, actor: &Arc<S::Address>, each: usize) {
    let task = |_| {
        let actor = Arc::clone(actor);
        here.submit(async move {
            for _ in 0..each {
                S::ask(&actor, 1).await;
            }
            0
        })
    };
    let tasks: Vec<_> = (0..TASKS).map(task).collect();
    for task in tasks {
        <S::Loop as Worker>::wait(task);
    }
}
