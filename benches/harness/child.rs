//! One run of one contestant, in a process of its own: nothing that another left behind (threads, a grown heap, a
//! warm branch predictor, a subscriber) is in its way.

use std::process::ExitCode;
use std::time::Duration;

use super::metric::{Outcome, Sample};
use super::workload::{Contestant, Run, Size, Workload};

/// What a child is to do, by the places in the lists that parent and child both have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) workload: usize,
    pub(crate) setting: usize,
    pub(crate) contestant: usize,
    pub(crate) question: Question,
}

/// What the parent wants to know.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// What do you measure?
    Measure { is_quick: bool },
    /// How many operations are so many times the quick number? Somebody watches how you do them.
    Operate { times: usize },
    /// Are you of the workload's class?
    Classify,
}

impl Question {
    /// Longer than any run takes, even on a busy machine.
    fn time_limit(self) -> Duration {
        match self {
            Self::Measure { is_quick: false } => Duration::from_secs(60),
            Self::Measure { is_quick: true } | Self::Operate { .. } | Self::Classify => {
                Duration::from_secs(10)
            }
        }
    }
}

impl Task {
    /// The command line of the child.
    pub(crate) fn to_words(self) -> Vec<String> {
        let mut words = vec!["--child".to_owned()];
        words.extend([self.workload, self.setting, self.contestant].map(|place| place.to_string()));
        match self.question {
            Question::Measure { is_quick: false } => words.push("measure".to_owned()),
            Question::Measure { is_quick: true } => words.push("measure-quickly".to_owned()),
            Question::Operate { times } => words.extend(["operate".to_owned(), times.to_string()]),
            Question::Classify => words.push("classify".to_owned()),
        }
        words
    }
}

/// Runs, answers on the standard output, and ends without waiting for the contestant's threads.
pub(crate) fn run(workloads: &[Workload], task: &Task) -> ExitCode {
    let limit = task.question.time_limit();
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        answer(&Err(format!("not done after {} s", limit.as_secs())));
    });
    let workload = &workloads[task.workload];
    let contestant = &workload.contestants[task.contestant];
    let size = match task.question {
        Question::Measure { is_quick: false } => Size::Full,
        Question::Measure { is_quick: true } => Size::Quick,
        Question::Operate { times } => Size::Multiple(times),
        Question::Classify => return classify(contestant),
    };
    answer(&(contestant.run)(&Run { setting: workload.settings[task.setting], size }))
}

/// Says it, and ends the process.
pub(crate) fn answer(outcome: &Outcome) -> ! {
    println!("{}", Sample::outcome_to_line(outcome));
    std::process::exit(0)
}

/// Says so by a line; who is not of the class may well not come so far.
fn classify(contestant: &Contestant) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let is_of_it = contestant.is_of_class.is_some_and(|is_of_class| is_of_class());
    answer(&if is_of_it { Ok(Sample::default()) } else { Err("it is not of the class".to_owned()) })
}
