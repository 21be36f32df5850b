//! `Lock`.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::errors::plain_error;
use crate::line::Line;

plain_error! {
    /// A lock was to be released, or its holder to wait or notify, while nobody held it: asyncio's
    /// `RuntimeError('Lock is not acquired.')`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Lock, NotAcquired};
    ///
    /// assert_eq!(Lock::new().release(), Err(NotAcquired::default()));
    /// ```
    NotAcquired: "the lock is not acquired; `acquire` it first, and release it once"
}

/// Lets one task at a time go on, in the order of asking: asyncio's `Lock`. Clones are the same lock; none of them can
/// leave the thread.
///
/// Between two awaits nothing else runs on a loop, so it is needed only where something must stay true *across* an
/// await. Fairness: who is in line comes before who comes anew, also while the lock is free and the first in line has
/// not run yet. It is not reentrant: a task that acquires it twice waits for itself.
///
/// It belongs to no loop until a task has to wait for it.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use perloop::{Lock, create_task, yield_now};
/// # use std::rc::Rc;
///
/// perloop::run(async {
///     let (lock, balance) = (Lock::new(), Rc::new(Cell::new(0)));
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let (lock, balance) = (lock.clone(), Rc::clone(&balance));
///             create_task(async move {
///                 let _guard = lock.acquire().await;
///                 let read = balance.get();
///                 yield_now().await; // the others wait
///                 balance.set(read + 1);
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.expect("it neither panics nor is cancelled");
///     }
///     assert_eq!(balance.get(), 3);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, Default)]
pub struct Lock(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// The number of the hold; none if the lock is free.
    hold: Cell<Option<u64>>,
    holds: Cell<u64>,
    line: Line,
}

impl Lock {
    /// Makes a lock, which is free: asyncio's `Lock()`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Lock::new().locked());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until the lock is free and everybody who asked before has had it, and takes it. It is released when the
    /// guard is dropped. A free lock with nobody in line is taken without suspending. asyncio's `lock.acquire()`, and
    /// with the guard its `async with lock`.
    ///
    /// Cancel safe: who gives up leaves the line, and if the lock was meant for it, it goes to the next.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let lock = perloop::Lock::new();
    ///     let guard = lock.acquire().await;
    ///     assert!(lock.locked());
    ///     drop(guard);
    ///     assert!(!lock.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = LockGuard<'_>> {
        Acquire(self.turn())
    }

    /// Releases the lock, whoever holds it, and wakes the first in line: for a hold whose guard was
    /// [forgotten](LockGuard::forget). A guard that is still there releases nothing any more. asyncio's
    /// `lock.release()`.
    ///
    /// # Errors
    /// If the lock is free.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Lock, create_task};
    ///
    /// perloop::run(async {
    ///     let lock = Lock::new();
    ///     lock.acquire().await.forget();
    ///     let other = create_task({
    ///         let lock = lock.clone();
    ///         async move { lock.release() } // any task may
    ///     });
    ///     assert_eq!(other.await, Ok(Ok(())));
    ///     assert!(lock.release().is_err());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn release(&self) -> Result<(), NotAcquired> {
        self.suspend_hold().map(drop).ok_or(NotAcquired)
    }

    /// Says whether somebody holds it: asyncio's `lock.locked()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let lock = perloop::Lock::new();
    ///     let _guard = lock.acquire().await;
    ///     assert!(lock.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn locked(&self) -> bool {
        self.0.hold.get().is_some()
    }

    #[inline]
    fn turn(&self) -> Turn<'_> {
        Turn { lock: self, place: None }
    }

    /// Waits for the lock, and goes on with a hold that was suspended: its guard releases the lock again.
    pub(super) async fn resume(&self, hold: Option<u64>) {
        self.turn().await;
        self.0.hold.set(hold);
    }

    /// Makes the lock free, and gives the number of the hold that ends here.
    #[inline]
    pub(super) fn suspend_hold(&self) -> Option<u64> {
        let hold = self.0.hold.take()?;
        self.0.line.wake_first();
        Some(hold)
    }

    #[inline]
    fn take(&self) -> u64 {
        let hold = self.0.holds.get() + 1;
        self.0.holds.set(hold);
        self.0.hold.set(Some(hold));
        hold
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.locked()).field("waiting", &self.0.line.len()).finish()
    }
}

/// Waits for the lock, and guards the hold that begins.
struct Acquire<'a>(Turn<'a>);

impl<'a> Future for Acquire<'a> {
    type Output = LockGuard<'a>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LockGuard<'a>> {
        let turn = &mut self.0;
        Pin::new(&mut *turn).poll(cx).map(|hold| LockGuard { lock: turn.lock, hold })
    }
}

/// Waits for the lock. Its value is the number of the hold that begins.
struct Turn<'a> {
    lock: &'a Lock,
    place: Option<u32>,
}

impl Future for Turn<'_> {
    type Output = u64;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let is_free = !self.lock.locked();
        let may_take = match self.place {
            None => is_free && !self.lock.0.line.has_waiters(),
            Some(place) => is_free && self.comes_first(place),
        };
        if !may_take {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(self.lock.take())
    }
}

impl Turn<'_> {
    /// The lock is free only if the first in line was called, or passed over and comes after all. It leaves the line.
    fn comes_first(&mut self, place: u32) -> bool {
        let line = &self.lock.0.line;
        let is_first = line.is_first(place);
        if is_first {
            self.place = None;
            line.leave(place);
        }
        is_first
    }

    fn wait(&mut self, cx: &Context<'_>) {
        let line = &self.lock.0.line;
        match self.place {
            None => self.place = Some(line.join("Lock::acquire", cx)),
            Some(place) => drop(line.stay(place, cx)),
        }
    }

    fn give_up(&self, place: u32) {
        let line = &self.lock.0.line;
        line.leave(place);
        if !self.lock.locked() {
            line.wake_first();
        }
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

/// A hold of a [`Lock`], which ends when this is dropped: asyncio's `async with lock`.
///
/// # Examples
/// ```
/// use perloop::{Lock, LockGuard};
///
/// async fn with_both<'a>(first: &'a Lock, second: &'a Lock) -> (LockGuard<'a>, LockGuard<'a>) {
///     (first.acquire().await, second.acquire().await)
/// }
///
/// perloop::run(async {
///     let (first, second) = (Lock::new(), Lock::new());
///     let _both = with_both(&first, &second).await;
///     assert!(first.locked() && second.locked());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    hold: u64,
}

impl LockGuard<'_> {
    /// Keeps the lock held without a guard, until somebody calls [`Lock::release`]: asyncio's `acquire` outside of an
    /// `async with`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let lock = perloop::Lock::new();
    ///     lock.acquire().await.forget();
    ///     assert!(lock.locked());
    ///     assert_eq!(lock.release(), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Somebody may have called `release`, and perhaps it is another's by now.
        if self.lock.0.hold.get() == Some(self.hold) {
            self.lock.suspend_hold();
        }
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(self.lock).finish()
    }
}
