//! Fresh processes of this program.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use rustix::param::page_size;

use super::child::Task;
use super::metric::{Outcome, Sample};

/// One run, in a process of its own.
pub(crate) fn measure(task: Task) -> Outcome {
    outcome_of(&run(&mut command(task))?)
}

/// This program, as a child with this task.
pub(crate) fn command(task: Task) -> Command {
    let program = std::env::current_exe().expect("the system knows what it runs");
    let mut command = Command::new(program);
    command.args(task.to_words());
    command
}

pub(crate) fn run(command: &mut Command) -> Result<Output, String> {
    // What was printed so far is to be seen while the run lasts.
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).output().map_err(|error| format!("not started: {error}"))
}

/// What a run said; if it said nothing, why.
pub(crate) fn outcome_of(output: &Output) -> Outcome {
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().find_map(Sample::outcome_of_line).unwrap_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let reason = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Err(format!("{}: {reason}", output.status))
    })
}

/// What this process has in memory, in bytes.
pub(crate) fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the system says it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second figure is a number") * page_size()
}
