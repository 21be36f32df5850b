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
use crate::task::{Cell, CellPtr, Record, TaskRef};
use crate::wait::{Hint, block, look_for_end};
use crate::watchers::Until;

/// A cell whose body borrows. Dropping it waits until the body is gone.
struct Lent(CellPtr, Hint);

impl Drop for Lent {
    fn drop(&mut self) {
        if !look_for_end(self.0, Until::Ended, self.1, None) {
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
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Ready, Spin, Stepped};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # fn turn(home: &Home) {
    /// #     home.collect();
    /// #     match home.pop() {
    /// #         Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
    /// #         Some(Ready::Step(task)) => {
    /// #             let _ = task.begin_step();
    /// #             if task.poll() == (Stepped::Ended { publish: true }) { task.publish() }
    /// #         }
    /// #         _ => std::thread::yield_now(),
    /// #     }
    /// # }
    /// use std::thread;
    ///
    /// let (remote, words) = (home.remote(), ["lent", "for", "a", "while"]);
    /// thread::scope(|threads| {
    ///     let lender = threads.spawn(|| remote.block_on::<(), _>((), async { words.len() }));
    ///     while !lender.is_finished() {
    ///         turn(&home);
    ///     }
    ///     assert_eq!(lender.join().ok(), Some(Ok(4)));
    /// });
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Ready, Spin, Stepped};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # fn turn(home: &Home) {
    /// #     home.collect();
    /// #     match home.pop() {
    /// #         Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
    /// #         Some(Ready::Step(task)) => {
    /// #             let _ = task.begin_step();
    /// #             if task.poll() == (Stepped::Ended { publish: true }) { task.publish() }
    /// #         }
    /// #         _ => std::thread::yield_now(),
    /// #     }
    /// # }
    /// use std::thread;
    ///
    /// let (remote, text) = (home.remote(), String::from("to be"));
    /// thread::scope(|threads| {
    ///     let lender = threads.spawn(|| {
    ///         remote.scope::<(), _, _>(|scope| {
    ///             let to = scope.submit((), async { text.starts_with("to") });
    ///             let be = scope.submit((), async { text.ends_with("be") });
    ///             (to.result(), be.result())
    ///         })
    ///     });
    ///     while !lender.is_finished() {
    ///         turn(&home);
    ///     }
    ///     assert_eq!(lender.join().ok(), Some(Ok((Ok(true), Ok(true)))));
    /// });
    /// ```
    pub fn scope<'env, R, T, W>(&'env self, work: W) -> Result<T, WouldDeadlock>
    where
        R: Record,
        W: for<'scope> FnOnce(&'scope Scope<'scope, 'env, R>) -> T,
    {
        self.check_foreign()?;
        // From here on, since at the scope's end it is too late to say no.
        let _blocked = deadlock::enter(self.core().thread, None)?;
        let mut end = EndOfScope { lent: Rc::default(), hint: self.hint(), has_panicked: true };
        let lent = Rc::clone(&end.lent);
        let scope = Scope { remote: self, lent, scope: PhantomData, env: PhantomData, record: PhantomData };
        let done = work(&scope);
        end.has_panicked = false;
        Ok(done)
    }

    fn hint(&self) -> Hint {
        Hint::new(self.core().spin, self.core().ran_on())
    }
}

/// What hands bodies that borrow to a loop, see [`Remote::scope`]. It does not leave the thread.
///
/// # Examples
/// ```
/// use perloop_bridge::{Scope, ScopedFuture};
///
/// fn count<'scope>(
///     scope: &'scope Scope<'scope, '_, ()>,
///     text: &'scope str,
/// ) -> ScopedFuture<'scope, usize> {
///     scope.submit((), async { text.split(' ').count() })
/// }
/// ```
pub struct Scope<'scope, 'env: 'scope, R: Record> {
    remote: &'env Remote,
    lent: Rc<RefCell<Vec<CellPtr>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
    record: PhantomData<R>,
}

impl<'scope, R: Record> Scope<'scope, '_, R> {
    /// Hands in a body that may borrow from outside of the scope, and returns at once. If the loop does not take it,
    /// the future says so.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Closing;
    /// use perloop_bridge::FutureError;
    ///
    /// home.close(Closing::Closed);
    /// let remote = home.remote();
    /// # std::thread::spawn(move || {
    /// let text = String::from("to be");
    /// let length = remote.scope::<(), _, _>(|scope| scope.submit((), async { text.len() }).result());
    /// assert!(matches!(length, Ok(Err(FutureError::LoopClosed(_)))));
    /// # }).join().expect("it does not panic");
    /// ```
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
    /// `work` has; the thread itself may unwind for another reason.
    has_panicked: bool,
}

impl Drop for EndOfScope {
    fn drop(&mut self) {
        let lent = self.lent.take();
        if self.has_panicked {
            for &cell in &lent {
                cell.retain();
                CrossThreadFuture::<()>::new(cell, Hint::none()).cancel();
            }
        }
        for &cell in &lent {
            cell.retain();
            drop(Lent(cell, self.hint));
        }
        // Only now, since as long as one body is left it may look at the outcome of another.
        for cell in lent {
            // A value that nobody took may borrow as well, and the memory may outlive us (in a waker). An error borrows
            // nothing, and a callback may be looking at it just now (rule 7): it stays.
            let state = &cell.header().state;
            if state.load().is_finished() && cell.error().is_none() && state.take() {
                cell.drop_value();
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

/// The outcome of a body that was handed in with a scope: a [`CrossThreadFuture`] that does not leave it, and can be
/// asked all that one can.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{FutureError, ScopedFuture};
///
/// fn sum(parts: &[ScopedFuture<'_, usize>]) -> Result<usize, FutureError> {
///     parts.iter().map(|part| part.result()).sum()
/// }
/// # use perloop_bridge::{Bell, Home, Ready, Spin, Stepped};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # let (remote, text) = (home.remote(), String::from("to be"));
/// # std::thread::scope(|threads| {
/// #     let lender = threads.spawn(|| {
/// #         remote.scope::<(), _, _>(|scope| {
/// #             let lengths = text.split(' ').map(|word| scope.submit((), async move { word.len() }));
/// #             sum(&lengths.collect::<Vec<_>>())
/// #         })
/// #     });
/// #     while !lender.is_finished() {
/// #         home.collect();
/// #         match home.pop() {
/// #             Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
/// #             Some(Ready::Step(task)) => {
/// #                 let _ = task.begin_step();
/// #                 if task.poll() == (Stepped::Ended { publish: true }) { task.publish() }
/// #             }
/// #             _ => std::thread::yield_now(),
/// #         }
/// #     }
/// #     assert_eq!(lender.join().ok(), Some(Ok(Ok(4))));
/// # });
/// ```
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
    /// As `drive`, and if the loop is closed.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Ready, Spin, Stepped};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # fn turn(home: &Home) {
    /// #     home.collect();
    /// #     match home.pop() {
    /// #         Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
    /// #         Some(Ready::Step(task)) => {
    /// #             let _ = task.begin_step();
    /// #             if task.poll() == (Stepped::Ended { publish: true }) { task.publish() }
    /// #         }
    /// #         _ => std::thread::yield_now(),
    /// #     }
    /// # }
    /// let words = vec!["lent", "for", "a", "while"];
    /// let (turns, outcome) = home.lend(|| (), async { words.len() }, |task| {
    ///     let mut turns = 0;
    ///     while !task.has_ended() {
    ///         turn(&home);
    ///         turns += 1;
    ///     }
    ///     turns
    /// });
    /// assert_eq!((turns, outcome), (1, Some(Ok(4))));
    /// ```
    pub fn lend<R, F, T>(
        &self,
        record: impl FnOnce() -> R,
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
        let lent = DropBody(self.make(&Cell::<R, F>::VTABLE, record, body));
        let driven = drive(&lent.0);
        // SAFETY: the body's output is `F::Output`, and it was made here. The output does not outlive this call.
        let outcome = unsafe { lent.0.take_unchecked::<F::Output>() };
        (driven, outcome)
    }
}
