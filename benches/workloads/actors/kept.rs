//! What an actor costs that has nothing to do, and one that comes and goes.

use std::time::Instant;

use futures_lite::future::yield_now;

use super::{on_loop, on_one_loop};
use crate::harness::child::answer;
use crate::harness::metric::{MEAN, Metric, Outcome, Sample, Unit};
use crate::harness::process::resident;
use crate::harness::times::mean_of;
use crate::harness::workload::{Figures, Run, Workload};
use crate::peers::{ActorJob, ActorSystem, ended};

const RESIDENT: Metric = Metric { name: "resident an actor", unit: Unit::Bytes };

/// So many are there at once.
const BATCH: usize = 1_000;

pub(crate) fn memory() -> Workload {
    let title = "100,000 actors that have answered a question, and wait; resident memory of one";
    on_one_loop::<Memory>("actors-memory", title, &RESIDENT, Figures::Counted)
}

pub(crate) fn start() -> Workload {
    let title = "1,000 actors begin, and end, again and again; time of one";
    on_one_loop::<Start>("actors-start", title, &MEAN, Figures::Timed)
}

struct Memory;

impl ActorJob for Memory {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let actors = run.operations(100_000, 25_000);
        on_loop::<S, _>(run, async move {
            let mut addresses = Vec::with_capacity(actors);
            let before = resident();
            for _ in 0..actors {
                let address = S::create().await;
                S::ask(&address, 1).await;
                addresses.push(address);
            }
            let used = resident().saturating_sub(before);
            // Some need longer to take all of them down than the whole run may last.
            answer(&Ok(Sample::default().with(RESIDENT, used as f64 / actors as f64)))
        })
    }
}

struct Start;

impl ActorJob for Start {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let batches = run.operations(200, 50);
        on_loop::<S, _>(run, async move {
            start_and_stop::<S>(batches / 10).await;
            let began = Instant::now();
            start_and_stop::<S>(batches).await;
            mean_of(batches * BATCH, began)
        })
    }
}

async fn start_and_stop<S: ActorSystem>(batches: usize) {
    for _ in 0..batches {
        let already = ended();
        let mut actors = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            actors.push(S::create().await);
        }
        // With the last one all have begun.
        S::ask(&actors[BATCH - 1], 1).await;
        actors.into_iter().for_each(S::stop);
        while ended() < already + BATCH {
            yield_now().await;
        }
    }
}
