//! What a supervisor does when it hears of its children. Each piece of news is handled at once: what takes time, as the end of
//! one child before the next one is stopped, is a phase of that child, and goes on with the next piece of news.

use std::time::Duration;

use crate::actor::{ActorContext, ActorEnd, Boss, Event, Handler, News};
use crate::current;
use crate::supervisor::slot::Phase;
use crate::supervisor::{GaveUp, Restart, Strategy, Supervisor};

impl Handler<News> for Supervisor {
    type Reply = ();

    async fn handle(&mut self, News { child, event }: News, context: &mut ActorContext<Self>) {
        if let Some(at) = self.slots.iter().position(|slot| slot.id == child) {
            match event {
                Event::Started => self.slots[at].has_started(),
                Event::Ended(end) => self.life_ended(at, &end, Phase::Waiting, context),
                Event::Gone(end) => self.gone(at, &end, context),
                Event::Late(stop) => self.late(at, stop, context),
                Event::Due => {}
            }
        }
        self.go_on(context);
    }
}

/// The time of the loop that runs.
fn now() -> Duration {
    current::with_running(|running| running.time()).expect("a supervisor's loop runs")
}

impl super::slot::Slot {
    fn has_started(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Up(now());
        }
    }
}

impl Supervisor {
    /// A child's life has ended; what it does now is `then`.
    fn life_ended(&mut self, at: usize, end: &ActorEnd, then: Phase, context: &ActorContext<Self>) {
        let slot = &mut self.slots[at];
        match std::mem::replace(&mut slot.phase, then) {
            // It has nothing to wait for any more.
            Phase::Over => slot.phase = Phase::Over,
            _ if slot.must_stop => {
                slot.must_stop = false;
                if !slot.is_due {
                    self.dismiss(at);
                }
            }
            Phase::Up(_) | Phase::Starting if !slot.restart.is_for(end) => self.dismiss(at),
            Phase::Up(since) => self.failed(at, end, now().saturating_sub(since), context),
            Phase::Starting => self.failed(at, end, Duration::ZERO, context),
            Phase::Absent | Phase::Waiting | Phase::Stopping | Phase::Killed => {}
        }
    }

    /// A child's task has ended.
    fn gone(&mut self, at: usize, end: &ActorEnd, context: &ActorContext<Self>) {
        if self.slots[at].phase == Phase::Over {
            self.slots.remove(at);
            return;
        }
        self.life_ended(at, end, Phase::Absent, context);
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.phase == Phase::Absent) {
            slot.lose();
        }
    }

    /// No other life of it is to begin.
    fn dismiss(&mut self, at: usize) {
        if self.slots[at].phase == Phase::Absent {
            self.slots.remove(at);
        } else {
            self.slots[at].dismiss();
        }
    }

    /// A child was to stop by now.
    fn late(&mut self, at: usize, stop: u64, context: &ActorContext<Self>) {
        let boss = self.boss_of(at, context);
        let slot = &mut self.slots[at];
        match slot.phase {
            _ if slot.stops != stop => {}
            Phase::Stopping => slot.kill(boss),
            Phase::Killed => {
                slot.tell_abandoned(&self.name);
                slot.let_go();
                slot.lose();
                slot.must_stop = false;
                if !slot.is_due {
                    self.slots.remove(at);
                }
            }
            _ => {}
        }
    }

    /// A child is to be restarted, and others with it.
    fn failed(&mut self, at: usize, end: &ActorEnd, was_up: Duration, context: &ActorContext<Self>) {
        let now = now();
        if !self.may_restart(now) {
            return self.give_up(at, end);
        }
        let slot = &mut self.slots[at];
        if was_up >= self.backoff.reset_after {
            slot.failures = 0;
        }
        let delay = self.backoff.delay(slot.failures);
        slot.failures = slot.failures.saturating_add(1);
        slot.restarts = slot.restarts.saturating_add(1);
        tracing::warn!(target: "perloop", supervisor = self.name, child = slot.name, %end, ?delay, "restarts a child");
        let id = slot.id;
        let due_at = now.saturating_add(delay);
        slot.is_due = true;
        slot.due_at = due_at;
        let (first, last) = match self.strategy {
            Strategy::OneForOne => (at, at),
            Strategy::RestForOne => (at, self.slots.len() - 1),
            Strategy::OneForAll => (0, self.slots.len() - 1),
        };
        for slot in &mut self.slots[first..=last] {
            if matches!(slot.phase, Phase::Up(_) | Phase::Starting | Phase::Stopping | Phase::Killed) {
                // One that is to stop, and for which no other life is due, was stopped for good.
                let is_let_go = slot.must_stop && !slot.is_due;
                slot.is_due = slot.restart != Restart::Temporary && !is_let_go;
                slot.must_stop = true;
            }
            slot.due_at = slot.due_at.max(due_at);
        }
        if delay > Duration::ZERO {
            context.tell_later(delay, News { child: id, event: Event::Due });
        }
    }

    /// Counts one more failure.
    fn may_restart(&mut self, now: Duration) -> bool {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| at.saturating_add(self.intensity.period) < now) {
            self.failures.pop_front();
        }
        self.failures.len() <= self.intensity.restarts as usize
    }

    fn give_up(&mut self, at: usize, end: &ActorEnd) {
        let (supervisor, child, intensity) = (self.name.clone(), self.slots[at].name.clone(), self.intensity);
        let gave_up = GaveUp { supervisor, child, end: end.clone(), intensity };
        tracing::error!(target: "perloop", supervisor = self.name, "{gave_up}");
        self.gave_up = Some(Box::new(gave_up));
    }

    /// Does what is to be done next: one child after the other is stopped, the last one first, and then each is begun in
    /// order. Where children stand for themselves, none waits for another to begin.
    pub(super) fn go_on(&mut self, context: &mut ActorContext<Self>) {
        if let Some(gave_up) = &self.gave_up {
            return context.stop_as(ActorEnd::GaveUp(gave_up.clone()));
        }
        if self.slots.iter().any(|slot| matches!(slot.phase, Phase::Stopping | Phase::Killed)) {
            return;
        }
        if let Some(at) = self.slots.iter().rposition(|slot| slot.must_stop) {
            let boss = self.boss_of(at, context);
            return self.slots[at].stop(boss);
        }
        let (now, is_in_order) = (now(), self.strategy != Strategy::OneForOne);
        for at in 0..self.slots.len() {
            let boss = self.boss_of(at, context);
            let slot = &mut self.slots[at];
            let is_time = slot.is_due && slot.due_at <= now;
            let begins = is_time && (slot.phase != Phase::Absent || slot.has_place(|| boss));
            let holds_up = slot.is_due || slot.phase == Phase::Starting;
            if begins {
                self.begin(at, context);
            }
            if holds_up && is_in_order {
                return;
            }
        }
    }

    fn begin(&mut self, at: usize, context: &ActorContext<Self>) {
        if self.slots[at].phase == Phase::Absent {
            drop(self.bring_up(at, context));
        }
        self.slots[at].begin();
    }

    fn boss_of(&self, at: usize, context: &ActorContext<Self>) -> Boss {
        Boss { supervisor: context.weak_address().clone(), child: self.slots[at].id }
    }
}
