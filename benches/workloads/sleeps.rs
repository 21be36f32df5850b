//! A million tasks that each sleep once, all of them within a second: what timers cost that fire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::started::on_own_loop;
use crate::harness::metric::{CPU_TIME, Outcome, Sample};
use crate::harness::times::nanoseconds;
use crate::harness::workload::{Contestant, Role, Run, Workload};
use crate::peers::{OwnJob, OwnLoop, own_loops, python};

pub(crate) fn workload() -> Workload {
    let title = "a million sleeps spread over a second, armed and fired, each in a task; CPU time of one";
    let mut contestants = own_loops::<Sleeps>();
    contestants.push(Contestant::new("bare heap", Role::Bound, bare_heap));
    Workload::on_one_loop("sleeps", title, &CPU_TIME, contestants, python("sleeps", 1_000_000, 25_000), 0.6)
}

fn sleeps_of(run: &Run) -> u32 {
    run.operations(1_000_000, 250_000) as u32
}

/// One every microsecond, in no order.
fn delay(place: u32, sleeps: u32) -> Duration {
    Duration::from_micros(u64::from(place) * 7_919 % u64::from(sleeps) + 1)
}

fn cpu_time() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime).try_into().expect("it is not negative"))
}

fn sample(began: u64, sleeps: u32) -> Sample {
    Sample::default().with(CPU_TIME, (cpu_time() - began) as f64 / f64::from(sleeps))
}

struct Sleeps;

impl OwnJob for Sleeps {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        let sleeps = sleeps_of(run);
        on_own_loop(move |own: L| async move {
            let began = cpu_time();
            let sleeping = |place| {
                own.spawn_local(async move {
                    L::sleep(delay(place, sleeps)).await;
                    0
                })
            };
            let tasks: Vec<_> = (0..sleeps).map(sleeping).collect();
            for task in tasks {
                L::join(task).await;
            }
            sample(began, sleeps)
        })
    }
}

/// No tasks: deadlines in a heap, and a thread that sleeps until the earliest.
fn bare_heap(run: &Run) -> Outcome {
    let sleeps = sleeps_of(run);
    let began = cpu_time();
    let mut heap = BinaryHeap::new();
    for place in 0..sleeps {
        heap.push(Reverse((Instant::now() + delay(place, sleeps), place)));
    }
    while let Some(Reverse((deadline, place))) = heap.pop() {
        let until = deadline.saturating_duration_since(Instant::now());
        if !until.is_zero() {
            std::thread::sleep(until);
        }
        black_box(place);
    }
    Ok(sample(began, sleeps))
}
