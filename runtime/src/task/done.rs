//! Who waits for the end of a task or a future: awaiting tasks, other wakers, done callbacks. One list, in the order of
//! coming.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

use perloop_bridge::{Call, CallRef, Ready, TaskRef};

use crate::context;
use crate::current;
use crate::errors::TaskError;
use crate::event_loop::{EventLoop, run_callback, run_callback_of};
use crate::nested_drop::drop_nested;
use crate::runs::Runs;
use crate::shield;
use crate::task::awaited::Awaited;
use crate::task::few::Few;
use crate::task::{TaskRecord, step};

/// One who waits.
pub(crate) enum Watch {
    Task(TaskRef),
    Waker(Waker),
    /// It does not hold what it waits for, in whose own list it stands.
    Callback(Callback),
    /// A shield around it was cancelled: a failure goes to the exception handler.
    Shield,
    /// So many-th of several whose ends somebody hears of.
    OneOf(Rc<Ends>, usize),
}

pub(super) type Callback = Box<dyn OnEnd>;

/// What is called at an end.
pub(crate) trait OnEnd {
    fn call(self: Box<Self>, ended: &Awaited);

    fn made_at(&self) -> Option<&'static Location<'static>> {
        None
    }
}

/// The loop's own.
impl<F: FnOnce(&Awaited)> OnEnd for F {
    fn call(self: Box<Self>, ended: &Awaited) {
        self(ended);
    }
}

/// A user's.
pub(super) struct Placed<F> {
    callback: F,
    made_at: &'static Location<'static>,
}

impl<F> Placed<F> {
    pub(super) fn new(callback: F, made_at: &'static Location<'static>) -> Self {
        Self { callback, made_at }
    }
}

impl<F: FnOnce(&Awaited)> OnEnd for Placed<F> {
    fn call(self: Box<Self>, ended: &Awaited) {
        (self.callback)(ended);
    }

    fn made_at(&self) -> Option<&'static Location<'static>> {
        Some(self.made_at)
    }
}

/// Hears of the ends of several, each by its number, and each as a done callback would.
pub(crate) trait HearsEnds {
    fn one_ended(&self, number: usize);
}

/// The ends of several, on their way to who hears of them: one allocation for all.
pub(crate) struct Ends {
    to: Weak<dyn HearsEnds>,
    runs: Runs<usize>,
}

impl Ends {
    pub(crate) fn new(to: Weak<dyn HearsEnds>) -> Rc<Self> {
        Rc::new(Self { to, runs: Runs::default() })
    }

    fn queue(self: Rc<Self>, event_loop: &EventLoop, number: usize) {
        Runs::queue(self, |ends| &ends.runs, &event_loop.0.home, number);
    }
}

impl Call for Ends {
    fn call(self: Rc<Self>) {
        for number in self.runs.take() {
            let Some(to) = self.to.upgrade() else { continue };
            run_callback(|| to.one_ended(number));
            context::clear();
        }
    }
}

/// Who waits for a task, and for whom it waits.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    pub(crate) watchers: Watchers,
    pub(crate) awaits: AwaitedTasks,
    /// The await of the task by its [`Task`](crate::Task), of which there is one.
    handle: RefCell<Option<Wait>>,
}

impl Waits {
    /// The task is awaited by its handle, and has not ended.
    pub(super) fn poll_handle(&self, awaited: &Awaited, cx: &Context<'_>) -> Result<(), TaskError> {
        let goes_on = self.handle.borrow().as_ref().map(|wait| wait.goes_on(cx)).transpose()?;
        let wait = match goes_on {
            Some(true) => return Ok(()),
            Some(false) => Wait::begin(awaited, cx),
            None => Wait::enter(awaited, cx),
        };
        let old = self.handle.replace(Some(wait));
        old.into_iter().for_each(|old| old.leave(awaited));
        Ok(())
    }

    /// Its handle awaits it no more.
    pub(super) fn leave_handle(&self, awaited: impl FnOnce() -> Awaited) {
        let wait = self.handle.take();
        if let Some(wait) = wait {
            wait.leave(&awaited());
        }
    }
}

/// The first place in the list of a task: who has that lies in the [table](super::first).
pub(super) const FIRST: u64 = 1;

/// The list. Most have one watcher or none.
pub(crate) struct Watchers {
    list: RefCell<Few<Watch>>,
    /// The place of [`Watch::Shield`]; zero is none's.
    shield: Cell<u64>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { list: RefCell::new(Few::after(FIRST)), shield: Cell::new(0) }
    }
}

impl Watchers {
    pub(super) fn add(&self, watch: Watch) -> u64 {
        self.list.borrow_mut().add(watch)
    }

    pub(super) fn remove(&self, place: u64) -> Option<Watch> {
        self.list.borrow_mut().remove(place)
    }

    /// A failure is told to the exception handler once, at the place of the shield that was cancelled last.
    pub(super) fn add_shield(&self) {
        let _earlier = self.remove(self.shield.get());
        self.shield.set(self.add(Watch::Shield));
    }

    /// The end: queues them all, in order.
    pub(crate) fn wake_all(&self, event_loop: &EventLoop, ended: impl Fn() -> Awaited) {
        let (first, others) = self.list.borrow_mut().take_all();
        if let Some(first) = first {
            first.wake(event_loop, &ended);
        }
        for other in others {
            other.wake(event_loop, &ended);
        }
    }
}

impl Watch {
    #[inline]
    pub(super) fn wake(self, event_loop: &EventLoop, ended: impl FnOnce() -> Awaited) {
        match self {
            Self::Task(task) => task.wake(),
            // Foreign code, which may panic: it is no part of the end itself.
            Self::Waker(waker) => run_callback(|| waker.wake()),
            Self::Callback(callback) => queue_callback(event_loop, ended(), callback),
            Self::Shield => queue_callback(event_loop, ended(), Box::new(shield::report)),
            Self::OneOf(ends, number) => ends.queue(event_loop, number),
        }
    }
}

impl Drop for Watchers {
    /// The loop was closed, or the last handle dropped, before the end. Each of them is foreign code, and may panic.
    fn drop(&mut self) {
        let (first, others) = self.list.get_mut().take_all();
        for watch in first.into_iter().chain(others) {
            run_callback(|| drop_nested(watch));
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", self.list.borrow().len())
    }
}

/// A done callback in the ready list, bound to what has ended.
struct DoneCallback {
    ended: Awaited,
    callback: RefCell<Option<Callback>>,
    made_at: Option<&'static Location<'static>>,
}

impl Call for DoneCallback {
    fn call(self: Rc<Self>) {
        if let Some(callback) = self.callback.take() {
            run_callback_of(
                || callback.call(&self.ended),
                |context| {
                    context.task = self.ended.task();
                    context.created_at = self.made_at;
                },
            );
        }
    }

    fn made_at(&self) -> Option<&'static Location<'static>> {
        self.made_at
    }
}

fn queue_callback(event_loop: &EventLoop, ended: Awaited, callback: Callback) {
    let made_at = callback.made_at();
    let call = Rc::new(DoneCallback { ended, callback: RefCell::new(Some(callback)), made_at });
    event_loop.0.home.push(Ready::Call(CallRef(call)));
}

/// The callback's place; of one that is done there is none, and it is zero.
pub(super) fn add_callback(awaited: &Awaited, callback: Callback) -> u64 {
    if !awaited.done() {
        return awaited.watch(Watch::Callback(callback));
    }
    if let Some(own) = current::find_owned(awaited.loop_id()).filter(|own| !own.is_closed()) {
        queue_callback(&own, awaited.clone(), callback);
    }
    0
}

/// What a task waits for, to which a request to cancel it is passed on. Each with the scope in which it is awaited.
#[derive(Debug)]
pub(crate) struct AwaitedTasks(RefCell<Few<(Awaited, Option<u64>)>>);

impl Default for AwaitedTasks {
    fn default() -> Self {
        Self(RefCell::new(Few::after(0)))
    }
}

impl AwaitedTasks {
    fn add(&self, awaited: Awaited, scope: Option<u64>) -> u64 {
        self.0.borrow_mut().add((awaited, scope))
    }

    fn remove(&self, place: u64) {
        let _removed = self.0.borrow_mut().remove(place);
    }

    pub(crate) fn get(&self) -> Vec<Awaited> {
        self.0.borrow().values().map(|(awaited, _)| awaited.clone()).collect()
    }

    /// Those that are awaited in some scopes, and whether there are others.
    pub(crate) fn inside(&self, is_inside: impl Fn(Option<u64>) -> bool) -> (Vec<Awaited>, bool) {
        let list = self.0.borrow();
        let inside: Vec<_> = list.values().filter(|(_, scope)| is_inside(*scope)).collect();
        let has_others = inside.len() < list.len();
        (inside.into_iter().map(|(awaited, _)| awaited.clone()).collect(), has_others)
    }
}

/// An await of what has not ended. Who keeps it has it [`leave`](Self::leave).
#[derive(Debug)]
enum Wait {
    For {
        place: u64,
        /// The task that awaits, and the place in its list.
        awaiting: Option<(TaskRef, u64)>,
        waker: Option<Waker>,
    },
    /// It must not be awaited here; said one hop later, as asyncio says it.
    Misuse(TaskError),
}

impl Wait {
    /// The first poll.
    fn enter(awaited: &Awaited, cx: &Context<'_>) -> Self {
        match check_await(awaited) {
            Ok(()) => Self::begin(awaited, cx),
            Err(error) => {
                cx.waker().wake_by_ref();
                Self::Misuse(error)
            }
        }
    }

    /// Or one by another waker, or in another task.
    fn begin(awaited: &Awaited, cx: &Context<'_>) -> Self {
        let own = TaskRef::from_waker(cx.waker());
        // A task's own waker is stored as the task itself: no atomics.
        let (watch, waker) = match own {
            Some(task) => (Watch::Task(task), None),
            None => (Watch::Waker(cx.waker().clone()), Some(cx.waker().clone())),
        };
        let awaiting = step::current().map(|awaiting| {
            let record: &TaskRecord = awaiting.record();
            let scope = record.rare_if_any().and_then(|rare| rare.scopes.current());
            let number = record.waits().awaits.add(awaited.clone(), scope);
            (awaiting, number)
        });
        let place = awaited.watch(watch);
        Self::For { place, awaiting, waker }
    }

    /// Is the next poll by the same waker, and in the same task?
    fn goes_on(&self, cx: &Context<'_>) -> Result<bool, TaskError> {
        let (awaiting, waker) = match self {
            Self::For { awaiting, waker, .. } => (awaiting.as_ref().map(|(task, _)| task), waker),
            Self::Misuse(error) => return Err(error.clone()),
        };
        let is_same_waker = match waker {
            Some(waker) => waker.will_wake(cx.waker()),
            None => TaskRef::from_waker(cx.waker()).as_ref() == awaiting,
        };
        Ok(is_same_waker && step::current().as_ref() == awaiting)
    }

    fn leave(self, awaited: &Awaited) {
        let Self::For { place, awaiting, .. } = self else { return };
        drop(awaited.unwatch(place));
        if let Some((awaiting, number)) = awaiting {
            awaiting.record::<TaskRecord>().waits().awaits.remove(number);
        }
    }
}

/// An await of what many may await.
#[derive(Debug)]
pub(crate) struct Waiting {
    awaited: Awaited,
    /// There is one.
    wait: Option<Wait>,
}

impl Waiting {
    /// The first poll.
    pub(crate) fn enter(awaited: &Awaited, cx: &Context<'_>) -> Self {
        Self { awaited: awaited.clone(), wait: Some(Wait::enter(awaited, cx)) }
    }

    /// Polled again: perhaps by another waker, or in another task.
    pub(crate) fn renew(&mut self, cx: &Context<'_>) -> Result<(), TaskError> {
        if let Some(wait) = &self.wait
            && wait.goes_on(cx)?
        {
            return Ok(());
        }
        let old = self.wait.replace(Wait::begin(&self.awaited, cx));
        old.into_iter().for_each(|old| old.leave(&self.awaited));
        Ok(())
    }
}

/// May the current task await it?
pub(crate) fn check_await(awaited: &Awaited) -> Result<(), TaskError> {
    if let Awaited::Task(task) = awaited
        && step::current().is_some_and(|current| current == *task)
    {
        return Err(TaskError::AwaitSelf);
    }
    let checked = current::with_running(|running| running.check_owns(awaited.loop_id()));
    checked.unwrap_or(Ok(())).map_err(TaskError::WrongLoop)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(wait) = self.wait.take() {
            wait.leave(&self.awaited);
        }
    }
}
