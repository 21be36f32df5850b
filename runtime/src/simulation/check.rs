//! Many seeds, and one that has failed before.

use std::env;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use perloop_bridge::Panicked;

use crate::simulation::Simulation;

/// Says which seeds to try instead of those of the program.
const SEED: &str = "PERLOOP_SEED";

impl Simulation {
    /// Calls `test` with a simulation of each of these seeds, one after the other. It fails by a panic, as a test
    /// does. The first seed that fails ends it.
    ///
    /// The environment's `PERLOOP_SEED` replaces the seeds: by one, to replay it, or by a range, as `0..10000`, to
    /// try more than usual. The begin and the end of each turn are events of `tracing`, of its finest level, so that
    /// a replay can tell who had which.
    ///
    /// # Panics
    /// If `test` panics; the message names the seed. If `PERLOOP_SEED` is neither a number nor a range.
    ///
    /// # Examples
    /// An order in which this would fail is not found among a hundred:
    ///
    /// ```
    /// use perloop::Simulation;
    ///
    /// Simulation::check(0..100, |simulation| {
    ///     let sum = simulation.loops(4).run(|group| async move {
    ///         let squares = group.map(1..=4_u64, |n| async move { n * n });
    ///         squares.await.map(|squares| squares.iter().sum())
    ///     });
    ///     assert_eq!(sum.unwrap(), Ok(30_u64));
    /// });
    /// ```
    ///
    /// And a failure says how to see it again:
    ///
    /// ```
    /// use perloop::Simulation;
    ///
    /// let failure = std::panic::catch_unwind(|| {
    ///     Simulation::check(0..100, |simulation| assert!(simulation.seed() < 42));
    /// });
    /// let message = failure.unwrap_err().downcast::<String>().unwrap();
    /// assert!(message.contains("with PERLOOP_SEED=42"));
    /// ```
    #[track_caller]
    pub fn check(seeds: impl IntoIterator<Item = u64>, mut test: impl FnMut(Self)) {
        let given = match env::var_os(SEED) {
            None => None,
            Some(text) => match text.to_str().and_then(parse) {
                Some(given) => Some(given),
                None => panic!("{SEED} is {text:?}; give it a seed, as 42, or a range of them, as 0..10000"),
            },
        };
        let mut failed = |seed| {
            let tried = catch_unwind(AssertUnwindSafe(|| test(Self::seeded(seed))));
            tried.err().map(|payload| (seed, Panicked::new(payload)))
        };
        let failure = match given {
            Some(mut given) => given.find_map(&mut failed),
            None => seeds.into_iter().find_map(&mut failed),
        };
        if let Some((seed, panicked)) = failure {
            let message = panicked.message();
            panic!(
                "the simulation fails with seed {seed}: {message}\nreplay it by running this test again with {SEED}={seed}"
            );
        }
    }
}

fn parse(text: &str) -> Option<RangeInclusive<u64>> {
    let number = |text: &str| text.parse::<u64>().ok();
    let (first, last) = match text.split_once("..") {
        Some((first, end)) => (number(first)?, number(end)?.checked_sub(1)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_a_range_or_nothing_at_all() {
        assert_eq!(parse("42"), Some(42..=42));
        assert_eq!(parse("7..9"), Some(7..=8));
        assert_eq!(parse("18446744073709551615"), Some(u64::MAX..=u64::MAX));
        for garbage in ["", "..", "-1", "1..", "x", "0..x", "1 ", "7..7", "0..0", "18446744073709551616"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }
}
