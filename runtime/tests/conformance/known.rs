//! What a scenario may hold: the words of the format, so that a file that uses others is refused and not half played.

use std::collections::BTreeSet;

use serde_json::Value;

/// The ops that can stand anywhere.
const ANYWHERE: &[&str] = &[
    "add_done_callback",
    "agen",
    "all_tasks",
    "barrier_state",
    "break",
    "busy",
    "calc",
    "call_at",
    "call_later",
    "call_soon",
    "call_soon_threadsafe",
    "cancel",
    "cancel_handle",
    "cancelling",
    "cf_add_done_callback",
    "cf_cancel",
    "cf_exception",
    "cf_new",
    "cf_result",
    "cf_set_exception",
    "cf_set_result",
    "cf_set_running",
    "cf_state",
    "close",
    "current",
    "drop",
    "empty",
    "event_clear",
    "event_set",
    "exception",
    "expired",
    "full",
    "future",
    "get_event_loop",
    "get_name",
    "get_nowait",
    "get_running_loop",
    "group_cancel",
    "handle_cancelled",
    "if",
    "is_closed",
    "is_running",
    "is_set",
    "let",
    "locked",
    "log",
    "make",
    "new_event_loop",
    "notify",
    "notify_all",
    "put_nowait",
    "qsize",
    "queue_shutdown",
    "raise",
    "release",
    "remove_done_callback",
    "repeat",
    "reraise",
    "reschedule",
    "result",
    "return",
    "run_nested",
    "same",
    "set_debug",
    "set_event_loop",
    "set_exception",
    "set_exception_handler",
    "set_name",
    "set_result",
    "sigint",
    "spawn",
    "start_thread",
    "state",
    "stop",
    "stop_loop",
    "task_done",
    "uncancel",
    "when",
];

/// What can stand in coroutines and generators, and may suspend.
const SUSPENDING: &[&str] = &[
    "as_completed",
    "await",
    "call",
    "for",
    "forever",
    "group",
    "guard",
    "shutdown_asyncgens",
    "shutdown_default_executor",
    "sleep",
    "timeout",
    "try",
    "with",
    "with_cm",
    "yield",
];

/// What threads can do.
const THREADED: &[&str] = &["cf_as_completed", "cf_wait", "submit", "tsleep"];

/// What the driver can do.
const DRIVING: &[&str] = &[
    "in_thread",
    "object",
    "run",
    "run_forever",
    "run_until_complete",
    "runner_close",
    "runner_get_loop",
    "runner_new",
    "runner_run",
];

/// The awaitables that are objects, by the key that tells.
const AWAITABLES: &[&str] = &[
    "aclose",
    "acquire",
    "anext",
    "barrier_abort",
    "barrier_reset",
    "barrier_wait",
    "cond_wait",
    "cond_wait_for",
    "coro",
    "event_wait",
    "executor",
    "gather",
    "get",
    "join",
    "put",
    "shield",
    "sleep",
    "to_thread",
    "wait",
    "wait_for",
    "wrap",
];

const CONDITIONS: &[&str] = &["done", "eq", "ge", "gt", "le", "lt", "ne", "pending"];

/// The fields that name a part of the scenario, and where those parts stand.
const PARTS: &[(&str, &str)] = &[
    ("cb", "callbacks"),
    ("cm", "contexts"),
    ("coro", "coros"),
    ("gen", "gens"),
    ("job", "jobs"),
    ("script", "scripts"),
];

/// What in a scenario is not of the format, in words.
pub(crate) fn problems(spec: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if spec["coros"].get("main").is_none() && spec.get("driver").is_none() {
        found.insert("neither a coroutine 'main' nor a driver".to_owned());
    }
    look(spec, spec, &mut found);
    found
}

fn look(scenario: &Value, node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| look(scenario, item, found)),
        Value::Object(fields) => {
            if let Some(op) = fields.get("op") {
                look_at_op(scenario, op, node, found);
            }
            fields.values().for_each(|value| look(scenario, value, found));
        }
        _ => {}
    }
}

fn look_at_op(scenario: &Value, verb: &Value, op: &Value, found: &mut BTreeSet<String>) {
    let known = [ANYWHERE, SUSPENDING, THREADED, DRIVING];
    match verb.as_str() {
        Some(verb) if known.iter().any(|ops| ops.contains(&verb)) => {}
        _ => {
            found.insert(format!("unknown op {verb}"));
        }
    }
    for (field, section) in PARTS {
        look_at_part(scenario, &op[field], section, found);
    }
    look_at_part(scenario, &op["in"]["agen"], "gens", found);
    for aw in [&op["aw"]].into_iter().chain(op["aws"].as_array().into_iter().flatten()) {
        look_at_awaitable(scenario, aw, found);
    }
    let condition = &op["cond"][0];
    if !condition.is_null() && !condition.as_str().is_some_and(|verb| CONDITIONS.contains(&verb)) {
        found.insert(format!("unknown condition {condition}"));
    }
}

fn look_at_part(scenario: &Value, name: &Value, section: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = name.as_str().filter(|name| !name.contains('$'))
        && scenario[section].get(name).is_none()
    {
        found.insert(format!("no '{name}' in {section}"));
    }
}

fn look_at_awaitable(scenario: &Value, aw: &Value, found: &mut BTreeSet<String>) {
    let Some(fields) = aw.as_object() else { return };
    if !AWAITABLES.iter().any(|kind| fields.contains_key(*kind)) {
        found.insert(format!("unknown awaitable {aw}"));
    }
    for (field, section) in PARTS {
        look_at_part(scenario, &aw[field], section, found);
    }
    let inner = ["wait_for", "shield"].iter().filter_map(|kind| fields.get(*kind));
    let inner = inner.chain(aw["gather"].as_array().into_iter().flatten());
    inner.for_each(|aw| look_at_awaitable(scenario, aw, found));
}

/// What kind of awaitable a spec stands for.
pub(crate) fn kind_of(aw: &Value) -> &'static str {
    let mut known = AWAITABLES.iter().copied().filter(|kind| aw.get(kind).is_some());
    known.next().expect("a known awaitable")
}
