//! What both sides of a queue share: the ring, and who waits on either side.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::sync::{AtomicUsize, Ordering, generation};
use crate::thread_queue::ring::{Moved, Ring};
use crate::wait::Spin;
use crate::waiters::{Ticket, Waiters};
use crate::waits::{self, Brought, Failed, Stuck};

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
            waits::tell(&self.side(Side::Put));
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
                    waits::tell(&self.side(Side::Get));
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

    fn side(&self, side: Side) -> OneSide<'_, T> {
        OneSide { queue: self, side }
    }

    /// Gives a wait up.
    pub(super) fn forget(&self, side: Side, place: &mut Option<Ticket>) {
        waits::forget(&self.side(side), place);
    }

    /// One poll of a task's wait: `attempt` until it succeeds. An error: the queue is closed.
    pub(super) fn poll<R>(
        &self,
        side: Side,
        place: &mut Option<Ticket>,
        cx: &Context<'_>,
        attempt: impl FnMut() -> Result<R, Stuck>,
    ) -> Poll<Result<R, ()>> {
        waits::poll(&self.side(side), place, cx, attempt)
    }

    /// Blocks: `attempt` until it succeeds.
    pub(super) fn block<R>(
        &self,
        side: Side,
        timeout: Option<Duration>,
        attempt: impl FnMut() -> Result<R, Stuck>,
    ) -> Result<R, Failed> {
        waits::block(&self.side(side), self.spin, timeout, attempt)
    }
}

/// What one side waits for.
struct OneSide<'a, T> {
    queue: &'a Shared<T>,
    side: Side,
}

impl<T> Brought for OneSide<'_, T> {
    fn line(&self) -> &Waiters {
        match self.side {
            Side::Get => &self.queue.getters,
            Side::Put => &self.queue.putters,
        }
    }

    fn mark(&self) -> bool {
        match self.side {
            Side::Get => self.queue.ring.mark_waiting_get(),
            Side::Put => self.queue.ring.mark_waiting_put(),
        }
    }

    fn unmark(&self) {
        match self.side {
            Side::Get => self.queue.ring.unmark_get(),
            Side::Put => self.queue.ring.unmark_put(),
        }
    }

    fn is_there(&self) -> bool {
        match self.side {
            Side::Get => !self.queue.ring.is_empty(),
            Side::Put => !self.queue.ring.is_full(),
        }
    }

    fn is_inherited(&self) -> bool {
        self.queue.is_inherited()
    }
}
