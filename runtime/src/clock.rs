//! The time of one loop: the machine's monotonic clock, or a virtual one that stands still until the loop moves it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A loop's clock. Its times are durations since its own origin, so that virtual time begins at zero.
///
/// `Duration::MAX` as a point in time means never. A clone of a virtual clock is the same clock.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    source: Source,
}

/// Where the time comes from.
#[derive(Debug, Clone)]
enum Source {
    /// Time passes by itself, counted from this instant.
    Monotonic(Instant, coarse::Origin),
    /// Time passes when `advance_to` says so.
    Virtual(Rc<Cell<Duration>>),
}

impl Clock {
    /// Makes a clock that begins now and follows the machine's monotonic clock.
    pub(crate) fn monotonic() -> Self {
        Self { source: Source::Monotonic(Instant::now(), coarse::Origin::now()) }
    }

    /// Makes a clock that stands at zero until it is advanced.
    pub(crate) fn virtual_time() -> Self {
        Self { source: Source::Virtual(Rc::default()) }
    }

    /// Returns the time since the clock's origin. It never goes backwards.
    #[inline]
    pub(crate) fn time(&self) -> Duration {
        match &self.source {
            Source::Monotonic(origin, _) => origin.elapsed(),
            Source::Virtual(now) => now.get(),
        }
    }

    /// Is it surely not that late yet? For a time that is far ahead this takes a fraction of what [`time`](Self::time)
    /// takes. If false, look there.
    #[inline]
    pub(crate) fn is_well_before(&self, time: Duration) -> bool {
        match &self.source {
            Source::Monotonic(_, origin) => origin.is_well_before(time),
            Source::Virtual(_) => false,
        }
    }

    /// Says whether this clock only moves when it is told to.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.source, Source::Virtual(_))
    }

    /// Moves virtual time forward to `time`; a time that has passed already leaves the clock where it is.
    ///
    /// # Panics
    ///
    /// If the clock is monotonic.
    pub(crate) fn advance_to(&self, time: Duration) {
        match &self.source {
            Source::Monotonic(..) => panic!("a monotonic clock advances by itself"),
            Source::Virtual(now) => now.set(now.get().max(time)),
        }
    }

    /// Returns the time that is `delay` from now; a sum too large to be a time is never.
    pub(crate) fn deadline_after(&self, delay: Duration) -> Duration {
        self.time().saturating_add(delay)
    }
}

/// The machine's coarse clock, for an eighth of what the exact one costs.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod coarse {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// By how much it may be behind, generously: it moves with the scheduler's ticks, of at most ten milliseconds.
    /// Should it be behind by more, as after the machine was suspended, the next tick says so.
    const COARSENESS: Duration = Duration::from_millis(50);

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Origin(Duration);

    impl Origin {
        /// At most `COARSENESS` before the exact clock's origin.
        pub(super) fn now() -> Self {
            Self(time())
        }

        #[inline]
        pub(super) fn is_well_before(self, after: Duration) -> bool {
            time().saturating_sub(self.0).saturating_add(COARSENESS) < after
        }
    }

    #[inline]
    fn time() -> Duration {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        // A monotonic clock begins at zero, with the machine.
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod coarse {
    use std::time::Duration;

    /// There is none.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Origin;

    impl Origin {
        pub(super) fn now() -> Self {
            Self
        }

        pub(super) fn is_well_before(self, _: Duration) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_passes_by_itself() {
        let clock = Clock::monotonic();
        let before = clock.time();
        while clock.time() == before {}
        assert!(clock.time() > before);
        assert!(!clock.is_virtual());
    }

    #[test]
    fn what_is_near_or_past_is_never_well_ahead() {
        let clock = Clock::monotonic();
        assert!(!clock.is_well_before(Duration::ZERO));
        for _ in 0..10_000 {
            assert!(!clock.is_well_before(clock.time() + Duration::from_millis(1)));
        }
        assert!(!Clock::virtual_time().is_well_before(Duration::MAX), "it costs nothing to look");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_hour_ahead_is_well_ahead() {
        let clock = Clock::monotonic();
        assert!(clock.is_well_before(clock.time() + Duration::from_secs(3600)));
    }

    #[test]
    fn virtual_time_starts_at_zero_and_never_goes_backwards() {
        let clock = Clock::virtual_time();
        assert!(clock.is_virtual());
        assert_eq!(clock.time(), Duration::ZERO);
        clock.advance_to(Duration::from_secs(5));
        clock.advance_to(Duration::from_secs(3));
        assert_eq!(clock.time(), Duration::from_secs(5));
    }

    #[test]
    #[should_panic(expected = "a monotonic clock advances by itself")]
    fn monotonic_time_cannot_be_advanced() {
        Clock::monotonic().advance_to(Duration::from_secs(1));
    }

    #[test]
    fn deadlines_saturate_at_never() {
        let clock = Clock::virtual_time();
        clock.advance_to(Duration::from_secs(1));
        assert_eq!(clock.deadline_after(Duration::from_secs(2)), Duration::from_secs(3));
        assert_eq!(clock.deadline_after(Duration::MAX), Duration::MAX);
        assert_eq!(Clock::monotonic().deadline_after(Duration::MAX), Duration::MAX);
    }
}
