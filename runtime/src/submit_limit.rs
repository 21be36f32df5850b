//! [`SubmitLimit`]: how many submissions there may be at once.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use perloop_bridge::{CrossThreadFuture, Forked, Permit, PermitError, Permits, Spin};
use pin_project_lite::pin_project;

use crate::handle::{LoopHandle, run_coroutine_threadsafe};

/// A bound for what is handed to loops: so many submissions at a time, on one loop or on several. asyncio has none for
/// `run_coroutine_threadsafe`; in a program there, a semaphore stands around the call.
///
/// A submission's permit is taken before its future is made, so that what is not submitted costs nothing. It rides with
/// the future and is given back when that is dropped, whatever became of it: it ended, panicked, was cancelled, was refused
/// by a closed loop, or went down with its loop. Whoever gets a submission's outcome finds its permit given back; only
/// [`CrossThreadFuture::cancel`] tells its outcome before the task has ended.
///
/// Each form of submission exists three times: [`try_submit`](Self::try_submit) refuses when the limit is reached,
/// [`submit`](Self::submit) awaits, and [`submit_blocking`](Self::submit_blocking) blocks. [`acquire`](Self::acquire) and its
/// kin take a permit alone, for what is to be decided later. Who waits is told in the order of coming; who comes at that
/// moment may still be served first.
///
/// It is `Clone + Send + Sync`; clones are the same limit.
///
/// Work that holds a permit and waits for another one of the same limit may wait for ever, when all permits are held by such
/// work. So what submits further work within its own has a limit of its own for that, one for each step from loop to loop.
///
/// # Examples
/// ```
/// use perloop::{LoopThread, SubmitLimit};
///
/// let worker = LoopThread::spawn("worker")?;
/// let limit = SubmitLimit::new(8);
/// let squares: Vec<_> = (0..100_u64)
///     .map(|n| limit.submit_blocking(&worker, || async move { n * n })) // never more than 8 at once
///     .collect::<Result<_, _>>()?;
/// let sum = squares.iter().map(|square| square.result()).sum::<Result<u64, _>>()?;
/// assert_eq!(sum, 328_350);
/// assert_eq!(limit.available(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "smp_service_group")]
pub struct SubmitLimit(Permits);

/// The right to one submission within a [`SubmitLimit`]. Dropped without one, it is given back.
///
/// # Examples
/// ```
/// use perloop::{LoopThread, SubmitLimit, SubmitPermit};
///
/// let worker = LoopThread::spawn("worker")?;
/// let limit = SubmitLimit::new(1);
/// let permit: SubmitPermit = limit.try_acquire().expect("it is free");
/// assert_eq!(permit.submit(&worker, async { 42 }).result(), Ok(42));
/// assert_eq!(limit.available(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it is given back when it is dropped"]
pub struct SubmitPermit(#[expect(dead_code, reason = "it is given back when it is dropped")] Permit);

impl SubmitLimit {
    /// Makes a limit of so many submissions at a time.
    ///
    /// # Panics
    /// If it is zero.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::SubmitLimit::new(8).available(), 8);
    /// ```
    pub fn new(most: usize) -> Self {
        Self(Permits::new(most, Spin::Adaptive))
    }

    /// Returns how many submissions there may be at a time.
    ///
    /// # Examples
    /// ```
    /// let limit = perloop::SubmitLimit::new(8);
    /// let _permit = limit.try_acquire();
    /// assert_eq!(limit.most(), 8);
    /// ```
    pub fn most(&self) -> usize {
        self.0.most()
    }

    /// Returns how many permits are free. It may be otherwise by the time that you read it.
    ///
    /// # Examples
    /// ```
    /// let limit = perloop::SubmitLimit::new(8);
    /// let _permit = limit.try_acquire();
    /// assert_eq!(limit.available(), 7);
    /// ```
    pub fn available(&self) -> usize {
        self.0.free()
    }

    /// Submits what `make` makes, if the limit is not reached; otherwise `make` is not called. Never waits; from any thread.
    /// What the loop does with it is as for [`run_coroutine_threadsafe`].
    ///
    /// # Errors
    /// If the limit is reached.
    ///
    /// # Examples
    /// ```
    /// use perloop::{LimitReached, LoopThread, SubmitLimit};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let limit = SubmitLimit::new(1);
    /// let first = limit.try_submit(&worker, || std::future::pending::<()>())?;
    /// let second = limit.try_submit(&worker, || async { 42 });
    /// assert_eq!(second.err(), Some(LimitReached { most: 1 }));
    /// first.cancel_and_wait()?;
    /// assert_eq!(limit.try_submit(&worker, || async { 42 })?.result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_submit<F>(
        &self,
        on: &LoopHandle,
        make: impl FnOnce() -> F,
    ) -> Result<CrossThreadFuture<F::Output>, LimitReached>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let permit = self.try_acquire().ok_or_else(|| LimitReached { most: self.most() })?;
        Ok(permit.submit(on, make()))
    }

    /// Submits what `make` makes, and waits before that until the limit allows it: for tasks.
    ///
    /// Cancel safety: a wait that is given up has submitted nothing and keeps no permit.
    ///
    /// # Errors
    /// In the child of a fork, if the limit is reached: those who hold the permits may be the parent's.
    ///
    /// # Examples
    /// ```
    /// use perloop::{LoopThread, SubmitLimit};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let limit = SubmitLimit::new(1);
    /// let handle = worker.handle();
    /// let sum = perloop::run(async move {
    ///     let mut answers = Vec::new();
    ///     for n in 0..10 {
    ///         answers.push(limit.submit(&handle, || async move { n }).await?); // one after the other
    ///     }
    ///     Ok::<i32, perloop::Forked>(answers.iter().filter_map(|answer| answer.try_result()?.ok()).sum())
    /// })??;
    /// assert!(sum >= 36); // all but the last have ended
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn submit<F>(
        &self,
        on: &LoopHandle,
        make: impl FnOnce() -> F,
    ) -> Result<CrossThreadFuture<F::Output>, Forked>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let permit = self.acquire().await?;
        Ok(permit.submit(on, make()))
    }

    /// Submits what `make` makes, and blocks before that until the limit allows it: for threads.
    ///
    /// # Errors
    /// If it would have to wait in a thread whose event loop runs, or in the child of a fork. `make` is not called then.
    ///
    /// # Examples
    /// ```
    /// use perloop::{LoopThread, PermitError, SubmitLimit};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let limit = SubmitLimit::new(1);
    /// for n in 0..10 {
    ///     limit.submit_blocking(&worker, || async move { n })?; // one after the other
    /// }
    /// let held = limit.acquire_blocking()?;
    /// let refused = perloop::run(async { limit.submit_blocking(&worker, || async {}).err() })?;
    /// assert!(matches!(refused, Some(PermitError::WouldDeadlock(_))));
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_blocking<F>(
        &self,
        on: &LoopHandle,
        make: impl FnOnce() -> F,
    ) -> Result<CrossThreadFuture<F::Output>, PermitError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let permit = self.acquire_blocking()?;
        Ok(permit.submit(on, make()))
    }

    /// As [`submit_blocking`](Self::submit_blocking), and waits at most for `timeout`.
    ///
    /// # Errors
    /// As `submit_blocking`, and if the time was up first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{LoopThread, PermitError, SubmitLimit};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let limit = SubmitLimit::new(1);
    /// let moment = Duration::from_millis(1);
    /// let endless = limit.submit_timeout(&worker, || std::future::pending::<()>(), moment)?;
    /// let second = limit.submit_timeout(&worker, || async {}, moment);
    /// assert_eq!(second.err(), Some(PermitError::TimedOut));
    /// # drop(endless);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit_timeout<F>(
        &self,
        on: &LoopHandle,
        make: impl FnOnce() -> F,
        timeout: Duration,
    ) -> Result<CrossThreadFuture<F::Output>, PermitError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let permit = self.acquire_timeout(timeout)?;
        Ok(permit.submit(on, make()))
    }

    /// Takes a permit, if the limit is not reached. Never waits; from any thread.
    ///
    /// # Examples
    /// ```
    /// let limit = perloop::SubmitLimit::new(1);
    /// let permit = limit.try_acquire();
    /// assert!(permit.is_some() && limit.try_acquire().is_none());
    /// ```
    pub fn try_acquire(&self) -> Option<SubmitPermit> {
        self.0.try_take().map(SubmitPermit)
    }

    /// Takes a permit, and waits until the limit allows it: for tasks. Cancel safe.
    ///
    /// # Errors
    /// In the child of a fork, if the limit is reached.
    ///
    /// # Examples
    /// ```
    /// let limit = perloop::SubmitLimit::new(1);
    /// let permit = perloop::run(async { limit.acquire().await })??;
    /// assert_eq!(limit.available(), 0);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn acquire(&self) -> Result<SubmitPermit, Forked> {
        self.0.take().await.map(SubmitPermit)
    }

    /// Takes a permit, and blocks until the limit allows it: for threads.
    ///
    /// # Errors
    /// As [`submit_blocking`](Self::submit_blocking).
    ///
    /// # Examples
    /// ```
    /// let limit = perloop::SubmitLimit::new(1);
    /// let permit = limit.acquire_blocking()?;
    /// assert_eq!(limit.available(), 0);
    /// # drop(permit);
    /// # Ok::<(), perloop::PermitError>(())
    /// ```
    pub fn acquire_blocking(&self) -> Result<SubmitPermit, PermitError> {
        self.0.take_blocking(None).map(SubmitPermit)
    }

    /// As [`acquire_blocking`](Self::acquire_blocking), at most for `timeout`.
    ///
    /// # Errors
    /// As `acquire_blocking`, and if the time was up first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{PermitError, SubmitLimit};
    ///
    /// let limit = SubmitLimit::new(1);
    /// let permit = limit.acquire_timeout(Duration::ZERO)?;
    /// assert_eq!(limit.acquire_timeout(Duration::ZERO).err(), Some(PermitError::TimedOut));
    /// # drop(permit);
    /// # Ok::<(), PermitError>(())
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SubmitPermit, PermitError> {
        self.0.take_blocking(Some(timeout)).map(SubmitPermit)
    }
}

impl SubmitPermit {
    /// Hands a future to a loop, as [`run_coroutine_threadsafe`] does; the permit goes with it.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let permit = perloop::SubmitLimit::new(1).acquire_blocking()?;
    /// assert_eq!(permit.submit(&worker, async { 42 }).result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit<F>(self, on: &LoopHandle, future: F) -> CrossThreadFuture<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        run_coroutine_threadsafe(Permitted { future, permit: self }, on)
    }

    /// As [`submit`](Self::submit), but the loop's own thread makes the future, which need not be `Send`: see
    /// [`LoopHandle::run_with`].
    ///
    /// # Examples
    /// ```
    /// use std::rc::Rc;
    ///
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let permit = perloop::SubmitLimit::new(1).acquire_blocking()?;
    /// let answer = permit.run_with(&worker, || {
    ///     let number = Rc::new(42);
    ///     async move { *number }
    /// });
    /// assert_eq!(answer.result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn run_with<F>(
        self,
        on: &LoopHandle,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> CrossThreadFuture<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        // Named, so that a panic in `make` drops it after what `make` owned.
        let permit = self;
        on.run_with(move || Permitted { future: make(), permit })
    }
}

pin_project! {
    /// A future and its permit, which goes after it.
    struct Permitted<F> {
        #[pin]
        future: F,
        permit: SubmitPermit,
    }
}

impl<F: Future> Future for Permitted<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// The [`SubmitLimit`] is reached: nothing was submitted.
///
/// # Examples
/// ```
/// use perloop::{LimitReached, LoopThread, SubmitLimit};
///
/// let worker = LoopThread::spawn("worker")?;
/// let limit = SubmitLimit::new(2);
/// let _held = (limit.try_acquire(), limit.try_acquire());
/// let refused = limit.try_submit(&worker, || async {}).err();
/// assert_eq!(refused, Some(LimitReached { most: 2 }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReached {
    /// How many submissions there may be at a time.
    pub most: usize,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} submissions are under way, which is the limit; await `submit`, or try again later",
            self.most
        )
    }
}

impl Error for LimitReached {}

impl fmt::Debug for SubmitLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitLimit")
            .field("available", &self.available())
            .field("most", &self.most())
            .finish()
    }
}

impl fmt::Debug for SubmitPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubmitPermit(..)")
    }
}
