//! Events: set for nobody, and for a hundred tasks that wait.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::started::on_own_loop;
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Run, Workload};
use crate::peers::{Event, Meeting, OwnLoop, events, python};

const WAITERS: usize = 100;

pub(crate) fn workload() -> Workload {
    let title = "one task sets it, waits for it, and clears it; time of all three";
    let python = python("event", 200_000, 50_000);
    Workload::on_one_loop("event", title, &MEAN, events::<Alone>(), python, 0.7)
}

pub(crate) fn contended() -> Workload {
    let title = "it is set for a hundred tasks that wait, again and again; time of one wake-up";
    let python = python("event_contended", 100_000, 20_000);
    Workload::on_one_loop("event-contended", title, &MEAN, events::<Contended>(), python, 0.7)
}

struct Alone;

impl<E: Event> Meeting<E> for Alone {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let times = run.operations(5_000_000, 1_000_000);
        on_own_loop(move |_: L| async move {
            let event = E::make();
            let began = Instant::now();
            for _ in 0..times {
                event.set();
                event.wait().await;
                event.clear();
            }
            mean_of(times, began)
        })
    }
}

struct Contended;

impl<E: Event> Meeting<E> for Contended {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let rounds = run.operations(10_000, 2_000);
        on_own_loop(move |own: L| async move {
            let event = Rc::new((E::make(), Cell::new(0)));
            let waiter = |_| own.spawn_local(wait_for(Rc::clone(&event), rounds));
            let waiters: Vec<_> = (0..WAITERS).map(waiter).collect();
            let began = Instant::now();
            for round in 1..=rounds {
                while event.1.get() < round * WAITERS {
                    L::yield_now().await;
                }
                event.0.set();
                event.0.clear();
            }
            for waiter in waiters {
                L::join(waiter).await;
            }
            mean_of(rounds * WAITERS, began)
        })
    }
}

/// Counts, beside the event, how often somebody has come to wait.
async fn wait_for<E: Event>(event: Rc<(E, Cell<usize>)>, rounds: usize) -> u64 {
    for _ in 0..rounds {
        event.1.set(event.1.get() + 1);
        event.0.wait().await;
    }
    0
}
