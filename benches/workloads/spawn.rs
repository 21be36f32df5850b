//! On one thread: making tasks and waiting for them, what every program on a loop does all the time.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use crate::bounds::Boxes;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Contestant, Figures, Role, Run, Setting, Workload};
use crate::peers::{LocalJob, LocalLoop, local_loops};

const BATCH: u64 = 1_000;

pub(crate) fn workload() -> Workload {
    let mut contestants = local_loops::<SpawnAndJoin>();
    contestants.push(Contestant::new(Boxes::NAME, Role::Bound, SpawnAndJoin::run::<Boxes>));
    Workload {
        name: "spawn",
        title: "spawn and join local tasks, in batches of 1,000; time of one",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants,
        class: Some("catches panics"),
        figures: Figures::Timed,
        goals: vec![
            Goal::new(MEAN, Against::BestPeerOfClass(true), 0.5),
            Goal::new(MEAN, Against::BestPeerOfClass(false), 1.0),
        ],
    }
}

pub(crate) struct SpawnAndJoin;

impl LocalJob for SpawnAndJoin {
    fn run<L: LocalLoop>(run: &Run) -> Outcome {
        let batches = run.operations(1_000, 200);
        let measured = Rc::new(Cell::new(None));
        let its = Rc::clone(&measured);
        L::run(move |local| async move {
            spawn_and_join(&local, batches / 10).await;
            let began = Instant::now();
            spawn_and_join(&local, batches).await;
            its.set(Some(mean_of(batches * BATCH as usize, began)));
        })?;
        measured.take().ok_or_else(|| "its main did not come to its end".to_owned())
    }

    /// Does the loop go on after a task has panicked?
    fn is_of_class<L: LocalLoop>() -> bool {
        let is_there = Rc::new(Cell::new(false));
        let its = Rc::clone(&is_there);
        let ran = L::run(move |local| async move {
            let panics = local.spawn(async { if black_box(true) { panic!("on purpose") } else { 0 } });
            for _ in 0..10 {
                L::yield_now().await;
            }
            its.set(L::join(local.spawn(async { 7 })).await == 7);
            drop(panics);
        });
        ran.is_ok() && is_there.get()
    }
}

async fn spawn_and_join<L: LocalLoop>(local: &L, batches: usize) {
    for _ in 0..batches {
        let tasks: Vec<_> = (0..BATCH).map(|n| local.spawn(async move { n })).collect();
        for task in tasks {
            black_box(L::join(task).await);
        }
    }
}
