//! What the driver does: it makes loops run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use perloop::{EventLoop, get_running_loop};
use serde_json::{Value, json};

use crate::coroutine::{self, Coroutine, Local};
use crate::error::Error;
use crate::executor;
use crate::futures;
use crate::generators;
use crate::locks;
use crate::ops::{self, Flow};
use crate::queue;
use crate::runner;
use crate::script;
use crate::world::{Env, Outcome, Place, World, event_loop, forget_all};

/// Plays a scenario, and gives its trace.
pub(crate) fn play(spec: &'static Value) -> Vec<String> {
    let world = World::new(spec);
    queue::make_all(spec);
    executor::make_all(world);
    locks::make_all(spec);
    let run_main = || Box::leak(Box::new(json!([{"op": "run", "coro": "main"}])));
    let ops: &'static Value = spec.get("driver").unwrap_or_else(|| run_main());
    run_script(world, ops, &Env::new(Place::Driver("-".to_owned()), Default::default()));
    while let Some((script, due)) = world.scripts.next(world.now()) {
        world.move_to(due);
        world.scripts.resume(script);
    }
    let trace = world.finish();
    forget_all();
    generators::forget(None);
    perloop::set_event_loop(None);
    trace
}

/// Runs the ops of the driver or of a script: an error was traced, and the next op follows.
pub(crate) fn run_script(world: &'static World, ops: &'static Value, env: &Rc<Env>) {
    for op in ops::list(ops) {
        let flow = match op["op"].as_str().expect("an op") {
            "run" => run(world, op, env),
            "run_until_complete" => run_until_complete(world, op, env),
            "run_forever" => run_forever(world, op, env),
            "in_thread" => in_thread(world, op, env),
            "runner_new" | "runner_run" | "runner_get_loop" | "runner_close" => runner::op(world, op, env),
            _ => ops::one(world, op, env),
        };
        if matches!(flow, Ok(Flow::Break | Flow::Return(_))) {
            return;
        }
    }
}

/// Runs a loop, and gives what came out, be it a panic.
pub(crate) fn running<T, E: Into<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(ended) => ended.map_err(Into::into),
        Err(payload) => Err(Error::caught(payload)),
    }
}

/// A main coroutine's value; a failure is a panic.
pub(crate) async fn main_body(work: Local<Result<Value, Error>>, outcome: Outcome) {
    coroutine::task_body(work, outcome).await;
}

pub(crate) fn taken(outcome: &Outcome) -> Result<Value, Error> {
    outcome.lock().expect("not poisoned").clone().expect("main has ended")
}

fn run(world: &'static World, op: &'static Value, env: &Rc<Env>) -> ops::Done {
    let outcome = Outcome::default();
    let work = Coroutine::new(world, op, env).run(outcome.clone());
    let label = world.new_loop_label();
    let inside = outcome.clone();
    let main = async move {
        let this = get_running_loop().expect("it runs");
        world.begin_run(&this);
        world.keep_loop(&this);
        script::watch(world, &this);
        main_body(work, inside).await;
    };
    let builder = world.builder(&label);
    let ended = running(|| builder.run(main)).and_then(|()| taken(&outcome));
    world.follow(&event_loop(&label));
    done(world.tell(env, "run", ended), world, op, env)
}

fn run_until_complete(world: &'static World, op: &'static Value, env: &Rc<Env>) -> ops::Done {
    let name = world.text(env, &op["on"]);
    let on = event_loop(&name);
    let ended = match futures::started(world, &op["aw"], env) {
        Some(future) => {
            world.begin_run(&on);
            script::watch(world, &on);
            future.and_then(|future| {
                running(|| on.run_until_done(&future))?;
                future.result().map_err(Error::from)
            })
        }
        None => {
            let outcome = Outcome::default();
            let work = coroutine::awaitable(world, &op["aw"], env, &outcome);
            let main = main_body(work, outcome.clone());
            world.begin_run(&on);
            script::watch(world, &on);
            running(|| on.run_until_complete(main)).and_then(|()| taken(&outcome))
        }
    };
    world.follow(&on);
    done(world.tell(env, &format!("run_until_complete {name}"), ended), world, op, env)
}

fn run_forever(world: &'static World, op: &'static Value, env: &Rc<Env>) -> ops::Done {
    let name = world.text(env, &op["on"]);
    let on = event_loop(&name);
    world.begin_run(&on);
    script::watch(world, &on);
    let ended = running(|| on.run_forever()).map(|()| Value::Null);
    world.follow(&on);
    done(world.tell(env, &format!("run_forever {name}"), ended), world, op, env)
}

pub(crate) fn done(told: Result<Value, Error>, world: &World, op: &Value, env: &Env) -> ops::Done {
    world.assign(env, &op["to"], told?);
    Ok(Flow::Next)
}

/// Driver ops in a thread of their own.
fn in_thread(world: &'static World, op: &'static Value, env: &Rc<Env>) -> ops::Done {
    let who = format!("%{}", world.text(env, &op["name"]));
    let thread = std::thread::spawn(move || {
        run_script(world, &op["body"], &Env::new(Place::Driver(who), Default::default()));
        forget_all();
    });
    thread.join().expect("the thread's ops do not panic");
    Ok(Flow::Next)
}

/// Tries to run a loop inside of one.
pub(crate) fn run_nested(world: &'static World, op: &'static Value, env: &Rc<Env>) -> Result<Value, Error> {
    let work = Coroutine::new(world, op, env).run(Outcome::default());
    let main = main_body(work, Outcome::default());
    let how = op["how"].as_str().expect("a way");
    let ended = match how {
        "run" => running(|| EventLoop::builder().virtual_time().run(main)),
        "run_until_complete" => running(|| event_loop(&world.text(env, &op["on"])).run_until_complete(main)),
        _ => running(|| event_loop(&world.text(env, &op["on"])).run_forever()),
    };
    world.tell(env, &format!("run_nested {how}"), ended.map(|()| Value::Null))
}
