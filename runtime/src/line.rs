//! The line in which tasks stand before a lock, an event, a queue and their kin.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::iter;
use std::task::Context;

use crate::current;
use crate::places::Places;
use crate::sleep::Sleeper;
use crate::task::step;

/// See the [module](self). A waiter keeps its place until it leaves, and is one of three:
///
/// | it is | where | becomes |
/// | --- | --- | --- |
/// | waiting | `waiting` | called, or passed over if its task is asked to stop when its turn comes |
/// | passed over | `passed` | waiting again, or leaves, if it is polled after all: another await of its task took the request |
/// | called | only counted | |
///
/// So each is looked at once when others are called, however many are called before they run.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: RefCell<Places<Sleeper>>,
    /// By place.
    passed: RefCell<BTreeMap<u64, Sleeper>>,
    /// Those who were woken, and have not left yet: who comes meanwhile can see that somebody was there before.
    called: Cell<usize>,
    places: Cell<u64>,
    /// The loop in which somebody had to wait first.
    loop_id: Cell<Option<u32>>,
}

impl Line {
    /// From now on nobody may wait in another loop.
    ///
    /// # Panics
    /// Outside of a running loop, and in another one than before.
    pub(crate) fn bind(&self, what: &str) {
        let running = current::with_running(|running| (running.id(), self.is_of(running.id())));
        match running {
            Err(error) => panic!("{what}: {error}"),
            Ok((id, true)) => self.loop_id.set(Some(id)),
            Ok((_, false)) => self.refuse(what),
        }
    }

    fn is_of(&self, loop_id: u32) -> bool {
        self.loop_id.get().is_none_or(|bound| bound == loop_id)
    }

    fn refuse(&self, what: &str) -> ! {
        let own = self.loop_id.get().and_then(current::find_owned);
        let own = own.map_or_else(|| "one that is gone".to_owned(), |own| format!("'{}'", own.name()));
        let here = current::with_running(|running| running.name().to_owned()).unwrap_or_default();
        panic!(
            "{what}: it belongs to another event loop, {own}, where a task has waited for it, and a task of \
             event loop '{here}' has to wait for it now; make one for each loop"
        )
    }

    /// Goes to the end of the line.
    pub(crate) fn join(&self, what: &str, cx: &Context<'_>) -> u64 {
        self.bind(what);
        let place = self.places.get() + 1;
        self.places.set(place);
        // To clone a waker is foreign code.
        let sleeper = Sleeper::of(cx);
        self.waiting.borrow_mut().push(place, sleeper);
        step::note_wait();
        place
    }

    /// Polled again: may it look? If it was called, or passed over and comes after all, as it may have missed its call
    /// then. If not, it waits on.
    pub(crate) fn goes_on(&self, place: u64, cx: &Context<'_>) -> bool {
        let waits = self.waiting.borrow().get(place).is_some();
        if waits {
            self.stay(place, cx);
        }
        !waits
    }

    /// Waits on: perhaps by another waker, or in another task. True if it had been passed over; it may be its turn.
    pub(crate) fn stay(&self, place: u64, cx: &Context<'_>) -> bool {
        step::note_wait();
        // What is dropped here is dropped outside of the borrow.
        let passed = self.passed.borrow_mut().remove(&place);
        if passed.is_some() {
            let sleeper = Sleeper::of(cx);
            self.waiting.borrow_mut().put_back(place, sleeper);
            return true;
        }
        if !self.with(place, |sleeper| sleeper.is_woken_by(cx)) {
            let new = Sleeper::of(cx);
            let _old = self.with(place, |sleeper| std::mem::replace(sleeper, new));
        }
        false
    }

    fn with<R>(&self, place: u64, look: impl FnOnce(&mut Sleeper) -> R) -> R {
        let mut waiting = self.waiting.borrow_mut();
        look(waiting.find(place).expect("who waits is in line"))
    }

    pub(crate) fn is_called(&self, place: u64) -> bool {
        self.called.get() > 0
            && self.waiting.borrow().get(place).is_none()
            && !self.passed.borrow().contains_key(&place)
    }

    /// Is nobody before it, where not more than one is called at a time?
    pub(crate) fn is_first(&self, place: u64) -> bool {
        if self.called.get() > 0 { self.is_called(place) } else { self.first_place() == Some(place) }
    }

    /// Of those who were not called.
    fn first_place(&self) -> Option<u64> {
        let waiting = self.waiting.borrow().first().map(|(place, _)| place);
        let passed = self.passed.borrow().first_key_value().map(|(place, _)| *place);
        waiting.into_iter().chain(passed).min()
    }

    /// Steps out of the line. True if it had been called.
    pub(crate) fn leave(&self, place: u64) -> bool {
        let waited = self.waiting.borrow_mut().remove(place);
        let left = waited.or_else(|| self.passed.borrow_mut().remove(&place));
        if left.is_none() {
            self.called.set(self.called.get() - 1);
        }
        left.is_none()
    }

    /// Is anybody in line, called or not, but those who were cancelled there?
    pub(crate) fn has_waiters(&self) -> bool {
        self.called.get() > 0 || self.pass_cancelled().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.borrow().len() + self.passed.borrow().len() + self.called.get()
    }

    /// Wakes the first in line, unless it is on its way: one that was cancelled will see to the next when it leaves.
    pub(crate) fn wake_first(&self) {
        if self.pass_cancelled().is_some_and(|first| self.is_first(first)) {
            self.wake(1);
        }
    }

    /// Says whom to wake next, who counts as called from now on.
    pub(crate) fn call_next(&self) -> Option<Sleeper> {
        self.pass_cancelled()?;
        self.called.set(self.called.get() + 1);
        self.waiting.borrow_mut().pop().map(|(_, sleeper)| sleeper)
    }

    /// Passes over those at the front whose tasks were asked to stop; they will come to leave the line. Of wakers that
    /// are no task's nobody knows: they are called, and hand on what they got. Gives the place of who is left first.
    fn pass_cancelled(&self) -> Option<u64> {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.first()?.1.is_asked_to_stop() {
            self.passed.borrow_mut().extend(waiting.pop());
        }
        waiting.first().map(|(place, _)| place)
    }

    /// Wakes the next one.
    #[inline]
    pub(crate) fn wake_next(&self) {
        if !self.waiting.borrow().is_empty() {
            self.wake(1);
        }
    }

    /// Wakes up to `n`, in order.
    pub(crate) fn wake(&self, n: usize) {
        if n == 1 {
            return self.call_next().into_iter().for_each(Sleeper::wake);
        }
        // Who comes while they are woken is not one of them.
        let called: Vec<_> = iter::from_fn(|| self.call_next()).take(n).collect();
        called.into_iter().for_each(Sleeper::wake);
    }

    /// Wakes everybody, also who was asked to stop: another await of its task may take the request.
    pub(crate) fn wake_all(&self) {
        let (passed, waiting) = (self.passed.take(), self.waiting.take());
        self.called.set(self.called.get() + passed.len() + waiting.len());
        passed.into_values().chain(waiting.into_values()).for_each(Sleeper::wake);
    }
}
