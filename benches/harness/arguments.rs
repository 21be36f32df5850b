//! The command line.

use super::child::{Question, Task};
use super::workload::{Figures, Role};

pub(crate) const HELP: &str = "\
usage: cargo bench -p benches [-- [--quick] [--repetitions N] [--list] [NAME]...]

NAME            only workloads that are called so, or whose names begin so
--quick         less of everything, for a first look: some three minutes
--repetitions   runs of each contestant, of which the median counts; 5, with --quick 3 or 1
--list          the workloads' names

Some workloads run on asyncio and uvloop as well: with python3, or with what the environment variable
PERLOOP_BENCH_PYTHON names.";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    Compare(Arguments),
    /// This process is one run of one contestant.
    Child(Task),
    List,
    Help,
}

/// What a comparison may be told.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) is_quick: bool,
    repetitions: Option<usize>,
    names: Vec<String>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Request, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo says so to every bench.
                "--bench" => {}
                "--quick" => arguments.is_quick = true,
                "--repetitions" => arguments.repetitions = Some(number(&word, words.next())?.max(1)),
                "--list" => return Ok(Request::List),
                "--help" | "-h" => return Ok(Request::Help),
                "--child" => return child(words).map(Request::Child),
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                _ => arguments.names.push(word),
            }
        }
        Ok(Request::Compare(arguments))
    }

    /// How often each contestant runs.
    pub(crate) fn repetitions(&self, figures: Figures, role: Role) -> usize {
        self.repetitions.unwrap_or(match (self.is_quick, figures) {
            (false, _) => 5,
            // The goals against it are not close.
            (true, Figures::Timed) if role == Role::Python => 1,
            (true, Figures::Timed) => 3,
            (true, Figures::Counted | Figures::CountedAndTraced) => 1,
        })
    }

    /// Was the workload of this name asked for?
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| workload.starts_with(name.as_str()))
    }
}

/// The words that [`Task::to_words`] makes.
fn child(mut words: impl Iterator<Item = String>) -> Result<Task, String> {
    let mut next = |what| number(what, words.next());
    let [workload, setting, contestant] = [next("workload")?, next("setting")?, next("contestant")?];
    let question = match words.next().as_deref() {
        Some("measure") => Question::Measure { is_quick: false },
        Some("measure-quickly") => Question::Measure { is_quick: true },
        Some("operate") => Question::Operate { times: number("times", words.next())? },
        Some("classify") => Question::Classify,
        other => return Err(format!("unknown question {other:?}")),
    };
    Ok(Task { workload, setting, contestant, question })
}

fn number(what: &str, word: Option<String>) -> Result<usize, String> {
    let word = word.ok_or_else(|| format!("{what} needs a number"))?;
    word.parse().map_err(|_| format!("{what} needs a number, not {word}"))
}
