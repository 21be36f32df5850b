//! Whatever becomes of a submission and of its loop, in whatever order: it ends in exactly one way, and all that it had is
//! dropped.
#![expect(clippy::disallowed_types, reason = "what is submitted is `Send`, and counts there")]

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use perloop::{
    CrossThreadFuture, EventLoop, FutureError, GroupHandle, LoopHandle, PanicPolicy, Simulation, create_task,
    get_running_loop, run_coroutine_threadsafe, sleep, timeout, wrap_future, yield_now,
};

const LOOPS: usize = 3;
const SUBMISSIONS: u64 = 16;

/// A generator of the test's own.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn time(&mut self) -> Duration {
        Duration::from_millis(self.below(5))
    }

    fn other(&mut self, group: &GroupHandle) -> LoopHandle {
        group.get(self.below(LOOPS as u64) as usize).unwrap().clone()
    }
}

/// Counts those that live.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What a submission does in the end, if nobody cancels it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Body {
    Value,
    Panic,
    Endless,
    /// It waits for one on a third loop.
    Onward,
}

async fn body(kind: Body, mut dice: Dice, alive: Alive, group: GroupHandle, n: u64) -> u64 {
    for _ in 0..dice.below(3) {
        yield_now().await;
    }
    sleep(dice.time()).await;
    match kind {
        Body::Value => {}
        Body::Panic => resume_unwind(Box::new(n)),
        Body::Endless => std::future::pending().await,
        Body::Onward => {
            let (inner, time, on) = (Alive::new(&alive.0), dice.time(), dice.other(&group));
            let onward = async move {
                sleep(time).await;
                drop(inner);
            };
            // Where that goes wrong, this goes on all the same.
            let _ended = run_coroutine_threadsafe(onward, &on).await;
        }
    }
    n
}

/// How a submission has ended for its waiter, if that has waited to the end, and whether the waiter has cancelled it.
type Waited = (Option<Result<u64, FutureError>>, bool);

/// Waits for a submission in one of many ways. One that is endless is cancelled.
async fn wait_for(future: CrossThreadFuture<u64>, mut dice: Dice, is_endless: bool) -> Waited {
    match dice.below(if is_endless { 4 } else { 6 }) {
        0 => {
            sleep(dice.time()).await;
            future.cancel();
            (Some(future.await), true)
        }
        1 => {
            // Its waiter is cancelled.
            let waiter = create_task(future);
            sleep(dice.time()).await;
            waiter.cancel();
            (waiter.await.ok(), true)
        }
        2 => (timeout(dice.time(), future).await.ok(), true),
        3 => {
            let wrapped = wrap_future(future);
            sleep(dice.time()).await;
            wrapped.cancel();
            drop(wrapped.await);
            (None, true)
        }
        4 => {
            future.completion().await;
            (Some(future.result()), false)
        }
        _ => (Some(future.await), false),
    }
}

/// What happens to a loop.
async fn calamity(group: GroupHandle, mut dice: Dice) -> bool {
    sleep(dice.time() + dice.time()).await;
    let victim = group.get(1 + dice.below(2) as usize).unwrap();
    match dice.below(6) {
        0 => victim.stop(),
        1 => victim.event_loop().unwrap().close().unwrap(),
        2 => _ = victim.call_soon_threadsafe(|| resume_unwind(Box::new("fatal"))),
        _ => return false,
    }
    true
}

async fn program(group: GroupHandle, mut dice: Dice, alive: Arc<AtomicUsize>) -> BTreeMap<&'static str, u64> {
    let calamity = create_task(calamity(group.clone(), Dice(dice.below(u64::MAX))));
    let mut waiters = Vec::new();
    for n in 0..SUBMISSIONS {
        let kind = [Body::Value, Body::Panic, Body::Endless, Body::Onward][dice.below(4) as usize];
        let (mut on, from) = (dice.other(&group), dice.other(&group));
        if kind == Body::Panic && on.name() == "loop-0" {
            // A panic of which nobody hears ends its loop here, and the first one is to stay.
            on = group.get(1).unwrap().clone();
        }
        let (inner, alive) = (group.clone(), Alive::new(&alive));
        let (does, waits) = (Dice(dice.below(u64::MAX)), Dice(dice.below(u64::MAX)));
        // Submitted from one loop to another, maybe the same.
        let waiter = from.run_with(move || async move {
            let future = run_coroutine_threadsafe(body(kind, does, alive, inner, n), &on);
            wait_for(future, waits, kind == Body::Endless).await
        });
        waiters.push((n, kind, waiter));
        if dice.below(3) == 0 {
            sleep(dice.time()).await;
        }
    }
    let mut ends = BTreeMap::new();
    let mut outcomes = Vec::new();
    for (n, kind, waiter) in waiters {
        outcomes.push((n, kind, waiter.await));
    }
    // One that was stopped may not be closed yet.
    let is_over = calamity.await.unwrap() || group.loops().any(LoopHandle::is_closed);
    for (n, kind, outcome) in outcomes {
        *ends.entry(name_of_end(n, kind, is_over, outcome)).or_default() += 1;
    }
    ends
}

/// What the waiter of a submission says of its end, checked for what it may be.
fn name_of_end(n: u64, kind: Body, is_over: bool, outcome: Result<Waited, FutureError>) -> &'static str {
    match outcome {
        Ok((Some(Ok(value)), _)) => {
            assert!(value == n && matches!(kind, Body::Value | Body::Onward), "{n} {kind:?} {value}");
            "value"
        }
        Ok((Some(Err(FutureError::Panicked(panicked))), _)) => {
            let payload = panicked.into_payload();
            assert!(kind == Body::Panic && payload.downcast_ref() == Some(&n), "{n} {kind:?}");
            "panicked"
        }
        Ok((Some(Err(FutureError::Cancelled)), true)) => "cancelled",
        Ok((None, true)) => "not waited for",
        Ok((
            Some(Err(FutureError::LoopClosed(_) | FutureError::LoopDied(_) | FutureError::Cancelled)),
            _,
        ))
        | Err(FutureError::LoopClosed(_) | FutureError::LoopDied(_) | FutureError::Cancelled)
            if is_over =>
        {
            "lost its loop"
        }
        other => panic!("{n} {kind:?} {is_over}: {other:?}"),
    }
}

#[test]
fn every_submission_ends_in_one_way_and_leaves_nothing() {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    let mut runs = 0;
    Simulation::check(0..500, |simulation| {
        let alive = Arc::new(AtomicUsize::new(0));
        let (dice, counted) = (Dice(simulation.seed()), Arc::clone(&alive));
        let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
        let simulation = simulation.loops(LOOPS).settings(settings);
        let ends = simulation.run(|group| program(group, dice, counted)).unwrap();
        assert_eq!(ends.values().sum::<u64>(), SUBMISSIONS);
        assert_eq!(alive.load(Relaxed), 0, "dropped");
        ends.into_iter().for_each(|(end, count)| *all.entry(end).or_default() += count);
        runs += 1;
    });
    println!("{all:?}");
    assert!(runs < 100 || all.len() == 5 && all.values().all(|count| *count > runs / 10), "{all:?}");
    assert!(get_running_loop().is_err());
}
