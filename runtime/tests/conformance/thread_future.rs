//! Thread futures and what threads do with them: the `cf_*` ops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perloop::{
    AnyFuture, CrossThreadFuture, FutureError, LoopFuture, Panicked, Promise, ReturnWhen, threads,
    wrap_future,
};
use serde_json::{Value, json};

use crate::error::Error;
use crate::world::{Env, Outcome, Place, Shared, World, error_value};

/// A cross-thread future that many look at: its value lies beside it, since perloop gives it once.
pub(crate) struct ThreadFuture {
    name: String,
    pub(crate) future: Arc<CrossThreadFuture<Value>>,
    promise: Mutex<Option<Promise<Value>>>,
    outcome: Outcome,
}

impl ThreadFuture {
    pub(crate) fn submitted(name: &str, future: CrossThreadFuture<Value>, outcome: Outcome) -> Arc<Self> {
        let future = Arc::new(future);
        Arc::new(Self { name: name.to_owned(), future, promise: Mutex::default(), outcome })
    }

    fn bare(name: &str) -> Arc<Self> {
        let (promise, future) = Promise::new();
        let (promise, future) = (Mutex::new(Some(promise)), Arc::new(future));
        Arc::new(Self { name: name.to_owned(), future, promise, outcome: Outcome::default() })
    }

    /// A future of the running loop: `wrap_future`.
    pub(crate) fn wrap(&self) -> LoopFuture<Value> {
        wrap_future(Arc::clone(&self.future))
    }

    /// The outcome, if it is there, else Timeout.
    pub(crate) fn result(&self) -> Result<Value, Error> {
        match self.future.result_timeout(Duration::ZERO) {
            Ok(_) | Err(FutureError::Taken) => {
                let outcome = self.outcome.lock().expect("not poisoned").clone();
                outcome.expect("the value is written before the future is done")
            }
            Err(error) => Err(error.into()),
        }
    }

    fn exception(&self) -> Result<Value, Error> {
        if !self.future.done() {
            return Err(FutureError::TimedOut.into());
        }
        let panicked = self.future.exception()?;
        Ok(panicked.map_or(Value::Null, |panicked| error_value(&Error::from(&panicked))))
    }

    fn state(&self) -> &'static str {
        match &self.future {
            future if future.cancelled() => "cancelled",
            future if future.running() => "running",
            future if future.done() => "finished",
            _ => "pending",
        }
    }

    fn has_failed(&self) -> bool {
        self.future.done() && matches!(self.future.exception(), Ok(Some(_)))
    }

    fn set(&self, outcome: Result<Value, Error>) -> Result<(), Error> {
        let mut promise = self.promise.lock().expect("not poisoned");
        let promise = promise.as_mut().expect("a bare future");
        if !self.future.done() {
            *self.outcome.lock().expect("not poisoned") = Some(outcome.clone());
        }
        let set = match outcome {
            Ok(value) => promise.set_result(value),
            Err(error) => promise.set_exception(Panicked::new(Box::new(error.0))),
        };
        set.map_err(|_| Error::named("InvalidState", ""))
    }

    fn set_running(&self) -> bool {
        let mut promise = self.promise.lock().expect("not poisoned");
        promise.as_mut().expect("a bare future").set_running_or_notify_cancel()
    }

    fn add_done_callback(&self, world: &'static World, callback: &'static str) {
        let name = self.name.clone();
        self.future.add_done_callback(move |_| {
            let vars = HashMap::from([("future".to_owned(), json!(name))]);
            crate::ops::call(world, callback, vars, Some(&name));
        });
    }
}

/// The `cf_*` ops; none if it is another.
pub(crate) fn op(world: &'static World, op: &'static Value, env: &Env) -> Option<Result<Value, Error>> {
    let verb = op["op"].as_str().expect("an op");
    match verb {
        "cf_wait" => return Some(wait(world, op, env)),
        "cf_as_completed" => return Some(as_completed(world, op, env)),
        _ if !verb.starts_with("cf_") => return None,
        _ => {}
    }
    let name = world.text(env, op.get("on").unwrap_or(&op["name"]));
    if verb == "cf_new" {
        world.keep_shared(&name, Shared::Future(ThreadFuture::bare(&name)));
        return Some(Ok(Value::Null));
    }
    let future = world.future(&name);
    let label = format!("{verb} {name}");
    Some(match verb {
        "cf_set_result" => {
            let set = future.set(Ok(world.value(env, &op["value"])));
            world.tell_error(env, &label, set).map(|()| Value::Null)
        }
        "cf_set_exception" => {
            let error = Error::named(op["error"].as_str().expect("a name"), &world.text(env, &op["msg"]));
            world.tell_error(env, &label, future.set(Err(error))).map(|()| Value::Null)
        }
        "cf_add_done_callback" => {
            future.add_done_callback(world, op["cb"].as_str().expect("a callback"));
            Ok(Value::Null)
        }
        _ => world.tell(env, &label, ask(world, op, env, &future)),
    })
}

fn ask(world: &World, op: &Value, env: &Env, future: &Arc<ThreadFuture>) -> Result<Value, Error> {
    let waited = Arc::clone(future);
    let is_done = move || waited.future.done();
    match op["op"].as_str().expect("an op") {
        "cf_result" => {
            block(world, env, op["timeout"].as_u64(), is_done);
            future.result()
        }
        "cf_exception" => {
            block(world, env, op["timeout"].as_u64(), is_done);
            future.exception()
        }
        "cf_cancel" => Ok(json!(future.future.cancel())),
        "cf_state" => Ok(json!(future.state())),
        "cf_set_running" => Ok(json!(future.set_running())),
        other => panic!("unknown op {other}"),
    }
}

/// Lets the others run until `is_ready`, at most for `limit` virtual milliseconds. Elsewhere than in a script nothing
/// waits.
fn block(world: &World, env: &Env, limit: Option<u64>, is_ready: impl Fn() -> bool + Send + 'static) {
    if let Place::Script(_, script) = env.place
        && !is_ready()
    {
        let due = limit.map(|limit| world.now() + limit);
        world.scripts.pause(script, due, Box::new(is_ready));
    }
}

fn named(world: &World, op: &Value) -> Vec<Arc<ThreadFuture>> {
    let names = op["on"].as_array().expect("a list");
    names.iter().map(|name| world.future(name.as_str().expect("a name"))).collect()
}

fn wait(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let futures = named(world, op);
    let when = match op["when"].as_str() {
        Some("FIRST") => ReturnWhen::FirstCompleted,
        Some("EXC") => ReturnWhen::FirstException,
        _ => ReturnWhen::AllCompleted,
    };
    let watched = futures.clone();
    block(world, env, op["timeout"].as_u64(), move || is_enough(&watched, when));
    let list: Vec<&dyn AnyFuture> = futures.iter().map(|future| &*future.future as &dyn AnyFuture).collect();
    let found = threads::wait(&list, when, Some(Duration::ZERO)).expect("nobody is in the way");
    let names = |places: Vec<usize>| places.iter().map(|at| json!(futures[*at].name)).collect::<Value>();
    world.tell(env, "cf_wait", Ok(json!([names(found.done), names(found.pending)])))
}

fn is_enough(futures: &[Arc<ThreadFuture>], when: ReturnWhen) -> bool {
    let mut done = futures.iter().filter(|future| future.future.done());
    match when {
        ReturnWhen::AllCompleted => done.count() == futures.len(),
        ReturnWhen::FirstCompleted => done.next().is_some(),
        ReturnWhen::FirstException => {
            futures.iter().any(|future| future.has_failed()) || done.count() == futures.len()
        }
    }
}

fn as_completed(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let futures = named(world, op);
    let list: Vec<&dyn AnyFuture> = futures.iter().map(|future| &*future.future as &dyn AnyFuture).collect();
    let mut source = threads::as_completed(&list, None).expect("nobody is in the way");
    for given in 0..futures.len() {
        let watched = futures.clone();
        let is_ready = move || watched.iter().filter(|future| future.future.done()).count() > given;
        block(world, env, op["timeout"].as_u64(), is_ready);
        if futures.iter().filter(|future| future.future.done()).count() <= given {
            world.say(env, "cf_completed ! Timeout");
            return Ok(Value::Null);
        }
        let at = source.next().expect("one is left").expect("it is done");
        world.say(env, &format!("cf_completed {}", futures[at].name));
    }
    Ok(Value::Null)
}
