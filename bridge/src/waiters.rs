//! Who waits for the same thing: blocked threads and tasks, in the order of coming.

use std::collections::VecDeque;
use std::task::Waker;

use crate::foreign::drop_contained;
use crate::sync::{Mutex, lock};
use crate::watchers::Tell;

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Default)]
struct Line {
    /// In ascending order of their tickets.
    places: VecDeque<(Ticket, Tell)>,
    tickets: u64,
}

/// See the [module](self). To be told is to be taken out of the line. A mark in the word that they wait for a change of
/// says whether somebody is in it, and is set and taken away under its lock.
///
/// The line is made by the first one: there are many of these, and most see nobody wait.
pub(crate) struct Waiters(Mutex<Option<Box<Line>>>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Goes to the end of the line, and says what `mark` gave.
    pub(crate) fn enter(&self, tell: Tell, mark: impl FnOnce() -> bool) -> (Ticket, bool) {
        let mut line = lock(&self.0);
        let line = line.get_or_insert_default();
        let ticket = Ticket(line.tickets);
        line.tickets += 1;
        line.places.push_back((ticket, tell));
        (ticket, mark())
    }

    /// Gives the place up. False: it was told before.
    pub(crate) fn leave(&self, ticket: Ticket, unmark: impl FnOnce()) -> bool {
        let place = {
            let mut line = lock(&self.0);
            line.as_mut().and_then(|line| {
                let place = line.places.remove(line.find(ticket)?);
                if line.places.is_empty() {
                    unmark();
                }
                place
            })
        };
        let was_there = place.is_some();
        drop_contained(place);
        was_there
    }

    /// Is it still in the line?
    pub(crate) fn has(&self, ticket: Ticket) -> bool {
        lock(&self.0).as_ref().is_some_and(|line| line.find(ticket).is_some())
    }

    /// As `has`; then it is told by this waker.
    pub(crate) fn renew(&self, ticket: Ticket, waker: &Waker) -> bool {
        {
            let line = lock(&self.0);
            match line.as_ref().and_then(|line| line.tell_of(ticket)) {
                None => return false,
                Some(Tell::Task(old)) if old.will_wake(waker) => return true,
                Some(_) => {}
            }
        }
        // Cloning and dropping a waker is foreign code: it runs outside the lock.
        let mut tell = Tell::Task(waker.clone());
        let is_there = {
            let mut line = lock(&self.0);
            let place = line.as_mut().and_then(|line| line.tell_of_mut(ticket));
            place.map(|old| std::mem::swap(old, &mut tell)).is_some()
        };
        drop_contained(tell);
        is_there
    }

    /// Tells the one that has waited longest.
    pub(crate) fn tell_next(&self, unmark: impl FnOnce()) {
        let first = {
            let mut line = lock(&self.0);
            let first = line.as_mut().and_then(|line| line.places.pop_front());
            if line.as_ref().is_none_or(|line| line.places.is_empty()) {
                unmark();
            }
            first
        };
        if let Some((_, tell)) = first {
            tell.now();
        }
    }

    pub(crate) fn tell_all(&self, unmark: impl FnOnce()) {
        let all = {
            let mut line = lock(&self.0);
            unmark();
            line.as_mut().map(|line| std::mem::take(&mut line.places))
        };
        all.into_iter().flatten().for_each(|(_, tell)| tell.now());
    }
}

impl Line {
    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.places.binary_search_by_key(&ticket, |place| place.0).ok()
    }

    fn tell_of(&self, ticket: Ticket) -> Option<&Tell> {
        self.find(ticket).map(|at| &self.places[at].1)
    }

    fn tell_of_mut(&mut self, ticket: Ticket) -> Option<&mut Tell> {
        self.find(ticket).map(|at| &mut self.places[at].1)
    }
}
