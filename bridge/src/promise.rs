//! [`Promise`]: the other end of a cross-thread future that belongs to no loop.

use std::fmt;
use std::future::Pending;

use crate::errors::{FutureError, InvalidState, Panicked};
use crate::future::CrossThreadFuture;
use crate::sync::this_thread;
use crate::task::{Birth, Cell, CellPtr, Local, State, publish};
use crate::wait::Hint;

/// Sets a bare [`CrossThreadFuture`]: what an executor of one's own does with a `concurrent.futures.Future`.
///
/// Dropped without having been set, it leaves the future cancelled, so that nobody waits for ever.
///
/// ```
/// use perloop_bridge::Promise;
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

type Bare<T> = Cell<(), Pending<T>>;

impl<T: Send + 'static> Promise<T> {
    /// A promise and its future.
    pub fn new() -> (Self, CrossThreadFuture<T>) {
        let birth =
            Birth { state: State::bare(), local: Local::submitted(), core: None, thread: this_thread() };
        let cell = Bare::<T>::bare(birth, ());
        let promise = Self { cell, is_set: false, output: std::marker::PhantomData };
        (promise, CrossThreadFuture::new(cell, Hint::NONE))
    }

    /// The work begins: from now on the future can't be cancelled. False: it was cancelled before.
    pub fn set_running_or_notify_cancel(&mut self) -> bool {
        !self.is_set && self.cell.header().state.begin_running()
    }

    /// Gives the value.
    ///
    /// # Errors
    /// If the future has its outcome already. The value is dropped.
    pub fn set_result(&mut self, value: T) -> Result<(), InvalidState> {
        self.set(Ok(value))
    }

    /// Gives a failure.
    ///
    /// # Errors
    /// If the future has its outcome already.
    pub fn set_exception(&mut self, panicked: Panicked) -> Result<(), InvalidState> {
        self.set(Err(FutureError::Panicked(panicked)))
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
        // SAFETY: the cell was made by `new`, of this type; it is set once, as `is_set` says, and by us alone.
        unsafe { Bare::<T>::set_output(self.cell, output) };
        publish(self.cell);
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
