//! Plays scenarios as `runtime/tests/conformance` has them, through perloop's public API and under virtual time, and
//! prints their traces: to judge perloop with cases of one's own.
//!
//! `cargo run --release --example conformance -- [--check] PATH...`
//!
//! A PATH is a file of scenarios (`{"group": NAME, "cases": [...]}`), or a folder of such files. Standard output is one
//! JSON object, `{"case": ["line", ...], ...}`. With `--check` the traces are compared instead, with the `golden` in the
//! case, or in the file of the same name in the folder `golden` beside that of the file, and what differs is printed.
//!
//! What cannot be played (it is not of the format, it uses what perloop does not have, it waits for ever) is said on
//! standard error. The exit status is 0 if all is well, 1 if something could not be played or differs, and 2 if a PATH
//! or an option is none.

// The interpreter is the test's: one source, so that what is judged here is what the tests judge.
#[path = "../runtime/tests/conformance/coroutine.rs"]
mod coroutine;
#[path = "../runtime/tests/conformance/debug.rs"]
mod debug;
#[path = "../runtime/tests/conformance/driver.rs"]
mod driver;
#[path = "../runtime/tests/conformance/error.rs"]
mod error;
#[path = "../runtime/tests/conformance/executor.rs"]
mod executor;
#[path = "../runtime/tests/conformance/futures.rs"]
mod futures;
#[path = "../runtime/tests/conformance/generators.rs"]
mod generators;
#[path = "../runtime/tests/conformance/known.rs"]
mod known;
#[path = "../runtime/tests/conformance/locks.rs"]
mod locks;
#[path = "../runtime/tests/conformance/ops.rs"]
mod ops;
#[path = "../runtime/tests/conformance/player.rs"]
mod player;
#[path = "../runtime/tests/conformance/queue.rs"]
mod queue;
#[path = "../runtime/tests/conformance/runner.rs"]
mod runner;
#[path = "../runtime/tests/conformance/scenario.rs"]
mod scenario;
#[path = "../runtime/tests/conformance/script.rs"]
mod script;
#[path = "../runtime/tests/conformance/several.rs"]
mod several;
#[path = "../runtime/tests/conformance/task_group.rs"]
mod task_group;
#[cfg(test)]
#[path = "conformance/tests.rs"]
mod tests;
#[path = "../runtime/tests/conformance/thread_future.rs"]
mod thread_future;
#[path = "../runtime/tests/conformance/timeouts.rs"]
mod timeouts;
#[path = "../runtime/tests/conformance/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use scenario::Case;

const USAGE: &str = "usage: conformance [--check] PATH...

Plays the scenarios in the files or folders and prints their traces as JSON;
with --check, what differs from their golden traces.";

/// What is asked for.
#[derive(Debug, Default)]
struct Request {
    checks: bool,
    paths: Vec<PathBuf>,
}

fn request() -> Result<Request, lexopt::Error> {
    use lexopt::prelude::*;

    let mut request = Request::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => request.checks = true,
            Short('h') | Long("help") => return Err(USAGE.into()),
            Value(path) => request.paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    if request.paths.is_empty() { Err(USAGE.into()) } else { Ok(request) }
}

/// The scenarios of all paths. The traces are told apart by the names, so each may come once.
fn load(paths: &[PathBuf]) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for path in paths {
        cases.extend(scenario::load(path)?);
    }
    let mut names = BTreeSet::new();
    match cases.iter().find(|case| !names.insert(case.name)) {
        Some(twice) => Err(format!("there are two cases of the name '{}'", twice.name)),
        None => Ok(cases),
    }
}

/// The trace of a case, or why there is none.
fn trace_of(case: &Case) -> Result<Vec<String>, String> {
    if let Some(problem) = case.ill_formed() {
        return Err(problem);
    }
    if let Some(missing) = case.missing() {
        return Err(format!("it needs {missing}, which perloop does not have yet"));
    }
    player::play(case.spec)
}

/// Prints the traces. False: some are missing.
fn print(cases: &[Case], out: &mut impl Write) -> io::Result<bool> {
    let mut is_well = true;
    let mut before = "{";
    for case in cases {
        match trace_of(case) {
            Ok(trace) => {
                let (name, trace) = (serde_json::to_string(case.name)?, serde_json::to_string(&trace)?);
                write!(out, "{before}\n{name}: {trace}")?;
                before = ",";
            }
            Err(problem) => {
                eprintln!("{}::{}: not played: {problem}", case.group, case.name);
                is_well = false;
            }
        }
    }
    writeln!(out, "{}\n}}", if before == "{" { "{" } else { "" })?;
    Ok(is_well)
}

/// Prints what differs from the golden traces. False: something does, or could not be played.
fn check(cases: &[Case], out: &mut impl Write) -> io::Result<bool> {
    let (mut equal, mut different, mut bare, mut failed) = (0, 0, 0, 0);
    for case in cases {
        match trace_of(case) {
            Err(problem) => {
                failed += 1;
                writeln!(out, "{}::{}: not played: {problem}", case.group, case.name)?;
            }
            Ok(_) if case.golden.is_none() => bare += 1,
            Ok(trace) => match case.differences(&trace) {
                None => equal += 1,
                Some(differences) => {
                    different += 1;
                    writeln!(out, "{}::{}: the trace differs\n{differences}", case.group, case.name)?;
                }
            },
        }
    }
    writeln!(
        out,
        "{equal} equal, {different} different, {bare} without a golden trace, {failed} not played"
    )?;
    Ok(different + failed == 0)
}

fn main() -> ExitCode {
    let request = match request() {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let cases = match load(&request.paths) {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    player::watch_panics();
    let out = &mut io::stdout().lock();
    let done = if request.checks { check(&cases, out) } else { print(&cases, out) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
