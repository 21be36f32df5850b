//! `sleep` and `yield_now`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perloop_bridge::{Call, Remote, TaskRef};

use crate::current;
use crate::event_loop::{EventLoop, Timer, run_callback};
use crate::task::step;
use crate::timers::TimerKey;

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
    Sleep { delay, state: State::New }
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
    delay: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Yielding(YieldNow),
    Waiting { loop_id: u32, timer: TimerKey },
    Done,
}

/// What the loop keeps for a sleeper: whom to wake.
pub(crate) struct Alarm(RefCell<Sleeper>);

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

impl Alarm {
    fn set_sleeper(&self, cx: &Context<'_>) {
        if !self.0.borrow().is_woken_by(cx) {
            let _old = self.0.replace(Sleeper::of(cx));
        }
    }

    /// Wakes nobody, should it be between its time and its turn: the task would take it for what it waits for by then.
    fn switch_off(&self) {
        let _old = self.0.replace(Sleeper::Waker(Waker::noop().clone()));
    }
}

impl Call for Alarm {
    fn call(self: Rc<Self>) {
        let waker = match &*self.0.borrow() {
            Sleeper::Task(task) => return task.wake(),
            Sleeper::Waker(waker) => waker.clone(),
        };
        waker.wake();
    }
}

impl Sleep {
    fn begin(&self, running: &EventLoop, cx: &Context<'_>) -> State {
        if self.delay.is_zero() {
            return State::Yielding(yield_now());
        }
        let alarm = Timer::Alarm(Rc::new(Alarm(RefCell::new(Sleeper::of(cx)))));
        let deadline = running.0.clock.deadline_after(self.delay);
        let timer = running.0.timers.borrow_mut().insert(deadline, alarm);
        State::Waiting { loop_id: running.id(), timer }
    }
}

impl EventLoop {
    fn alarm(&self, timer: TimerKey) -> Option<Rc<Alarm>> {
        match self.0.timers.borrow().get(timer)? {
            Timer::Alarm(alarm) => Some(Rc::clone(alarm)),
            Timer::Call(_) => None,
        }
    }

    /// Takes a sleeper's timer away, with its alarm.
    fn forget_alarm(&self, timer: TimerKey) {
        let removed = self.0.timers.borrow_mut().remove(timer);
        if let Some(Timer::Alarm(alarm)) = removed {
            alarm.switch_off();
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let running = match current::get_running_loop() {
            Ok(running) => running,
            Err(error) => panic!("sleep: {error}"),
        };
        if matches!(self.state, State::New) {
            self.state = self.begin(&running, cx);
        }
        let polled = match &mut self.state {
            State::Yielding(yields) => Pin::new(yields).poll(cx),
            State::Waiting { loop_id, timer } => {
                assert!(*loop_id == running.id(), "sleep: polled on another event loop than before");
                match running.alarm(*timer) {
                    Some(alarm) => {
                        alarm.set_sleeper(cx);
                        step::note_wait();
                        Poll::Pending
                    }
                    // It has fired.
                    None => {
                        running.forget_alarm(*timer);
                        Poll::Ready(())
                    }
                }
            }
            State::New | State::Done => Poll::Ready(()),
        };
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
            event_loop.forget_alarm(timer);
        } else if let Some(remote) = Remote::find(loop_id) {
            // Dropped in another thread: its own loop removes it. A closed loop has none.
            let remove = move || {
                if let Ok(running) = current::get_running_loop() {
                    running.forget_alarm(timer);
                }
            };
            drop(remote.call(remove));
        }
    }
}
