//! [`Permits`]: so many at a time, of whatever thread.
//!
//! One word: how many permits are free, and a mark that says whether somebody waits for one. To take a permit and to give
//! it back are one read-modify-write each; the line of those who wait is looked at only if the word says so.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::errors::{Forked, WouldDeadlock};
use crate::sync::{Arc, AtomicUsize, Ordering, generation};
use crate::wait::Spin;
use crate::waiters::{Ticket, Waiters};
use crate::waits::{self, Brought, Failed, Stuck};

/// In the word: somebody waits for a permit.
const WAITED: usize = 1;
/// What permits are counted in.
const STEP: usize = WAITED + 1;

/// A number of permits, for any thread and any task. Clones are of the same permits. For runtime writers: the runtime's
/// `SubmitLimit` is one.
///
/// Who waits is told in the order of coming; who comes at that moment may still be served first. In the child of a fork
/// what would wait is refused, since the permit may be the parent's.
///
/// # Examples
/// ```
/// use perloop_bridge::{Permits, Spin};
///
/// let permits = Permits::new(1, Spin::Never);
/// let permit = permits.try_take().expect("one is free");
/// assert!(permits.try_take().is_none());
/// drop(permit); // gives it back
/// assert_eq!(permits.free(), 1);
/// ```
#[derive(Clone)]
pub struct Permits(Arc<Shared>);

/// One of the [`Permits`], which is given back when this is dropped, in any thread.
///
/// # Examples
/// ```
/// use perloop_bridge::{Permit, Permits, Spin};
///
/// let permits = Permits::new(2, Spin::Never);
/// let permit: Option<Permit> = permits.try_take();
/// std::thread::spawn(move || drop(permit)).join().expect("it does not panic");
/// assert_eq!(permits.free(), 2);
/// ```
#[must_use = "it is given back when it is dropped"]
pub struct Permit(Arc<Shared>);

struct Shared {
    word: AtomicUsize,
    line: Waiters,
    most: usize,
    spin: Spin,
    generation: u32,
}

/// Why a thread has waited for a permit in vain.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop_bridge::{Permits, PermitError, Spin};
///
/// let permits = Permits::new(1, Spin::Never);
/// let permit = permits.try_take();
/// let refused = permits.take_blocking(Some(Duration::from_millis(1)));
/// assert_eq!(refused.err(), Some(PermitError::TimedOut));
/// # drop(permit);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitError {
    /// The time was up first.
    TimedOut,
    /// It would have had to wait in a thread whose event loop runs.
    WouldDeadlock(WouldDeadlock),
    /// The permits are the parent process's, and none was free.
    Forked(Forked),
}

impl Permits {
    /// Makes so many permits. Threads look for as long as `spin` says before they sleep.
    ///
    /// # Panics
    /// If there are none, or more than half of what a `usize` can count.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// assert_eq!(Permits::new(8, Spin::Adaptive).free(), 8);
    /// ```
    pub fn new(most: usize, spin: Spin) -> Self {
        assert!(most > 0, "there has to be a permit, or all would wait for ever");
        let word = most.checked_mul(STEP).expect("fewer permits than half of what a usize can count");
        let (word, line) = (AtomicUsize::new(word), Waiters::new());
        Self(Arc::new(Shared { word, line, most, spin, generation: generation() }))
    }

    /// Returns how many there are in all.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// let permits = Permits::new(8, Spin::Never);
    /// let _permit = permits.try_take();
    /// assert_eq!(permits.most(), 8);
    /// ```
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// Returns how many are free. It may be otherwise by the time that you read it.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// let permits = Permits::new(8, Spin::Never);
    /// let _permit = permits.try_take();
    /// assert_eq!(permits.free(), 7);
    /// ```
    pub fn free(&self) -> usize {
        self.0.free()
    }

    /// Takes a permit if one is free. Never waits.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// let permits = Permits::new(1, Spin::Never);
    /// let permit = permits.try_take();
    /// assert!(permit.is_some() && permits.try_take().is_none());
    /// ```
    #[inline]
    pub fn try_take(&self) -> Option<Permit> {
        self.attempt().ok()
    }

    /// Takes a permit, and waits for one if none is free: for tasks. A wait that is given up has taken nothing.
    ///
    /// # Errors
    /// In the child of a fork, if none is free.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// let permits = Permits::new(1, Spin::Never);
    /// let take = async { permits.take().await.is_ok() };
    /// # assert_eq!(pin!(take).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(true));
    /// ```
    pub fn take(&self) -> TakePermit<'_> {
        TakePermit { permits: self, place: None }
    }

    /// Takes a permit, and blocks until one is free, at most for `timeout`: for threads.
    ///
    /// # Errors
    /// If the time was up first, if it would have to wait in a thread whose event loop runs, and in the child of a fork
    /// if none is free.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Permits, Spin};
    ///
    /// let permits = Permits::new(1, Spin::Never);
    /// let permit = permits.take_blocking(None)?;
    /// let other = std::thread::spawn({
    ///     let permits = permits.clone();
    ///     move || permits.take_blocking(None).is_ok()
    /// });
    /// drop(permit);
    /// assert!(other.join().expect("it does not panic"));
    /// # Ok::<(), perloop_bridge::PermitError>(())
    /// ```
    pub fn take_blocking(&self, timeout: Option<Duration>) -> Result<Permit, PermitError> {
        waits::block(&*self.0, self.0.spin, timeout, || self.attempt()).map_err(|failed| match failed {
            Failed::Closed => PermitError::Forked(Forked),
            Failed::TimedOut => PermitError::TimedOut,
            Failed::WouldDeadlock(why) => PermitError::WouldDeadlock(why),
        })
    }

    #[inline]
    fn attempt(&self) -> Result<Permit, Stuck> {
        self.0.try_take().then(|| Permit(Arc::clone(&self.0))).ok_or(Stuck::Blocked)
    }
}

impl Shared {
    #[inline]
    fn try_take(&self) -> bool {
        // ORDERING: Relaxed; whatever it is, the exchange fails if it is not so any more, and who is to wait looks once more,
        // by a change of the word.
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= STEP {
            // ORDERING: Acquire pairs with the Release of `give_back`: who had it before is done. On failure Relaxed, as
            // above.
            match self.word.compare_exchange_weak(word, word - STEP, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    #[inline]
    fn give_back(&self) {
        // ORDERING: Release pairs with the Acquire of `try_take`. Of those who wait nothing is owed to it: they are behind
        // a lock, and who has marked the word before this change is seen by it.
        if self.word.fetch_add(STEP, Ordering::Release) & WAITED != 0 {
            waits::tell(self);
        }
    }

    fn free(&self) -> usize {
        // ORDERING: Relaxed; it is out of date at once.
        self.word.load(Ordering::Relaxed) / STEP
    }
}

impl Brought for Shared {
    fn line(&self) -> &Waiters {
        &self.line
    }

    fn mark(&self) -> bool {
        // ORDERING: Relaxed; each later `give_back` sees the mark, as both change the one word.
        self.word.fetch_or(WAITED, Ordering::Relaxed) < STEP
    }

    fn unmark(&self) {
        // ORDERING: Relaxed; done under the line's lock, as the marking is.
        self.word.fetch_and(!WAITED, Ordering::Relaxed);
    }

    fn is_there(&self) -> bool {
        self.free() > 0
    }

    fn is_inherited(&self) -> bool {
        self.generation != generation()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// The future that [`Permits::take`] makes.
///
/// # Examples
/// ```
/// use perloop_bridge::{Permits, Spin, TakePermit};
///
/// let permits = Permits::new(1, Spin::Never);
/// let take: TakePermit<'_> = permits.take(); // it takes nothing before it is awaited
/// assert_eq!(permits.free(), 1);
/// # drop(take);
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct TakePermit<'a> {
    permits: &'a Permits,
    place: Option<Ticket>,
}

impl Future for TakePermit<'_> {
    type Output = Result<Permit, Forked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { permits, place } = self.get_mut();
        waits::poll(&*permits.0, place, cx, || permits.attempt()).map_err(|()| Forked)
    }
}

impl Drop for TakePermit<'_> {
    fn drop(&mut self) {
        waits::forget(&*self.permits.0, &mut self.place);
    }
}

impl fmt::Display for PermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no permit was free in time; try again, or wait longer"),
            Self::WouldDeadlock(why) => why.fmt(f),
            Self::Forked(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PermitError {}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("free", &self.free()).field("most", &self.most()).finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit(..)")
    }
}

impl fmt::Debug for TakePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakePermit").field("is_waiting", &self.place.is_some()).finish_non_exhaustive()
    }
}
