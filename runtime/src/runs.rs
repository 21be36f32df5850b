//! [`Runs`]: what one callback has to do in each of its entries in the ready list.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use perloop_bridge::{Call, CallRef, Home, Ready};

/// What is queued for one turn with nothing between is one entry of the ready list: nothing could come between its parts. The owner is
/// a [`Call`] that does what [`take`](Self::take) gives.
pub(crate) struct Runs<T> {
    /// In the order in which it is queued, with a gap in front of each entry's.
    queued: RefCell<VecDeque<Option<T>>>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { queued: RefCell::default() }
    }
}

impl<T> Runs<T> {
    /// `runs` are those of `call`.
    pub(crate) fn queue<C: Call + 'static>(call: Rc<C>, runs: fn(&C) -> &Self, home: &Home, value: T) {
        if home.ends_with(&call) {
            return runs(&call).queued.borrow_mut().push_back(Some(value));
        }
        runs(&call).queued.borrow_mut().extend([None, Some(value)]);
        home.push(Ready::Call(CallRef(call)));
    }

    /// Gives what the entry whose turn it is has to do. All of it has to be taken.
    pub(crate) fn take(&self) -> impl Iterator<Item = T> {
        let _gap = self.queued.borrow_mut().pop_front();
        std::iter::from_fn(|| {
            let mut queued = self.queued.borrow_mut();
            let next = queued.pop_front()?;
            if next.is_none() {
                // The next entry's gap.
                queued.push_front(None);
            }
            next
        })
    }
}
