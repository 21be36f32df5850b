//! One row of a table.

use super::metric::{Metric, Outcome, SKIPPED, Sample};
use super::workload::Contestant;

/// What all runs of one contestant in one setting gave.
pub(crate) struct Row<'a> {
    pub(crate) contestant: &'a Contestant,
    pub(crate) is_of_class: Option<bool>,
    samples: Vec<Sample>,
    /// Of the last run that gave no sample.
    pub(crate) failure: Option<String>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(contestant: &'a Contestant, is_of_class: Option<bool>) -> Self {
        Self { contestant, is_of_class, samples: Vec::new(), failure: None }
    }

    /// The middle one of what it measured.
    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        let values = self.sorted(metric);
        values.get(values.len() / 2).copied()
    }

    /// The least and the most.
    pub(crate) fn range(&self, metric: Metric) -> Option<(f64, f64)> {
        let values = self.sorted(metric);
        Some((*values.first()?, *values.last()?))
    }

    pub(crate) fn is_measured(&self) -> bool {
        !self.samples.is_empty()
    }

    /// What it needs is not on this machine.
    pub(crate) fn is_skipped(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.starts_with(SKIPPED))
    }

    fn sorted(&self, metric: Metric) -> Vec<f64> {
        let mut values: Vec<f64> = self.samples.iter().filter_map(|sample| sample.get(metric)).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Ok(sample) => self.samples.push(sample),
            Err(reason) => self.failure = Some(reason),
        }
    }
}
