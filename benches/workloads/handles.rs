//! Threads hand in as much as they can, keep every handle, and then wait for all of them in order: what an outcome
//! costs that somebody wants.

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
    let mut contestants = our_workers::<Handles>();
    contestants.extend(workers::<Handles>());
    contestants.push(worker::<Channel, Handles>(Role::Bound));
    Workload {
        name: "handles",
        title: "submit a million, keep every handle, then wait for all in order; time of one",
        settings: vec![Setting::new(Pinning::Cross), Setting::new(Pinning::None).producers(2)],
        metrics: &[MEAN],
        contestants,
        class: None,
        figures: Figures::Timed,
        goals: vec![Goal::new(MEAN, Against::BestPeer, 1.0 / 2.5)],
    }
}

struct Handles;

impl Job for Handles {
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

fn produce<W: Worker>(worker: &W, share: usize) {
    let share = share as u64;
    let handles: Vec<_> = (0..share).map(|n| worker.submit(async move { n })).collect();
    let sum: u64 = handles.into_iter().map(W::wait).sum();
    assert_eq!(sum, share * share.saturating_sub(1) / 2, "each gave its value");
}
