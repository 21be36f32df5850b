//! Threads under virtual time: a script's thread runs only when the loop would wait, and the loop stands still
//! meanwhile.
//!
//! Nobody tells when a loop on virtual time is about to wait, so a callback that queues itself asks in each turn whether
//! anything else is ready. It changes no order. As long as there are scripts it moves the clock, too. A job is a script
//! from the moment that a worker of its pool has begun it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
    /// Of a job.
    job: Option<Job>,
}

struct Job {
    pool: String,
    has_begun: bool,
}

#[derive(Default)]
struct Stage {
    scripts: Vec<Script>,
    /// The script that runs; none while the loop or the driver does.
    turn: Option<usize>,
    /// A pool is being shut down, whose threads say so when they have ended.
    waits_for_pool: bool,
    /// How many jobs the pools do at a time, but for the default one, which does more than any scenario has.
    workers: HashMap<String, usize>,
}

impl Stage {
    /// Has each worker that is free taken its next job up?
    fn is_settled(&self) -> bool {
        let jobs =
            || self.scripts.iter().filter(|script| !script.is_over).filter_map(|script| script.job.as_ref());
        jobs().all(|Job { pool, .. }| {
            let pending = jobs().filter(|job| job.pool == *pool).count();
            let begun = jobs().filter(|job| job.pool == *pool && job.has_begun).count();
            begun == self.workers.get(pool).map_or(pending, |workers| pending.min(*workers))
        })
    }
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

    /// A pool that does so many jobs at a time.
    pub(crate) fn add_pool(&self, name: &str, workers: usize) {
        self.stage().workers.insert(name.to_owned(), workers);
    }

    /// A job that was handed to a pool.
    pub(crate) fn add_job(&self, pool: String) -> usize {
        let mut stage = self.stage();
        let job = Some(Job { pool, has_begun: false });
        stage.scripts.push(Script { due: None, is_ready: None, is_over: false, job });
        stage.scripts.len() - 1
    }

    /// Called by a job: a worker has begun it.
    pub(crate) fn begin_job(&self, me: usize) {
        let mut stage = self.stage();
        stage.scripts[me].job.as_mut().expect("a job").has_begun = true;
        // Whoever looks next lets it run at that time.
        stage.scripts[me].is_ready = Some(Box::new(|| true));
        drop(stage);
        self.wait_for_turn(Some(me));
    }

    /// Called by who plays the loop: waits until each worker that is free has begun its next job.
    fn settle(&self) {
        wait_until("a worker begins its job", || self.stage().is_settled());
    }

    pub(crate) fn set_waits_for_pool(&self, waits: bool) {
        self.stage().waits_for_pool = waits;
    }

    fn is_job_over(&self, script: usize) -> bool {
        let script = &self.stage().scripts[script];
        script.is_over && script.job.is_some()
    }

    /// Called by a job that ends, or is dropped, and by a script that ends.
    pub(crate) fn end(&self, me: usize) {
        let mut stage = self.stage();
        stage.scripts[me].is_over = true;
        if stage.turn == Some(me) {
            stage.turn = None;
        }
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
        stage.scripts.push(Script { due, is_ready: None, is_over: false, job: None });
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
    let due = world.now() + u64::try_from(world.millis_of(env, &op["ms"])).expect("a time");
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
    let has_threads = ["scripts", "jobs"].iter().any(|what| world.spec.get(what).is_some());
    if has_threads && !event_loop.is_closed() {
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
    world.scripts.settle();
    let now = world.now();
    let moved = |time: u64| event_loop.advance(Duration::from_millis(time - now));
    let timer = deadline.map(|deadline| now + millis(deadline - event_loop.time()));
    match world.scripts.next(now) {
        Some((script, due)) if timer.is_none_or(|timer| due <= timer) => {
            moved(due.max(now));
            world.now();
            world.scripts.resume(script);
            if world.scripts.is_job_over(script) {
                wait_until("a job's end reaches the loop", || {
                    event_loop.next_deadline() == Some(Duration::ZERO)
                });
            }
            look_again(world, event_loop, None, false);
        }
        Some(_) => {
            moved(timer.expect("there is one, or the script would be next"));
            look_again(world, event_loop, None, false);
        }
        None if world.scripts.stage().waits_for_pool => look_again(world, event_loop, None, false),
        None if deadline.is_some() => look_again(world, event_loop, deadline, false),
        None => {
            world.emit("-", "deadlock");
            event_loop.stop();
        }
    }
}

/// For what another thread is about to do.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: for too long");
        std::thread::yield_now();
    }
}
