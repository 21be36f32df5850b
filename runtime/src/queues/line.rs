//! Who waits in line: for an item, for room, or for the end of all work.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::task::Context;

use crate::sleep::Sleeper;

/// What a waiter knows of its place. Tickets are never given twice, and those in line are in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

struct Place {
    ticket: Ticket,
    sleeper: Sleeper,
    /// A wake-up went past it, as its task has been asked to stop.
    was_passed: bool,
}

/// Waiters in the order of coming. To be woken is to be taken out of the line, so that a waiter is in it exactly as long
/// as it has to wait.
#[derive(Default)]
pub(super) struct Line {
    places: RefCell<VecDeque<Place>>,
    tickets: Cell<u64>,
}

impl Line {
    /// Goes to the end of the line.
    pub(super) fn enter(&self, cx: &Context<'_>) -> Ticket {
        let ticket = Ticket(self.tickets.get());
        self.tickets.set(ticket.0 + 1);
        let place = Place { ticket, sleeper: Sleeper::of(cx), was_passed: false };
        self.places.borrow_mut().push_back(place);
        ticket
    }

    /// Polled again: is it still to wait? If not, it is out of the line.
    pub(super) fn must_wait(&self, ticket: Ticket, cx: &Context<'_>) -> bool {
        let Some(is_known) = self.look(ticket, |place| (place.was_passed, place.sleeper.is_woken_by(cx)))
        else {
            return false;
        };
        match is_known {
            // Its task was asked to stop, but it was another await there that the request ended.
            (true, _) => {
                self.leave(ticket);
                false
            }
            (false, true) => true,
            (false, false) => {
                let mut sleeper = Sleeper::of(cx);
                self.look(ticket, |place| mem::swap(&mut place.sleeper, &mut sleeper));
                // The old one is dropped here, outside of the borrow.
                true
            }
        }
    }

    /// Gives the place up. False if it was woken before.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        let place = {
            let mut places = self.places.borrow_mut();
            let found = places.binary_search_by_key(&ticket, |place| place.ticket);
            found.ok().and_then(|at| places.remove(at))
        };
        place.is_some()
    }

    /// Wakes the one that has waited longest. Who has been asked to stop is passed over, for it will not come.
    #[inline]
    pub(super) fn wake_next(&self) {
        if !self.is_empty() {
            self.wake_first_that_comes();
        }
    }

    fn wake_first_that_comes(&self) {
        let woken = {
            let mut places = self.places.borrow_mut();
            let comes = |place: &mut Place| {
                place.was_passed |= place.sleeper.is_asked_to_stop();
                !place.was_passed
            };
            let first = places.iter_mut().position(comes);
            first.and_then(|at| places.remove(at))
        };
        if let Some(place) = woken {
            place.sleeper.wake();
        }
    }

    /// Wakes all, in order.
    pub(super) fn wake_all(&self) {
        for place in self.places.take() {
            place.sleeper.wake();
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.places.borrow().is_empty()
    }

    fn look<R>(&self, ticket: Ticket, look: impl FnOnce(&mut Place) -> R) -> Option<R> {
        let mut places = self.places.borrow_mut();
        let at = places.binary_search_by_key(&ticket, |place| place.ticket).ok()?;
        Some(look(&mut places[at]))
    }
}
