//! [`TaskRef`]: a task as its own loop's thread has it. What is done with it there, step by step.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::{Context, Waker};

use crate::core::LoopCore;
use crate::errors::{FutureError, Refusal};
use crate::ready::Ready;
use crate::sync::{ThreadToken, this_thread};
use crate::task::cell::Polled;
use crate::task::local::{
    ABANDONED, ADOPTED, BEGUN, CALL, DRAINED, ENDED, FAILED, IN_HAND, PUBLISHED, QUEUED, RELEASED, RUNNING,
    SUBMITTED, TAKEN, WAITS_ELSEWHERE,
};
use crate::task::{Birth, Cell, CellPtr, Local, Record, State, VTable, publish, waker};
use crate::watchers::Place;

/// A task, as its own loop's thread sees it. It counts without atomics, and cannot leave the thread. Clones are the
/// same task.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// let home_task = home.spawn(|| (), async {});
/// let task = home_task.clone();
/// assert_eq!(task, home_task);
/// assert!(task.is_queued() && !task.has_ended());
/// ```
pub struct TaskRef {
    cell: CellPtr,
    not_send: PhantomData<*mut ()>,
}

/// What a step has come to.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use perloop_bridge::Stepped;
///
/// let task = home.spawn(|| (), std::future::pending::<()>());
/// assert_eq!(task.poll(), Stepped::Pending);
/// ```
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// The body waits.
    Pending,
    /// The body has ended, by itself or by a panic, and is dropped. If `publish`, a cross-thread future may wait for
    /// [`TaskRef::publish`].
    Ended {
        /// Is there somebody else who has a reference, and it may be a cross-thread future?
        publish: bool,
    },
}

impl TaskRef {
    /// A task made on this thread. One reference is the result.
    #[inline]
    pub(crate) fn make<R: Record, B: Future>(
        vtable: &'static VTable,
        core: NonNull<LoopCore>,
        record: impl FnOnce() -> R,
        body: B,
    ) -> Self {
        let birth = Birth {
            vtable,
            state: State::home_made(),
            // The loop's list has the second one.
            local: Local::new(2, ADOPTED | PUBLISHED),
            core: Some(core),
            thread: this_thread(),
        };
        let cell = Cell::kept(birth, record, body);
        LoopCore::with_tasks(core, |tasks| tasks.insert(Self::owning(cell)));
        Self::owning(cell)
    }

    /// A node that was taken from the inbox for the first time.
    pub(crate) fn first(cell: CellPtr) -> Self {
        cell.header().local.retain();
        Self::owning(cell)
    }

    /// One more reference. None if the home thread has given its own back: the task is gone.
    pub(super) fn another(cell: CellPtr) -> Option<Self> {
        if cell.header().local.has(RELEASED) {
            return None;
        }
        cell.header().local.retain();
        Some(Self::owning(cell))
    }

    #[inline]
    fn owning(cell: CellPtr) -> Self {
        Self { cell, not_send: PhantomData }
    }

    #[inline]
    fn local(&self) -> &Local {
        &self.cell.header().local
    }

    /// Returns the task that a waker wakes, if it belongs to a loop of this thread and is not gone.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use std::task::{Poll, Waker};
    /// use perloop_bridge::TaskRef;
    ///
    /// let task = home.spawn(|| (), std::future::poll_fn(|cx| Poll::Ready(TaskRef::from_waker(cx.waker()))));
    /// assert!(TaskRef::from_waker(Waker::noop()).is_none());
    /// let _ = task.poll();
    /// assert_eq!(task.take(), Some(Ok(Some(task.clone()))));
    /// ```
    #[inline]
    pub fn from_waker(waker: &Waker) -> Option<Self> {
        waker::task_of(waker)
    }

    /// Says whether that waker wakes this task.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use std::task::Waker;
    ///
    /// let task = home.spawn(|| (), async {});
    /// assert!(!task.is_woken_by(Waker::noop()));
    /// ```
    #[inline]
    pub fn is_woken_by(&self, waker: &Waker) -> bool {
        waker::is_of(waker, self.cell)
    }

    /// Returns the loop's record of the task.
    ///
    /// # Panics
    /// If the task was not adopted, or the loop's records are of another type.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Record;
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct Number(u64);
    ///
    /// impl Record for Number {
    ///     type Seed = u64;
    ///
    ///     fn adopt(seed: u64) -> Self {
    ///         Self(seed)
    ///     }
    /// }
    ///
    /// let task = home.spawn(|| Number(7), async {});
    /// assert_eq!(task.record::<Number>(), &Number(7));
    /// ```
    #[inline]
    pub fn record<R: Record>(&self) -> &R {
        // SAFETY: on the home thread, as a `TaskRef` cannot leave it, and borrowed from `self`.
        unsafe { self.cell.record() }
    }

    /// Says whether the body has ended, or its loop has been closed.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), async {});
    /// let _ = task.poll();
    /// assert!(task.has_ended());
    /// ```
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.local().has(ENDED)
    }

    /// Says whether a step of it stands in the ready list.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert!(task.is_queued());
    /// ```
    #[inline]
    pub fn is_queued(&self) -> bool {
        self.local().has(QUEUED)
    }

    /// Notes that the body waits for something else than a task of its loop. The next step forgets it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// task.note_wait_elsewhere();
    /// assert!(task.waits_elsewhere());
    /// ```
    pub fn note_wait_elsewhere(&self) {
        self.local().set(WAITS_ELSEWHERE);
    }

    /// The number of the task's loop, if that notes for which cross-thread futures its tasks wait from outside, and this
    /// is one. (One of its own loop, or that anybody may set, is not outside.)
    pub(crate) fn loop_that_notes(&self, cell: CellPtr) -> Option<u32> {
        let header = cell.header();
        self.loop_that_notes_of(header.core, header.thread)
    }

    /// As above, of what is served by that loop, of that thread.
    pub(crate) fn loop_that_notes_of(
        &self,
        served_by: Option<NonNull<LoopCore>>,
        thread: ThreadToken,
    ) -> Option<u32> {
        let its = served_by.filter(|_| !self.has_ended())?;
        LoopCore::noting_id(self.core(), its, thread)
    }

    /// The body awaits the future of that cell, with its waker in that place, and the loop notes that.
    pub(crate) fn note_outside_wait(&self, cell: CellPtr, place: Place) {
        LoopCore::note_outside_wait(self.core(), cell, place);
    }

    /// On the home thread: somebody keeps the task's waker.
    pub(crate) fn waits_for_a_waker(cell: CellPtr) {
        cell.header().local.set(WAITS_ELSEWHERE);
    }

    /// Says whether such a wait was noted, or the task's waker cloned, since its last step began.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert!(!task.waits_elsewhere());
    /// ```
    #[inline]
    pub fn waits_elsewhere(&self) -> bool {
        self.local().has(WAITS_ELSEWHERE)
    }

    /// Says whether its body was ever polled, or was ended before that.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert!(!task.has_begun());
    /// let _ = task.poll();
    /// assert!(task.has_begun());
    /// ```
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.local().has(BEGUN)
    }

    /// Says whether its body is on this thread's stack, being polled or dropped.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert!(!task.is_running());
    /// ```
    pub fn is_running(&self) -> bool {
        self.local().has(RUNNING)
    }

    /// Puts a step into the ready list, unless one stands there or the task has ended.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// let Some(Ready::Step(step)) = home.pop() else { unreachable!() };
    /// assert!(!step.begin_step());
    /// step.wake();
    /// step.wake(); // once is enough
    /// assert_eq!(home.ready_len(), 1);
    /// # drop(task);
    /// ```
    #[inline]
    pub fn wake(&self) {
        Self::schedule(self.cell);
    }

    /// On the home thread.
    #[inline]
    pub(crate) fn schedule(cell: CellPtr) {
        let header = cell.header();
        if header.local.has(ENDED) || !header.local.has(ADOPTED) || !header.local.raise(QUEUED) {
            return;
        }
        header.local.retain();
        let task = Self::owning(cell);
        LoopCore::push_ready(task.core(), Ready::Step(task));
    }

    /// Makes a task of the submission of a [`Ready::Adopt`]; its first step is for the runtime to queue. False if it
    /// was cancelled before: it never begins, and ends here.
    ///
    /// # Panics
    /// A second time, and as [`Record::adopt`].
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// let future = home.remote().submit::<(), _>((), async {});
    /// let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
    /// assert!(task.adopt());
    /// task.wake();
    /// assert!(matches!(home.pop(), Some(Ready::Step(_))));
    /// # drop(future);
    /// ```
    pub fn adopt(&self) -> bool {
        assert!(self.local().has(IN_HAND), "a submission is popped, and adopted once");
        if let Err(refusal) = self.leave_hand() {
            self.refuse(refusal.into());
            return false;
        }
        self.local().set(ADOPTED);
        self.local().set(SUBMITTED);
        self.cell.adopt_record();
        if self.begin_step() {
            self.local().set(ENDED);
            self.fail(FutureError::Cancelled);
            self.publish();
            return false;
        }
        self.enlist();
        true
    }

    /// It was popped, as a submission.
    pub(crate) fn take_in_hand(&self) {
        self.local().set(IN_HAND);
    }

    /// It is adopted, lost or given back; the last two also if it was not in hand.
    pub(crate) fn leave_hand(&self) -> Result<(), Refusal> {
        if !self.local().has(IN_HAND) {
            return Ok(());
        }
        self.local().clear(IN_HAND);
        LoopCore::leave_hand(self.core())
    }

    pub(crate) fn is_of(&self, core: NonNull<LoopCore>) -> bool {
        self.cell.header().core == Some(core)
    }

    /// The loop counts it among its tasks from now on, until it ends.
    #[inline]
    fn enlist(&self) {
        LoopCore::with_tasks(self.core(), |tasks| tasks.insert(self.clone()));
    }

    /// Drops what the slot holds, and puts an error there.
    fn fail(&self, error: FutureError) {
        self.cell.fail(error);
        self.local().set(FAILED);
    }

    #[inline]
    fn core(&self) -> NonNull<LoopCore> {
        self.cell.header().core.expect("a task with a body has a loop")
    }

    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        self.local().slot()
    }

    #[inline]
    pub(crate) fn set_slot(&self, slot: u32) {
        self.local().set_slot(slot);
    }

    /// A call's turn has come.
    pub(crate) fn take_up(&self) {
        assert!(self.is_call() && self.local().raise(ADOPTED), "a call runs once");
        self.cell.adopt_record();
        let is_cancelled = self.begin_step();
        debug_assert!(!is_cancelled, "a call has no future to cancel");
    }

    /// Is it a callback that another thread handed in?
    #[inline]
    pub(crate) fn is_call(&self) -> bool {
        self.local().has(CALL)
    }

    /// The loop closed before it took the submission up.
    pub(crate) fn refuse(&self, error: FutureError) {
        if self.is_call() {
            return;
        }
        assert!(self.local().raise(ADOPTED), "refused instead of adopted");
        self.local().set(SUBMITTED | ENDED);
        self.fail(error);
        self.publish();
    }

    /// Begins a step, as the node's turn has come: clears what the inbox set. True if another thread asked for
    /// cancellation. It comes before each [`poll`](Self::poll) or [`end_with`](Self::end_with).
    ///
    /// # Panics
    /// If the task was not adopted.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// let future = home.remote().submit::<(), _>((), std::future::pending::<()>());
    /// let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
    /// assert!(task.adopt());
    /// std::thread::spawn(move || future.cancel()).join().expect("it does not panic");
    /// home.collect();
    /// let Some(Ready::Step(step)) = home.pop() else { unreachable!() };
    /// assert!(step.begin_step());
    /// ```
    #[inline]
    pub fn begin_step(&self) -> bool {
        assert!(self.local().has(ADOPTED), "adopt the task first");
        self.local().clear(QUEUED | WAITS_ELSEWHERE);
        if !self.local().has(DRAINED) {
            return false;
        }
        self.local().clear(DRAINED);
        self.cell.header().state.begin_step()
    }

    /// Polls the body once, with a waker that wakes this task.
    ///
    /// # Panics
    /// If the body has ended, or is being polled, or the task was not adopted. A panic of the body does not get here:
    /// it is the task's outcome.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Stepped;
    ///
    /// let task = home.spawn(|| (), async { panic!("out of paper") });
    /// assert_eq!(task.poll(), Stepped::Ended { publish: false });
    /// assert!(task.error().is_some());
    /// ```
    #[inline]
    pub fn poll(&self) -> Stepped {
        self.enter_body();
        let waker = waker::borrowed(self.cell);
        let polled = self.cell.poll(&mut Context::from_waker(&waker));
        self.local().clear(RUNNING);
        match polled {
            Polled::Pending if self.has_ended() => {
                // The body closed its own loop, which could not drop what was on the stack.
                self.abandon(FutureError::Cancelled);
                Stepped::Ended { publish: false }
            }
            Polled::Pending => Stepped::Pending,
            ended => {
                if ended == Polled::Error {
                    self.local().set(FAILED);
                }
                self.ended()
            }
        }
    }

    /// From now on the body is in use, until `RUNNING` is cleared.
    #[inline]
    fn enter_body(&self) {
        let local = self.local();
        if local.of(ADOPTED | ENDED | RUNNING) != ADOPTED {
            self.no_body();
        }
        local.set(RUNNING | BEGUN);
    }

    #[cold]
    fn no_body(&self) -> ! {
        assert!(!self.is_running(), "the body is being polled or dropped");
        panic!("there is no body to poll or to drop")
    }

    /// Drops the body where it stands, and makes `error` the outcome.
    ///
    /// # Panics
    /// As [`poll`](Self::poll).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{FutureError, Stepped};
    ///
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert_eq!(task.end_with(FutureError::Cancelled), Stepped::Ended { publish: false });
    /// assert_eq!(task.take::<()>(), Some(Err(FutureError::Cancelled)));
    /// ```
    pub fn end_with(&self, error: FutureError) -> Stepped {
        self.enter_body();
        self.fail(error);
        self.local().clear(RUNNING);
        self.ended()
    }

    #[inline(never)]
    fn ended(&self) -> Stepped {
        self.retire();
        Stepped::Ended { publish: !self.local().has(PUBLISHED) && !self.is_detached() }
    }

    /// Nobody pushes the node any more, and the loop no longer counts the task. A wake that is on its way is counted,
    /// for the loop's close (rule 8).
    #[inline(always)]
    fn retire(&self) {
        let header = self.cell.header();
        if !header.local.raise(ENDED) || self.is_call() {
            // A call is in no list and has no waker, and its loop may be gone.
            return;
        }
        if header.state.deafen().is_notified() && !header.local.has(DRAINED) {
            LoopCore::count_late_node(self.core());
        }
        drop(LoopCore::with_tasks(self.core(), |tasks| tasks.remove(self)));
    }

    /// The loop closes: as `retire`, for a task that is in no list any more.
    pub(crate) fn deafen(&self) -> bool {
        let header = self.cell.header();
        header.local.set(ENDED);
        // A body that closes its own loop may clone its borrowed waker afterwards: that one has to be deaf as well.
        let now =
            if header.local.has(RUNNING) { header.state.deafen_always() } else { header.state.deafen() };
        now.is_notified() && !header.local.has(DRAINED)
    }

    /// Gives the outcome to the cross-thread future, and tells who waits for it. Does nothing a second time, or if
    /// there is no such future.
    ///
    /// # Panics
    /// If the body has not ended.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{Ready, Stepped};
    ///
    /// let future = home.remote().submit::<(), _>((), async { 42 });
    /// let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
    /// assert!(task.adopt());
    /// assert_eq!(task.poll(), Stepped::Ended { publish: true });
    /// assert!(!future.done());
    /// task.publish();
    /// assert_eq!(future.result(), Ok(42));
    /// ```
    pub fn publish(&self) {
        assert!(self.has_ended() && !self.is_running(), "published before its end");
        if !self.local().raise(PUBLISHED) || self.is_detached() {
            // Nobody is left to be told.
            return;
        }
        let is_cancelled = self.local().has(FAILED) && self.cell.error() == Some(FutureError::Cancelled);
        publish(self.cell, is_cancelled);
    }

    /// The loop closes and the task has not ended: drops the body. If there is a cross-thread future, `error` is its
    /// outcome. A body that is in use is left to whoever uses it, further up this thread's stack.
    pub(crate) fn abandon(&self, error: FutureError) {
        debug_assert!(self.has_ended(), "deafened first");
        if self.is_running() {
            return;
        }
        if self.local().has(PUBLISHED) {
            self.local().set(ABANDONED);
            self.cell.drop_stage();
        } else {
            self.fail(error);
            self.publish();
        }
    }

    /// A lent body's time is over: drops it, or the outcome that nobody took.
    pub(crate) fn drop_lent(&self) {
        if !self.has_ended() {
            self.retire();
            self.local().set(ABANDONED);
        }
        if !self.local().has(TAKEN) {
            self.local().set(TAKEN);
            self.cell.drop_stage();
        }
    }

    /// Puts an error in the place of the outcome of a task that has ended and is not published; the value is dropped.
    ///
    /// # Panics
    /// If the task has not ended, or its outcome is not there any more, or is published.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::FutureError;
    ///
    /// let task = home.spawn(|| (), async { 42 });
    /// let _ = task.poll();
    /// task.replace_outcome(FutureError::Cancelled);
    /// assert_eq!(task.take::<i32>(), Some(Err(FutureError::Cancelled)));
    /// ```
    pub fn replace_outcome(&self, error: FutureError) {
        let local = self.local();
        let is_ours = !local.has(SUBMITTED) || !local.has(PUBLISHED);
        assert!(
            self.has_ended() && is_ours && !local.has(TAKEN | ABANDONED),
            "there is an outcome to replace"
        );
        assert!(local.raise(RUNNING), "the outcome is not being dropped");
        self.fail(error);
        local.clear(RUNNING);
    }

    /// Says whether nobody else has a reference: neither a cross-thread future nor a waker.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// let future = home.remote().submit::<(), _>((), async {});
    /// let Some(Ready::Adopt(task)) = home.pop() else { unreachable!() };
    /// assert!(task.adopt() && !task.is_detached());
    /// drop(future);
    /// assert!(task.is_detached());
    /// ```
    #[inline]
    pub fn is_detached(&self) -> bool {
        self.cell.header().state.load().is_ours_alone()
    }

    /// Returns the error that is the body's outcome. None if it is a value, and while there is no outcome.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::FutureError;
    ///
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// assert_eq!(task.error(), None);
    /// let _ = task.end_with(FutureError::Cancelled);
    /// assert_eq!(task.error(), Some(FutureError::Cancelled));
    /// ```
    #[inline]
    pub fn error(&self) -> Option<FutureError> {
        let is_there = self.local().has(FAILED) && self.has_ended() && !self.local().has(TAKEN | RUNNING);
        if is_there { self.cell.error() } else { None }
    }

    /// Says whether the loop was closed before the body ended: there is no outcome and there will be none.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Closing;
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// home.close(Closing::Closed);
    /// assert!(task.has_ended() && task.has_no_outcome());
    /// ```
    #[inline]
    pub fn has_no_outcome(&self) -> bool {
        self.local().has(ABANDONED)
    }

    /// Takes the outcome of a task that was made at home. None if there is none: it has not ended, its loop was closed
    /// before, or the outcome was taken before.
    ///
    /// # Panics
    /// If the output is of another type, or the task was handed in by [`Remote`](crate::Remote): its outcome is the
    /// cross-thread future's.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), async { 42 });
    /// assert_eq!(task.take::<i32>(), None);
    /// let _ = task.poll();
    /// assert_eq!(task.take(), Some(Ok(42)));
    /// assert_eq!(task.take::<i32>(), None);
    /// ```
    #[inline]
    pub fn take<T: 'static>(&self) -> Option<Result<T, FutureError>> {
        assert!(self.cell.has_output::<T>(), "an outcome of another type, or not ours to take");
        // SAFETY: just checked.
        unsafe { self.take_unchecked() }
    }

    /// Looks at the value of a task that was made at home, and leaves it where it is. None if there is none: it has not
    /// ended, or not with a value, or that was taken, or is being looked at.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), async { "words" });
    /// assert_eq!(task.look(|value: &&str| value.len()), None);
    /// let _ = task.poll();
    /// assert_eq!(task.look(|value: &&str| value.len()), Some(5));
    /// assert_eq!(task.take(), Some(Ok("words")));
    /// assert_eq!(task.look(|value: &&str| value.len()), None);
    /// ```
    pub fn look<T: 'static, R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        /// As long as the task counts as running, its output is neither taken nor replaced nor dropped.
        struct Looking<'a>(&'a Local);
        impl Drop for Looking<'_> {
            fn drop(&mut self) {
                self.0.clear(RUNNING);
            }
        }
        assert!(self.cell.has_output::<T>(), "an outcome of another type, or not ours to look at");
        let local = self.local();
        if !local.has(ENDED) || local.has(TAKEN | FAILED | ABANDONED) || !local.raise(RUNNING) {
            return None;
        }
        let _looking = Looking(local);
        // SAFETY: its type was checked; it has ended, and was not taken; and see `Looking`.
        unsafe { self.cell.look_at_output(|output| output.as_ref().ok().map(look)) }
    }

    /// # Safety
    /// The task was made at home, and its body's output is a `T`.
    #[inline]
    pub(crate) unsafe fn take_unchecked<T>(&self) -> Option<Result<T, FutureError>> {
        let local = self.local();
        if !local.has(ENDED) || local.has(RUNNING | ABANDONED) || !local.raise(TAKEN) {
            return None;
        }
        // SAFETY: the caller's promise; the output is nobody's but the home thread's; it has ended, and was not taken.
        Some(unsafe { self.cell.take_output() })
    }

    /// The node came from the inbox: says so, for `begin_step`.
    pub(crate) fn drained(cell: CellPtr) {
        cell.header().local.set(DRAINED);
    }

    #[inline]
    pub(crate) fn is_adopted(cell: CellPtr) -> bool {
        cell.header().local.has(ADOPTED)
    }

    pub(crate) fn is_ended(cell: CellPtr) -> bool {
        cell.header().local.has(ENDED)
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        self.local().retain();
        Self::owning(self.cell)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        if self.local().release() {
            self.released();
        }
    }
}

impl TaskRef {
    /// The home thread has no reference any more.
    fn released(&self) {
        // Destructors run below, with the flag up so that they can't come by a new reference.
        self.local().set(RELEASED);
        if self.local().of(IN_HAND | DRAINED | CALL | SUBMITTED | PUBLISHED | TAKEN) != PUBLISHED | TAKEN {
            self.settle();
        }
        self.cell.drop_record();
        self.cell.release_home();
    }

    /// Before the last reference goes: nothing that was begun is left open.
    fn settle(&self) {
        let local = self.local();
        drop(self.leave_hand());
        if local.has(DRAINED) {
            // The node was taken from the inbox, and what it carries was never used.
            local.clear(DRAINED);
            self.cell.release();
        }
        if local.has(CALL) || (local.has(PUBLISHED) && !local.has(SUBMITTED)) {
            // If nobody else has the cell, what the slot holds goes with it: it may hold the next task, and so on.
            if !local.has(TAKEN) && !self.is_detached() {
                self.cell.drop_stage();
            }
        } else if !local.has(ENDED) {
            // It was lost on its way to be adopted, by a panic of the runtime. Nobody shall wait for it for ever.
            local.set(ADOPTED | SUBMITTED | ENDED);
            self.fail(FutureError::Cancelled);
        }
        if local.has(SUBMITTED) {
            // Does nothing, unless a runtime forgot to.
            self.publish();
        }
    }
}

impl PartialEq for TaskRef {
    /// Is it the same task?
    fn eq(&self, other: &Self) -> bool {
        self.cell == other.cell
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef").field("at", &self.cell.as_ptr()).field("ended", &self.has_ended()).finish()
    }
}
