//! Waiting: look a while, then sleep.
//!
//! Two threads that are awake on two cores exchange a cache line in a tenth of a microsecond; waking one that sleeps on
//! another core costs tens. So who waits looks first. A thread that waits for a result looks for longer than it takes to
//! wake the loop, since that is what its first look has to outlast; from then on both are awake, and the loop, which
//! looks for a few microseconds only, finds the next submission before it sleeps.
//!
//! Looking costs processor time, so it has to have paid lately. It paid if the news came *soon*: late news means that the
//! other side had to be woken all the same. After a few misses in a row a thread rests from looking for a number of
//! waits, longer each time; then it tries again. With each push a thread tells the loop whether it will look for an
//! answer ([`Asker`]), and then the loop looks too, so that both try at the same time.
//!
//! On one core looking only keeps the other side from running, so there each look is a yield, which costs less than to
//! sleep and be woken. Some systems keep two threads that talk to each other on one core for as long as they do. So who
//! has asked there many times in a row moves itself to another core that it may run on, and again only after twice as
//! many times.

use std::time::Duration;

use crate::sync::{
    AtomicU32, Deadline, Ordering, Parker, generation, leave_this_core, spin_loop, this_core, thread_cell,
    yield_now,
};
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
    /// For a few microseconds, up to a hundred for an answer, and only if that has paid lately. Where the other side runs
    /// on the same core, the thread yields instead; and one that has asked there many times in a row moves itself to
    /// another core, if it may run on one (what it may run on stays as it is).
    #[default]
    Adaptive,
    /// It sleeps at once: for threads that shall not use a core while they wait, nor choose one.
    Never,
    /// Always this long, or until the loop's next deadline; I/O is polled meanwhile. For cores that have nothing else to do.
    For(Duration),
}

impl Spin {
    fn at_most(self, limit: Duration) -> Self {
        match self {
            Self::For(time) => Self::For(time.min(limit)),
            other => other,
        }
    }
}

/// How long a loop looks for submissions: longer than a thread takes from one result to its next submission.
const LOOK_FOR_NEWS: Duration = Duration::from_micros(5);
/// How long a thread looks for a result: longer than it takes to wake a loop that sleeps on another core.
const LOOK_FOR_END: Duration = Duration::from_micros(100);
/// What came within this time was worth looking for.
const SOON: Duration = Duration::from_micros(10);
/// Misses in a row until looking rests.
const PATIENCE: u32 = 3;
/// How many waits the first rest lasts; each further one lasts twice as many.
const FIRST_REST: u32 = 64;
/// How often that doubles.
const DOUBLINGS: u32 = 8;
/// How many pushes in a row a thread makes without waiting until it counts as one that does not wait.
const UNASKED: u32 = 16;
/// Questions that are asked and answered on one core, until the asker moves to another one; each time it is twice as many.
const TOGETHER: u32 = 64;
/// Looks between two looks at the clock.
const ROUND: u32 = 16;
/// Pauses before each look.
const PAUSES: u32 = 4;

/// Whether looking has paid lately, for one thread.
#[derive(Debug, Clone, Copy)]
struct Looker {
    /// In a row, since the last rest.
    misses: u32,
    /// Since looking paid last.
    rests: u32,
    /// Waits that are left of this rest.
    skips: u32,
    /// Questions to other loops since the last wait.
    unasked: u32,
    /// Looks on the other side's core since the last move.
    together: u32,
    moves: u32,
}

/// What is looked for, and by whom.
#[derive(Clone, Copy)]
struct Wait {
    spin: Spin,
    /// How long, if that is left to the looker.
    limit: Duration,
    /// Whether it looks even though that has not paid: the other side does as well.
    is_urged: bool,
    /// Whether it has asked the other side for something.
    has_asked: bool,
}

/// What a look has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Soon,
    Late,
    InVain,
}

impl Looker {
    const NEW: Self = Self { misses: 0, rests: 0, skips: 0, unasked: 0, together: 0, moves: 0 };

    /// Looks for `news`. `is_same_core`: the other side last ran on the looker's own core.
    fn look(&mut self, wait: Wait, is_same_core: impl FnOnce() -> bool, news: impl Fn() -> bool) -> bool {
        self.unasked = 0;
        if news() {
            return true;
        }
        let (limit, adapts) = match wait.spin {
            Spin::Never => return false,
            Spin::For(limit) => (limit, false),
            Spin::Adaptive => (wait.limit, true),
        };
        if adapts && !self.may_look() && !wait.is_urged {
            return false;
        }
        let is_same_core = is_same_core();
        let look = look_for(limit, is_same_core, news);
        self.learn(look);
        if is_same_core && wait.has_asked && look == Look::Soon {
            self.stay_or_move();
        }
        look != Look::InVain
    }

    fn stay_or_move(&mut self) {
        self.together += 1;
        if self.together >= TOGETHER << self.moves.min(DOUBLINGS) {
            self.together = 0;
            self.moves += 1;
            leave_this_core();
        }
    }

    fn may_look(&mut self) -> bool {
        let may_look = self.skips == 0;
        self.skips = self.skips.saturating_sub(1);
        may_look
    }

    fn learn(&mut self, look: Look) {
        if look == Look::Soon {
            (self.misses, self.rests, self.skips) = (0, 0, 0);
            return;
        }
        self.misses += 1;
        if self.misses == PATIENCE {
            let rests = self.rests.min(DOUBLINGS);
            (self.misses, self.rests, self.skips) = (0, rests + 1, FIRST_REST << rests);
        }
    }

    /// The thread hands something in. Will it look for the answer?
    fn asks(&mut self) -> bool {
        self.unasked = self.unasked.saturating_add(1);
        self.will_look()
    }

    fn will_look(&mut self) -> bool {
        self.skips == 0 && self.unasked <= UNASKED
    }
}

fn look_for(limit: Duration, is_same_core: bool, news: impl Fn() -> bool) -> Look {
    // What comes at once comes before a look at the clock would be over.
    if look_round(is_same_core, &news) {
        return Look::Soon;
    }
    let (soon, limit) = (Deadline::after(SOON.min(limit)), Deadline::after(limit));
    let has_passed = |deadline: Option<Deadline>| deadline.is_some_and(Deadline::has_passed);
    loop {
        if look_round(is_same_core, &news) {
            return if has_passed(soon) { Look::Late } else { Look::Soon };
        }
        if has_passed(limit) {
            return Look::InVain;
        }
    }
}

fn look_round(is_same_core: bool, news: impl Fn() -> bool) -> bool {
    if is_same_core {
        yield_now();
        return news();
    }
    (0..ROUND).any(|_| {
        // A look takes the cache line from the other side, which writes to it.
        (0..PAUSES).for_each(|_| spin_loop());
        news()
    })
}

/// What a thread that has pushed to a loop's inbox lately has told it, for its next wait. All of it is a hint.
pub(crate) struct Asker(AtomicU32);

/// It will look for the answer. The other bits are the core that it ran on.
const LOOKS: u32 = 1 << 31;

impl Asker {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(LOOKS - 1))
    }

    /// This thread hands work to a loop that looks as `spin` says.
    #[inline]
    pub(crate) fn note_question(&self, spin: Spin) {
        if spin != Spin::Never {
            self.note(with_looker(Looker::asks));
        }
    }

    /// This thread wakes a task of a loop that looks as `spin` says.
    pub(crate) fn note_wake(&self, spin: Spin) {
        if spin != Spin::Never {
            self.note(with_looker(Looker::will_look));
        }
    }

    #[inline]
    fn note(&self, looks: bool) {
        let now = (this_core() & (LOOKS - 1)) | if looks { LOOKS } else { 0 };
        // ORDERING: Relaxed, both; a hint. Read first, as a write takes the cache line from others.
        if self.0.load(Ordering::Relaxed) != now {
            self.0.store(now, Ordering::Relaxed);
        }
    }

    /// The loop's thread looks for news. If it has handed work to other loops, that is what it waits for.
    pub(crate) fn look_for_news(&self, spin: Spin, at_most: Duration, has_news: impl Fn() -> bool) -> bool {
        // ORDERING: Relaxed; a hint.
        let asker = self.0.load(Ordering::Relaxed);
        let is_urged = asker & LOOKS != 0;
        let is_same_core = || asker & (LOOKS - 1) == this_core();
        let found = with_looker(|looker| {
            let has_asked = looker.unasked > 0;
            let limit = if has_asked { LOOK_FOR_END } else { LOOK_FOR_NEWS };
            let (spin, limit) = (spin.at_most(at_most), limit.min(at_most));
            looker.look(Wait { spin, limit, is_urged, has_asked }, is_same_core, has_news)
        });
        if is_urged && !found {
            // ORDERING: Relaxed; a hint. The asker was answered, and does not ask again just now.
            self.0.store(asker & !LOOKS, Ordering::Relaxed);
        }
        found
    }
}

/// What a blocking wait knows of the loop that it waits for, from the moment of the submission. It is small, as there may
/// be a million futures that nobody has asked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hint {
    /// As `Spin`: in microseconds, or one of the two below.
    looks_for: u32,
    ran_on: u16,
    /// The process that it was in, counted in forks.
    generation: u16,
}

const NEVER: u32 = 0;
const ADAPTIVE: u32 = u32::MAX;

impl Hint {
    /// About a loop that looks as `spin` says and last ran on the core `ran_on`.
    #[inline]
    pub(crate) fn new(spin: Spin, ran_on: u32) -> Self {
        let looks_for = match spin {
            Spin::Never => NEVER,
            Spin::Adaptive => ADAPTIVE,
            Spin::For(limit) => {
                u32::try_from(limit.as_micros()).unwrap_or(ADAPTIVE - 1).clamp(1, ADAPTIVE - 1)
            }
        };
        Self { looks_for, ran_on: short(ran_on), generation: short(generation()) }
    }

    /// About nothing that is worth looking for.
    pub(crate) fn none() -> Self {
        Self::new(Spin::Never, u32::MAX)
    }

    /// Was the process forked since?
    pub(crate) fn is_inherited(self) -> bool {
        self.generation != short(generation())
    }

    /// For as long as its user has said, which may be long.
    pub(crate) fn looks_long(self) -> bool {
        !matches!(self.looks_for, NEVER | ADAPTIVE)
    }

    fn spin(self) -> Spin {
        match self.looks_for {
            NEVER => Spin::Never,
            ADAPTIVE => Spin::Adaptive,
            micros => Spin::For(Duration::from_micros(micros.into())),
        }
    }

    fn is_same_core(self) -> bool {
        self.ran_on != u16::MAX && self.ran_on == short(this_core())
    }
}

/// The lower half; what it is cut from is a hint, or counts what happens rarely.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn short(number: u32) -> u16 {
    number as u16
}

thread_cell! {
    /// Whether looking has paid in this thread.
    static LOOKER: Looker = Looker::NEW;
}

#[inline]
fn with_looker<R>(act: impl FnOnce(&mut Looker) -> R) -> R {
    LOOKER.with(|kept| {
        let mut looker = kept.get();
        let result = act(&mut looker);
        kept.set(looker);
        result
    })
}

/// The wait was given up: the time was up.
pub(crate) struct TimedOut;

/// Looks for the future's end without blocking for long, and not longer than the wait may last.
pub(crate) fn look_for_end(cell: CellPtr, until: Until, hint: Hint, timeout: Option<Duration>) -> bool {
    let at_most = timeout.unwrap_or(Duration::MAX);
    let spin = hint.spin().at_most(at_most);
    let wait = Wait { spin, limit: LOOK_FOR_END.min(at_most), is_urged: false, has_asked: true };
    with_looker(|looker| looker.look(wait, || hint.is_same_core(), || has_reached(cell, until)))
}

/// Looks for what the other side of a queue does, before a wait for it.
pub(crate) fn look_for_other_side(spin: Spin, timeout: Option<Duration>, news: impl Fn() -> bool) -> bool {
    let at_most = timeout.unwrap_or(Duration::MAX);
    let (spin, limit) = (spin.at_most(at_most), LOOK_FOR_NEWS.min(at_most));
    with_looker(|looker| looker.look(Wait { spin, limit, is_urged: false, has_asked: false }, || false, news))
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
