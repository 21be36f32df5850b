//! What is measured: each workload written once, for all contestants.

mod actors;
mod condition;
mod costs;
mod event;
mod flood;
mod gather;
mod handles;
mod holds;
mod idle;
mod loops;
mod memory;
mod queue;
mod round_trip;
mod sleeps;
mod spawn;
mod started;
mod thread_queue;
mod timeout;
mod tracing;
mod yields;

use crate::harness::workload::Workload;

/// In the order in which they run.
pub(crate) fn all() -> Vec<Workload> {
    let mut all = vec![
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
        memory::workload(),
        sleeps::workload(),
        timeout::workload(),
        gather::workload(),
        gather::of_a_million(),
        queue::unbounded(),
        queue::bounded(),
        thread_queue::between_loops(),
        thread_queue::from_thread(),
        holds::lock(),
        holds::lock_contended(),
        holds::semaphore(),
        holds::semaphore_contended(),
        event::workload(),
        event::contended(),
        condition::workload(),
        condition::contended(),
    ];
    all.extend(actors::all());
    all
}
