//! [`CapacityLimiter`]: how much of one kind of use there may be at once.

use std::fmt;

use crate::executor::JobError;
use crate::executor::default::run_with;
use crate::locks::Semaphore;

/// Bounds how many jobs of one kind run at once, whatever the pool would take: anyio's `CapacityLimiter`. (asyncio has
/// none; its users take a semaphore, which is free again while a cancelled job still runs.) Clones are the same limiter.
/// It belongs to the thread of its loop.
///
/// Who waits is served in the order of coming.
///
/// # Examples
/// ```
/// use perloop::{CapacityLimiter, gather, create_task};
///
/// let disk = CapacityLimiter::new(2);
/// let sizes = perloop::run(async {
///     let reads: Vec<_> = ["Cargo.toml", "src", "tests"]
///         .map(|path| {
///             let disk = disk.clone();
///             create_task(async move { disk.to_thread(move || std::fs::metadata(path).is_ok()).await.is_ok_and(|found| found) })
///         })
///         .into();
///     gather(reads).await
/// })?;
/// assert_eq!(sizes, Ok(vec![true; 3]));
/// assert_eq!(disk.available_tokens(), 2);
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone)]
pub struct CapacityLimiter {
    total: usize,
    tokens: Semaphore,
}

impl CapacityLimiter {
    /// Makes one of `total` tokens.
    ///
    /// # Panics
    /// If it is zero: nobody could ever have a token, since tokens only come back from who had one. (A
    /// [`Semaphore`](crate::Semaphore) may begin with none, as anybody can `release` one; a
    /// [`Barrier`](crate::Barrier) of none is an `Err`, as it is a `ValueError` in asyncio.)
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::CapacityLimiter::new(3).total_tokens(), 3);
    /// ```
    pub fn new(total: usize) -> Self {
        assert!(total > 0, "CapacityLimiter: with no tokens everybody would wait for ever");
        Self { total, tokens: Semaphore::within("CapacityLimiter::acquire", total, usize::MAX) }
    }

    /// Returns how many may be at it at once.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::CapacityLimiter::new(3).total_tokens(), 3);
    /// ```
    pub fn total_tokens(&self) -> usize {
        self.total
    }

    /// Returns how many more may begin at once.
    ///
    /// # Examples
    /// ```
    /// let limiter = perloop::CapacityLimiter::new(3);
    /// let token = perloop::run(limiter.acquire())?;
    /// assert_eq!(limiter.available_tokens(), 2);
    /// drop(token);
    /// assert_eq!(limiter.available_tokens(), 3);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn available_tokens(&self) -> usize {
        self.tokens.permits()
    }

    /// Waits for a token, which is given back when it is dropped.
    ///
    /// Cancel safety: who gives the wait up leaves the line, and a token that was on its way goes to the next.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// use perloop::{CapacityLimiter, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let limiter = CapacityLimiter::new(1);
    ///     let token = limiter.acquire().await;
    ///     let second = create_task({
    ///         let limiter = limiter.clone();
    ///         async move { drop(limiter.acquire().await) }
    ///     });
    ///     yield_now().await;
    ///     assert!(!second.done());
    ///     drop(token);
    ///     assert_eq!(second.await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn acquire(&self) -> LimiterToken {
        self.tokens.acquire().await.forget();
        LimiterToken(self.tokens.clone())
    }

    /// Runs a blocking function in a thread of the running loop's default executor, with a token that it has until it
    /// has ended, whatever becomes of who waits for it. Otherwise as [`to_thread`](crate::to_thread).
    ///
    /// # Errors
    /// As [`to_thread`](crate::to_thread).
    ///
    /// # Panics
    /// As [`to_thread`](crate::to_thread) and [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// let limiter = perloop::CapacityLimiter::new(1);
    /// let answer = perloop::run(limiter.to_thread(|| 6 * 7))??;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn to_thread<T, F>(&self, job: F) -> Result<T, JobError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let token = self.acquire().await;
        run_with(job, token).await
    }
}

/// One of a [`CapacityLimiter`]'s tokens, given back when it is dropped.
///
/// # Examples
/// ```
/// use perloop::{CapacityLimiter, LimiterToken};
///
/// let limiter = CapacityLimiter::new(1);
/// let token: LimiterToken = perloop::run(limiter.acquire())?;
/// assert_eq!(limiter.available_tokens(), 0);
/// drop(token);
/// assert_eq!(limiter.available_tokens(), 1);
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "it is given back when it is dropped"]
pub struct LimiterToken(Semaphore);

impl Drop for LimiterToken {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapacityLimiter")
            .field("total_tokens", &self.total_tokens())
            .field("available_tokens", &self.available_tokens())
            .finish()
    }
}

impl fmt::Debug for LimiterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterToken").finish_non_exhaustive()
    }
}
