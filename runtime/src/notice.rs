//! [`Notice`]: that something has come, for one who waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::sleep::Sleeper;
use crate::task::step;

/// Given once. It is no future that a request to the task would cancel: if another branch of the task takes the request,
/// this one waits on.
#[derive(Default)]
pub(crate) struct Notice {
    is_given: Cell<bool>,
    sleeper: RefCell<Option<Sleeper>>,
}

impl Notice {
    fn give(&self) {
        self.is_given.set(true);
        let sleeper = self.sleeper.take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// What gives it, for a callback. That may come after the wait was given up, and then wakes nobody, as the task would
    /// take it for the next thing that it waits for.
    pub(crate) fn giver(self: &Rc<Self>) -> impl Fn() + use<> {
        let notice = Rc::downgrade(self);
        move || {
            if let Some(notice) = notice.upgrade() {
                notice.give();
            }
        }
    }

    pub(crate) async fn come(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_given.get() {
            return Poll::Ready(());
        }
        // The old one is dropped outside of the borrow.
        let _old = self.sleeper.replace(Some(Sleeper::of(cx)));
        step::note_wait();
        Poll::Pending
    }
}
