//! Counts system calls, by `strace` where there is one.

use std::process::Command;

use super::child::Task;
use super::metric::{OPERATIONS, Outcome, SYSCALLS, Sample};
use super::process::{command, outcome_of, run};

/// Can anything be counted on this machine?
pub(crate) fn is_there() -> bool {
    run(Command::new("strace").arg("-V")).is_ok()
}

/// How many each operation makes: the start of a process is the same for few operations and for many.
pub(crate) fn syscalls_per_operation(operate: impl Fn(usize) -> Task) -> Outcome {
    let (few, few_calls) = watch(operate(1))?;
    let (many, many_calls) = watch(operate(3))?;
    let calls = many_calls.saturating_sub(few_calls) as f64;
    Ok(Sample::default().with(SYSCALLS, calls / (many - few)))
}

/// The operations of one run, and the system calls of all of its threads.
fn watch(task: Task) -> Result<(f64, u64), String> {
    let watched = command(task);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name"]).arg(watched.get_program()).args(watched.get_args());
    let output = run(&mut strace)?;
    let operations = outcome_of(&output)?.get(OPERATIONS).ok_or("it did not count its operations")?;
    let calls = total(&String::from_utf8_lossy(&output.stderr)).ok_or("strace gave no summary")?;
    Ok((operations, calls))
}

/// The last line of strace's summary.
fn total(summary: &str) -> Option<u64> {
    summary.lines().rev().find_map(|line| line.trim().strip_suffix("total")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_line() {
        let summary = "    calls syscall\n--------- ----------------\n       33 mmap\n--------- ------\n       73 total\n";
        assert_eq!(total(summary), Some(73));
        assert_eq!(total("strace: not allowed"), None);
    }
}
