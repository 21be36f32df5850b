//! Locks and semaphores: taken by a task that is alone, and by ten that each keep them for a turn.

use std::rc::Rc;
use std::time::Instant;

use super::started::on_own_loop;
use crate::harness::goal::{Against, Goal, against_python};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Contestant, Figures, Run, Setting, Workload};
use crate::peers::{Hold, Meeting, OwnLoop, locks, python, semaphores};

const TASKS: usize = 10;

pub(crate) fn lock() -> Workload {
    holds("lock", ALONE, locks::<Alone>(), python("lock", 200_000, 50_000))
}

pub(crate) fn lock_contended() -> Workload {
    holds("lock-contended", CONTENDED, locks::<Contended>(), python("lock_contended", 100_000, 20_000))
}

pub(crate) fn semaphore() -> Workload {
    holds("semaphore", ALONE, semaphores::<Alone>(), python("semaphore", 200_000, 50_000))
}

pub(crate) fn semaphore_contended() -> Workload {
    let python = python("semaphore_contended", 100_000, 20_000);
    holds("semaphore-contended", CONTENDED, semaphores::<Contended>(), python)
}

const ALONE: &str = "one task takes it and gives it back; time of both";
const CONTENDED: &str = "ten tasks take it, yield, and give it back; time of one hold";

fn holds(
    name: &'static str,
    title: &'static str,
    mut contestants: Vec<Contestant>,
    python: [Contestant; 2],
) -> Workload {
    contestants.extend(python);
    let goal =
        Goal { ours: "perloop", pinning: None, metric: MEAN, against: Against::BestPeer, at_most: 0.7 };
    Workload {
        name,
        title,
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants,
        class: None,
        figures: Figures::Timed,
        goals: vec![goal, against_python(MEAN)],
    }
}

struct Alone;

impl<H: Hold> Meeting<H> for Alone {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let times = run.operations(5_000_000, 1_000_000);
        on_own_loop(move |_: L| async move {
            let hold = H::make();
            let began = Instant::now();
            for _ in 0..times {
                drop(hold.acquire().await);
            }
            mean_of(times, began)
        })
    }
}

struct Contended;

impl<H: Hold> Meeting<H> for Contended {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let times = run.operations(100_000, 20_000);
        on_own_loop(move |own: L| async move {
            let hold = Rc::new(H::make());
            let began = Instant::now();
            let tasks: Vec<_> =
                (0..TASKS).map(|_| own.spawn_local(keep::<H, L>(Rc::clone(&hold), times))).collect();
            for task in tasks {
                L::join(task).await;
            }
            mean_of(TASKS * times, began)
        })
    }
}

async fn keep<H: Hold, L: OwnLoop>(hold: Rc<H>, times: usize) -> u64 {
    for _ in 0..times {
        let held = hold.acquire().await;
        L::yield_now().await;
        drop(held);
    }
    0
}
