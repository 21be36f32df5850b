//! Many tasks are made, and all of their outcomes wanted at once: by `gather`, by `join_all`, or awaited in order.

use std::time::Instant;

use futures::future::join_all;

use super::started::on_own_loop;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome, Sample};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Contestant, Figures, Role, Run, Setting, Workload};
use crate::peers::{OurLocalLoop, OwnJob, OwnLoop, own_loops, python};

/// As many tasks as a program may well gather, and ten times as many.
const TASKS: usize = 100_000;
const MILLION: usize = 1_000_000;

pub(crate) fn workload() -> Workload {
    let mut contestants = vec![
        Contestant::new("perloop", Role::Ours, |_| gather(TASKS, 3)),
        Contestant::new("perloop, in order", Role::Ours, in_order::<OurLocalLoop>),
    ];
    contestants.extend(peers::<InOrder>("in order"));
    contestants.extend(peers::<JoinAll>("join_all"));
    let title = "make 100,000 tasks that yield once, and have all of their values; time of one";
    Workload::on_one_loop("gather", title, &MEAN, contestants, python("gather", 100_000, 10_000), 1.0)
}

/// A task of a million costs what one of fewer does, but for what memory costs that no cache has.
pub(crate) fn of_a_million() -> Workload {
    Workload {
        name: "gather-million",
        title: "perloop's gather of a million tasks; time of one",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants: vec![
            Contestant::new("perloop", Role::Ours, |_| gather(MILLION, 1)),
            Contestant::new("of 100,000 tasks", Role::Peer, |_| gather(TASKS, 1)),
        ],
        class: None,
        figures: Figures::Timed,
        goals: vec![Goal::new(MEAN, Against::BestPeer, 2.0)],
    }
}

fn peers<J: OwnJob>(way: &str) -> impl Iterator<Item = Contestant> {
    let peers = own_loops::<J>().into_iter().filter(|one| one.role == Role::Peer);
    peers.map(move |peer| Contestant { name: format!("{}, {way}", peer.name), ..peer })
}

fn gather(tasks: usize, rounds: usize) -> Outcome {
    on_own_loop(move |own: OurLocalLoop| async move {
        measure(tasks, rounds, async || {
            perloop::gather(tasks_of(&own, tasks)).await.expect("each gives its value").len()
        })
        .await
    })
}

struct InOrder;

impl OwnJob for InOrder {
    fn run<L: OwnLoop>(run: &Run) -> Outcome {
        in_order::<L>(run)
    }
}

fn in_order<L: OwnLoop>(_: &Run) -> Outcome {
    on_own_loop(async |own: L| {
        measure(TASKS, 3, async || {
            let tasks = tasks_of(&own, TASKS);
            let mut ended = 0;
            for task in tasks {
                L::join(task).await;
                ended += 1;
            }
            ended
        })
        .await
    })
}

struct JoinAll;

impl OwnJob for JoinAll {
    fn run<L: OwnLoop>(_: &Run) -> Outcome {
        on_own_loop(async |own: L| {
            measure(TASKS, 3, async || join_all(tasks_of(&own, TASKS).into_iter().map(L::join)).await.len())
                .await
        })
    }
}

fn tasks_of<L: OwnLoop>(own: &L, tasks: usize) -> Vec<L::Handle> {
    let yielding = |n| {
        own.spawn_local(async move {
            L::yield_now().await;
            n
        })
    };
    (0..tasks as u64).map(yielding).collect()
}

/// The time of one of so many tasks, of which `all` has the values; in the last round, when memory is known.
async fn measure(tasks: usize, rounds: usize, all: impl AsyncFn() -> usize) -> Sample {
    let mut sample = Sample::default();
    for _ in 0..rounds {
        let began = Instant::now();
        assert_eq!(all().await, tasks);
        sample = mean_of(tasks, began);
    }
    sample
}
