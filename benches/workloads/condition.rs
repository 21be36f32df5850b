//! Conditions: a task whose turn it always is, and two that give each other the turn.

use std::rc::Rc;
use std::time::Instant;

use super::started::on_own_loop;
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Run, Workload};
use crate::peers::{Meeting, OwnLoop, Turns, conditions, python};

pub(crate) fn workload() -> Workload {
    let title = "one task takes the lock, notifies nobody, and gives it back; time of all three";
    let python = python("condition", 200_000, 50_000);
    Workload::on_one_loop("condition", title, &MEAN, conditions::<InTurn<1>>(), python, 0.7)
}

pub(crate) fn contended() -> Workload {
    let title = "two tasks that wait for their turn and notify each other; time of one turn";
    let python = python("condition_contended", 100_000, 20_000);
    Workload::on_one_loop("condition-contended", title, &MEAN, conditions::<InTurn<2>>(), python, 0.7)
}

/// So many tasks in turn.
struct InTurn<const TASKS: usize>;

impl<T: Turns, const TASKS: usize> Meeting<T> for InTurn<TASKS> {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let times = run.operations(1_000_000, 200_000) / TASKS;
        on_own_loop(move |own: L| async move {
            let turns = Rc::new(T::make());
            let began = Instant::now();
            let task =
                |place| own.spawn_local(take::<T>(Rc::clone(&turns), (place, (place + 1) % TASKS), times));
            let tasks: Vec<_> = (0..TASKS).map(task).collect();
            for task in tasks {
                L::join(task).await;
            }
            mean_of(TASKS * times, began)
        })
    }
}

async fn take<T: Turns>(turns: Rc<T>, (own, next): (usize, usize), times: usize) -> u64 {
    for _ in 0..times {
        turns.take(own, next).await;
    }
    0
}
