//! Timeout scopes, and `wait_for`.

use std::rc::Rc;
use std::time::Duration;

use perloop::{LoopFuture, TimeoutScope, get_running_loop, timeout, wait_for};
use serde_json::{Value, json};

use crate::coroutine::{self, Local};
use crate::error::Error;
use crate::futures;
use crate::ops::Done;
use crate::world::{self, Env, Outcome, Thing, World, find, keep};

/// A delay; perloop's are never negative.
pub(crate) fn delay(world: &World, raw: &Value, env: &Env) -> Option<Duration> {
    let ms = world.value(env, raw).as_i64()?;
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

/// A time of the scenario, as a time of the running loop's clock.
fn at(world: &World, raw: &Value, env: &Env) -> Option<Duration> {
    let now = get_running_loop().expect("a loop runs").time();
    let at = delay(world, raw, env)?;
    Some(at.saturating_sub(Duration::from_millis(world.now()).saturating_sub(now)))
}

/// `timeout`.
pub(crate) async fn scope(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let scope = match op.get("at") {
        Some(raw) => TimeoutScope::at(at(world, raw, env)),
        None => TimeoutScope::after(delay(world, &op["ms"], env)),
    };
    if let Some(name) = op.get("name") {
        keep(&world.text(env, name), Thing::Scope(scope.clone()));
    }
    let body = coroutine::run(world, &op["body"], Rc::clone(env));
    let ended = scope.run(raising(body)).await;
    ended.unwrap_or_else(|_| Err(Error::named("Timeout", "")))
}

/// Both shapes of Cancelled as one: a request.
async fn raising<T>(body: Local<Result<T, Error>>) -> Result<T, Error> {
    match body.await {
        Err(error) if error.is_cancelled() => match error.to_cancelled().raise().await {},
        ended => ended,
    }
}

/// Ops on scopes; none if it is another.
pub(crate) fn op(world: &'static World, op: &'static Value, env: &Env) -> Option<Result<Value, Error>> {
    let name = world.text(env, op.get("on")?);
    let Thing::Scope(scope) = find(&name)? else { return None };
    let verb = op["op"].as_str().expect("an op");
    let label = format!("{verb} {name}");
    Some(match verb {
        "expired" => world.tell(env, &label, Ok(scope.expired())),
        "when" => world.tell(env, &label, Ok(json!(scope.when().map(world::millis)))),
        "reschedule" => {
            let when = match op.get("in") {
                Some(raw) => {
                    let now = get_running_loop().expect("a loop runs").time();
                    let ms = world.millis_of(env, raw);
                    let moved = Duration::from_millis(ms.unsigned_abs());
                    Some(if ms < 0 { now.saturating_sub(moved) } else { now + moved })
                }
                None => op.get("at").and_then(|raw| at(world, raw, env)),
            };
            let moved = scope.reschedule(when).map_err(|_| Error::misuse("timeout-not-active"));
            world.tell_error(env, &label, moved).map(|()| Value::Null)
        }
        _ => return None,
    })
}

/// `wait_for`: what is no task or future runs in place, as Python does it.
pub(crate) fn waiting(
    world: &'static World,
    spec: &'static Value,
    env: &Rc<Env>,
    outcome: &Outcome,
) -> Local<Result<Value, Error>> {
    let (limit, aw) = (delay(world, &spec["timeout"], env), &spec["wait_for"]);
    if let Some(future) = futures::started(world, aw, env) {
        return Box::pin(async move { limited(future?, limit).await });
    }
    let work = coroutine::awaitable(world, aw, env, outcome);
    Box::pin(async move {
        if limit == Some(Duration::ZERO) {
            return limited(futures::child_of(work)?, limit).await;
        }
        timeout(limit, raising(work)).await.unwrap_or_else(|_| Err(Error::named("Timeout", "")))
    })
}

async fn limited(future: LoopFuture<Value>, limit: Option<Duration>) -> Result<Value, Error> {
    match wait_for(future, limit).await {
        Ok(ended) => ended.map_err(Error::from),
        Err(_) => Err(Error::named("Timeout", "")),
    }
}
