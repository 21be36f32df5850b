//! One turn of the loop: take the inbox, poll I/O, move due timers, run what was ready.
//!
//! This is the only place where callbacks and steps of tasks are run.

use std::io;
use std::time::{Duration, Instant};

use perloop_bridge::{CallRef, FutureError, Ready, Spin};

use crate::context;
use crate::debug::Timed;
use crate::event_loop::{EventLoop, Timer, run_callback};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::task::step;
use crate::timers::Fired;

/// While there is always something ready, I/O is polled every so many turns.
const IO_INTERVAL: u32 = 32;
/// While a loop looks for submissions for long, I/O is polled so often.
const IO_WHILE_LOOKING: Duration = Duration::from_micros(50);
/// How much a turn runs that counts for one of them.
const ENTRIES_A_TURN: usize = 64;

impl EventLoop {
    /// One turn. If nothing is ready it waits, at most for `max_wait`.
    pub(super) fn turn(&self, max_wait: Option<Duration>) -> io::Result<()> {
        let home = &self.0.home;
        home.collect();
        self.move_due_timers();
        if home.ready_len() == 0 && !self.0.is_stopping.get() {
            self.wait(max_wait)?;
            self.move_due_timers();
        } else {
            self.poll_io_now_and_then()?;
        }
        // What is added from here on runs in the next turn.
        for _ in 0..home.begin_turn() {
            let Some(entry) = home.pop() else { break };
            self.run_entry(entry);
            if self.is_inherited() {
                // A task has forked, and what is left is the parent's.
                break;
            }
        }
        Ok(())
    }

    #[inline]
    fn run_entry(&self, entry: Ready) {
        match entry {
            // Nearly all of them.
            Ready::Step(task) if !self.0.debug.is_on() => step::run(self, &task),
            entry if self.0.debug.is_on() => self.run_timed(entry),
            entry => self.run_one(entry),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_timed(&self, entry: Ready) {
        let timed = Timed::begin(self, &entry);
        self.run_one(entry);
        timed.end(self);
    }

    #[inline(always)]
    fn run_one(&self, entry: Ready) {
        match entry {
            Ready::Step(task) => step::run(self, &task),
            Ready::Adopt(task) => step::adopt(self, &task),
            Ready::Publish(task) => {
                task.publish();
                context::clear();
            }
            Ready::Call(call) => {
                run_callback(|| call.0.call());
                context::clear();
            }
            Ready::Handed(call) => {
                if let Err(FutureError::Panicked(panicked)) = self.0.home.run_handed(call) {
                    self.report_callback(panicked);
                }
                context::clear();
            }
        }
    }

    fn move_due_timers(&self) {
        let next = self.0.timers.borrow().next_deadline();
        if next.is_none_or(|deadline| self.0.clock.is_well_before(deadline)) {
            return;
        }
        let now = self.0.clock.time();
        loop {
            let Some(fired) = self.0.timers.borrow_mut().fire_due(now, Timer::stays) else { return };
            match fired {
                Fired::Stays(timer) => self.0.risen.queue(&self.0.home, timer),
                Fired::Item(Timer::Callback(_, once)) => self.0.home.push(Ready::Call(CallRef(once))),
                Fired::Item(_) => unreachable!("the others stay"),
            }
        }
    }

    fn poll_io_now_and_then(&self) -> io::Result<()> {
        // A turn that runs much counts for several.
        let weight = 1 + self.0.home.ready_len() / ENTRIES_A_TURN;
        let turns =
            self.0.turns_without_io.get().saturating_add(u32::try_from(weight).unwrap_or(IO_INTERVAL));
        if turns < IO_INTERVAL {
            self.0.turns_without_io.set(turns);
            return Ok(());
        }
        self.poll_io(Some(Duration::ZERO))
    }

    /// The next turn looks at I/O, also if it need not wait: a guest's poller was woken by what that look consumes.
    pub(super) fn poll_io_in_this_turn(&self) {
        self.0.turns_without_io.set(IO_INTERVAL);
    }

    /// Nothing is ready here: waits for the first of a timer, I/O, the bell, and `max_wait`.
    fn wait(&self, max_wait: Option<Duration>) -> io::Result<()> {
        let next_timer = self.0.timers.borrow().next_deadline();
        if !self.0.clock.is_virtual() {
            let until_timer = next_timer.map(|deadline| deadline.saturating_sub(self.0.clock.time()));
            let limit = until_timer.into_iter().chain(max_wait).min();
            return self.wait_outside(limit);
        }
        match next_timer {
            Some(deadline) if !self.awaits_the_outside() => self.wait_virtually(deadline, max_wait),
            // Only what comes from outside can go on.
            _ => self.wait_outside(max_wait),
        }
    }

    /// Does virtual time have to stand still, since something from outside is awaited?
    pub(crate) fn awaits_the_outside(&self) -> bool {
        self.0.in_flight.get() > 0 || self.0.home.has_outside_waits()
    }

    /// Looks for news before it sleeps, not for longer than it would wait. True if something has come.
    fn look(&self, limit: Option<Duration>) -> io::Result<bool> {
        let home = &self.0.home;
        let limit = limit.unwrap_or(Duration::MAX);
        let Spin::For(time) = home.spin() else { return Ok(home.look(limit)) };
        let (began, time) = (Instant::now(), time.min(limit));
        loop {
            let left = time.saturating_sub(began.elapsed());
            if home.look(left.min(IO_WHILE_LOOKING)) {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            self.poll_io(Some(Duration::ZERO))?;
            if home.ready_len() > 0 {
                return Ok(true);
            }
        }
    }

    /// Waits in real time.
    fn wait_outside(&self, limit: Option<Duration>) -> io::Result<()> {
        let began = Instant::now();
        if limit == Some(Duration::ZERO) {
            self.poll_io(limit)?;
        } else if !self.look(limit)? {
            // A subscriber is foreign code, which may hand work in: told before the loop is asleep.
            tracing::trace!(target: "perloop", event_loop = self.name(), ?limit, "sleep");
            if self.0.home.ready_len() == 0 && self.0.home.fall_asleep() {
                self.poll_io(limit.map(|limit| limit.saturating_sub(began.elapsed())))?;
            }
        }
        self.0.home.collect();
        Ok(())
    }

    /// Looks at I/O without waiting, and if that brings nothing, moves the clock to the next timer.
    fn wait_virtually(&self, deadline: Duration, max_wait: Option<Duration>) -> io::Result<()> {
        self.poll_io(Some(Duration::ZERO))?;
        self.0.home.collect();
        if self.0.home.ready_len() == 0 {
            let furthest = max_wait.map_or(Duration::MAX, |max| self.0.clock.deadline_after(max));
            self.0.clock.advance_to(deadline.min(furthest));
        }
        Ok(())
    }

    /// Waits on the reactor, and queues the callbacks of what is ready.
    pub(crate) fn poll_io(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.turns_without_io.set(0);
        let mut ready = Vec::new();
        let waited = match self.0.reactor.borrow_mut().as_mut() {
            Some(reactor) => reactor.wait(timeout, &mut ready),
            None => return Ok(()),
        };
        if let Err(error) = waited {
            self.rebuild_reactor(&error, &mut ready)?;
        }
        for call in ready {
            self.0.home.push(Ready::Call(call));
        }
        Ok(())
    }

    /// A wait that fails is loud, and the loop goes on with a new reactor.
    fn rebuild_reactor(&self, error: &io::Error, ready: &mut Vec<CallRef>) -> io::Result<()> {
        if let Some(reactor) = self.0.reactor.borrow_mut().as_mut() {
            reactor.rebuild(ready)?;
            self.0.home.replace_bell(reactor.bell());
            replace_descriptor(&self.0.guest_fd, reactor)?;
        }
        let context = ExceptionContext::new(error.to_string());
        self.report(&ExceptionContext { kind: ExceptionKind::Reactor, ..context });
        Ok(())
    }
}

/// Puts the new reactor's descriptor under the number that guests know.
fn replace_descriptor<C: Clone>(
    known: &std::os::fd::OwnedFd,
    reactor: &crate::reactor::Reactor<C>,
) -> io::Result<()> {
    // The number stays open throughout, and stays ours: this copy of the owner is forgotten.
    let mut copy = std::mem::ManuallyDrop::new(borrow_owner(known));
    rustix::io::dup3(reactor.as_fd(), &mut copy, rustix::io::DupFlags::CLOEXEC)?;
    Ok(())
}

#[expect(unsafe_code, reason = "`dup3` wants to own the descriptor that it replaces, and ours is shared")]
fn borrow_owner(known: &std::os::fd::OwnedFd) -> std::os::fd::OwnedFd {
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: the number is open, and the caller never drops what it gets.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(known.as_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use crate::{EventLoop, ExceptionKind, run_coroutine_threadsafe};

    #[test]
    fn a_failing_wait_is_reported_and_the_loop_still_hears_submissions() {
        for builder in [EventLoop::builder(), EventLoop::builder().portable_wait()] {
            let event_loop = builder.build().expect("a loop");
            let reports = Rc::new(RefCell::new(Vec::new()));
            let in_handler = Rc::clone(&reports);
            event_loop.set_exception_handler(Some(
                move |_: &EventLoop, context: &crate::ExceptionContext| {
                    in_handler.borrow_mut().push(context.kind);
                },
            ));
            if let Some(reactor) = event_loop.0.reactor.borrow_mut().as_mut() {
                reactor.fail_next_wait();
            }
            event_loop.run_once(Some(std::time::Duration::ZERO)).expect("it goes on");
            assert_eq!(*reports.borrow(), [ExceptionKind::Reactor]);
            let handle = event_loop.handle();
            let submitter = std::thread::spawn(move || {
                let first = run_coroutine_threadsafe(async { 1 }, &handle).result();
                let stop = run_coroutine_threadsafe(
                    async { crate::get_running_loop().expect("it runs").stop() },
                    &handle,
                );
                (first, stop.result())
            });
            event_loop.run_forever().expect("it goes on");
            event_loop.close().expect("it does not run");
            assert_eq!(submitter.join().expect("no panic").0, Ok(1));
        }
    }
}
