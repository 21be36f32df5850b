//! The line in which tasks stand before a lock, an event, a queue and their kin.

mod waiters;

use std::cell::{Cell, RefCell};
use std::task::Context;

use crate::current;
use crate::event_loop::EventLoop;
use crate::sleep::Sleeper;
use crate::task::step;

use waiters::{State, Waiters};

/// See the [module](self). A waiter keeps its place until it leaves, and is one of three:
///
/// | it is | becomes |
/// | --- | --- |
/// | waiting | called, or passed over if its task is asked to stop when its turn comes |
/// | passed over | waiting again, or leaves, if it is polled after all: another await of its task took the request |
/// | called | |
///
/// So each is looked at once when others are called, however many are called before they run.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// How many are in line, so that where nobody is this is all that is looked at.
    len: Cell<usize>,
    /// And who is called is in line until it leaves.
    is_anybody_waiting: Cell<bool>,
    waiters: RefCell<Waiters>,
    /// The loop in which somebody had to wait first.
    loop_id: Cell<Option<u32>>,
}

impl Line {
    /// From now on nobody may wait in another loop.
    ///
    /// # Panics
    /// Outside of a running loop, and in another one than before.
    pub(crate) fn bind(&self, what: &str) {
        self.enter(what, |_| ());
    }

    #[inline]
    fn enter(&self, what: &str, look: impl FnOnce(&EventLoop)) {
        let entered = current::with_running(|running| {
            let is_own = self.loop_id.get().is_none_or(|bound| bound == running.id());
            if is_own {
                self.loop_id.set(Some(running.id()));
                look(running);
            }
            is_own
        });
        match entered {
            Ok(true) => {}
            Ok(false) => self.refuse(what),
            Err(error) => panic!("{what}: {error}"),
        }
    }

    #[cold]
    fn refuse(&self, what: &str) -> ! {
        let own = self.loop_id.get().and_then(current::find_owned);
        let own = own.map_or_else(|| "one that is gone".to_owned(), |own| format!("'{}'", own.name()));
        let here = current::with_running(|running| running.name().to_owned()).unwrap_or_default();
        panic!(
            "{what}: it belongs to another event loop, {own}, where a task has waited for it, and a task of \
             event loop '{here}' has to wait for it now; make one for each loop"
        )
    }

    /// Is nobody in line, called or not?
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Is there anybody who could be called?
    #[inline]
    pub(crate) fn is_anybody_waiting(&self) -> bool {
        self.is_anybody_waiting.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Is anybody in line, called or not, but those who were cancelled there?
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        !self.is_empty() && self.has_uncancelled()
    }

    fn has_uncancelled(&self) -> bool {
        self.change(|waiters| waiters.is_anybody_called() || waiters.pass_cancelled().is_some())
    }

    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut Waiters) -> R) -> R {
        let mut waiters = self.waiters.borrow_mut();
        let changed = change(&mut waiters);
        self.len.set(waiters.len());
        self.is_anybody_waiting.set(waiters.is_anybody_waiting());
        changed
    }

    /// Goes to the end of the line.
    pub(crate) fn join(&self, what: &str, cx: &Context<'_>) -> u32 {
        self.enter(what, step::note_wait_on);
        // To clone a waker is foreign code.
        let sleeper = Sleeper::of(cx);
        self.change(|waiters| waiters.join(sleeper))
    }

    /// Polled again: may it look? If it was called, or passed over and comes after all, as it may have missed its call
    /// then. If not, it waits on.
    pub(crate) fn goes_on(&self, place: u32, cx: &Context<'_>) -> bool {
        let waits = self.waiters.borrow().state(place) == State::Waiting;
        if waits {
            self.stay(place, cx);
        }
        !waits
    }

    /// Waits on: perhaps by another waker, or in another task. True if it had been passed over; it may be its turn.
    pub(crate) fn stay(&self, place: u32, cx: &Context<'_>) -> bool {
        step::note_wait();
        let is_known = self.waiters.borrow().sleeper(place).is_some_and(|sleeper| sleeper.is_woken_by(cx));
        if !is_known {
            let new = Sleeper::of(cx);
            // What is dropped here is dropped outside of the borrow.
            let _old = self.waiters.borrow_mut().replace_sleeper(place, new);
        }
        self.change(|waiters| waiters.wait_again(place))
    }

    pub(crate) fn is_called(&self, place: u32) -> bool {
        self.waiters.borrow().state(place) == State::Called
    }

    /// Is nobody before it, where not more than one is called at a time?
    pub(crate) fn is_first(&self, place: u32) -> bool {
        let waiters = self.waiters.borrow();
        match waiters.state(place) {
            State::Called => true,
            _ => !waiters.is_anybody_called() && waiters.is_first_uncalled(place),
        }
    }

    /// Steps out of the line. True if it had been called.
    pub(crate) fn leave(&self, place: u32) -> bool {
        // A waker that was not needed is dropped outside of the borrow.
        let uncalled = self.change(|waiters| waiters.leave(place));
        uncalled.is_none()
    }

    /// Wakes the first in line, unless it is on its way: one that was cancelled will see to the next when it leaves.
    #[inline]
    pub(crate) fn wake_first(&self) {
        if self.is_anybody_waiting() {
            self.wake_first_waiting();
        }
    }

    fn wake_first_waiting(&self) {
        let called = self.change(|waiters| {
            let first = waiters.pass_cancelled()?;
            let is_next = !waiters.is_anybody_called() && waiters.is_first_uncalled(first);
            if is_next { waiters.call(first) } else { None }
        });
        if let Some(sleeper) = called {
            sleeper.wake();
        }
    }

    /// Says whom to wake next, who counts as called from now on.
    pub(crate) fn call_next(&self) -> Option<Sleeper> {
        self.call_up_to(u64::MAX)
    }

    fn call_up_to(&self, last: u64) -> Option<Sleeper> {
        self.change(|waiters| waiters.call_next(last))
    }

    /// Wakes the next one.
    #[inline]
    pub(crate) fn wake_next(&self) {
        self.wake(1);
    }

    /// Wakes up to `n`, in order, and none who comes meanwhile.
    #[inline]
    pub(crate) fn wake(&self, n: usize) {
        if self.is_anybody_waiting() {
            self.wake_some(n);
        }
    }

    fn wake_some(&self, n: usize) {
        let last = self.waiters.borrow().last_came();
        (0..n).map_while(|_| self.call_up_to(last)).for_each(Sleeper::wake);
    }

    /// Wakes everybody, also who was asked to stop: another await of its task may take the request.
    #[inline]
    pub(crate) fn wake_all(&self) {
        if !self.is_empty() {
            self.wake_everybody();
        }
    }

    fn wake_everybody(&self) {
        let last = self.waiters.borrow().last_came();
        while let Some(sleeper) = self.change(|waiters| waiters.call_any(last)) {
            sleeper.wake();
        }
    }
}
