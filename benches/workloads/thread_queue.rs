//! Items from one core to another, through a queue that makes whoever is too fast wait.

use std::thread;
use std::time::Instant;

use super::started;
use crate::harness::goal::{Against, Goal};
use crate::harness::metric::{MEAN, Outcome};
use crate::harness::pinning::{Cores, Pinning, Side};
use crate::harness::times::mean_of;
use crate::harness::workload::{Contestant, Figures, Role, Run, Setting, Workload};
use crate::peers::{Across, BOUND, Crossing, Worker, crossings};

pub(crate) fn between_loops() -> Workload {
    let title = "a task puts and another gets, on another loop, of a queue that holds 1,024; time of an item";
    thread_queue("thread-queue", title, crossings::<LoopToLoop>())
}

pub(crate) fn from_thread() -> Workload {
    let title = "a thread puts and a task gets, of a queue that holds 1,024; time of an item";
    thread_queue("thread-queue-fed", title, crossings::<ThreadToLoop>())
}

fn thread_queue(name: &'static str, title: &'static str, mut contestants: Vec<Contestant>) -> Workload {
    contestants.push(Contestant::new("crossbeam channel, two threads", Role::Bound, between_threads));
    Workload {
        name,
        title,
        settings: vec![Setting::new(Pinning::Cross)],
        metrics: &[MEAN],
        contestants,
        class: None,
        figures: Figures::Timed,
        goals: vec![Goal::new(MEAN, Against::BestPeer, 0.7)],
    }
}

fn items(run: &Run) -> u64 {
    run.operations(5_000_000, 1_000_000) as u64
}

async fn put_all<C: Crossing>(mut sender: C::Sender, items: u64) -> u64 {
    for item in 0..items {
        C::put(&mut sender, item).await;
    }
    0
}

async fn sum_of_all<C: Crossing>(mut receiver: C::Receiver, items: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..items {
        sum += C::get(&mut receiver).await;
    }
    sum
}

struct LoopToLoop;

impl<C: Crossing> Across<C> for LoopToLoop {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let (here, there) = started::two_workers::<W>(run)?;
        let pass_on = |items| {
            let (sender, receiver) = C::ends();
            let getter = there.submit(async move { sum_of_all::<C>(receiver, items).await });
            here.forget(async move { put_all::<C>(sender, items).await });
            assert_eq!(W::wait(getter), items * (items - 1) / 2, "each came once");
        };
        pass_on(items(run) / 10);
        let began = Instant::now();
        pass_on(items(run));
        Ok(mean_of(items(run) as usize, began))
    }
}

struct ThreadToLoop;

impl<C: Crossing> Across<C> for ThreadToLoop {
    fn run<W: Worker>(run: &Run) -> Outcome {
        let worker = started::worker::<W>(run)?;
        let pass_on = |items| {
            let (mut sender, receiver) = C::ends();
            let getter = worker.submit(async move { sum_of_all::<C>(receiver, items).await });
            (0..items).for_each(|item| C::put_blocking(&mut sender, item));
            assert_eq!(W::wait(getter), items * (items - 1) / 2, "each came once");
        };
        pass_on(items(run) / 10);
        let began = Instant::now();
        pass_on(items(run));
        Ok(mean_of(items(run) as usize, began))
    }
}

/// The bare exchange, with nobody to wake but a thread.
fn between_threads(run: &Run) -> Outcome {
    let cores = Cores::of_this_process(run.setting.pinning)?;
    let items = items(run);
    let (sender, receiver) = crossbeam_channel::bounded(BOUND);
    cores.enter(Side::Loop)?;
    let getter = thread::spawn(move || receiver.into_iter().sum::<u64>());
    cores.enter(Side::Caller)?;
    let began = Instant::now();
    (0..items).for_each(|item| sender.send(item).expect("the receiver is there"));
    drop(sender);
    assert_eq!(getter.join().ok(), Some(items * (items - 1) / 2), "each came once");
    Ok(mean_of(items as usize, began))
}
