//! One task puts and another gets, on one loop: what a queue costs when nobody has to wait for long.

use std::time::Instant;

use super::started::on_own_loop;
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Run, Workload};
use crate::peers::{
    BOUND, Channel, Meeting, OwnLoop, bounded as bounded_channels, python, unbounded as unbounded_channels,
};

pub(crate) fn unbounded() -> Workload {
    let python = python("unbounded", 200_000, 50_000);
    let title = "a task puts and another gets, 1,024 a turn, of an unbounded queue; time of an item";
    Workload::on_one_loop("queue", title, &MEAN, unbounded_channels::<PassOn<true>>(), python, 1.2)
}

pub(crate) fn bounded() -> Workload {
    let python = python("bounded", 200_000, 50_000);
    let title = "a task puts and another gets, of a queue that holds 1,024; time of an item";
    Workload::on_one_loop("queue-bounded", title, &MEAN, bounded_channels::<PassOn<false>>(), python, 0.6)
}

/// Who puts may have to be told to pause.
struct PassOn<const PAUSES: bool>;

impl<C: Channel, const PAUSES: bool> Meeting<C> for PassOn<PAUSES> {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let items = run.operations(5_000_000, 1_000_000) as u64;
        on_own_loop(move |own: L| async move {
            pass_on::<C, L, PAUSES>(&own, items / 10).await;
            let began = Instant::now();
            pass_on::<C, L, PAUSES>(&own, items).await;
            mean_of(items as usize, began)
        })
    }
}

async fn pass_on<C: Channel, L: OwnLoop, const PAUSES: bool>(own: &L, items: u64) {
    let (sender, mut receiver) = C::ends();
    let putter = own.spawn_local(async move {
        for item in 0..items {
            C::put(&sender, item).await;
            if PAUSES && item % BOUND as u64 == BOUND as u64 - 1 {
                L::yield_now().await;
            }
        }
        0
    });
    let getter = own.spawn_local(async move {
        let mut sum = 0;
        for _ in 0..items {
            sum += C::get(&mut receiver).await;
        }
        sum
    });
    L::join(putter).await;
    assert_eq!(L::join(getter).await, items * (items - 1) / 2, "each came once");
}
