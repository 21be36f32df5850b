//! [`Waiters`]: those in a line, each found, called and left in the same few steps however long the line is.

use crate::sleep::Sleeper;

/// A circle of links begins and ends in a slot that nobody is in. The slot says which came first and last: for who looks
/// for a place in order, whoever waits came before it, and whoever was passed over behind it.
const WAITING: u32 = 0;
const PASSED: u32 = 1;
/// No slot that anybody can be in is the first: there is none.
const NONE: u32 = 0;

/// A place is the number of a slot, which is used again when it was left.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    slots: Vec<Slot>,
    /// The first slot that is free; each of them has the next one behind it.
    free: u32,
    len: usize,
    called: usize,
    /// The number of who came last.
    came: u64,
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// Until it is called.
    sleeper: Option<Sleeper>,
    came: u64,
    before: u32,
    behind: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Passed,
    /// In neither circle.
    Called,
    /// It has left.
    Free,
}

impl Waiters {
    /// All in line.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.first(WAITING).is_some()
    }

    #[inline]
    pub(super) fn is_anybody_called(&self) -> bool {
        self.called > 0
    }

    /// The number of who came last.
    pub(super) fn last_came(&self) -> u64 {
        self.came
    }

    #[inline]
    pub(super) fn state(&self, place: u32) -> State {
        self.at(place).state
    }

    /// None of who was called.
    pub(super) fn sleeper(&self, place: u32) -> Option<&Sleeper> {
        self.at(place).sleeper.as_ref()
    }

    pub(super) fn replace_sleeper(&mut self, place: u32, new: Sleeper) -> Option<Sleeper> {
        self.at_mut(place).sleeper.replace(new)
    }

    /// Is nobody in front of it, of those who were not called?
    pub(super) fn is_first_uncalled(&self, place: u32) -> bool {
        let firsts = [self.first(WAITING), self.first(PASSED)];
        firsts.into_iter().flatten().all(|first| self.at(first).came >= self.at(place).came)
    }

    /// Goes to the end of the line.
    #[inline]
    pub(super) fn join(&mut self, sleeper: Sleeper) -> u32 {
        if self.free == NONE {
            self.add_slot();
        }
        self.len += 1;
        self.came += 1;
        let (place, came) = (self.free, self.came);
        // Field by field: a whole slot would be written on the stack, and be read from there before that is done.
        let slot = self.at_mut(place);
        slot.state = State::Waiting;
        slot.sleeper = Some(sleeper);
        slot.came = came;
        self.free = slot.behind;
        self.link(place, WAITING);
        place
    }

    #[cold]
    #[inline(never)]
    fn add_slot(&mut self) {
        if self.slots.is_empty() {
            self.slots.push(Slot::empty(WAITING, u64::MAX));
            self.slots.push(Slot::empty(PASSED, 0));
        }
        self.free = u32::try_from(self.slots.len()).expect("fewer than 2^32 stand in a line");
        self.slots.push(Slot::empty(NONE, 0));
    }

    /// Passes over those at the front whose tasks were asked to stop; they will come to leave the line. Of wakers that
    /// are no task's nobody knows: they are called, and hand on what they got. Gives the place of who is left first.
    #[inline]
    pub(super) fn pass_cancelled(&mut self) -> Option<u32> {
        loop {
            let first = self.first(WAITING)?;
            if !self.sleeper(first).is_some_and(Sleeper::is_asked_to_stop) {
                return Some(first);
            }
            self.pass(first);
        }
    }

    #[cold]
    #[inline(never)]
    fn pass(&mut self, place: u32) {
        self.unlink(place);
        self.at_mut(place).state = State::Passed;
        let (own, mut next) = (self.at(place).came, PASSED);
        while self.at(self.at(next).before).came > own {
            next = self.at(next).before;
        }
        self.link(place, next);
    }

    /// It waits again if it was passed over: true then.
    pub(super) fn wait_again(&mut self, place: u32) -> bool {
        let was_passed = self.state(place) == State::Passed;
        if was_passed {
            self.unlink(place);
            self.at_mut(place).state = State::Waiting;
            let (own, mut next) = (self.at(place).came, self.at(WAITING).behind);
            while self.at(next).came < own {
                next = self.at(next).behind;
            }
            self.link(place, next);
        }
        was_passed
    }

    /// Calls the first who waits and whose task was not asked to stop, of those who have come up to that number.
    #[inline]
    pub(super) fn call_next(&mut self, last: u64) -> Option<Sleeper> {
        let first = self.pass_cancelled()?;
        if self.at(first).came <= last { self.call(first) } else { None }
    }

    /// Calls one who was not called, whether or not its task was asked to stop.
    pub(super) fn call_any(&mut self, last: u64) -> Option<Sleeper> {
        let first = self.first(PASSED).or_else(|| self.first(WAITING))?;
        if self.at(first).came <= last { self.call(first) } else { None }
    }

    #[inline]
    pub(super) fn call(&mut self, place: u32) -> Option<Sleeper> {
        self.unlink(place);
        self.called += 1;
        let slot = self.at_mut(place);
        slot.state = State::Called;
        slot.sleeper.take()
    }

    /// Steps out of the line. Gives whom nobody has called.
    #[inline]
    pub(super) fn leave(&mut self, place: u32) -> Option<Sleeper> {
        let uncalled = if self.state(place) == State::Called { None } else { self.call(place) };
        self.called -= 1;
        self.len -= 1;
        let next_free = std::mem::replace(&mut self.free, place);
        let slot = self.at_mut(place);
        slot.state = State::Free;
        slot.behind = next_free;
        uncalled
    }

    #[inline]
    fn first(&self, circle: u32) -> Option<u32> {
        let first = self.slots.get(circle as usize)?.behind;
        (first != circle).then_some(first)
    }

    /// Puts it into a circle, before another one there.
    #[inline]
    fn link(&mut self, place: u32, behind: u32) {
        let before = std::mem::replace(&mut self.at_mut(behind).before, place);
        self.at_mut(before).behind = place;
        let slot = self.at_mut(place);
        (slot.before, slot.behind) = (before, behind);
    }

    #[inline]
    fn unlink(&mut self, place: u32) {
        let &Slot { before, behind, .. } = self.at(place);
        self.at_mut(before).behind = behind;
        self.at_mut(behind).before = before;
    }

    #[inline]
    fn at(&self, place: u32) -> &Slot {
        &self.slots[place as usize]
    }

    #[inline]
    fn at_mut(&mut self, place: u32) -> &mut Slot {
        &mut self.slots[place as usize]
    }
}

impl Slot {
    fn empty(next: u32, came: u64) -> Self {
        Self { state: State::Free, sleeper: None, came, before: next, behind: next }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::{State, Waiters};
    use crate::sleep::Sleeper;

    fn line_of(n: usize) -> (Waiters, Vec<u32>) {
        let mut waiters = Waiters::default();
        let places = (0..n).map(|_| waiters.join(Sleeper::Waker(Waker::noop().clone()))).collect();
        (waiters, places)
    }

    /// The places of who is called, in order, till nobody is left.
    fn call_all(waiters: &mut Waiters) -> Vec<u32> {
        std::iter::from_fn(|| {
            let first = waiters.pass_cancelled()?;
            waiters.call_next(u64::MAX).map(|_| first)
        })
        .collect()
    }

    #[test]
    fn whoever_leaves_the_others_keep_their_order() {
        let (mut waiters, places) = line_of(5);
        assert!(waiters.leave(places[0]).is_some() && waiters.leave(places[2]).is_some());
        let (again, last) = (places[2], waiters.join(Sleeper::Waker(Waker::noop().clone())));
        assert_eq!(last, again, "what was left last is used again first");
        assert_eq!(call_all(&mut waiters), [places[1], places[3], places[4], last]);
        assert!(waiters.len() == 4 && waiters.leave(last).is_none(), "it was called");
        assert_eq!((waiters.len(), waiters.state(last)), (3, State::Free));
    }

    #[test]
    fn who_was_passed_over_comes_back_to_where_it_was() {
        let (mut waiters, places) = line_of(5);
        places[..3].iter().for_each(|place| waiters.pass(*place));
        assert!(!waiters.is_first_uncalled(places[3]));
        assert!(waiters.wait_again(places[2]) && waiters.wait_again(places[0]));
        waiters.pass(places[2]);
        assert!(waiters.is_first_uncalled(places[0]) && waiters.wait_again(places[1]));
        assert!(waiters.leave(places[2]).is_some());
        assert_eq!(call_all(&mut waiters), [places[0], places[1], places[3], places[4]]);
    }

    #[test]
    fn only_who_came_till_then_is_called() {
        let (mut waiters, _) = line_of(2);
        let last = waiters.last_came();
        waiters.join(Sleeper::Waker(Waker::noop().clone()));
        assert!(waiters.call_next(last).is_some() && waiters.call_any(last).is_some());
        assert!(waiters.call_next(last).is_none() && waiters.call_any(last).is_none());
        assert!(waiters.is_anybody_waiting());
    }
}
