//! `timeout`: a scope whose body is asked to stop at a deadline.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use perloop_bridge::{Remote, TaskRef};
use pin_project_lite::pin_project;

use crate::cancel::{CatchCancelled, Here, Raised, catch_cancelled};
use crate::current;
use crate::errors::{TimedOut, TimeoutNotActive};
use crate::event_loop::{EventLoop, Timer};
use crate::task::{AnyTask, Rare, TaskRecord, step};
use crate::timers::{Stamp, Stamped, TimerKey, Timers};

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

struct Scope {
    stage: Cell<Stage>,
    deadline: Cell<Deadline>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The body has not begun.
    Created,
    Active(Seat),
    Ended {
        expired: bool,
    },
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

    /// One that does not depend on when the body began.
    fn counted_from(self, now: Duration) -> Self {
        match self {
            Self::After(delay) => Self::At(now.saturating_add(delay)),
            Self::Never | Self::At(_) => self,
        }
    }

    fn when(self) -> Option<Duration> {
        match self {
            Self::At(when) => Some(when),
            Self::Never | Self::After(_) => None,
        }
    }
}

impl Timer {
    /// The deadline has come: says who is to be [asked](ask). None if it is no timeout's.
    pub(crate) fn expire(&mut self) -> Option<TaskRef> {
        let (Self::Timeout(stamp, task) | Self::Expired(stamp, task) | Self::ExpiredTask(stamp, task)) = self
        else {
            return None;
        };
        let (stamp, task) = (stamp.clone(), task.clone());
        *self = Self::Expired(stamp, task.clone());
        Some(task)
    }

    fn has_expired(&self) -> bool {
        matches!(self, Self::Expired(..) | Self::ExpiredTask(..))
    }
}

/// Asks what is inside of the scope to stop that has this timer. Foreign wakers hear of it, so nothing is borrowed.
pub(crate) fn ask(task: TaskRef, timers: &RefCell<Timers<Timer>>, timer: TimerKey) {
    let is_counted = match task.record::<TaskRecord>().rare().scopes.find_alarmed(timer) {
        Some(scope) => step::cancel_inside(&task, scope),
        // Its generator waits to be asked for more.
        None => step::cancel(&task, None),
    };
    if !is_counted {
        return;
    }
    if let Some(expired) = timers.borrow_mut().item_mut(timer) {
        *expired = Timer::ExpiredTask(expired.stamp().clone(), task);
        return;
    }
    // One of them gave the body up.
    AnyTask::new(task).uncancel();
}

/// Where a body sits while it runs: plain data, as the rest lies with the timer.
#[derive(Debug, Clone, Copy)]
struct Seat {
    loop_id: u32,
    timer: TimerKey,
    before: Before,
}

const ELSEWHERE: &str = "`timeout` is polled on the loop on which it began";

/// What asked a task to stop when the body began there; more means that another one than this timeout does.
#[derive(Debug, Clone, Copy)]
struct Before {
    requests: usize,
    /// The scope around.
    around: Option<u64>,
    stops_around: usize,
}

impl Before {
    #[inline]
    fn of(rare: &Rare) -> Self {
        let around = rare.scopes.current();
        Self { requests: rare.cancel.requests(), around, stops_around: rare.scopes.stops_around(around) }
    }

    fn is_all(&self, record: &TaskRecord, requests: usize) -> bool {
        requests <= self.requests && record.rare().scopes.stops_around(self.around) <= self.stops_around
    }
}

impl Seat {
    /// The body begins, in a scope of the task. What comes along is the deadline, counted from now.
    #[inline(always)]
    fn take(here: &Here<'_>, scope: u64, deadline: Deadline) -> (Self, Deadline) {
        let running = current::get_running_loop().expect("a task's step runs");
        let before = Before::of(here.rare);
        let now = running.0.clock.time();
        let deadline = deadline.counted_from(now);
        let timer = set_alarm(&running, deadline, now, here.task.clone());
        here.rare.scopes.set_alarm(scope, timer);
        (Self { loop_id: running.id(), timer, before }, deadline)
    }

    /// The body goes on in another scope than before. If that is one of another task, this one is asked to stop.
    fn follow(&mut self, here: &Here<'_>, scope: u64) {
        let timers = self.timers().expect(ELSEWHERE);
        here.rare.scopes.set_alarm(scope, self.timer);
        let left = match timers.borrow_mut().item_mut(self.timer).expect(ELSEWHERE) {
            Timer::Timeout(_, task) | Timer::Expired(_, task) | Timer::ExpiredTask(_, task)
                if task == here.task =>
            {
                return;
            }
            limit => {
                let new = Timer::Timeout(limit.stamp().clone(), here.task.clone());
                mem::replace(limit, new)
            }
        };
        self.before = Before::of(here.rare);
        let has_expired = left.has_expired();
        if let Timer::ExpiredTask(_, left) = left {
            AnyTask::new(left).uncancel();
        }
        if has_expired {
            ask(here.task.clone(), &timers, self.timer);
        }
    }

    /// Those of its loop. None in another thread, and once the loop is gone.
    fn timers(&self) -> Option<Rc<RefCell<Timers<Timer>>>> {
        current::find(self.loop_id).map(|own| Rc::clone(&own.0.timers))
    }

    fn has_expired(&self) -> bool {
        self.timers().is_some_and(|timers| {
            timers.borrow_mut().item_mut(self.timer).is_some_and(|limit| limit.has_expired())
        })
    }

    fn reschedule(&mut self, deadline: Deadline) {
        let Some(own) = current::find(self.loop_id) else { return };
        let removed = own.0.timers.borrow_mut().remove(self.timer);
        let Some(Timer::Timeout(_, task)) = removed else { return };
        let timer = set_alarm(&own, deadline, own.0.clock.time(), task.clone());
        let scopes = &task.record::<TaskRecord>().rare().scopes;
        if let Some(scope) = scopes.find_alarmed(self.timer) {
            scopes.set_alarm(scope, timer);
        }
        self.timer = timer;
    }

    /// The body has ended. None in another thread than the loop's.
    #[inline]
    fn leave(&self) -> Option<Left> {
        let own = current::find(self.loop_id)?;
        let limit = own.0.timers.borrow_mut().remove(self.timer);
        let (task, is_counted) = match limit {
            Some(Timer::Expired(_, task)) => (task, false),
            Some(Timer::ExpiredTask(_, task)) => (task, true),
            // It is in time, or its loop was closed, and all timers went.
            _ => return Some(Left { expired: false, is_own: false }),
        };
        let any = AnyTask::new(task);
        let requests = if is_counted { any.uncancel() } else { any.cancelling() };
        Some(Left { expired: true, is_own: self.before.is_all(any.record(), requests) })
    }

    /// As `leave`, in whatever thread.
    fn give_up(self) {
        if self.leave().is_none()
            && let Some(remote) = Remote::find(self.loop_id)
        {
            // Its own loop does it. A closed loop has nothing to leave.
            drop(remote.call(move || {
                self.leave();
            }));
        }
    }
}

/// How a scope was left.
struct Left {
    expired: bool,
    /// The request that met the body was this scope's, and no other.
    is_own: bool,
}

#[inline(always)]
fn set_alarm(own: &EventLoop, deadline: Deadline, now: Duration, task: TaskRef) -> TimerKey {
    let when = deadline.when().unwrap_or(Duration::MAX);
    if when > now {
        return own.0.timers.borrow_mut().insert(when, Timer::Timeout(Stamp::default(), task));
    }
    let timer = own.0.timers.borrow_mut().insert_fired(Timer::Timeout(Stamp::default(), task));
    own.0.risen.queue(&own.0.home, timer);
    timer
}

impl TimeoutScope {
    fn new(deadline: Deadline) -> Self {
        Self(Rc::new(Scope { stage: Cell::new(Stage::Created), deadline: Cell::new(deadline) }))
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
        Limited::new(Shared { scope: self.clone(), is_inside: false }, body)
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
        let Stage::Active(mut seat) = self.0.stage.get() else { return Err(TimeoutNotActive) };
        if seat.has_expired() {
            return Err(TimeoutNotActive);
        }
        let deadline = Deadline::at(when);
        self.0.deadline.set(deadline);
        seat.reschedule(deadline);
        self.0.stage.set(Stage::Active(seat));
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
        match self.0.stage.get() {
            Stage::Created => false,
            Stage::Active(seat) => seat.has_expired(),
            Stage::Ended { expired } => expired,
        }
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
        self.0.deadline.get().when()
    }
}

impl fmt::Debug for TimeoutScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_active = matches!(self.0.stage.get(), Stage::Active(_));
        f.debug_struct("TimeoutScope")
            .field("when", &self.when())
            .field("active", &is_active)
            .field("expired", &self.expired())
            .finish()
    }
}

/// A body's place in its timeout, which it leaves when the body is done with or dropped.
trait Membership {
    /// The body is in this scope of the task from now on.
    fn sit(&mut self, here: &Here<'_>, scope: u64);

    /// The body has ended. True if the request that met it was this timeout's, and no other.
    fn end(&mut self) -> bool;
}

/// In a timeout that others have as well.
#[derive(Debug)]
struct Shared {
    scope: TimeoutScope,
    is_inside: bool,
}

impl Membership for Shared {
    fn sit(&mut self, here: &Here<'_>, scope: u64) {
        let Scope { stage, deadline } = &*self.scope.0;
        match stage.get() {
            Stage::Active(mut seat) if self.is_inside => {
                seat.follow(here, scope);
                stage.set(Stage::Active(seat));
            }
            Stage::Created => {
                let (seat, counted) = Seat::take(here, scope, deadline.get());
                deadline.set(counted);
                stage.set(Stage::Active(seat));
                self.is_inside = true;
            }
            Stage::Active(_) | Stage::Ended { .. } => panic!("a timeout scope runs one body"),
        }
    }

    fn end(&mut self) -> bool {
        let Stage::Active(seat) = self.scope.0.stage.get() else { return false };
        if !mem::take(&mut self.is_inside) {
            return false;
        }
        let left = seat.leave().unwrap_or(Left { expired: false, is_own: false });
        self.scope.0.stage.set(Stage::Ended { expired: left.expired });
        left.is_own
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}

/// In a timeout that nobody else has, so that this is plain data.
#[derive(Debug)]
struct Own(OwnStage);

#[derive(Debug, Clone, Copy)]
enum OwnStage {
    Before(Deadline),
    Inside(Seat),
    After,
}

impl Membership for Own {
    fn sit(&mut self, here: &Here<'_>, scope: u64) {
        match &mut self.0 {
            OwnStage::Before(deadline) => self.0 = OwnStage::Inside(Seat::take(here, scope, *deadline).0),
            OwnStage::Inside(seat) => seat.follow(here, scope),
            OwnStage::After => panic!("`timeout` polled after it was ready"),
        }
    }

    fn end(&mut self) -> bool {
        match mem::replace(&mut self.0, OwnStage::After) {
            OwnStage::Inside(seat) => seat.leave().is_some_and(|left| left.is_own),
            OwnStage::Before(_) | OwnStage::After => false,
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let OwnStage::Inside(seat) = self.0 {
            seat.give_up();
        }
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
        Self { limited: Limited::new(Own(OwnStage::Before(deadline)), body) }
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
        let mut this = self.project();
        if this.raised.is_said() {
            // Whoever hears it drops this.
            return Poll::Pending;
        }
        let task = step::current().expect("`timeout` is awaited in a perloop task");
        let here = Here::of(&task);
        let place = this.body.as_mut().enter(&here);
        if place.is_new {
            this.membership.sit(&here, place.scope);
        }
        let ended = ready!(this.body.poll_in(&here, place, cx));
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
