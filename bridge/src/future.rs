//! [`CrossThreadFuture`]: the answer to a submission.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::core::LoopCore;
use crate::deadlock;
use crate::errors::{Forked, FutureError, Panicked};
use crate::foreign::drop_contained;
use crate::sync::{Deadline, thread_cell};
use crate::task::{AfterCancel, CellPtr, TaskRef};
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
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use std::{sync::Arc, thread};
/// use perloop::{CrossThreadFuture, Promise};
///
/// let (mut promise, future): (_, CrossThreadFuture<i32>) = Promise::new();
/// let future = Arc::new(future);
/// let shared = Arc::clone(&future);
/// let waiter = thread::spawn(move || shared.result());
/// promise.set_result(42)?;
/// assert_eq!(waiter.join().expect("it does not panic"), Ok(42));
/// assert!(future.done());
/// # Ok::<(), perloop::InvalidState>(())
/// ```
pub struct CrossThreadFuture<T> {
    cell: CellPtr,
    hint: Hint,
    /// Our waker, if we were polled.
    awaiting: Option<Awaiting>,
    output: PhantomData<T>,
}

// SAFETY: the cell's shared parts are made for any thread; the output goes to one thread, for which `T: Send` is needed.
unsafe impl<T: Send> Send for CrossThreadFuture<T> {}
// SAFETY: as for Send: through `&self` the value is moved out once, to one thread, and never shared.
unsafe impl<T: Send> Sync for CrossThreadFuture<T> {}

// Nothing is pinned: the body is elsewhere.
impl<T> Unpin for CrossThreadFuture<T> {}

thread_cell! {
    /// Is this thread dropping what a cancelled task held?
    static DROPS_CANCELLED: bool = false;
}

/// Calls `drop_it`, in which what a cancelled task held is dropped: a cross-thread future in it that was being
/// awaited is cancelled too. For runtime writers.
///
/// # Examples
/// ```
/// use std::future::Future;
/// use std::task::{Context, Waker};
/// use perloop_bridge::{Promise, drop_cancelled};
///
/// let (mut promise, future) = Promise::<()>::new();
/// let mut body = Box::pin(future);
/// assert!(body.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
/// drop_cancelled(|| drop(body));
/// assert!(!promise.set_running_or_notify_cancel());
/// ```
pub fn drop_cancelled<R>(drop_it: impl FnOnce() -> R) -> R {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            DROPS_CANCELLED.with(|drops| drops.set(self.0));
        }
    }
    let _reset = Reset(DROPS_CANCELLED.with(|drops| drops.replace(true)));
    drop_it()
}

/// Says whether this thread is in a [`drop_cancelled`]. For runtime writers.
///
/// # Examples
/// ```
/// use perloop_bridge::{drop_cancelled, drops_cancelled};
///
/// assert!(drop_cancelled(drops_cancelled) && !drops_cancelled());
/// ```
pub fn drops_cancelled() -> bool {
    DROPS_CANCELLED.with(Cell::get)
}

impl<T> CrossThreadFuture<T> {
    /// The caller gives one reference.
    pub(crate) fn new(cell: CellPtr, hint: Hint) -> Self {
        Self { cell, hint, awaiting: None, output: PhantomData }
    }

    pub(crate) fn cell(&self) -> CellPtr {
        self.cell
    }

    /// One more of the same cell.
    pub(crate) fn another(&self) -> Self {
        self.cell.retain();
        Self::new(self.cell, self.hint)
    }

    pub(crate) fn awaiting(&mut self) -> &mut Option<Awaiting> {
        &mut self.awaiting
    }

    /// Blocks until the outcome is there, and gives it: asyncio's `future.result()`.
    ///
    /// # Errors
    /// What the work ended with, if not with a value; [`FutureError::WouldDeadlock`], at once, if the caller is the
    /// thread that would have to do the work, or one for which that thread waits; [`FutureError::Taken`] if the value
    /// was given before.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::thread;
    /// use perloop::{FutureError, Promise};
    ///
    /// let (mut promise, future) = Promise::new();
    /// let worker = thread::spawn(move || promise.set_result(6 * 7));
    /// assert_eq!(future.result()?, 42);
    /// assert_eq!(future.result(), Err(FutureError::Taken));
    /// # worker.join().expect("it does not panic").expect("it was not set before");
    /// # Ok::<(), FutureError>(())
    /// ```
    pub fn result(&self) -> Result<T, FutureError> {
        self.wait_until(Until::Done, None)?;
        self.outcome()
    }

    /// Blocks until the outcome is there, at most for `timeout`: asyncio's `future.result(timeout)`.
    ///
    /// # Errors
    /// As [`result`](Self::result), and [`FutureError::TimedOut`]. Then nothing is cancelled, and one may ask again.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::time::Duration;
    /// use perloop::{FutureError, Promise};
    ///
    /// let (mut promise, future) = Promise::new();
    /// let moment = Duration::from_millis(1);
    /// assert_eq!(future.result_timeout(moment), Err(FutureError::TimedOut));
    /// promise.set_result(42)?;
    /// assert_eq!(future.result_timeout(moment), Ok(42));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.wait_until(Until::Done, Some(timeout))?;
        self.outcome()
    }

    /// Gives the outcome, if it is there. Never blocks: asyncio's `future.result(timeout=0)`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::Promise;
    ///
    /// let (mut promise, future) = Promise::new();
    /// assert_eq!(future.try_result(), None);
    /// promise.set_result(42)?;
    /// assert_eq!(future.try_result(), Some(Ok(42)));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn try_result(&self) -> Option<Result<T, FutureError>> {
        self.done().then(|| self.outcome())
    }

    /// Blocks until the outcome is there, and tells with what panic the work failed, if it did: asyncio's
    /// `future.exception()`. A value stays for [`result`](Self::result).
    ///
    /// # Errors
    /// As [`result`](Self::result) if there is neither value nor panic.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::{Panicked, Promise};
    ///
    /// let (mut promise, future) = Promise::<()>::new();
    /// promise.set_exception(Panicked::new(Box::new("out of paper")))?;
    /// let panicked = future.exception()?;
    /// assert_eq!(panicked.as_ref().map(Panicked::message), Some("out of paper"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exception(&self) -> Result<Option<Panicked>, FutureError> {
        self.exception_within(None)
    }

    /// As [`exception`](Self::exception), and blocks at most for `timeout`: asyncio's `future.exception(timeout)`.
    ///
    /// # Errors
    /// As `exception`, and [`FutureError::TimedOut`]. One may ask again.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::time::Duration;
    /// use perloop::{FutureError, Promise};
    ///
    /// let (mut promise, future) = Promise::new();
    /// let moment = Duration::from_millis(1);
    /// assert_eq!(future.exception_timeout(moment), Err(FutureError::TimedOut));
    /// promise.set_result(42)?;
    /// assert_eq!(future.exception_timeout(moment), Ok(None));
    /// assert_eq!(future.result(), Ok(42)); // the value is still there
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn exception_timeout(&self, timeout: Duration) -> Result<Option<Panicked>, FutureError> {
        self.exception_within(Some(timeout))
    }

    fn exception_within(&self, timeout: Option<Duration>) -> Result<Option<Panicked>, FutureError> {
        self.wait_until(Until::Done, timeout)?;
        match self.error() {
            None => Ok(None),
            Some(FutureError::Panicked(panicked)) => Ok(Some(panicked)),
            Some(other) => Err(other),
        }
    }

    /// Cancels it: asyncio's `future.cancel()`. The future is cancelled at once; the task is asked to stop on its
    /// loop, or never begins. False: it is too late, the outcome is there or the promise has set it running. It can
    /// be repeated. Callbacks and wakers run in this thread.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::{FutureError, Promise};
    ///
    /// let (mut promise, future) = Promise::<i32>::new();
    /// assert!(future.cancel());
    /// assert_eq!(future.result(), Err(FutureError::Cancelled));
    /// assert!(!promise.set_running_or_notify_cancel()); // so the work need not begin
    /// ```
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

    /// Cancels it, and blocks until the body has ended and all its destructors have run; of a bare future, until its
    /// promise is set or dropped. As [`cancel`](Self::cancel) it tells whether the future is cancelled.
    ///
    /// # Errors
    /// [`FutureError::WouldDeadlock`] as for [`result`](Self::result); then the request is made all the same.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::{sync::mpsc, thread};
    /// use perloop::Promise;
    ///
    /// let (promise, future) = Promise::<i32>::new();
    /// let (sender, cancelled) = mpsc::channel();
    /// future.add_done_callback(move |_| drop(sender.send(())));
    /// let worker = thread::spawn(move || {
    ///     drop(cancelled.recv());
    ///     drop(promise); // it has cleaned up
    /// });
    /// assert_eq!(future.cancel_and_wait(), Ok(true));
    /// # worker.join().expect("it does not panic");
    /// ```
    pub fn cancel_and_wait(&self) -> Result<bool, FutureError> {
        let cancelled = self.cancel();
        self.wait_until(Until::Ended, None)?;
        Ok(cancelled)
    }

    /// Says whether it was cancelled, or its task has ended cancelled: asyncio's `future.cancelled()`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (promise, future) = perloop::Promise::<i32>::new();
    /// drop(promise);
    /// assert!(future.cancelled());
    /// ```
    pub fn cancelled(&self) -> bool {
        self.cell.header().state.load().is_cancelled()
    }

    /// Says whether its work has begun in a way that can't be cancelled. Only ever true of a bare future that its
    /// promise set running: what runs on a loop stays pending until it ends, as in asyncio.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (mut promise, future) = perloop::Promise::<i32>::new();
    /// assert!(!future.running());
    /// assert!(promise.set_running_or_notify_cancel());
    /// assert!(future.running() && !future.cancel());
    /// ```
    pub fn running(&self) -> bool {
        self.cell.header().state.load().is_running()
    }

    /// Says whether the outcome is there: asyncio's `future.done()`. A no may be out of date by the time that you read
    /// it; a yes is for good.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (mut promise, future) = perloop::Promise::new();
    /// assert!(!future.done());
    /// promise.set_result(42)?;
    /// assert!(future.done());
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn done(&self) -> bool {
        has_reached(self.cell, Until::Done)
    }

    /// Calls `callback` with the future once the outcome is there: in the thread that completes or cancels it, or
    /// here and now if it is done. A panic in it harms nobody and is reported by the panic hook. asyncio's
    /// `future.add_done_callback`.
    ///
    /// The callback keeps up the thread that it runs in, which is often a loop's.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::sync::mpsc;
    /// use perloop::Promise;
    ///
    /// let (mut promise, future) = Promise::new();
    /// let (sender, outcomes) = mpsc::channel();
    /// future.add_done_callback(move |future| drop(sender.send(future.try_result())));
    /// promise.set_result(42)?;
    /// assert_eq!(outcomes.try_recv(), Ok(Some(Ok(42))));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static)
    where
        T: Send + 'static,
    {
        let future = self.another();
        let callback = Box::new(move || callback(&future));
        watchers::watch(self.cell, Until::Done, Tell::Callback(callback));
    }

    /// Returns a future that is ready when this one is done, and leaves the outcome where it is: to await in one
    /// place what is read in another.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    /// use perloop::Promise;
    ///
    /// let (mut promise, future) = Promise::new();
    /// let mut completion = pin!(future.completion());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(completion.as_mut().poll(&mut cx).is_pending());
    /// promise.set_result(42)?;
    /// assert!(completion.as_mut().poll(&mut cx).is_ready());
    /// assert_eq!(future.result(), Ok(42));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn completion(&self) -> Completion<'_, T> {
        Completion { future: self, awaiting: None }
    }

    fn is_inherited(&self) -> bool {
        self.hint.is_inherited()
    }

    /// Pending, and for ever: its loop lives in the parent process.
    pub(crate) fn is_lost(&self) -> bool {
        !self.done() && self.cell.header().core.is_some() && self.is_inherited()
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
        if self.is_lost() {
            return Err(FutureError::Forked(Forked));
        }
        deadlock::check_own_thread(self.cell).map_err(FutureError::WouldDeadlock)?;
        let deadline = timeout.map(Deadline::after);
        let looks = || timeout != Some(Duration::ZERO) && look_for_end(self.cell, until, self.hint, timeout);
        if !self.hint.looks_long() && looks() {
            return Ok(());
        }
        // A wait that ends by itself is in nobody's way for ever; nor can one for a bare future be told from others.
        let _blocked = match (deadline.flatten(), header.core) {
            (None, Some(_)) => {
                let blocked = deadlock::enter(header.thread, Some((self.cell, until)));
                Some(blocked.map_err(FutureError::WouldDeadlock)?)
            }
            _ => None,
        };
        // Only now, as others have to see meanwhile for whom this thread waits.
        if self.hint.looks_long() && looks() {
            return Ok(());
        }
        block(self.cell, until, deadline.flatten()).map_err(|_| FutureError::TimedOut)
    }
}

/// An await of a future that is not done.
#[derive(Debug)]
pub(crate) struct Awaiting {
    /// Where the waker stands.
    place: Place,
    /// The number of the loop that has noted the wait.
    noted_by: Option<NonZeroU32>,
}

impl Awaiting {
    /// A task awaits the future, whose loop notes such waits if it is `noting`. It may be another one than before.
    fn note(&mut self, cell: CellPtr, task: &TaskRef, noting: Option<NonZeroU32>) {
        if self.noted_by == noting {
            return;
        }
        let before = std::mem::replace(&mut self.noted_by, noting);
        if noting.is_some() {
            task.note_outside_wait(cell, self.place);
        }
        if let Some(id) = before {
            LoopCore::forget_outside_wait(id.get(), cell, self.place);
        }
    }
}

/// Registers `waker` with the cell. True: it is done.
pub(crate) fn poll_done(cell: CellPtr, awaiting: &mut Option<Awaiting>, cx: &Context<'_>) -> bool {
    if has_reached(cell, Until::Done) {
        return true;
    }
    let task = TaskRef::from_waker(cx.waker());
    let noting = task.as_ref().and_then(|task| task.loop_that_notes(cell)).and_then(NonZeroU32::new);
    let waits = match awaiting {
        Some(Awaiting { place, .. }) => watchers::replace_waker(cell, *place, cx.waker(), noting.is_some()),
        None => {
            let tell = Tell::task(cx.waker().clone(), noting.is_some());
            let place = watchers::watch(cell, Until::Done, tell);
            *awaiting = place.map(|place| Awaiting { place, noted_by: None });
            awaiting.is_some()
        }
    };
    if let (Some(awaiting), Some(task), true) = (awaiting, task, waits) {
        task.note_wait_elsewhere();
        awaiting.note(cell, &task, noting);
    }
    !waits
}

/// Takes a waker out that is not needed any more.
pub(crate) fn forget_waker(cell: CellPtr, awaiting: &mut Option<Awaiting>) {
    if let Some(Awaiting { place, noted_by }) = awaiting.take() {
        drop_contained(watchers::leave(cell, place));
        if let Some(id) = noted_by {
            LoopCore::forget_outside_wait(id.get(), cell, place);
        }
    }
}

impl<T> Future for CrossThreadFuture<T> {
    type Output = Result<T, FutureError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cell = self.cell;
        if !poll_done(cell, &mut self.awaiting, cx) {
            // In the child of a fork nobody will ever wake us.
            return if self.is_lost() {
                Poll::Ready(Err(FutureError::Forked(Forked)))
            } else {
                Poll::Pending
            };
        }
        forget_waker(cell, &mut self.awaiting);
        Poll::Ready(self.outcome())
    }
}

impl<T> Drop for CrossThreadFuture<T> {
    fn drop(&mut self) {
        let was_awaited = self.awaiting.is_some();
        forget_waker(self.cell, &mut self.awaiting);
        if was_awaited && DROPS_CANCELLED.with(Cell::get) {
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

/// The future that [`CrossThreadFuture::completion`] makes. Cancel safe; dropping it forgets the waker, and cancels
/// nothing.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{Completion, CrossThreadFuture, FutureError};
///
/// async fn then_read<T>(future: &CrossThreadFuture<T>) -> Result<T, FutureError> {
///     let completion: Completion<'_, T> = future.completion();
///     completion.await;
///     future.result() // blocks no more
/// }
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # let (mut promise, future) = perloop::Promise::new();
/// # promise.set_result(42)?;
/// # let polled = pin!(then_read(&future)).poll(&mut Context::from_waker(Waker::noop()));
/// # assert_eq!(polled, Poll::Ready(Ok(42)));
/// # Ok::<(), perloop::InvalidState>(())
/// ```
pub struct Completion<'a, T> {
    future: &'a CrossThreadFuture<T>,
    awaiting: Option<Awaiting>,
}

impl<T> Future for Completion<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = self.future.cell;
        if !poll_done(cell, &mut self.awaiting, cx) && !self.future.is_lost() {
            return Poll::Pending;
        }
        forget_waker(cell, &mut self.awaiting);
        Poll::Ready(())
    }
}

impl<T> Drop for Completion<'_, T> {
    fn drop(&mut self) {
        forget_waker(self.future.cell, &mut self.awaiting);
    }
}

impl<T> fmt::Debug for Completion<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Completion").field(self.future).finish()
    }
}
