//! A loop that has nothing to do should use no CPU at all, and one that was busy should stop looking for more at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::thread::gettid;
use rustix::time::{ClockId, clock_gettime};

use super::started;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{Metric, Outcome, Sample, Unit};
use crate::harness::pinning::Pinning;
use crate::harness::times::nanoseconds;
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{Job, Worker, our_workers, workers};

const IDLE_CPU_TIME: Metric = Metric { name: "idle CPU", unit: Unit::Nanoseconds };
const WAKE_UPS: Metric = Metric { name: "wake-ups", unit: Unit::Times };
const LOOKING: Metric = Metric { name: "looks after", unit: Unit::Nanoseconds };

const BUSY: Duration = Duration::from_millis(20);
/// Until a loop that was busy is certainly at rest.
const SETTLING: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(300);

pub(crate) fn workload() -> Workload {
    let mut contestants = our_workers::<Idle>();
    contestants.extend(workers::<Idle>());
    Workload {
        name: "idle",
        title: "CPU time and wake-ups of a loop in 300 idle ms, and CPU time after 20 busy ms until it rests",
        settings: vec![Setting::new(Pinning::Cross)],
        metrics: &[IDLE_CPU_TIME, WAKE_UPS, LOOKING],
        contestants,
        class: None,
        figures: Figures::Counted,
        goals: vec![
            Goal::new(IDLE_CPU_TIME, Against::Absolute, 0.0),
            Goal::new(WAKE_UPS, Against::Absolute, 0.0),
            Goal::new(LOOKING, Against::Absolute, 1e6),
        ],
    }
}

struct Idle;

impl Job for Idle {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        let quiet_from = Instant::now() + BUSY;
        let mut last = LastTurn::of(&worker);
        while Instant::now() < quiet_from {
            last = LastTurn::of(&worker);
        }
        sleep(SETTLING);
        let looking = Rest::of_thread(&last.thread.to_string())?.cpu_time.saturating_sub(last.cpu_time);
        let before = Rest::of_other_threads()?;
        sleep(IDLE);
        let after = Rest::of_other_threads()?;
        Ok(Sample::default()
            .with(IDLE_CPU_TIME, (after.cpu_time - before.cpu_time) as f64)
            .with(WAKE_UPS, (after.wake_ups - before.wake_ups) as f64)
            .with(LOOKING, looking as f64))
    }
}

/// What a loop's thread says of itself.
struct LastTurn {
    thread: u64,
    cpu_time: u64,
}

impl LastTurn {
    fn of<W: Worker>(worker: &W) -> Self {
        let cpu_time = Arc::new(AtomicU64::new(0));
        let its = Arc::clone(&cpu_time);
        let thread = W::wait(worker.submit(async move {
            let time = clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it is not negative");
            its.store(nanoseconds(time), Ordering::Relaxed);
            gettid().as_raw_nonzero().get().unsigned_abs().into()
        }));
        Self { thread, cpu_time: cpu_time.load(Ordering::Relaxed) }
    }
}

/// What the system says of threads that sleep.
#[derive(Default)]
struct Rest {
    cpu_time: u64,
    wake_ups: u64,
}

impl Rest {
    fn of_other_threads() -> Result<Self, String> {
        let own = gettid().as_raw_nonzero().to_string();
        let threads = std::fs::read_dir("/proc/self/task").map_err(|error| error.to_string())?;
        let names = threads.filter_map(|thread| thread.ok()?.file_name().into_string().ok());
        names.filter(|name| *name != own).try_fold(Self::default(), |sum, name| {
            let its = Self::of_thread(&name)?;
            Ok(Self { cpu_time: sum.cpu_time + its.cpu_time, wake_ups: sum.wake_ups + its.wake_ups })
        })
    }

    fn of_thread(name: &str) -> Result<Self, String> {
        let read = |file| std::fs::read_to_string(format!("/proc/self/task/{name}/{file}"));
        let (schedstat, status) = (read("schedstat"), read("status"));
        let cpu_time = schedstat.ok().and_then(|text| text.split(' ').next()?.parse().ok());
        let wake_ups = status.ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse().ok()
        });
        let known = cpu_time.zip(wake_ups).ok_or("the system does not say what its threads do")?;
        Ok(Self { cpu_time: known.0, wake_ups: known.1 })
    }
}
