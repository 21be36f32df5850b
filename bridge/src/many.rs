//! A plain thread that waits for several cross-thread futures: `concurrent.futures.wait` and `as_completed`.

use std::fmt;
use std::time::Duration;

use crate::deadlock::{self, Blocked, Needs};
use crate::errors::{FutureError, WouldDeadlock};
use crate::future::CrossThreadFuture;
use crate::sync::{Deadline, Parker};
use crate::task::CellPtr;
use crate::watchers::{self, Place, Tell, Until};

/// Any [`CrossThreadFuture`], whatever its value, for lists of several kinds. Nothing else implements it.
///
/// # Examples
/// ```
/// # use perloop_bridge as perloop;
/// use perloop::{AnyFuture, Promise};
///
/// let (_first, number) = Promise::<i32>::new();
/// let (_second, words) = Promise::<String>::new();
/// let futures: [&dyn AnyFuture; 2] = [&number, &words];
/// # assert_eq!(futures.len(), 2);
/// ```
pub trait AnyFuture: sealed::Sealed {}

impl<T> AnyFuture for CrossThreadFuture<T> {}

mod sealed {
    use super::{CellPtr, CrossThreadFuture, FutureError};

    pub trait Sealed {
        fn cell_ptr(&self) -> CellPtrHidden;
        fn failure(&self) -> Option<FutureError>;
        fn is_lost(&self) -> bool;
    }

    /// Hides the pointer from those who can name the trait.
    #[derive(Debug)]
    pub struct CellPtrHidden(pub(super) *mut ());

    impl<T> Sealed for CrossThreadFuture<T> {
        fn cell_ptr(&self) -> CellPtrHidden {
            CellPtrHidden(self.cell().as_ptr().cast())
        }
        fn failure(&self) -> Option<FutureError> {
            self.done().then(|| self.error()).flatten()
        }
        fn is_lost(&self) -> bool {
            CrossThreadFuture::is_lost(self)
        }
    }

    impl CellPtrHidden {
        pub(super) fn get(&self) -> CellPtr {
            CellPtr::from_raw(self.0.cast()).expect("made from a cell")
        }
    }
}

/// When [`wait`] returns: `concurrent.futures`' `ALL_COMPLETED`, `FIRST_COMPLETED` and `FIRST_EXCEPTION`.
///
/// # Examples
/// ```
/// # mod perloop { pub use perloop_bridge::*; pub mod threads { pub use perloop_bridge::wait; } }
/// use perloop::{Panicked, Promise, ReturnWhen, threads::wait};
///
/// let (_first, endless) = Promise::<()>::new();
/// let (mut promise, failing) = Promise::<()>::new();
/// promise.set_exception(Panicked::new(Box::new("out of paper")))?;
/// let found = wait(&[&endless, &failing], ReturnWhen::FirstException, None)?;
/// assert_eq!(found.done, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReturnWhen {
    /// When all are done.
    #[default]
    AllCompleted,
    /// When one is done.
    FirstCompleted,
    /// When one has failed (panicked, or its loop refused it or died; not: was cancelled), or all are done.
    FirstException,
}

/// What [`wait`] found: places in the list that it was given, in its order. The `done` and `not_done` of
/// `concurrent.futures.wait`, and the two sets of asyncio's `wait`.
///
/// # Examples
/// ```
/// # mod perloop { pub use perloop_bridge::*; pub mod threads { pub use perloop_bridge::wait; } }
/// use perloop::{DoneAndPending, Promise, ReturnWhen, threads::wait};
///
/// let (mut promise, first) = Promise::new();
/// let (_other, second) = Promise::<()>::new();
/// promise.set_result(42)?;
/// let found = wait(&[&first, &second], ReturnWhen::FirstCompleted, None)?;
/// assert_eq!(found, DoneAndPending { done: vec![0], pending: vec![1] });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoneAndPending {
    /// Those that were done.
    pub done: Vec<usize>,
    /// The others.
    pub pending: Vec<usize>,
}

/// Blocks until enough of the futures are done, or the time is up: `concurrent.futures.wait`. Nothing is cancelled.
/// `None` waits for as long as it takes.
///
/// # Errors
/// `WouldDeadlock`, if it is for one that this very thread would have to complete.
///
/// # Examples
/// ```
/// # mod perloop { pub use perloop_bridge::*; pub mod threads { pub use perloop_bridge::wait; } }
/// use std::time::Duration;
/// use perloop::{Promise, ReturnWhen, threads::wait};
///
/// let (mut promise, first) = Promise::new();
/// let (_unset, second) = Promise::<()>::new();
/// promise.set_result("done").expect("not set before");
/// let found = wait(&[&first, &second], ReturnWhen::AllCompleted, Some(Duration::from_millis(1)))?;
/// assert_eq!((found.done, found.pending), (vec![0], vec![1]));
/// # Ok::<(), perloop::WouldDeadlock>(())
/// ```
pub fn wait(
    futures: &[&dyn AnyFuture],
    when: ReturnWhen,
    timeout: Option<Duration>,
) -> Result<DoneAndPending, WouldDeadlock> {
    let watch = Watch::begin(futures)?;
    let deadline = timeout.and_then(Deadline::after);
    let _blocked = if deadline.is_none() { Some(enter(when, futures)?) } else { None };
    while !is_enough(futures, when) && !deadline.is_some_and(Deadline::has_passed) {
        watch.parker.park(deadline);
    }
    let (done, pending) = (0..futures.len()).partition(|&index| is_done(futures[index]));
    Ok(DoneAndPending { done, pending })
}

/// Says that this thread waits for those that are pending. (A promise belongs to no thread.)
fn enter(when: ReturnWhen, futures: &[&dyn AnyFuture]) -> Result<Blocked, WouldDeadlock> {
    let needs = if when == ReturnWhen::AllCompleted { Needs::All } else { Needs::Any };
    let pending: Vec<_> =
        futures.iter().filter(|future| !is_done(**future)).map(|future| future.cell_ptr().get()).collect();
    // After that look, so that what is not pending counts here, and what is pending counts under the table's lock.
    if is_enough(futures, when) {
        return Ok(Blocked::NOT);
    }
    let has_promise = pending.iter().any(|cell| cell.header().core.is_none());
    let with_loop: Vec<_> = pending.into_iter().filter(|cell| cell.header().core.is_some()).collect();
    match needs {
        // One that anybody may set can end the wait.
        Needs::Any if has_promise => deadlock::enter_for_many(needs, &[]),
        _ => deadlock::enter_for_many(needs, &with_loop),
    }
}

fn is_enough(futures: &[&dyn AnyFuture], when: ReturnWhen) -> bool {
    let mut done = futures.iter().filter(|future| is_done(**future));
    match when {
        ReturnWhen::AllCompleted => done.count() == futures.len(),
        ReturnWhen::FirstCompleted => done.next().is_some(),
        ReturnWhen::FirstException => {
            let failed =
                |future: &&dyn AnyFuture| future.failure().is_some_and(|error| !error.is_cancelled());
            done.clone().any(failed) || done.count() == futures.len()
        }
    }
}

/// Is the outcome there? That of a parent process's loop never comes, and is `Forked` as soon as one asks.
fn is_done(future: &dyn AnyFuture) -> bool {
    is_cell_done(future.cell_ptr().get()) || future.is_lost()
}

/// The places of the futures in the order in which they complete: `concurrent.futures.as_completed`. Those that are
/// done already come first. After the timeout, which counts from this call, each item is [`FutureError::TimedOut`]
/// once, and the iteration is over.
///
/// # Errors
/// As [`wait`].
///
/// # Examples
/// ```
/// # mod perloop { pub use perloop_bridge::*; pub mod threads { pub use perloop_bridge::as_completed; } }
/// use perloop::{Promise, threads::as_completed};
///
/// let (mut slow, first) = Promise::new();
/// let (mut quick, second) = Promise::new();
/// quick.set_result("quick")?;
/// let futures: [&dyn perloop::AnyFuture; 2] = [&first, &second];
/// let mut completed = as_completed(&futures, None)?;
/// assert_eq!(completed.next(), Some(Ok(1)));
/// slow.set_result(2)?;
/// assert_eq!(completed.next(), Some(Ok(0)));
/// assert_eq!(completed.next(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_completed<'a>(
    futures: &'a [&'a dyn AnyFuture],
    timeout: Option<Duration>,
) -> Result<AsCompleted<'a>, WouldDeadlock> {
    let watch = Watch::begin(futures)?;
    let deadline = timeout.and_then(Deadline::after);
    Ok(AsCompleted { futures, watch, deadline, left: (0..futures.len()).collect() })
}

/// The iterator that [`as_completed`] makes. Its `next` blocks.
///
/// # Examples
/// ```
/// # mod perloop { pub use perloop_bridge::*; pub mod threads { pub use perloop_bridge::as_completed; } }
/// use std::time::Duration;
/// use perloop::{AnyFuture, FutureError, Promise, threads::as_completed};
///
/// let (_promise, endless) = Promise::<()>::new();
/// let futures: [&dyn AnyFuture; 1] = [&endless];
/// let found: Vec<_> = as_completed(&futures, Some(Duration::from_millis(1)))?.collect();
/// assert_eq!(found, [Err(FutureError::TimedOut)]);
/// # Ok::<(), perloop::WouldDeadlock>(())
/// ```
pub struct AsCompleted<'a> {
    futures: &'a [&'a dyn AnyFuture],
    watch: Watch,
    deadline: Option<Deadline>,
    left: Vec<usize>,
}

impl Iterator for AsCompleted<'_> {
    type Item = Result<usize, FutureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.left.is_empty() {
                return None;
            }
            if let Some(at) = self.left.iter().position(|&index| is_done(self.futures[index])) {
                return Some(Ok(self.left.remove(at)));
            }
            if self.deadline.is_some_and(Deadline::has_passed) {
                self.left.clear();
                return Some(Err(FutureError::TimedOut));
            }
            let left: Vec<_> = self.left.iter().map(|&index| self.futures[index]).collect();
            let blocked = if self.deadline.is_none() {
                enter(ReturnWhen::FirstCompleted, &left)
            } else {
                Ok(Blocked::NOT)
            };
            match blocked {
                Ok(_blocked) => self.watch.parker.park(self.deadline),
                Err(error) => {
                    self.left.clear();
                    return Some(Err(FutureError::WouldDeadlock(error)));
                }
            }
        }
    }
}

impl fmt::Debug for AsCompleted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left).finish_non_exhaustive()
    }
}

/// This thread's parker in the lists of several cells.
struct Watch {
    parker: Parker,
    places: Vec<(CellPtr, Place)>,
}

impl Watch {
    fn begin(futures: &[&dyn AnyFuture]) -> Result<Self, WouldDeadlock> {
        let pending =
            || futures.iter().map(|future| future.cell_ptr().get()).filter(|cell| !is_cell_done(*cell));
        pending().try_for_each(deadlock::check_own_thread)?;
        let parker = Parker::of_this_thread();
        let tell = || Tell::Thread(parker.clone());
        let places =
            pending().filter_map(|cell| Some((cell, watchers::watch(cell, Until::Done, tell())?))).collect();
        Ok(Self { parker, places })
    }
}

fn is_cell_done(cell: CellPtr) -> bool {
    cell.header().state.load().is_done()
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (cell, place) in self.places.drain(..) {
            drop(watchers::leave(cell, place));
        }
    }
}
