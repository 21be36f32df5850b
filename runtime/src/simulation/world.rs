//! The loops of one run: who turns next, and what happens when none can.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{FutureError, GroupId, InGroup, LoopClosed, Panicked};

use crate::clock::Clock;
use crate::errors::{LoopError, RunError, StoppedBeforeDone};
use crate::event_loop::EventLoop;
use crate::event_loop_group::{GroupHandle, InPlace};
use crate::reactor::wait_for_any;
use crate::run::wind_down;
use crate::runner::run_error;
use crate::simulation::dice::Dice;
use crate::simulation::{PendingTask, Simulation, SimulationError};
use crate::task::{AnyTask, Seed, TaskRecord};

/// A loop's pace is a power of two below this one's: of two loops that have something to do, one may turn sixteen
/// times as often as the other.
const PACES: u64 = 5;

pub(super) struct World {
    members: Vec<Member>,
    clock: Clock,
    dice: Dice,
    turns: u64,
    max_turns: u64,
    /// The members that have something to do, kept for its memory.
    ready: Vec<usize>,
    group: GroupHandle,
    _in_group: InGroup,
}

struct Member {
    event_loop: EventLoop,
    /// How often it turns, as a ratio to the others.
    pace: u64,
    /// What ends all that is left on it. Once this has ended, the loop is closed.
    end: Option<AnyTask>,
}

impl World {
    pub(super) fn new(of: &Simulation) -> io::Result<Self> {
        let (clock, mut dice) = (Clock::virtual_time(), Dice::new(of.seed));
        let mut members = Vec::with_capacity(of.loops);
        for index in 0..of.loops {
            let settings = of.settings.clone().name(format!("{}-{index}", of.name));
            let event_loop = settings.build_sharing(&clock)?;
            event_loop.0.home.count_load();
            members.push(Member { event_loop, pace: 1 << dice.below(PACES), end: None });
        }
        let id = GroupId::new();
        let group = GroupHandle::of(id, members.iter().map(|member| member.event_loop.handle()));
        let (max_turns, ready) = (of.max_turns, Vec::with_capacity(of.loops));
        Ok(Self { members, clock, dice, turns: 0, max_turns, ready, group, _in_group: id.enter() })
    }

    /// Runs `main` on the first loop until it is done.
    pub(super) fn run_main<M, F>(
        &mut self,
        at: &'static Location<'static>,
        main: M,
    ) -> Result<Result<F::Output, Panicked>, SimulationError>
    where
        M: FnOnce(GroupHandle) -> F,
        F: Future,
    {
        let (first, group) = (self.members[0].event_loop.clone(), self.group.clone());
        let body = async move { main(group).await };
        let (driven, outcome) = first.0.home.lend(
            || TaskRecord::new(Seed::new(None, at), &first),
            body,
            |task| {
                let (task, is_done) = (AnyTask::new(task.clone()), Rc::new(Cell::new(false)));
                let in_callback = Rc::clone(&is_done);
                task.add_done_callback(move |_| in_callback.set(true));
                let driven = self.turn_until(|world| world.main_is_over(&is_done));
                // Whoever called hears of its panic, so that the exception handler need not.
                drop(task.exception());
                driven.map(|()| task.cancelled_error())
            },
        );
        let cancelled = driven?;
        match outcome {
            Some(Ok(value)) => Ok(Ok(value)),
            Some(Err(FutureError::Panicked(panicked))) => Ok(Err(panicked)),
            Some(Err(_)) | None => {
                Err(SimulationError::Run(RunError::Cancelled(cancelled.unwrap_or_default())))
            }
        }
    }

    fn main_is_over(&self, is_done: &Cell<bool>) -> Option<Result<(), LoopError>> {
        let first = &self.members[0];
        if is_done.get() {
            return Some(Ok(()));
        }
        if let Err(died) = first.event_loop.check_alive() {
            return Some(Err(died));
        }
        if first.event_loop.is_closed() {
            return Some(Err(LoopError::Closed(LoopClosed::new(first.event_loop.name()))));
        }
        first.end.is_some().then_some(Err(LoopError::StoppedBeforeDone(StoppedBeforeDone)))
    }

    /// Ends what is left on all loops, as `run` does on its one, and closes them.
    pub(super) fn wind_down(&mut self) -> Result<(), SimulationError> {
        self.members.iter_mut().for_each(Member::begin_end);
        self.turn_until(|world| {
            world.members.iter().all(|member| member.event_loop.is_closed()).then_some(Ok(()))
        })
    }

    fn turn_until(
        &mut self,
        is_over: impl Fn(&Self) -> Option<Result<(), LoopError>>,
    ) -> Result<(), SimulationError> {
        let failed = |error| SimulationError::Run(run_error(error));
        loop {
            if let Some(over) = is_over(self) {
                return over.map_err(failed);
            }
            let Some(index) = self.draw() else {
                if self.await_news().map_err(|error| failed(LoopError::Io(error)))? {
                    continue;
                }
                return Err(SimulationError::Deadlock(self.pending()));
            };
            if self.turns == self.max_turns {
                return Err(SimulationError::TooManyTurns(self.turns, self.pending()));
            }
            self.turns += 1;
            self.members[index].turn(index).map_err(failed)?;
        }
    }

    /// Draws one of the loops that have something to do now.
    fn draw(&mut self) -> Option<usize> {
        let now = self.clock.time();
        let is_due = |member: &Member| member.next_deadline().is_some_and(|deadline| deadline <= now);
        self.ready.clear();
        self.ready.extend((0..self.members.len()).filter(|index| is_due(&self.members[*index])));
        let pace = |index: &usize| self.members[*index].pace;
        let sum: u64 = self.ready.iter().map(pace).sum();
        if sum == 0 {
            return None;
        }
        let mut place = self.dice.below(sum);
        for index in &self.ready {
            match place.checked_sub(pace(index)) {
                Some(rest) => place = rest,
                None => return Some(*index),
            }
        }
        unreachable!("a place below the sum is somebody's")
    }

    /// No loop has anything to do: takes what comes from outside, or moves the clock. False: neither is to be
    /// expected.
    fn await_news(&self) -> io::Result<bool> {
        let open = || self.members.iter().map(|member| &member.event_loop).filter(|own| !own.is_closed());
        let has_sources = open().any(EventLoop::has_sources);
        if has_sources && self.poll_io()? {
            return Ok(true);
        }
        let awaits_the_outside = open().any(EventLoop::awaits_the_outside);
        // In this order: what has come by now is due at once, and the clock does not move for it.
        let deadline = self.members.iter().filter_map(Member::next_deadline).min();
        if let Some(deadline) = deadline.filter(|_| !awaits_the_outside) {
            self.clock.advance_to(deadline);
            return Ok(true);
        }
        if awaits_the_outside || has_sources {
            wait_for_any(open().map(AsFd::as_fd))?;
            self.poll_io()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes what has come from outside, without waiting. True if something has.
    fn poll_io(&self) -> io::Result<bool> {
        for member in &self.members {
            member.event_loop.poll_io(Some(Duration::ZERO))?;
        }
        Ok(self.members.iter().any(|member| member.event_loop.0.home.has_work()))
    }

    fn pending(&self) -> Vec<PendingTask> {
        let of_member = |member: &Member| -> Vec<_> {
            let tasks = member.event_loop.all_tasks().into_iter();
            let others = tasks.filter(|task| member.end.as_ref() != Some(task));
            others.map(|task| PendingTask::new(&member.event_loop, &task)).collect()
        };
        self.members.iter().flat_map(of_member).collect()
    }
}

impl Drop for World {
    /// Closes the loops, in their order.
    fn drop(&mut self) {
        for member in &self.members {
            member.event_loop.close().expect("no loop runs between turns");
        }
    }
}

impl Member {
    /// When it has to be turned again.
    fn next_deadline(&self) -> Option<Duration> {
        if self.event_loop.is_closed() { None } else { self.event_loop.next_deadline() }
    }

    fn turn(&mut self, index: usize) -> Result<(), LoopError> {
        let _in_place = InPlace::enter(index);
        match self.event_loop.turn_once() {
            Ok(is_stopped) => {
                if is_stopped {
                    self.begin_end();
                }
            }
            // The others go on.
            Err(LoopError::Panicked(panicked)) => {
                let (event_loop, panic) = (self.event_loop.name(), panicked.message());
                tracing::error!(target: "perloop", event_loop, panic, "a loop died");
            }
            Err(error) => return Err(error),
        }
        if self.end.as_ref().is_some_and(AnyTask::done) {
            self.event_loop.close().expect("it does not run any more");
        }
        Ok(())
    }

    /// Has the loop end what is left on it. A second time it changes nothing.
    fn begin_end(&mut self) {
        if self.end.is_none() && !self.event_loop.is_closed() {
            let seed = Seed::new(Some("teardown".to_owned()), Location::caller());
            let end = self.event_loop.spawn_queued(seed, wind_down());
            self.end = Some((*end).clone());
        }
    }
}
