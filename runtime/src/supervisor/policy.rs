//! How a supervisor restarts: which children, how often, how soon, and what it says when it gives up.

use std::fmt;
use std::time::Duration;

use crate::actor::ActorEnd;

/// Which children are restarted when one of them fails: OTP's restart strategies. What else is restarted is stopped first, the
/// last one first, and then started in order.
///
/// # Examples
/// See [`Supervisor`](crate::Supervisor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// That one alone.
    #[default]
    OneForOne,
    /// All of them: none is of use without the others.
    OneForAll,
    /// That one, and those that were named after it: they rely on it.
    RestForOne,
}

/// When a child is restarted: OTP's restart types.
///
/// # Examples
/// ```
/// use perloop::{Actor, Child, Restart};
///
/// struct Report;
/// impl Actor for Report {}
///
/// let child = Child::new("report", || Report).restart(Restart::Transient); // ends when it is done
/// # drop(child);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// However it ends.
    #[default]
    Permanent,
    /// If it ends otherwise than [normally](ActorEnd::is_normal).
    Transient,
    /// Never, also if others are restarted with which it would be.
    Temporary,
}

impl Restart {
    pub(super) fn is_for(self, end: &ActorEnd) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => !end.is_normal(),
            Self::Temporary => false,
        }
    }
}

/// How many failures a supervisor takes: OTP's intensity and period. At the next one it gives up. A failure counts once,
/// however many children are restarted for it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::Intensity;
///
/// let default = Intensity { restarts: 3, period: Duration::from_secs(5) };
/// assert_eq!(Intensity::default(), default);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// So many,
    pub restarts: u32,
    /// in so much time, by the clock of the supervisor's loop.
    pub period: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts: 3, period: Duration::from_secs(5) }
    }
}

/// How long a supervisor waits before it restarts a child that fails again and again: twice as long each time, up to a cap.
/// A child that was up for long enough begins anew. By default it waits for nothing.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
/// let delays = [0, 1, 2, 3, 4, 1_000].map(|failures| backoff.delay(failures).as_millis());
/// assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
/// assert_eq!(backoff.reset_after, Duration::from_secs(2)); // twice the cap, if nothing else is said
/// assert_eq!(Backoff::default().delay(7), Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub cap: Duration,
    /// A child that was up for so long has failed for the first time when it fails.
    pub reset_after: Duration,
}

impl Backoff {
    /// From `first` on twice as long each time, up to `cap`; reset after twice the cap.
    ///
    /// # Examples
    /// See [`Backoff`].
    pub fn exponential(first: Duration, cap: Duration) -> Self {
        Self { first, cap, reset_after: cap.saturating_mul(2) }
    }

    /// Returns how long to wait after the failure that so many came before.
    ///
    /// # Examples
    /// See [`Backoff`].
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

/// Why a supervisor has ended: a child failed once too often. It has stopped its other children before.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, ActorEnd, Child, GaveUp, Intensity, Supervisor};
///
/// struct Broken;
/// impl Actor for Broken {
///     async fn started(&mut self, _: &mut ActorContext<Self>) {
///         panic!("no disk");
///     }
/// }
///
/// let end = perloop::run(async {
///     let intensity = Intensity { restarts: 2, ..Intensity::default() };
///     let tree = Supervisor::builder().name("store").intensity(intensity).child(Child::new("disk", || Broken)).create();
///     tree.ended().await
/// })?;
/// let ActorEnd::GaveUp(gave_up) = end else { panic!("it gives up") };
/// let GaveUp { supervisor, child, .. } = &*gave_up;
/// assert_eq!((supervisor.as_str(), child.as_str()), ("store", "disk"));
/// assert_eq!(gave_up.to_string(), "supervisor 'store' gave up: 'disk' failed, after 2 restarts within 5s: panicked: no disk");
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GaveUp {
    /// The supervisor's name.
    pub supervisor: String,
    /// The name of the child that failed.
    pub child: String,
    /// How that one ended.
    pub end: ActorEnd,
    /// What the supervisor had allowed.
    pub intensity: Intensity,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, child, end, intensity: Intensity { restarts, period } } = self;
        write!(
            f,
            "supervisor '{supervisor}' gave up: '{child}' failed, after {restarts} restarts within {period:?}: {end}"
        )
    }
}
