//! A million tasks that all sleep: what a task that waits costs in memory, its timer and its handle included.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::started::on_own_loop;
use crate::harness::child::answer;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{Metric, Outcome, Sample, Unit};
use crate::harness::pinning::Pinning;
use crate::harness::process::resident;
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{OwnJob, OwnLoop, own_loops, python};

const RESIDENT: Metric = Metric { name: "resident a task", unit: Unit::Bytes };

/// Longer than anything here lasts.
const LONG: Duration = Duration::from_secs(3600);

/// How many tasks are about to sleep. None of them has it in its own memory.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn workload() -> Workload {
    let mut contestants = own_loops::<Memory>();
    contestants.extend(python("memory", 1_000_000, 25_000));
    Workload {
        name: "memory",
        title: "a million tasks asleep; resident memory of one",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[RESIDENT],
        contestants,
        class: None,
        figures: Figures::Counted,
        goals: vec![Goal::new(RESIDENT, Against::BestPeer, 0.7)],
    }
}

struct Memory;

impl OwnJob for Memory {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        // What grows by doubling is filled to the same part by both.
        let tasks = run.operations(1_000_000, 250_000);
        on_own_loop(move |own: L| async move {
            let before = resident();
            let sleeping = |_| {
                own.spawn_local(async {
                    BEGUN.fetch_add(1, Ordering::Relaxed);
                    L::sleep(LONG).await;
                    0
                })
            };
            let _handles: Vec<_> = (0..tasks).map(sleeping).collect();
            while BEGUN.load(Ordering::Relaxed) < tasks {
                // Not a yield: monoio polls a main that yields again and again, and nobody else.
                L::sleep(Duration::from_millis(1)).await;
            }
            let used = resident().saturating_sub(before);
            // Some need longer to take all of them down than the whole run may last.
            answer(&Ok(Sample::default().with(RESIDENT, used as f64 / tasks as f64)))
        })
    }
}
