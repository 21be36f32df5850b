//! Threads under virtual time: a script's thread runs only when the loop would wait, and the loop stands still
//! meanwhile.
//!
//! Nobody tells when a loop on virtual time is about to wait, so a callback that queues itself asks in each turn whether
//! anything else is ready. It changes no order, but it comes behind the timers of its instant: a script that is due
//! exactly when a timer is could not be let run first, and no such case is played.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use perloop::{EventLoop, Handle, TimerHandle};
use serde_json::Value;

use crate::world::{Env, Place, World, millis};

type Ready = Box<dyn Fn() -> bool + Send>;

/// One thread that waits for its turn.
struct Script {
    /// When it goes on, if nothing that it waits for comes first.
    due: Option<u64>,
    is_ready: Option<Ready>,
    is_over: bool,
}

#[derive(Default)]
struct Stage {
    scripts: Vec<Script>,
    /// The script that runs; none while the loop or the driver does.
    turn: Option<usize>,
}

/// All scripts that were started.
#[derive(Default)]
pub(crate) struct Scripts {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Scripts {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().expect("nobody panics on stage")
    }

    fn wait_for_turn(&self, turn: Option<usize>) {
        let wait = self
            .changed
            .wait_timeout_while(self.stage(), Duration::from_secs(20), |stage| stage.turn != turn);
        assert!(!wait.expect("nobody panics on stage").1.timed_out() || turn.is_some(), "a script is stuck");
    }

    /// Called by a script: gives the turn away until it is due or ready.
    pub(crate) fn pause(&self, me: usize, due: Option<u64>, is_ready: Ready) {
        let mut stage = self.stage();
        stage.scripts[me].due = due;
        stage.scripts[me].is_ready = Some(is_ready);
        stage.turn = None;
        drop(stage);
        self.changed.notify_all();
        self.wait_for_turn(Some(me));
    }

    fn end(&self, me: usize) {
        let mut stage = self.stage();
        stage.scripts[me].is_over = true;
        stage.turn = None;
        drop(stage);
        self.changed.notify_all();
    }

    /// The script that goes on next, and when.
    pub(crate) fn next(&self, now: u64) -> Option<(usize, u64)> {
        let stage = self.stage();
        let due = |script: &Script| match &script.is_ready {
            _ if script.is_over => None,
            Some(is_ready) if is_ready() => Some(now),
            _ => script.due,
        };
        let waiting = stage.scripts.iter().enumerate().filter_map(|(at, script)| Some((at, due(script)?)));
        waiting.min_by_key(|(_, due)| *due)
    }

    /// Lets a script run until it blocks or ends.
    pub(crate) fn resume(&self, script: usize) {
        self.stage().turn = Some(script);
        self.changed.notify_all();
        self.wait_for_turn(None);
    }
}

/// Starts a script's thread, which waits for its turn.
pub(crate) fn start(world: &'static World, name: String) {
    let me = {
        let due = Some(world.now());
        let mut stage = world.scripts.stage();
        stage.scripts.push(Script { due, is_ready: None, is_over: false });
        stage.scripts.len() - 1
    };
    std::thread::spawn(move || {
        world.scripts.wait_for_turn(Some(me));
        let ops = &world.spec["scripts"][&name];
        let env = Env::new(Place::Script(name, me), Default::default());
        crate::driver::run_script(world, ops, &env);
        world.scripts.end(me);
    });
}

/// The `tsleep` op.
pub(crate) fn sleep(world: &World, op: &Value, env: &Env) {
    let Place::Script(_, me) = env.place else { panic!("only scripts sleep") };
    let due = world.now() + op["ms"].as_u64().expect("a time");
    world.scripts.pause(me, Some(due), Box::new(|| false));
}

/// The callback that watches for the loop to become idle, wherever it stands.
enum Probe {
    Soon(Handle),
    Later(TimerHandle),
}

thread_local! {
    static PROBE: RefCell<Option<Probe>> = const { RefCell::new(None) };
}

/// Watches the loop from now on.
pub(crate) fn watch(world: &'static World, event_loop: &EventLoop) {
    match PROBE.take() {
        Some(Probe::Soon(handle)) => handle.cancel(),
        Some(Probe::Later(handle)) => handle.cancel(),
        None => {}
    }
    if world.spec.get("scripts").is_some() && !event_loop.is_closed() {
        look_again(world, event_loop.clone(), None, false);
    }
}

fn look_again(world: &'static World, event_loop: EventLoop, at: Option<Duration>, was_idle: bool) {
    let this = event_loop.clone();
    let look = move || look(world, event_loop, was_idle);
    PROBE.set(Some(match at {
        None => Probe::Soon(this.call_soon(look).expect("it is open")),
        Some(at) => Probe::Later(this.call_at(at, look).expect("it is open")),
    }));
}

fn look(world: &'static World, event_loop: EventLoop, was_idle: bool) {
    let deadline = event_loop.next_deadline();
    let is_idle = deadline.is_none_or(|deadline| deadline > event_loop.time());
    if !is_idle || !was_idle {
        // Idle once may mean that the loop stops with this turn.
        return look_again(world, event_loop, None, is_idle);
    }
    let now = world.now();
    match world.scripts.next(now) {
        Some((script, due)) if due <= now => {
            world.scripts.resume(script);
            look_again(world, event_loop, None, false);
        }
        Some((_, due))
            if deadline.is_none_or(|deadline| due <= now + millis(deadline - event_loop.time())) =>
        {
            let at = event_loop.time() + Duration::from_millis(due - now);
            assert_ne!(Some(at), deadline, "a script and a timer are due at once: that needs a wait hook");
            look_again(world, event_loop, Some(at), true);
        }
        _ if deadline.is_some() => look_again(world, event_loop, deadline, false),
        _ => {
            world.emit("-", "deadlock");
            event_loop.stop();
        }
    }
}
