//! Runners: one loop for several main coroutines.

use std::rc::Rc;

use perloop::{EventLoop, RunError, Runner};
use serde_json::{Value, json};

use crate::coroutine;
use crate::driver::{done, main_body, running, taken};
use crate::error::Error;
use crate::ops::{Done, Flow};
use crate::script;
use crate::world::{Env, Outcome, Thing, World, find, keep};

/// The driver's ops on runners.
pub(crate) fn op(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Done {
    let verb = op["op"].as_str().expect("an op");
    if verb == "runner_new" {
        let builder = world.builder(&world.new_loop_label());
        keep(&world.text(env, &op["name"]), Thing::Runner(Rc::new(Runner::with_builder(builder))));
        return Ok(Flow::Next);
    }
    let name = world.text(env, &op["on"]);
    let Some(Thing::Runner(runner)) = find(&name) else { panic!("no runner '{name}'") };
    let ended = match verb {
        "runner_run" => run(world, op, env, &runner),
        "runner_get_loop" => loop_of(world, &runner).map(|on| json!(on.name())).map_err(Error::from),
        _ => running(|| runner.close()).map(|()| Value::Null),
    };
    done(world.tell(env, &format!("{verb} {name}"), ended), world, op, env)
}

fn run(world: &'static World, op: &'static Value, env: &Rc<Env>, runner: &Runner) -> Result<Value, Error> {
    let outcome = Outcome::default();
    let work = coroutine::awaitable(world, &op["aw"], env, &outcome);
    let main = main_body(work, outcome.clone());
    let on = loop_of(world, runner)?;
    world.begin_run(&on);
    script::watch(world, &on);
    let ended = running(|| runner.run(main));
    world.follow(&on);
    ended.and_then(|()| taken(&outcome))
}

/// The runner's loop, made known when it is made.
fn loop_of(world: &'static World, runner: &Runner) -> Result<EventLoop, RunError> {
    let on = runner.get_loop()?;
    if find(on.name()).is_none() {
        world.keep_loop(&on);
    }
    Ok(on)
}
