//! Pools and their jobs, and the time that is worked away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use perloop::{ExecutorError, JobError, LoopFuture, ThreadPoolExecutor, get_running_loop, to_thread};
use serde_json::Value;

use crate::coroutine::Local;
use crate::error::Error;
use crate::ops::{self, Flow};
use crate::script;
use crate::world::{Env, Place, World};

thread_local! {
    static POOLS: RefCell<HashMap<String, Rc<ThreadPoolExecutor>>> = RefCell::default();
}

/// What the scenario calls the default executor.
const DEFAULT: &str = "";

/// Makes the scenario's pools.
pub(crate) fn make_all(world: &'static World) {
    POOLS.take();
    for (name, object) in world.spec["objects"].as_object().into_iter().flatten() {
        if object["type"] == "executor" {
            let workers =
                object["workers"].as_u64().map_or(1, |workers| usize::try_from(workers).expect("few"));
            let pool = Rc::new(ThreadPoolExecutor::builder().max_workers(workers).build());
            world.scripts.add_pool(name, workers);
            POOLS.with_borrow_mut(|pools| pools.insert(name.clone(), pool));
        }
    }
}

/// A job that was handed in, from then until it ends or is dropped.
struct Job {
    world: &'static World,
    script: usize,
    name: String,
    args: HashMap<String, Value>,
}

impl Job {
    fn new(world: &'static World, pool: &str, spec: &'static Value, kind: &str, env: &Env) -> Self {
        let (name, args) = (world.text(env, &spec[kind]), world.arguments(env, &spec["args"]));
        Self { world, script: world.scripts.add_job(pool.to_owned()), name, args }
    }

    /// What a worker does. A failure is a panic.
    fn run(mut self) -> Value {
        let world = self.world;
        world.scripts.begin_job(self.script);
        let place = Place::Script(self.name.clone(), self.script);
        let env = Env::new(place, std::mem::take(&mut self.args));
        world.say(&env, "start");
        match ops::run(world, &world.spec["jobs"][&self.name], &env) {
            Ok(Flow::Return(value)) => value,
            Ok(_) => Value::Null,
            Err(error) => {
                drop(self);
                error.throw()
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.world.scripts.end(self.script);
    }
}

/// `executor`: handed in at once.
pub(crate) fn hand_in(
    world: &'static World,
    spec: &'static Value,
    env: &Env,
) -> Result<LoopFuture<Value>, Error> {
    let pool = spec["executor"].as_str().map(|raw| world.text(env, &raw.into()));
    let running = get_running_loop().map_err(|_| Error::misuse("no-running-loop"))?;
    let job = Job::new(world, pool.as_deref().unwrap_or(DEFAULT), spec, "job", env);
    let pool = pool.map(|name| POOLS.with_borrow(|pools| Rc::clone(&pools[&name])));
    let future = running.run_in_executor(pool.as_deref(), move || job.run())?;
    script::watch(world, &running);
    Ok(future)
}

/// `to_thread`: handed in when it is awaited.
pub(crate) fn in_thread(
    world: &'static World,
    spec: &'static Value,
    env: &Rc<Env>,
) -> Local<Result<Value, Error>> {
    let env = Rc::clone(env);
    Box::pin(async move {
        let job = Job::new(world, DEFAULT, spec, "to_thread", &env);
        script::watch(world, &get_running_loop().expect("a coroutine runs on one"));
        to_thread(move || job.run()).await.map_err(Error::from)
    })
}

/// `shutdown_default_executor`.
pub(crate) async fn shut_down(world: &'static World) {
    let running = get_running_loop().expect("a coroutine runs on one");
    world.scripts.set_waits_for_pool(true);
    running.shutdown_default_executor(None).await.expect("there is no limit");
    world.scripts.set_waits_for_pool(false);
}

/// `busy`.
pub(crate) fn work(world: &World, op: &Value, env: &Env) {
    let time = u64::try_from(world.millis_of(env, &op["ms"])).expect("a time");
    match get_running_loop() {
        Ok(running) => running.advance(Duration::from_millis(time)),
        Err(_) => world.move_to(world.now() + time),
    }
}

impl From<ExecutorError> for Error {
    fn from(error: ExecutorError) -> Self {
        match error {
            ExecutorError::ShutDown => Self::misuse("executor-shutdown"),
            ExecutorError::LoopClosed(_) => Self::misuse("closed"),
            other => Self(format!("{other:?}")),
        }
    }
}

impl From<JobError> for Error {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Refused(error) => error.into(),
            JobError::Panicked(panicked) => Self::from(&panicked),
            JobError::Cancelled(cancelled) => Self::from(&cancelled),
            other => Self(format!("{other:?}")),
        }
    }
}
