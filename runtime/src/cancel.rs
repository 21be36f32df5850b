//! Cancellation: requests and their count, and the scopes that catch them.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use perloop_bridge::{TaskRef, drop_cancelled};
use pin_project_lite::pin_project;

use crate::event_loop::run_callback;
use crate::places::Places;
use crate::task::{TaskRecord, step};

/// A request to stop that reached a task, or an await in it: asyncio's `CancelledError`.
///
/// [`catch_cancelled`] gives it to the task itself, [`TaskError::Cancelled`](crate::TaskError::Cancelled) to who
/// awaits a task that ended so.
///
/// # Examples
/// ```
/// use perloop::{catch_cancelled, create_task, yield_now};
///
/// perloop::run(async {
///     let task = create_task(catch_cancelled(std::future::pending::<()>()));
///     yield_now().await;
///     task.cancel_with("out of time");
///     let cancelled = task.await.expect("it caught the request").unwrap_err();
///     assert_eq!(cancelled.to_string(), "the task was cancelled: out of time");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cancelled {
    message: Option<Arc<str>>,
    is_generator_exit: bool,
}

impl Cancelled {
    /// Makes one by hand, for [`raise`](Self::raise): asyncio's `CancelledError(message)`. One without a message is
    /// `Cancelled::default()`.
    ///
    /// # Examples
    /// ```
    /// use perloop::Cancelled;
    ///
    /// assert_eq!(Cancelled::new("enough").message(), Some("enough"));
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { message: Some(message.into()), is_generator_exit: false }
    }

    /// Makes what reaches the body of an [`AsyncGenerator`](crate::AsyncGenerator) that is closed: asyncio's
    /// `GeneratorExit`, for who has to raise it anew.
    ///
    /// # Examples
    /// ```
    /// use perloop::Cancelled;
    ///
    /// assert!(Cancelled::generator_exit().is_generator_exit());
    /// ```
    pub fn generator_exit() -> Self {
        Self { message: None, is_generator_exit: true }
    }

    pub(crate) fn with(message: Option<Arc<str>>) -> Self {
        Self { message, is_generator_exit: false }
    }

    /// Says whether it comes of [`AsyncGenerator::aclose`](crate::AsyncGenerator::aclose), or a shutdown of the loop's
    /// generators, and not of a request to the task.
    ///
    /// # Examples
    /// ```
    /// use perloop::{async_gen, catch_cancelled};
    ///
    /// perloop::run(async {
    ///     let numbers = async_gen(|y| async move {
    ///         let closed = catch_cancelled(y.yield_(1)).await.expect_err("nobody asks for more");
    ///         assert!(closed.is_generator_exit());
    ///     });
    ///     assert_eq!(numbers.anext().await, Ok(Some(1)));
    ///     assert_eq!(numbers.aclose().await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn is_generator_exit(&self) -> bool {
        self.is_generator_exit
    }

    /// Returns the message that came with the request, see [`AnyTask::cancel_with`](crate::AnyTask::cancel_with): the
    /// `args` of asyncio's `CancelledError`.
    ///
    /// # Examples
    /// ```
    /// use perloop::Cancelled;
    ///
    /// assert_eq!(Cancelled::default().message(), None);
    /// ```
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Ends the task cancelled from here, or the innermost [`catch_cancelled`] around this await, as if this were
    /// raised: asyncio's `raise CancelledError`. It never gives a value.
    ///
    /// # Panics
    /// When it is polled outside of a perloop task.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Cancelled, create_task};
    ///
    /// perloop::run(async {
    ///     let task = create_task(async { Cancelled::new("enough").raise().await });
    ///     let error = task.await.unwrap_err();
    ///     assert!(error.is_cancelled());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn raise(self) -> Infallible {
        let (mut unsaid, mut raised) = (Some(self), Raised::default());
        poll_fn(|_| {
            if let Some(cancelled) = unsaid.take() {
                raised = Raised::begin(cancelled);
            }
            Poll::Pending
        })
        .await
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            _ if self.is_generator_exit => f.write_str("the generator was closed"),
            None => f.write_str("the task was cancelled"),
            Some(message) => write!(f, "the task was cancelled: {message}"),
        }
    }
}

impl Error for Cancelled {}

/// Takes back what a [`Cancelled::raise`] said, if that await is dropped before anybody has heard it: a branch that
/// lost a race.
#[derive(Debug, Default)]
pub(crate) struct Raised(Option<Entered>);

impl Raised {
    pub(crate) fn is_said(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn begin(cancelled: Cancelled) -> Self {
        let task = step::current().expect("`Cancelled::raise` is awaited in a perloop task");
        let record: &TaskRecord = task.record();
        Self(Some(Entered { task: record.key(), number: record.rare().scopes.raise(cancelled) }))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(entered) = self.0.take()
            && let Some(task) = step::current()
        {
            let record: &TaskRecord = task.record();
            if entered.task == record.key() {
                record.rare().scopes.take_back(entered.number);
            }
        }
    }
}

/// The requests to one task.
///
/// | `waiting` | `interrupted` | what is true | left by |
/// | --- | --- | --- | --- |
/// |   |   | no request is on its way | `wait_for_suspension`, `interrupt_wait` |
/// | x |   | the task's step is queued or runs: the request meets it when that step begins, or suspends | `deliver`, `take_back`, `withdraw` |
/// |   | x | the task's wait was ended for it: its queued step gets the request | `deliver` |
/// | x | x | one request after the other, before the step | `deliver` |
#[derive(Debug, Default)]
pub(crate) struct CancelState {
    requests: Cell<usize>,
    waiting: RefCell<Option<Cancelled>>,
    interrupted: RefCell<Option<Cancelled>>,
    ended_by: RefCell<Option<Cancelled>>,
}

impl CancelState {
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    pub(crate) fn count(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// Takes one request back. The last one takes a waiting request along.
    pub(crate) fn take_back(&self) -> usize {
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.withdraw();
        }
        left
    }

    pub(crate) fn wait_for_suspension(&self, message: Option<Arc<str>>) {
        self.waiting.replace(Some(Cancelled::with(message)));
    }

    pub(crate) fn interrupt_wait(&self, message: Option<Arc<str>>) {
        self.interrupted.replace(Some(Cancelled::with(message)));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.borrow().is_some()
    }

    /// A request that the task's next step gets.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.is_waiting() || self.interrupted.borrow().is_some()
    }

    pub(crate) fn message(&self) -> Option<Arc<str>> {
        self.waiting.borrow().as_ref().and_then(|cancelled| cancelled.message.clone())
    }

    pub(crate) fn withdraw(&self) {
        self.waiting.take();
    }

    /// The request that a step gets. Of two the first one's message comes.
    pub(crate) fn deliver(&self) -> Option<Cancelled> {
        let waiting = self.waiting.take();
        self.interrupted.take().or(waiting)
    }

    pub(crate) fn set_ended_by(&self, cancelled: Cancelled) {
        self.ended_by.replace(Some(cancelled));
    }

    /// What the task ended cancelled by, if it did.
    pub(crate) fn ended_by(&self) -> Option<Cancelled> {
        self.ended_by.borrow().clone()
    }
}

/// The `catch_cancelled` scopes that a task is in.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    /// By number.
    active: RefCell<Places<Scope>>,
    made: Cell<u64>,
    /// The scope whose future is being polled.
    current: Cell<Option<u64>>,
    /// What `Cancelled::raise` said in this poll, and no scope has taken; with a number of its own.
    raised: RefCell<Option<(u64, Cancelled)>>,
    /// A request was passed to scopes, and none has taken it yet.
    is_untaken: Cell<bool>,
    /// There are scopes that were told to stop, and their insides have not heard of it.
    is_told: Cell<bool>,
}

#[derive(Debug)]
struct Scope {
    id: u64,
    parent: Option<u64>,
    /// False: it is a `Frame`, which only marks what is inside of it.
    catches: bool,
    asked: Option<Cancelled>,
    waker: Option<Waker>,
    stop: Stop,
}

/// Is it to end, beside others of the task that go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// The task's next step passes it on.
    Told,
    /// What is inside has heard of it.
    Heard,
}

/// The scope, what is around it, what is around that, and so on.
fn chain<'a>(active: &'a Places<Scope>, scope: &'a Scope) -> impl Iterator<Item = &'a Scope> {
    std::iter::successors(Some(scope), |inner| {
        let parent = inner.parent?;
        active.get(parent)
    })
}

/// The nearest scope around one that catches.
fn around(active: &Places<Scope>, scope: &Scope) -> Option<u64> {
    // A frame is around nobody's request.
    let mut outer = chain(active, scope).skip(1).filter(|outer| outer.catches);
    scope.catches.then(|| outer.next().map(|outer| outer.id))?
}

impl Scopes {
    /// Passes a request to the innermost scopes. False if there is none.
    pub(crate) fn ask(&self, request: &Cancelled) -> bool {
        let is_passed_on = self.ask_inside(None, request);
        self.is_untaken.set(is_passed_on);
        is_passed_on
    }

    /// As `ask`, of the scopes inside of some, or of all.
    fn ask_inside(&self, some: Option<&HashSet<u64>>, request: &Cancelled) -> bool {
        let wakers: Vec<_> = {
            let mut active = self.active.borrow_mut();
            let around: HashSet<_> = active.values().filter_map(|scope| around(&active, scope)).collect();
            let is_inside = |scope: &Scope| {
                some.is_none_or(|some| chain(&active, scope).any(|outer| some.contains(&outer.id)))
            };
            let is_innermost = |scope: &&Scope| scope.catches && !around.contains(&scope.id);
            let asked: Vec<_> = active
                .values()
                .filter(is_innermost)
                .filter(|scope| is_inside(scope))
                .map(|scope| scope.id)
                .collect();
            let ask = |scope: &mut Scope| {
                scope.asked = Some(request.clone());
                scope.waker.take()
            };
            asked.into_iter().filter_map(|id| active.find(id).map(ask)).collect()
        };
        // For executors inside of the task that poll only what was woken.
        let is_passed_on = !wakers.is_empty();
        wakers.into_iter().flatten().for_each(|waker| run_callback(|| waker.wake()));
        is_passed_on
    }

    /// The scope whose future is being polled.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.get()
    }

    /// Is `inner` the scope of this number, or inside of it?
    pub(crate) fn is_inside(&self, inner: Option<u64>, id: u64) -> bool {
        let active = self.active.borrow();
        let inner = inner.and_then(|inner| active.get(inner));
        inner.is_some_and(|inner| chain(&active, inner).any(|scope| scope.id == id))
    }

    /// Is every other scope of the task inside or around it?
    pub(crate) fn is_alone(&self, id: u64) -> bool {
        let active = self.active.borrow();
        let around: HashSet<_> = {
            let own = active.get(id);
            own.into_iter().flat_map(|own| chain(&active, own)).map(|scope| scope.id).collect()
        };
        let is_related =
            |scope: &Scope| around.contains(&scope.id) || chain(&active, scope).any(|outer| outer.id == id);
        active.values().all(is_related)
    }

    /// The next step asks what is inside of the scope to stop, and nothing else.
    pub(crate) fn tell(&self, id: u64) {
        let mut active = self.active.borrow_mut();
        if let Some(scope) = active.find(id) {
            scope.stop = Stop::Told;
            self.is_told.set(true);
        }
    }

    /// As `tell`, of which what is inside hears otherwise.
    pub(crate) fn note_stop(&self, id: u64) {
        let mut active = self.active.borrow_mut();
        if let Some(scope) = active.find(id) {
            scope.stop = Stop::Heard;
        }
    }

    pub(crate) fn has_told(&self) -> bool {
        self.is_told.get()
    }

    pub(crate) fn pass_on_what_was_told(&self) {
        if !self.is_told.take() {
            return;
        }
        let told: HashSet<_> = {
            let mut active = self.active.borrow_mut();
            let told = active.values_mut().filter(|scope| scope.stop == Stop::Told);
            told.map(|scope| {
                scope.stop = Stop::Heard;
                scope.id
            })
            .collect()
        };
        self.ask_inside(Some(&told), &Cancelled::default());
    }

    /// How many of a scope and those around it are to end.
    pub(crate) fn stops_around(&self, inner: Option<u64>) -> usize {
        let Some(inner) = inner else { return 0 };
        let active = self.active.borrow();
        active
            .get(inner)
            .map_or(0, |inner| chain(&active, inner).filter(|scope| scope.stop != Stop::No).count())
    }

    /// A request that was passed only to scopes whose futures have left the task, so that nobody took it.
    pub(crate) fn take_orphaned(&self) -> Option<Cancelled> {
        if !self.is_untaken.take() {
            return None;
        }
        self.active.borrow_mut().values_mut().find_map(|scope| scope.asked.take())
    }

    fn next_number(&self) -> u64 {
        self.made.set(self.made.get() + 1);
        self.made.get()
    }

    fn raise(&self, cancelled: Cancelled) -> u64 {
        let number = self.next_number();
        self.raised.replace(Some((number, cancelled)));
        number
    }

    fn take_back(&self, number: u64) {
        self.raised.borrow_mut().take_if(|raised| raised.0 == number);
    }

    pub(crate) fn take_raised(&self) -> Option<Cancelled> {
        self.raised.take().map(|(_, cancelled)| cancelled)
    }

    fn enter(&self, catches: bool) -> u64 {
        let (id, parent) = (self.next_number(), self.current.get());
        self.active
            .borrow_mut()
            .push(id, Scope { id, parent, catches, asked: None, waker: None, stop: Stop::No });
        id
    }

    fn is_in(&self, id: u64) -> bool {
        self.active.borrow().get(id).is_some()
    }

    /// Leaves a frame, and with it all that is inside. As `leave`.
    fn leave_all_inside(&self, frame: u64) -> Vec<Scope> {
        let mut active = self.active.borrow_mut();
        // What is inside was entered later, so mostly there is nothing.
        if active.last_place() == Some(frame) {
            let _left = active.remove(frame);
            return Vec::new();
        }
        let is_inside = |scope: &Scope| chain(&active, scope).any(|outer| outer.id == frame);
        let inside: Vec<_> = active.values().filter(|scope| is_inside(scope)).map(|scope| scope.id).collect();
        inside.into_iter().filter_map(|id| active.remove(id)).collect()
    }

    /// What it gives is dropped by the caller, outside of the borrow.
    fn leave(&self, id: u64) -> Option<Scope> {
        self.active.borrow_mut().remove(id)
    }

    fn take_asked(&self, id: u64) -> Option<Cancelled> {
        let asked = self.active.borrow_mut().find(id)?.asked.take()?;
        self.is_untaken.set(false);
        Some(asked)
    }

    /// As `leave`: it gives the old one.
    fn set_waker(&self, id: u64, waker: Option<Waker>) -> Option<Waker> {
        let mut active = self.active.borrow_mut();
        let scope = active.find(id)?;
        std::mem::replace(&mut scope.waker, waker)
    }

    /// Polls what is inside of a scope, and gives what it raised.
    fn poll<T>(&self, id: u64, poll: impl FnOnce() -> Poll<T>) -> (Poll<T>, Option<Cancelled>) {
        struct Restore<'a>(&'a Scopes, Option<u64>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.current.set(self.1);
            }
        }
        // What another branch of the task raised is not ours.
        let raised_elsewhere = self.raised.take();
        let polled = {
            let _restore = Restore(self, self.current.replace(Some(id)));
            poll()
        };
        let raised = self.raised.replace(raised_elsewhere);
        (polled, raised.map(|(_, cancelled)| cancelled))
    }
}

/// A scope that a future is in, or what it raised. Plain data, so that the future is `Send` if what it holds is; the
/// state lies in the task's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entered {
    task: (u32, u64),
    number: u64,
}

impl Entered {
    fn begin(task: &TaskRef, catches: bool) -> Self {
        let record: &TaskRecord = task.record();
        Self { task: record.key(), number: record.rare().scopes.enter(catches) }
    }

    /// Is it a place in this task that was not left meanwhile?
    fn is_of(&self, task: &TaskRef) -> bool {
        let record: &TaskRecord = task.record();
        self.task == record.key() && record.rare().scopes.is_in(self.number)
    }
}

/// Leaves the scope when the future is done with or dropped.
#[derive(Debug, Default)]
struct Membership(Option<Entered>);

impl Membership {
    /// The scope, entered if this is the first poll in the task.
    fn of(&mut self, task: &TaskRef) -> u64 {
        match self.0 {
            Some(entered) if entered.is_of(task) => entered.number,
            _ => self.0.insert(Entered::begin(task, true)).number,
        }
    }

    fn leave(&mut self) {
        if let Some(entered) = self.0.take()
            && let Some(task) = step::current()
        {
            let record: &TaskRecord = task.record();
            if entered.task == record.key() {
                drop(record.rare().scopes.leave(entered.number));
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Where the body of a generator stands among the scopes of the task that asks it. It catches nothing; but when it is
/// left, the scopes inside are left with it, as the task goes on and the body does not.
#[derive(Debug, Default)]
pub(crate) struct Frame(Option<Entered>);

impl Frame {
    /// Polls what is inside, and gives what it raised.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> (Poll<T>, Option<Cancelled>) {
        let Some(task) = step::current() else { return (poll(), None) };
        let number = match self.0 {
            Some(entered) if entered.is_of(&task) => entered.number,
            _ => self.0.insert(Entered::begin(&task, false)).number,
        };
        task.record::<TaskRecord>().rare().scopes.poll(number, poll)
    }

    /// Passes a request to the innermost scopes inside. False if there is none.
    pub(crate) fn ask(&self, request: &Cancelled) -> bool {
        let (Some(entered), Some(task)) = (self.0, step::current()) else { return false };
        entered.is_of(&task)
            && task
                .record::<TaskRecord>()
                .rare()
                .scopes
                .ask_inside(Some(&HashSet::from([entered.number])), request)
    }

    pub(crate) fn leave(&mut self) {
        if let Some(entered) = self.0.take()
            && let Some(task) = step::current()
            && entered.is_of(&task)
        {
            drop(task.record::<TaskRecord>().rare().scopes.leave_all_inside(entered.number));
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Runs `future`; if the task is asked to stop meanwhile, drops it and gives `Err(Cancelled)`, and the task goes on:
/// asyncio's `try`/`except CancelledError`. What comes after it may await, may let the request be
/// ([`Cancelled::raise`]), or may go on as if nothing had happened.
///
/// Only the innermost of nested scopes catches. Outside of a perloop task it catches nothing.
///
/// Cancel safety: that of `future`, which is dropped with it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{catch_cancelled, create_task, sleep, yield_now};
///
/// perloop::run(async {
///     let task = create_task(async {
///         if let Err(cancelled) = catch_cancelled(sleep(Duration::from_secs(3600))).await {
///             sleep(Duration::from_millis(1)).await; // clean-up may await
///             cancelled.raise().await;
///         }
///     });
///     yield_now().await;
///     task.cancel();
///     assert!(task.await.is_err_and(|error| error.is_cancelled()));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn catch_cancelled<F: Future>(future: F) -> CatchCancelled<F> {
    CatchCancelled { future: Some(future), membership: Membership::default() }
}

pin_project! {
    /// The future that [`catch_cancelled`] makes.
    ///
    /// It is `Send` if what it holds is. Dropping it drops what it holds.
    ///
    /// # Examples
    /// ```
    /// use perloop::{CatchCancelled, YieldNow, catch_cancelled, yield_now};
    ///
    /// let guarded: CatchCancelled<YieldNow> = catch_cancelled(yield_now());
    /// assert_eq!(perloop::run(guarded)?, Ok(()));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancelled<F> {
        #[pin]
        future: Option<F>,
        membership: Membership,
    }
}

impl<F> CatchCancelled<F> {
    /// Its number among the scopes of the task that polls it.
    pub(crate) fn number(&self) -> Option<u64> {
        self.membership.0.map(|entered| entered.number)
    }
}

impl<F: Future> Future for CatchCancelled<F> {
    type Output = Result<F::Output, Cancelled>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.future.as_mut().as_pin_mut().expect("polled after it was ready");
        let Some(task) = step::current() else {
            return Poll::Ready(Ok(ready!(inner.poll(cx))));
        };
        let scope = this.membership.of(&task);
        let scopes = &task.record::<TaskRecord>().rare().scopes;
        let mut cancelled = scopes.take_asked(scope);
        if cancelled.is_none() {
            let (polled, raised) = scopes.poll(scope, || inner.poll(cx));
            if let Poll::Ready(value) = polled {
                this.membership.leave();
                this.future.set(None);
                return Poll::Ready(Ok(value));
            }
            cancelled = raised;
        }
        let Some(cancelled) = cancelled else {
            let is_own = TaskRef::from_waker(cx.waker()).is_some_and(|woken| woken == task);
            drop(scopes.set_waker(scope, (!is_own).then(|| cx.waker().clone())));
            return Poll::Pending;
        };
        // Its destructors run outside of the scope.
        this.membership.leave();
        drop_cancelled(|| this.future.set(None));
        Poll::Ready(Err(cancelled))
    }
}
