//! [`Witness`]: who hears of a future's end without having the future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::errors::{FutureError, Panicked};
use crate::foreign::drop_contained;
use crate::future::{CrossThreadFuture, forget_waker, poll_done};
use crate::task::CellPtr;
use crate::watchers::{self, Place, Tell, Until};

/// Hears of the end of a future that somebody else may have, or nobody any more: for any thread. It takes no value, and
/// dropping it, or the task that awaits it, cancels nothing. Clones hear of the same end.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::Promise;
///
/// let (mut promise, future) = Promise::new();
/// let witness = future.witness();
/// drop(future);
/// assert!(!witness.done());
/// promise.set_result(())?;
/// assert_eq!(witness.exception(), Ok(None));
/// # Ok::<(), perloop::InvalidState>(())
/// ```
pub struct Witness(CrossThreadFuture<()>);

impl CrossThreadFuture<()> {
    /// Gives who hears of its end as well.
    ///
    /// # Examples
    /// See [`Witness`].
    pub fn witness(&self) -> Witness {
        Witness(self.another())
    }
}

impl Witness {
    /// Says whether the end is there. A yes is for good.
    ///
    /// # Examples
    /// See [`Witness`].
    pub fn done(&self) -> bool {
        self.0.done()
    }

    /// As [`CrossThreadFuture::exception`]: blocks until the end is there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`Witness`].
    pub fn exception(&self) -> Result<Option<Panicked>, FutureError> {
        self.0.exception()
    }

    /// Blocks until the end is there, at most for so long, and takes nothing.
    ///
    /// # Errors
    /// If the time is up first, or the wait could never end.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::time::Duration;
    /// use perloop::{FutureError, Promise};
    ///
    /// let (promise, future) = Promise::<()>::new();
    /// let witness = future.witness();
    /// assert_eq!(witness.wait(Some(Duration::from_millis(1))), Err(FutureError::TimedOut));
    /// drop(promise);
    /// assert_eq!(witness.wait(None), Ok(()));
    /// ```
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), FutureError> {
        self.0.wait_until(Until::Done, timeout)
    }

    /// Has `tell` called when the end is there, on the thread that brings it, or here if it is there already. Dropping what
    /// this gives takes that back, if it has not begun.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::sync::mpsc;
    /// use perloop::Promise;
    ///
    /// let (mut promise, future) = Promise::new();
    /// let (sender, ends) = mpsc::channel();
    /// let again = sender.clone();
    /// let _watch = future.witness().watch(move |_| sender.send("heard").unwrap());
    /// drop(future.witness().watch(move |_| again.send("taken back").unwrap()));
    /// promise.set_result(())?;
    /// assert_eq!(ends.iter().collect::<Vec<_>>(), ["heard"]);
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn watch(&self, tell: impl FnOnce(&Self) + Send + 'static) -> Watch {
        let (cell, witness) = (self.0.cell(), self.clone());
        cell.retain();
        let tell = Tell::Callback(Box::new(move || tell(&witness)));
        Watch { cell, place: watchers::watch(cell, Until::Done, tell) }
    }
}

impl Clone for Witness {
    fn clone(&self) -> Self {
        self.0.witness()
    }
}

impl Future for Witness {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = self.0.cell();
        if !poll_done(cell, self.0.awaiting(), cx) && !self.0.is_lost() {
            return Poll::Pending;
        }
        forget_waker(cell, self.0.awaiting());
        Poll::Ready(())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // First, or the future would take it for a wait that is cancelled.
        let cell = self.0.cell();
        forget_waker(cell, self.0.awaiting());
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Witness").field(&self.0).finish()
    }
}

/// Somebody is to be told of an end, see [`Witness::watch`]. Dropping it takes that back.
///
/// # Examples
/// See [`Witness::watch`].
#[must_use = "dropping it takes the watch back"]
pub struct Watch {
    cell: CellPtr,
    place: Option<Place>,
}

// SAFETY: a cell's shared parts are made for any thread, and the output of this one is `()`.
unsafe impl Send for Watch {}
// SAFETY: as for Send; nothing is reached through `&self`.
unsafe impl Sync for Watch {}

impl Watch {
    /// Lets it stand until the end.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::sync::mpsc;
    /// use perloop::Promise;
    ///
    /// let (promise, future) = Promise::<()>::new();
    /// let (sender, ends) = mpsc::channel();
    /// future.witness().watch(move |_| sender.send("heard").unwrap()).keep();
    /// drop(promise);
    /// assert_eq!(ends.recv(), Ok("heard"));
    /// ```
    pub fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            drop_contained(watchers::leave(self.cell, place));
        }
        self.cell.release();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
