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
pub(crate) struct Waiters(Mutex<Line>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Line::default()))
    }

    /// Goes to the end of the line, and says what `mark` gave.
    pub(crate) fn enter(&self, tell: Tell, mark: impl FnOnce() -> bool) -> (Ticket, bool) {
        let mut line = lock(&self.0);
        let ticket = Ticket(line.tickets);
        line.tickets += 1;
        line.places.push_back((ticket, tell));
        (ticket, mark())
    }

    /// Gives the place up. False: it was told before.
    pub(crate) fn leave(&self, ticket: Ticket, unmark: impl FnOnce()) -> bool {
        let place = {
            let mut line = lock(&self.0);
            let place = line.find(ticket).and_then(|at| line.places.remove(at));
            if place.is_some() && line.places.is_empty() {
                unmark();
            }
            place
        };
        let was_there = place.is_some();
        drop_contained(place);
        was_there
    }

    /// Is it still in the line?
    pub(crate) fn has(&self, ticket: Ticket) -> bool {
        lock(&self.0).find(ticket).is_some()
    }

    /// As `has`; then it is told by this waker.
    pub(crate) fn renew(&self, ticket: Ticket, waker: &Waker) -> bool {
        {
            let line = lock(&self.0);
            match line.find(ticket).map(|at| &line.places[at].1) {
                None => return false,
                Some(Tell::Task(old)) if old.will_wake(waker) => return true,
                Some(_) => {}
            }
        }
        // Cloning and dropping a waker is foreign code: it runs outside the lock.
        let mut tell = Tell::Task(waker.clone());
        let is_there = {
            let mut line = lock(&self.0);
            let place = line.find(ticket);
            if let Some(at) = place {
                std::mem::swap(&mut line.places[at].1, &mut tell);
            }
            place.is_some()
        };
        drop_contained(tell);
        is_there
    }

    /// Tells the one that has waited longest.
    pub(crate) fn tell_next(&self, unmark: impl FnOnce()) {
        let first = {
            let mut line = lock(&self.0);
            let first = line.places.pop_front();
            if line.places.is_empty() {
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
            std::mem::take(&mut line.places)
        };
        all.into_iter().for_each(|(_, tell)| tell.now());
    }
}

impl Line {
    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.places.binary_search_by_key(&ticket, |place| place.0).ok()
    }
}
