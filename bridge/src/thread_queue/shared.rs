//! What both sides of a queue share: the ring, and who waits on either side; and the waits themselves, which are the
//! same for both.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::deadlock;
use crate::errors::WouldDeadlock;
use crate::sync::{AtomicUsize, Deadline, Ordering, Parker, generation, spin_loop, yield_now};
use crate::thread_queue::ring::{Moved, Ring, Stuck};
use crate::thread_queue::waiters::{Ticket, Waiters};
use crate::wait::{Spin, look_for_other_side};
use crate::watchers::Tell;

/// See the [module](self).
pub(super) struct Shared<T> {
    pub(super) ring: Ring<T>,
    getters: Waiters,
    putters: Waiters,
    pub(super) senders: AtomicUsize,
    pub(super) receivers: AtomicUsize,
    spin: Spin,
    generation: u32,
}

/// One side of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Get,
    Put,
}

/// Why a blocking call has come to nothing.
pub(super) enum Failed {
    Closed,
    TimedOut,
    WouldDeadlock(WouldDeadlock),
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize, spin: Spin) -> Self {
        Self {
            ring: Ring::new(capacity),
            getters: Waiters::new(),
            putters: Waiters::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            spin,
            generation: generation(),
        }
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<T, Stuck> {
        let Moved { what, is_waited_for } = self.ring.get()?;
        if is_waited_for {
            self.tell(Side::Put);
        }
        Ok(what)
    }

    /// The item stays if it is not put.
    #[inline]
    pub(super) fn try_put(&self, item: &mut Option<T>) -> Result<(), Stuck> {
        let given = item.take().expect("an item is put once");
        match self.ring.put(given) {
            Ok(moved) => {
                if moved.is_waited_for {
                    self.tell(Side::Get);
                }
                Ok(())
            }
            Err((given, stuck)) => {
                *item = Some(given);
                Err(stuck)
            }
        }
    }

    pub(super) fn close(&self) {
        if self.ring.close() && !self.is_inherited() {
            self.getters.tell_all(|| self.ring.unmark_get());
            self.putters.tell_all(|| self.ring.unmark_put());
        }
    }

    /// Adds one that keeps a side open.
    pub(super) fn add_to(count: &AtomicUsize) {
        // ORDERING: Relaxed; a new one is made from one that is there, and orders nothing.
        if count.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            std::process::abort();
        }
    }

    /// True: it was the last one of its side.
    pub(super) fn take_from(count: &AtomicUsize) -> bool {
        // ORDERING: AcqRel: what the others did comes before what the last one does.
        count.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Does it belong to the process that this one was forked from? Then who waits is not here, and their locks may be
    /// held for ever.
    fn is_inherited(&self) -> bool {
        self.generation != generation()
    }

    fn line(&self, side: Side) -> &Waiters {
        match side {
            Side::Get => &self.getters,
            Side::Put => &self.putters,
        }
    }

    fn unmark(&self, side: Side) {
        match side {
            Side::Get => self.ring.unmark_get(),
            Side::Put => self.ring.unmark_put(),
        }
    }

    #[cold]
    fn tell(&self, side: Side) {
        if !self.is_inherited() {
            self.line(side).tell_next(|| self.unmark(side));
        }
    }

    /// Goes into the line. True: it is worth waiting there, as what it waits for has still to come.
    fn enter(&self, side: Side, tell: Tell) -> (Ticket, bool) {
        self.line(side).enter(tell, || match side {
            Side::Get => self.ring.mark_waiting_get(),
            Side::Put => self.ring.mark_waiting_put(),
        })
    }

    /// Out of the line, with or without what it waited for. If it was told of more than it took, the next one is.
    fn leave(&self, side: Side, ticket: Ticket) {
        if self.is_inherited() || self.line(side).leave(ticket, || self.unmark(side)) {
            return;
        }
        let len = self.ring.len();
        let is_something_left = match side {
            Side::Get => len > 0,
            Side::Put => len < self.ring.capacity(),
        };
        if is_something_left {
            self.tell(side);
        }
    }

    /// Gives a wait up.
    pub(super) fn forget(&self, side: Side, place: &mut Option<Ticket>) {
        if let Some(ticket) = place.take() {
            self.leave(side, ticket);
        }
    }

    /// One poll of a task's wait: `attempt` until it succeeds. An error: the queue is closed.
    pub(super) fn poll<R>(
        &self,
        side: Side,
        place: &mut Option<Ticket>,
        cx: &Context<'_>,
        mut attempt: impl FnMut() -> Result<R, Stuck>,
    ) -> Poll<Result<R, ()>> {
        loop {
            match attempt() {
                Ok(done) => {
                    self.forget(side, place);
                    return Poll::Ready(Ok(done));
                }
                Err(Stuck::Blocked) if !self.is_inherited() => {}
                Err(Stuck::Busy) => {
                    // For a moment, unless the other thread has lost its core: this task lets others run meanwhile.
                    spin_loop();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(Stuck::Closed | Stuck::Blocked) => {
                    self.forget(side, place);
                    return Poll::Ready(Err(()));
                }
            }
            if place.is_some_and(|ticket| self.line(side).renew(ticket, cx.waker())) {
                return Poll::Pending;
            }
            let (ticket, has_to_wait) = self.enter(side, Tell::Task(cx.waker().clone()));
            *place = Some(ticket);
            if has_to_wait {
                return Poll::Pending;
            }
        }
    }

    /// Blocks: `attempt` until it succeeds.
    pub(super) fn block<R>(
        &self,
        side: Side,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> Result<R, Stuck>,
    ) -> Result<R, Failed> {
        let deadline = timeout.map(Deadline::after);
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Stuck::Closed) => return Err(Failed::Closed),
            Err(Stuck::Blocked | Stuck::Busy) => {}
        }
        deadlock::check_no_loop_runs().map_err(Failed::WouldDeadlock)?;
        look_for_other_side(self.spin, timeout, || match side {
            Side::Get => !self.ring.is_empty(),
            Side::Put => !self.ring.is_full(),
        });
        let mut place = None;
        let ended = self.block_until(side, deadline.flatten(), &mut place, &mut attempt);
        self.forget(side, &mut place);
        ended
    }

    fn block_until<R>(
        &self,
        side: Side,
        deadline: Option<Deadline>,
        place: &mut Option<Ticket>,
        attempt: &mut impl FnMut() -> Result<R, Stuck>,
    ) -> Result<R, Failed> {
        let parker = Parker::of_this_thread();
        let mut was_late = false;
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(Stuck::Closed) => return Err(Failed::Closed),
                Err(Stuck::Blocked | Stuck::Busy) if was_late => return Err(Failed::TimedOut),
                Err(Stuck::Blocked) if self.is_inherited() => return Err(Failed::Closed),
                Err(Stuck::Busy) => yield_now(),
                Err(Stuck::Blocked) => self.park(side, deadline, place, &parker),
            }
            was_late = deadline.is_some_and(Deadline::has_passed);
        }
    }

    /// Goes into the line, if it is not in it, or waits there.
    fn park(&self, side: Side, deadline: Option<Deadline>, place: &mut Option<Ticket>, parker: &Parker) {
        if place.is_some_and(|ticket| self.line(side).has(ticket)) {
            return parker.park(deadline);
        }
        let (ticket, has_to_wait) = self.enter(side, Tell::Thread(parker.clone()));
        *place = Some(ticket);
        if has_to_wait {
            parker.park(deadline);
        }
    }
}
