//! Waiting for something that others bring, as a thread or as a task: an item of a queue, room in it, a permit.
//!
//! There is one word of which every change is a read-modify-write. Who is about to wait goes into the line, marks the word,
//! and learns by that very change whether it is worth waiting; whoever brings something sees the mark, and tells the
//! first in the line.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::deadlock;
use crate::errors::WouldDeadlock;
use crate::sync::{Deadline, Parker, spin_loop, yield_now};
use crate::wait::{Spin, look_for_other_side};
use crate::waiters::{Ticket, Waiters};
use crate::watchers::Tell;

/// What is waited for.
pub(crate) trait Brought {
    fn line(&self) -> &Waiters;
    /// Marks the word. True: there was nothing, so that it is worth waiting.
    fn mark(&self) -> bool;
    fn unmark(&self);
    /// Is there something? It may be otherwise at once.
    fn is_there(&self) -> bool;
    /// Does it belong to the process that this one was forked from? Then who waits is not here, and their locks may be
    /// held for ever.
    fn is_inherited(&self) -> bool;
}

/// Why an attempt came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// There is nothing.
    Blocked,
    /// Another thread is in the midst of ending that, so it is not worth waiting for.
    Busy,
    /// And there never will be.
    Closed,
}

/// Why a blocking call has come to nothing.
pub(crate) enum Failed {
    Closed,
    TimedOut,
    WouldDeadlock(WouldDeadlock),
}

/// Something was brought.
#[cold]
pub(crate) fn tell(brought: &impl Brought) {
    if !brought.is_inherited() {
        brought.line().tell_next(|| brought.unmark());
    }
}

/// Gives a wait up, with or without what it waited for. If it was told of more than it took, the next one is.
pub(crate) fn forget(brought: &impl Brought, place: &mut Option<Ticket>) {
    let Some(ticket) = place.take() else { return };
    let was_told = !brought.is_inherited() && !brought.line().leave(ticket, || brought.unmark());
    if was_told && brought.is_there() {
        tell(brought);
    }
}

/// Goes into the line. True: it is worth waiting there, as what it waits for has still to come.
fn enter(brought: &impl Brought, tell: Tell) -> (Ticket, bool) {
    brought.line().enter(tell, || brought.mark())
}

/// One poll of a task's wait: `attempt` until it succeeds. An error: there never will be anything.
pub(crate) fn poll<R>(
    brought: &impl Brought,
    place: &mut Option<Ticket>,
    cx: &Context<'_>,
    mut attempt: impl FnMut() -> Result<R, Stuck>,
) -> Poll<Result<R, ()>> {
    loop {
        match attempt() {
            Ok(done) => {
                forget(brought, place);
                return Poll::Ready(Ok(done));
            }
            Err(Stuck::Blocked) if !brought.is_inherited() => {}
            Err(Stuck::Busy) => {
                // For a moment, unless the other thread has lost its core: this task lets others run meanwhile.
                spin_loop();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(Stuck::Closed | Stuck::Blocked) => {
                forget(brought, place);
                return Poll::Ready(Err(()));
            }
        }
        if place.is_some_and(|ticket| brought.line().renew(ticket, cx.waker())) {
            return Poll::Pending;
        }
        let (ticket, has_to_wait) = enter(brought, Tell::Task(cx.waker().clone()));
        *place = Some(ticket);
        if has_to_wait {
            return Poll::Pending;
        }
    }
}

/// Blocks: `attempt` until it succeeds.
pub(crate) fn block<R>(
    brought: &impl Brought,
    spin: Spin,
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
    look_for_other_side(spin, timeout, || brought.is_there());
    let mut place = None;
    let ended = block_until(brought, deadline.flatten(), &mut place, &mut attempt);
    forget(brought, &mut place);
    ended
}

fn block_until<R>(
    brought: &impl Brought,
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
            Err(Stuck::Blocked) if brought.is_inherited() => return Err(Failed::Closed),
            Err(Stuck::Busy) => yield_now(),
            Err(Stuck::Blocked) => park(brought, deadline, place, &parker),
        }
        was_late = deadline.is_some_and(Deadline::has_passed);
    }
}

/// Goes into the line, if it is not in it, or waits there.
fn park(brought: &impl Brought, deadline: Option<Deadline>, place: &mut Option<Ticket>, parker: &Parker) {
    if place.is_some_and(|ticket| brought.line().has(ticket)) {
        return parker.park(deadline);
    }
    let (ticket, has_to_wait) = enter(brought, Tell::Thread(parker.clone()));
    *place = Some(ticket);
    if has_to_wait {
        parker.park(deadline);
    }
}
