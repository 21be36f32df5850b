//! Two actors of one loop: one tells, or asks, the other.

use std::time::Instant;

use super::{on_loop, on_one_loop};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::times::mean_of;
use crate::harness::workload::{Figures, Run, Workload};
use crate::peers::{ActorJob, ActorSystem};

/// So many messages go before a question.
const BATCH: usize = 1_000;

pub(crate) fn told() -> Workload {
    let title = "an actor tells another of its loop 1,000, and asks, again and again; time of one message";
    on_one_loop::<Tell>("actors-local-tell", title, &MEAN, Figures::Timed)
}

pub(crate) fn asked() -> Workload {
    let title = "an actor asks another of its loop";
    on_one_loop::<Ask>("actors-local-ask", title, &MEAN, Figures::Timed)
}

struct Tell;

impl ActorJob for Tell {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let batches = run.operations(1_000, 200);
        on_loop::<S, _>(run, async move {
            let (one, other) = (S::create().await, S::create().await);
            tell::<S>(&one, &other, batches / 10).await;
            let began = Instant::now();
            tell::<S>(&one, &other, batches).await;
            mean_of(batches * BATCH, began)
        })
    }
}

async fn tell<S: ActorSystem>(one: &S::Address, other: &S::Address, batches: usize) {
    let other = other.clone();
    let work = async move {
        for _ in 0..batches {
            for _ in 1..BATCH {
                S::tell(&other, 1).await;
            }
            S::ask(&other, 1).await;
        }
    };
    S::work(one, Box::pin(work)).await;
}

struct Ask;

impl ActorJob for Ask {
    fn run<S: ActorSystem>(run: &Run) -> Outcome {
        let times = run.operations(500_000, 100_000);
        on_loop::<S, _>(run, async move {
            let (one, other) = (S::create().await, S::create().await);
            ask::<S>(&one, &other, times / 10).await;
            let began = Instant::now();
            ask::<S>(&one, &other, times).await;
            mean_of(times, began)
        })
    }
}

async fn ask<S: ActorSystem>(one: &S::Address, other: &S::Address, times: usize) {
    let other = other.clone();
    let work = async move {
        for _ in 0..times {
            S::ask(&other, 1).await;
        }
    };
    S::work(one, Box::pin(work)).await;
}
