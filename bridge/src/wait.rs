//! Waiting: look a while, then sleep.
//!
//! Two threads that are awake exchange a cache line in a tenth of a microsecond; waking one that sleeps on another
//! core costs tens. So who waits looks first, *if that has paid lately*: after a few failures in a row it looks only
//! now and then, more and more rarely, so that an idle thread uses no time and nobody is held up by a looker on a
//! machine with fewer free cores than threads.
//!
//! A thread that waits for a result looks for longer than it takes to wake the loop, since that is what its first
//! look has to outlast; from then on both are awake, and the loop, which looks for a few microseconds only, finds the
//! next submission before it sleeps.

use std::time::Duration;

use crate::sync::{Deadline, Parker, generation, spin_loop, this_core, thread_cell};
use crate::task::CellPtr;
use crate::watchers::{self, Tell, Until};

/// How long a thread that has nothing to do looks for news before it sleeps. Waking a thread that sleeps takes tens
/// of microseconds, one that looks a tenth of one; looking keeps a core busy.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use std::time::Duration;
/// use perloop::Spin;
///
/// assert_eq!(Spin::default(), Spin::Adaptive);
/// let on_a_core_of_its_own = Spin::For(Duration::from_micros(50));
/// # assert_ne!(on_a_core_of_its_own, Spin::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spin {
    /// For a few microseconds, and only if that has paid lately.
    #[default]
    Adaptive,
    /// It sleeps at once.
    Never,
    /// Always this long.
    For(Duration),
}

/// How long a loop looks for submissions: longer than a thread takes from one result to its next submission.
pub(crate) const LOOK_FOR_NEWS: Duration = Duration::from_micros(5);
/// How long a thread looks for a result: longer than it takes to wake a loop that sleeps on another core.
const LOOK_FOR_END: Duration = Duration::from_micros(100);
/// Failures in a row until looking becomes rare.
const PATIENCE: u32 = 3;
/// How often a thread waits without looking after that, at first; it doubles with each further failure.
const FIRST_SKIP: u32 = 64;
/// How often at the most.
const LAST_SKIP: u32 = 1 << 14;
/// Looks between two looks at the clock.
const ROUND: u32 = 16;

/// Whether looking has paid lately, for one waiting side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looker {
    misses: u32,
    skips: u32,
}

impl Looker {
    /// Looks for `news` as `spin` says, at most for `limit` if that is left to it. `is_same_core`: the other side last
    /// ran on the looker's own core, where looking only holds it up.
    pub(crate) fn look(
        &mut self,
        spin: Spin,
        limit: Duration,
        news: impl Fn() -> bool,
        is_same_core: impl FnOnce() -> bool,
    ) -> bool {
        let (limit, adapts) = match spin {
            Spin::Never => return news(),
            Spin::For(limit) => (limit, false),
            Spin::Adaptive => (limit, true),
        };
        if news() {
            return true;
        }
        if adapts && !self.may_look(is_same_core) {
            return false;
        }
        let found = look_for(limit, news);
        self.learn(found);
        found
    }

    fn may_look(&mut self, is_same_core: impl FnOnce() -> bool) -> bool {
        if self.skips > 0 {
            self.skips -= 1;
            // The last one is a probe, wherever the other side is: threads move.
            return self.skips == 0;
        }
        if is_same_core() {
            self.misses = self.misses.max(PATIENCE);
            self.rest();
            return false;
        }
        true
    }

    fn learn(&mut self, found: bool) {
        if found {
            *self = Self::default();
            return;
        }
        self.misses = self.misses.saturating_add(1);
        self.rest();
    }

    /// After some misses in a row, waits without looking: the longer, the more there were.
    fn rest(&mut self) {
        if let Some(doublings) = self.misses.checked_sub(PATIENCE) {
            self.skips = FIRST_SKIP.checked_shl(doublings.min(16)).unwrap_or(LAST_SKIP).min(LAST_SKIP);
        }
    }
}

fn look_for(limit: Duration, news: impl Fn() -> bool) -> bool {
    let deadline = Deadline::after(limit);
    loop {
        for _ in 0..ROUND {
            if news() {
                return true;
            }
            spin_loop();
        }
        if deadline.is_some_and(Deadline::has_passed) {
            return false;
        }
    }
}

/// What a blocking wait knows of the loop that it waits for, from the moment of the submission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hint {
    spin: Spin,
    ran_on: u32,
    /// The process that it was in, counted in forks.
    generation: u32,
}

impl Hint {
    /// About a loop that looks as `spin` says and last ran on the core `ran_on`.
    pub(crate) fn new(spin: Spin, ran_on: u32) -> Self {
        Self { spin, ran_on, generation: generation() }
    }

    /// About nothing that is worth looking for.
    pub(crate) fn none() -> Self {
        Self::new(Spin::Never, u32::MAX)
    }

    /// Was the process forked since?
    pub(crate) fn is_inherited(self) -> bool {
        self.generation != generation()
    }
}

thread_cell! {
    /// Whether looking for results has paid in this thread.
    static LOOKER: Looker = Looker { misses: 0, skips: 0 };
}

/// The wait was given up: the time was up.
pub(crate) struct TimedOut;

/// Looks for the future's end without blocking for long, and not longer than the wait may last.
pub(crate) fn look_for_end(cell: CellPtr, until: Until, hint: Hint, timeout: Option<Duration>) -> bool {
    let at_most = timeout.unwrap_or(Duration::MAX);
    let spin = match hint.spin {
        Spin::For(limit) => Spin::For(limit.min(at_most)),
        other => other,
    };
    let has_come = || has_reached(cell, until);
    let is_same_core = || hint.ran_on == this_core() && hint.ran_on != u32::MAX;
    LOOKER.with(|kept| {
        let mut looker = kept.get();
        let found = looker.look(spin, LOOK_FOR_END.min(at_most), has_come, is_same_core);
        kept.set(looker);
        found
    })
}

/// Blocks until the cell has reached what is waited for. Callers make sure that it can.
pub(crate) fn block(cell: CellPtr, until: Until, deadline: Option<Deadline>) -> Result<(), TimedOut> {
    let parker = Parker::of_this_thread();
    let Some(place) = watchers::watch(cell, until, Tell::Thread(parker.clone())) else { return Ok(()) };
    loop {
        if has_reached(cell, until) {
            // Told or about to be: whoever tells finds nobody, or a thread that is awake.
            drop(watchers::leave(cell, place));
            return Ok(());
        }
        if deadline.is_some_and(Deadline::has_passed) {
            drop(watchers::leave(cell, place));
            return if has_reached(cell, until) { Ok(()) } else { Err(TimedOut) };
        }
        parker.park(deadline);
    }
}

pub(crate) fn has_reached(cell: CellPtr, until: Until) -> bool {
    let now = cell.header().state.load();
    match until {
        Until::Done => now.is_done(),
        Until::Ended => now.is_ended(),
    }
}
