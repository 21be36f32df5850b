//! Coroutines: their ops, which may suspend, and the tasks that run them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use perloop::{
    BodyEnd, EventLoop, FutureError, LoopClosed, Task, async_with, catch_cancelled, ensure_future,
    get_running_loop, sleep,
};
use serde_json::Value;

use crate::error::Error;
use crate::executor;
use crate::futures::{self, Callbacks};
use crate::generators;
use crate::known;
use crate::locks;
use crate::ops::{self, Done, Flow};
use crate::queue;
use crate::several;
use crate::task_group;
use crate::thread_future::ThreadFuture;
use crate::timeouts;
use crate::world::{
    Env, Outcome, Place, Shared, TaskEntry, Thing, World, current, event_loop, format_value, keep,
    name_current,
};

pub(crate) type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// A coroutine object: made, and not begun.
pub(crate) struct Coroutine {
    world: &'static World,
    label: String,
    ops: &'static Value,
    args: HashMap<String, Value>,
}

impl Coroutine {
    pub(crate) fn new(world: &'static World, spec: &'static Value, env: &Env) -> Self {
        let name = world.text(env, &spec["coro"]);
        let ops = &world.spec["coros"][&name];
        Self { world, label: world.new_label(&name), ops, args: world.arguments(env, &spec["args"]) }
    }

    /// Runs it inside of the task that awaits it.
    pub(crate) fn run(self, outcome: Outcome) -> Local<Result<Value, Error>> {
        let Self { world, label, ops, args } = self;
        Box::pin(async move {
            name_current(&label, &outcome);
            let env = Env::new(Place::Coroutine, args);
            world.say(&env, &format!("start {label}"));
            let unless_ended = Ending { world, label: &label, env: &env };
            let ended = run(world, ops, Rc::clone(&env)).await;
            std::mem::forget(unless_ended);
            match &ended {
                Ok(flow) => world.say(&env, &format!("end {label} = {}", format_value(&value_of(flow)))),
                Err(error) if error.is_generator_exit() => {}
                Err(error) if error.is_cancelled() => world.say(&env, &format!("end {label} cancelled")),
                Err(error) => world.say(&env, &format!("end {label} ! {}", error.0)),
            }
            ended.map(|flow| value_of(&flow))
        })
    }
}

fn value_of(flow: &Flow) -> Value {
    match flow {
        Flow::Return(value) => value.clone(),
        Flow::Next | Flow::Break => Value::Null,
    }
}

/// Says that a coroutine ended cancelled, when a request drops it.
struct Ending<'a> {
    world: &'static World,
    label: &'a str,
    env: &'a Env,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if current().is_some() {
            self.world.say(self.env, &format!("end {} cancelled", self.label));
        }
    }
}

/// A task's body. The outcome lies beside the task; a failure is a panic, as perloop's `exception` understands it.
pub(crate) async fn task_body(work: Local<Result<Value, Error>>, outcome: Outcome) -> Value {
    let ended = work.await;
    *outcome.lock().expect("not poisoned") = Some(ended.clone());
    match ended {
        Ok(value) => value,
        Err(error) if error.is_cancelled() => match error.to_cancelled().raise().await {},
        Err(error) => error.throw(),
    }
}

/// `spawn`: makes a task with a name.
pub(crate) fn spawn(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Result<(), Error> {
    let name = world.text(env, &op["name"]);
    let outcome = Outcome::default();
    let work = match op.get("aw") {
        Some(aw) => awaitable(world, aw, env, &outcome),
        None => Coroutine::new(world, op, env).run(Arc::clone(&outcome)),
    };
    let body = task_body(work, Arc::clone(&outcome));
    let on = match op.get("loop") {
        Some(name) => Ok(event_loop(&world.text(env, name))),
        None => get_running_loop().map_err(|_| Error::misuse("no-running-loop")),
    };
    let made = match op.get("in") {
        None => on.and_then(|on| on.create_named_task(&*name, body).map_err(closed)),
        Some(group) => task_group::find(&world.text(env, group)).create_task(body).map_err(Error::from),
    };
    let made = made.inspect(|task| task.set_name(&*name));
    let task = world.tell_error(env, &format!("spawn {name}"), made)?;
    keep(&name, Thing::Task(entry(task, outcome)));
    Ok(())
}

/// A task without a name.
pub(crate) fn spawn_unnamed(
    on: &EventLoop,
    work: Local<Result<Value, Error>>,
    outcome: Outcome,
) -> Result<TaskEntry, Error> {
    let task = on.create_task(task_body(work, Arc::clone(&outcome))).map_err(closed)?;
    Ok(entry(task, outcome))
}

fn closed(_: LoopClosed) -> Error {
    Error::misuse("closed")
}

fn entry(task: Task<Value>, outcome: Outcome) -> TaskEntry {
    let any = (*task).clone();
    TaskEntry { any, future: Some(ensure_future(task)), outcome, callbacks: Callbacks::default() }
}

/// `submit`: hands a coroutine to a loop, from a script.
pub(crate) fn submit(world: &'static World, op: &'static Value, env: &Env) -> Result<Value, Error> {
    let on = op.get("loop").map_or_else(|| "loop".to_owned(), |name| world.text(env, name));
    let name = world.text(env, &op["name"]);
    let outcome = Outcome::default();
    let (coroutine, written) = (Coroutine::new(world, op, env), Arc::clone(&outcome));
    let future = world
        .loop_handle(&on)
        .run_with(move || async move { task_body(coroutine.run(Arc::clone(&written)), written).await });
    if let Some(Err(error @ FutureError::LoopClosed(_))) = future.try_result() {
        world.tell_error(env, &format!("submit {name}"), Err::<(), _>(error.into()))?;
    }
    world.keep_shared(&name, Shared::Future(ThreadFuture::submitted(&name, future, outcome)));
    Ok(Value::Null)
}

/// The awaitable that a spec stands for.
pub(crate) fn awaitable(
    world: &'static World,
    spec: &'static Value,
    env: &Rc<Env>,
    outcome: &Outcome,
) -> Local<Result<Value, Error>> {
    if let Some(future) = futures::started(world, spec, env) {
        return match future {
            Ok(future) => Box::pin(async move { future.await.map_err(Error::from) }),
            Err(error) => Box::pin(async move { Err(error) }),
        };
    }
    match known::kind_of(spec) {
        "coro" => Coroutine::new(world, spec, env).run(Arc::clone(outcome)),
        "sleep" => {
            let (delay, value) = (delay(world, &spec["sleep"], env), world.value(env, &spec["value"]));
            Box::pin(async move {
                sleep(delay).await;
                Ok(value)
            })
        }
        "wait" => several::waiting(world, spec, env),
        "wait_for" => timeouts::waiting(world, spec, env, outcome),
        "get" | "put" | "join" => queue::awaitable(world, spec, env),
        "anext" | "aclose" => generators::awaitable(world, spec, env),
        "to_thread" => executor::in_thread(world, spec, env),
        other => locks::awaitable(world, other, spec, env),
    }
}

fn delay(world: &World, raw: &Value, env: &Env) -> Duration {
    // perloop's durations are never negative.
    Duration::from_millis(u64::try_from(world.millis_of(env, raw)).unwrap_or_default())
}

fn label_of(world: &World, spec: &'static Value, env: &Env) -> String {
    match spec {
        Value::String(_) => world.text(env, spec),
        _ => match known::kind_of(spec) {
            "coro" => format!("{}()", world.text(env, &spec["coro"])),
            "wrap" => format!("{}.wrap", world.text(env, &spec["wrap"])),
            kind @ ("get" | "put" | "join" | "anext" | "aclose") => {
                format!("{}.{kind}", world.text(env, &spec[kind]))
            }
            kind => locks::label_of(world, kind, spec, env).unwrap_or_else(|| kind.to_owned()),
        },
    }
}

/// Runs a coroutine's ops.
pub(crate) fn run(world: &'static World, ops: &'static Value, env: Rc<Env>) -> Local<Done> {
    Box::pin(async move {
        for op in ops::list(ops) {
            match one(world, op, &env).await? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    })
}

async fn one(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    match op["op"].as_str().expect("an op") {
        "if" => run(world, ops::branch(world, op, env), Rc::clone(env)).await,
        "repeat" => repeat(world, op, env).await,
        "forever" => forever(world, op, env).await,
        "sleep" => {
            sleep(delay(world, &op["ms"], env)).await;
            world.assign(env, &op["to"], world.value(env, &op["value"]));
            Ok(Flow::Next)
        }
        "await" => await_one(world, op, env).await,
        "call" => {
            let value = Coroutine::new(world, op, env).run(Outcome::default()).await?;
            world.assign(env, &op["to"], value);
            Ok(Flow::Next)
        }
        "try" => try_one(world, op, env).await,
        "guard" => {
            let _cleanup = Cleanup { world, ops: &op["cleanup"], env };
            run(world, &op["body"], Rc::clone(env)).await
        }
        "as_completed" => several::completing(world, op, env).await,
        "timeout" => timeouts::scope(world, op, env).await,
        "group" => task_group::scope(world, op, env).await,
        "with" => locks::with(world, op, env).await,
        "for" => generators::iterate(world, op, env).await,
        "yield" => generators::give(world, op, env).await,
        "shutdown_asyncgens" => generators::shut_down().await,
        "shutdown_default_executor" => {
            executor::shut_down(world).await;
            Ok(Flow::Next)
        }
        "with_cm" => with_context(world, op, env).await,
        _ => ops::one(world, op, env),
    }
}

async fn repeat(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    for index in 0..world.millis_of(env, &op["times"]) {
        world.assign(env, &op["var"], index.into());
        match run(world, &op["body"], Rc::clone(env)).await? {
            Flow::Next => {}
            Flow::Break => break,
            flow => return Ok(flow),
        }
    }
    Ok(Flow::Next)
}

async fn forever(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    loop {
        match run(world, &op["body"], Rc::clone(env)).await? {
            Flow::Next => {}
            Flow::Break => return Ok(Flow::Next),
            flow => return Ok(flow),
        }
    }
}

async fn await_one(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let label = format!("await {}", label_of(world, &op["aw"], env));
    let ended = awaitable(world, &op["aw"], env, &Outcome::default()).await;
    if ended.as_ref().is_err_and(Error::is_cancelled) {
        return ended.map(|_| Flow::Next);
    }
    let value = world.tell(env, &label, ended)?;
    world.assign(env, &op["to"], value);
    Ok(Flow::Next)
}

/// Runs ops that do not suspend when it is dropped inside of a step, however that comes.
struct Cleanup<'a> {
    world: &'static World,
    ops: &'static Value,
    env: &'a Rc<Env>,
}

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        if current().is_some() {
            ops::run(self.world, self.ops, self.env).expect("a cleanup does not fail");
        }
    }
}

/// Catches requests, if asked to.
async fn scope(catches: bool, body: Local<Done>) -> Done {
    if !catches {
        return body.await;
    }
    catch_cancelled(body).await.unwrap_or_else(|cancelled| Err(Error::from(&cancelled)))
}

async fn try_one(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    // What a destructor cannot do, fail, needs a scope as well.
    let fails = ops::list(&op["finally"]).iter().any(|op| op["op"] == "raise");
    let catches = op["async_cleanup"] == true || op["except"].get("Cancelled").is_some() || fails;
    let Some(finally) = op.get("finally") else {
        return handled(world, op, env, catches, false).await;
    };
    let unless_ended = (!catches).then(|| Cleanup { world, ops: finally, env });
    let ended = handled(world, op, env, catches, catches).await;
    std::mem::forget(unless_ended);
    run(world, finally, Rc::clone(env)).await?;
    ended
}

/// A `try` without its `finally`, which may want requests to handlers caught too.
async fn handled(
    world: &'static World,
    op: &'static Value,
    env: &Rc<Env>,
    catches: bool,
    catches_later: bool,
) -> Done {
    match scope(catches, run(world, &op["body"], Rc::clone(env))).await {
        Ok(Flow::Next) => scope(catches_later, run(world, &op["else"], Rc::clone(env))).await,
        Ok(flow) => Ok(flow),
        Err(error) => {
            let Some(handler) = handler_for(&op["except"], &error) else { return Err(error) };
            world.say(env, &format!("caught {}", error.0));
            let outer = env.handled.replace(Some(error));
            let ended = scope(catches_later, run(world, handler, Rc::clone(env))).await;
            env.handled.replace(outer);
            ended
        }
    }
}

/// The handler that fits. No case has both one that names the error and `*`.
fn handler_for(handlers: &'static Value, error: &Error) -> Option<&'static Value> {
    let any = || if error.is_cancelled() { None } else { handlers.get("*") };
    handlers.get(error.kind()).or_else(any)
}

async fn with_context(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let context = &world.spec["contexts"][op["cm"].as_str().expect("a name")];
    let entered = run(world, &context["enter"], Rc::clone(env)).await?;
    world.assign(env, &op["to"], value_of(&entered));
    let body = async |_: &mut ()| run(world, &op["body"], Rc::clone(env)).await;
    let exit = async |(), ended: BodyEnd<Done>| match run(world, &context["exit"], Rc::clone(env)).await {
        Err(replacing) => BodyEnd::Returned(Err(replacing)),
        Ok(_) => suppress(&context["suppress"], ended),
    };
    async_with((), body, exit).await
}

fn suppress(kinds: &Value, ended: BodyEnd<Done>) -> BodyEnd<Done> {
    let error = match &ended {
        BodyEnd::Returned(Err(error)) => error.clone(),
        BodyEnd::Cancelled(cancelled) => Error::from(cancelled),
        BodyEnd::Returned(Ok(_)) | BodyEnd::Panicked(_) => return ended,
    };
    let is_suppressed = kinds.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == error.kind()));
    if is_suppressed { BodyEnd::Returned(Ok(Flow::Next)) } else { ended }
}
