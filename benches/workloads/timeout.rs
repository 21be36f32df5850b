//! A timeout around what takes one turn: nearly every timeout of a real program is armed and then cancelled.

use std::time::{Duration, Instant};

use super::started::on_own_loop;
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Run, Workload};
use crate::peers::{OwnJob, OwnLoop, own_loops, python};

/// Longer than anything here lasts.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn workload() -> Workload {
    let title = "a timeout of an hour around one yield: armed and cancelled; time of one";
    let python = python("timeout", 100_000, 20_000);
    Workload::on_one_loop("timeout", title, &MEAN, own_loops::<Timeouts>(), python, 0.5)
}

struct Timeouts;

impl OwnJob for Timeouts {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let timeouts = run.operations(1_000_000, 200_000);
        on_own_loop(move |_: L| async move {
            arm_and_cancel::<L>(timeouts / 10).await;
            let began = Instant::now();
            arm_and_cancel::<L>(timeouts).await;
            mean_of(timeouts, began)
        })
    }
}

async fn arm_and_cancel<L: OwnLoop>(timeouts: usize) {
    for _ in 0..timeouts {
        L::timeout(LONG, L::yield_now()).await;
    }
}
