//! Cancellation: requests and their count, and the scopes that catch them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use perloop_bridge::{TaskRef, drop_cancelled};
use pin_project_lite::pin_project;

use crate::task::{TaskRecord, step};

/// Somebody asked the task to stop, or what it waited for ended so: asyncio's `CancelledError`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cancelled {
    message: Option<Arc<str>>,
}

impl Cancelled {
    /// One made by hand, for [`raise`](Self::raise).
    pub fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { message: Some(message.into()) }
    }

    pub(crate) fn with(message: Option<Arc<str>>) -> Self {
        Self { message }
    }

    /// What came with the request.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Ends the task cancelled from here, or the innermost [`catch_cancelled`] around this await, as if this were
    /// raised: asyncio's `raise CancelledError`. It never gives a value.
    ///
    /// # Panics
    /// When it is polled outside of a perloop task.
    ///
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
        let mut raised = Some(self);
        poll_fn(|_| {
            if let Some(cancelled) = raised.take() {
                let task = step::current().expect("`Cancelled::raise` is awaited in a perloop task");
                let record: &TaskRecord = task.record();
                record.rare().scopes.raise(cancelled);
            }
            Poll::Pending
        })
        .await
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => f.write_str("the task was cancelled"),
            Some(message) => write!(f, "the task was cancelled: {message}"),
        }
    }
}

impl Error for Cancelled {}

/// The requests to one task.
///
/// | `waiting` | `interrupted` | what is true | left by |
/// | --- | --- | --- | --- |
/// |   |   | no request is on its way | `wait_for_suspension`, `interrupt_wait` |
/// | x |   | the task's step is queued or runs: the request meets it when that step begins, or suspends | `deliver`, `take_back`, `withdraw`, `give_up_wait` |
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

    pub(crate) fn message(&self) -> Option<Arc<str>> {
        self.waiting.borrow().as_ref().and_then(|cancelled| cancelled.message.clone())
    }

    pub(crate) fn withdraw(&self) {
        self.waiting.take();
    }

    pub(crate) fn give_up_wait(&self) {
        self.interrupted.replace(self.waiting.take());
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
    active: RefCell<Vec<Scope>>,
    made: Cell<u64>,
    /// The scope whose future is being polled.
    current: Cell<Option<u64>>,
    /// What `Cancelled::raise` said in this poll, and no scope has taken.
    raised: RefCell<Option<Cancelled>>,
}

#[derive(Debug)]
struct Scope {
    id: u64,
    parent: Option<u64>,
    asked: Option<Cancelled>,
    waker: Option<Waker>,
}

impl Scopes {
    /// Passes a request to the innermost scopes. False if there is none.
    pub(crate) fn ask(&self, request: &Cancelled) -> bool {
        let wakers: Vec<_> = {
            let mut active = self.active.borrow_mut();
            let parents: Vec<_> = active.iter().filter_map(|scope| scope.parent).collect();
            let innermost = active.iter_mut().filter(|scope| !parents.contains(&scope.id));
            let ask = |scope: &mut Scope| {
                scope.asked = Some(request.clone());
                scope.waker.take()
            };
            innermost.map(ask).collect()
        };
        // For executors inside of the task that poll only what was woken.
        wakers.iter().flatten().for_each(Waker::wake_by_ref);
        !wakers.is_empty()
    }

    /// A request that was passed to a scope whose future has left the task, so that nobody took it.
    pub(crate) fn take_orphaned(&self) -> Option<Cancelled> {
        let mut active = self.active.borrow_mut();
        let index = active.iter().position(|scope| scope.asked.is_some())?;
        active.remove(index).asked
    }

    fn raise(&self, cancelled: Cancelled) {
        self.raised.replace(Some(cancelled));
    }

    pub(crate) fn take_raised(&self) -> Option<Cancelled> {
        self.raised.take()
    }

    fn enter(&self) -> u64 {
        let id = self.made.get() + 1;
        self.made.set(id);
        self.active.borrow_mut().push(Scope { id, parent: self.current.get(), asked: None, waker: None });
        id
    }

    fn leave(&self, id: u64) {
        self.active.borrow_mut().retain(|scope| scope.id != id);
    }

    fn take_asked(&self, id: u64) -> Option<Cancelled> {
        self.active.borrow_mut().iter_mut().find(|scope| scope.id == id)?.asked.take()
    }

    fn set_waker(&self, id: u64, waker: Option<Waker>) {
        if let Some(scope) = self.active.borrow_mut().iter_mut().find(|scope| scope.id == id) {
            scope.waker = waker;
        }
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
        let raised_elsewhere = self.take_raised();
        let polled = {
            let _restore = Restore(self, self.current.replace(Some(id)));
            poll()
        };
        (polled, self.raised.replace(raised_elsewhere))
    }
}

/// A scope that a future is in. Plain data, so that the future is `Send` if what it holds is; the state lies in the
/// task's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entered {
    task: (u64, u64),
    scope: u64,
}

impl Entered {
    fn begin(task: &TaskRef) -> Self {
        let record: &TaskRecord = task.record();
        Self { task: record.key(), scope: record.rare().scopes.enter() }
    }
}

/// Leaves the scope when the future is done with or dropped.
#[derive(Debug, Default)]
struct Membership(Option<Entered>);

impl Membership {
    /// The scope, entered if this is the first poll in the task.
    fn of(&mut self, task: &TaskRef) -> u64 {
        let record: &TaskRecord = task.record();
        match self.0 {
            Some(entered) if entered.task == record.key() => entered.scope,
            _ => self.0.insert(Entered::begin(task)).scope,
        }
    }

    fn leave(&mut self) {
        if let (Some(entered), Some(task)) = (self.0.take(), step::current()) {
            let record: &TaskRecord = task.record();
            if entered.task == record.key() {
                record.rare().scopes.leave(entered.scope);
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Runs `future`; if the task is asked to stop meanwhile, drops it and gives `Err(Cancelled)`, and the task goes on:
/// `try`/`except CancelledError`. What comes after it may await, may let the request be
/// ([`Cancelled::raise`]), or may go on as if nothing had happened.
///
/// Only the innermost of nested scopes catches. Outside of a perloop task it catches nothing.
///
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
    /// See [`catch_cancelled`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancelled<F> {
        #[pin]
        future: Option<F>,
        membership: Membership,
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
            scopes.set_waker(scope, (!is_own).then(|| cx.waker().clone()));
            return Poll::Pending;
        };
        // Its destructors run outside of the scope.
        this.membership.leave();
        drop_cancelled(|| this.future.set(None));
        Poll::Ready(Err(cancelled))
    }
}
