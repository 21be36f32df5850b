//! A child, as its supervisor keeps it.

use std::time::Duration;

use perloop_bridge::{CrossThreadFuture, Watch};

use crate::actor::{ActorEnd, Boss, Event, leash};
use crate::supervisor::child::{Born, Breed, Hold};
use crate::supervisor::{Child, Restart};
use crate::timeout::timeout;

/// What a child does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no task: not yet, or it went with its loop, or was abandoned.
    Absent,
    /// The task waits between two lives.
    Waiting,
    /// A life has begun, and its first hook is not over.
    Starting,
    /// It lives, since this time.
    Up(Duration),
    /// It was told to stop.
    Stopping,
    /// It has not stopped in time, and was killed.
    Killed,
    /// It has lived its last life, and its task is about to end.
    Over,
}

pub(super) struct Slot {
    pub(super) name: String,
    pub(super) restart: Restart,
    pub(super) stop_within: Option<Duration>,
    breed: Box<dyn Breed>,
    /// Changes with each task, so that news of one that is no more are told apart.
    pub(super) id: u64,
    hold: Option<(Box<dyn Hold>, Watch)>,
    /// Set while there is no place for it.
    placeless: Option<Watch>,
    pub(super) phase: Phase,
    /// A life is to begin when those before have.
    pub(super) is_due: bool,
    /// The life that it lives is to end first.
    pub(super) must_stop: bool,
    /// Not before this time.
    pub(super) due_at: Duration,
    /// How often it has failed since it was last up for long.
    pub(super) failures: u32,
    /// How often it was restarted, for those who look.
    pub(super) restarts: u32,
    /// How often it was told to stop.
    pub(super) stops: u64,
}

impl Slot {
    pub(super) fn new<A: crate::Actor>(child: Child<A>) -> Self {
        Self {
            name: child.name.clone(),
            restart: child.restart,
            stop_within: child.stop_within,
            breed: Box::new(child),
            id: 0,
            hold: None,
            placeless: None,
            phase: Phase::Absent,
            is_due: true,
            must_stop: false,
            due_at: Duration::ZERO,
            failures: 0,
            restarts: 0,
            stops: 0,
        }
    }

    /// Makes its task, which waits to begin.
    pub(super) fn bring_up(&mut self, boss: Boss) -> CrossThreadFuture<()> {
        self.id = boss.child;
        let Born { hold, begun } = self.breed.bring_up(boss.clone());
        self.phase = Phase::Waiting;
        let watch = hold.last_end().watch(move |end| boss.tell(Event::Gone(ActorEnd::of(end.exception()))));
        self.hold = Some((hold, watch));
        begun
    }

    /// Is there a place where its task can be made? If there may be one later, the supervisor will be told.
    pub(super) fn has_place(&mut self, boss: impl FnOnce() -> Boss) -> bool {
        self.placeless = self.breed.awaits_place().map(|place| {
            let boss = boss();
            place.watch(move |_| boss.tell(Event::Due))
        });
        self.placeless.is_none()
    }

    pub(super) fn begin(&mut self) {
        self.phase = Phase::Starting;
        self.is_due = false;
        self.sign(leash::STOP | leash::KILL, leash::BEGIN);
    }

    /// Has no other life begin.
    pub(super) fn dismiss(&mut self) {
        self.phase = Phase::Over;
        self.sign(0, leash::END);
    }

    /// Ends all, without waiting.
    pub(super) fn let_go(&self) {
        self.sign(0, leash::STOP | leash::END);
    }

    /// There is no task any more, or none that does as it is told.
    pub(super) fn lose(&mut self) {
        self.phase = Phase::Absent;
        self.hold = None;
    }

    /// Tells the child to stop, and the supervisor if it has not in time.
    pub(super) fn stop(&mut self, boss: Boss) {
        self.phase = Phase::Stopping;
        self.stops += 1;
        self.sign(0, leash::STOP);
        self.time_out(boss);
    }

    pub(super) fn kill(&mut self, boss: Boss) {
        self.phase = Phase::Killed;
        self.stops += 1;
        self.sign(0, leash::KILL);
        self.time_out(boss);
    }

    /// By a task that awaits the child, so that virtual time does not run away from one on another loop.
    fn time_out(&self, boss: Boss) {
        let (Some((hold, _)), Some(time)) = (&self.hold, self.stop_within) else { return };
        let (end, stop) = (hold.life_end(), self.stops);
        crate::task::create_task(async move {
            if timeout(time, end).await.is_err() {
                boss.tell(Event::Late(stop));
            }
        });
    }

    /// Ends the child for good, and waits for that, but no longer than it may take.
    pub(super) async fn end(&mut self, supervisor: &str) {
        self.let_go();
        let Some((hold, _)) = &self.hold else { return };
        let mut end = hold.last_end();
        let Some(time) = self.stop_within else { return end.await };
        if timeout(time, &mut end).await.is_ok() {
            return;
        }
        self.sign(0, leash::KILL);
        if timeout(time, end).await.is_err() {
            self.tell_abandoned(supervisor);
        }
    }

    pub(super) fn tell_abandoned(&self, supervisor: &str) {
        let child = self.name.as_str();
        tracing::error!(target: "perloop", supervisor, child, "a child that did not stop is abandoned");
    }

    fn sign(&self, lower: u32, raise: u32) {
        if let Some((hold, _)) = &self.hold {
            hold.change_signs(lower, raise);
        }
    }
}
