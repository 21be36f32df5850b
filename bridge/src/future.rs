//! [`CrossThreadFuture`]: the answer to a submission.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::core::LoopCore;
use crate::deadlock;
use crate::errors::{Forked, FutureError, Panicked};
use crate::foreign::drop_contained;
use crate::sync::{Deadline, generation};
use crate::task::{AfterCancel, CellPtr};
use crate::wait::{Hint, block, has_reached, look_for_end};
use crate::watchers::{self, Place, Tell, Until};

/// The outcome of work that was handed to a loop: asyncio's `concurrent.futures.Future`, for any thread.
///
/// Block on it ([`result`](Self::result), [`result_timeout`](Self::result_timeout)), look at it
/// ([`try_result`](Self::try_result), [`done`](Self::done)), hang callbacks on it, cancel it, or `.await` it in any
/// executor. All methods take `&self`, so it can be shared by an `Arc`; the value is given once, to whoever asks
/// first after it is there.
///
/// Every submission ends in exactly one way: with the body's value, with its panic, cancelled, or refused with the
/// reason. So a wait always ends if the loop goes on, closes or dies; a wait that never could is `WouldDeadlock`.
///
/// Dropping it detaches the work, which goes on; its value is dropped when it comes.
///
/// Cancel safety: a poll that is given up changes nothing. If a perloop *task* is cancelled while it awaits this
/// future, the future is cancelled too, as asyncio's `wrap_future` does it.
pub struct CrossThreadFuture<T> {
    cell: CellPtr,
    hint: Hint,
    generation: u32,
    /// Where our waker stands, if we were polled.
    place: Option<Place>,
    output: PhantomData<T>,
}

// SAFETY: the cell's shared parts are made for any thread; the output goes to one thread, for which `T: Send` is needed.
unsafe impl<T: Send> Send for CrossThreadFuture<T> {}
// SAFETY: as for Send: through `&self` the value is moved out once, to one thread, and never shared.
unsafe impl<T: Send> Sync for CrossThreadFuture<T> {}

// Nothing is pinned: the body is elsewhere.
impl<T> Unpin for CrossThreadFuture<T> {}

thread_local! {
    /// Is this thread dropping what a cancelled task held?
    static DROPS_CANCELLED: Cell<bool> = const { Cell::new(false) };
}

/// Drops `value` as what a cancelled task held: a cross-thread future in it that was being awaited is cancelled too.
pub fn drop_cancelled<R>(drop_it: impl FnOnce() -> R) -> R {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            DROPS_CANCELLED.set(self.0);
        }
    }
    let _reset = Reset(DROPS_CANCELLED.replace(true));
    drop_it()
}

impl<T> CrossThreadFuture<T> {
    /// The caller gives one reference.
    pub(crate) fn new(cell: CellPtr, hint: Hint) -> Self {
        Self { cell, hint, generation: generation(), place: None, output: PhantomData }
    }

    pub(crate) fn cell(&self) -> CellPtr {
        self.cell
    }

    /// Blocks until the outcome is there, and gives it: asyncio's `future.result()`.
    ///
    /// # Errors
    /// What the work ended with, if not with a value; [`FutureError::WouldDeadlock`], at once, if the caller is the
    /// thread that would have to do the work, or one for which that thread waits; [`FutureError::Taken`] if the value
    /// was given before.
    pub fn result(&self) -> Result<T, FutureError> {
        self.wait_until(Until::Done, None)?;
        self.outcome()
    }

    /// Blocks until the outcome is there, at most for `timeout`: asyncio's `future.result(timeout)`.
    ///
    /// # Errors
    /// As [`result`](Self::result), and [`FutureError::TimedOut`]. Then nothing is cancelled, and one may ask again.
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.wait_until(Until::Done, Some(timeout))?;
        self.outcome()
    }

    /// The outcome, if it is there. Never blocks.
    pub fn try_result(&self) -> Option<Result<T, FutureError>> {
        self.done().then(|| self.outcome())
    }

    /// Blocks until the outcome is there, and tells with what panic the work failed, if it did: asyncio's
    /// `future.exception()`. A value stays for [`result`](Self::result).
    ///
    /// # Errors
    /// As [`result`](Self::result) if there is neither value nor panic.
    pub fn exception(&self) -> Result<Option<Panicked>, FutureError> {
        self.wait_until(Until::Done, None)?;
        match self.error() {
            None => Ok(None),
            Some(FutureError::Panicked(panicked)) => Ok(Some(panicked)),
            Some(other) => Err(other),
        }
    }

    /// Cancels it. The future is cancelled at once; the task is asked to stop on its loop, or never begins. False: it is
    /// too late, the outcome is there. It can be repeated. Callbacks and wakers run in this thread.
    pub fn cancel(&self) -> bool {
        match self.cell.header().state.ask_cancel() {
            AfterCancel::TooLate => false,
            AfterCancel::Again => true,
            AfterCancel::Won { push, watched } => {
                if push && self.is_inherited() {
                    // The loop lives in the parent process. The reference of the node that never goes is given back.
                    self.cell.release();
                } else if push {
                    LoopCore::push_notified(self.cell);
                }
                if watched {
                    watchers::tell(self.cell, Until::Done);
                }
                true
            }
        }
    }

    /// Cancels it, and blocks until the body has ended and all its destructors have run. As [`cancel`](Self::cancel)
    /// it tells whether the future is cancelled.
    ///
    /// # Errors
    /// [`FutureError::WouldDeadlock`] as for [`result`](Self::result); then the request is made all the same.
    pub fn cancel_and_wait(&self) -> Result<bool, FutureError> {
        let cancelled = self.cancel();
        self.wait_until(Until::Ended, None)?;
        Ok(cancelled)
    }

    /// Was it cancelled, or has its task ended cancelled?
    pub fn cancelled(&self) -> bool {
        self.cell.header().state.load().is_cancelled()
    }

    /// Has its work begun in a way that can't be cancelled? Only ever true of a bare future that its promise set
    /// running: what runs on a loop stays pending until it ends, as in asyncio.
    pub fn running(&self) -> bool {
        self.cell.header().state.load().is_running()
    }

    /// Is the outcome there?
    pub fn done(&self) -> bool {
        has_reached(self.cell, Until::Done)
    }

    /// Calls `callback` with the future once the outcome is there: in the thread that completes or cancels it, or
    /// here and now if it is done. A panic in it harms nobody and is reported by the panic hook.
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static)
    where
        T: Send + 'static,
    {
        self.cell.retain();
        let future = Self::new(self.cell, self.hint);
        let callback = Box::new(move || callback(&future));
        watchers::watch(self.cell, Until::Done, Tell::Callback(callback));
    }

    /// A future that is ready when this one is done, and leaves the outcome where it is: to await in one place what
    /// is read in another.
    pub fn completion(&self) -> Completion<'_, T> {
        Completion { future: self, place: None }
    }

    fn is_inherited(&self) -> bool {
        self.generation != generation()
    }

    /// The error of a future that is done.
    pub(crate) fn error(&self) -> Option<FutureError> {
        if self.cancelled() { Some(FutureError::Cancelled) } else { self.cell.error() }
    }

    fn outcome(&self) -> Result<T, FutureError> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        if !self.cell.header().state.take() {
            return Err(FutureError::Taken);
        }
        // SAFETY: the cell was made with output `T`; it is finished, not cancelled, and we have won `take`.
        unsafe { self.cell.copy_output() }
    }

    pub(crate) fn wait_until(&self, until: Until, timeout: Option<Duration>) -> Result<(), FutureError> {
        if has_reached(self.cell, until) {
            return Ok(());
        }
        let header = self.cell.header();
        if header.core.is_some() && self.is_inherited() {
            return Err(FutureError::Forked(Forked));
        }
        deadlock::check_own_thread(self.cell).map_err(FutureError::WouldDeadlock)?;
        if timeout != Some(Duration::ZERO) && look_for_end(self.cell, until, self.hint) {
            return Ok(());
        }
        // A wait that ends by itself is in nobody's way for ever; nor can one for a bare future be told from others.
        let deadline = timeout.map(Deadline::after);
        let _blocked = match (deadline.flatten(), header.core) {
            (None, Some(_)) => {
                let blocked = deadlock::enter(header.thread, Some((self.cell, until)));
                Some(blocked.map_err(FutureError::WouldDeadlock)?)
            }
            _ => None,
        };
        block(self.cell, until, deadline.flatten()).map_err(|_| FutureError::TimedOut)
    }
}

/// Registers `waker` with the cell. True: it is done.
fn poll_done(cell: CellPtr, place: &mut Option<Place>, cx: &Context<'_>) -> bool {
    let waits = match *place {
        _ if has_reached(cell, Until::Done) => false,
        Some(at) => watchers::replace_waker(cell, at, cx.waker()),
        None => {
            *place = watchers::watch(cell, Until::Done, Tell::Task(cx.waker().clone()));
            place.is_some()
        }
    };
    !waits
}

/// Takes a waker out that is not needed any more.
fn forget_waker(cell: CellPtr, place: &mut Option<Place>) {
    if let Some(place) = place.take() {
        drop_contained(watchers::leave(cell, place));
    }
}

impl<T> Future for CrossThreadFuture<T> {
    type Output = Result<T, FutureError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cell = self.cell;
        if !poll_done(cell, &mut self.place, cx) {
            // In the child of a fork nobody will ever wake us.
            let is_lost = cell.header().core.is_some() && self.is_inherited();
            return if is_lost { Poll::Ready(Err(FutureError::Forked(Forked))) } else { Poll::Pending };
        }
        forget_waker(cell, &mut self.place);
        Poll::Ready(self.outcome())
    }
}

impl<T> Drop for CrossThreadFuture<T> {
    fn drop(&mut self) {
        let was_awaited = self.place.is_some();
        forget_waker(self.cell, &mut self.place);
        if was_awaited && DROPS_CANCELLED.get() {
            self.cancel();
        }
        self.cell.release();
    }
}

impl<T> fmt::Debug for CrossThreadFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrossThreadFuture({:?})", self.cell.header().state.load())
    }
}

/// See [`CrossThreadFuture::completion`]. Cancel safe; dropping it forgets the waker.
pub struct Completion<'a, T> {
    future: &'a CrossThreadFuture<T>,
    place: Option<Place>,
}

impl<T> Future for Completion<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = self.future.cell;
        if !poll_done(cell, &mut self.place, cx) {
            return Poll::Pending;
        }
        forget_waker(cell, &mut self.place);
        Poll::Ready(())
    }
}

impl<T> Drop for Completion<'_, T> {
    fn drop(&mut self) {
        forget_waker(self.future.cell, &mut self.place);
    }
}

impl<T> fmt::Debug for Completion<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Completion").field(self.future).finish()
    }
}
