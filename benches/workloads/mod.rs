//! What is measured: each workload written once, for all contestants.

mod costs;
mod flood;
mod handles;
mod idle;
mod loops;
mod round_trip;
mod spawn;
mod started;
mod tracing;
mod yields;

use crate::harness::workload::Workload;

/// In the order in which they run.
pub(crate) fn all() -> Vec<Workload> {
    vec![
        round_trip::workload(),
        round_trip::rare(),
        flood::workload(),
        handles::workload(),
        loops::workload(),
        spawn::workload(),
        yields::workload(),
        idle::workload(),
        costs::of_round_trips(),
        costs::of_forgetting(),
        tracing::workload(),
    ]
}
