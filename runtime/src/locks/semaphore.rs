//! `Semaphore`.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::line::Line;

/// Lets a number of tasks at a time go on, in the order of asking: asyncio's `Semaphore`. Clones are the same
/// semaphore; none of them can leave the thread.
///
/// A permit that comes back while somebody is in line belongs to the first there from then on, before it runs.
///
/// It belongs to no loop until a task has to wait for it.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use perloop::{Semaphore, create_task, yield_now};
///
/// perloop::run(async {
///     let (at_once, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
///     let semaphore = Semaphore::new(2);
///     let tasks: Vec<_> = (0..10)
///         .map(|_| {
///             let (at_once, most) = (Rc::clone(&at_once), Rc::clone(&most));
///             let semaphore = semaphore.clone();
///             create_task(async move {
///                 let _permit = semaphore.acquire().await;
///                 at_once.set(at_once.get() + 1);
///                 most.set(most.get().max(at_once.get()));
///                 yield_now().await;
///                 at_once.set(at_once.get() - 1);
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.expect("it neither panics nor is cancelled");
///     }
///     assert_eq!(most.get(), 2);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone)]
pub struct Semaphore(Rc<Inner>);

struct Inner {
    /// The permits that belong to nobody.
    permits: Cell<usize>,
    /// What they may come to.
    bound: usize,
    line: Line,
    /// Who is told of a wait that is a mistake.
    what: &'static str,
}

impl Semaphore {
    /// Makes a semaphore that has so many permits; none is fine. asyncio's `Semaphore(value)`.
    ///
    /// # Examples
    /// ```
    /// assert!(perloop::Semaphore::new(0).locked());
    /// ```
    pub fn new(permits: usize) -> Self {
        Self::within("Semaphore::acquire", permits, usize::MAX)
    }

    /// One that never has more than `bound`, and that waits in what is called `what`.
    pub(crate) fn within(what: &'static str, permits: usize, bound: usize) -> Self {
        Self(Rc::new(Inner { permits: Cell::new(permits), bound, line: Line::default(), what }))
    }

    /// Waits until everybody who asked before has had a permit, and takes one, which comes back when the guard is
    /// dropped. If there is one and nobody is in line, it does not suspend. asyncio's `semaphore.acquire()`.
    ///
    /// Cancel safe: who gives up leaves the line, and a permit that it was given goes to the next, or back.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let semaphore = perloop::Semaphore::new(1);
    ///     let permit = semaphore.acquire().await;
    ///     assert!(semaphore.locked());
    ///     drop(permit);
    ///     assert!(!semaphore.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = SemaphorePermit<'_>> {
        Turn { semaphore: self, place: None }
    }

    /// The permits that belong to nobody.
    pub(crate) fn permits(&self) -> usize {
        self.0.permits.get()
    }

    /// Adds a permit, and gives it to the first in line: for one whose guard was
    /// [forgotten](SemaphorePermit::forget), or beyond those that there were. asyncio's `semaphore.release()`.
    ///
    /// # Examples
    /// ```
    /// let semaphore = perloop::Semaphore::new(0);
    /// semaphore.release();
    /// assert!(!semaphore.locked());
    /// ```
    #[inline]
    pub fn release(&self) {
        self.try_release();
    }

    /// False if there are as many permits as there may be.
    #[inline]
    pub(super) fn try_release(&self) -> bool {
        let Inner { permits, bound, .. } = &*self.0;
        let has_room = permits.get() < *bound;
        if has_room {
            permits.set(permits.get() + 1);
            self.serve_first();
        }
        has_room
    }

    /// Says whether the next `acquire` would have to wait: there is no permit, or somebody is in line. asyncio's
    /// `semaphore.locked()`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Semaphore::new(1).locked());
    /// ```
    #[inline]
    pub fn locked(&self) -> bool {
        self.0.permits.get() == 0 || self.0.line.has_waiters()
    }

    /// Gives a permit that is there to the first who wants one.
    #[inline]
    fn serve_first(&self) -> bool {
        self.0.line.is_anybody_waiting() && self.serve_next()
    }

    fn serve_next(&self) -> bool {
        // It is taken before the waker, which may be foreign, is called.
        let Some(sleeper) = self.0.line.call_next() else { return false };
        self.0.permits.set(self.0.permits.get() - 1);
        sleeper.wake();
        true
    }

    fn serve_all(&self) {
        while self.0.permits.get() > 0 && self.serve_first() {}
    }

    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { permits, line, .. } = &*self.0;
        f.debug_struct(name).field("permits", &permits.get()).field("waiting", &line.len()).finish()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("Semaphore", f)
    }
}

/// Waits for a permit.
struct Turn<'a> {
    semaphore: &'a Semaphore,
    place: Option<u32>,
}

impl<'a> Future for Turn<'a> {
    type Output = SemaphorePermit<'a>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SemaphorePermit<'a>> {
        self.take_permit(cx).map(|()| SemaphorePermit { semaphore: self.semaphore })
    }
}

impl Turn<'_> {
    #[inline]
    fn take_permit(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Some(place) = self.place {
            return self.poll_in_line(place, cx);
        }
        let Inner { permits, line, what, .. } = &*self.semaphore.0;
        if self.semaphore.locked() {
            self.place = Some(line.join(what, cx));
            return Poll::Pending;
        }
        permits.set(permits.get() - 1);
        Poll::Ready(())
    }

    fn poll_in_line(&mut self, place: u32, cx: &Context<'_>) -> Poll<()> {
        let line = &self.semaphore.0.line;
        if line.is_called(place) {
            self.place = None;
            line.leave(place);
            self.semaphore.serve_all();
            return Poll::Ready(());
        }
        if line.stay(place, cx) {
            // A permit may lie there that went past it.
            self.semaphore.serve_all();
        }
        Poll::Pending
    }

    fn give_up(&self, place: u32) {
        let Inner { permits, line, .. } = &*self.semaphore.0;
        if line.leave(place) {
            permits.set(permits.get() + 1);
        }
        self.semaphore.serve_all();
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.give_up(place);
        }
    }
}

/// A permit of a [`Semaphore`] or [`BoundedSemaphore`](crate::BoundedSemaphore), which comes back when this is dropped:
/// asyncio's `async with semaphore`.
///
/// # Examples
/// ```
/// use perloop::{Semaphore, SemaphorePermit};
///
/// perloop::run(async {
///     let semaphore = Semaphore::new(3);
///     let permits: [SemaphorePermit<'_>; 2] = [semaphore.acquire().await, semaphore.acquire().await];
///     assert!(!semaphore.locked());
/// #   drop(permits);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "the permit comes back when this is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
}

impl SemaphorePermit<'_> {
    /// Keeps the permit, until somebody calls [`Semaphore::release`]: asyncio's `acquire` outside of an `async with`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let semaphore = perloop::Semaphore::new(1);
    ///     semaphore.acquire().await.forget();
    ///     assert!(semaphore.locked());
    ///     semaphore.release();
    ///     assert!(!semaphore.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        // One too many is no error here: somebody has called `release` for this permit.
        self.semaphore.try_release();
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SemaphorePermit").field(self.semaphore).finish()
    }
}
