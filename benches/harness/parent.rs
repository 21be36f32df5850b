//! Starts the runs, one after the other and all contestants in turn, and takes the medians.

use std::process::ExitCode;

use super::arguments::Arguments;
use super::child::{Question, Task};
use super::goal::{self, Verdict};
use super::process::measure;
use super::row::Row;
use super::workload::{Contestant, Figures, Setting, Workload};
use super::{strace, table, versions};

/// Compares all workloads that were asked for.
pub(crate) fn compare_all(workloads: &[Workload], arguments: &Arguments) -> ExitCode {
    if !workloads.iter().any(|workload| arguments.wants(workload.name)) {
        eprintln!("no workload is called so; --list names them");
        return ExitCode::FAILURE;
    }
    println!("{}\nload before: {}\n", versions::of_peers(), load());
    let mut verdicts = Vec::new();
    let asked_for = workloads.iter().enumerate().filter(|(_, workload)| arguments.wants(workload.name));
    for (place, workload) in asked_for {
        let classes = classify(workloads, place);
        for setting in 0..workload.settings.len() {
            let rows = compare(workload, (place, setting), &classes, arguments);
            let setting = &workload.settings[setting];
            let judged = goal::judge(workload, setting, &rows);
            table::print(workload, setting, &rows, &judged);
            verdicts.extend(judged.into_iter().map(|verdict| (workload, setting, verdict)));
        }
    }
    summarise(&verdicts);
    println!("load after: {}", load());
    ExitCode::SUCCESS
}

/// Runs every contestant once, then every one again, and so on: what disturbs the machine disturbs all of them.
fn compare<'a>(
    workload: &'a Workload,
    (place, setting): (usize, usize),
    classes: &[Option<bool>],
    arguments: &Arguments,
) -> Vec<Row<'a>> {
    let contestants = workload.contestants.iter().zip(classes);
    let mut rows: Vec<_> = contestants.map(|(its, &is_of_class)| Row::new(its, is_of_class)).collect();
    let task = |contestant, question| Task { workload: place, setting, contestant, question };
    let repetitions = |row: &Row<'_>| arguments.repetitions(workload.figures, row.contestant.role);
    for repetition in 0..rows.iter().map(repetitions).max().unwrap_or_default() {
        // Who failed at first will fail again.
        let is_able = |row: &Row<'_>| repetition == 0 || row.is_measured() && repetition < repetitions(row);
        for (contestant, row) in rows.iter_mut().enumerate().filter(|(_, row)| is_able(row)) {
            let question = Question::Measure { is_quick: arguments.is_quick };
            row.add(measure(task(contestant, question)));
        }
    }
    if workload.figures == Figures::CountedAndTraced {
        count_syscalls(&mut rows, task);
    }
    rows
}

fn count_syscalls(rows: &mut [Row<'_>], task: impl Fn(usize, Question) -> Task) {
    if !strace::is_there() {
        return println!("SKIPPED system calls: no strace on this machine");
    }
    for (contestant, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_measured()) {
        let operate = |times| task(contestant, Question::Operate { times });
        row.add(strace::syscalls_per_operation(operate));
    }
}

/// Which contestants are of the workload's class.
fn classify(workloads: &[Workload], workload: usize) -> Vec<Option<bool>> {
    let is_of_class = |(contestant, its): (usize, &Contestant)| {
        its.is_of_class?;
        Some(measure(Task { workload, setting: 0, contestant, question: Question::Classify }).is_ok())
    };
    workloads[workload].contestants.iter().enumerate().map(is_of_class).collect()
}

fn summarise(verdicts: &[(&Workload, &Setting, Verdict)]) {
    if verdicts.is_empty() {
        return;
    }
    let met = verdicts.iter().filter(|(_, _, verdict)| verdict.is_met).count();
    println!("{met} of {} goals met", verdicts.len());
    for (workload, setting, verdict) in verdicts.iter().filter(|(_, _, verdict)| !verdict.is_met) {
        println!("  {} ({setting}): {}", workload.name, verdict.text);
    }
}

/// How busy the machine is, for who reads the figures later.
fn load() -> String {
    let averages = std::fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} on {cores} cores", averages.trim())
}
