//! How long operations took, one by one.

use std::time::{Duration, Instant};

use super::metric::{MEAN, P50, Sample};
use super::workload::{Run, Size};

/// More than come together in a run's time.
const ROOM: usize = 1 << 22;

/// Times operations for a while, the first of them for nothing: until caches, threads and predictions have settled.
#[derive(Debug)]
pub(crate) struct Times {
    warm_at: Instant,
    timing: Duration,
    /// Known when it is warm: warming may take longer than it should.
    over_at: Option<Instant>,
    nanoseconds: Vec<u64>,
}

impl Times {
    /// For as long as `run` is to take.
    pub(crate) fn of(run: &Run) -> Self {
        let (warming, timing) = match run.size {
            Size::Full => (Duration::from_millis(50), Duration::from_millis(300)),
            Size::Quick | Size::Multiple(_) => (Duration::from_millis(10), Duration::from_millis(50)),
        };
        let nanoseconds = Vec::with_capacity(ROOM);
        Self { warm_at: Instant::now() + warming, timing, over_at: None, nanoseconds }
    }

    /// Notes an operation that began then and ends now. Is there time for another?
    pub(crate) fn note(&mut self, began: Instant) -> bool {
        let now = Instant::now();
        if began < self.warm_at {
            return true;
        }
        let over_at = *self.over_at.get_or_insert(began + self.timing);
        self.nanoseconds.push(nanoseconds(now - began));
        now < over_at && self.nanoseconds.len() < ROOM
    }

    /// Does it again and again while there is time.
    pub(crate) fn repeat(mut self, mut operation: impl FnMut()) -> Self {
        loop {
            let began = Instant::now();
            operation();
            if !self.note(began) {
                return self;
            }
        }
    }

    /// The middle one and the mean.
    pub(crate) fn into_sample(self) -> Sample {
        sample(self.nanoseconds)
    }
}

/// The middle one and the mean of single times, of which there is at least one.
pub(crate) fn sample(mut nanoseconds: Vec<u64>) -> Sample {
    nanoseconds.sort_unstable();
    let mean = nanoseconds.iter().sum::<u64>() as f64 / nanoseconds.len() as f64;
    let middle = nanoseconds[nanoseconds.len() / 2] as f64;
    Sample::default().with(P50, middle).with(MEAN, mean)
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("no run lasts for centuries")
}

/// How long one of `operations` took on average.
pub(crate) fn mean_of(operations: usize, began: Instant) -> Sample {
    Sample::default().with(MEAN, began.elapsed().as_nanos() as f64 / operations as f64)
}
