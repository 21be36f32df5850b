//! [`GroupFutures`]: the answers of several loops.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use perloop_bridge::{CrossThreadFuture, FutureError, drops_cancelled};

/// The outcomes of what was handed to several loops at once, in the order of the loops or items. Block on them
/// ([`result`](Self::result), [`outcomes`](Self::outcomes)), or `.await` them in any executor.
///
/// Both wait for all of them, also if one has failed, so that nothing goes on behind the caller's back.
///
/// Dropping it detaches the work, which goes on. If a perloop task is cancelled while it awaits this, all of the work is
/// cancelled, as by asyncio's `gather`. Cancel safety: besides that, a poll that is given up changes nothing.
///
/// # Examples
/// ```
/// use perloop::{EventLoopGroup, GroupFutures};
///
/// let group = EventLoopGroup::builder().loops(3).spawn()?;
/// let squares: GroupFutures<usize> = group.broadcast(|index| async move { index * index });
/// assert_eq!(perloop::run(squares)??, [0, 1, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "await it, or ask for its result; to let the work go on, drop it"]
pub struct GroupFutures<T> {
    futures: Vec<CrossThreadFuture<T>>,
    /// Of those that were awaited, which are the first ones.
    outcomes: Vec<Result<T, FutureError>>,
    is_awaited: bool,
}

// Nothing in it is ever pinned.
impl<T> Unpin for GroupFutures<T> {}

impl<T> GroupFutures<T> {
    pub(super) fn new(futures: Vec<CrossThreadFuture<T>>) -> Self {
        Self { futures, outcomes: Vec::new(), is_awaited: false }
    }

    /// Blocks until all have ended, and gives their values.
    ///
    /// # Errors
    /// The first of their errors, in their order; see [`CrossThreadFuture::result`].
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert_eq!(group.broadcast(|index| async move { index }).result()?, [0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn result(self) -> Result<Vec<T>, FutureError> {
        self.outcomes().into_iter().collect()
    }

    /// Blocks until all have ended, and gives their outcomes.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// let outcomes = group.map(["42", "many"], |text| async move { text.parse::<i32>().unwrap() }).outcomes();
    /// assert!(outcomes[0] == Ok(42) && outcomes[1].is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outcomes(self) -> Vec<Result<T, FutureError>> {
        self.into_futures().iter().map(CrossThreadFuture::result).collect()
    }

    /// Cancels all that have not ended, see [`CrossThreadFuture::cancel`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoopGroup, FutureError};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let endless = group.broadcast(|_| std::future::pending::<()>());
    /// endless.cancel();
    /// assert_eq!(endless.result(), Err(FutureError::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) {
        for future in &self.futures {
            future.cancel();
        }
    }

    /// Gives the futures one by one. Those whose value was taken by an `.await` are `Taken`.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// let futures = group.broadcast(|index| async move { index }).into_futures();
    /// assert_eq!(futures[1].result(), Ok(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_futures(mut self) -> Vec<CrossThreadFuture<T>> {
        std::mem::take(&mut self.futures)
    }
}

impl<T> Future for GroupFutures<T> {
    type Output = Result<Vec<T>, FutureError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.is_awaited = true;
        // One after the other: all have to end, and so each is polled as often as it wakes, not as often as any does.
        while let Some(next) = this.futures.get_mut(this.outcomes.len()) {
            let outcome = ready!(Pin::new(next).poll(cx));
            this.outcomes.push(outcome);
        }
        this.is_awaited = false;
        Poll::Ready(std::mem::take(&mut this.outcomes).into_iter().collect())
    }
}

impl<T> Drop for GroupFutures<T> {
    fn drop(&mut self) {
        if self.is_awaited && drops_cancelled() {
            self.cancel();
        }
    }
}

impl<T> fmt::Debug for GroupFutures<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupFutures").field(&self.futures).finish()
    }
}
