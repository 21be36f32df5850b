//! Python's loops: asyncio's own and uvloop, by a script that does what the workload does. The Python is that of the
//! environment variable `PERLOOP_BENCH_PYTHON`, or `python3`.

use std::process::{Command, Stdio};

use crate::harness::metric::{Outcome, SKIPPED};
use crate::harness::process::outcome_of;
use crate::harness::workload::{Contestant, Role, Run, Size};

const SCRIPT: &str = include_str!("asyncio.py");
const PYTHON: &str = "PERLOOP_BENCH_PYTHON";

/// Both loops, with a function of the script and how many operations it does, by [`Run::operations`].
pub(crate) fn python(function: &'static str, full: usize, quick: usize) -> [Contestant; 2] {
    ["asyncio", "uvloop"].map(|event_loop| {
        let run = move |run: &Run| run_script(run, function, event_loop, run.operations(full, quick));
        Contestant::new(event_loop, Role::Python, run)
    })
}

fn run_script(run: &Run, function: &str, event_loop: &str, operations: usize) -> Outcome {
    // This process gives up at that time, and that one is not to go on without it.
    let seconds = if matches!(run.size, Size::Full) { "60" } else { "10" };
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT, function, event_loop, &operations.to_string(), seconds]).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        format!("{SKIPPED}: {} is not there: {error}; name another by {PYTHON}", python.display())
    })?;
    outcome_of(&output)
}
