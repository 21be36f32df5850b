//! What the spans cost: one that nobody listens to should cost next to nothing.

use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::SubscriberExt as _;

use super::spawn::SpawnAndJoin;
use crate::harness::metric::MEAN;
use crate::harness::metric::Outcome;
use crate::harness::pinning::Pinning;
use crate::harness::workload::{Contestant, Figures, Role, Run, Setting, Workload};
use crate::peers::{LocalJob as _, OurLocalLoop};

pub(crate) fn workload() -> Workload {
    Workload {
        name: "tracing",
        title: "perloop's spawn and join, and who listens to the spans; time of one",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants: vec![
            Contestant::new("somebody listens", Role::Ours, somebody_listens),
            Contestant::new("somebody listened before", Role::Ours, somebody_listened),
            Contestant::new("nobody ever listened", Role::Bound, spawn),
        ],
        class: None,
        figures: Figures::Timed,
        goals: vec![],
    }
}

fn spawn(run: &Run) -> Outcome {
    SpawnAndJoin::run::<OurLocalLoop>(run)
}

fn somebody_listens(run: &Run) -> Outcome {
    let [first, _second] = listeners();
    with_default(&first, || spawn(run))
}

/// A scoped subscriber changes for good how tracing finds out who listens.
fn somebody_listened(run: &Run) -> Outcome {
    let [first, _second] = listeners();
    with_default(&first, || ());
    spawn(run)
}

/// With a second one, tracing asks both, and not only the one of this thread, whether they want a span.
fn listeners() -> [Dispatch; 2] {
    [Listener, Listener].map(|listener| Dispatch::new(tracing_subscriber::registry().with(listener)))
}

/// Wants everything and keeps nothing.
struct Listener;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Listener {}
