//! `TaskGroup`: tasks that end before the scope that made them does.

mod errors;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

pub use errors::{ExceptionGroup, GroupRefused, GroupedError};

use crate::cancel::{Cancelled, catch_cancelled};
use crate::caught::caught;
use crate::current;
use crate::event_loop::WeakLoop;
use crate::sleep::Sleeper;
use crate::task::{AnyTask, Seed, Task, step};

/// A scope whose tasks have ended when it ends: asyncio's `TaskGroup`. Clones are the same group, so that children can
/// add children.
///
/// [`run`](Self::run) is the scope. If a child fails, or the body does, the others are asked to stop, and when all have
/// ended the scope gives all errors. If the task that runs it is cancelled, the children are asked to stop, and it ends
/// cancelled when they have ended.
///
/// What its task awaits beside it, by a `join!` or `select!`, is not touched by a failure.
///
/// A child fails by a panic, or, made by [`try_create_task`](Self::try_create_task), by an `Err`. One that ends cancelled
/// has not failed. The group belongs to its loop's thread.
///
/// # Examples
/// ```
/// use std::{num::ParseIntError, time::Duration};
/// use perloop::{TaskGroup, sleep};
///
/// perloop::run(async {
///     let group = TaskGroup::<ParseIntError>::new();
///     let outcome = group
///         .run(async {
///             let good = group.try_create_task(async { "42".parse::<i32>() }).expect("it is open");
///             let number = good.await;
///             group.try_create_task(async { "x".parse::<i32>() }).expect("it is open");
///             sleep(Duration::from_secs(3600)).await; // the failure ends this
///             Ok(number)
///         })
///         .await;
///     assert_eq!(outcome.unwrap_err().to_string(), "1 error in a task group: invalid digit found in string");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct TaskGroup<E: 'static>(Rc<Group<E>>);

/// How far the scope has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    /// The body runs.
    Entered,
    /// The body has ended, and the children are waited for.
    Exiting,
    Over,
}

/// Was the parent asked to stop?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    #[default]
    No,
    /// By a request that the scope's end takes back.
    Task,
    /// Only what is inside of the scope, as the task has other branches.
    Inside,
}

struct Group<E> {
    phase: Cell<Phase>,
    /// The children were asked to stop, and no more are taken.
    is_aborting: Cell<bool>,
    /// `cancel` was called before the scope was entered.
    cancels_on_entry: Cell<bool>,
    asked_parent: Cell<Asked>,
    /// Where the parent waits, among its scopes.
    scope: Cell<Option<u64>>,
    /// The scope around the group's.
    around: Cell<Option<u64>>,
    /// The task that runs the scope, and its loop.
    parent: RefCell<Option<(AnyTask, WeakLoop)>>,
    /// Those that have not ended, in the order of creation.
    children: RefCell<BTreeMap<u64, AnyTask>>,
    children_made: Cell<u64>,
    errors: RefCell<Vec<GroupedError<E>>>,
    /// The parent, while it waits for the children.
    sleeper: RefCell<Option<Sleeper>>,
}

impl<E: 'static> TaskGroup<E> {
    /// Makes a group: asyncio's `TaskGroup()`. Nothing can be added to it before [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use perloop::{GroupRefused, TaskGroup};
    ///
    /// let group = TaskGroup::<Infallible>::new();
    /// assert_eq!(group.create_task(async {}).unwrap_err(), GroupRefused::NotEntered);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `body` in the scope of the group, waits for all children, and gives the body's value: asyncio's `async with`.
    /// None if [`cancel`](Self::cancel) stopped the body.
    ///
    /// Cancellation of the task waits for the children too. Not cancel safe: if it is dropped before it is ready, the
    /// children are asked to stop, and nobody waits for them.
    ///
    /// # Errors
    /// If children or the body failed: all their errors, the children's in the order in which they ended, the body's
    /// last.
    ///
    /// # Panics
    /// Outside of a task, and a second time.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::Cell, convert::Infallible, rc::Rc, time::Duration};
    /// use perloop::{TaskGroup, sleep};
    ///
    /// perloop::run(async {
    ///     let group = TaskGroup::<Infallible>::new();
    ///     let done = Rc::new(Cell::new(0));
    ///     let body = async {
    ///         for milliseconds in 1..=3 {
    ///             let done = Rc::clone(&done);
    ///             let child = async move {
    ///                 sleep(Duration::from_millis(milliseconds)).await;
    ///                 done.set(done.get() + 1);
    ///             };
    ///             group.create_task(child).expect("it is open");
    ///         }
    ///         Ok("the body's value")
    ///     };
    ///     assert_eq!(group.run(body).await, Ok(Some("the body's value")));
    ///     assert_eq!(done.get(), 3);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn run<T>(
        &self,
        body: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, ExceptionGroup<E>> {
        let group = &*self.0;
        let parent = group.enter();
        let _abandoned = Abandoned(group);
        let stops_before = group.stops_around(&parent);
        let body = async move {
            group.begin_body();
            body.await
        };
        // The panic of a destructor that a request has run is the body's as well.
        let (value, error, mut cancelled) = match caught(catch_cancelled(body)).await {
            Ok(Ok(Ok(value))) => (Some(value), None, None),
            Ok(Ok(Err(error))) => (None, Some(GroupedError::Failed(error)), None),
            Ok(Err(cancelled)) => (None, None, Some(cancelled)),
            Err(panicked) => (None, Some(GroupedError::Panicked(panicked)), None),
        };
        group.phase.set(Phase::Exiting);
        group.scope.set(None);
        if value.is_none() {
            group.abort_once();
        }
        group.wait_for_children(&mut cancelled).await;
        group.phase.set(Phase::Over);
        // Is the group's own request the only one, then it is none to who comes after.
        let requests = match group.asked_parent.take() {
            Asked::No => None,
            Asked::Task => Some(parent.uncancel()),
            Asked::Inside => Some(parent.cancelling()),
        };
        if requests == Some(0) && group.stops_around(&parent) <= stops_before {
            cancelled = None;
        }
        let mut errors = group.errors.take();
        if let Some(cancelled) = cancelled.filter(|_| errors.is_empty()) {
            cancelled.raise().await;
        }
        errors.extend(error);
        if errors.is_empty() {
            return Ok(value);
        }
        if parent.cancelling() > 0 {
            // The errors come out instead of a cancellation, which is therefore to come again. The count stays.
            parent.uncancel();
            parent.cancel();
        }
        Err(ExceptionGroup { errors })
    }

    /// Makes a task of the group: asyncio's `group.create_task`. If it panics the group fails. Its value, be it an `Err`,
    /// is the task's: see [`try_create_task`](Self::try_create_task) for one whose `Err` is the group's.
    ///
    /// # Errors
    /// Before the scope has begun, when it is over, and when the group is being stopped. The future is dropped.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use perloop::TaskGroup;
    ///
    /// perloop::run(async {
    ///     let group = TaskGroup::<Infallible>::new();
    ///     let body = async {
    ///         let child = group.create_task(async { 42 }).expect("it is open");
    ///         Ok(child.await)
    ///     };
    ///     assert_eq!(group.run(body).await, Ok(Some(Ok(42))));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn create_task<F: Future + 'static>(&self, future: F) -> Result<Task<F::Output>, GroupRefused> {
        self.adopt(Seed::new(None, Location::caller()), future, || None)
    }

    /// Makes a task of the group, which fails if it gives an `Err`, or panics, as a child of asyncio's fails by an
    /// exception. The error is the group's; the task then gives None.
    ///
    /// # Errors
    /// As [`create_task`](Self::create_task).
    ///
    /// # Examples
    /// ```
    /// use perloop::{GroupedError, TaskGroup};
    ///
    /// perloop::run(async {
    ///     let group = TaskGroup::new();
    ///     let body = async {
    ///         group.try_create_task(async { Err::<(), _>("out of paper") }).expect("it is open");
    ///         Ok(())
    ///     };
    ///     let errors = group.run(body).await.unwrap_err().into_errors();
    ///     assert_eq!(errors, [GroupedError::Failed("out of paper")]);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn try_create_task<T: 'static>(
        &self,
        future: impl Future<Output = Result<T, E>> + 'static,
    ) -> Result<Task<Option<T>>, GroupRefused> {
        let error = Rc::new(RefCell::new(None));
        let written = Rc::clone(&error);
        let child = async move { future.await.map_err(|error| written.replace(Some(error))).ok() };
        self.adopt(Seed::new(None, Location::caller()), child, move || error.take())
    }

    fn adopt<F: Future + 'static>(
        &self,
        seed: Seed,
        future: F,
        take_error: impl FnOnce() -> Option<E> + 'static,
    ) -> Result<Task<F::Output>, GroupRefused> {
        let group = &self.0;
        group.check_open()?;
        let event_loop = group.parent.borrow().as_ref().and_then(|(_, event_loop)| event_loop.upgrade());
        let event_loop = event_loop.filter(|own| !own.is_closed()).ok_or(GroupRefused::Finished)?;
        let task = event_loop.spawn(seed, future);
        let number = group.children_made.get();
        group.children_made.set(number + 1);
        group.children.borrow_mut().insert(number, (*task).clone());
        if task.done() {
            // It started eagerly: there is no end left to wait for.
            group.child_ended(number, &task, take_error());
            return Ok(task);
        }
        // The child does not keep the group: who runs the scope does.
        let weak: Weak<Group<E>> = Rc::downgrade(group);
        task.add_done_callback(move |child| {
            if let Some(group) = weak.upgrade() {
                group.child_ended(number, child, take_error());
            }
        });
        Ok(task)
    }

    /// Asks the children and the body to stop; the scope then ends without an error, unless their clean-up fails. Before
    /// the scope has begun it takes effect when it does: no child is taken, and the body is stopped where it first
    /// suspends. Again, and after the end, it does nothing: asyncio's `group.cancel()`.
    ///
    /// # Examples
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    /// use perloop::{TaskGroup, sleep};
    ///
    /// perloop::run(async {
    ///     let group = TaskGroup::<Infallible>::new();
    ///     let body = async {
    ///         let stop = group.clone();
    ///         group.create_task(async move { stop.cancel() }).expect("it is open");
    ///         sleep(Duration::from_secs(3600)).await;
    ///         Ok(())
    ///     };
    ///     assert_eq!(group.run(body).await, Ok(None));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn cancel(&self) {
        match self.0.phase.get() {
            Phase::New => self.0.cancels_on_entry.set(true),
            Phase::Exiting if self.0.children.borrow().is_empty() => {}
            Phase::Entered | Phase::Exiting => self.0.stop_all(),
            Phase::Over => {}
        }
    }
}

impl<E> Group<E> {
    fn enter(&self) -> AnyTask {
        let parent = AnyTask::new(step::current().expect("`TaskGroup::run` is awaited in a perloop task"));
        assert!(self.phase.get() == Phase::New, "a `TaskGroup` is run once; make another one");
        let event_loop = current::with_running(crate::EventLoop::downgrade).expect("a step runs");
        self.parent.replace(Some((parent.clone(), event_loop)));
        self.phase.set(Phase::Entered);
        self.around.set(parent.record().rare().scopes.current());
        parent
    }

    fn begin_body(&self) {
        self.note_scope();
        if self.cancels_on_entry.get() {
            self.stop_all();
        }
    }

    fn note_scope(&self) {
        let parent = self.parent.borrow();
        let scope = parent.as_ref().and_then(|(parent, _)| parent.record().rare().scopes.current());
        self.scope.set(scope);
    }

    /// How many of the scopes around are to end.
    fn stops_around(&self, parent: &AnyTask) -> usize {
        parent.record().rare().scopes.stops_around(self.around.get())
    }

    fn check_open(&self) -> Result<(), GroupRefused> {
        match self.phase.get() {
            Phase::New => Err(GroupRefused::NotEntered),
            Phase::Over => Err(GroupRefused::Finished),
            Phase::Exiting if self.children.borrow().is_empty() => Err(GroupRefused::Finished),
            _ if self.is_aborting.get() => Err(GroupRefused::ShuttingDown),
            Phase::Entered | Phase::Exiting => Ok(()),
        }
    }

    /// Asks all children to stop, unless they were asked. False if they were.
    fn abort_once(&self) -> bool {
        if self.is_aborting.replace(true) {
            return false;
        }
        // To be asked is to have foreign wakers woken.
        let children: Vec<_> = self.children.borrow().values().cloned().collect();
        children.iter().filter(|child| !child.done()).for_each(|child| {
            child.cancel();
        });
        true
    }

    /// Asks children and parent to stop. What is asked of the parent is taken back at the scope's end.
    fn stop_all(&self) {
        if self.abort_once() && self.asked_parent.get() == Asked::No {
            let parent = self.parent.borrow().as_ref().map(|(parent, _)| parent.clone());
            let parent = parent.expect("the scope was entered");
            let is_counted = match self.scope.get() {
                Some(scope) => parent.cancel_inside(scope),
                None => parent.cancel(),
            };
            self.asked_parent.set(if is_counted { Asked::Task } else { Asked::Inside });
        }
    }

    /// A hop after a child's last step.
    fn child_ended(&self, number: u64, child: &AnyTask, error: Option<E>) {
        let is_last = {
            let mut children = self.children.borrow_mut();
            let known = children.remove(&number);
            debug_assert!(known.is_some(), "a child ends once");
            children.is_empty()
        };
        if is_last && let Some(sleeper) = self.sleeper.take() {
            sleeper.wake();
        }
        if self.phase.get() == Phase::Over {
            // Nobody runs the scope any more: a panic is reported as that of any task.
            return;
        }
        let error = error.map(GroupedError::Failed);
        let Some(error) = error.or_else(|| child.exception().map(GroupedError::Panicked)) else { return };
        self.errors.borrow_mut().push(error);
        self.stop_all();
    }

    /// Requests do not shorten it: the first one has the children asked to stop, unless they were.
    async fn wait_for_children(&self, cancelled: &mut Option<Cancelled>) {
        while !self.children.borrow().is_empty() {
            let waited = catch_cancelled(poll_fn(|cx| self.poll_children(cx))).await;
            if let Err(request) = waited
                && self.abort_once()
            {
                *cancelled = Some(request);
            }
        }
    }

    fn poll_children(&self, cx: &Context<'_>) -> Poll<()> {
        if self.children.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.note_scope();
        // The old one is dropped outside of the borrow.
        let _old = self.sleeper.replace(Some(Sleeper::of(cx)));
        step::note_wait();
        Poll::Pending
    }
}

/// Ends the group when its scope is left, which is too early if children run still: it was dropped, or its loop closed.
struct Abandoned<'a, E>(&'a Group<E>);

impl<E> Drop for Abandoned<'_, E> {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Over);
        self.0.abort_once();
        let (parent, _sleeper) = (self.0.parent.take(), self.0.sleeper.take());
        if self.0.asked_parent.take() == Asked::Task
            && let Some((parent, _)) = parent
        {
            parent.uncancel();
        }
    }
}

impl<E> Default for TaskGroup<E> {
    fn default() -> Self {
        Self(Rc::new(Group {
            phase: Cell::new(Phase::New),
            is_aborting: Cell::default(),
            cancels_on_entry: Cell::default(),
            asked_parent: Cell::default(),
            scope: Cell::default(),
            around: Cell::default(),
            parent: RefCell::default(),
            children: RefCell::default(),
            children_made: Cell::default(),
            errors: RefCell::default(),
            sleeper: RefCell::default(),
        }))
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("phase", &self.0.phase.get())
            .field("is_aborting", &self.0.is_aborting.get())
            .field("children", &self.0.children.borrow().len())
            .finish_non_exhaustive()
    }
}
