//! A task on one loop awaits a task on another: the round trip without a blocked thread.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use super::started;
use crate::bounds::Channel;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome, P50};
use crate::harness::pinning::Pinning;
use crate::harness::times::Times;
use crate::harness::workload::{Figures, Role, Run, Setting, Workload};
use crate::peers::{Job, Worker, our_workers, worker, workers};

pub(crate) fn workload() -> Workload {
    let mut contestants = our_workers::<LoopToLoop>();
    contestants.extend(workers::<LoopToLoop>());
    contestants.push(worker::<Channel, LoopToLoop>(Role::Bound));
    Workload {
        name: "loops",
        title: "a task awaits a task on another loop",
        settings: vec![Setting::new(Pinning::Cross), Setting::new(Pinning::Same)],
        metrics: &[P50, MEAN],
        contestants,
        class: None,
        figures: Figures::Timed,
        goals: vec![
            Goal::new(P50, Against::BestPeer, 1.0 / 40.0).pinned(Pinning::Cross),
            Goal::new(P50, Against::BestPeer, 1.1).pinned(Pinning::Same),
        ],
    }
}

struct LoopToLoop;

impl Job for LoopToLoop {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let (here, there) = started::two_workers::<W>(run)?;
        let there = Arc::new(there);
        let (sender, receiver) = channel();
        let (its, mut times) = (Arc::clone(&there), Times::of(run));
        here.forget(async move {
            loop {
                let began = Instant::now();
                W::join(its.submit(async { 0 })).await;
                if !times.note(began) {
                    break;
                }
            }
            _ = sender.send(times.into_sample());
            0
        });
        receiver.recv().map_err(|_| "its task did not come to its end".to_owned())
    }
}
