//! [`Promise`]: the other end of a cross-thread future that belongs to no loop.

use std::fmt;
use std::future::Pending;
use std::ptr::NonNull;

use crate::core::LoopCore;
use crate::errors::{FutureError, InvalidState, Panicked};
use crate::future::CrossThreadFuture;
use crate::remote::Remote;
use crate::sync::{ThreadToken, this_thread};
use crate::task::{Birth, Cell, CellPtr, Local, State, publish};
use crate::wait::Hint;

/// Sets a bare [`CrossThreadFuture`]: what an executor of one's own does with a `concurrent.futures.Future`.
///
/// Dropped without having been set, it leaves the future cancelled, so that nobody waits for ever.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::Promise;
///
/// let (mut promise, future) = Promise::new();
/// std::thread::spawn(move || {
///     if promise.set_running_or_notify_cancel() {
///         promise.set_result(6 * 7).expect("nobody else sets it");
///     }
/// });
/// assert_eq!(future.result(), Ok(42));
/// ```
pub struct Promise<T: Send + 'static> {
    cell: CellPtr,
    is_set: bool,
    output: std::marker::PhantomData<T>,
}

// SAFETY: it only ever writes the output, which `T: Send` may be read elsewhere; nothing is shared through `&self`.
unsafe impl<T: Send> Send for Promise<T> {}
// SAFETY: as for Send: through `&self` nothing but `Debug` can be asked.
unsafe impl<T: Send> Sync for Promise<T> {}

type Bare<T> = Cell<(), Pending<T>>;

impl<T: Send + 'static> Promise<T> {
    /// Makes a promise and its future: `concurrent.futures.Future()`, in two halves.
    ///
    /// The future belongs to no loop, so blocking on it in the thread that would set it is not found out.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (mut promise, future) = perloop::Promise::new();
    /// promise.set_result(42)?;
    /// assert_eq!(future.result(), Ok(42));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn new() -> (Self, CrossThreadFuture<T>) {
        Self::make(None, this_thread(), Hint::none())
    }

    /// As [`new`](Self::new), to be set by somebody who lives on a loop: who blocks on the future waits for that loop, so
    /// that a wait in its own thread, or in one for which it waits, is `WouldDeadlock`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{FutureError, Promise};
    ///
    /// let (_promise, future) = Promise::<i32>::served_by(&home.remote());
    /// assert!(matches!(future.result(), Err(FutureError::WouldDeadlock(_))));
    /// ```
    pub fn served_by(remote: &Remote) -> (Self, CrossThreadFuture<T>) {
        let core = remote.core();
        Self::make(Some(core.as_ptr()), core.thread, Hint::new(core.spin, core.ran_on()))
    }

    fn make(
        core: Option<NonNull<LoopCore>>,
        thread: ThreadToken,
        hint: Hint,
    ) -> (Self, CrossThreadFuture<T>) {
        let (state, local) = (State::bare(), Local::submitted());
        let birth = Birth { vtable: &Bare::<T>::VTABLE, state, local, core, thread };
        let cell = Bare::<T>::bare(birth, ());
        let promise = Self { cell, is_set: false, output: std::marker::PhantomData };
        (promise, CrossThreadFuture::new(cell, hint))
    }

    /// Says that the work begins: from now on the future can't be cancelled. False: it was cancelled before, or has
    /// its outcome. `concurrent.futures.Future.set_running_or_notify_cancel`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// let (mut promise, future) = perloop::Promise::<i32>::new();
    /// assert!(promise.set_running_or_notify_cancel());
    /// assert!(!future.cancel());
    ///
    /// let (mut promise, future) = perloop::Promise::<i32>::new();
    /// assert!(future.cancel());
    /// assert!(!promise.set_running_or_notify_cancel());
    /// ```
    pub fn set_running_or_notify_cancel(&mut self) -> bool {
        !self.is_set && self.cell.header().state.begin_running()
    }

    /// Gives the value: `concurrent.futures.Future.set_result`. Callbacks and wakers run in this thread.
    ///
    /// # Errors
    /// If the future has its outcome already, as it was set or cancelled. The value is dropped.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::{InvalidState, Promise};
    ///
    /// let (mut promise, future) = Promise::new();
    /// assert!(future.cancel());
    /// assert_eq!(promise.set_result(42), Err(InvalidState));
    /// ```
    pub fn set_result(&mut self, value: T) -> Result<(), InvalidState> {
        self.set(Ok(value))
    }

    /// Gives a failure, which is a panic: `concurrent.futures.Future.set_exception`. Callbacks and wakers run in this
    /// thread. A failure that is no panic is an `Err` in the future's value.
    ///
    /// # Errors
    /// If the future has its outcome already, as it was set or cancelled.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use std::panic::catch_unwind;
    /// use perloop::{FutureError, Panicked, Promise};
    ///
    /// let (mut promise, future) = Promise::<u8>::new();
    /// match catch_unwind(|| "300".parse().expect("it fits")) {
    ///     Ok(value) => promise.set_result(value)?,
    ///     Err(payload) => promise.set_exception(Panicked::new(payload))?,
    /// }
    /// assert!(matches!(future.result(), Err(FutureError::Panicked(_))));
    /// # Ok::<(), perloop::InvalidState>(())
    /// ```
    pub fn set_exception(&mut self, panicked: Panicked) -> Result<(), InvalidState> {
        self.set(Err(FutureError::Panicked(panicked)))
    }

    /// Says whether the future was cancelled, so that the work need not be done: `concurrent.futures.Future.cancelled`.
    /// Unlike [`set_running_or_notify_cancel`](Self::set_running_or_notify_cancel) it changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge as perloop;
    /// use perloop::Promise;
    ///
    /// let (promise, future) = Promise::<u8>::new();
    /// assert!(!promise.cancelled());
    /// future.cancel();
    /// assert!(promise.cancelled());
    /// ```
    pub fn cancelled(&self) -> bool {
        self.cell.header().state.load().is_cancelled()
    }

    fn set(&mut self, output: Result<T, FutureError>) -> Result<(), InvalidState> {
        if self.is_set || self.cell.header().state.load().is_cancelled() {
            return Err(InvalidState);
        }
        self.publish(output);
        if self.cell.header().state.load().is_finished() { Ok(()) } else { Err(InvalidState) }
    }

    fn publish(&mut self, output: Result<T, FutureError>) {
        self.is_set = true;
        let is_cancelled = matches!(output, Err(FutureError::Cancelled));
        // SAFETY: the cell was made by `new`, of this type; it is set once, as `is_set` says, and by us alone.
        unsafe { Bare::<T>::set_output(self.cell, output) };
        publish(self.cell, is_cancelled);
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        if !self.is_set {
            self.publish(Err(FutureError::Cancelled));
        }
        self.cell.release();
    }
}

impl<T: Send + 'static> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("is_set", &self.is_set).finish_non_exhaustive()
    }
}
