//! How often a submission allocates and calls the system: with a loop that sleeps each time, and with one that gets
//! the next before it may sleep.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use super::started;
use crate::harness::allocations;
use crate::harness::metric::{ALLOCATIONS, OPERATIONS, Outcome, SYSCALLS, Sample};
use crate::harness::pinning::Pinning;
use crate::harness::workload::{Contestant, Figures, Pace, Run, Setting, Workload};
use crate::peers::{Job, Worker, our_workers, workers};

/// Long enough that a loop sleeps, even one whose every system call is traced.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) fn of_round_trips() -> Workload {
    let title = "what one costs: submit to a loop, block for its answer";
    costs("costs-submit", title, contestants::<RoundTrips>())
}

pub(crate) fn of_forgetting() -> Workload {
    costs("costs-flood", "what one costs: fire and forget", contestants::<Forgetting>())
}

fn costs(name: &'static str, title: &'static str, contestants: Vec<Contestant>) -> Workload {
    Workload {
        name,
        title,
        settings: vec![Setting::new(Pinning::Cross), Setting::new(Pinning::Cross).with_pauses()],
        metrics: &[ALLOCATIONS, SYSCALLS],
        contestants,
        class: None,
        figures: Figures::CountedAndTraced,
        goals: vec![],
    }
}

fn contestants<J: Job>() -> Vec<Contestant> {
    let mut all = our_workers::<J>();
    all.extend(workers::<J>());
    all
}

struct RoundTrips;

impl Job for RoundTrips {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        let operations = match run.setting.pace {
            Pace::BackToBack => run.operations(1_000, 300),
            Pace::WithPauses => run.operations(300, 100),
        };
        Ok(count(run, operations, || _ = W::wait(worker.submit(async { 0 }))))
    }
}

struct Forgetting;

impl Job for Forgetting {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        let operations = match run.setting.pace {
            // Many, since the loop is to be awake before most of them.
            Pace::BackToBack => run.operations(100_000, 20_000),
            Pace::WithPauses => run.operations(300, 100),
        };
        let counted = count(run, operations, || worker.forget(async { 0 }));
        W::wait(worker.submit(async { 0 }));
        Ok(counted)
    }
}

/// Pauses without a system call, since each of those is counted.
fn count(run: &Run, operations: usize, mut operation: impl FnMut()) -> Sample {
    let allocations = allocations::count(|| {
        for _ in 0..operations {
            operation();
            if run.setting.pace == Pace::WithPauses {
                let began = Instant::now();
                while began.elapsed() < PAUSE {
                    spin_loop();
                }
            }
        }
    });
    let operations = operations as f64;
    Sample::default().with(OPERATIONS, operations).with(ALLOCATIONS, allocations as f64 / operations)
}
