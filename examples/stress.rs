//! Hands work to loops from several threads, with every fate that a submission can have, while the loops close, end
//! and die; and keeps a ledger in which each submission ends in exactly one way, and all that is made is dropped.
//!
//! `cargo run --release --example stress -- [--seconds N] [--threads N] [--loops N] [--seed N] [--only DEED]`
//!
//! It prints what was done (a row for each deed, a column for each end), and exits with 1 if the ledger is off, with 3
//! if something hangs. A seed gives each thread the same deeds in the same order again; how the threads meet is up to
//! the machine. `.ci/sanitize` runs it under the sanitizers.

#[path = "stress/bodies.rs"]
mod bodies;
#[path = "stress/book.rs"]
mod book;
#[path = "stress/deeds.rs"]
mod deeds;
#[path = "stress/dice.rs"]
mod dice;
#[path = "stress/ledger.rs"]
mod ledger;
#[path = "stress/lives.rs"]
mod lives;
#[path = "stress/strangers.rs"]
mod strangers;
#[path = "stress/submitter.rs"]
mod submitter;
#[cfg(test)]
#[path = "stress/tests.rs"]
mod tests;
#[path = "stress/watchdog.rs"]
mod watchdog;
#[path = "stress/word.rs"]
mod word;

use std::error::Error;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::HumanCount;

use book::{Book, Tally};
use deeds::Deed;
use dice::Dice;
use ledger::Ledger;
use lives::{Keeper, Kind, Place};
use strangers::{Errand, serve};
use submitter::{Legacy, Submitter};
use watchdog::{Facts, Post, watch};
use word::End;

const STRANGERS: usize = 2;
/// How many open submissions are shown if something hangs.
const OPEN_SHOWN: usize = 40;
const USAGE: &str = "usage: stress [OPTION VALUE]...

  --seconds N    how long work is handed in (default: 30)
  --deeds N      at the most so many deeds from each thread
  --threads N    from how many threads (default: 4)
  --loops N      to how many loops at a time (default: 4)
  --seed N       for the same mix again (default: another one each time)
  --only DEED    one row of the table only
  --patience N   after how many seconds without news a thread hangs (default: 10)
  --growth N     how many MiB, beside a tenth, the process may grow by after the first tenth of the time (default: 8)";

struct Options {
    time: Duration,
    deeds: u64,
    threads: usize,
    loops: usize,
    seed: u64,
    only: Option<Deed>,
    patience: Duration,
    growth: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            deeds: u64::MAX,
            threads: 4,
            loops: 4,
            seed: RandomState::new().hash_one("a seed"),
            only: None,
            patience: Duration::from_secs(10),
            growth: 8,
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => options.time = Duration::from_secs(arguments.value()?.parse()?),
            Long("deeds") => options.deeds = arguments.value()?.parse()?,
            Long("threads") => options.threads = arguments.value()?.parse::<usize>()?.clamp(1, 1000),
            Long("loops") => options.loops = arguments.value()?.parse::<usize>()?.clamp(1, 1000),
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("only") => {
                let name = arguments.value()?.string()?;
                options.only = Some(Deed::of_name(&name).ok_or_else(|| format!("no deed '{name}'"))?);
            }
            Long("patience") => options.patience = Duration::from_secs(arguments.value()?.parse()?),
            Long("growth") => options.growth = arguments.value()?.parse()?,
            Long("help") => {
                println!("{USAGE}\n\ndeeds: {}", Deed::ALL.map(|(_, name)| name).join(", "));
                exit(0);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

/// What a run has shown.
struct Findings {
    tally: Tally,
    sums: String,
    took: Duration,
    longest: (Duration, Deed),
    loops: [u64; Kind::ALL.len()],
    /// Before it, after the first tenth of the time, and after it.
    facts: [Facts; 3],
}

fn run(options: &Options) -> Result<Findings, Box<dyn Error>> {
    // A sanitizer starts a thread of its own with the first one, and keeps it.
    drop(thread::spawn(|| {}).join());
    let (before, start) = (Facts::now(), Instant::now());
    let ledger = Ledger::new(options.threads);
    let is_over = Arc::new(AtomicBool::new(false));
    let keepers = (0..options.loops)
        .map(|index| Keeper::new(Dice::new(options.seed, options.threads + index), &is_over))
        .collect::<io::Result<Vec<_>>>()?;
    let places: Vec<_> = keepers.iter().map(Keeper::place).collect();
    // The main thread's is the last.
    let posts: Vec<_> = (0..=options.threads).map(|_| Arc::new(Post::default())).collect();
    let (done, over) = channel::<()>();
    let describe = || describe(&posts, &places, &ledger);
    let (legacies, loops, early) = thread::scope(|scope| {
        let watched: Vec<_> =
            posts.iter().map(|post| &**post).chain(places.iter().map(|place| &place.post)).collect();
        let (time, patience) = (options.time, options.patience);
        let watchdog = scope.spawn(move || watch(&watched, &describe, (time, patience), &over));
        let all = live(options, &ledger, (keepers, &is_over), &posts);
        drop(done);
        let early = watchdog.join().expect("it ends the process, or well");
        all.map(|(legacies, loops)| (legacies, loops, early))
    })?;
    let mut findings = Findings {
        tally: Tally::default(),
        sums: String::new(),
        took: start.elapsed(),
        longest: legacies
            .iter()
            .fold((Duration::ZERO, Deed::Wait), |longest, legacy| longest.max(legacy.longest)),
        loops,
        facts: [before, early.unwrap_or(before), Facts::now()],
    };
    legacies.into_iter().for_each(|legacy| findings.tally.merge(legacy.close()));
    findings.sums = ledger.sums(&mut findings.tally.faults);
    findings.check_facts(options.growth);
    Ok(findings)
}

/// Starts all threads, and sees them end in good order. Returns what the submitters leave, and how many loops ended
/// in each way.
fn live(
    options: &Options,
    ledger: &Arc<Ledger>,
    (keepers, is_over): (Vec<Keeper>, &AtomicBool),
    posts: &[Arc<Post>],
) -> io::Result<(Vec<Legacy>, [u64; Kind::ALL.len()])> {
    let places: Vec<_> = keepers.iter().map(Keeper::place).collect();
    let (errands, strangers): (Vec<_>, Vec<_>) = (0..STRANGERS).map(|_| stranger()).unzip();
    let keepers: Vec<_> = keepers.into_iter().map(|keeper| thread::spawn(|| keeper.keep())).collect();
    let until = Instant::now() + options.time;
    let start = |(index, post): (usize, &Arc<Post>)| {
        let own = (Dice::new(options.seed, index), Book::new(ledger, index), Arc::clone(post));
        let submitter = Submitter::new(own, places.clone(), errands.clone());
        let (deeds, only) = (options.deeds, options.only);
        thread::spawn(move || submitter.work(until, deeds, only))
    };
    let submitters: Vec<_> = posts[..options.threads].iter().enumerate().map(start).collect();
    let mut legacies: Vec<_> = submitters.into_iter().map(|thread| thread.join().expect(NO_PANIC)).collect();
    let post = &posts[options.threads];
    post.begin(0);
    is_over.store(true, Relaxed);
    places.iter().for_each(|place| place.end_soon());
    let mut loops = [0; Kind::ALL.len()];
    for keeper in keepers {
        let ended = keeper.join().expect(NO_PANIC)?;
        loops.iter_mut().zip(ended).for_each(|(sum, more)| *sum += more);
    }
    post.begin(1);
    legacies.iter_mut().for_each(Legacy::hear_the_rest);
    post.begin(2);
    drop(errands);
    strangers.into_iter().for_each(|stranger| stranger.join().expect(NO_PANIC));
    post.rest();
    Ok((legacies, loops))
}

const NO_PANIC: &str = "its thread does not panic";

fn stranger() -> (Sender<Errand>, thread::JoinHandle<()>) {
    let (sender, errands) = channel();
    (sender, thread::spawn(move || serve(&errands)))
}

/// All that there is to know when something hangs.
fn describe(posts: &[Arc<Post>], places: &[Arc<Place>], ledger: &Ledger) -> String {
    const LAST: [&str; 3] = ["ending the loops", "hearing the rest", "waiting for the strangers"];
    let mut text = String::new();
    for (index, post) in posts.iter().enumerate() {
        let is_main = index + 1 == posts.len();
        let names = |doing| if is_main { LAST[doing] } else { Deed::name(doing) };
        let _ = writeln!(text, "  thread {index}: {}", post.doing().map_or("waits for others", names));
    }
    for (index, place) in places.iter().enumerate() {
        let _ = writeln!(text, "  thread {}, a loop's: {place:?}", posts.len() + index);
    }
    text + &ledger.describe_open(OPEN_SHOWN)
}

impl Findings {
    /// Whether the process is as big as it was.
    fn check_facts(&mut self, growth_mib: u64) {
        let [before, early, after] = self.facts;
        let mut check = |is_right: bool, what: &str| {
            if !is_right {
                self.tally.faults.push(format!("{what} are left: {before}, then {early}, then {after}"));
            }
        };
        check(after.threads <= before.threads, "threads");
        check(after.descriptors <= before.descriptors, "descriptors");
        let limit = early.resident_kib.map(|kib| kib + kib / 10 + growth_mib * 1024);
        check(after.resident_kib <= limit, "more and more bytes");
    }

    fn print(&self) {
        let count = |number: u64| HumanCount(number).to_string();
        let row = |name: &str, counts: &[u64]| {
            let counts =
                counts.iter().fold(String::new(), |row, number| row + &format!("{:>13}", count(*number)));
            println!("{name:<18}{counts}");
        };
        println!(
            "{:<18}{:>13}{}",
            "",
            "submissions",
            End::ALL.map(|(_, name)| format!("{name:>13}")).concat()
        );
        let tally = &self.tally;
        for (index, (_, name)) in Deed::ALL.iter().enumerate().filter(|(index, _)| tally.of_deed(*index) > 0)
        {
            row(name, &[&[tally.of_deed(index)], &tally.ends[index][..]].concat());
        }
        let ends = End::ALL.map(|(end, _)| tally.of_end(end));
        row("all", &[&[tally.submissions()], &ends[..]].concat());
        println!(
            "\nbodies     {} made and dropped, {} of them had begun",
            count(tally.bodies),
            count(tally.begun)
        );
        println!("values     {} made and dropped, their sums: {}", count(tally.values), self.sums);
        println!(
            "callbacks  {} made and dropped, {} of them called",
            count(tally.callbacks),
            count(tally.called)
        );
        let loops = Kind::ALL.iter().zip(self.loops).map(|(kind, ended)| format!("{ended} {kind:?}"));
        println!("loops      {}", loops.collect::<Vec<_>>().join(", "));
        let rate = tally.submissions() as f64 / self.took.as_secs_f64();
        println!("rate       {}/s, at most {} open", count(rate as u64), tally.most_open);
        println!(
            "longest    {:.1} ms ({})",
            self.longest.0.as_secs_f64() * 1e3,
            Deed::name(self.longest.1 as usize)
        );
        println!("process    {}; early on {}; then {}", self.facts[0], self.facts[1], self.facts[2]);
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options().unwrap_or_else(|error| {
        eprintln!("{error}\n\n{USAGE}");
        exit(2)
    });
    let Options { time, threads, loops, seed, .. } = options;
    println!("{threads} threads to {loops} loops for {time:?}, --seed {seed}\n");
    let findings = run(&options)?;
    findings.print();
    for fault in &findings.tally.faults {
        println!("FAULT: {fault}");
    }
    let is_exact = findings.tally.faults.is_empty();
    println!("\nthe ledger is {}", if is_exact { "exact" } else { "OFF" });
    Ok(ExitCode::from(u8::from(!is_exact)))
}
