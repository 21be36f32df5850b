//! `sleep` and `yield_now`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perloop_bridge::{Call, Home, Remote, TaskRef};

use crate::current;
use crate::event_loop::{EventLoop, Timer, run_callback};
use crate::runs::Runs;
use crate::task::step;
use crate::timeout;
use crate::timers::{Stamp, TimerKey, Timers};

/// Gives up the turn: the task goes on behind everything that is ready now. asyncio's `sleep(0)`.
///
/// Cancel safe. It needs no perloop loop.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use perloop::{create_task, yield_now};
///
/// perloop::run(async {
///     let trace = Rc::new(RefCell::new(Vec::new()));
///     let other = create_task({
///         let trace = Rc::clone(&trace);
///         async move { trace.borrow_mut().push("other") }
///     });
///     yield_now().await;
///     trace.borrow_mut().push("main");
///     assert_eq!(*trace.borrow(), ["other", "main"]);
/// #   drop(other);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// The future that [`yield_now`] makes. Polled again after it was ready, it is ready.
///
/// # Examples
/// ```
/// use perloop::{YieldNow, yield_now};
///
/// let pause: YieldNow = yield_now();
/// perloop::run(pause)?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_yielded {
            return Poll::Ready(());
        }
        self.has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Waits for `delay`, counted on the running loop's clock from the first poll: asyncio's `sleep`. Zero is
/// [`yield_now`]; `Duration::MAX` is never. Of sleepers that are due at the same time the first wakes first.
///
/// Cancel safe; dropping it, in any thread, takes its timer away. It is plain data, so `Send` and `Sync`: what it waits
/// with lies in the loop.
///
/// # Panics
/// When it is polled outside of a running loop, or on another loop than before.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// perloop::run(async { perloop::sleep(Duration::from_millis(2)).await })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn sleep(delay: Duration) -> Sleep {
    Sleep { state: State::New(Delay::from(delay)) }
}

/// The future that [`sleep`] makes. Polled again after it was ready, it is ready.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, Sleep, sleep};
///
/// struct Alarm(Sleep);
///
/// let alarm = Alarm(sleep(Duration::from_secs(3600)));
/// EventLoop::builder().virtual_time().run(alarm.0)?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
}

/// Two words large: there may be a million of them.
#[derive(Debug)]
enum State {
    New(Delay),
    Yielding(YieldNow),
    Waiting { loop_id: u32, timer: TimerKey },
    Done,
}

/// A `Duration` without its alignment.
#[derive(Debug, Clone, Copy)]
struct Delay([u32; 3]);

impl From<Duration> for Delay {
    fn from(delay: Duration) -> Self {
        let seconds = delay.as_secs();
        Self([(seconds >> 32) as u32, seconds as u32, delay.subsec_nanos()])
    }
}

impl From<Delay> for Duration {
    fn from(Delay([high, low, nanoseconds]): Delay) -> Self {
        Self::new(u64::from(high) << 32 | u64::from(low), nanoseconds)
    }
}

/// Who is to be woken. A task of this thread is stored as itself: no atomics.
#[derive(Debug)]
pub(crate) enum Sleeper {
    Task(TaskRef),
    Waker(Waker),
}

impl Sleeper {
    pub(crate) fn of(cx: &Context<'_>) -> Self {
        match TaskRef::from_waker(cx.waker()) {
            Some(task) => Self::Task(task),
            None => Self::Waker(cx.waker().clone()),
        }
    }

    /// Its task has a request to cancel on its way, so that it will probably never come.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        matches!(self, Self::Task(task) if step::is_asked_to_stop(task))
    }

    /// A waker is foreign code, which may panic: that is no part of what the caller does.
    pub(crate) fn wake(self) {
        match self {
            Self::Task(task) => task.wake(),
            Self::Waker(waker) => run_callback(|| waker.wake()),
        }
    }

    pub(crate) fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        match self {
            Self::Task(task) => TaskRef::from_waker(cx.waker()).as_ref() == Some(task),
            Self::Waker(waker) => waker.will_wake(cx.waker()),
        }
    }
}

/// Sleepers, and timeouts, whose time has come and whose turn has not. Each stays with its timer till then, so that it
/// can still give up its sleep: it is not woken then, as it would take that for what it waits for by that time. In the ready list this
/// stands once for each of them: no allocation at all.
pub(crate) struct Risen {
    timers: Rc<RefCell<Timers<Timer>>>,
    runs: Runs<TimerKey>,
}

impl Risen {
    pub(crate) fn new(timers: Rc<RefCell<Timers<Timer>>>) -> Rc<Self> {
        Rc::new(Self { timers, runs: Runs::default() })
    }

    pub(crate) fn queue(self: &Rc<Self>, home: &Home, timer: TimerKey) {
        Runs::queue(Rc::clone(self), |risen| &risen.runs, home, timer);
    }

    fn rise(&self, risen: TimerKey) {
        let removed = {
            let mut timers = self.timers.borrow_mut();
            if let Some(limited) = timers.item_mut(risen).and_then(Timer::expire) {
                drop(timers);
                return timeout::ask(limited, &self.timers, risen);
            }
            timers.remove(risen)
        };
        match removed {
            Some(Timer::Task(_, task)) => task.wake(),
            Some(Timer::Waker(_, waker)) => waker.wake(),
            _ => {}
        }
    }
}

impl Call for Risen {
    fn call(self: Rc<Self>) {
        self.runs.take().for_each(|risen| run_callback(|| self.rise(risen)));
    }
}

impl Timer {
    /// Sleepers and timeouts stay with their timer after this has fired.
    pub(crate) fn stays(&self) -> bool {
        !matches!(self, Self::Callback(..))
    }

    fn of(cx: &Context<'_>) -> Self {
        match Sleeper::of(cx) {
            Sleeper::Task(task) => Self::Task(Stamp::default(), task),
            Sleeper::Waker(waker) => Self::Waker(Stamp::default(), Box::new(waker)),
        }
    }

    fn is_woken_by(&self, cx: &Context<'_>) -> bool {
        match self {
            Self::Task(_, task) => TaskRef::from_waker(cx.waker()).as_ref() == Some(task),
            Self::Waker(_, waker) => waker.will_wake(cx.waker()),
            _ => false,
        }
    }
}

impl EventLoop {
    fn begin_sleep(&self, delay: Duration, cx: &Context<'_>) -> State {
        if delay.is_zero() {
            return State::Yielding(yield_now());
        }
        let (deadline, sleeper) = (self.0.clock.deadline_after(delay), Timer::of(cx));
        let timer = self.0.timers.borrow_mut().insert(deadline, sleeper);
        State::Waiting { loop_id: self.id(), timer }
    }

    /// Polled again, perhaps by another waker. False if the time has come.
    fn goes_on_sleeping(&self, timer: TimerKey, cx: &Context<'_>) -> bool {
        let is_known = self.0.timers.borrow_mut().get(timer).map(|timer| timer.is_woken_by(cx));
        if is_known == Some(false) {
            let new = Timer::of(cx);
            // The old one is dropped outside of the borrow.
            let _old = self.0.timers.borrow_mut().replace(timer, new);
        }
        is_known.is_some()
    }
}

impl Sleep {
    fn poll_on(&mut self, running: &EventLoop, cx: &mut Context<'_>) -> Poll<()> {
        if let State::New(delay) = self.state {
            self.state = running.begin_sleep(delay.into(), cx);
        } else if let State::Waiting { loop_id, timer } = self.state {
            assert!(loop_id == running.id(), "sleep: polled on another event loop than before");
            if !running.goes_on_sleeping(timer, cx) {
                running.remove_timer(timer);
                return Poll::Ready(());
            }
        }
        match &mut self.state {
            State::Yielding(yields) => Pin::new(yields).poll(cx),
            State::Waiting { .. } => Poll::Pending,
            State::New(_) | State::Done => Poll::Ready(()),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match current::get_running_loop() {
            Ok(running) => self.poll_on(&running, cx),
            Err(error) => panic!("sleep: {error}"),
        };
        if matches!(self.state, State::Waiting { .. }) && polled.is_pending() {
            step::note_wait();
        }
        if polled.is_ready() {
            self.state = State::Done;
        }
        polled
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let State::Waiting { loop_id, timer } = self.state else { return };
        if let Some(event_loop) = current::find_owned(loop_id) {
            event_loop.remove_timer(timer);
        } else if let Some(remote) = Remote::find(loop_id) {
            // Dropped in another thread: its own loop removes it. A closed loop has none.
            let remove = move || {
                if let Ok(running) = current::get_running_loop() {
                    running.remove_timer(timer);
                }
            };
            drop(remote.call(remove));
        }
    }
}
