//! What is compared: a workload, its settings, and who takes part.

use super::goal::{Against, Goal};
use super::metric::{Metric, Outcome};
use super::pinning::Pinning;

/// Something to do, which all contestants do in the same way.
pub(crate) struct Workload {
    /// By which it is asked for.
    pub(crate) name: &'static str,
    /// One line on what is done.
    pub(crate) title: &'static str,
    pub(crate) settings: Vec<Setting>,
    /// The first one sorts the table.
    pub(crate) metrics: &'static [Metric],
    pub(crate) contestants: Vec<Contestant>,
    /// What [`Contestant::is_of_class`] asks.
    pub(crate) class: Option<&'static str>,
    pub(crate) figures: Figures,
    pub(crate) goals: Vec<Goal>,
}

impl Workload {
    /// One on a single loop, which Python's loops do as well. By one metric, and `at_most` says how many times the best
    /// peer's perloop's may be.
    pub(crate) fn on_one_loop(
        name: &'static str,
        title: &'static str,
        metric: &'static Metric,
        mut contestants: Vec<Contestant>,
        python: [Contestant; 2],
        at_most: f64,
    ) -> Self {
        contestants.extend(python);
        let peers = Goal::new(*metric, Against::BestPeer, at_most);
        Self {
            name,
            title,
            settings: vec![Setting::new(Pinning::None)],
            metrics: std::slice::from_ref(metric),
            contestants,
            class: None,
            figures: Figures::Timed,
            goals: vec![peers, Goal::new(*metric, Against::BestPython, 1.0 / 50.0)],
        }
    }
}

/// What a workload's figures are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figures {
    Timed,
    /// One repetition says nearly as much as many.
    Counted,
    /// Counted, and system calls as well.
    CountedAndTraced,
}

/// One of the ways in which a workload is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) pinning: Pinning,
    pub(crate) pace: Pace,
    /// Threads that submit.
    pub(crate) producers: u32,
}

/// How soon an operation follows the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// At once.
    BackToBack,
    /// After a pause in which a loop goes to sleep.
    WithPauses,
}

impl Setting {
    pub(crate) fn new(pinning: Pinning) -> Self {
        Self { pinning, pace: Pace::BackToBack, producers: 1 }
    }

    pub(crate) fn producers(self, producers: u32) -> Self {
        Self { producers, ..self }
    }

    pub(crate) fn with_pauses(self) -> Self {
        Self { pace: Pace::WithPauses, ..self }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pinning {}", self.pinning)?;
        if self.producers > 1 {
            write!(f, ", {} producers", self.producers)?;
        }
        if self.pace == Pace::WithPauses {
            f.write_str(", each after a pause")?;
        }
        Ok(())
    }
}

/// Who does it.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) run: Box<dyn Fn(&Run) -> Outcome>,
    /// Tries out whether it is of the workload's class. It may panic, or never return: then it is not.
    pub(crate) is_of_class: Option<fn() -> bool>,
}

/// Why it takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    /// perloop.
    Ours,
    /// Another runtime.
    Peer,
    /// A loop of Python's.
    Python,
    /// What no runtime can beat.
    Bound,
}

impl Contestant {
    pub(crate) fn new(name: impl Into<String>, role: Role, run: impl Fn(&Run) -> Outcome + 'static) -> Self {
        Self { name: name.into(), role, run: Box::new(run), is_of_class: None }
    }
}

/// What a contestant is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) setting: Setting,
    pub(crate) size: Size,
}

/// How much it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    Full,
    Quick,
    /// So many times what is quick.
    Multiple(usize),
}

impl Run {
    /// How many operations that is.
    pub(crate) fn operations(&self, full: usize, quick: usize) -> usize {
        match self.size {
            Size::Full => full,
            Size::Quick => quick,
            Size::Multiple(times) => times * quick,
        }
    }
}
