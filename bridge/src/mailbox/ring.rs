//! Letters of which the oldest makes room for the newest.
//!
//! Only the receiver can take a letter out of a lane; here each sender must. So it is a plain queue under a lock, which is
//! held for a push and a pop, and foreign code runs outside of it.

use std::collections::VecDeque;

use crate::mailbox::letter::{Letter, Opener};
use crate::sync::{Mutex, lock};

/// See the [module](self).
pub(super) struct Ring<R: Opener> {
    capacity: usize,
    state: Mutex<State<R>>,
}

struct State<R: Opener> {
    letters: VecDeque<Letter<R>>,
    is_closed: bool,
    /// The receiver has found nothing, and its waker is there.
    is_asleep: bool,
}

/// What became of a letter.
#[must_use]
pub(super) enum Put<R: Opener> {
    In { displaced: Option<Letter<R>>, must_wake: bool },
    Refused(Letter<R>),
}

impl<R: Opener> Ring<R> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { letters: VecDeque::new(), is_closed: false, is_asleep: false };
        Self { capacity, state: Mutex::new(state) }
    }

    pub(super) fn put(&self, letter: Letter<R>) -> Put<R> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Put::Refused(letter);
        }
        let displaced = if state.letters.len() == self.capacity { state.letters.pop_front() } else { None };
        state.letters.push_back(letter);
        Put::In { displaced, must_wake: std::mem::take(&mut state.is_asleep) }
    }

    pub(super) fn take(&self) -> Option<Letter<R>> {
        lock(&self.state).letters.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).letters.len()
    }

    /// The receiver's waker is there: whoever comes next is to wake it. False: somebody has come.
    pub(super) fn fall_asleep(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_asleep = state.letters.is_empty();
        state.is_asleep
    }

    /// From now on all is refused. Gives what is there.
    pub(super) fn close(&self) -> VecDeque<Letter<R>> {
        let mut state = lock(&self.state);
        state.is_closed = true;
        std::mem::take(&mut state.letters)
    }
}
