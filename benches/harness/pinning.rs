//! On which cores the two sides of a workload run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pinning {
    /// Where the system puts them.
    None,
    /// Both on one.
    Same,
    /// On two.
    Cross,
}

/// A side's cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Side {
    /// Who submits.
    Caller,
    /// The loop.
    Loop,
}

impl std::fmt::Display for Pinning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Same => "same",
            Self::Cross => "cross",
        })
    }
}

/// The cores that this process was given, and what is made of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pinning: Pinning,
    all: CpuSet,
}

impl Cores {
    /// Those of the calling thread, which is not yet pinned.
    pub(crate) fn of_this_process(pinning: Pinning) -> Result<Self, String> {
        let all = sched_getaffinity(None).map_err(|error| format!("its cores are not known: {error}"))?;
        if pinning == Pinning::Cross && all.count() < 2 {
            return Err("it needs two cores".to_owned());
        }
        Ok(Self { pinning, all })
    }

    /// Puts the calling thread, and those that it will start, on the cores of a side.
    pub(crate) fn enter(&self, side: Side) -> Result<(), String> {
        sched_setaffinity(None, &self.of(side)).map_err(|error| format!("not pinned: {error}"))
    }

    /// Is the calling thread on the cores of this side?
    pub(crate) fn are_entered(&self, side: Side) -> bool {
        sched_getaffinity(None).is_ok_and(|set| set == self.of(side))
    }

    fn of(&self, side: Side) -> CpuSet {
        let place = match (self.pinning, side) {
            (Pinning::None, _) => return self.all,
            (Pinning::Same, _) | (Pinning::Cross, Side::Caller) => 0,
            (Pinning::Cross, Side::Loop) => 1,
        };
        let core = (0..CpuSet::MAX_CPU).filter(|&core| self.all.is_set(core)).nth(place);
        let mut one = CpuSet::new();
        one.set(core.expect("there are enough of them"));
        one
    }
}
