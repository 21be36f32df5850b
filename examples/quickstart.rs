//! A threaded application as its users have them: plain threads walk a directory tree and hand every file to one of
//! several loops; each loop keeps an index of words that only its own thread ever touches.
//!
//! `cargo run --release --example quickstart -- [--check] [--loops N] [DIRECTORY]`
//!
//! Read it from the top: the index, which lives on the loops; the walkers, which submit and *block*; the main thread,
//! which *awaits* the rest on a loop of its own and *cancels* it on Ctrl-C; then `main`, which asks for the totals.

#[cfg(test)]
#[path = "quickstart/tests.rs"]
mod tests;
#[path = "quickstart/words.rs"]
mod words;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use perloop::{
    CrossThreadFuture, FutureError, LoopThread, Promise, catch_cancelled, run_coroutine_threadsafe,
};
use words::{Index, differences, list, sequential};

const WALKERS: usize = 2;
/// How many submissions a walker has in flight before it blocks: its back-pressure.
const IN_FLIGHT: usize = 1024;
const ROUND_TRIPS: usize = 10_000;
const USAGE: &str = "usage: quickstart [--check] [--loops N] [DIRECTORY]

Counts the words of all files under DIRECTORY (default: perloop's own sources).

  --check    compare with a plain sequential pass; exit with 1 if the totals differ
  --loops N  index on N loops (default: one for each core, at least 2)";

thread_local! {
    // Each loop's own. It needs no lock and no atomic: all of a loop's tasks run on its one thread, one at a time, and
    // none of them awaits while it borrows.
    static INDEX: Rc<RefCell<Index>> = Rc::default();
}

type Unreadable = (PathBuf, io::Error);

/// What is submitted for each file. Reading blocks the loop, which harms nobody: this loop has nothing else to do.
async fn index_file(path: PathBuf) -> Result<(), Unreadable> {
    let index = INDEX.with(Rc::clone);
    fs::read(&path).map(|content| index.borrow_mut().add(&content)).map_err(|error| (path, error))
}

/// What has come back from the loops, and what has not yet.
#[derive(Default)]
struct Answers {
    outstanding: VecDeque<CrossThreadFuture<Result<(), Unreadable>>>,
    received: u64,
    unreadable: Vec<Unreadable>,
    /// How many were cancelled, if Ctrl-C came.
    cancelled: Option<usize>,
}

impl Answers {
    fn receive(&mut self, answer: Result<(), Unreadable>) {
        self.received += 1;
        self.unreadable.extend(answer.err());
    }

    fn merge(&mut self, other: Self) {
        self.outstanding.extend(other.outstanding);
        self.received += other.received;
        self.unreadable.extend(other.unreadable);
    }
}

/// A directory to be listed. Each brings a sender for those below it, so the queue closes when all have been listed.
struct Directory {
    path: PathBuf,
    queue: Sender<Directory>,
}

/// What a plain thread needs to walk.
struct Walker<'a> {
    loops: &'a [LoopThread],
    next_loop: usize,
    skips: &'a [&'a str],
    stop: &'a AtomicBool,
    progress: ProgressBar,
    answers: Answers,
}

impl Walker<'_> {
    /// Ends with the tree, or on Ctrl-C, and leaves the last answers to the main thread.
    fn walk(mut self, directories: Receiver<Directory>) -> Result<Answers, FutureError> {
        let stop = self.stop;
        let goes_on = || !stop.load(Relaxed); // relaxed, as the flag is all that is told
        for Directory { path, queue } in directories.iter().take_while(|_| goes_on()) {
            let (below, files) = match list(&path, self.skips) {
                Ok(listed) => listed,
                Err(error) => {
                    self.answers.unreadable.push((path, error));
                    continue;
                }
            };
            for path in below {
                queue.send(Directory { path, queue: queue.clone() }).expect("we are a receiver");
            }
            for file in files.into_iter().take_while(|_| goes_on()) {
                self.submit(file)?;
            }
        }
        Ok(self.answers)
    }

    fn submit(&mut self, file: PathBuf) -> Result<(), FutureError> {
        if self.answers.outstanding.len() == IN_FLIGHT
            && let Some(oldest) = self.answers.outstanding.pop_front()
        {
            self.answers.receive(oldest.result()?);
        }
        self.next_loop = (self.next_loop + 1) % self.loops.len();
        let answer = run_coroutine_threadsafe(index_file(file), &self.loops[self.next_loop]);
        self.progress.inc_length(1);
        let progress = self.progress.clone();
        answer.add_done_callback(move |_| progress.inc(1));
        self.answers.outstanding.push_back(answer);
        Ok(())
    }
}

type Walked = CrossThreadFuture<Result<Answers, FutureError>>;

/// The main thread's task. Awaits the walkers, and the answers that they leave. Ctrl-C cancels the task; then it stops
/// the walkers, cancels what is outstanding, and ends in good order. (A second Ctrl-C ends the program at once.)
async fn settle(mut walkers: VecDeque<Walked>, stop: &AtomicBool) -> Result<Answers, FutureError> {
    let mut answers = Answers::default();
    // All is awaited where it stands (`front_mut`), so that what is cut short is still there.
    let settled = catch_cancelled(async {
        while let Some(walker) = walkers.front_mut() {
            answers.merge(walker.await??);
            walkers.pop_front();
        }
        while let Some(answer) = answers.outstanding.front_mut() {
            let answer = answer.await?;
            answers.outstanding.pop_front();
            answers.receive(answer);
        }
        Ok(())
    });
    if let Ok(settled) = settled.await {
        return settled.map(|()| answers);
    }
    stop.store(true, Relaxed);
    for walker in walkers {
        answers.merge(walker.await??);
    }
    let (cancelled, done): (Vec<_>, Vec<_>) =
        answers.outstanding.drain(..).partition(|answer| answer.cancel());
    answers.cancelled = Some(cancelled.len());
    for answer in done {
        answers.receive(answer.await?);
    }
    Ok(answers)
}

fn index_tree(root: &Path, skips: &[&str], loops: &[LoopThread]) -> Result<Answers, Box<dyn Error>> {
    let stop = AtomicBool::new(false);
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} files, {per_sec}")?;
    let progress = ProgressBar::new(0).with_style(style); // shown if stderr is a terminal
    let (queue, directories) = unbounded();
    queue.send(Directory { path: root.to_owned(), queue: queue.clone() })?;
    drop(queue);
    let answers = thread::scope(|scope| {
        let start = |next_loop| {
            let (stop, progress, answers) = (&stop, progress.clone(), Answers::default());
            let walker = Walker { loops, next_loop, skips, stop, progress, answers };
            let directories = directories.clone();
            let (mut promise, walked) = Promise::new();
            scope.spawn(move || promise.set_result(walker.walk(directories)));
            walked
        };
        perloop::run(settle((0..WALKERS).map(start).collect(), &stop))
    });
    progress.finish_and_clear();
    Ok(answers??)
}

/// Asks every loop for its index.
fn totals(loops: &[LoopThread]) -> Result<Index, FutureError> {
    let ask = |on: &LoopThread| run_coroutine_threadsafe(async { INDEX.with(|index| index.take()) }, on);
    let indexes: Vec<_> = loops.iter().map(ask).collect();
    let mut totals = Index::default();
    indexes.iter().try_for_each(|index| index.result().map(|index| totals.merge(index)))?;
    Ok(totals)
}

/// Blocks for one trivial answer after the other.
fn median_round_trip(on: &LoopThread) -> Result<Duration, FutureError> {
    let round_trip = |_| {
        let start = Instant::now();
        run_coroutine_threadsafe(async {}, on).result().map(|()| start.elapsed())
    };
    let mut times = (0..ROUND_TRIPS).map(round_trip).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times[ROUND_TRIPS / 2])
}

struct Options {
    root: PathBuf,
    skips: &'static [&'static str],
    loops: usize,
    check: bool,
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let loops = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let mut options = Options { root: sources.to_owned(), skips: &["target", ".git"], loops, check: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("check") => options.check = true,
            Long("loops") => options.loops = arguments.value()?.parse::<usize>()?.max(1),
            Long("help") => {
                println!("{USAGE}");
                exit(0);
            }
            Value(root) => (options.root, options.skips) = (root.into(), &[]),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Options { root, skips, loops, check } = options().unwrap_or_else(|error| {
        eprintln!("{error}\n\n{USAGE}");
        exit(2)
    });
    println!("{} by {WALKERS} walkers and {loops} loops\n", root.display());
    let loops =
        (1..=loops).map(|n| LoopThread::spawn(format!("loop {n}"))).collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    let answers = index_tree(&root, skips, &loops)?;
    let elapsed = start.elapsed();
    let totals = totals(&loops)?;
    print_totals(&totals, &answers.unreadable);
    row("seconds", format!("{:.3}", elapsed.as_secs_f64()));
    row("submissions/s", HumanCount((answers.received as f64 / elapsed.as_secs_f64()) as u64));
    if let Some(cancelled) = answers.cancelled {
        row("cancelled", HumanCount(cancelled as u64));
        println!("\ninterrupted: the totals are partial");
        return Ok(ExitCode::from(130));
    }
    row("median round trip", format!("{:.2} µs", median_round_trip(&loops[0])?.as_secs_f64() * 1e6));
    if !check {
        return Ok(ExitCode::SUCCESS);
    }
    let plain = sequential(&root, skips);
    let differences = differences(&totals, &plain);
    row("sequential pass", if differences.is_empty() { "equal" } else { "DIFFERENT" });
    for (what, ours, plain) in &differences {
        println!("  {what}: {ours} by the loops, {plain} in sequence");
    }
    Ok(ExitCode::from(u8::from(!differences.is_empty())))
}

fn print_totals(totals: &Index, unreadable: &[Unreadable]) {
    row("files", HumanCount(totals.files));
    row("bytes", HumanCount(totals.bytes));
    row("unreadable", unreadable.len());
    for (path, error) in unreadable {
        println!("  {}: {error}", path.display());
    }
    println!("\nthe commonest words");
    for (word, count) in totals.commonest() {
        row(&format!("  {word}"), HumanCount(count));
    }
    println!();
}

fn row(label: &str, value: impl ToString) {
    println!("{label:<20}{:>14}", value.to_string());
}
