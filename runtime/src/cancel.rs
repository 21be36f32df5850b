//! Cancellation: requests and their count, and the futures that catch them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use perloop_bridge::{TaskRef, drop_cancelled};
use pin_project_lite::pin_project;

use crate::scopes::Scopes;
use crate::task::{Rare, TaskRecord, step};

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

/// A scope that a future is in, or what it raised. Plain data, so that the future is `Send` if what it holds is; the
/// state lies in the task's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entered {
    task: (u32, u64),
    number: u64,
}

impl Entered {
    #[inline]
    fn begin(here: &Here<'_>, catches: bool) -> Self {
        Self { task: here.record.key(), number: here.rare.scopes.enter(catches) }
    }

    /// Is it a place in this task that was not left meanwhile?
    fn is_of(&self, here: &Here<'_>) -> bool {
        self.task == here.record.key() && here.rare.scopes.is_in(self.number)
    }
}

/// The task whose step runs, with what is looked up in it.
pub(crate) struct Here<'a> {
    pub(crate) task: &'a TaskRef,
    record: &'a TaskRecord,
    pub(crate) rare: &'a Rare,
}

impl<'a> Here<'a> {
    #[inline]
    pub(crate) fn of(task: &'a TaskRef) -> Self {
        let record: &TaskRecord = task.record();
        Self { task, record, rare: record.rare() }
    }
}

/// A future's place in the task that polls it now.
pub(crate) struct Place {
    /// The number of its scope.
    pub(crate) scope: u64,
    /// It was not in there till now.
    pub(crate) is_new: bool,
    is_asked: bool,
}

/// Leaves the scope when the future is done with or dropped.
#[derive(Debug, Default)]
struct Membership(Option<Entered>);

impl Membership {
    /// The place in the task, whose scope is entered if this is the first poll there.
    #[inline(always)]
    fn of(&mut self, here: &Here<'_>) -> Place {
        if let Some(entered) = self.0
            && entered.task == here.record.key()
            && let Some(is_asked) = here.rare.scopes.find(entered.number)
        {
            return Place { scope: entered.number, is_new: false, is_asked };
        }
        let entered = self.0.insert(Entered::begin(here, true));
        Place { scope: entered.number, is_new: true, is_asked: false }
    }

    /// Leaves the scope, which is one of these.
    #[inline]
    fn leave_in(&mut self, scopes: &Scopes) {
        if let Some(entered) = self.0.take() {
            scopes.leave(entered.number);
        }
    }

    fn leave(&mut self) {
        if let Some(entered) = self.0
            && let Some(task) = step::current()
        {
            let record: &TaskRecord = task.record();
            if entered.task == record.key() {
                self.leave_in(&record.rare().scopes);
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
        let here = Here::of(&task);
        let number = match self.0 {
            Some(entered) if entered.is_of(&here) => entered.number,
            _ => self.0.insert(Entered::begin(&here, false)).number,
        };
        let (polled, raised) = here.rare.scopes.poll(number, poll);
        (polled, raised.map(|said| said.cancelled))
    }

    /// Passes a request to the innermost scopes inside. False if there is none.
    pub(crate) fn ask(&self, request: &Cancelled) -> bool {
        let (Some(entered), Some(task)) = (self.0, step::current()) else { return false };
        let here = Here::of(&task);
        entered.is_of(&here) && here.rare.scopes.ask_all_inside(entered.number, request)
    }

    pub(crate) fn leave(&mut self) {
        if let Some(entered) = self.0.take()
            && let Some(task) = step::current()
            && let here = Here::of(&task)
            && entered.is_of(&here)
        {
            here.rare.scopes.leave_all_inside(entered.number);
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

impl<F: Future> CatchCancelled<F> {
    /// Its place in the task that polls it.
    #[inline]
    pub(crate) fn enter(self: Pin<&mut Self>, here: &Here<'_>) -> Place {
        self.project().membership.of(here)
    }

    /// Polls it in that place.
    #[inline(always)]
    pub(crate) fn poll_in(
        self: Pin<&mut Self>,
        here: &Here<'_>,
        Place { scope, is_asked, .. }: Place,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Cancelled>> {
        let mut this = self.project();
        let inner = this.future.as_mut().as_pin_mut().expect("polled after it was ready");
        let scopes = &here.rare.scopes;
        let mut raised = None;
        if !is_asked {
            let polled;
            (polled, raised) = scopes.poll(scope, || inner.poll(cx));
            if let Poll::Ready(value) = polled {
                this.membership.leave_in(scopes);
                this.future.set(None);
                return Poll::Ready(Ok(value));
            }
            if raised.is_none() {
                scopes.note_waker(scope, cx.waker(), here.task);
                return Poll::Pending;
            }
        }
        let cancelled = raised.map(|said| said.cancelled).or_else(|| scopes.take_asked(scope));
        // Its destructors run outside of the scope.
        this.membership.leave_in(scopes);
        drop_cancelled(|| this.future.set(None));
        Poll::Ready(Err(cancelled.expect("it was asked to stop")))
    }
}

impl<F: Future> Future for CatchCancelled<F> {
    type Output = Result<F::Output, Cancelled>;

    /// # Panics
    /// Polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = step::current() else {
            let inner = self.project().future.as_pin_mut().expect("polled after it was ready");
            return Poll::Ready(Ok(ready!(inner.poll(cx))));
        };
        let here = Here::of(&task);
        let place = self.as_mut().enter(&here);
        self.poll_in(&here, place, cx)
    }
}
