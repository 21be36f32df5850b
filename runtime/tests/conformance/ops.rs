//! The ops that can stand anywhere: they never suspend.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use perloop::{EventLoop, get_event_loop, get_running_loop, set_event_loop};
use serde_json::{Value, json};

use crate::coroutine;
use crate::error::Error;
use crate::executor;
use crate::world::{
    self, Env, Place, TaskEntry, Thing, World, current, error_value, event_loop, find, keep, task, task_name,
};
use crate::{debug, driver, futures, generators, locks, queue, script, task_group, thread_future, timeouts};

/// How a list of ops ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flow {
    Next,
    Break,
    Return(Value),
}

pub(crate) type Done = Result<Flow, Error>;

pub(crate) fn list(ops: &'static Value) -> &'static [Value] {
    ops.as_array().map_or(&[], Vec::as_slice)
}

/// Runs ops that do not suspend.
pub(crate) fn run(world: &'static World, ops: &'static Value, env: &Rc<Env>) -> Done {
    for op in list(ops) {
        match one(world, op, env)? {
            Flow::Next => {}
            flow => return Ok(flow),
        }
    }
    Ok(Flow::Next)
}

/// Runs a callback; a failure is a panic.
pub(crate) fn call(
    world: &'static World,
    name: &'static str,
    vars: HashMap<String, Value>,
    future: Option<&str>,
) {
    let env = Env::new(Place::Callback(name.to_owned()), vars);
    world.say(&env, &future.map_or_else(|| "run".to_owned(), |future| format!("run {future}")));
    if let Err(error) = run(world, &world.spec["callbacks"][name], &env) {
        error.throw();
    }
}

/// Runs one op.
pub(crate) fn one(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let verb = op["op"].as_str().expect("an op");
    match verb {
        "break" => return Ok(Flow::Break),
        "return" => return Ok(Flow::Return(world.value(env, &op["value"]))),
        "if" => return run(world, branch(world, op, env), env),
        "repeat" => return repeat(world, op, env),
        "raise" => {
            return Err(Error::named(op["error"].as_str().expect("a name"), &message(world, op, env)));
        }
        "reraise" => return Err(env.handled.borrow().clone().expect("an error to reraise")),
        _ => {}
    }
    let value = plain(world, op, env)
        .or_else(|| debug::op(op))
        .or_else(|| futures::op(world, op, env))
        .or_else(|| timeouts::op(world, op, env))
        .or_else(|| of_task(world, op, env))
        .or_else(|| of_loop(world, op, env))
        .or_else(|| schedule(world, op, env))
        .or_else(|| thread_future::op(world, op, env))
        .or_else(|| queue::op(world, op, env))
        .or_else(|| task_group::op(world, op, env))
        .or_else(|| generators::op(world, op, env))
        .or_else(|| locks::op(world, op, env))
        .unwrap_or_else(|| panic!("unknown op {verb}"))?;
    world.assign(env, &op["to"], value);
    Ok(Flow::Next)
}

pub(crate) fn message(world: &World, op: &Value, env: &Env) -> String {
    op.get("msg").map(|raw| world.text(env, raw)).unwrap_or_default()
}

pub(crate) fn branch(world: &World, op: &'static Value, env: &Env) -> &'static Value {
    if test(world, &op["cond"], env) { &op["then"] } else { &op["else"] }
}

pub(crate) fn test(world: &World, cond: &Value, env: &Env) -> bool {
    let verb = cond[0].as_str().expect("a condition");
    if let "done" | "pending" = verb {
        return futures::is_done(&world.text(env, &cond[1])) == (verb == "done");
    }
    let (left, right) = (world.value(env, &cond[1]), world.value(env, &cond[2]));
    let order = || left.as_i64().expect("a number").cmp(&right.as_i64().expect("a number"));
    match verb {
        "eq" => left == right,
        "ne" => left != right,
        "lt" => order().is_lt(),
        "le" => order().is_le(),
        "gt" => order().is_gt(),
        "ge" => order().is_ge(),
        other => panic!("unknown condition {other}"),
    }
}

fn repeat(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    for index in 0..world.millis_of(env, &op["times"]) {
        world.assign(env, &op["var"], json!(index));
        match run(world, &op["body"], env)? {
            Flow::Next => {}
            Flow::Break => break,
            flow => return Ok(flow),
        }
    }
    Ok(Flow::Next)
}

type Answer = Option<Result<Value, Error>>;

/// Ops without a target.
fn plain(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Answer {
    let done = Some(Ok(Value::Null));
    match op["op"].as_str().expect("an op") {
        "log" => world.say(env, &format!("log {}", world.text(env, &op["text"]))),
        "let" => world.assign(env, &op["var"], world.value(env, &op["value"])),
        "calc" => {
            let (a, b) = (world.millis_of(env, &op["a"]), world.millis_of(env, &op["b"]));
            let value = match op["fn"].as_str() {
                Some("add") => a + b,
                Some("sub") => a - b,
                _ => a * b,
            };
            world.assign(env, &op["var"], json!(value));
        }
        "set_exception_handler" => world.set_on_error(&op["cb"]),
        "start_thread" => script::start(world, world.text(env, &op["script"])),
        "tsleep" => script::sleep(world, op, env),
        "busy" => executor::work(world, op, env),
        "submit" => return Some(coroutine::submit(world, op, env)),
        "sigint" => signal_hook::low_level::raise(signal_hook::consts::SIGINT).expect("raised"),
        "run_nested" => return Some(driver::run_nested(world, op, env)),
        "drop" => drop_name(world, &world.text(env, &op["on"]), env),
        "spawn" => return Some(coroutine::spawn(world, op, env).map(|()| Value::Null)),
        "make" => return Some(futures::make(world, op, env).map(|()| Value::Null)),
        "current" => {
            let name = perloop::current_task().map(|task| json!(task.as_ref().map(task_name)));
            return Some(world.tell(env, "current", name.map_err(|_| Error::misuse("no-running-loop"))));
        }
        "all_tasks" => return Some(world.tell(env, "all_tasks", all_tasks(world, op, env))),
        "get_running_loop" => {
            let name = running(world, op, env).map(|running| json!(running.name()));
            return Some(world.tell(env, "get_running_loop", name));
        }
        "get_event_loop" => return Some(current_loop(world, op, env)),
        _ => return None,
    }
    done
}

fn drop_name(world: &World, name: &str, env: &Env) {
    env.handled.take();
    world.set_dropping(true);
    world::forget(name);
    generators::forget(Some(name));
    world.set_dropping(false);
}

fn running(world: &World, op: &Value, env: &Env) -> Result<EventLoop, Error> {
    match op.get("loop") {
        Some(name) => Ok(event_loop(&world.text(env, name))),
        // A script has a loop's handle, which gives the loop in its own thread only.
        None if matches!(env.place, Place::Script(..)) => {
            world.loop_handle("loop").event_loop().map_err(|_| Error::misuse("wrong-thread"))
        }
        None => get_running_loop().map_err(|_| Error::misuse("no-running-loop")),
    }
}

fn all_tasks(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let tasks = match op.get("loop") {
        Some(name) => event_loop(&world.text(env, name)).all_tasks(),
        None => perloop::all_tasks().map_err(|_| Error::misuse("no-running-loop"))?,
    };
    let mut names: Vec<_> = tasks.iter().map(task_name).collect();
    names.sort();
    Ok(json!(names))
}

fn current_loop(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let found = get_event_loop().map_err(|_| Error::misuse("no-current-loop"));
    if let (Ok(found), Some(name)) = (&found, op["name"].as_str()) {
        keep(name, Thing::Loop(found.clone()));
    }
    world.tell(env, "get_event_loop", found.map(|found| json!(found.name())))
}

/// Ops on tasks.
fn of_task(world: &'static World, op: &'static Value, env: &Env) -> Answer {
    let verb = op["op"].as_str().expect("an op");
    if let "cancelling" | "uncancel" = verb {
        return Some(count(world, op, env));
    }
    if !matches!(
        verb,
        "cancel"
            | "result"
            | "exception"
            | "state"
            | "add_done_callback"
            | "remove_done_callback"
            | "get_name"
            | "set_name"
    ) {
        return None;
    }
    let name = world.text(env, &op["on"]);
    let label = format!("{verb} {name}");
    let entry = task(&name);
    Some(match verb {
        "cancel" => world.tell(env, &label, Ok(request(&entry.any, &message(world, op, env)))),
        "result" => world.tell(env, &label, result(&entry)),
        "exception" => world.tell(env, &label, exception(&entry)),
        "state" => {
            world.say(env, &format!("state {name} = {}", state(&entry)));
            Ok(Value::Null)
        }
        "remove_done_callback" => {
            let remove = |key| entry.any.remove_done_callback(key);
            world.tell(env, &label, Ok(entry.callbacks.remove(&op["cb"], remove)))
        }
        "get_name" => world.tell(env, &label, Ok(entry.any.name())),
        "set_name" => {
            entry.any.set_name(world.text(env, &op["name"]));
            Ok(Value::Null)
        }
        _ => {
            add_done_callback(world, &entry, op["cb"].as_str().expect("a callback"));
            Ok(Value::Null)
        }
    })
}

fn request(task: &perloop::AnyTask, message: &str) -> Value {
    json!(if message.is_empty() { task.cancel() } else { task.cancel_with(message) })
}

fn count(world: &World, op: &Value, env: &Env) -> Result<Value, Error> {
    let target = match op.get("on") {
        Some(name) => task(&world.text(env, name)).any,
        None => current().expect("a current task"),
    };
    let verb = op["op"].as_str().expect("an op");
    let count = if verb == "uncancel" { target.uncancel() } else { target.cancelling() };
    world.tell(env, &format!("{verb} {}", task_name(&target)), Ok(json!(count)))
}

/// A task's value, which its body has written, or how else it ended.
pub(crate) fn result(entry: &TaskEntry) -> Result<Value, Error> {
    if !entry.any.done() {
        return Err(Error::named("InvalidState", ""));
    }
    if let Some(future) = &entry.future {
        return future.result().map_err(Error::from);
    }
    if entry.any.cancelled() {
        return Err(Error::named("Cancelled", ""));
    }
    entry.outcome.lock().expect("not poisoned").clone().expect("a body that ends writes its outcome")
}

fn exception(entry: &TaskEntry) -> Result<Value, Error> {
    if let Err(error) = result(entry)
        && (!entry.any.done() || entry.any.cancelled())
    {
        return Err(error);
    }
    Ok(entry.any.exception().map_or(Value::Null, |panicked| error_value(&Error::from(&panicked))))
}

/// Looks, and does not count as reading.
fn state(entry: &TaskEntry) -> String {
    if !entry.any.done() {
        return "pending".to_owned();
    }
    if entry.any.cancelled() {
        return "cancelled".to_owned();
    }
    match &*entry.outcome.lock().expect("not poisoned") {
        Some(Ok(value)) => format!("result {}", world::format_value(value)),
        Some(Err(error)) => format!("error {}", error.0),
        None => "?".to_owned(),
    }
}

fn add_done_callback(world: &'static World, entry: &TaskEntry, callback: &'static str) {
    let key = entry.any.add_done_callback(move |task| {
        let name = task_name(task);
        let vars = HashMap::from([("future".to_owned(), json!(name))]);
        call(world, callback, vars, Some(&name));
    });
    entry.callbacks.add(callback, key);
}

/// Ops on loops and handles.
fn of_loop(world: &'static World, op: &'static Value, env: &Env) -> Answer {
    let verb = op["op"].as_str().expect("an op");
    let target = || world.text(env, &op["on"]);
    let label = || format!("{verb} {}", target());
    Some(match verb {
        "new_event_loop" => {
            let name = world.text(env, &op["name"]);
            world.new_loop_label();
            world.keep_loop(&world.builder(&name).build().expect("a loop"));
            Ok(Value::Null)
        }
        "set_event_loop" => {
            let _old = set_event_loop(op["on"].as_str().map(event_loop).as_ref());
            Ok(Value::Null)
        }
        "stop" => {
            event_loop(&target()).stop();
            Ok(Value::Null)
        }
        "stop_loop" => running(world, op, env).map(|running| {
            running.stop();
            Value::Null
        }),
        "close" => {
            let closed = event_loop(&target()).close().map_err(|_| Error::misuse("close-running"));
            world.tell_error(env, &label(), closed).map(|()| Value::Null)
        }
        "is_running" => world.tell(env, &label(), Ok(event_loop(&target()).is_running())),
        "is_closed" => world.tell(env, &label(), Ok(event_loop(&target()).is_closed())),
        "cancel_handle" => {
            match find(&target()) {
                Some(Thing::Handle(handle)) => handle.cancel(),
                Some(Thing::Timer(handle)) => handle.cancel(),
                _ => panic!("no handle '{}'", target()),
            }
            Ok(Value::Null)
        }
        "handle_cancelled" => {
            let is_cancelled = match find(&target()) {
                Some(Thing::Handle(handle)) => handle.cancelled(),
                Some(Thing::Timer(handle)) => handle.cancelled(),
                _ => panic!("no handle '{}'", target()),
            };
            world.tell(env, &label(), Ok(is_cancelled))
        }
        "when" => {
            let Some(Thing::Timer(timer)) = find(&target()) else { panic!("no timer '{}'", target()) };
            world.tell(env, &label(), Ok(json!(world::millis(timer.when()))))
        }
        _ => return None,
    })
}

/// `call_soon` and its kin.
fn schedule(world: &'static World, op: &'static Value, env: &Env) -> Answer {
    let verb = op["op"].as_str().expect("an op");
    let callback = op["cb"].as_str().unwrap_or_default();
    if !matches!(verb, "call_soon" | "call_soon_threadsafe" | "call_later" | "call_at") {
        return None;
    }
    let args = world.arguments(env, &op["args"]);
    let scheduled = move || call(world, callback, args, None);
    let placed = if verb == "call_soon_threadsafe" {
        place_threadsafe(world, op, env, scheduled)
    } else {
        place(world, op, env, scheduled)
    };
    Some(world.tell_error(env, &format!("{verb} {callback}"), placed).map(|()| Value::Null))
}

fn place_threadsafe(
    world: &World,
    op: &Value,
    env: &Env,
    scheduled: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    let handle = match (&env.place, op.get("loop")) {
        (_, Some(name)) => world.loop_handle(&world.text(env, name)),
        (Place::Script(..), None) => world.loop_handle("loop"),
        _ => running(world, op, env)?.handle(),
    };
    assert!(op.get("name").is_none(), "perloop gives no handle for what is called from elsewhere");
    handle.call_soon_threadsafe(scheduled).map_err(|_| Error::misuse("closed"))
}

fn place(world: &World, op: &Value, env: &Env, scheduled: impl FnOnce() + 'static) -> Result<(), Error> {
    let on = running(world, op, env)?;
    let thing = match op["op"].as_str().expect("an op") {
        "call_soon" => on.call_soon(scheduled).map(Thing::Handle),
        "call_later" => {
            let delay = world.millis_of(env, &op["ms"]);
            match u64::try_from(delay) {
                Ok(delay) => on.call_later(Duration::from_millis(delay), scheduled).map(Thing::Timer),
                // perloop's durations are never negative, but its deadlines may be past.
                Err(_) => {
                    let ago = Duration::from_millis(delay.unsigned_abs());
                    on.call_at(on.time().saturating_sub(ago), scheduled).map(Thing::Timer)
                }
            }
        }
        _ => {
            let at = u64::try_from(world.millis_of(env, &op["at"])).expect("a time");
            let behind = world.now() - world::millis(on.time());
            on.call_at(Duration::from_millis(at.saturating_sub(behind)), scheduled).map(Thing::Timer)
        }
    };
    let thing = thing.map_err(|_| Error::misuse("closed"))?;
    if let Some(name) = op.get("name") {
        keep(&world.text(env, name), thing);
    }
    Ok(())
}
