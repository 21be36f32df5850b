//! [`Scopes`]: what catches requests to cancel inside of one task, and how a request finds it.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::task::{Poll, Waker};

use perloop_bridge::TaskRef;

use crate::cancel::Cancelled;
use crate::event_loop::run_callback;
use crate::timers::TimerKey;

/// The `catch_cancelled` scopes that a task is in.
#[derive(Default)]
pub(crate) struct Scopes {
    active: RefCell<Active>,
    made: Cell<u64>,
    /// The scope whose future is being polled; zero is none's number.
    current: Cell<u64>,
    /// What `Cancelled::raise` said in this poll, and no scope has taken.
    raised: Cell<Option<Box<Said>>>,
    /// A request was passed to scopes, and none has taken it yet.
    is_untaken: Cell<bool>,
    /// There are scopes that were told to stop, and their insides have not heard of it.
    is_told: Cell<bool>,
    /// Was a scope ever polled by an executor inside of the task?
    has_wakers: Cell<bool>,
}

/// What was raised, with a number of its own.
pub(crate) struct Said {
    number: u64,
    pub(crate) cancelled: Cancelled,
}

/// The scopes by number, which ascends: those that are inside of another one come behind it, so that mostly the last one
/// is asked for. One that is left from amid the others stays as a gap, so that it costs them nothing. To enter the next
/// one, and to leave the last one, takes a few plain stores.
#[derive(Debug, Default)]
struct Active {
    /// Behind the first `len` of them are some that were left, for those to come. The last of the `len` is in use.
    line: Vec<Scope>,
    len: usize,
    gaps: usize,
}

#[derive(Debug, Default)]
struct Scope {
    id: u64,
    /// The scope around; zero is none's number.
    parent: u64,
    /// False: it is a `Frame`, which only marks what is inside of it.
    catches: bool,
    has_left: bool,
    stop: Stop,
    /// The timer of a timeout around the body.
    alarm: Option<TimerKey>,
    asked: Option<Cancelled>,
    waker: Option<Waker>,
}

/// Is it to end, beside others of the task that go on?
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stop {
    #[default]
    No,
    /// The task's next step passes it on.
    Told,
    /// What is inside has heard of it.
    Heard,
}

/// Below this, gaps cost less than to close them.
const FEW: usize = 32;

impl Active {
    #[inline]
    fn push(&mut self, id: u64, parent: u64, catches: bool) {
        if self.len == self.line.len() {
            self.line.push(Scope::default());
        }
        let next = &mut self.line[self.len];
        (next.id, next.parent, next.catches) = (id, parent, catches);
        (next.has_left, next.stop, next.alarm) = (false, Stop::No, None);
        self.len += 1;
    }

    #[inline]
    fn in_use(&self) -> &[Scope] {
        &self.line[..self.len]
    }

    #[inline]
    fn position(&self, id: u64) -> Option<usize> {
        let in_use = self.in_use();
        if in_use.last()?.id == id {
            return Some(in_use.len() - 1);
        }
        let at = in_use.binary_search_by_key(&id, |scope| scope.id).ok()?;
        (!in_use[at].has_left).then_some(at)
    }

    #[inline]
    fn get(&self, id: u64) -> Option<&Scope> {
        self.position(id).map(|at| &self.line[at])
    }

    #[inline]
    fn find(&mut self, id: u64) -> Option<&mut Scope> {
        self.position(id).map(|at| &mut self.line[at])
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        self.in_use().iter().filter(|scope| !scope.has_left)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Scope> {
        self.line[..self.len].iter_mut().filter(|scope| !scope.has_left)
    }

    /// What it gives is dropped by the caller, outside of the borrow.
    #[inline]
    fn remove(&mut self, id: u64) -> Option<Waker> {
        let at = self.position(id)?;
        let left = &mut self.line[at];
        left.has_left = true;
        if left.asked.is_some() {
            left.asked = None;
        }
        let waker = if left.waker.is_some() { left.waker.take() } else { None };
        if at + 1 < self.len {
            self.close_gaps();
        } else {
            self.len = at;
            while self.gaps > 0 && self.in_use().last().is_some_and(|scope| scope.has_left) {
                self.len -= 1;
                self.gaps -= 1;
            }
        }
        waker
    }

    /// There is one more.
    fn close_gaps(&mut self) {
        self.gaps += 1;
        if self.len > FEW && self.gaps > self.len / 2 {
            self.line.truncate(self.len);
            self.line.retain(|scope| !scope.has_left);
            (self.len, self.gaps) = (self.line.len(), 0);
        }
    }

    /// The scope, what is around it, what is around that, and so on.
    fn chain<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Scope> {
        std::iter::successors(Some(scope), |inner| self.get(inner.parent))
    }

    /// The nearest scope around one that catches.
    fn around(&self, scope: &Scope) -> Option<u64> {
        // A frame is around nobody's request.
        let mut outer = self.chain(scope).skip(1).filter(|outer| outer.catches);
        scope.catches.then(|| outer.next().map(|outer| outer.id))?
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (active, current) = (self.active.borrow(), self.current.get());
        f.debug_struct("Scopes").field("active", &active).field("current", &current).finish_non_exhaustive()
    }
}

/// Asking, and telling.
impl Scopes {
    /// Passes a request to the innermost scopes. False if there is none.
    pub(crate) fn ask(&self, request: &Cancelled) -> bool {
        let is_passed_on = self.ask_inside(None, request);
        self.is_untaken.set(is_passed_on);
        is_passed_on
    }

    /// As `ask`, of the scopes inside of this one.
    pub(crate) fn ask_all_inside(&self, id: u64, request: &Cancelled) -> bool {
        self.ask_inside(Some(&HashSet::from([id])), request)
    }

    /// As `ask`, of the scopes inside of some, or of all.
    fn ask_inside(&self, some: Option<&HashSet<u64>>, request: &Cancelled) -> bool {
        let wakers: Vec<_> = {
            let mut active = self.active.borrow_mut();
            let around: HashSet<_> = active.all().filter_map(|scope| active.around(scope)).collect();
            let is_inside = |scope: &Scope| {
                some.is_none_or(|some| active.chain(scope).any(|outer| some.contains(&outer.id)))
            };
            let is_innermost = |scope: &&Scope| scope.catches && !around.contains(&scope.id);
            let asked: Vec<_> = active
                .all()
                .filter(is_innermost)
                .filter(|scope| is_inside(scope))
                .map(|scope| scope.id)
                .collect();
            let ask = |scope: &mut Scope| {
                scope.asked = Some(request.clone());
                scope.waker.take()
            };
            asked.into_iter().filter_map(|id| active.find(id).map(ask)).collect()
        };
        // For executors inside of the task that poll only what was woken.
        let is_passed_on = !wakers.is_empty();
        wakers.into_iter().flatten().for_each(|waker| run_callback(|| waker.wake()));
        is_passed_on
    }

    /// The next step asks what is inside of the scope to stop, and nothing else.
    pub(crate) fn tell(&self, id: u64) {
        if let Some(scope) = self.active.borrow_mut().find(id) {
            scope.stop = Stop::Told;
            self.is_told.set(true);
        }
    }

    /// As `tell`, of which what is inside hears otherwise.
    pub(crate) fn note_stop(&self, id: u64) {
        if let Some(scope) = self.active.borrow_mut().find(id) {
            scope.stop = Stop::Heard;
        }
    }

    #[inline]
    pub(crate) fn has_told(&self) -> bool {
        self.is_told.get()
    }

    pub(crate) fn pass_on_what_was_told(&self) {
        self.is_told.set(false);
        let told: HashSet<_> = {
            let mut active = self.active.borrow_mut();
            let told = active.all_mut().filter(|scope| scope.stop == Stop::Told);
            told.map(|scope| {
                scope.stop = Stop::Heard;
                scope.id
            })
            .collect()
        };
        self.ask_inside(Some(&told), &Cancelled::default());
    }

    /// A request that was passed only to scopes whose futures have left the task, so that nobody took it.
    #[inline]
    pub(crate) fn take_orphaned(&self) -> Option<Cancelled> {
        if !self.is_untaken.take() {
            return None;
        }
        self.active.borrow_mut().all_mut().find_map(|scope| scope.asked.take())
    }
}

/// Where a scope stands among the others.
impl Scopes {
    /// The scope whose future is being polled.
    #[inline]
    pub(crate) fn current(&self) -> Option<u64> {
        Some(self.current.get()).filter(|current| *current != 0)
    }

    /// Is `inner` the scope of this number, or inside of it?
    pub(crate) fn is_inside(&self, inner: Option<u64>, id: u64) -> bool {
        let active = self.active.borrow();
        let inner = inner.and_then(|inner| active.get(inner));
        inner.is_some_and(|inner| active.chain(inner).any(|scope| scope.id == id))
    }

    /// Is every other scope of the task inside or around it?
    pub(crate) fn is_alone(&self, id: u64) -> bool {
        let active = self.active.borrow();
        let around: HashSet<_> = {
            let own = active.get(id);
            own.into_iter().flat_map(|own| active.chain(own)).map(|scope| scope.id).collect()
        };
        let is_related =
            |scope: &Scope| around.contains(&scope.id) || active.chain(scope).any(|outer| outer.id == id);
        active.all().all(is_related)
    }

    /// How many of a scope and those around it are to end.
    #[inline]
    pub(crate) fn stops_around(&self, inner: Option<u64>) -> usize {
        inner.map_or(0, |inner| self.stops_in_chain(inner))
    }

    fn stops_in_chain(&self, inner: u64) -> usize {
        let active = self.active.borrow();
        active
            .get(inner)
            .map_or(0, |inner| active.chain(inner).filter(|scope| scope.stop != Stop::No).count())
    }
}

/// A future's way through its scope.
impl Scopes {
    #[inline]
    fn next_number(&self) -> u64 {
        self.made.set(self.made.get() + 1);
        self.made.get()
    }

    #[inline]
    pub(crate) fn enter(&self, catches: bool) -> u64 {
        let id = self.next_number();
        self.active.borrow_mut().push(id, self.current.get(), catches);
        id
    }

    /// Was it entered, and not left meanwhile?
    #[inline]
    pub(crate) fn is_in(&self, id: u64) -> bool {
        self.active.borrow().position(id).is_some()
    }

    /// As `is_in`, and whether it was asked to stop.
    #[inline]
    pub(crate) fn find(&self, id: u64) -> Option<bool> {
        self.active.borrow().get(id).map(|scope| scope.asked.is_some())
    }

    /// The scope is a timeout's, which has that timer.
    #[inline]
    pub(crate) fn set_alarm(&self, id: u64, alarm: TimerKey) {
        if let Some(scope) = self.active.borrow_mut().find(id) {
            scope.alarm = Some(alarm);
        }
    }

    /// The scope that was given that timer last.
    pub(crate) fn find_alarmed(&self, alarm: TimerKey) -> Option<u64> {
        let active = self.active.borrow();
        active.all().rev().find(|scope| scope.alarm == Some(alarm)).map(|scope| scope.id)
    }

    #[inline]
    pub(crate) fn leave(&self, id: u64) {
        // A waker is foreign code, which runs outside of the borrow.
        let _waker = self.active.borrow_mut().remove(id);
    }

    /// Leaves a frame, and with it all that is inside.
    pub(crate) fn leave_all_inside(&self, frame: u64) {
        let _wakers: Vec<_> = {
            let mut active = self.active.borrow_mut();
            // What is inside was entered later, so mostly there is nothing.
            if active.in_use().last().is_some_and(|last| last.id == frame) {
                active.remove(frame).into_iter().collect()
            } else {
                let is_inside = |scope: &&Scope| active.chain(scope).any(|outer| outer.id == frame);
                let inside: Vec<_> = active.all().filter(is_inside).map(|scope| scope.id).collect();
                inside.into_iter().filter_map(|id| active.remove(id)).collect()
            }
        };
    }

    #[inline]
    pub(crate) fn take_asked(&self, id: u64) -> Option<Cancelled> {
        let asked = self.active.borrow_mut().find(id)?.asked.take()?;
        self.is_untaken.set(false);
        Some(asked)
    }

    /// The scope waits. If it is not the task that polls it, then who does is woken when it is asked.
    #[inline]
    pub(crate) fn note_waker(&self, id: u64, waker: &Waker, task: &TaskRef) {
        let is_own = task.is_woken_by(waker);
        if is_own && !self.has_wakers.get() {
            return;
        }
        self.has_wakers.set(true);
        let new = (!is_own).then(|| waker.clone());
        let _old = self.active.borrow_mut().find(id).map(|scope| std::mem::replace(&mut scope.waker, new));
    }

    /// Polls what is inside of a scope, and gives what it raised.
    #[inline]
    pub(crate) fn poll<T>(&self, id: u64, poll: impl FnOnce() -> Poll<T>) -> (Poll<T>, Option<Box<Said>>) {
        struct Restore<'a>(&'a Scopes, u64);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.current.set(self.1);
            }
        }
        // What another branch of the task raised is not ours.
        let raised_elsewhere = self.raised.take();
        let polled = {
            let _restore = Restore(self, self.current.replace(id));
            poll()
        };
        (polled, self.raised.replace(raised_elsewhere))
    }

    pub(crate) fn raise(&self, cancelled: Cancelled) -> u64 {
        let number = self.next_number();
        self.raised.set(Some(Box::new(Said { number, cancelled })));
        number
    }

    pub(crate) fn take_back(&self, number: u64) {
        let said = self.raised.take();
        self.raised.set(said.filter(|said| said.number != number));
    }

    #[inline]
    pub(crate) fn take_raised(&self) -> Option<Cancelled> {
        self.raised.take().map(|said| said.cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::{Active, FEW, Scopes};
    use crate::cancel::Cancelled;

    fn ids(active: &Active) -> Vec<u64> {
        active.all().map(|scope| scope.id).collect()
    }

    #[test]
    fn who_stays_for_ever_does_not_keep_the_places_of_all_who_leave_around_it() {
        let scopes = Scopes::default();
        let mut stays = scopes.enter(true);
        for _ in 0..1_000 {
            let behind = [scopes.enter(true), scopes.enter(true)];
            scopes.leave(behind[0]);
            assert!(!scopes.is_in(behind[0]) && scopes.is_in(behind[1]) && scopes.is_in(stays));
            scopes.leave(stays);
            stays = behind[1];
        }
        let active = scopes.active.borrow();
        assert_eq!(ids(&active), [stays]);
        assert!(active.line.len() <= 2 * FEW, "{}", active.line.len());
    }

    #[test]
    fn whoever_leaves_the_others_are_found_in_their_order() {
        let scopes = Scopes::default();
        let made: Vec<_> = (0..100).map(|_| scopes.enter(true)).collect();
        let (odd, even): (Vec<u64>, Vec<u64>) = made.iter().partition(|id| *id % 2 == 1);
        odd.iter().rev().for_each(|id| scopes.leave(*id));
        assert_eq!(ids(&scopes.active.borrow()), even);
        assert!(odd.iter().all(|id| !scopes.is_in(*id)) && even.iter().all(|id| scopes.is_in(*id)));
        even.iter().rev().for_each(|id| scopes.leave(*id));
        assert_eq!(scopes.active.borrow().len, 0, "no gap is left either");
    }

    #[test]
    fn what_was_asked_of_one_who_left_is_not_asked_of_the_next_in_its_place() {
        let scopes = Scopes::default();
        let first = scopes.enter(true);
        assert!(scopes.ask(&Cancelled::default()));
        scopes.leave(first);
        let next = scopes.enter(true);
        assert_eq!((scopes.find(first), scopes.find(next)), (None, Some(false)));
        assert_eq!(scopes.take_asked(next), None);
    }
}
