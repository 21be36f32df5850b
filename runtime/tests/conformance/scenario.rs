//! The scenario files: what is played, what is not yet, and what a trace must be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One scenario and its target trace.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) spec: &'static Value,
    golden: Vec<String>,
}

/// What the scenarios use and perloop does not have yet: ops and awaitables.
const NOT_YET: &[&str] = &[
    "aclose",
    "agen",
    "anext",
    "busy",
    "executor",
    "for",
    "runner_close",
    "runner_get_loop",
    "runner_new",
    "runner_run",
    "set_debug",
    "shutdown_asyncgens",
    "shutdown_default_executor",
    "to_thread",
    "yield",
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

/// The types of objects that perloop has.
const OBJECTS: &[&str] = &[
    "barrier",
    "bounded_semaphore",
    "condition",
    "event",
    "lifo_queue",
    "lock",
    "priority_queue",
    "queue",
    "semaphore",
];

/// Cases whose missing part does not show in their JSON.
const NEEDS: &[(&str, &str)] = &[];

impl Case {
    /// What perloop lacks for the case, if anything.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let by_hand = NEEDS.iter().find(|(name, _)| *name == self.name);
        let debug = self.spec.get("debug").map(|_| "debug mode");
        let mut objects = self.spec["objects"].as_object().into_iter().flat_map(|objects| objects.values());
        let unknown =
            objects.find_map(|object| object["type"].as_str().filter(|kind| !OBJECTS.contains(kind)));
        let mut used = BTreeSet::new();
        collect(self.spec, &mut used);
        let op = NOT_YET.iter().copied().find(|missing| used.contains(missing));
        by_hand.map(|(_, what)| *what).or(op).or(unknown).or(debug)
    }

    pub(crate) fn needs(&self, what: &str) -> bool {
        self.spec["needs"].as_array().is_some_and(|needs| needs.iter().any(|need| need == what))
    }

    /// The differences between the target and what was got, line by line; none if they agree.
    pub(crate) fn differences(&self, got: &[String]) -> Option<String> {
        let (want, got) = (self.canonical(&self.golden), self.canonical(got));
        if want == got {
            return None;
        }
        let mut text = String::new();
        for at in 0..want.len().max(got.len()) {
            let (left, right) = (line(&want, at), line(&got, at));
            let row =
                if left == right { format!("    {left}\n") } else { format!("!   {left}    got: {right}\n") };
            text.push_str(&row);
        }
        Some(text)
    }

    /// By-time cases have no order within an instant.
    fn canonical(&self, trace: &[String]) -> Vec<String> {
        let mut lines = trace.to_vec();
        if self.spec["order"] == "by-time" {
            lines.sort_by_key(|line| (instant(line), line.clone()));
        }
        lines
    }
}

fn line(trace: &[String], at: usize) -> &str {
    trace.get(at).map_or("(nothing)", String::as_str)
}

fn instant(line: &str) -> i64 {
    line.split(' ').next().and_then(|ms| ms.parse().ok()).expect("a trace line begins with its time")
}

/// All ops and awaitables in a scenario.
fn collect(spec: &'static Value, used: &mut BTreeSet<&'static str>) {
    match spec {
        Value::Array(items) => items.iter().for_each(|item| collect(item, used)),
        Value::Object(fields) => {
            used.extend(fields.get("op").and_then(Value::as_str));
            for (key, value) in fields {
                if matches!(key.as_str(), "aw" | "wait_for" | "shield" | "gather" | "aws") {
                    let given = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    used.extend(given.iter().filter(|aw| aw.is_object()).map(kind_of));
                }
                collect(value, used);
            }
        }
        _ => {}
    }
}

/// What kind of awaitable a spec stands for.
pub(crate) fn kind_of(aw: &'static Value) -> &'static str {
    let mut known = AWAITABLES.iter().copied().filter(|kind| aw.get(kind).is_some());
    known.next().expect("a known awaitable")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

/// All cases of all groups, for as long as the process lives.
pub(crate) fn load() -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(folder("cases"))
        .expect("the scenarios are there")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    files.sort();
    files.iter().flat_map(|file| load_file(Path::new(file))).collect()
}

fn load_file(file: &Path) -> Vec<Case> {
    let cases: &'static Value = Box::leak(Box::new(read(&folder("cases").join(file))));
    let golden = read(&folder("golden").join(file));
    let group = cases["group"].as_str().expect("a group");
    let list = cases["cases"].as_array().expect("cases");
    list.iter().map(|spec| case(group, spec, &golden)).collect()
}

fn case(group: &'static str, spec: &'static Value, golden: &Value) -> Case {
    let name = spec["name"].as_str().expect("a name");
    let trace = golden[name]["trace"].as_array().expect("a golden trace");
    let golden = trace.iter().map(|line| line.as_str().expect("a line").to_owned()).collect();
    Case { name, group, spec, golden }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("readable")).expect("JSON")
}

/// The scenarios of another file, with their names.
pub(crate) fn read_file(file: &str) -> Vec<(&'static str, &'static Value)> {
    let cases: &'static Value = Box::leak(Box::new(read(Path::new(file))));
    let list = cases["cases"].as_array().expect("cases");
    list.iter().map(|spec| (spec["name"].as_str().expect("a name"), spec)).collect()
}

/// The names in `played.txt`.
pub(crate) fn played_list() -> BTreeSet<String> {
    let text = fs::read_to_string(folder("played.txt")).expect("the list is there");
    text.lines().map(str::to_owned).collect()
}
