//! What is measured, and how it is written.

/// Something that a run measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// Of all of them, less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    /// How often.
    Times,
}

pub(crate) const P50: Metric = Metric { name: "p50", unit: Unit::Nanoseconds };
pub(crate) const MEAN: Metric = Metric { name: "mean", unit: Unit::Nanoseconds };
pub(crate) const CPU_TIME: Metric = Metric { name: "CPU time", unit: Unit::Nanoseconds };
pub(crate) const ALLOCATIONS: Metric = Metric { name: "allocations", unit: Unit::Times };
/// How many there were, to share other counts among them.
pub(crate) const OPERATIONS: Metric = Metric { name: "operations", unit: Unit::Times };
pub(crate) const SYSCALLS: Metric = Metric { name: "system calls", unit: Unit::Times };

impl Unit {
    pub(crate) fn format(self, value: f64) -> String {
        match self {
            Self::Nanoseconds if value >= 1e6 => format!("{:.2} ms", value / 1e6),
            Self::Nanoseconds if value >= 1e3 => format!("{:.2} µs", value / 1e3),
            Self::Nanoseconds => format!("{value:.1} ns"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Times => format!("{value:.2}"),
        }
    }
}

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sample(Vec<(String, f64)>);

/// A sample, or why there is none.
pub(crate) type Outcome = Result<Sample, String>;

/// So a reason begins for which a run was not to be expected.
pub(crate) const SKIPPED: &str = "SKIPPED";

const MEASURED: &str = "measured";
const FAILED: &str = "failed";

impl Sample {
    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.0.push((metric.name.to_owned(), value));
        self
    }

    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == metric.name).map(|&(_, value)| value)
    }

    /// From child to parent.
    pub(crate) fn outcome_to_line(outcome: &Outcome) -> String {
        match outcome {
            Ok(sample) => {
                let values: Vec<_> = sample.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{MEASURED}:{}", values.join(";"))
            }
            Err(reason) => format!("{FAILED}:{}", reason.replace('\n', " ")),
        }
    }

    /// The inverse; `None` if the line is something else, since a contestant may print too.
    pub(crate) fn outcome_of_line(line: &str) -> Option<Outcome> {
        let (verb, rest) = line.split_once(':')?;
        match verb {
            MEASURED => {
                let values = rest.split(';').filter(|pair| !pair.is_empty()).map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.to_owned(), value.parse().ok()?))
                });
                values.collect::<Option<_>>().map(|values| Ok(Self(values)))
            }
            FAILED => Some(Err(rest.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_through_a_line() {
        let outcome = Ok(Sample::default().with(P50, 123.25).with(CPU_TIME, 7.0));
        assert_eq!(Sample::outcome_of_line(&Sample::outcome_to_line(&outcome)), Some(outcome));
    }

    #[test]
    fn a_reason_comes_through_one_line() {
        let outcome = Err("not\nallowed: io_uring".to_owned());
        let arrived = Err("not allowed: io_uring".to_owned());
        assert_eq!(Sample::outcome_of_line(&Sample::outcome_to_line(&outcome)), Some(arrived));
    }

    #[test]
    fn what_a_contestant_prints_is_no_outcome() {
        assert_eq!(Sample::outcome_of_line("warning: slow"), None);
    }
}
