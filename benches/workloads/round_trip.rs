//! A plain thread hands a trivial coroutine to a loop that has nothing to do, and blocks for the answer: what
//! `run_coroutine_threadsafe(...).result()` exists for. What counts is how both sides fall asleep and are woken.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::started;
use crate::bounds::{CacheLine, Channel, EventFd, Exchange, Park};
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{CPU_TIME, MEAN, Outcome, P50, Sample};
use crate::harness::pinning::Pinning;
use crate::harness::times::{Times, nanoseconds, sample};
use crate::harness::workload::{Contestant, Figures, Pace, Role, Run, Setting, Workload};
use crate::peers::{Job, Worker, our_workers, worker, workers};

/// Long enough that both sides sleep.
const PAUSE: Duration = Duration::from_millis(10);

/// One after the other, as fast as it goes.
pub(crate) fn workload() -> Workload {
    Workload {
        name: "submit",
        title: "submit a trivial coroutine to an idle loop, block for its answer",
        settings: vec![
            Setting::new(Pinning::None),
            Setting::new(Pinning::Same),
            Setting::new(Pinning::Cross),
        ],
        metrics: &[P50, MEAN],
        contestants: contestants(true),
        class: None,
        figures: Figures::Timed,
        goals: vec![
            Goal::new(P50, Against::BestPeer, 0.1).pinned(Pinning::None),
            Goal::new(P50, Against::Bound(CacheLine::NAME), 3.0).pinned(Pinning::None),
            Goal::new(P50, Against::BestPeer, 0.02).pinned(Pinning::Cross),
            Goal::new(P50, Against::BestPeer, 1.1).pinned(Pinning::Same),
            Goal::new(MEAN, Against::BestPeer, 1.1).pinned(Pinning::Same),
            Goal { ours: "perloop, Spin::Never", ..Goal::new(P50, Against::BestPeer, 1.1) },
        ],
    }
}

/// One every 10 ms.
pub(crate) fn rare() -> Workload {
    Workload {
        name: "rare",
        title: "the same every 10 ms, when both sides are asleep",
        settings: vec![Setting::new(Pinning::None).with_pauses()],
        metrics: &[P50, CPU_TIME],
        contestants: contestants(false),
        class: None,
        figures: Figures::Timed,
        goals: vec![Goal::new(P50, Against::BestPeer, 1.1), Goal::new(CPU_TIME, Against::BestPeer, 1.2)],
    }
}

fn contestants(may_spin: bool) -> Vec<Contestant> {
    let mut all = our_workers::<RoundTrip>();
    all.extend(workers::<RoundTrip>());
    if may_spin {
        all.push(bound::<CacheLine>());
    }
    all.extend([bound::<Park>(), bound::<EventFd>(), worker::<Channel, RoundTrip>(Role::Bound)]);
    all
}

struct RoundTrip;

impl Job for RoundTrip {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        time(run, || _ = W::wait(worker.submit(async { 0 })))
    }
}

fn bound<E: Exchange>() -> Contestant {
    Contestant::new(E::NAME, Role::Bound, |run| time(run, started::exchange::<E>(run)?))
}

fn time(run: &Run, operation: impl FnMut()) -> Outcome {
    match run.setting.pace {
        Pace::BackToBack => Ok(Times::of(run).repeat(operation).into_sample()),
        Pace::WithPauses => Ok(time_with_pauses(run.operations(60, 15), operation)),
    }
}

fn time_with_pauses(operations: usize, mut operation: impl FnMut()) -> Sample {
    operation();
    let cpu_time = cpu_time_of_process();
    let once = |_| {
        sleep(PAUSE);
        let began = Instant::now();
        operation();
        nanoseconds(began.elapsed())
    };
    let times = (0..operations).map(once).collect();
    let cpu_time = cpu_time_of_process() - cpu_time;
    sample(times).with(CPU_TIME, nanoseconds(cpu_time) as f64 / operations as f64)
}

fn cpu_time_of_process() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("it is not negative")
}
