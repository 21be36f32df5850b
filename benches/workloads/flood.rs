//! Threads hand in as much as they can, and nobody waits for any of it: what the inbox can take.

use std::thread;
use std::time::Instant;

use super::started;
use crate::bounds::Channel;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Figures, Role, Run, Setting, Workload};
use crate::peers::{Job, Worker, our_workers, worker, workers};

pub(crate) fn workload() -> Workload {
    let mut contestants = our_workers::<Flood>();
    contestants.extend(workers::<Flood>());
    contestants.push(worker::<Channel, Flood>(Role::Bound));
    Workload {
        name: "flood",
        title: "fire and forget a million, until all have run; time of one",
        settings: vec![Setting::new(Pinning::Cross), Setting::new(Pinning::None).producers(2)],
        metrics: &[MEAN],
        contestants,
        class: None,
        figures: Figures::Timed,
        goals: vec![
            Goal::new(MEAN, Against::BestPeer, 1.0 / 1.5).pinned(Pinning::Cross),
            Goal::new(MEAN, Against::BestPeer, 1.0 / 2.0).pinned(Pinning::None),
        ],
    }
}

struct Flood;

impl Job for Flood {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        let producers = run.setting.producers as usize;
        let share = run.operations(1_000_000, 200_000) / producers;
        produce(&worker, share / 10);
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 1..producers {
                scope.spawn(|| produce(&worker, share));
            }
            produce(&worker, share);
        });
        Ok(mean_of(share * producers, began))
    }
}

/// Returns when the last one, and so all before it, have run.
fn produce<W: Worker>(worker: &W, share: usize) {
    for _ in 1..share {
        worker.forget(async { 0 });
    }
    W::wait(worker.submit(async { 0 }));
}
