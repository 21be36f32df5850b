//! The scenario files: what is played, what is not yet, and what a trace must be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::known::{self, kind_of};

/// One scenario, and its target trace if there is one.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) spec: &'static Value,
    pub(crate) golden: Option<Vec<String>>,
}

/// What the scenarios use and perloop does not have yet: ops and awaitables.
const NOT_YET: &[&str] = &[];

/// The types of objects that perloop has.
const OBJECTS: &[&str] = &[
    "barrier",
    "bounded_semaphore",
    "condition",
    "executor",
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
        let mut objects = self.spec["objects"].as_object().into_iter().flat_map(|objects| objects.values());
        let unknown =
            objects.find_map(|object| object["type"].as_str().filter(|kind| !OBJECTS.contains(kind)));
        let mut used = BTreeSet::new();
        collect(self.spec, &mut used);
        let op = NOT_YET.iter().copied().find(|missing| used.contains(missing));
        by_hand.map(|(_, what)| *what).or(op).or(unknown)
    }

    /// What in it is not of the format, if anything.
    pub(crate) fn ill_formed(&self) -> Option<String> {
        let problems = known::problems(self.spec);
        (!problems.is_empty()).then(|| problems.into_iter().collect::<Vec<_>>().join("; "))
    }

    /// The differences between the target and what was got, line by line; none if they agree or there is no target.
    pub(crate) fn differences(&self, got: &[String]) -> Option<String> {
        let (want, got) = (self.canonical(self.golden.as_ref()?), self.canonical(got));
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

/// Does a scenario need threads, or signals?
pub(crate) fn needs(spec: &Value, what: &str) -> bool {
    spec["needs"].as_array().is_some_and(|needs| needs.iter().any(|need| need == what))
}

/// The scenarios of a file, or of all files of a folder: of its `cases`, if it has them.
///
/// Their targets stand in the case, under `golden`, or in the file of the same name in the folder `golden` beside that of
/// the file.
pub(crate) fn load(path: &Path) -> Result<Vec<Case>, String> {
    if !path.is_dir() {
        return load_file(path);
    }
    let inner = path.join("cases");
    let folder = if inner.is_dir() { inner } else { path.to_owned() };
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let loaded: Result<Vec<_>, String> = files.iter().map(|file| load_file(file)).collect();
    Ok(loaded?.into_iter().flatten().collect())
}

fn load_file(file: &Path) -> Result<Vec<Case>, String> {
    // For as long as the process lives: what is played refers to it.
    let cases: &'static Value = Box::leak(Box::new(read(file)?));
    let no_form = |what: &str| format!("{}: {what}", file.display());
    let list = cases["cases"].as_array().ok_or_else(|| no_form("no list of cases"))?;
    let group = cases["group"].as_str().ok_or_else(|| no_form("no name of the group"))?;
    let beside = file.parent().and_then(Path::parent).zip(file.file_name());
    let beside = beside.map(|(folder, name)| folder.join("golden").join(name)).filter(|file| file.is_file());
    let golden = beside.map_or(Ok(Value::Null), |file| read(&file))?;
    let case = |spec: &'static Value| {
        let name = spec["name"].as_str().ok_or_else(|| no_form("a case without a name"))?;
        let golden = lines(&spec["golden"]).or_else(|| lines(&golden[name]));
        Ok(Case { name, group, spec, golden })
    };
    list.iter().map(case).collect()
}

/// A trace, by itself or with its source and its variants.
fn lines(golden: &Value) -> Option<Vec<String>> {
    let trace = golden.as_array().or_else(|| golden["trace"].as_array())?;
    trace.iter().map(|line| line.as_str().map(str::to_owned)).collect()
}

fn read(file: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}
