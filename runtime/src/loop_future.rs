//! [`LoopFuture`]: an outcome that is set by hand, or by a task's end, and awaited by many.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};

use perloop_bridge::Panicked;

use crate::cancel::Cancelled;
use crate::current;
use crate::errors::{SetError, TaskError, WrongLoop};
use crate::event_loop::{EventLoop, WeakLoop};
use crate::nested_drop::drop_nested;
use crate::task::done::{Waiting, Watchers};
use crate::task::{AnyTask, Awaited, CallbackKey, Failure, Task, step};

/// What is the same for futures of all types.
pub(crate) struct Core {
    of: WeakLoop,
    loop_id: u32,
    pub(crate) created_at: &'static Location<'static>,
    stage: Cell<Stage>,
    /// How it ended, if without a value.
    error: RefCell<Option<TaskError>>,
    failure: Failure,
    watchers: Watchers,
    /// Of what is made of others: those to which a request goes instead.
    children: OnceCell<Children>,
}

type Children = Box<dyn Fn(Ask) -> Vec<Awaited>>;

/// What a future made of others is asked for its children for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To pass a request on to them.
    Cancel,
    /// To see whether there are any that a request would reach.
    Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    Value,
    Cancelled,
    Failed,
}

/// A future of any type.
pub(crate) trait AnyState {
    fn core(&self) -> &Core;
    fn into_any(self: Rc<Self>) -> Rc<dyn Any>;
}

/// A future of one type.
pub(crate) struct State<T> {
    core: Core,
    value: OnceCell<T>,
}

impl<T: 'static> AnyState for State<T> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn into_any(self: Rc<Self>) -> Rc<dyn Any> {
        self
    }
}

impl<T: 'static> State<T> {
    pub(crate) fn new(of: &EventLoop, created_at: &'static Location<'static>) -> Rc<Self> {
        Self::of_loop(of.downgrade(), of.id(), created_at)
    }

    /// One of the same loop.
    pub(crate) fn like<U>(other: &State<U>, created_at: &'static Location<'static>) -> Rc<Self> {
        Self::of_loop(other.core.of.clone(), other.core.loop_id, created_at)
    }

    fn of_loop(of: WeakLoop, loop_id: u32, created_at: &'static Location<'static>) -> Rc<Self> {
        let core = Core {
            of,
            loop_id,
            created_at,
            stage: Cell::new(Stage::Pending),
            error: RefCell::default(),
            failure: Failure::default(),
            watchers: Watchers::default(),
            children: OnceCell::new(),
        };
        Rc::new(Self { core, value: OnceCell::new() })
    }

    /// Sets the outcome, and queues who waits for it. False, and nothing changes, if it is done.
    pub(crate) fn settle(self: &Rc<Self>, outcome: Result<T, TaskError>) -> bool {
        if self.core.done() {
            return false;
        }
        match outcome {
            Ok(value) => {
                let _first = self.value.set(value);
                self.core.stage.set(Stage::Value);
            }
            Err(error) => self.core.fail(error),
        }
        wake_all(&(Rc::clone(self) as Rc<dyn AnyState>));
        true
    }

    pub(crate) fn as_awaited(self: &Rc<Self>) -> Awaited {
        Awaited::Future(Rc::clone(self) as Rc<dyn AnyState>)
    }

    /// The outcome, which counts as having been asked for; the value stays where it is.
    pub(crate) fn outcome(&self) -> Result<&T, TaskError> {
        match self.core.error(Look::Retrieve) {
            Some(error) => Err(error),
            None => self.value.get().ok_or(TaskError::NotDone),
        }
    }
}

/// The end of a task or future, whatever its value, to await.
#[derive(Debug)]
pub(crate) struct End {
    awaited: Awaited,
    waiting: Option<Box<Waiting>>,
}

impl End {
    pub(crate) fn of(awaited: Awaited) -> Self {
        Self { awaited, waiting: None }
    }
}

impl Future for End {
    type Output = Result<(), TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { awaited, waiting } = &mut *self;
        poll_done(awaited, waiting, cx)
    }
}

/// Does a look at an error count as having asked for it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Retrieve,
    Peek,
}

impl Core {
    pub(crate) fn done(&self) -> bool {
        self.stage.get() != Stage::Pending
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.stage.get() == Stage::Cancelled
    }

    pub(crate) fn loop_id(&self) -> u32 {
        self.loop_id
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(crate) fn set_children(&self, children: Children) {
        assert!(self.children.set(children).is_ok(), "a future is made of others once");
    }

    /// A request to one that is made of others goes on to these, and it ends when its rule says so.
    pub(crate) fn outlives_a_request(&self) -> bool {
        self.children.get().is_some()
    }

    pub(crate) fn can_be_asked(&self) -> bool {
        let has_children = |children: &Children| !children(Ask::Look).is_empty();
        !self.done() && self.children.get().is_none_or(has_children)
    }

    pub(crate) fn ended_by(&self) -> Option<Cancelled> {
        match self.error(Look::Peek) {
            Some(TaskError::Cancelled(cancelled)) => Some(cancelled),
            _ => None,
        }
    }

    /// The failure that it was set to; it counts as having asked.
    pub(crate) fn failure(&self) -> Option<Panicked> {
        match self.error(Look::Retrieve) {
            Some(TaskError::Panicked(panicked)) => Some(panicked),
            _ => None,
        }
    }

    fn error(&self, look: Look) -> Option<TaskError> {
        if look == Look::Retrieve {
            self.failure.set_retrieved();
        }
        self.error.borrow().clone()
    }

    fn fail(&self, error: TaskError) {
        if let TaskError::Panicked(panicked) = &error {
            let message = format!(
                "the exception of a future that was created at {}: {}",
                self.created_at,
                panicked.message()
            );
            self.failure.set(panicked.clone(), self.of.clone(), message, self.created_at);
        }
        self.error.replace(Some(error));
        self.stage.set(Stage::Failed);
    }
}

impl Drop for Core {
    /// What it is made of may be made of others in turn.
    fn drop(&mut self) {
        if let Some(children) = self.children.take() {
            drop_nested(children);
        }
    }
}

/// Queues all who wait, in order. On a loop that was closed nobody is left.
fn wake_all(ended: &Rc<dyn AnyState>) {
    let own = ended.core().of.upgrade();
    if let Some(own) = own.filter(|own| !own.is_closed()) {
        ended.core().watchers.wake_all(&own, || Awaited::Future(Rc::clone(ended)));
    }
}

/// Cancels it, or gives those that are to be asked instead.
pub(crate) fn cancel(future: &Rc<dyn AnyState>, message: Option<Arc<str>>) -> Vec<Awaited> {
    let core = future.core();
    if core.done() {
        core.failure.set_retrieved();
        return Vec::new();
    }
    if let Some(children) = core.children.get() {
        return children(Ask::Cancel);
    }
    core.fail(TaskError::Cancelled(Cancelled::with(message)));
    core.stage.set(Stage::Cancelled);
    wake_all(future);
    Vec::new()
}

/// Waits until `awaited` is done: one poll of who keeps `waiting` for it.
pub(crate) fn poll_done(
    awaited: &Awaited,
    waiting: &mut Option<Box<Waiting>>,
    cx: &Context<'_>,
) -> Poll<Result<(), TaskError>> {
    if awaited.done() {
        drop(waiting.take());
        return Poll::Ready(Ok(()));
    }
    match waiting.as_deref_mut().map(|waiting| waiting.renew(cx)) {
        Some(Ok(())) => {}
        Some(Err(misuse)) => return Poll::Ready(Err(misuse)),
        None => *waiting = Some(Box::new(Waiting::enter(awaited, cx))),
    }
    Poll::Pending
}

/// An outcome that somebody sets, and that any number of tasks await: asyncio's `Future`. Clones are the same future.
///
/// [`create_future`] makes one that is set by hand; one that is made [from a task](ensure_future) is set by the task's
/// end, and cancelling it cancels the task. The value is cloned for each who asks; put what is costly into an `Rc`.
///
/// It belongs to its loop's thread. Pending, and awaited in another loop of the thread, it gives
/// [`TaskError::WrongLoop`]; done, it is read from anywhere.
///
/// Cancel safety: giving up an await leaves the future as it is. But a request to cancel the *awaiting task* cancels
/// the future, and with it everyone else who waits for it, as in asyncio; [`shield`](crate::shield) it if that must
/// not be.
///
/// # Examples
/// ```
/// use perloop::{LoopFuture, create_future, create_task, get_running_loop};
///
/// perloop::run(async {
///     let future: LoopFuture<i32> = create_future();
///     let waiters: Vec<_> = (0..2).map(|_| create_task(future.clone())).collect();
///     get_running_loop()?.call_soon(move || future.set_result(42).expect("it is set once"))?;
///     for waiter in waiters {
///         assert_eq!(waiter.await, Ok(Ok(42)));
///     }
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LoopFuture<T: 'static> {
    source: Source<T>,
    waiting: Option<Box<Waiting>>,
}

enum Source<T: 'static> {
    Own(Rc<State<T>>),
    Task(Rc<OfTask<T>>),
}

/// A task whose value is kept for many.
struct OfTask<T: 'static> {
    task: Task<T>,
    value: OnceCell<T>,
}

impl<T> OfTask<T> {
    fn outcome(&self) -> Result<&T, TaskError> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let taken = self.task.result()?;
        Ok(self.value.get_or_init(|| taken))
    }
}

/// Makes a future of the running loop, to be set by hand: asyncio's `loop.create_future`.
///
/// # Panics
/// Outside of a running loop; [`EventLoop::create_future`] needs none.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{create_future, get_running_loop};
///
/// perloop::run(async {
///     let future = create_future();
///     let later = future.clone();
///     let set = move || later.set_result("ready").expect("nobody else sets it");
///     get_running_loop()?.call_later(Duration::from_millis(1), set)?;
///     assert_eq!(future.await, Ok("ready"));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn create_future<T: 'static>() -> LoopFuture<T> {
    let at = Location::caller();
    match current::with_running(|running| LoopFuture::new(State::new(running, at))) {
        Ok(future) => future,
        Err(error) => panic!("{error}"),
    }
}

/// Makes a future of a task, for many to await; a future it gives back: asyncio's `ensure_future`.
///
/// `ensure_future(coroutine)` does not compile, since in a signature Rust cannot tell a coroutine from a task. Write
/// `create_task(coroutine)`, which is all that asyncio does there; or, if many are to await it,
/// `ensure_future(create_task(coroutine))`.
///
/// # Examples
/// ```
/// use perloop::{create_task, ensure_future};
///
/// perloop::run(async {
///     let sum = ensure_future(create_task(async { 1 + 2 }));
///     let same = ensure_future(sum.clone());
///     assert_eq!(sum, same);
///     assert_eq!((sum.await, same.await), (Ok(3), Ok(3)));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn ensure_future<T: 'static>(awaitable: impl Into<LoopFuture<T>>) -> LoopFuture<T> {
    awaitable.into()
}

impl EventLoop {
    /// As [`ensure_future`], for this loop: asyncio's `ensure_future(future, loop=...)`.
    ///
    /// # Errors
    /// If the task or future belongs to another loop.
    ///
    /// # Examples
    /// ```
    /// let (here, elsewhere) = (perloop::new_event_loop()?, perloop::new_event_loop()?);
    /// let future = here.create_future::<i32>();
    /// assert!(here.ensure_future(&future)? == future);
    /// assert!(elsewhere.ensure_future(&future).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ensure_future<T: 'static>(
        &self,
        awaitable: impl Into<LoopFuture<T>>,
    ) -> Result<LoopFuture<T>, WrongLoop> {
        let future = awaitable.into();
        self.check_owns(future.as_awaited().loop_id()).map(|()| future)
    }

    /// Makes a future of this loop, to be set by hand: asyncio's `loop.create_future`.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let future = event_loop.create_future();
    /// future.set_result(42)?;
    /// assert_eq!(event_loop.run_until_complete(future)?, Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn create_future<T: 'static>(&self) -> LoopFuture<T> {
        LoopFuture::new(State::new(self, Location::caller()))
    }
}

impl<T: 'static> LoopFuture<T> {
    pub(crate) fn new(state: Rc<State<T>>) -> Self {
        Self { source: Source::Own(state), waiting: None }
    }

    pub(crate) fn as_awaited(&self) -> Awaited {
        match &self.source {
            Source::Own(state) => state.as_awaited(),
            Source::Task(of) => of.task.as_awaited(),
        }
    }

    /// The outcome, with the value where it is.
    pub(crate) fn outcome(&self) -> Result<&T, TaskError> {
        match &self.source {
            Source::Own(state) => state.outcome(),
            Source::Task(of) => of.outcome(),
        }
    }

    fn settle(&self, outcome: Result<T, TaskError>) -> Result<(), SetError> {
        match &self.source {
            Source::Own(state) if state.core.outlives_a_request() => Err(SetError::OfTask),
            Source::Own(state) if state.settle(outcome) => Ok(()),
            Source::Own(_) => Err(SetError::Done),
            Source::Task(_) => Err(SetError::OfTask),
        }
    }

    /// Sets the value, and queues all who wait for it, in the order in which they came: asyncio's `set_result`.
    ///
    /// # Errors
    /// If it is done, or of a task.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future();
    ///     assert_eq!(future.set_result(42), Ok(()));
    ///     assert_eq!(future.result(), Ok(42));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn set_result(&self, value: T) -> Result<(), SetError> {
        self.settle(Ok(value))
    }

    /// Sets a failure, as if the work had panicked with it: asyncio's `set_exception`. If nobody ever asks for it, the
    /// exception handler hears of it when the last clone is dropped. A failure to reckon with is better an `Err` as
    /// the value.
    ///
    /// # Errors
    /// If it is done, or of a task.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Panicked, TaskError, create_future};
    ///
    /// perloop::run(async {
    ///     let future = create_future::<()>();
    ///     assert_eq!(future.set_exception(Panicked::new(Box::new("out of paper"))), Ok(()));
    ///     let Err(TaskError::Panicked(panicked)) = future.await else { unreachable!() };
    ///     assert_eq!(panicked.message(), "out of paper");
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn set_exception(&self, exception: Panicked) -> Result<(), SetError> {
        self.settle(Err(TaskError::Panicked(exception)))
    }

    /// Cancels it, here and now; of a task it asks the task. False: it is done, and nothing changes. asyncio's
    /// `future.cancel()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future::<()>();
    ///     assert!(future.cancel() && future.cancelled());
    ///     assert!(!future.cancel());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.request(None)
    }

    /// As [`cancel`](Self::cancel), with a message that travels along: asyncio's `future.cancel(msg)`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future::<()>();
    ///     future.cancel_with("no more");
    ///     assert_eq!(future.await.unwrap_err().to_string(), "the task was cancelled: no more");
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        let message: String = message.into();
        self.request(Some(message.into()))
    }

    fn request(&self, message: Option<Arc<str>>) -> bool {
        step::cancel_awaited(self.as_awaited(), message)
    }

    /// Says whether it has its outcome, a value, a failure, or cancelled: asyncio's `future.done()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future();
    ///     assert!(!future.done());
    ///     assert!(future.set_result(()).is_ok() && future.done());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn done(&self) -> bool {
        self.as_awaited().done()
    }

    /// Says whether it was cancelled: asyncio's `future.cancelled()`.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future::<()>();
    ///     future.cancel();
    ///     assert!(future.cancelled());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancelled(&self) -> bool {
        match &self.source {
            Source::Own(state) => state.core.cancelled(),
            Source::Task(of) => of.task.cancelled(),
        }
    }

    /// Gives the outcome, and does not wait: asyncio's `future.result()`.
    ///
    /// # Errors
    /// What it ended with, if not with a value; [`TaskError::NotDone`]. Of a task whose value was taken elsewhere,
    /// [`TaskError::Taken`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{TaskError, create_future};
    ///
    /// perloop::run(async {
    ///     let future = create_future();
    ///     assert_eq!(future.result(), Err(TaskError::NotDone));
    ///     assert_eq!(future.set_result(42), Ok(()));
    ///     assert_eq!((future.result(), future.result()), (Ok(42), Ok(42)));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn result(&self) -> Result<T, TaskError>
    where
        T: Clone,
    {
        self.outcome().cloned()
    }

    /// Gives the failure that it was set to, if any, and counts as having asked for it: asyncio's
    /// `future.exception()`.
    ///
    /// # Errors
    /// [`TaskError::NotDone`], or [`TaskError::Cancelled`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{TaskError, create_future};
    ///
    /// perloop::run(async {
    ///     let future = create_future();
    ///     assert_eq!(future.exception(), Err(TaskError::NotDone));
    ///     assert_eq!(future.set_result(42), Ok(()));
    ///     assert_eq!(future.exception(), Ok(None));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn exception(&self) -> Result<Option<Panicked>, TaskError> {
        match self.outcome() {
            Ok(_) | Err(TaskError::Taken) => Ok(None),
            Err(TaskError::Panicked(panicked)) => Ok(Some(panicked)),
            Err(error) => Err(error),
        }
    }

    /// Has `callback` called when it is done, in a later turn; callbacks and awaiting tasks come in the order in which
    /// they were added. Of one that is done it is queued at once: asyncio's `add_done_callback`. A panic in it goes to
    /// the exception handler.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use perloop::{create_future, yield_now};
    ///
    /// perloop::run(async {
    ///     let heard = Rc::new(Cell::new(None));
    ///     let future = create_future();
    ///     future.add_done_callback({
    ///         let heard = Rc::clone(&heard);
    ///         move |future| heard.set(future.result().ok())
    ///     });
    ///     assert!(future.set_result(42).is_ok() && heard.get().is_none());
    ///     yield_now().await;
    ///     assert_eq!(heard.get(), Some(42));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + 'static) -> CallbackKey {
        let find = self.finder();
        let callback = move |ended: &Awaited| callback(&find(ended));
        CallbackKey(self.as_awaited().add_user_callback(callback, Location::caller()))
    }

    /// Finds the future again, for a callback. What stands in the task's own list must not hold the task.
    pub(crate) fn finder(&self) -> impl FnOnce(&Awaited) -> Self + use<T> {
        let of_task = match &self.source {
            Source::Own(_) => Weak::new(),
            Source::Task(of) => Rc::downgrade(of),
        };
        move |ended| Self::of_ended(ended, &of_task)
    }

    fn of_ended(ended: &Awaited, of_task: &Weak<OfTask<T>>) -> Self {
        match ended {
            Awaited::Task(task) => match of_task.upgrade() {
                Some(of) => Self { source: Source::Task(of), waiting: None },
                None => Self::from(Task::new(task.clone())),
            },
            Awaited::Future(state) => {
                let state = Rc::clone(state).into_any().downcast::<State<T>>();
                Self::new(state.expect("the future that the callback was added to"))
            }
        }
    }

    /// Takes a callback back, and drops it, here and now: asyncio's `remove_done_callback`. False: it was taken back
    /// before, or the future is done and the callback has run or is about to.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let future = perloop::create_future();
    ///     let key = future.add_done_callback(|_| unreachable!("it was taken back"));
    ///     assert!(future.remove_done_callback(key));
    ///     assert_eq!(future.set_result(()), Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn remove_done_callback(&self, key: CallbackKey) -> bool {
        self.as_awaited().remove_callback(key.0)
    }

    /// Returns the task whose end sets it, if it is a task's.
    ///
    /// # Examples
    /// ```
    /// use perloop::{create_task, ensure_future};
    ///
    /// perloop::run(async {
    ///     let future = ensure_future(create_task(async {}));
    ///     assert_eq!(future.task().map(|task| task.name()).as_deref(), Some("Task-2"));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn task(&self) -> Option<&AnyTask> {
        match &self.source {
            Source::Own(_) => None,
            Source::Task(of) => Some(&of.task),
        }
    }
}

impl<T> From<Task<T>> for LoopFuture<T> {
    fn from(task: Task<T>) -> Self {
        Self { source: Source::Task(Rc::new(OfTask { task, value: OnceCell::new() })), waiting: None }
    }
}

impl<T> From<&Self> for LoopFuture<T> {
    fn from(future: &Self) -> Self {
        future.clone()
    }
}

impl<T> Clone for LoopFuture<T> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::Own(state) => Source::Own(Rc::clone(state)),
            Source::Task(of) => Source::Task(Rc::clone(of)),
        };
        Self { source, waiting: None }
    }
}

impl<T> PartialEq for LoopFuture<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_awaited() == other.as_awaited()
    }
}

impl<T> Eq for LoopFuture<T> {}

// Nothing of it is pinned.
impl<T> Unpin for LoopFuture<T> {}

impl<T: Clone> Future for LoopFuture<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let awaited = self.as_awaited();
        poll_done(&awaited, &mut self.waiting, cx).map(|done| done.and_then(|()| self.result()))
    }
}

/// Awaits a clone.
impl<T: Clone> IntoFuture for &LoopFuture<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> LoopFuture<T> {
        self.clone()
    }
}

impl<T> fmt::Debug for LoopFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Own(state) => f
                .debug_struct("LoopFuture")
                .field("stage", &state.core.stage.get())
                .field("created_at", &format_args!("{}", state.core.created_at))
                .finish(),
            Source::Task(of) => f.debug_tuple("LoopFuture").field(&of.task).finish(),
        }
    }
}
