//! Several tasks and futures at once: `gather`, `wait`, `as_completed`.

use std::rc::Rc;

use perloop::{LoopFuture, ReturnWhen, TaskError, WaitError, as_completed, gather, gather_outcomes, wait};
use serde_json::{Value, json};

use crate::coroutine::{self, Local};
use crate::error::Error;
use crate::futures::{self, future_of};
use crate::ops::{Done, Flow, list};
use crate::timeouts::delay;
use crate::world::{Env, Outcome, World, error_value, format_value};

/// Python makes all awaitables before it makes tasks of those that are no futures.
pub(crate) fn children(
    world: &'static World,
    specs: &'static Value,
    env: &Rc<Env>,
) -> Result<Vec<LoopFuture<Value>>, Error> {
    type Given = Result<LoopFuture<Value>, Local<Result<Value, Error>>>;
    let given = |spec| match futures::started(world, spec, env) {
        Some(future) => future.map(Ok),
        None => Ok(Err(coroutine::awaitable(world, spec, env, &Outcome::default()))),
    };
    let given: Vec<Given> = list(specs).iter().map(given).collect::<Result<_, Error>>()?;
    given.into_iter().map(|given| given.or_else(futures::child_of)).collect()
}

/// `gather`.
pub(crate) fn gathered(
    world: &'static World,
    spec: &'static Value,
    env: &Rc<Env>,
) -> Result<LoopFuture<Value>, Error> {
    let several = children(world, &spec["gather"], env)?;
    let shown =
        |ended: Result<Value, TaskError>| ended.unwrap_or_else(|error| error_value(&Error::from(error)));
    let future = if spec["return_exceptions"] == true {
        gather_outcomes(several).share(move |outcomes| outcomes.into_iter().map(shown).collect())
    } else {
        gather(several).share(Value::from)
    };
    match future.done().then(|| future.result()) {
        Some(Err(TaskError::WrongLoop(_))) => Err(Error("ValueError:different-loop".to_owned())),
        _ => Ok(future),
    }
}

/// `wait`.
pub(crate) fn waiting(world: &'static World, spec: &Value, env: &Rc<Env>) -> Local<Result<Value, Error>> {
    let names: Vec<String> =
        spec["wait"].as_array().expect("a list").iter().map(|name| world.text(env, name)).collect();
    let several: Vec<_> = names.iter().map(|name| future_of(name)).collect();
    let limit = delay(world, &spec["timeout"], env);
    let when = match spec["when"].as_str() {
        Some("FIRST") => ReturnWhen::FirstCompleted,
        Some("EXC") => ReturnWhen::FirstException,
        _ => ReturnWhen::AllCompleted,
    };
    Box::pin(async move {
        let found = wait(&several, when, limit).await.map_err(|error| match error {
            WaitError::Nothing => Error("ValueError:empty".to_owned()),
            other => Error(format!("{other:?}")),
        })?;
        let named = |places: Vec<usize>| places.iter().map(|at| json!(names[*at])).collect::<Value>();
        Ok(json!([named(found.done), named(found.pending)]))
    })
}

/// `as_completed`.
pub(crate) async fn completing(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let several = children(world, &op["aws"], env)?;
    let given: Vec<_> =
        list(&op["aws"]).iter().map(|spec| spec.as_str().map(|_| world.text(env, spec))).collect();
    let name_of = |future: &LoopFuture<Value>| {
        let place = several.iter().position(|kept| kept == future).expect("one of them");
        let made_up = || future.task().map_or_else(|| "?".to_owned(), |task| task.name());
        json!(given[place].clone().unwrap_or_else(made_up))
    };
    let mut items = as_completed(several.iter(), delay(world, &op["timeout"], env));
    while let Some(item) = items.next().await {
        let ended = match item {
            Err(_) => Err(Error::named("Timeout", "")),
            Ok(future) if op["async"] == true => Ok(name_of(future)),
            Ok(future) => future.result().map_err(Error::from),
        };
        let is_over = ended.as_ref().is_err_and(|error| op["raise"] == true || error.kind() == "Timeout");
        let value = match ended {
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                world.say(env, &format!("completed ! {}", error.0));
                if is_over {
                    return Err(error);
                }
                continue;
            }
            Ok(value) => value,
        };
        world.say(env, &format!("completed {}", format_value(&value)));
        world.assign(env, &op["var"], value);
        match coroutine::run(world, &op["body"], Rc::clone(env)).await? {
            Flow::Next => {}
            Flow::Break => break,
            flow => return Ok(flow),
        }
    }
    Ok(Flow::Next)
}
