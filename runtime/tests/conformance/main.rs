//! Plays the conformance scenarios under virtual time, through perloop's public API, and compares whole traces with
//! those of CPython's asyncio. Each played case is a test.
//!
//! `cargo test --test conformance -- --play=FILE` plays another file of scenarios instead, such as `generate.py` makes,
//! and prints their traces.
#![allow(clippy::disallowed_types, reason = "a scenario is played by several threads")]

mod coroutine;
mod driver;
mod error;
mod futures;
mod locks;
mod ops;
mod queue;
mod scenario;
mod script;
mod several;
mod task_group;
mod thread_future;
mod timeouts;
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use scenario::Case;
use serde_json::Value;

/// A scenario that waits for ever has failed.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    if let Some(file) =
        std::env::args().find_map(|argument| argument.strip_prefix("--play=").map(str::to_owned))
    {
        println!("{}", play_file(&file));
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases = scenario::load();
    let (mut passed, mut failed, mut ignored) = (0, Vec::new(), 0);
    let mut report = |name: &str, problem: Option<String>| match problem {
        None => {
            println!("test {name} ... ok");
            passed += 1;
        }
        Some(problem) => {
            println!("test {name} ... FAILED");
            failed.push(format!("---- {name}\n{problem}"));
        }
    };
    const LIST: &str = "the_played_cases_are_those_of_the_list";
    if LIST.contains(&filter) {
        report(LIST, list_problem(&cases));
    }
    for case in cases.iter().filter(|case| full_name(case).contains(&filter)) {
        let name = full_name(case);
        if let Some(missing) = case.missing() {
            println!("test {name} ... ignored, not yet: needs {missing}");
            ignored += 1;
        } else {
            report(&name, play(case));
        }
    }
    failed.iter().for_each(|problem| println!("\n{problem}"));
    println!("\n{passed} passed, {} failed, {ignored} not yet", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn full_name(case: &Case) -> String {
    format!("{}::{}", case.group, case.name)
}

/// How the trace differs, if it does.
fn play(case: &Case) -> Option<String> {
    let played = if case.needs("signals") { Ok(driver::play(case.spec)) } else { play_in_thread(case.spec) };
    played.map_or_else(Some, |trace| case.differences(&trace))
}

/// The traces of a file's scenarios, as JSON.
fn play_file(file: &str) -> Value {
    let trace = |spec: &'static Value| play_in_thread(spec).unwrap_or_else(|problem| vec![problem]);
    scenario::read_file(file)
        .iter()
        .map(|(name, spec)| ((*name).to_owned(), Value::from(trace(spec))))
        .collect()
}

/// In a thread of its own, so that nothing is left for the next one.
fn play_in_thread(spec: &'static Value) -> Result<Vec<String>, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(driver::play(spec)));
    receiver.recv_timeout(LIMIT).map_err(|error| format!("no trace: {error}"))
}

/// `played.txt` says which cases are played, so that none is dropped unseen.
fn list_problem(cases: &[Case]) -> Option<String> {
    let played: BTreeSet<_> = cases.iter().filter(|case| case.missing().is_none()).map(full_name).collect();
    let listed = scenario::played_list();
    let dropped = listed.difference(&played).map(|name| format!("listed, not played: {name}\n"));
    let unlisted = played.difference(&listed).map(|name| format!("played, not listed: {name}\n"));
    let problem: String = dropped.chain(unlisted).collect();
    (!problem.is_empty()).then_some(problem)
}
