//! Lending: bodies that borrow from the stack of the thread that hands them in.
//!
//! Sound because the lender's thread does not go on, neither by return nor by unwinding, before the cell says `ENDED`,
//! and that is said after the body was dropped on its loop. A loop that closes or dies drops the body too.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use crate::deadlock;
use crate::errors::{FutureError, WouldDeadlock};
use crate::future::CrossThreadFuture;
use crate::home::Home;
use crate::remote::Remote;
use crate::task::{CellPtr, Record, TaskRef};
use crate::wait::{Hint, block, look_for_end};
use crate::watchers::Until;

/// A cell whose body borrows. Dropping it waits until the body is gone.
struct Lent(CellPtr, Hint);

impl Drop for Lent {
    fn drop(&mut self) {
        if !look_for_end(self.0, Until::Ended, self.1) {
            // A wait without a deadline is not given up.
            drop(block(self.0, Until::Ended, None));
        }
        self.0.release();
    }
}

impl Remote {
    /// Runs a body on the loop and blocks until it has ended. The body may borrow.
    ///
    /// # Errors
    /// As [`CrossThreadFuture::result`]; `WouldDeadlock` before anything of it ran.
    pub fn block_on<R, F>(&self, seed: R::Seed, body: F) -> Result<F::Output, FutureError>
    where
        R: Record,
        F: Future + Send,
        F::Output: Send,
    {
        self.check_foreign().map_err(FutureError::WouldDeadlock)?;
        let (cell, future) = self.prepare::<R, F>(seed, body);
        let blocked = match deadlock::enter(self.core().thread, Some((cell, Until::Ended))) {
            Ok(blocked) => blocked,
            Err(error) => {
                Self::refuse(cell, FutureError::WouldDeadlock(error.clone()));
                return Err(FutureError::WouldDeadlock(error));
            }
        };
        cell.retain();
        let lent = Lent(cell, self.hint());
        self.send(cell);
        drop(lent);
        drop(blocked);
        future.result()
    }

    /// Calls `work` with a scope in which bodies that borrow can be handed in, and blocks until all of them have
    /// ended. If `work` panics they are cancelled first.
    ///
    /// # Errors
    /// `WouldDeadlock`, before `work` is called, if the caller is the loop's own thread or one for which it waits.
    pub fn scope<'env, R, T, W>(&'env self, work: W) -> Result<T, WouldDeadlock>
    where
        R: Record,
        W: for<'scope> FnOnce(&'scope Scope<'scope, 'env, R>) -> T,
    {
        self.check_foreign()?;
        // From here on, since at the scope's end it is too late to say no.
        let _blocked = deadlock::enter(self.core().thread, None)?;
        let was_panicking = std::thread::panicking();
        let end = EndOfScope { lent: Rc::default(), hint: self.hint(), was_panicking };
        let lent = Rc::clone(&end.lent);
        let scope = Scope { remote: self, lent, scope: PhantomData, env: PhantomData, record: PhantomData };
        Ok(work(&scope))
    }

    fn hint(&self) -> Hint {
        Hint { spin: self.core().spin, ran_on: self.core().ran_on() }
    }
}

/// See [`Remote::scope`].
pub struct Scope<'scope, 'env: 'scope, R: Record> {
    remote: &'env Remote,
    lent: Rc<RefCell<Vec<CellPtr>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
    record: PhantomData<R>,
}

impl<'scope, R: Record> Scope<'scope, '_, R> {
    /// Hands in a body that may borrow from outside of the scope.
    pub fn submit<F>(&'scope self, seed: R::Seed, body: F) -> ScopedFuture<'scope, F::Output>
    where
        F: Future + Send + 'scope,
        F::Output: Send + 'scope,
    {
        let (cell, future) = self.remote.prepare::<R, F>(seed, body);
        cell.retain();
        self.lent.borrow_mut().push(cell);
        self.remote.send(cell);
        ScopedFuture { future, scope: PhantomData }
    }
}

/// Waits, also on unwinding, until all that was lent is back. Apart from the scope, which is borrowed until then.
struct EndOfScope {
    lent: Rc<RefCell<Vec<CellPtr>>>,
    hint: Hint,
    /// A destructor may use a scope while the thread unwinds for another reason.
    was_panicking: bool,
}

impl Drop for EndOfScope {
    fn drop(&mut self) {
        let lent = self.lent.take();
        if std::thread::panicking() && !self.was_panicking {
            for &cell in &lent {
                cell.retain();
                CrossThreadFuture::<()>::new(cell, Hint::NONE).cancel();
            }
        }
        for cell in lent {
            cell.retain();
            drop(Lent(cell, self.hint));
            // What nobody took may borrow as well, and the memory may outlive us (in a waker).
            let state = &cell.header().state;
            if state.load().is_finished() && state.take() {
                cell.drop_stage();
            }
            cell.release();
        }
    }
}

impl<R: Record> fmt::Debug for Scope<'_, '_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("remote", self.remote).finish_non_exhaustive()
    }
}

/// The outcome of a body that was handed in with a scope: a [`CrossThreadFuture`] that does not leave it.
#[derive(Debug)]
pub struct ScopedFuture<'scope, T> {
    future: CrossThreadFuture<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> Deref for ScopedFuture<'_, T> {
    type Target = CrossThreadFuture<T>;

    fn deref(&self) -> &CrossThreadFuture<T> {
        &self.future
    }
}

impl Home {
    /// Makes a task of a body that borrows, calls `drive` with it, and drops the body, if it has not ended, before it
    /// returns or unwinds. The outcome is there if it has ended by then.
    ///
    /// # Panics
    /// As `drive`.
    pub fn lend<R, F, T>(
        &self,
        record: R,
        body: F,
        drive: impl FnOnce(&TaskRef) -> T,
    ) -> (T, Option<Result<F::Output, FutureError>>)
    where
        R: Record,
        F: Future,
    {
        struct DropBody(TaskRef);
        impl Drop for DropBody {
            fn drop(&mut self) {
                self.0.drop_lent();
            }
        }
        let lent = DropBody(TaskRef::make(self.core().as_ptr(), record, body));
        lent.0.wake();
        let driven = drive(&lent.0);
        // SAFETY: the body's output is `F::Output`, and it was made here. The output does not outlive this call.
        let outcome = unsafe { crate::task::HomeTask::<F::Output>::new(lent.0.clone()) }.take();
        (driven, outcome)
    }
}
