//! `interval`: ticks at fixed times.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::current;
use crate::event_loop::EventLoop;
use crate::sleep::{Sleep, sleep};

/// What becomes of ticks whose time passed while nobody asked for them: if at least the one after the tick that comes is
/// due already, too. A tick that is late by less changes nothing, so no behaviour drifts as long as none is missed.
///
/// With a period of 10, and who asks at 0, then not before 35, and from then on always, these ticks come:
///
/// | | at 0 | at 35 | later |
/// | --- | --- | --- | --- |
/// | `Burst` | 0 | 10, 20, 30 | 40, 50, 60 |
/// | `Delay` | 0 | 10 | 45, 55, 65 |
/// | `Skip` | 0 | 10 | 40, 50, 60 |
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{MissedTickBehavior, interval};
///
/// let mut heartbeat = interval(Duration::from_secs(1));
/// heartbeat.set_missed_tick_behavior(MissedTickBehavior::Skip);
/// assert_eq!(heartbeat.missed_tick_behavior(), MissedTickBehavior::Skip);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MissedTickBehavior {
    /// They come one after the other, a hop apart, until the interval has caught up. The number of ticks is right.
    #[default]
    Burst,
    /// They are left out, and the next tick comes a period after the late one. There is always a period between two.
    Delay,
    /// They are left out, and the next tick comes at the next time that is a whole number of periods from the start.
    Skip,
}

/// Makes ticks every `period`: the first one at once, when it is asked for, and from then on each at a fixed time,
/// however long what happens between them takes. A loop around [`sleep`](crate::sleep()) drifts instead, in asyncio as
/// here.
///
/// It may be made anywhere; from its first tick on it belongs to the loop that runs then, and counts on its clock.
///
/// # Panics
/// If the period is zero.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, interval, sleep};
///
/// let ms = Duration::from_millis;
/// let ticks = EventLoop::builder().virtual_time().run(async {
///     let (mut every, mut ticks) = (interval(ms(10)), Vec::new());
///     for _ in 0..4 {
///         ticks.push(every.tick().await);
///         sleep(ms(7)).await; // work takes time, and the ticks stay where they are
///     }
///     ticks
/// })?;
/// assert_eq!(ticks, [ms(0), ms(10), ms(20), ms(30)]);
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn interval(period: Duration) -> Interval {
    Interval::new(None, period)
}

/// As [`interval`], with the first tick at `start`, a time of the loop's clock; if that is past, at once, and then the
/// ticks up to now count as missed.
///
/// # Panics
/// If the period is zero.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, get_running_loop, interval_at};
///
/// let minute = Duration::from_secs(60);
/// let first = EventLoop::builder().virtual_time().run(async {
///     let now = get_running_loop()?.time();
///     Ok::<_, perloop::NoRunningLoop>(interval_at(now + minute, minute).tick().await)
/// })??;
/// assert_eq!(first, minute);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn interval_at(start: Duration, period: Duration) -> Interval {
    Interval::new(Some(start), period)
}

/// What [`interval`] makes. It is a [`Stream`](futures_core::Stream) of its ticks, too.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, Interval, interval};
///
/// struct Heart(Interval);
///
/// let second = Duration::from_secs(1);
/// let mut heart = Heart(interval(second));
/// let beats = EventLoop::builder().virtual_time().run(async {
///     (heart.0.tick().await, heart.0.tick().await)
/// })?;
/// assert_eq!(beats, (Duration::ZERO, second));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
#[must_use = "an interval does nothing unless its ticks are awaited"]
pub struct Interval {
    period: Duration,
    missed: MissedTickBehavior,
    /// When the next tick is due. None: as soon as it is asked for.
    due: Option<Duration>,
    loop_id: Option<u32>,
    /// The wait for the next tick. It stays when a question is given up, so that asking anew costs no further hop.
    wait: Option<Sleep>,
}

impl Interval {
    fn new(due: Option<Duration>, period: Duration) -> Self {
        assert!(
            !period.is_zero(),
            "interval: the period must not be zero; to give up the turn again and again, use yield_now"
        );
        Self { period, missed: MissedTickBehavior::default(), due, loop_id: None, wait: None }
    }

    /// Waits for the next tick, and gives the time for which it was due. One that is due already takes one hop, so that
    /// who is always late keeps nobody from running.
    ///
    /// Cancel safe: no tick is lost if the future is dropped.
    ///
    /// # Panics
    /// When it is polled outside of a running loop, or on another loop than before.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, interval, timeout};
    ///
    /// let ms = Duration::from_millis;
    /// EventLoop::builder().virtual_time().run(async {
    ///     let mut every = interval(ms(10));
    ///     every.tick().await;
    ///     assert!(timeout(ms(3), every.tick()).await.is_err()); // given up
    ///     assert_eq!(every.tick().await, ms(10));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn tick(&mut self) -> Duration {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let running = self.running();
        let now = running.time();
        let due = *self.due.get_or_insert(now);
        let wait = self.wait.get_or_insert_with(|| sleep(due.saturating_sub(now)));
        ready!(Pin::new(wait).poll(cx));
        self.wait = None;
        self.due = Some(self.after(due, now));
        Poll::Ready(due)
    }

    /// The running loop, which is the only one from now on: others have other clocks.
    fn running(&mut self) -> EventLoop {
        let running = match current::get_running_loop() {
            Ok(running) => running,
            Err(error) => panic!("interval: {error}"),
        };
        let own = *self.loop_id.get_or_insert(running.id());
        assert!(
            own == running.id(),
            "interval: asked on another event loop than before; make one for each loop"
        );
        running
    }

    /// When the tick after one that was due at `due`, and comes now, is due.
    fn after(&self, due: Duration, now: Duration) -> Duration {
        let next = due.saturating_add(self.period);
        match self.missed {
            _ if now < next => next,
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay => now.saturating_add(self.period),
            MissedTickBehavior::Skip => {
                let since_the_last = remainder(now.saturating_sub(due), self.period);
                now.saturating_sub(since_the_last).saturating_add(self.period)
            }
        }
    }

    /// Has the next tick come a period from now.
    ///
    /// # Panics
    /// As [`tick`](Self::tick).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, interval, sleep};
    ///
    /// let ms = Duration::from_millis;
    /// let next = EventLoop::builder().virtual_time().run(async {
    ///     let mut every = interval(ms(10));
    ///     sleep(ms(5)).await;
    ///     every.reset();
    ///     every.tick().await
    /// })?;
    /// assert_eq!(next, ms(15));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn reset(&mut self) {
        let now = self.running().time();
        self.due = Some(now.saturating_add(self.period));
        self.wait = None;
    }

    /// Returns the period.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// assert_eq!(perloop::interval(second).period(), second);
    /// ```
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Returns what becomes of missed ticks.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{MissedTickBehavior, interval};
    ///
    /// assert_eq!(interval(Duration::from_secs(1)).missed_tick_behavior(), MissedTickBehavior::Burst);
    /// ```
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Says what is to become of missed ticks, from the next tick on.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, MissedTickBehavior, interval, sleep};
    ///
    /// let ms = Duration::from_millis;
    /// let ticks = EventLoop::builder().virtual_time().run(async {
    ///     let mut every = interval(ms(10));
    ///     every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ///     every.tick().await;
    ///     sleep(ms(35)).await;
    ///     (every.tick().await, every.tick().await)
    /// })?;
    /// assert_eq!(ticks, (ms(10), ms(45)));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

/// What is left of `time` after as many whole periods as it has.
fn remainder(time: Duration, period: Duration) -> Duration {
    const SECOND: u128 = Duration::from_secs(1).as_nanos();
    let nanos = time.as_nanos() % period.as_nanos();
    // Neither can overflow: it is less than `time`.
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % SECOND).unwrap_or_default())
}

impl Stream for Interval {
    type Item = Duration;

    /// It never ends.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Duration>> {
        self.poll_tick(cx).map(Some)
    }
}
