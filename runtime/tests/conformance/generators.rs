//! Asynchronous generators: the objects, and what asks and closes them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use perloop::{AsyncGenerator, Cancelled, GeneratorError, Yielder, async_gen, get_running_loop};
use serde_json::Value;

use crate::coroutine::{self, Local};
use crate::error::Error;
use crate::known;
use crate::ops::{Done, Flow};
use crate::world::{Env, Place, World, format_value};

thread_local! {
    static GENERATORS: RefCell<HashMap<String, Rc<AsyncGenerator<Value>>>> = RefCell::default();
}

fn find(name: &str) -> Rc<AsyncGenerator<Value>> {
    let found = GENERATORS.with_borrow(|generators| generators.get(name).cloned());
    found.unwrap_or_else(|| panic!("no generator '{name}'"))
}

/// Forgets one, or all.
pub(crate) fn forget(name: Option<&str>) {
    match name {
        Some(name) => drop(GENERATORS.with_borrow_mut(|generators| generators.remove(name))),
        None => drop(GENERATORS.take()),
    }
}

fn make(world: &'static World, name: &Value, args: &Value, env: &Env) -> AsyncGenerator<Value> {
    let (ops, args) = (&world.spec["gens"][world.text(env, name)], world.arguments(env, args));
    async_gen(move |y: Yielder<Value>| async move {
        let env = Env::new(Place::Coroutine, args);
        env.yielder.replace(Some(Rc::new(y)));
        let ended = coroutine::run(world, ops, Rc::clone(&env)).await;
        match ended {
            Ok(_) => {}
            Err(error) if error.is_cancelled() => match error.to_cancelled().raise().await {},
            // As of a task, a failure is a panic.
            Err(error) => error.throw(),
        }
    })
}

/// Ops that never suspend.
pub(crate) fn op(world: &'static World, op: &'static Value, env: &Env) -> Option<Result<Value, Error>> {
    if op["op"] != "agen" {
        return None;
    }
    let made = Rc::new(make(world, &op["gen"], &op["args"], env));
    let _old = GENERATORS.with_borrow_mut(|known| known.insert(world.text(env, &op["name"]), made));
    Some(Ok(Value::Null))
}

/// The `yield` op.
pub(crate) async fn give(world: &World, op: &Value, env: &Env) -> Done {
    let yielder = env.yielder.borrow().clone().expect("a generator's body");
    yielder.yield_(world.value(env, &op["value"])).await;
    Ok(Flow::Next)
}

/// The `shutdown_asyncgens` op.
pub(crate) async fn shut_down() -> Done {
    get_running_loop().expect("a loop runs").shutdown_asyncgens().await;
    Ok(Flow::Next)
}

/// The `for` op.
pub(crate) async fn iterate(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let source = match &op["in"] {
        named @ Value::String(_) => find(&world.text(env, named)),
        made => Rc::new(make(world, &made["agen"], &made["args"], env)),
    };
    while let Some(value) = next(&source).await? {
        world.say(env, &format!("next {}", format_value(&value)));
        world.assign(env, &op["var"], value);
        match coroutine::run(world, &op["body"], Rc::clone(env)).await? {
            Flow::Next => {}
            Flow::Break => break,
            flow => return Ok(flow),
        }
    }
    Ok(Flow::Next)
}

async fn next(source: &AsyncGenerator<Value>) -> Result<Option<Value>, Error> {
    let asked = AssertUnwindSafe(source.anext()).catch_unwind().await;
    Ok(asked.map_err(Error::caught)??)
}

/// What can be awaited of a generator.
pub(crate) fn awaitable(world: &World, spec: &'static Value, env: &Env) -> Local<Result<Value, Error>> {
    let kind = known::kind_of(spec);
    let source = find(&world.text(env, &spec[kind]));
    Box::pin(async move {
        if kind == "anext" {
            return next(&source).await?.ok_or_else(|| Error::named("Stop", ""));
        }
        let closed = AssertUnwindSafe(source.aclose()).catch_unwind().await;
        closed.map_err(Error::caught)??;
        Ok(Value::Null)
    })
}

impl From<GeneratorError> for Error {
    fn from(error: GeneratorError) -> Self {
        match error {
            GeneratorError::Running => Self::misuse("agen-running"),
            other => Self(format!("{other:?}")),
        }
    }
}

/// What ends a body that is closed: no handler of a scenario takes it.
pub(crate) const EXIT: &str = "GeneratorExit";

impl Error {
    pub(crate) fn is_generator_exit(&self) -> bool {
        self.0 == EXIT
    }

    pub(crate) fn to_generator_exit(&self) -> Option<Cancelled> {
        self.is_generator_exit().then(Cancelled::generator_exit)
    }
}
