//! Task groups: the scope, and what is done to one by its name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use perloop::{ExceptionGroup, GroupRefused, GroupedError, TaskGroup};
use serde_json::Value;

use crate::coroutine;
use crate::error::Error;
use crate::ops::{Done, Flow};
use crate::world::{Env, World};

thread_local! {
    static GROUPS: RefCell<HashMap<String, TaskGroup<Error>>> = RefCell::default();
}

/// The group of a name. The newest, if there were several.
pub(crate) fn find(name: &str) -> TaskGroup<Error> {
    let found = GROUPS.with_borrow(|groups| groups.get(name).cloned());
    found.unwrap_or_else(|| panic!("no group '{name}'"))
}

/// The `group` op.
pub(crate) async fn scope(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let group = TaskGroup::new();
    let _old = GROUPS.with_borrow_mut(|groups| groups.insert(world.text(env, &op["name"]), group.clone()));
    if op["cancel_first"] == true {
        group.cancel();
    }
    let body = async {
        let ended = coroutine::run(world, &op["body"], Rc::clone(env)).await;
        match ended {
            Err(error) if error.is_cancelled() => match error.to_cancelled().raise().await {},
            ended => ended,
        }
    };
    let ended = group.run(body).await;
    ended.map(|flow| flow.unwrap_or(Flow::Next)).map_err(Error::from)
}

/// The `group_cancel` op.
pub(crate) fn op(world: &World, op: &'static Value, env: &Env) -> Option<Result<Value, Error>> {
    if op["op"] != "group_cancel" {
        return None;
    }
    find(&world.text(env, &op["on"])).cancel();
    Some(Ok(Value::Null))
}

impl From<ExceptionGroup<Error>> for Error {
    fn from(group: ExceptionGroup<Error>) -> Self {
        let text = |error: &GroupedError<Error>| match error {
            GroupedError::Failed(error) => error.0.clone(),
            GroupedError::Panicked(panicked) => panicked.message().to_owned(),
        };
        Self(format!("Group[{}]", group.errors().iter().map(text).collect::<Vec<_>>().join(",")))
    }
}

impl From<GroupRefused> for Error {
    fn from(refused: GroupRefused) -> Self {
        match refused {
            GroupRefused::Finished => Self::misuse("group-finished"),
            GroupRefused::ShuttingDown => Self::misuse("group-shutting-down"),
            GroupRefused::NotEntered => Self::misuse("group-not-entered"),
        }
    }
}
