//! More from outside than one turn takes.
mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::thread;

use perloop_bridge::{Bell, Closing, FutureError, Promise, Spin, drop_cancelled};
use support::{Driver, Ledger};

const FLOOD: usize = 5_000;

/// What has no room in one turn is older than what comes meanwhile, and comes first in the next.
#[test]
fn a_flood_is_taken_in_pieces_and_in_order() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let driver = Driver::new(Spin::Never);
    let push = |numbers: std::ops::Range<usize>| {
        let remote = driver.home.remote();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in numbers {
                    let ran = Arc::clone(&ran);
                    remote.call(move || ran.lock().unwrap().push(number)).unwrap();
                }
            });
        });
    };
    push(0..FLOOD / 2);
    driver.home.collect();
    let first = driver.home.ready_len();
    assert!(first < FLOOD / 2, "a turn takes a part of it");
    assert!(!driver.home.fall_asleep(), "there is something to do");
    push(FLOOD / 2..FLOOD);
    driver.turn();
    assert!(driver.home.has_work());
    driver.run_until(|| ran.lock().unwrap().len() == FLOOD);
    assert!(ran.lock().unwrap().iter().copied().eq(0..FLOOD));
    assert!(driver.home.fall_asleep());
}

/// The loop closes with a part of the flood in hand: each of it ends, and is dropped.
#[test]
fn a_flood_against_close_is_refused() {
    let ledger = Ledger::new(0);
    let driver = Driver::new(Spin::Never);
    let remote = driver.home.remote();
    let theirs = ledger.clone();
    let futures = thread::spawn(move || {
        let submit = |_| {
            let owned = theirs.owned();
            remote.submit::<(), _>((), async move { drop(owned) })
        };
        (0..FLOOD).map(submit).collect::<Vec<_>>()
    });
    let futures = futures.join().unwrap();
    driver.turn();
    driver.home.close(Closing::Closed);
    ledger.check();
    let begun = futures.iter().filter(|future| future.cancelled()).count();
    assert!(begun > 0 && begun < FLOOD);
    let refused =
        futures.iter().filter(|future| matches!(future.try_result(), Some(Err(FutureError::LoopClosed(_)))));
    assert_eq!(begun + refused.count(), FLOOD);
}

/// The destructor of an outcome that comes back late closes the loop, in the middle of a batch.
#[test]
fn a_destructor_that_closes_the_loop_in_a_batch_leaves_nothing_behind() {
    thread_local! {
        static LOOP: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
    }
    struct Closes;
    impl Drop for Closes {
        fn drop(&mut self) {
            if let Some(driver) = LOOP.take() {
                driver.home.close(Closing::Closed);
            }
        }
    }
    let driver = Rc::new(Driver::new(Spin::Never));
    let slot = Arc::new(Mutex::new(None));
    let out = Arc::clone(&slot);
    let future = driver.home.remote().submit::<(), _>(
        (),
        std::future::poll_fn(move |cx| {
            let waker = cx.waker().clone();
            if out.lock().unwrap().replace(waker).is_none() { Poll::Pending } else { Poll::Ready(Closes) }
        }),
    );
    driver.turn();
    driver.turn();
    let waker = slot.lock().unwrap().clone().unwrap();
    let remote = driver.home.remote();
    // It ends by a wake of its own while another thread's is in the inbox, whose node gets the last reference.
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
    let late = thread::spawn(move || remote.submit::<(), _>((), async {})).join().unwrap();
    let Some(perloop_bridge::Ready::Step(task)) = driver.home.pop() else { panic!("its own wake") };
    assert!(!task.begin_step());
    let _ = task.poll();
    task.publish();
    drop((future, task, slot));
    LOOP.set(Some(Rc::clone(&driver)));
    driver.home.collect();
    assert!(driver.home.is_closed() && !driver.home.has_work());
    assert!(matches!(late.try_result(), Some(Err(FutureError::LoopClosed(_)))));
}

/// Freezes whoever rings it, once.
#[derive(Clone, Default)]
struct FreezingBell(Arc<(Mutex<Freeze>, Condvar)>);

#[derive(Default, PartialEq, Clone, Copy)]
enum Freeze {
    #[default]
    Armed,
    Frozen,
    Thawed,
}

impl FreezingBell {
    fn wait_until(&self, wanted: Freeze) {
        let (freeze, changed) = &*self.0;
        drop(changed.wait_while(freeze.lock().unwrap(), |now| *now != wanted).unwrap());
    }

    fn set(&self, now: Freeze) {
        let (freeze, changed) = &*self.0;
        *freeze.lock().unwrap() = now;
        changed.notify_all();
    }
}

impl Bell for FreezingBell {
    fn ring(&self) {
        if *self.0.0.lock().unwrap() == Freeze::Armed {
            self.set(Freeze::Frozen);
            self.wait_until(Freeze::Thawed);
        }
    }
}

/// A producer is taken off its core in the middle of a push, after its node was seen and before it rang. That holds up
/// neither the other producers nor the loop, which runs what they push, and what the frozen one pushed, and then may
/// sleep: a queue whose slots are reserved first would have a hole there.
#[test]
fn t_producer_frozen_mid_push() {
    let (bell, ran) = (FreezingBell::default(), Arc::new(AtomicUsize::new(0)));
    let driver = Driver::with_bell(Box::new(bell.clone()));
    let push = || {
        let (remote, ran) = (driver.home.remote(), Arc::clone(&ran));
        move || {
            let ran = Arc::clone(&ran);
            remote.call(move || _ = ran.fetch_add(1, SeqCst)).unwrap();
        }
    };
    assert!(driver.home.fall_asleep());
    thread::scope(|scope| {
        let frozen = scope.spawn(push());
        bell.wait_until(Freeze::Frozen);
        let others = [0; 4].map(|_| {
            let push = push();
            scope.spawn(move || (0..250).for_each(|_| push()))
        });
        others.into_iter().for_each(|other| other.join().unwrap());
        // As if a timer had ended its wait.
        while ran.load(SeqCst) < 1_001 {
            driver.turn();
        }
        assert!(!driver.home.has_work() && driver.home.fall_asleep() && !frozen.is_finished());
        bell.set(Freeze::Thawed);
        frozen.join().unwrap();
    });
    assert!(!driver.home.has_work());
}

/// A cancelled task takes along the future that it awaits; one that is only dropped does not.
#[test]
fn a_cancelled_task_cancels_what_it_awaits() {
    let (_first, awaited) = Promise::<()>::new();
    let (_second, dropped) = Promise::<()>::new();
    let driver = Driver::new(Spin::Never);
    let cancelled = Arc::new(AtomicUsize::new(0));
    for (future, amount) in [(awaited, 1), (dropped, 10)] {
        let cancelled = Arc::clone(&cancelled);
        future.add_done_callback(move |_| _ = cancelled.fetch_add(amount, SeqCst));
        let task = driver.home.spawn(|| (), future);
        driver.turn();
        let end = || task.end_with(FutureError::Cancelled);
        let _ = if amount == 1 { drop_cancelled(end) } else { end() };
    }
    assert_eq!(cancelled.load(SeqCst), 1);
}
