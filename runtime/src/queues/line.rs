//! Who waits in line: for an item, for room, or for the end of all work.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::task::Context;

use crate::places::Places;
use crate::sleep::Sleeper;

/// What a waiter knows of its place. Tickets are never given twice, and those in line are in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Waiters in the order of coming. To be woken is to be taken out of the line, so that a waiter is in it exactly as long
/// as it has to wait.
#[derive(Default)]
pub(super) struct Line {
    places: RefCell<Places<Sleeper>>,
    /// Those that a wake-up went past, as their tasks had been asked to stop. They stand aside, so that the next one
    /// does not meet them again.
    passed: RefCell<BTreeMap<Ticket, Sleeper>>,
    tickets: Cell<u64>,
}

impl Line {
    /// Goes to the end of the line.
    pub(super) fn enter(&self, cx: &Context<'_>) -> Ticket {
        let ticket = Ticket(self.tickets.get());
        self.tickets.set(ticket.0 + 1);
        // To clone a waker is foreign code.
        let sleeper = Sleeper::of(cx);
        self.places.borrow_mut().push(ticket.0, sleeper);
        ticket
    }

    /// Polled again: is it still to wait? If not, it is out of the line.
    pub(super) fn must_wait(&self, ticket: Ticket, cx: &Context<'_>) -> bool {
        match self.look(ticket, |sleeper| sleeper.is_woken_by(cx)) {
            Some(true) => true,
            Some(false) => {
                let mut sleeper = Sleeper::of(cx);
                self.look(ticket, |old| mem::swap(old, &mut sleeper));
                // The old one is dropped here, outside of the borrow.
                true
            }
            // Woken, or passed over: its task was asked to stop, but it was another await there that the request ended.
            None => {
                self.leave(ticket);
                false
            }
        }
    }

    /// Gives the place up. False if it was woken before.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        let place = self.places.borrow_mut().remove(ticket.0);
        let passed = self.passed.borrow_mut().remove(&ticket);
        // What was found is dropped here, outside of the borrows.
        place.is_some() || passed.is_some()
    }

    /// Wakes the one that has waited longest. Who has been asked to stop is passed over, for it will not come.
    #[inline]
    pub(super) fn wake_next(&self) {
        if !self.is_empty() {
            self.wake_first_that_comes();
        }
    }

    fn wake_first_that_comes(&self) {
        while let Some((place, sleeper)) = self.pop() {
            if !sleeper.is_asked_to_stop() {
                return sleeper.wake();
            }
            self.passed.borrow_mut().insert(Ticket(place), sleeper);
        }
    }

    fn pop(&self) -> Option<(u64, Sleeper)> {
        self.places.borrow_mut().pop()
    }

    /// Wakes all, in order.
    pub(super) fn wake_all(&self) {
        let (passed, places) = (self.passed.take(), self.places.take());
        passed.into_values().chain(places.into_values()).for_each(Sleeper::wake);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.places.borrow().is_empty()
    }

    fn look<R>(&self, ticket: Ticket, look: impl FnOnce(&mut Sleeper) -> R) -> Option<R> {
        self.places.borrow_mut().find(ticket.0).map(look)
    }
}
