//! `timeout`: a scope whose body is asked to stop at a deadline.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use perloop_bridge::{Call, CallRef, Ready, TaskRef};
use pin_project_lite::pin_project;

use crate::cancel::{CatchCancelled, Raised, Scopes, catch_cancelled};
use crate::current;
use crate::errors::{TimedOut, TimeoutNotActive};
use crate::event_loop::{EventLoop, Timer, WeakLoop};
use crate::lodging::{Lodger, Lodging};
use crate::task::{AnyTask, TaskRecord, step};
use crate::timers::TimerKey;

/// Runs `body`, and if it has not ended `delay` after the first poll, asks it to stop: asyncio's `timeout`. Without a
/// delay it waits for ever. See [`TimeoutScope`] for a deadline that can be moved.
///
/// What is awaited is [cancelled](crate::AnyTask::cancel), clean-up may await and is waited for, and then `TimedOut`
/// comes. A body that does not suspend is never interrupted; one that catches the request and goes on gives its value,
/// however late. With a delay of zero the body runs to its first wait.
///
/// What the task awaits beside the body, by a `join!` or `select!`, is not touched.
///
/// If the body awaits a task, the request goes to that task, and a body that returns how it ended, an
/// `Err(TaskError::Cancelled)`, gives a value like any other. [`wait_for`](crate::wait_for) makes `TimedOut` of it.
///
/// Cancel safety: that of `body`. A request from elsewhere passes through.
///
/// What it gives is `Send` if the body is: what it waits with lies in the loop.
///
/// # Errors
/// [`TimedOut`].
///
/// # Panics
/// When it is polled outside of a perloop task.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{TimedOut, sleep, timeout};
///
/// perloop::run(async {
///     let moment = Duration::from_millis(1);
///     assert_eq!(timeout(moment, async { 42 }).await, Ok(42));
///     assert_eq!(timeout(moment, sleep(Duration::MAX)).await, Err(TimedOut::default()));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn timeout<F: Future>(delay: impl Into<Option<Duration>>, body: F) -> Timeout<F> {
    Timeout::new(Deadline::after(delay), body)
}

/// As [`timeout`], for a time of the loop's clock ([`EventLoop::time`]): asyncio's `timeout_at`.
///
/// # Errors
/// [`TimedOut`].
///
/// # Panics
/// When it is polled outside of a perloop task.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, get_running_loop, sleep, timeout_at};
///
/// let event_loop = EventLoop::builder().virtual_time();
/// event_loop.run(async {
///     let noon = Duration::from_secs(12 * 3600);
///     assert!(timeout_at(noon, sleep(Duration::MAX)).await.is_err());
///     assert_eq!(get_running_loop().map(|running| running.time()), Ok(noon));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn timeout_at<F: Future>(when: impl Into<Option<Duration>>, body: F) -> Timeout<F> {
    Timeout::new(Deadline::at(when), body)
}

/// A timeout that can be asked and moved while its body runs, by the body or by others: what asyncio's
/// `async with timeout(...) as scope` binds. Clones are the same scope. It belongs to its loop's thread.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, TimeoutScope, get_running_loop, sleep};
///
/// EventLoop::builder().virtual_time().run(async {
///     let scope = TimeoutScope::after(Duration::from_secs(1));
///     let body = async {
///         let now = get_running_loop().expect("it runs").time();
///         scope.reschedule(now + Duration::from_secs(60)).expect("it is active");
///         sleep(Duration::from_secs(30)).await;
///     };
///     assert_eq!(scope.run(body).await, Ok(()));
///     assert!(!scope.expired());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone)]
pub struct TimeoutScope(Rc<Scope>);

pub(crate) struct Scope {
    stage: Cell<Stage>,
    deadline: Cell<Deadline>,
    alarm: Cell<Alarm>,
    /// Calls in the ready list that were taken back. They stand before all that are to count.
    stale_calls: Cell<usize>,
    entered: RefCell<Option<Entered>>,
}

/// | stage | what is true | left by |
/// | --- | --- | --- |
/// | `Created` | the body has not begun | the first poll |
/// | `Active` | the body runs, and an alarm is set if there is a deadline | the alarm, the body's end |
/// | `Expiring` | the task was asked to stop | the body's end |
/// | `Ended` | the body has ended, without an expiry or after one | |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Created,
    Active,
    Expiring,
    Ended { expired: bool },
}

#[derive(Debug, Clone, Copy)]
enum Deadline {
    Never,
    /// Counted from the first poll.
    After(Duration),
    At(Duration),
}

impl Deadline {
    fn after(delay: impl Into<Option<Duration>>) -> Self {
        delay.into().map_or(Self::Never, Self::After)
    }

    fn at(when: impl Into<Option<Duration>>) -> Self {
        when.into().map_or(Self::Never, Self::At)
    }
}

#[derive(Debug, Clone, Copy, Default)]
enum Alarm {
    #[default]
    None,
    /// It stands in the ready list.
    Soon,
    Timer(TimerKey),
}

/// Where the body runs.
struct Entered {
    of: WeakLoop,
    task: TaskRef,
    before: Before,
    /// The body's number among the scopes of the task.
    scope: Option<u64>,
    /// The request at the deadline was one to the whole task.
    is_counted: bool,
}

/// What asked a task to stop when the body began there; more means that another one than this timeout does.
struct Before {
    requests: usize,
    /// The scope around.
    around: Option<u64>,
    stops_around: usize,
}

impl Before {
    fn of(task: &TaskRef) -> Self {
        let around = scopes(task).current();
        let stops_around = scopes(task).stops_around(around);
        Self { requests: AnyTask::new(task.clone()).cancelling(), around, stops_around }
    }

    fn is_all(&self, task: &TaskRef, requests: usize) -> bool {
        requests <= self.requests && scopes(task).stops_around(self.around) <= self.stops_around
    }
}

fn scopes(task: &TaskRef) -> &Scopes {
    &task.record::<TaskRecord>().rare().scopes
}

impl TimeoutScope {
    fn new(deadline: Deadline) -> Self {
        Self(Rc::new(Scope {
            stage: Cell::new(Stage::Created),
            deadline: Cell::new(deadline),
            alarm: Cell::default(),
            stale_calls: Cell::new(0),
            entered: RefCell::default(),
        }))
    }

    /// A scope that expires `delay` after its body begins, or never: asyncio's `timeout(delay)`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::TimeoutScope::after(None).when(), None);
    /// ```
    pub fn after(delay: impl Into<Option<Duration>>) -> Self {
        Self::new(Deadline::after(delay))
    }

    /// A scope that expires at a time of the loop's clock, or never: asyncio's `timeout_at(when)`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let noon = Duration::from_secs(12 * 3600);
    /// assert_eq!(perloop::TimeoutScope::at(noon).when(), Some(noon));
    /// ```
    pub fn at(when: impl Into<Option<Duration>>) -> Self {
        Self::new(Deadline::at(when))
    }

    /// Runs `body` under this timeout, see [`timeout`]: asyncio's `async with scope`. A scope runs one body.
    ///
    /// # Panics
    /// When what it gives is polled outside of a perloop task, or the scope has run another body.
    ///
    /// # Examples
    /// ```
    /// use perloop::TimeoutScope;
    ///
    /// perloop::run(async {
    ///     let scope = TimeoutScope::after(None);
    ///     assert_eq!(scope.run(async { 42 }).await, Ok(42));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub fn run<F: Future>(&self, body: F) -> impl Future<Output = Result<F::Output, TimedOut>> + use<F> {
        Limited::new(Shared { scope: self.clone(), has_begun: false }, body)
    }

    /// Moves the deadline, to a time of the loop's clock or to never. One that is past expires in the next turn:
    /// asyncio's `reschedule`.
    ///
    /// # Errors
    /// Before the body began, and after the scope expired or ended.
    ///
    /// # Examples
    /// ```
    /// use perloop::{TimeoutNotActive, TimeoutScope};
    ///
    /// let scope = TimeoutScope::after(None);
    /// assert_eq!(scope.reschedule(None), Err(TimeoutNotActive::default()));
    /// ```
    pub fn reschedule(&self, when: impl Into<Option<Duration>>) -> Result<(), TimeoutNotActive> {
        if self.0.stage.get() != Stage::Active {
            return Err(TimeoutNotActive);
        }
        self.take_back_alarm();
        self.0.deadline.set(Deadline::at(when));
        if let Some(own) = self.event_loop() {
            self.set_alarm(&own, own.0.clock.time());
        }
        Ok(())
    }

    /// Says whether the deadline came while the body ran, whatever the body made of it: asyncio's `scope.expired()`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{TimeoutScope, sleep};
    ///
    /// perloop::run(async {
    ///     let scope = TimeoutScope::after(Duration::ZERO);
    ///     assert!(scope.run(sleep(Duration::MAX)).await.is_err() && scope.expired());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn expired(&self) -> bool {
        matches!(self.0.stage.get(), Stage::Expiring | Stage::Ended { expired: true })
    }

    /// Returns the deadline on the loop's clock: asyncio's `scope.when()`. None if there is none, or it is counted from
    /// a beginning that is still to come.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::TimeoutScope;
    ///
    /// assert_eq!(TimeoutScope::after(Duration::from_secs(1)).when(), None);
    /// ```
    pub fn when(&self) -> Option<Duration> {
        match self.0.deadline.get() {
            Deadline::At(when) => Some(when),
            Deadline::Never | Deadline::After(_) => None,
        }
    }

    fn enter(&self) {
        assert!(self.0.stage.get() == Stage::Created, "a timeout scope runs one body");
        let task = step::current().expect("`timeout` is awaited in a perloop task");
        let before = Before::of(&task);
        let running = current::get_running_loop().expect("a task's step runs");
        let now = running.0.clock.time();
        if let Deadline::After(delay) = self.0.deadline.get() {
            self.0.deadline.set(Deadline::At(now.saturating_add(delay)));
        }
        self.0.entered.replace(Some(Entered {
            of: running.downgrade(),
            task,
            before,
            scope: None,
            is_counted: false,
        }));
        self.0.stage.set(Stage::Active);
        self.set_alarm(&running, now);
    }

    /// The body may go on in another task than before, which is then the one to be asked to stop.
    fn follow(&self) {
        let task = step::current().expect("`timeout` is awaited in a perloop task");
        let (left, was_counted) = {
            let mut entered = self.0.entered.borrow_mut();
            let Some(entered) = entered.as_mut().filter(|entered| entered.task != task) else { return };
            entered.before = Before::of(&task);
            entered.scope = None;
            (std::mem::replace(&mut entered.task, task), std::mem::take(&mut entered.is_counted))
        };
        if was_counted {
            AnyTask::new(left).uncancel();
        }
        if self.0.stage.get() == Stage::Expiring {
            self.0.ask();
        }
    }

    /// The body waits.
    fn note_scope(&self, scope: Option<u64>) {
        if let Some(entered) = self.0.entered.borrow_mut().as_mut() {
            entered.scope = scope;
        }
    }

    fn event_loop(&self) -> Option<EventLoop> {
        self.0.entered.borrow().as_ref().and_then(|entered| entered.of.upgrade())
    }

    fn set_alarm(&self, own: &EventLoop, now: Duration) {
        let Some(when) = self.when() else { return };
        let scope = Rc::clone(&self.0);
        if when <= now {
            own.0.home.push(Ready::Call(CallRef(scope)));
            self.0.alarm.set(Alarm::Soon);
        } else {
            let timer = own.0.timers.borrow_mut().insert(when, Timer::Timeout(scope));
            self.0.alarm.set(Alarm::Timer(timer));
        }
    }

    fn take_back_alarm(&self) {
        let is_queued = match self.0.alarm.take() {
            Alarm::None => false,
            Alarm::Soon => true,
            // One that is not there any more has fired, and its call is still to come.
            Alarm::Timer(timer) => {
                self.event_loop().is_some_and(|own| own.0.timers.borrow_mut().remove(timer).is_none())
            }
        };
        if is_queued {
            self.0.stale_calls.set(self.0.stale_calls.get() + 1);
        }
    }

    /// The body has ended. True if the request that met it was this scope's, and no other.
    fn leave(&self) -> bool {
        self.take_back_alarm();
        let entered = self.0.entered.take();
        let has_expired = self.expired();
        self.0.stage.set(Stage::Ended { expired: has_expired });
        let Some(Entered { task, before, is_counted, .. }) = entered.filter(|_| has_expired) else {
            return false;
        };
        let any = AnyTask::new(task.clone());
        let requests = if is_counted { any.uncancel() } else { any.cancelling() };
        before.is_all(&task, requests)
    }
}

impl Call for Scope {
    fn call(self: Rc<Self>) {
        if let Some(stale) = self.stale_calls.get().checked_sub(1) {
            self.stale_calls.set(stale);
            return;
        }
        self.alarm.take();
        self.stage.set(Stage::Expiring);
        self.ask();
    }
}

impl Scope {
    fn ask(&self) {
        let asked = self.entered.borrow().as_ref().map(|entered| (entered.task.clone(), entered.scope));
        let Some((task, scope)) = asked else { return };
        let is_counted = match scope {
            Some(scope) => step::cancel_inside(&task, scope),
            None => step::cancel(&task, None),
        };
        if let Some(entered) = self.entered.borrow_mut().as_mut() {
            entered.is_counted = is_counted;
        }
    }
}

impl fmt::Debug for TimeoutScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (when, stage) = (self.when(), self.0.stage.get());
        f.debug_struct("TimeoutScope").field("when", &when).field("stage", &stage).finish()
    }
}

/// A body's place in its scope, which it leaves when the body is done with or dropped.
trait Membership {
    /// Enters the scope, or goes on in it.
    fn begin(&mut self) -> TimeoutScope;

    /// As [`TimeoutScope::leave`].
    fn end(&mut self) -> bool;
}

/// In a scope that others have as well.
#[derive(Debug)]
struct Shared {
    scope: TimeoutScope,
    has_begun: bool,
}

impl Membership for Shared {
    fn begin(&mut self) -> TimeoutScope {
        if self.has_begun {
            self.scope.follow();
        } else {
            self.scope.enter();
            self.has_begun = true;
        }
        self.scope.clone()
    }

    fn end(&mut self) -> bool {
        std::mem::take(&mut self.has_begun) && self.scope.leave()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}

/// In a scope that nobody else has: it lies on the loop, so that this is plain data.
#[derive(Debug)]
enum Own {
    Before(Deadline),
    Inside(Lodging<Scope>),
    After,
}

impl Membership for Own {
    fn begin(&mut self) -> TimeoutScope {
        if let Self::Inside(lodging) = self {
            let scope = lodging.get().map(TimeoutScope);
            let scope = scope.expect("`timeout` is polled on the loop on which it began");
            scope.follow();
            return scope;
        }
        let Self::Before(deadline) = *self else { panic!("`timeout` polled after it was ready") };
        let scope = TimeoutScope::new(deadline);
        scope.enter();
        let running = scope.event_loop().expect("it runs");
        *self = Self::Inside(Lodging::new(&running, Rc::clone(&scope.0)));
        scope
    }

    fn end(&mut self) -> bool {
        match std::mem::replace(self, Self::After) {
            Self::Inside(lodging) => lodging.get().is_some_and(|scope| TimeoutScope(scope).leave()),
            Self::Before(_) | Self::After => false,
        }
    }
}

impl Lodger for Scope {
    fn leave(self: Rc<Self>) {
        // Of one that was left this changes nothing.
        TimeoutScope(self).leave();
    }
}

pin_project! {
    /// The future that [`timeout`] and [`timeout_at`] make. It is `Send` if the body is.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Timeout, YieldNow, timeout, yield_now};
    ///
    /// let limited: Timeout<YieldNow> = timeout(Duration::from_secs(1), yield_now());
    /// assert_eq!(perloop::run(limited)?, Ok(()));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        limited: Limited<F, Own>,
    }
}

impl<F: Future> Timeout<F> {
    fn new(deadline: Deadline, body: F) -> Self {
        Self { limited: Limited::new(Own::Before(deadline), body) }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimedOut>;

    /// # Panics
    /// Polled again after it was ready, outside of a perloop task, or on another loop than before.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().limited.poll(cx)
    }
}

pin_project! {
    /// A body that runs in a scope.
    #[derive(Debug)]
    struct Limited<F, M> {
        // Dropped first: what its destructors do is still inside of the scope.
        #[pin]
        body: CatchCancelled<F>,
        membership: M,
        raised: Raised,
    }
}

impl<F: Future, M> Limited<F, M> {
    fn new(membership: M, body: F) -> Self {
        Self { body: catch_cancelled(body), membership, raised: Raised::default() }
    }
}

impl<F: Future, M: Membership> Future for Limited<F, M> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.raised.is_said() {
            // Whoever hears it drops this.
            return Poll::Pending;
        }
        let scope = this.membership.begin();
        let mut body = this.body;
        let Poll::Ready(ended) = body.as_mut().poll(cx) else {
            scope.note_scope(body.number());
            return Poll::Pending;
        };
        let is_own = this.membership.end();
        match ended {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(_) if is_own => Poll::Ready(Err(TimedOut)),
            Err(cancelled) => {
                *this.raised = Raised::begin(cancelled);
                Poll::Pending
            }
        }
    }
}
