//! What perloop is to reach, as a ratio to somebody else's figure of the same run.

use super::metric::Metric;
use super::pinning::Pinning;
use super::row::Row;
use super::workload::{Role, Setting, Workload};

/// At most so many times what somebody else needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// Whose goal it is.
    pub(crate) ours: &'static str,
    /// With this pinning only.
    pub(crate) pinning: Option<Pinning>,
    pub(crate) metric: Metric,
    pub(crate) against: Against,
    pub(crate) at_most: f64,
}

/// Whose figure counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    BestPeer,
    /// The best of those peers that are, or are not, of the workload's class.
    BestPeerOfClass(bool),
    /// The best of Python's loops; where there is no Python, there is no goal.
    BestPython,
    Bound(&'static str),
    /// None: it is a figure of its own, in the metric's unit.
    Absolute,
}

/// Whether a goal is met, in words.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) is_met: bool,
    pub(crate) text: String,
}

/// Judges the workload's goals for this setting.
pub(crate) fn judge(workload: &Workload, setting: &Setting, rows: &[Row<'_>]) -> Vec<Verdict> {
    let has_python = rows.iter().any(|row| row.contestant.role == Role::Python && row.is_measured());
    let applies = |goal: &&Goal| {
        goal.pinning.is_none_or(|pinning| pinning == setting.pinning)
            && (has_python || !matches!(goal.against, Against::BestPython))
    };
    workload.goals.iter().filter(applies).map(|goal| goal.judge(workload, rows)).collect()
}

impl Goal {
    /// perloop's, with every pinning.
    pub(crate) fn new(metric: Metric, against: Against, at_most: f64) -> Self {
        Self { ours: "perloop", pinning: None, metric, against, at_most }
    }

    pub(crate) fn pinned(self, pinning: Pinning) -> Self {
        Self { pinning: Some(pinning), ..self }
    }

    fn judge(&self, workload: &Workload, rows: &[Row<'_>]) -> Verdict {
        let Self { ours, metric, at_most, .. } = *self;
        let what = format!("{ours}, {}", metric.name);
        let own = rows.iter().find(|row| row.contestant.name == ours).and_then(|row| row.median(metric));
        let Some(own) = own else { return Verdict::unknown(format!("{what}: not measured")) };
        let own_text = metric.unit.format(own);
        if matches!(self.against, Against::Absolute) {
            let limit = metric.unit.format(at_most);
            return Verdict::new(own <= at_most, &format!("{what}: {own_text}, goal at most {limit}"));
        }
        let other = rows.iter().filter(|row| self.counts(row));
        let best = other.filter_map(|row| Some((row.median(metric)?, row.contestant.name.as_str())));
        let Some((best, whose)) = best.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
            return Verdict::unknown(format!("{what}: nobody to compare with"));
        };
        if matches!(self.against, Against::Bound(_)) && best > own {
            // Nothing beats a bound, so this one was disturbed, as when two that spin had to share a core.
            let best = metric.unit.format(best);
            return Verdict::unknown(format!(
                "{what}: {own_text}, but {whose} took {best}: it was disturbed"
            ));
        }
        let (ratio, best) = (own / best, metric.unit.format(best));
        let rank = self.rank_text(workload);
        let text =
            format!("{what}: {ratio:.3}x {rank}{whose} ({own_text} : {best}), goal at most {at_most:.3}x");
        Verdict::new(ratio <= at_most, &text)
    }

    fn counts(&self, row: &Row<'_>) -> bool {
        match self.against {
            Against::BestPeer => row.contestant.role == Role::Peer,
            Against::BestPython => row.contestant.role == Role::Python,
            Against::BestPeerOfClass(class) => {
                row.contestant.role == Role::Peer && row.is_of_class == Some(class)
            }
            Against::Bound(name) => row.contestant.name == name,
            Against::Absolute => false,
        }
    }

    /// Whose figure it is, before the name.
    fn rank_text(&self, workload: &Workload) -> String {
        let class = workload.class.unwrap_or_default();
        match self.against {
            Against::BestPeer | Against::BestPython => "the best, ".to_owned(),
            Against::BestPeerOfClass(true) => format!("the best that {class}, "),
            Against::BestPeerOfClass(false) => "the best of the others, ".to_owned(),
            Against::Bound(_) | Against::Absolute => String::new(),
        }
    }
}

impl Verdict {
    fn new(is_met: bool, text: &str) -> Self {
        let word = if is_met { "met   " } else { "MISSED" };
        Self { is_met, text: format!("{word} {text}") }
    }

    fn unknown(text: String) -> Self {
        Self { is_met: false, text: format!("UNKNOWN {text}") }
    }
}
