//! Objects that tasks wait for each other with: their ops, awaitables and scopes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use perloop::{
    Barrier, BoundedSemaphore, BrokenBarrier, Condition, Event, Lock, NotAcquired, ReleasedTooMany, Semaphore,
};
use serde_json::{Value, json};

use crate::coroutine::{self, Local};
use crate::error::Error;
use crate::ops::{self, Done};
use crate::queue::misuse_caught;
use crate::world::{Env, World};

/// The awaitables of this file, and the methods that they stand for.
const METHODS: &[(&str, &str)] = &[
    ("acquire", "acquire"),
    ("event_wait", "wait"),
    ("cond_wait", "wait"),
    ("cond_wait_for", "wait_for"),
    ("barrier_wait", "wait"),
    ("barrier_reset", "reset"),
    ("barrier_abort", "abort"),
];

#[derive(Clone)]
enum Object {
    Lock(Lock),
    Event(Event),
    Condition(Condition),
    Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore),
    Barrier(Barrier),
}

thread_local! {
    static OBJECTS: RefCell<HashMap<String, Object>> = RefCell::default();
}

impl From<NotAcquired> for Error {
    fn from(_: NotAcquired) -> Self {
        Self::misuse("not-acquired")
    }
}

impl From<ReleasedTooMany> for Error {
    fn from(_: ReleasedTooMany) -> Self {
        Self("ValueError:released-too-many".to_owned())
    }
}

impl From<BrokenBarrier> for Error {
    fn from(_: BrokenBarrier) -> Self {
        Self::named("BrokenBarrier", "")
    }
}

/// Makes a scenario's objects, before anything runs.
pub(crate) fn make_all(spec: &Value) {
    let specs = spec["objects"].as_object().into_iter().flatten();
    OBJECTS.take();
    // A condition may use a lock that stands after it.
    let (conditions, others): (Vec<_>, Vec<_>) = specs.partition(|(_, spec)| spec["type"] == "condition");
    for (name, spec) in others.into_iter().chain(conditions) {
        make(name, spec).expect("a good object");
    }
}

fn make(name: &str, spec: &Value) -> Result<(), Error> {
    let made = match spec["type"].as_str().expect("a type") {
        "lock" => Object::Lock(Lock::new()),
        "event" => Object::Event(Event::new()),
        "condition" => Object::Condition(condition(spec)),
        "semaphore" => Object::Semaphore(Semaphore::new(permits(spec)?)),
        "bounded_semaphore" => Object::BoundedSemaphore(BoundedSemaphore::new(permits(spec)?)),
        "barrier" => Object::Barrier(barrier(spec)?),
        // A queue.
        _ => return Ok(()),
    };
    OBJECTS.with_borrow_mut(|objects| objects.insert(name.to_owned(), made));
    Ok(())
}

fn condition(spec: &Value) -> Condition {
    match spec["lock"].as_str().map(find) {
        Some(Object::Lock(lock)) => Condition::with_lock(&lock),
        Some(_) => panic!("a condition uses a lock"),
        None => Condition::new(),
    }
}

/// perloop's permits are never negative.
fn permits(spec: &Value) -> Result<usize, Error> {
    let value = spec["value"].as_i64().unwrap_or(1);
    usize::try_from(value).map_err(|_| Error("ValueError:negative".to_owned()))
}

fn barrier(spec: &Value) -> Result<Barrier, Error> {
    let parties = spec["parties"].as_u64().map(|parties| usize::try_from(parties).expect("few"));
    Barrier::new(parties.unwrap_or_default()).map_err(|_| Error("ValueError:parties".to_owned()))
}

fn find(name: &str) -> Object {
    OBJECTS.with_borrow(|objects| objects.get(name).cloned()).unwrap_or_else(|| panic!("no object '{name}'"))
}

fn misused(object: &str, verb: &str) -> ! {
    panic!("no {verb} of '{object}'")
}

/// The ops that never suspend. None if it is not one of them.
pub(crate) fn op(world: &World, op: &Value, env: &Env) -> Option<Result<Value, Error>> {
    let verb = op["op"].as_str().expect("an op");
    Some(match verb {
        "object" => {
            let name = world.text(env, &op["name"]);
            world.tell_error(env, &format!("object {name}"), make(&name, op)).map(|()| Value::Null)
        }
        "locked" | "is_set" | "barrier_state" => {
            let name = world.text(env, &op["on"]);
            world.tell(env, &format!("{verb} {name}"), Ok(state(&name, verb)))
        }
        "release" | "event_set" | "event_clear" | "notify" | "notify_all" => {
            let name = world.text(env, &op["on"]);
            world.tell_error(env, &format!("{verb} {name}"), change(&name, verb, op)).map(|()| Value::Null)
        }
        _ => return None,
    })
}

fn state(name: &str, verb: &str) -> Value {
    match find(name) {
        Object::Lock(lock) => json!(lock.locked()),
        Object::Event(event) if verb == "is_set" => json!(event.is_set()),
        Object::Barrier(barrier) => json!([barrier.n_waiting(), barrier.broken()]),
        Object::Event(_) => misused(name, verb),
        Object::Condition(condition) => json!(condition.locked()),
        Object::Semaphore(semaphore) => json!(semaphore.locked()),
        Object::BoundedSemaphore(semaphore) => json!(semaphore.locked()),
    }
}

fn change(name: &str, verb: &str, op: &Value) -> Result<(), Error> {
    match (find(name), verb) {
        (Object::Lock(lock), "release") => lock.release()?,
        (Object::Condition(condition), "release") => condition.release()?,
        (Object::Condition(condition), "notify") => {
            condition.notify(op["n"].as_u64().map_or(1, |n| usize::try_from(n).expect("few")))?;
        }
        (Object::Condition(condition), "notify_all") => condition.notify_all()?,
        (Object::Semaphore(semaphore), "release") => semaphore.release(),
        (Object::BoundedSemaphore(semaphore), "release") => semaphore.release()?,
        (Object::Event(event), "event_set") => event.set(),
        (Object::Event(event), "event_clear") => event.clear(),
        _ => misused(name, verb),
    }
    Ok(())
}

/// What an await of the kind is called in the trace.
pub(crate) fn label_of(world: &World, kind: &str, spec: &Value, env: &Env) -> Option<String> {
    let (_, method) = METHODS.iter().find(|(known, _)| *known == kind)?;
    Some(format!("{}.{method}", world.text(env, &spec[kind])))
}

/// The awaitable of the kind.
pub(crate) fn awaitable(
    world: &'static World,
    kind: &str,
    spec: &'static Value,
    env: &Rc<Env>,
) -> Local<Result<Value, Error>> {
    Box::pin(misuse_caught(waiting(world, kind, spec, env)))
}

fn waiting(
    world: &'static World,
    kind: &str,
    spec: &'static Value,
    env: &Rc<Env>,
) -> Local<Result<Value, Error>> {
    let name = world.text(env, &spec[kind]);
    match (find(&name), kind) {
        (Object::Lock(lock), "acquire") => Box::pin(async move {
            lock.acquire().await.forget();
            Ok(json!(true))
        }),
        (Object::Semaphore(semaphore), "acquire") => Box::pin(async move {
            semaphore.acquire().await.forget();
            Ok(json!(true))
        }),
        (Object::BoundedSemaphore(semaphore), "acquire") => Box::pin(async move {
            semaphore.acquire().await.forget();
            Ok(json!(true))
        }),
        (Object::Condition(condition), "acquire") => Box::pin(async move {
            condition.acquire().await.forget();
            Ok(json!(true))
        }),
        (Object::Condition(condition), "cond_wait") => Box::pin(async move {
            condition.wait().await?;
            Ok(json!(true))
        }),
        (Object::Condition(condition), "cond_wait_for") => {
            let env = Rc::clone(env);
            Box::pin(async move {
                condition.wait_for(|| ops::test(world, &spec["until"], &env)).await?;
                Ok(json!(true))
            })
        }
        (Object::Event(event), "event_wait") => Box::pin(async move {
            event.wait().await;
            Ok(json!(true))
        }),
        (Object::Barrier(barrier), "barrier_wait") => {
            Box::pin(async move { Ok(json!(barrier.wait().await?)) })
        }
        (Object::Barrier(barrier), "barrier_reset") => Box::pin(async move {
            barrier.reset().await;
            Ok(Value::Null)
        }),
        (Object::Barrier(barrier), "barrier_abort") => Box::pin(async move {
            barrier.abort().await;
            Ok(Value::Null)
        }),
        _ => misused(&name, kind),
    }
}

/// Runs ops inside of an object's scope.
pub(crate) async fn with(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let name = world.text(env, &op["on"]);
    let body = || coroutine::run(world, &op["body"], Rc::clone(env));
    match find(&name) {
        Object::Lock(lock) => {
            let _guard = lock.acquire().await;
            body().await
        }
        Object::Condition(condition) => {
            let _guard = condition.acquire().await;
            body().await
        }
        Object::Semaphore(semaphore) => {
            let _permit = semaphore.acquire().await;
            body().await
        }
        Object::BoundedSemaphore(semaphore) => {
            let _permit = semaphore.acquire().await;
            body().await
        }
        Object::Barrier(barrier) => {
            world.assign(env, &op["to"], json!(barrier.wait().await?));
            body().await
        }
        Object::Event(_) => misused(&name, "scope"),
    }
}
