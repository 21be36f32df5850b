//! Locks and semaphores: taken by a task that is alone, and by ten that each keep them for a turn.

use std::rc::Rc;
use std::time::Instant;

use super::started::on_own_loop;
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Run, Workload};
use crate::peers::{Hold, Meeting, OwnLoop, locks, python, semaphores};

const TASKS: usize = 10;

pub(crate) fn lock() -> Workload {
    let python = python("lock", 200_000, 50_000);
    Workload::on_one_loop("lock", ALONE, &MEAN, locks::<Alone>(), python, 0.7)
}

pub(crate) fn lock_contended() -> Workload {
    let python = python("lock_contended", 100_000, 20_000);
    Workload::on_one_loop("lock-contended", CONTENDED, &MEAN, locks::<Contended>(), python, 0.7)
}

pub(crate) fn semaphore() -> Workload {
    let python = python("semaphore", 200_000, 50_000);
    Workload::on_one_loop("semaphore", ALONE, &MEAN, semaphores::<Alone>(), python, 0.7)
}

pub(crate) fn semaphore_contended() -> Workload {
    let python = python("semaphore_contended", 100_000, 20_000);
    let contestants = semaphores::<Contended>();
    Workload::on_one_loop("semaphore-contended", CONTENDED, &MEAN, contestants, python, 0.7)
}

const ALONE: &str = "one task takes it and gives it back; time of both";
const CONTENDED: &str = "ten tasks take it, yield, and give it back; time of one hold";

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
