//! Wakers on other threads, and after the end of what they wake: many at once, with exact accounts.
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use perloop_bridge::{Closing, CrossThreadFuture, FutureError, Spin, TaskRef};
use support::{Dice, Driver, End, Ledger, LoopThread};

/// Clones, wakes and drops wakers, one of them at a time, until `is_over`.
fn bombard(seed: u64, wakers: &[Waker], is_over: impl Fn() -> bool) {
    let mut dice = Dice(seed);
    while !is_over() {
        let waker = wakers[dice.index(wakers.len())].clone();
        match dice.below(4) {
            0 => waker.wake(),
            1 => waker.wake_by_ref(),
            2 => drop([waker.clone(), waker]),
            _ => assert!(waker.will_wake(&waker.clone())),
        }
    }
}

/// Eight threads clone, wake and drop the wakers of the same thousand tasks, while these are polled, end by themselves,
/// are cancelled, and are closed.
#[test]
fn s_waker_bombardment() {
    const TASKS: usize = 1_000;
    let (polls, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let ledger = Ledger::new(TASKS);
    let looping = LoopThread::start();
    let (send, receive) = mpsc::channel::<Waker>();
    let futures: Vec<_> = (0..TASKS)
        .map(|number| {
            let (polls, may_end) = (Arc::clone(&polls), Arc::clone(&may_end));
            let (send, mut owned, mut has_sent) = (send.clone(), ledger.owned(), false);
            looping.remote.submit::<(), _>(
                (),
                std::future::poll_fn(move |cx| {
                    owned.begin();
                    if !std::mem::replace(&mut has_sent, true) {
                        send.send(cx.waker().clone()).unwrap();
                    }
                    let is_late = polls.fetch_add(1, SeqCst) > may_end.load(SeqCst);
                    if is_late && number % 4 > 1 { Poll::Ready(()) } else { Poll::Pending }
                }),
            )
        })
        .collect();
    drop(send);
    let wakers: Vec<_> = receive.iter().take(TASKS).collect();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..8 {
            let (wakers, done) = (&wakers, &done);
            scope.spawn(move || bombard(seed, wakers, || done.load(SeqCst) == 1));
        }
        let fate = |number| move |(index, _): &(usize, _)| index % 4 == number;
        let end = |(number, future): (usize, &CrossThreadFuture<()>)| {
            ledger.end(number, End::of(&future.result()));
        };
        // Of four, one is cancelled, two end by themselves, and one is left to the close.
        for (_, future) in futures.iter().enumerate().filter(fate(0)) {
            assert!(future.cancel());
        }
        may_end.store(polls.load(SeqCst) + 20 * TASKS, SeqCst);
        [0, 2, 3]
            .into_iter()
            .for_each(|number| futures.iter().enumerate().filter(fate(number)).for_each(end));
        drop(looping);
        futures.iter().enumerate().filter(fate(1)).for_each(end);
        done.store(1, SeqCst);
    });
    wakers.iter().for_each(Waker::wake_by_ref);
    drop((futures, wakers));
    assert_eq!(ledger.check(), [TASKS / 2, TASKS / 2, 0, 0, 0]);
}

/// A task that waits for ever, and what its poll left: a count of its polls, and a waker.
struct Waiting {
    task: TaskRef,
    waker: Waker,
    polls: Arc<AtomicUsize>,
}

impl Waiting {
    /// Polled once.
    fn begin(driver: &Driver, ledger: &Ledger) -> Self {
        let (polls, slot) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let (count, out, mut owned) = (Arc::clone(&polls), Arc::clone(&slot), ledger.owned());
        let task = driver.home.spawn(
            || (),
            std::future::poll_fn(move |cx| {
                owned.begin();
                count.fetch_add(1, SeqCst);
                out.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
                Poll::<()>::Pending
            }),
        );
        driver.turn();
        let waker = slot.lock().unwrap().replace(Waker::noop().clone()).unwrap();
        Self { task, waker, polls }
    }
}

/// Looks for a while, so that two threads go on at the same moment if both have a core; else the other one needs ours.
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        std::hint::spin_loop();
    }
    while !is_so() {
        thread::yield_now();
    }
}

/// A wake by another thread, of the last waker, while the loop closes and is freed: neither the loop's memory nor the
/// task's is touched afterwards, and the body is dropped at home. (What a wrong one touches, AddressSanitizer sees.)
#[test]
fn s_wake_while_loop_drops() {
    const ROUNDS: usize = 30_000;
    let ledger = Ledger::new(0);
    let (send, receive) = mpsc::sync_channel::<(Waker, Waker)>(1);
    let (at_start, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (theirs, starting) = (Arc::clone(&at_start), Arc::clone(&start));
    let waking = thread::spawn(move || {
        for (round, (first, last)) in receive.iter().enumerate() {
            theirs.store(round + 1, SeqCst);
            wait_until(|| starting.load(SeqCst) > round);
            first.wake_by_ref();
            drop(first);
            last.wake();
        }
    });
    let mut dice = Dice(3);
    for round in 0..ROUNDS {
        let driver = Driver::new(Spin::Never);
        let Waiting { task, waker, .. } = Waiting::begin(&driver, &ledger);
        send.send((waker.clone(), waker)).unwrap();
        drop(task);
        if round % 2 == 0 {
            let _ = driver.home.fall_asleep();
        }
        wait_until(|| at_start.load(SeqCst) > round);
        start.store(round + 1, SeqCst);
        for _ in 0..dice.below(60) {
            std::hint::spin_loop();
        }
        if round % 3 == 0 {
            driver.turn();
        }
        if round % 5 == 0 {
            driver.home.close(Closing::Closed);
        }
        drop(driver);
    }
    drop(send);
    waking.join().unwrap();
    ledger.check();
}

/// Tasks come and go, and the wakers of those that are gone are used on, here and elsewhere: no task is ever polled
/// for a waker that is not its own.
#[test]
fn p_stale_waker_spurious_only() {
    let (ledger, mut dice) = (Ledger::new(0), Dice(42));
    let driver = Driver::new(Spin::Never);
    let mut live: Vec<(Waiting, usize)> = Vec::new();
    let mut stale: Vec<Waker> = Vec::new();
    let elsewhere = |waker: &Waker, dice: &mut Dice| match dice.below(8) {
        0 => thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap()),
        _ => waker.wake_by_ref(),
    };
    for _ in 0..4_000 {
        match dice.below(4) {
            0 => live.push((Waiting::begin(&driver, &ledger), 1)),
            1 if !live.is_empty() => {
                let (Waiting { task, waker, .. }, _) = live.swap_remove(dice.index(live.len()));
                let _ = task.end_with(FutureError::Cancelled);
                stale.push(waker);
            }
            2 if !live.is_empty() => {
                let index = dice.index(live.len());
                elsewhere(&live[index].0.waker, &mut dice);
                driver.turn();
                live[index].1 += 1;
            }
            _ if !stale.is_empty() => {
                let waker = match dice.below(2) {
                    0 => stale.swap_remove(dice.index(stale.len())),
                    _ => stale[dice.index(stale.len())].clone(),
                };
                elsewhere(&waker, &mut dice);
                driver.turn();
            }
            _ => {}
        }
        for (task, wakes) in &live {
            assert_eq!(task.polls.load(SeqCst), *wakes, "polled for somebody else");
        }
    }
    assert!(stale.len() > 100);
    drop((live, driver));
    stale.into_iter().for_each(Waker::wake);
    ledger.check();
}
