//! A loop as other threads have it: where work is handed in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::{CoreRef, Life};
use crate::errors::{FutureError, Refusal, Refused, WouldDeadlock};
use crate::future::CrossThreadFuture;
use crate::home::Ready;
use crate::inbox::Pushed;
use crate::sync::this_thread;
use crate::task::{Birth, Cell, CellPtr, Local, Record, State, TaskRef};
use crate::wait::Hint;

/// A handle of a loop, for any thread. It keeps neither the loop nor its thread alive.
#[derive(Clone)]
pub struct Remote(CoreRef);

impl Remote {
    pub(crate) fn new(core: CoreRef) -> Self {
        Self(core)
    }

    pub(crate) fn core(&self) -> &CoreRef {
        &self.0
    }

    /// The open loop that has this number, see [`Home::id`](crate::Home::id).
    pub fn find(id: u64) -> Option<Self> {
        crate::deadlock::find_loop(id).map(Self)
    }

    /// The loop's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Does a thread turn the loop just now? By the time that one reads it, it may be otherwise.
    pub fn is_running(&self) -> bool {
        self.0.life() == Life::Running
    }

    /// Is the loop closed, so that every submission will be refused?
    pub fn is_closed(&self) -> bool {
        self.0.inbox.is_closed() || self.0.is_inherited()
    }

    /// Is the caller the loop's own thread?
    pub fn is_home(&self) -> bool {
        self.0.thread == this_thread()
    }

    /// Fails if the caller is the loop's own thread, which cannot wait for its own work.
    pub fn check_foreign(&self) -> Result<(), WouldDeadlock> {
        if self.is_home() { Err(WouldDeadlock { path: vec![self.0.name.clone()] }) } else { Ok(()) }
    }

    /// Are two handles of the same loop?
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    /// Hands a body in. If the loop does not take it, the future says so.
    pub fn submit<R, F>(&self, seed: R::Seed, body: F) -> CrossThreadFuture<F::Output>
    where
        R: Record,
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the body is Send and owns all that it uses.
        unsafe { self.submit_unchecked::<R, F>(seed, body) }
    }

    /// Hands in what makes a body, on the loop's thread; the body need not be `Send`.
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

    /// Hands in a callback.
    ///
    /// # Errors
    /// If the loop is closed, or the parent process's. The callback comes back.
    pub fn call<F: FnOnce() + Send + 'static>(&self, callback: F) -> Result<(), Refused<F>> {
        let birth = self.birth(State::call(), Local::call());
        let cell = Cell::<(), Handed<F>>::seeded(birth, (), Handed(Some(callback)));
        self.hand_in(cell).map_err(|why| {
            // SAFETY: refused: nobody else knows of the cell, and it is of this type, seeded, and never polled.
            let body = unsafe { Cell::<(), Handed<F>>::take_body(cell) };
            cell.drop_record();
            cell.release();
            cell.release();
            Refused { work: body.0.expect("a call that was never run has its callback"), why }
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
        let cell = Cell::<R, B>::seeded(self.birth(State::submitted(), Local::submitted()), seed, body);
        let hint = Hint { spin: self.0.spin, ran_on: self.0.ran_on() };
        (cell, CrossThreadFuture::new(cell, hint))
    }

    /// Hands a prepared cell in; if it is refused, its future says so.
    pub(crate) fn send(&self, cell: CellPtr) {
        if let Err(why) = self.hand_in(cell) {
            Self::refuse(cell, why);
        }
    }

    fn birth(&self, state: State, local: Local) -> Birth {
        Birth { state, local, core: Some(self.0.as_ptr()), thread: self.0.thread }
    }

    /// Puts a new node where the loop finds it. After that the caller owns nothing of it but the future.
    fn hand_in(&self, cell: CellPtr) -> Result<(), Refusal> {
        if self.0.is_inherited() {
            return Err(self.0.refusal());
        }
        if self.is_home() {
            return self.hand_in_at_home(cell);
        }
        match self.0.inbox.push(cell, || &self.0) {
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
        if self.0.inbox.is_closed() {
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
        crate::task::publish(cell);
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
struct Handed<F>(Option<F>);

// Nothing in it is ever pinned.
impl<F> Unpin for Handed<F> {}

impl<F: FnOnce()> Future for Handed<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let callback = self.0.take().expect("a call is run once");
        callback();
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
