//! `Condition`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::cancel::catch_cancelled;
use crate::line::Line;
use crate::locks::lock::{Lock, LockGuard, NotAcquired};

/// Lets tasks that hold a lock wait until another one says that something has changed: asyncio's `Condition`. Clones
/// are the same condition; none of them can leave the thread.
///
/// Several conditions may share a lock. It belongs to no loop until a task has to wait for it.
///
/// # Examples
/// ```
/// use std::cell::RefCell;
/// use std::collections::VecDeque;
/// use std::rc::Rc;
/// use perloop::{Condition, create_task};
///
/// perloop::run(async {
///     let (words, has_come) = (Rc::new(RefCell::new(VecDeque::new())), Condition::new());
///     let reader = create_task({
///         let (words, has_come) = (Rc::clone(&words), has_come.clone());
///         async move {
///             let _guard = has_come.acquire().await;
///             has_come.wait_for(|| !words.borrow().is_empty()).await?;
///             Ok::<_, perloop::NotAcquired>(words.borrow_mut().pop_front())
///         }
///     });
///     let guard = has_come.acquire().await;
///     words.borrow_mut().push_back("hello");
///     has_come.notify(1).expect("the lock is held");
///     drop(guard);
///     assert_eq!(reader.await, Ok(Ok(Some("hello"))));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, Default)]
pub struct Condition {
    lock: Lock,
    line: Rc<Line>,
}

impl Condition {
    /// Makes a condition with a lock of its own: asyncio's `Condition()`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Condition::new().locked());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a condition that uses `lock`, which others may use too: asyncio's `Condition(lock)`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Condition, Lock};
    ///
    /// perloop::run(async {
    ///     let lock = Lock::new();
    ///     let (not_empty, not_full) = (Condition::with_lock(&lock), Condition::with_lock(&lock));
    ///     let _guard = lock.acquire().await;
    ///     assert!(not_empty.locked() && not_full.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn with_lock(lock: &Lock) -> Self {
        Self { lock: lock.clone(), line: Rc::default() }
    }

    /// Acquires the lock: as [`Lock::acquire`], in all that is said there. asyncio's `condition.acquire()`.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let condition = perloop::Condition::new();
    ///     let guard = condition.acquire().await;
    ///     assert!(condition.notify_all().is_ok());
    ///     drop(guard);
    ///     assert!(condition.notify_all().is_err());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = LockGuard<'_>> {
        self.lock.acquire()
    }

    /// Releases the lock: as [`Lock::release`]. asyncio's `condition.release()`.
    ///
    /// # Errors
    /// If the lock is free.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let condition = perloop::Condition::new();
    ///     condition.acquire().await.forget();
    ///     assert_eq!(condition.release(), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn release(&self) -> Result<(), NotAcquired> {
        self.lock.release()
    }

    /// Says whether somebody holds the lock: asyncio's `condition.locked()`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Condition::new().locked());
    /// ```
    #[inline]
    pub fn locked(&self) -> bool {
        self.lock.locked()
    }

    /// Releases the lock, waits until it is notified, and acquires the lock again: asyncio's `condition.wait()`. It may
    /// also be woken for nothing, so look again, or use [`wait_for`](Self::wait_for).
    ///
    /// Cancellation: a request ends the wait, but not before the lock is acquired again, however often it is made; so
    /// that what comes after, a guard's destructor or a [`catch_cancelled`], finds the lock held. A notification that it
    /// had got goes to another who waits.
    ///
    /// If its future is dropped otherwise, as a branch that lost a race, the lock is *not* held, and the guard releases
    /// nothing; a notification that it had got is handed on then too. Keep the guard for as long as the wait: what is
    /// acquired at its end is the guard's hold again, and without one only [`release`](Self::release) ends it.
    ///
    /// # Errors
    /// If nobody holds the lock.
    ///
    /// # Panics
    /// Outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Condition, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let condition = Condition::new();
    ///     let waiter = create_task({
    ///         let condition = condition.clone();
    ///         async move {
    ///             let _guard = condition.acquire().await;
    ///             condition.wait().await
    ///         }
    ///     });
    ///     yield_now().await;
    ///     let guard = condition.acquire().await; // it is free, since the other waits
    ///     condition.notify_all().expect("the lock is held");
    ///     drop(guard);
    ///     assert_eq!(waiter.await, Ok(Ok(())));
    ///
    ///     assert!(condition.wait().await.is_err()); // without the lock
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn wait(&self) -> Result<(), NotAcquired> {
        if !self.locked() {
            return Err(NotAcquired);
        }
        self.line.bind("Condition::wait");
        let hold = self.lock.suspend_hold();
        let hand_on = HandOn(self);
        let waited = catch_cancelled(async {
            Notification { condition: self, place: None }.await;
            self.lock.resume(hold).await;
        });
        if let Err(mut cancelled) = waited.await {
            // The guard's hold goes on. A request that comes meanwhile has to wait for it.
            while let Err(again) = catch_cancelled(self.lock.resume(hold)).await {
                cancelled = again;
            }
            match cancelled.raise().await {}
        }
        std::mem::forget(hand_on);
        Ok(())
    }

    /// Waits until `predicate` holds when looked at with the lock held, which is done at once and after each
    /// notification: asyncio's `condition.wait_for(predicate)`.
    ///
    /// Cancellation: as [`wait`](Self::wait).
    ///
    /// # Errors
    /// If it has to wait, and nobody holds the lock.
    ///
    /// # Panics
    /// As `wait`, and if `predicate` does.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let condition = perloop::Condition::new();
    ///     let _guard = condition.acquire().await;
    ///     assert_eq!(condition.wait_for(|| true).await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn wait_for(&self, mut predicate: impl FnMut() -> bool) -> Result<(), NotAcquired> {
        while !predicate() {
            self.wait().await?;
        }
        Ok(())
    }

    /// Wakes up to `n` of those who wait, in the order of coming. They stand in line for the lock then, so they go on
    /// when the caller has released it, one after another. If fewer wait, nothing is kept for later. asyncio's
    /// `condition.notify(n)`.
    ///
    /// # Errors
    /// If nobody holds the lock.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let condition = perloop::Condition::new();
    ///     assert!(condition.notify(1).is_err());
    ///     let _guard = condition.acquire().await;
    ///     assert_eq!(condition.notify(1), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn notify(&self, n: usize) -> Result<(), NotAcquired> {
        if !self.locked() {
            return Err(NotAcquired);
        }
        self.line.wake(n);
        Ok(())
    }

    /// Wakes all who wait, as [`notify`](Self::notify): asyncio's `condition.notify_all()`.
    ///
    /// # Errors
    /// If nobody holds the lock.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let condition = perloop::Condition::new();
    ///     let _guard = condition.acquire().await;
    ///     assert_eq!(condition.notify_all(), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn notify_all(&self) -> Result<(), NotAcquired> {
        self.notify(usize::MAX)
    }

    /// As `notify_all`, for who knows that the lock is held, or was lost with a wait that was dropped.
    pub(super) fn tell_all(&self) {
        self.line.wake(usize::MAX);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("locked", &self.locked())
            .field("waiting", &self.line.len())
            .finish()
    }
}

/// Notifies another one in the place of who gives up: as asyncio, also if it had not been notified itself.
struct HandOn<'a>(&'a Condition);

impl Drop for HandOn<'_> {
    fn drop(&mut self) {
        self.0.line.wake(1);
    }
}

/// Waits to be notified.
struct Notification<'a> {
    condition: &'a Condition,
    place: Option<u32>,
}

impl Future for Notification<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let line = &self.condition.line;
        match self.place {
            None => {
                self.place = Some(line.join("Condition::wait", cx));
                Poll::Pending
            }
            Some(place) if line.goes_on(place, cx) => Poll::Ready(()),
            Some(_) => Poll::Pending,
        }
    }
}

impl Drop for Notification<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.condition.line.leave(place);
        }
    }
}
