//! Futures of the loop: ops on them, and the awaitables that are futures from the moment that they are made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use perloop::{
    CallbackKey, EventLoop, LoopFuture, Panicked, SetError, create_future, get_event_loop, get_running_loop,
    shield,
};
use serde_json::{Value, json};

use crate::coroutine::{self, Local};
use crate::error::Error;
use crate::executor;
use crate::known;
use crate::ops;
use crate::several;
use crate::world::{self, Env, Outcome, Thing, World, error_value, event_loop, find, keep};

/// The callbacks that a future was given, by name: perloop takes them back by key.
#[derive(Clone, Default)]
pub(crate) struct Callbacks(Rc<RefCell<Vec<(&'static str, CallbackKey)>>>);

impl Callbacks {
    pub(crate) fn add(&self, name: &'static str, key: CallbackKey) {
        self.0.borrow_mut().push((name, key));
    }

    /// Takes all of one name back, and says how many.
    pub(crate) fn remove(&self, name: &Value, remove: impl Fn(CallbackKey) -> bool) -> usize {
        let mut kept = self.0.borrow_mut();
        let before = kept.iter().filter(|(kept, key)| *kept == name && remove(*key)).count();
        kept.retain(|(kept, _)| *kept != name);
        before
    }
}

/// A future that is no task's.
#[derive(Clone)]
pub(crate) struct FutureEntry {
    name: String,
    pub(crate) future: LoopFuture<Value>,
    callbacks: Callbacks,
    /// What it was set to, for who looks without asking for it.
    set: Outcome,
}

impl FutureEntry {
    pub(crate) fn new(name: &str, future: LoopFuture<Value>) -> Self {
        let callbacks = Callbacks::default();
        Self { name: name.to_owned(), future, callbacks, set: Outcome::default() }
    }

    fn set(&self, outcome: Result<Value, Error>) -> Result<(), Error> {
        if !self.future.done() {
            *self.set.lock().expect("not poisoned") = Some(outcome.clone());
        }
        let set = match outcome {
            Ok(value) => self.future.set_result(value),
            Err(error) => self.future.set_exception(Panicked::new(Box::new(error.0))),
        };
        set.map_err(set_error)
    }

    fn exception(&self) -> Result<Value, Error> {
        let exception = self.future.exception()?;
        Ok(exception.map_or(Value::Null, |panicked| error_value(&Error::from(&panicked))))
    }

    fn state(&self) -> String {
        if !self.future.done() {
            return "pending".to_owned();
        }
        if self.future.cancelled() {
            return "cancelled".to_owned();
        }
        let set = self.set.lock().expect("not poisoned").clone();
        match set.unwrap_or_else(|| self.future.result().map_err(Error::from)) {
            Ok(value) => format!("result {}", world::format_value(&value)),
            Err(error) => format!("error {}", error.0),
        }
    }

    fn add_done_callback(&self, world: &'static World, callback: &'static str) {
        let name = self.name.clone();
        let key = self.future.add_done_callback(move |_| {
            let vars = HashMap::from([("future".to_owned(), json!(name))]);
            ops::call(world, callback, vars, Some(&name));
        });
        self.callbacks.add(callback, key);
    }
}

fn set_error(error: SetError) -> Error {
    match error {
        SetError::OfTask => Error::misuse("task-set-result"),
        _ => Error::named("InvalidState", ""),
    }
}

/// What a name stands for, as a future.
pub(crate) fn future_of(name: &str) -> LoopFuture<Value> {
    match find(name) {
        Some(Thing::Task(entry)) => entry.future.expect("a task whose handle is there"),
        Some(Thing::Future(entry)) => entry.future,
        _ => panic!("no task or future '{name}'"),
    }
}

pub(crate) fn is_done(name: &str) -> bool {
    match find(name) {
        Some(Thing::Task(entry)) => entry.any.done(),
        Some(Thing::Future(entry)) => entry.future.done(),
        _ => panic!("no task or future '{name}'"),
    }
}

/// Ops on futures that are no tasks'; none if it is another op, or of a task.
pub(crate) fn op(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Option<Result<Value, Error>> {
    let verb = op["op"].as_str().expect("an op");
    match verb {
        "future" => return Some(create(world, op, env)),
        "same" => return Some(same(world, op, env)),
        _ => {}
    }
    let name = world.text(env, op.get("on")?);
    let label = format!("{verb} {name}");
    let entry = match (verb, find(&name)?) {
        ("set_result" | "set_exception", Thing::Task(entry)) => {
            let future = entry.future.expect("a task whose handle is there");
            let set = future.set_result(Value::Null).map_err(set_error);
            return Some(world.tell_error(env, &label, set).map(|()| Value::Null));
        }
        (_, Thing::Future(entry)) => entry,
        _ => return None,
    };
    Some(match verb {
        "set_result" => set(world, env, &label, &entry, Ok(world.value(env, &op["value"]))),
        "set_exception" => {
            let error = Error::named(op["error"].as_str().expect("a name"), &ops::message(world, op, env));
            set(world, env, &label, &entry, Err(error))
        }
        "cancel" => {
            let message = ops::message(world, op, env);
            let cancelled =
                if message.is_empty() { entry.future.cancel() } else { entry.future.cancel_with(message) };
            world.tell(env, &label, Ok(cancelled))
        }
        "result" => world.tell(env, &label, entry.future.result().map_err(Error::from)),
        "exception" => world.tell(env, &label, entry.exception()),
        "state" => {
            world.say(env, &format!("{label} = {}", entry.state()));
            Ok(Value::Null)
        }
        "add_done_callback" => {
            entry.add_done_callback(world, op["cb"].as_str().expect("a callback"));
            Ok(Value::Null)
        }
        "remove_done_callback" => {
            let remove = |key| entry.future.remove_done_callback(key);
            world.tell(env, &label, Ok(entry.callbacks.remove(&op["cb"], remove)))
        }
        _ => return None,
    })
}

fn set(
    world: &World,
    env: &Env,
    label: &str,
    entry: &FutureEntry,
    outcome: Result<Value, Error>,
) -> Result<Value, Error> {
    world.tell_error(env, label, entry.set(outcome)).map(|()| Value::Null)
}

fn create(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let name = world.text(env, &op["name"]);
    let made = match op.get("loop") {
        Some(of) => Ok(event_loop(&world.text(env, of)).create_future()),
        None if get_running_loop().is_ok() => Ok(create_future()),
        None => current_loop().map(|current| current.create_future()),
    };
    let future = world.tell_error(env, &format!("future {name}"), made)?;
    keep(&name, Thing::Future(FutureEntry::new(&name, future)));
    Ok(Value::Null)
}

fn current_loop() -> Result<EventLoop, Error> {
    get_event_loop().map_err(|_| Error::misuse("no-current-loop"))
}

fn same(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let (a, b) = (world.text(env, &op["a"]), world.text(env, &op["b"]));
    let is_same = future_of(&a) == future_of(&b);
    world.tell(env, &format!("same {a} {b}"), Ok(is_same))
}

/// `make`: a future of what is one, a task of anything else.
pub(crate) fn make(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Result<(), Error> {
    let (name, aw) = (world.text(env, &op["name"]), &op["aw"]);
    let on = || op.get("loop").map_or_else(current_loop, |name| Ok(event_loop(&world.text(env, name))));
    let made = match aw.as_str() {
        Some(_) => ensure(world, op, env, &world.text(env, aw)),
        None => match started(world, aw, env) {
            Some(future) => future.map(|future| Thing::Future(FutureEntry::new(&name, future))),
            None => {
                let outcome = Outcome::default();
                let work = coroutine::awaitable(world, aw, env, &outcome);
                on().and_then(|on| coroutine::spawn_unnamed(&on, work, outcome)).map(Thing::Task)
            }
        },
    };
    keep(&name, world.tell_error(env, &format!("make {name}"), made)?);
    Ok(())
}

/// What a name stands for, if it belongs to the loop that was asked for.
fn ensure(world: &World, op: &Value, env: &Env, name: &str) -> Result<Thing, Error> {
    if let Some(of) = op.get("loop") {
        let of = event_loop(&world.text(env, of));
        of.ensure_future(future_of(name)).map_err(|_| Error("ValueError:different-loop".to_owned()))?;
    }
    Ok(find(name).expect("a task or future"))
}

/// The future of an awaitable that is one from the moment that it is made; none of what runs inside of its awaiter.
pub(crate) fn started(
    world: &'static World,
    spec: &'static Value,
    env: &Rc<Env>,
) -> Option<Result<LoopFuture<Value>, Error>> {
    if spec.is_string() {
        return Some(Ok(future_of(&world.text(env, spec))));
    }
    match known::kind_of(spec) {
        "executor" => Some(executor::hand_in(world, spec, env)),
        "gather" => Some(several::gathered(world, spec, env)),
        "wrap" => Some(Ok(world.future(&world.text(env, &spec["wrap"])).wrap())),
        "shield" => Some(child(world, &spec["shield"], env).map(shield)),
        _ => None,
    }
}

/// As `ensure_future`: a task of what is no future.
fn child(world: &'static World, spec: &'static Value, env: &Rc<Env>) -> Result<LoopFuture<Value>, Error> {
    if let Some(future) = started(world, spec, env) {
        return future;
    }
    child_of(coroutine::awaitable(world, spec, env, &Outcome::default()))
}

/// A task that names itself when its coroutine begins.
pub(crate) fn child_of(work: Local<Result<Value, Error>>) -> Result<LoopFuture<Value>, Error> {
    let entry = coroutine::spawn_unnamed(&current_loop()?, work, Outcome::default())?;
    let future = entry.future.clone().expect("its handle");
    keep(&format!("?{}", entry.any.name()), Thing::Task(entry));
    Ok(future)
}
