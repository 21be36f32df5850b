//! On one thread: tasks that give up their turn, so that all of the time is the loop's.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::bounds::turn_ring;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Contestant, Figures, Role, Run, Setting, Workload};
use crate::peers::{LocalJob, LocalLoop, local_loops};

const TASKS: usize = 1_000;

pub(crate) fn workload() -> Workload {
    let mut contestants = local_loops::<Yields>();
    contestants.push(Contestant::new("bare boxes in a ring", Role::Bound, ring));
    Workload {
        name: "yield",
        title: "1,000 tasks that yield; time of one yield",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants,
        class: Some("is FIFO"),
        figures: Figures::Timed,
        goals: vec![
            Goal::new(MEAN, Against::BestPeerOfClass(true), 0.6),
            Goal::new(MEAN, Against::BestPeerOfClass(false), 0.85),
        ],
    }
}

fn yields_of(run: &Run) -> usize {
    run.operations(1_000, 200)
}

struct Yields;

impl LocalJob for Yields {
    fn run<L: LocalLoop>(run: &Run) -> Outcome {
        let yields = yields_of(run);
        let measured = Rc::new(Cell::new(None));
        let its = Rc::clone(&measured);
        L::run(move |local| async move {
            let tasks: Vec<_> = (0..TASKS).map(|_| local.spawn(yielding::<L>(yields))).collect();
            let began = Instant::now();
            for task in tasks {
                L::join(task).await;
            }
            its.set(Some(mean_of(TASKS * yields, began)));
        })?;
        measured.take().ok_or_else(|| "its main did not come to its end".to_owned())
    }

    /// Does everybody have a turn before anybody has the next?
    fn is_of_class<L: LocalLoop>() -> bool {
        let trace = Arc::new(Mutex::new(Vec::new()));
        let its = Arc::clone(&trace);
        let ran = L::run(move |local| async move {
            let task = |name| local.spawn(traced::<L>(name, Arc::clone(&its)));
            for task in [0, 1, 2].map(task) {
                L::join(task).await;
            }
        });
        ran.is_ok() && trace.lock().is_ok_and(|trace| *trace == [0, 1, 2, 0, 1, 2, 0, 1, 2])
    }
}

async fn yielding<L: LocalLoop>(yields: usize) -> u64 {
    for _ in 0..yields {
        L::yield_now().await;
    }
    0
}

async fn traced<L: LocalLoop>(name: u64, trace: Arc<Mutex<Vec<u64>>>) -> u64 {
    for _ in 0..3 {
        trace.lock().expect("nobody panics").push(name);
        L::yield_now().await;
    }
    name
}

fn ring(run: &Run) -> Outcome {
    let yields = yields_of(run);
    let boxed = |_| Box::pin(yielding::<crate::bounds::Boxes>(yields)) as _;
    let ring: VecDeque<_> = (0..TASKS).map(boxed).collect();
    let began = Instant::now();
    let polls = turn_ring(ring);
    Ok(mean_of(polls, began))
}
