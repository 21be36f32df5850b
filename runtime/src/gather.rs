//! `gather`: the values of several tasks and futures, or the first failure.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use perloop_bridge::Panicked;

use crate::cancel::Cancelled;
use crate::current;
use crate::errors::{TaskError, WrongLoop};
use crate::event_loop::EventLoop;
use crate::loop_future::{AnyState, Ask, LoopFuture, State, poll_done};
use crate::task::awaited::sealed::{Inside, Sealed};
use crate::task::done::{Ends, HearsEnds, Waiting, Watch};
use crate::task::{Awaitable, Awaited, Waitable, step};

/// Waits for several tasks and futures, and gives their values in the order of the arguments; the first to end without
/// a value ends it, with that error, and the others go on: asyncio's `gather`. Of nothing it is an empty list. A future
/// that is given twice is waited for once, and fills both places. A task has but one value to give: to give it twice, make
/// a future of it by [`ensure_future`](crate::ensure_future).
///
/// It counts from this call on, awaited or not. For coroutines make tasks first; for unlike types there is
/// [`gather!`](crate::gather!), for tasks that give a `Result` [`try_gather`], for every outcome [`gather_outcomes`].
///
/// Cancelling it, or the task that awaits it, asks all that have not ended to stop; then it ends by its rule, when the
/// first has ended cancelled.
///
/// # Errors
/// At the await: how the first to fail ended, or [`TaskError::WrongLoop`] if they belong to different loops.
///
/// # Panics
/// If it is of nothing, or of what a loop left that is gone, and this thread has no loop.
///
/// # Examples
/// ```
/// use perloop::{create_task, gather};
///
/// let squares = perloop::run(async { gather((1..=3).map(|n| create_task(async move { n * n }))).await })?;
/// assert_eq!(squares, Ok(vec![1, 4, 9]));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[doc(alias = "join_all")]
#[track_caller]
pub fn gather<A: Awaitable + 'static>(several: impl IntoIterator<Item = A>) -> Gather<Vec<A::Value>> {
    gather_by(several, |ended| ended.map_err(Err), Box::new(|values| values))
}

/// As [`gather`], for those that give a `Result`: the first `Err` ends it as well, as the first exception ends
/// asyncio's `gather`.
///
/// # Errors
/// As `gather`; the first `Err` is inside.
///
/// # Panics
/// As `gather`.
///
/// # Examples
/// ```
/// use perloop::{create_task, try_gather};
///
/// let sums = perloop::run(async {
///     let parsed = |text: &'static str| create_task(async move { text.parse::<i32>() });
///     let all = try_gather(["1", "2"].map(parsed)).await;
///     (all, try_gather(["1", "two"].map(parsed)).await)
/// })?;
/// assert_eq!(sums.0, Ok(Ok(vec![1, 2])));
/// assert!(matches!(sums.1, Ok(Err(_))));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[doc(alias = "try_join_all")]
#[track_caller]
pub fn try_gather<A, T, E>(several: impl IntoIterator<Item = A>) -> Gather<Result<Vec<T>, E>>
where
    A: Awaitable<Value = Result<T, E>> + 'static,
    T: 'static,
    E: 'static,
{
    let sort = |ended: Result<Result<T, E>, TaskError>| match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Ok(Err(error))),
        Err(error) => Err(Err(error)),
    };
    gather_by(several, sort, Box::new(Ok))
}

/// As [`gather`], but waits for all, and gives how each ended: asyncio's `gather(..., return_exceptions=True)`.
///
/// # Errors
/// At the await: Cancelled, if it was cancelled; [`TaskError::WrongLoop`] as `gather`.
///
/// # Panics
/// As `gather`.
///
/// # Examples
/// ```
/// use perloop::{create_task, gather_outcomes};
///
/// let outcomes = perloop::run(async {
///     gather_outcomes([1, 0].map(|n| create_task(async move { 6 / n }))).await
/// })??;
/// assert_eq!(outcomes[0], Ok(6));
/// assert!(outcomes[1].is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn gather_outcomes<A: Awaitable + 'static>(
    several: impl IntoIterator<Item = A>,
) -> Gather<Vec<Result<A::Value, TaskError>>> {
    gather_by(several, Ok, Box::new(|outcomes| outcomes))
}

/// What [`gather`] and its kin make: the future of asyncio's `gather`, which gives its value once, here or by awaiting
/// it. Dropping it leaves the others alone.
///
/// It belongs to its loop's thread. Cancel safety: giving up an await leaves it as it is. A request to the awaiting task
/// goes to all that it waits for.
///
/// # Examples
/// ```
/// use perloop::{Gather, create_task, gather, sleep};
///
/// perloop::run(async {
///     let tasks = [1, 2].map(|n| create_task(sleep(std::time::Duration::from_secs(n))));
///     let mut both: Gather<Vec<()>> = gather(tasks);
///     assert!(both.cancel() && !both.done()); // it is a request
///     assert!((&mut both).await.is_err_and(|error| error.is_cancelled()));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "the others run by themselves, and their outcomes are dropped with it"]
pub struct Gather<T: 'static> {
    state: Rc<State<Once<T>>>,
    sink: Sink<T>,
    /// None if it was done from the beginning.
    gathering: Option<Rc<dyn Gathered>>,
    waiting: Option<Box<Waiting>>,
}

/// A value that is given once.
struct Once<T>(Cell<Option<T>>);

impl<T> Once<T> {
    /// False if it was given.
    fn test(&self, test: fn(&T) -> bool) -> bool {
        let value = self.0.take();
        let passes = value.as_ref().is_some_and(test);
        self.0.set(value);
        passes
    }
}

/// Where the outcome goes.
type Sink<T> = Rc<RefCell<Option<Box<dyn FnOnce(Result<T, TaskError>)>>>>;

/// Those that it waits for, whatever their type.
trait Gathered {
    fn children(&self, ask: Ask) -> Vec<Awaited>;
}

/// What a child's end means: something to keep, or the end of it all.
pub(crate) trait Sort<A: Awaitable, X, T>:
    Fn(Result<A::Value, TaskError>) -> Result<X, Result<T, TaskError>> + 'static
{
}

impl<A: Awaitable, X, T, S> Sort<A, X, T> for S where
    S: Fn(Result<A::Value, TaskError>) -> Result<X, Result<T, TaskError>> + 'static
{
}

pub(crate) type Collect<X, T> = Box<dyn FnOnce(Vec<X>) -> T>;

struct Gathering<A: Awaitable, X, T, S> {
    children: Children<A>,
    kept: RefCell<Vec<Option<X>>>,
    unfinished: Cell<usize>,
    is_cancel_requested: Cell<bool>,
    /// The request that the one in the last place met.
    last_ended_by: Cell<Option<Cancelled>>,
    sort: S,
    collect: Cell<Option<Collect<X, T>>>,
    sink: Sink<T>,
}

/// What was given, by place, until it has ended; what was given before is waited for where it stood first.
struct Children<A> {
    given: RefCell<Vec<Option<A>>>,
    /// By the place where it stood first, where it stands again.
    again: HashMap<usize, Vec<usize>>,
    /// The places of all repetitions, in ascending order.
    repetitions: Vec<usize>,
    count: usize,
}

impl<A: Awaitable> Children<A> {
    fn new(several: impl IntoIterator<Item = A>) -> Self {
        let given: Vec<Option<A>> = several.into_iter().map(Some).collect();
        let count = given.len();
        let mut children =
            Self { given: RefCell::new(given), again: HashMap::new(), repetitions: Vec::new(), count };
        if !A::IS_UNIQUE {
            children.find_repetitions();
        }
        children
    }

    fn find_repetitions(&mut self) {
        let mut known: HashMap<usize, usize> = HashMap::new();
        for (place, given) in self.given.get_mut().iter().enumerate() {
            let Some(given) = given else { continue };
            let first = *known.entry(given.inside().0.key()).or_insert(place);
            if first != place {
                self.again.entry(first).or_default().push(place);
                self.repetitions.push(place);
            }
        }
    }

    /// The places at which something stands first.
    fn places(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.count).filter(|place| self.repetitions.binary_search(place).is_err())
    }

    fn awaited(&self, place: usize) -> Option<Awaited> {
        self.given.borrow()[place].as_ref().map(|given| given.inside().0)
    }

    /// Looks at each child that is left, once. It must not call foreign code.
    fn each(&self, mut look: impl FnMut(usize, Awaited)) {
        for (place, given) in self.given.borrow().iter().enumerate() {
            if let Some(given) = given
                && self.repetitions.binary_search(&place).is_err()
            {
                look(place, given.inside().0);
            }
        }
    }

    fn find(&self, is_it: impl Fn(&Awaited) -> bool) -> Option<Awaited> {
        self.given.borrow().iter().flatten().map(|given| given.inside().0).find(is_it)
    }

    /// Each child that is left, once.
    fn all(&self) -> impl Iterator<Item = Awaited> {
        self.places().filter_map(|place| self.awaited(place))
    }

    /// It has ended, and its memory goes as soon as its outcome is read.
    fn take(&self, place: usize) -> Option<A> {
        self.given.borrow_mut()[place].take()
    }
}

#[track_caller]
pub(crate) fn gather_by<A: Awaitable + 'static, X: 'static, T: 'static>(
    several: impl IntoIterator<Item = A>,
    sort: impl Sort<A, X, T>,
    collect: Collect<X, T>,
) -> Gather<T> {
    let at = Location::caller();
    let children = Children::new(several);
    let (own, checked) = loop_of(&children);
    let mut gather = Gather::new(State::new(&own, at));
    if let Err(error) = checked {
        gather.state.settle(Err(TaskError::WrongLoop(error)));
        return gather;
    }
    let gathering = Rc::new(Gathering {
        unfinished: Cell::new(children.count - children.repetitions.len()),
        kept: RefCell::new(std::iter::repeat_with(|| None).take(children.count).collect()),
        last_ended_by: Cell::default(),
        children,
        is_cancel_requested: Cell::new(false),
        sort,
        collect: Cell::new(Some(collect)),
        sink: Rc::clone(&gather.sink),
    });
    gather.keep(Rc::clone(&gathering) as Rc<dyn Gathered>);
    gathering.begin();
    gather
}

/// The children's loop; of nothing the current one. If they have several, one that can say it.
fn loop_of<A: Awaitable>(children: &Children<A>) -> (EventLoop, Result<(), WrongLoop>) {
    let here = || current::get_event_loop().unwrap_or_else(|error| panic!("gather: {error}"));
    let Some(first) = children.find(|_| true) else { return (here(), Ok(())) };
    let loop_id = first.loop_id();
    let found = current::find_owned(loop_id);
    // What belongs to a loop that is gone and has not ended never does.
    let is_elsewhere = |child: &Awaited| child.loop_id() != loop_id || found.is_none() && !child.done();
    let other = children.find(is_elsewhere);
    let own = found.unwrap_or_else(here);
    let checked = other.map_or(Ok(()), |other| own.check_owns(other.loop_id()));
    (own, checked)
}

impl<A: Awaitable + 'static, X: 'static, T: 'static, S: Sort<A, X, T>> Gathering<A, X, T, S> {
    /// Those that are done count at once, after all others were seen.
    fn begin(self: &Rc<Self>) {
        if self.children.count == 0 {
            self.finish();
        }
        let this: Weak<Self> = Rc::downgrade(self);
        // It does not hold this.
        let ends = Ends::new(this);
        let mut done = Vec::new();
        self.children.each(|place, child| {
            if child.done() {
                done.push(place);
            } else {
                child.watch(Watch::OneOf(Rc::clone(&ends), place));
            }
        });
        done.into_iter().for_each(|place| self.one_ended(place));
    }

    /// What it gave goes to a place of it. False if that was the end of it all.
    #[inline(always)]
    fn keep(&self, place: usize) -> bool {
        let Some(child) = self.children.take(place) else { return true };
        // Also of no use it counts as having been asked for.
        let outcome = child.read();
        if let Err(TaskError::Cancelled(by)) = &outcome
            && self.children.places().next_back() == Some(place)
        {
            self.last_ended_by.set(Some(by.clone()));
        }
        match (self.sort)(outcome) {
            Ok(kept) => {
                let _none = self.kept.borrow_mut()[place].replace(kept);
                true
            }
            Err(end) => {
                self.end(end);
                false
            }
        }
    }

    /// Also goes wherever it was given again.
    #[cold]
    fn keep_again(&self, place: usize) -> bool {
        let again = self.children.again.get(&place);
        again.is_none_or(|again| again.iter().all(|place| self.keep(*place)))
    }

    /// All have ended.
    fn finish(&self) {
        if self.is_cancel_requested.get() {
            let cancelled = self.last_ended_by.take().unwrap_or_default();
            return self.end(Err(TaskError::Cancelled(cancelled)));
        }
        if let Some(collect) = self.collect.take() {
            let kept = self.kept.take().into_iter().flatten().collect();
            self.end(Ok(collect(kept)));
        }
    }

    /// The first end counts.
    fn end(&self, outcome: Result<T, TaskError>) {
        let sink = self.sink.take();
        if let Some(sink) = sink {
            sink(outcome);
        }
    }
}

impl<A: Awaitable + 'static, X: 'static, T: 'static, S: Sort<A, X, T>> HearsEnds for Gathering<A, X, T, S> {
    fn one_ended(&self, place: usize) {
        self.unfinished.set(self.unfinished.get() - 1);
        let is_open = self.keep(place) && (self.children.again.is_empty() || self.keep_again(place));
        if is_open && self.unfinished.get() == 0 {
            self.finish();
        }
    }
}

impl<A: Awaitable, X, T, S> Gathered for Gathering<A, X, T, S> {
    fn children(&self, ask: Ask) -> Vec<Awaited> {
        let unfinished: Vec<_> = self.children.all().filter(Awaited::can_be_asked).collect();
        if ask == Ask::Cancel && !unfinished.is_empty() {
            self.is_cancel_requested.set(true);
        }
        unfinished
    }
}

impl<A: Awaitable, X, T, S> Drop for Gathering<A, X, T, S> {
    /// How the others fail is nobody's business any more.
    fn drop(&mut self) {
        for child in self.children.all().filter(|child| !child.done()) {
            child.add_callback(|ended| drop(ended.failure()));
        }
    }
}

impl<T: 'static> Gather<T> {
    fn new(state: Rc<State<Once<T>>>) -> Self {
        let to = Rc::downgrade(&state);
        let settle = move |outcome: Result<T, TaskError>| {
            if let Some(state) = to.upgrade() {
                state.settle(outcome.map(|value| Once(Cell::new(Some(value)))));
            }
        };
        let sink: Sink<T> = Rc::new(RefCell::new(Some(Box::new(settle))));
        Self { state, sink, gathering: None, waiting: None }
    }

    fn keep(&mut self, gathering: Rc<dyn Gathered>) {
        let asked = Rc::clone(&gathering);
        self.state.core().set_children(Box::new(move |ask| asked.children(ask)));
        self.gathering = Some(gathering);
    }

    /// Asks all that have not ended to stop: asyncio's `gather(...).cancel()`. False: it is done, or they are.
    ///
    /// # Examples
    /// ```
    /// use perloop::{create_future, gather};
    ///
    /// perloop::run(async {
    ///     let future = create_future::<()>();
    ///     let gathered = gather([future.clone()]);
    ///     assert!(gathered.cancel() && future.cancelled());
    ///     assert!(!gathered.cancel());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancel(&self) -> bool {
        step::cancel_awaited(self.state.as_awaited(), None)
    }

    /// Says whether its outcome is there: asyncio's `future.done()`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Task, gather};
    ///
    /// perloop::run(async {
    ///     assert!(gather(Vec::<Task<()>>::new()).done());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn done(&self) -> bool {
        self.state.core().done()
    }

    /// Gives the outcome, and does not wait: asyncio's `future.result()`. The value is given once.
    ///
    /// # Errors
    /// How it ended, if not with a value; `NotDone`; `Taken`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{TaskError, create_future, gather};
    ///
    /// perloop::run(async {
    ///     let gathered = gather([create_future::<()>()]);
    ///     assert_eq!(gathered.result(), Err(TaskError::NotDone));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn result(&self) -> Result<T, TaskError> {
        self.state.outcome()?.0.take().ok_or(TaskError::Taken)
    }

    /// Makes a future of it that many can await, or that can be gathered or shielded in turn, with its value changed by
    /// `map`. Cancelling that future cancels this one. It takes no turn more. If `map` panics, that is how it fails.
    ///
    /// # Examples
    /// ```
    /// use perloop::{create_task, gather};
    ///
    /// perloop::run(async {
    ///     let sum = gather([1, 2].map(|n| create_task(async move { n })));
    ///     let sum = sum.share(|values| values.into_iter().sum::<i32>());
    ///     let other = create_task(sum.clone());
    ///     assert_eq!((sum.await, other.await), (Ok(3), Ok(Ok(3))));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn share<U: 'static>(self, map: impl FnOnce(T) -> U + 'static) -> LoopFuture<U> {
        let shared = State::like(&self.state, Location::caller());
        // A panic that went past here would leave the future pending for ever.
        let map = move |value| {
            let mapped = catch_unwind(AssertUnwindSafe(move || map(value)));
            mapped.map_err(|payload| TaskError::Panicked(Panicked::new(payload)))
        };
        if self.done() {
            shared.settle(self.result().and_then(map));
            return LoopFuture::new(shared);
        }
        let to = Rc::downgrade(&shared);
        let settle = move |outcome: Result<T, TaskError>| {
            if let Some(shared) = to.upgrade() {
                shared.settle(outcome.and_then(map));
            }
        };
        let _old = self.sink.replace(Some(Box::new(settle)));
        if let Some(gathering) = self.gathering.clone() {
            shared.core().set_children(Box::new(move |ask| gathering.children(ask)));
        }
        LoopFuture::new(shared)
    }
}

// Nothing of it is pinned.
impl<T> Unpin for Gather<T> {}

impl<T> Future for Gather<T> {
    type Output = Result<T, TaskError>;

    /// # Panics
    /// Never; polled again after its value was given it is `Taken`.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let awaited = self.state.as_awaited();
        poll_done(&awaited, &mut self.waiting, cx).map(|done| done.and_then(|()| self.result()))
    }
}

impl<T> Sealed for Gather<T> {
    fn inside(&self) -> Inside {
        Inside(self.state.as_awaited())
    }
}

impl<T> Waitable for Gather<T> {}

impl<T> Awaitable for Gather<T> {
    type Value = T;

    const IS_UNIQUE: bool = true;

    fn read(&self) -> Result<T, TaskError> {
        self.result()
    }

    fn test(&self, test: fn(&T) -> bool) -> Box<dyn FnOnce(Inside) -> bool> {
        Box::new(move |Inside(ended)| match ended {
            Awaited::Future(state) => {
                let state = state.into_any().downcast::<State<Once<T>>>();
                let state = state.expect("the gather that the callback was added to");
                state.outcome().is_ok_and(|value| value.test(test))
            }
            Awaited::Task(_) => false,
        })
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("done", &self.done()).finish_non_exhaustive()
    }
}
