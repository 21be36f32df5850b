//! The line in which tasks stand before a lock, an event and their kin.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Context;

use crate::current;
use crate::sleep::Sleeper;
use crate::task::{TaskRecord, step};

/// See the [module](self). A waiter stays in line until it runs, also when it was woken: who comes meanwhile can see
/// that somebody was there before.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// By place.
    waiters: RefCell<VecDeque<Waiter>>,
    places: Cell<u64>,
    /// The loop in which somebody had to wait first.
    loop_id: Cell<Option<u32>>,
}

#[derive(Debug)]
struct Waiter {
    place: u64,
    /// None once it was woken.
    sleeper: Option<Sleeper>,
}

impl Waiter {
    /// Its task was asked to stop while it stood here, and will come to leave the line. Of wakers that are no task's
    /// nobody knows; they are served, and hand on what they got.
    fn is_cancelled(&self) -> bool {
        let Some(Sleeper::Task(task)) = &self.sleeper else { return false };
        let record: &TaskRecord = task.record();
        record.rare_if_any().is_some_and(|rare| rare.cancel.has_interrupted())
    }

    fn is_to_be_served(&self) -> bool {
        self.sleeper.is_some() && !self.is_cancelled()
    }
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
        self.waiters.borrow_mut().push_back(Waiter { place, sleeper: Some(Sleeper::of(cx)) });
        step::note_wait();
        place
    }

    /// Waits on: perhaps by another waker, or in another task.
    pub(crate) fn stay(&self, place: u64, cx: &Context<'_>) {
        step::note_wait();
        let is_same =
            self.with(place, |waiter| waiter.sleeper.as_ref().is_none_or(|sleeper| sleeper.is_woken_by(cx)));
        if is_same {
            return;
        }
        let new = Some(Sleeper::of(cx));
        // The old one is dropped outside of the borrow.
        let _old = self.with(place, |waiter| std::mem::replace(&mut waiter.sleeper, new));
    }

    fn with<R>(&self, place: u64, look: impl FnOnce(&mut Waiter) -> R) -> R {
        let mut waiters = self.waiters.borrow_mut();
        let at = waiters.binary_search_by_key(&place, |waiter| waiter.place);
        look(&mut waiters[at.expect("who waits is in line")])
    }

    pub(crate) fn is_woken(&self, place: u64) -> bool {
        self.with(place, |waiter| waiter.sleeper.is_none())
    }

    pub(crate) fn is_first(&self, place: u64) -> bool {
        self.waiters.borrow().front().is_some_and(|waiter| waiter.place == place)
    }

    /// Steps out of the line. True if it had been woken.
    pub(crate) fn leave(&self, place: u64) -> bool {
        let left = {
            let mut waiters = self.waiters.borrow_mut();
            let at = waiters.binary_search_by_key(&place, |waiter| waiter.place);
            waiters.remove(at.expect("who waits is in line"))
        };
        left.is_some_and(|waiter| waiter.sleeper.is_none())
    }

    /// Is anybody in line, woken or not, but those who were cancelled there?
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.borrow().iter().any(|waiter| !waiter.is_cancelled())
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// Wakes the first in line, unless it is on its way: one that was cancelled will see to the next when it leaves.
    pub(crate) fn wake_first(&self) {
        let first = {
            let mut waiters = self.waiters.borrow_mut();
            waiters
                .front_mut()
                .filter(|waiter| waiter.is_to_be_served())
                .and_then(|first| first.sleeper.take())
        };
        if let Some(sleeper) = first {
            sleeper.wake();
        }
    }

    /// Says whom to wake next: the first that is to be served, which counts as woken from now on.
    pub(crate) fn call_next(&self) -> Option<Sleeper> {
        let mut waiters = self.waiters.borrow_mut();
        waiters.iter_mut().find(|waiter| waiter.is_to_be_served())?.sleeper.take()
    }

    /// Wakes up to `n` who are to be served, in order.
    pub(crate) fn wake(&self, n: usize) {
        if n == 1 {
            return self.call_next().into_iter().for_each(Sleeper::wake);
        }
        let called: Vec<_> = {
            let mut waiters = self.waiters.borrow_mut();
            let to_be_served = waiters.iter_mut().filter(|waiter| waiter.is_to_be_served());
            to_be_served.take(n).filter_map(|waiter| waiter.sleeper.take()).collect()
        };
        called.into_iter().for_each(Sleeper::wake);
    }

    /// Wakes everybody, also who was cancelled.
    pub(crate) fn wake_all(&self) {
        let all: Vec<_> =
            self.waiters.borrow_mut().iter_mut().filter_map(|waiter| waiter.sleeper.take()).collect();
        all.into_iter().for_each(Sleeper::wake);
    }
}
