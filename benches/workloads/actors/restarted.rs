//! An actor that panics, and is restarted by its supervisor.

use std::time::Instant;

use super::on_loop;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::Pinning;
use crate::harness::times::mean_of;
use crate::harness::workload::{Figures, Run, Setting, Workload};
use crate::peers::{SupervisionJob, SupervisionSystem, supervision_systems};

pub(crate) fn workload() -> Workload {
    Workload {
        name: "actors-restart",
        title: "a supervised actor panics, is restarted, and answers, again and again",
        settings: vec![Setting::new(Pinning::None)],
        metrics: &[MEAN],
        contestants: supervision_systems::<Restart>(),
        class: None,
        figures: Figures::Timed,
        goals: vec![Goal::new(MEAN, Against::BestPeer, 1.0)],
    }
}

struct Restart;

impl SupervisionJob for Restart {
    fn run<S: SupervisionSystem>(run: &Run) -> Outcome {
        // What a hook prints is nobody's business here.
        std::panic::set_hook(Box::new(|_| {}));
        let times = run.operations(20_000, 5_000);
        on_loop::<S, _>(run, async move {
            let child = S::supervise().await;
            fail::<S>(&child, times / 10).await;
            let began = Instant::now();
            fail::<S>(&child, times).await;
            mean_of(times, began)
        })
    }
}

async fn fail<S: SupervisionSystem>(child: &S::Child, times: usize) {
    for _ in 0..times {
        S::fail(child).await;
    }
}
