//! Plays the conformance scenarios under virtual time, through perloop's public API, and compares whole traces with
//! those of CPython's asyncio. Each played case is a test.
//!
//! The interpreter is shared with `examples/conformance.rs`, which plays the scenarios of others.
#![allow(clippy::disallowed_types, reason = "a scenario is played by several threads")]

mod coroutine;
mod debug;
mod driver;
mod error;
mod executor;
mod futures;
mod generators;
mod known;
mod locks;
mod ops;
mod player;
mod queue;
mod runner;
mod scenario;
mod script;
mod several;
mod task_group;
mod thread_future;
mod timeouts;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use scenario::Case;

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    player::watch_panics();
    hear_ctrl_c();
    let cases = scenario::load(&folder("")).expect("the scenarios are there");
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
    for (name, check) in [LIST, FORM] {
        if name.contains(&filter) {
            report(name, check(&cases));
        }
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

/// A shell's background jobs are started with Ctrl-C ignored, which perloop leaves so.
#[expect(unsafe_code, reason = "a system call")]
fn hear_ctrl_c() {
    // SAFETY: it gives the signal its default effect.
    #[cfg(unix)]
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

fn full_name(case: &Case) -> String {
    format!("{}::{}", case.group, case.name)
}

/// How the trace differs, if it does.
fn play(case: &Case) -> Option<String> {
    if case.golden.is_none() {
        return Some("it has no golden trace".to_owned());
    }
    player::play(case.spec).map_or_else(Some, |trace| case.differences(&trace))
}

type Check = (&'static str, fn(&[Case]) -> Option<String>);

/// `played.txt` says which cases are played, so that none is dropped unseen.
const LIST: Check = ("the_played_cases_are_those_of_the_list", |cases| {
    let played: BTreeSet<_> = cases.iter().filter(|case| case.missing().is_none()).map(full_name).collect();
    let text = fs::read_to_string(folder("played.txt")).expect("the list is there");
    let listed: BTreeSet<_> = text.lines().map(str::to_owned).collect();
    let dropped = listed.difference(&played).map(|name| format!("listed, not played: {name}\n"));
    let unlisted = played.difference(&listed).map(|name| format!("played, not listed: {name}\n"));
    let problem: String = dropped.chain(unlisted).collect();
    (!problem.is_empty()).then_some(problem)
});

/// What others write is refused if it is not of the format, so what stands here must be.
const FORM: Check = ("the_cases_are_of_the_format", |cases| {
    let problem_of = |case: &Case| Some(format!("{}: {}\n", full_name(case), case.ill_formed()?));
    let problem: String = cases.iter().filter_map(problem_of).collect();
    (!problem.is_empty()).then_some(problem)
});
