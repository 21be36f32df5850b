//! The harness of the benches: repetitions of all contestants in turn, medians, and a table with ratios.

use std::time::{Duration, Instant};

/// Repetitions of each workload; the median counts.
const REPETITIONS: usize = 5;

/// One who runs a workload, and says how long one operation took.
pub struct Contestant<'a> {
    name: &'a str,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl std::fmt::Debug for Contestant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contestant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A contestant whose `run` gives the time of one operation.
pub fn contestant<'a>(name: &'a str, run: impl FnMut() -> Duration + 'a) -> Contestant<'a> {
    Contestant { name, run: Box::new(run) }
}

/// Runs all contestants in turn, several times, and prints their medians and ratios to the last one, the peer.
pub fn compare(workload: &str, mut contestants: Vec<Contestant<'_>>) {
    let mut times: Vec<Vec<Duration>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..REPETITIONS {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            times.push((contestant.run)());
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    let peer = medians.last().map_or(1.0, Duration::as_secs_f64);
    println!("{workload}");
    for (contestant, median) in contestants.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / peer;
        println!("  {:<44} {:>12.1} ns {:>8.2}x", contestant.name, median.as_secs_f64() * 1e9, ratio);
    }
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long one of `operations` took on average.
pub fn per_operation(operations: u32, work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    let total = start.elapsed();
    Duration::from_secs_f64(total.as_secs_f64() / f64::from(operations))
}
