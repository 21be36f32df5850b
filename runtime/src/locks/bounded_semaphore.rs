//! `BoundedSemaphore`.

use std::error::Error;
use std::fmt;

use crate::errors::plain_error;
use crate::locks::semaphore::{Semaphore, SemaphorePermit};

plain_error! {
    /// A permit came back to a bounded semaphore that had all of them: asyncio's
    /// `ValueError('BoundedSemaphore released too many times')`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{BoundedSemaphore, ReleasedTooMany};
    ///
    /// assert_eq!(BoundedSemaphore::new(1).release(), Err(ReleasedTooMany::default()));
    /// ```
    ReleasedTooMany: "the bounded semaphore was released too many times; release each permit once, or let its guard do it"
}

/// A [`Semaphore`] that never has more permits than at its start: asyncio's `BoundedSemaphore`. Clones are the same
/// semaphore; none of them can leave the thread.
///
/// # Examples
/// ```
/// perloop::run(async {
///     let semaphore = perloop::BoundedSemaphore::new(1);
///     semaphore.acquire().await.forget();
///     assert!(semaphore.release().is_ok());
///     assert!(semaphore.release().is_err()); // once too often
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// Makes a semaphore that has so many permits: asyncio's `BoundedSemaphore(value)`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::BoundedSemaphore::new(1).locked());
    /// ```
    pub fn new(permits: usize) -> Self {
        Self(Semaphore::within("BoundedSemaphore::acquire", permits, permits))
    }

    /// As [`Semaphore::acquire`], in all that is said there: asyncio's `semaphore.acquire()`.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let semaphore = perloop::BoundedSemaphore::new(1);
    ///     let _permit = semaphore.acquire().await;
    ///     assert!(semaphore.locked());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = SemaphorePermit<'_>> {
        self.0.acquire()
    }

    /// Gives a permit back, and to the first in line: for one whose guard was
    /// [forgotten](SemaphorePermit::forget). asyncio's `semaphore.release()`.
    ///
    /// # Errors
    /// If there are as many as at the start; nothing changes.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let semaphore = perloop::BoundedSemaphore::new(1);
    ///     semaphore.acquire().await.forget();
    ///     assert_eq!(semaphore.release(), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn release(&self) -> Result<(), ReleasedTooMany> {
        if self.0.try_release() { Ok(()) } else { Err(ReleasedTooMany) }
    }

    /// Says whether the next `acquire` would have to wait: asyncio's `semaphore.locked()`.
    ///
    /// # Examples
    /// ```
    /// assert!(perloop::BoundedSemaphore::new(0).locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.0.locked()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe("BoundedSemaphore", f)
    }
}
