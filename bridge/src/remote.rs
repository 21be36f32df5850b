//! A loop as other threads have it: where work is handed in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::core::{CoreRef, Life};
use crate::errors::{FutureError, LoopClosed, Refusal, Refused, WouldDeadlock};
use crate::future::CrossThreadFuture;
use crate::group_id::GroupId;
use crate::home::this_thread_notes;
use crate::inbox::Pushed;
use crate::ready::Ready;
use crate::sync::this_thread;
use crate::task::{Birth, Cell, CellPtr, Local, Record, State, TaskRef, VTable};
use crate::wait::Hint;

/// A handle of a loop, for any thread. It keeps neither the loop nor its thread alive.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// let remote = home.remote();
/// let is_home = std::thread::spawn(move || remote.clone().is_home());
/// assert_eq!(is_home.join().ok(), Some(false));
/// ```
#[derive(Clone)]
pub struct Remote(CoreRef);

impl Remote {
    pub(crate) fn new(core: CoreRef) -> Self {
        Self(core)
    }

    pub(crate) fn core(&self) -> &CoreRef {
        &self.0
    }

    /// Returns the open loop that has this number, see [`Home::id`](crate::Home::id).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Remote;
    /// assert_eq!(Remote::find(home.id()), Some(home.remote()));
    /// let id = home.id();
    /// drop(home);
    /// assert_eq!(Remote::find(id), None);
    /// ```
    pub fn find(id: u32) -> Option<Self> {
        crate::deadlock::find_loop(id).map(Self)
    }

    /// Says whether `waker` is that of a task of another loop, which [notes](crate::Home::note_outside_waits) what its tasks
    /// await of this one.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(!home.remote().is_noted_by(std::task::Waker::noop()));
    /// ```
    #[inline]
    pub fn is_noted_by(&self, waker: &Waker) -> bool {
        this_thread_notes() && self.is_noted_by_task_of(waker)
    }

    #[cold]
    fn is_noted_by_task_of(&self, waker: &Waker) -> bool {
        let (core, thread) = (Some(self.0.as_ptr()), self.0.thread);
        TaskRef::from_waker(waker).is_some_and(|task| task.loop_that_notes_of(core, thread).is_some())
    }

    /// Returns the loop's name.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert_eq!(home.remote().name(), "doc");
    /// ```
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Says whether a thread turns the loop just now. By the time that one reads it, it may be otherwise.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(!home.remote().is_running());
    /// ```
    pub fn is_running(&self) -> bool {
        self.0.life() == Life::Running
    }

    /// Says whether the loop is closed, or the parent process's, so that every submission will be refused.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let remote = home.remote();
    /// drop(home);
    /// assert!(remote.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.door.inbox.is_closed() || self.0.is_inherited()
    }

    /// Says why what lived on the loop has ended with it, if it has: the loop was closed, or died.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Closing, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::FutureError;
    ///
    /// assert_eq!(home.remote().loss(), None);
    /// home.close(Closing::Died);
    /// assert!(matches!(home.remote().loss(), Some(FutureError::LoopDied(_))));
    /// ```
    pub fn loss(&self) -> Option<FutureError> {
        match self.0.life() {
            Life::Resting | Life::Running => None,
            Life::Closed => Some(FutureError::LoopClosed(LoopClosed::new(self.name()))),
            Life::Died => Some(FutureError::LoopDied(self.0.died())),
        }
    }

    /// Returns how much is under way on the loop, if that [is counted](crate::Home::count_load): submissions that it has not
    /// taken up, and tasks that have not ended, as of its last turn. It may be otherwise by the time that one reads it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.count_load();
    /// let task = home.spawn(|| (), std::future::pending::<()>());
    /// home.collect(); // a turn begins
    /// assert_eq!(home.remote().load(), 1);
    /// # drop(task);
    /// ```
    pub fn load(&self) -> usize {
        self.0.current_load()
    }

    /// From now on only threads of the group hand work in; others are refused as if the loop were closed. Wakes and
    /// cancellations come through from everywhere, for what was handed in before. Who hands in at this moment may be taken
    /// for one who came before.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::GroupId;
    ///
    /// let group = GroupId::new();
    /// home.remote().close_to_others(group);
    /// assert!(home.remote().call(|| ()).is_err());
    /// let _entered = group.enter();
    /// assert!(home.remote().call(|| ()).is_ok());
    /// ```
    pub fn close_to_others(&self, than: GroupId) {
        self.0.close_to_others(than);
    }

    /// Says whether the caller is the loop's own thread.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(home.remote().is_home());
    /// ```
    pub fn is_home(&self) -> bool {
        self.0.thread == this_thread()
    }

    /// Fails if the caller is the loop's own thread, which cannot wait for its own work.
    ///
    /// # Errors
    /// `WouldDeadlock`, of this loop alone. Circles through other loops are not looked for.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let error = home.remote().check_foreign().unwrap_err();
    /// assert_eq!(error.path(), ["doc"]);
    /// ```
    pub fn check_foreign(&self) -> Result<(), WouldDeadlock> {
        if self.is_home() { Err(WouldDeadlock::of_loop(self.0.name.clone())) } else { Ok(()) }
    }

    /// Says whether the two are handles of the same loop.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(home.remote().is_same(&home.remote()));
    /// ```
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    /// Hands a body in, from any thread. If the loop does not take it, the future says so.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// let future = home.remote().submit::<(), _>((), async { 42 });
    /// assert!(matches!(home.pop(), Some(Ready::Adopt(_)))); // dropped instead of adopted
    /// assert!(future.cancelled());
    /// ```
    pub fn submit<R, F>(&self, seed: R::Seed, body: F) -> CrossThreadFuture<F::Output>
    where
        R: Record,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the body is Send and owns all that it uses.
        unsafe { self.submit_unchecked::<R, F>(seed, body) }
    }

    /// Hands in what makes a body, on the loop's thread, at the first poll; the body need not be `Send`. If the loop
    /// does not take it, the future says so.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Ready, Spin, Stepped};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # fn turn(home: &Home) {
    /// #     home.collect();
    /// #     match home.pop() {
    /// #         Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
    /// #         Some(Ready::Step(task)) => {
    /// #             let _ = task.begin_step();
    /// #             if task.poll() == (Stepped::Ended { publish: true }) { task.publish() }
    /// #         }
    /// #         _ => std::thread::yield_now(),
    /// #     }
    /// # }
    /// use std::rc::Rc;
    ///
    /// let future = home.remote().submit_with::<(), _, _>((), || {
    ///     let shared = Rc::new(42);
    ///     async move { *shared }
    /// });
    /// while !future.done() {
    ///     turn(&home);
    /// }
    /// assert_eq!(future.result(), Ok(42));
    /// ```
    pub fn submit_with<R, M, F>(&self, seed: R::Seed, make: M) -> CrossThreadFuture<F::Output>
    where
        R: Record,
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: until it is first polled, which happens at home, the body consists of `make`, which is Send.
        unsafe { self.submit_unchecked::<R, _>(seed, MadeAtHome::Maker(Some(make))) }
    }

    /// Hands a body in, or gives it back.
    ///
    /// # Errors
    /// If the loop is closed, or the parent process's.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Closing;
    /// home.close(Closing::Closed);
    /// let refused = home.remote().try_submit::<(), _>((), async { 42 }).unwrap_err();
    /// let _body = refused.into_inner(); // for another loop
    /// ```
    pub fn try_submit<R, F>(&self, seed: R::Seed, body: F) -> Result<CrossThreadFuture<F::Output>, Refused<F>>
    where
        R: Record,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (cell, future) = self.prepare::<R, F>(seed, body);
        match self.hand_in(cell) {
            Ok(()) => Ok(future),
            Err(why) => {
                // SAFETY: refused: nobody else knows of the cell, and it is of this type, seeded, and never polled.
                let work = unsafe { Cell::<R, F>::take_body(cell) };
                Self::refuse(cell, why.clone());
                Err(Refused { work, why })
            }
        }
    }

    /// Hands in a callback, from any thread; [`Home::run_handed`](crate::Home::run_handed) runs it.
    ///
    /// # Errors
    /// If the loop is closed, or the parent process's. The callback comes back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// home.remote().call(|| ()).expect("it is open");
    /// let Some(Ready::Handed(call)) = home.pop() else { unreachable!() };
    /// assert!(home.run_handed(call).is_ok());
    /// ```
    pub fn call<F: FnOnce() + Send + 'static>(&self, callback: F) -> Result<(), Refused<F>> {
        self.call_by(callback, |callback| callback())
    }

    /// As [`call`](Self::call), with something to do around the callback, or with whatever stands for one.
    ///
    /// # Errors
    /// As `call`: what stands for the callback comes back.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Closing;
    /// home.close(Closing::Closed);
    /// let refused = home.remote().call_by(42, |number| assert_eq!(number, 42)).unwrap_err();
    /// assert_eq!(refused.into_inner(), 42);
    /// ```
    pub fn call_by<W, F>(&self, work: W, run: F) -> Result<(), Refused<W>>
    where
        W: Send + 'static,
        F: FnOnce(W) + Send + 'static,
    {
        let birth = self.birth(&Cell::<(), Handed<W, F>>::VTABLE, State::call(), Local::call());
        let cell = Cell::<(), Handed<W, F>>::seeded(birth, (), Handed(Some((work, run))));
        self.hand_in(cell).map_err(|why| {
            // SAFETY: refused: nobody else knows of the cell, and it is of this type, seeded, and never polled.
            let body = unsafe { Cell::<(), Handed<W, F>>::take_body(cell) };
            cell.drop_record();
            cell.release();
            cell.release();
            let (work, _) = body.0.expect("a call that was never run has its callback");
            Refused { work, why }
        })
    }

    /// # Safety
    /// The body may be sent to the loop's thread as it is before its first poll, and lives until it is dropped there.
    pub(crate) unsafe fn submit_unchecked<R, B>(&self, seed: R::Seed, body: B) -> CrossThreadFuture<B::Output>
    where
        R: Record,
        B: Future,
    {
        let (cell, future) = self.prepare::<R, B>(seed, body);
        self.send(cell);
        future
    }

    /// A cell that is not handed in yet, and its future.
    pub(crate) fn prepare<R: Record, B: Future>(
        &self,
        seed: R::Seed,
        body: B,
    ) -> (CellPtr, CrossThreadFuture<B::Output>) {
        self.0.note_submission();
        let birth = self.birth(&Cell::<R, B>::VTABLE, State::submitted(), Local::submitted());
        let cell = Cell::<R, B>::seeded(birth, seed, body);
        let hint = Hint::new(self.0.spin, self.0.ran_on());
        (cell, CrossThreadFuture::new(cell, hint))
    }

    /// Hands a prepared cell in; if it is refused, its future says so.
    pub(crate) fn send(&self, cell: CellPtr) {
        if let Err(why) = self.hand_in(cell) {
            Self::refuse(cell, why);
        }
    }

    fn birth(&self, vtable: &'static VTable, state: State, local: Local) -> Birth {
        Birth { vtable, state, local, core: Some(self.0.as_ptr()), thread: self.0.thread }
    }

    /// Puts a new node where the loop finds it. After that the caller owns nothing of it but the future.
    fn hand_in(&self, cell: CellPtr) -> Result<(), Refusal> {
        if self.0.is_inherited() || self.0.is_closed_to_this_thread() {
            return Err(self.0.refusal());
        }
        if self.is_home() {
            return self.hand_in_at_home(cell);
        }
        self.0.door.asker.note_question(self.0.spin);
        match self.0.door.inbox.push(cell, || &self.0) {
            Pushed::Quietly => Ok(()),
            Pushed::MustRing(core) => {
                core.ring();
                Ok(())
            }
            Pushed::Refused => Err(self.0.refusal()),
        }
    }

    /// From the loop's own thread it is the ready list, as for a callback of its own.
    fn hand_in_at_home(&self, cell: CellPtr) -> Result<(), Refusal> {
        if self.0.door.inbox.is_closed() {
            return Err(self.0.refusal());
        }
        let task = TaskRef::first(cell);
        TaskRef::drained(cell);
        let entry = if task.is_call() { Ready::Handed(task) } else { Ready::Adopt(task) };
        self.0.on_home(|home| home.push(entry));
        Ok(())
    }

    /// Ends a submission that no loop knows of, in the submitter's thread.
    pub(crate) fn refuse(cell: CellPtr, why: impl Into<FutureError>) {
        cell.fail(why.into());
        cell.drop_record();
        crate::task::publish(cell, false);
        // The home's reference and the node's.
        cell.release();
        cell.release();
    }
}

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for Remote {}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("name", &self.name()).field("life", &self.0.life()).finish()
    }
}

/// A callback as a body that ends with its first poll.
struct Handed<W, F>(Option<(W, F)>);

// Nothing in it is ever pinned.
impl<W, F> Unpin for Handed<W, F> {}

impl<W, F: FnOnce(W)> Future for Handed<W, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let (work, run) = self.0.take().expect("a call is run once");
        run(work);
        Poll::Ready(())
    }
}

/// A body that its maker makes at the first poll.
enum MadeAtHome<M, F> {
    Maker(Option<M>),
    Made(F),
}

impl<M: FnOnce() -> F, F: Future> Future for MadeAtHome<M, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: only the maker, which is not pinned, is moved out; the body is written where it stays.
        let this = unsafe { self.as_mut().get_unchecked_mut() };
        if let Self::Maker(maker) = this {
            let maker = maker.take().expect("a maker is called once");
            *this = Self::Made(maker());
        }
        let Self::Made(body) = this else { unreachable!("made above") };
        // SAFETY: the body lies inside `self`, which is pinned, and is never moved out.
        unsafe { Pin::new_unchecked(body) }.poll(cx)
    }
}
