//! A plain thread that waits for several cross-thread futures: `concurrent.futures.wait` and `as_completed`.

use std::fmt;
use std::time::Duration;

use crate::deadlock::{self, Blocked};
use crate::errors::{FutureError, WouldDeadlock};
use crate::future::CrossThreadFuture;
use crate::sync::{Deadline, Parker};
use crate::task::CellPtr;
use crate::watchers::{self, Place, Tell, Until};

/// Any [`CrossThreadFuture`], whatever its value.
pub trait AnyFuture: sealed::Sealed {}

impl<T> AnyFuture for CrossThreadFuture<T> {}

mod sealed {
    use super::{CellPtr, CrossThreadFuture, FutureError};

    pub trait Sealed {
        fn cell_ptr(&self) -> CellPtrHidden;
        fn failure(&self) -> Option<FutureError>;
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
    }

    impl CellPtrHidden {
        pub(super) fn get(&self) -> CellPtr {
            CellPtr::from_raw(self.0.cast()).expect("made from a cell")
        }
    }
}

/// When [`wait`] returns.
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

/// What [`wait`] found: places in the list that it was given.
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
/// ```
/// use perloop_bridge::{Promise, ReturnWhen, wait};
/// use std::time::Duration;
///
/// let (mut promise, first) = Promise::new();
/// let (_unset, second) = Promise::<()>::new();
/// promise.set_result("done").expect("not set before");
/// let found = wait(&[&first, &second], ReturnWhen::AllCompleted, Some(Duration::from_millis(1)))?;
/// assert_eq!((found.done, found.pending), (vec![0], vec![1]));
/// # Ok::<(), perloop_bridge::WouldDeadlock>(())
/// ```
pub fn wait(
    futures: &[&dyn AnyFuture],
    when: ReturnWhen,
    timeout: Option<Duration>,
) -> Result<DoneAndPending, WouldDeadlock> {
    let watch = Watch::begin(futures)?;
    let deadline = timeout.and_then(Deadline::after);
    let _blocked = match (deadline, when) {
        (None, ReturnWhen::AllCompleted) => block_on_all(futures)?,
        // One that never comes need not hold it up, or the time will end it.
        _ => Vec::new(),
    };
    while !is_enough(futures, when) && !deadline.is_some_and(Deadline::has_passed) {
        watch.parker.park(deadline);
    }
    let (done, pending) = (0..futures.len()).partition(|&index| is_done(futures[index]));
    Ok(DoneAndPending { done, pending })
}

/// Says of each that is pending that this thread waits for it.
fn block_on_all(futures: &[&dyn AnyFuture]) -> Result<Vec<Blocked>, WouldDeadlock> {
    let cells = futures.iter().map(|future| future.cell_ptr().get());
    let with_loop = cells.filter(|cell| !is_cell_done(*cell) && cell.header().core.is_some());
    with_loop.map(|cell| deadlock::enter(cell.header().thread, Some((cell, Until::Done)))).collect()
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

fn is_done(future: &dyn AnyFuture) -> bool {
    future.cell_ptr().get().header().state.load().is_done()
}

/// The places of the futures in the order in which they complete: `concurrent.futures.as_completed`. Those that are
/// done already come first. After the timeout, which counts from this call, each item is [`FutureError::TimedOut`]
/// once, and the iteration is over.
///
/// # Errors
/// As [`wait`].
pub fn as_completed<'a>(
    futures: &'a [&'a dyn AnyFuture],
    timeout: Option<Duration>,
) -> Result<AsCompleted<'a>, WouldDeadlock> {
    let watch = Watch::begin(futures)?;
    let deadline = timeout.and_then(Deadline::after);
    Ok(AsCompleted { futures, watch, deadline, left: (0..futures.len()).collect() })
}

/// See [`as_completed`].
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
            self.watch.parker.park(self.deadline);
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
