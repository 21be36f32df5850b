//! How a group of loops ends: it accepts no more, drains, cancels, closes and joins, and says what became of all.
#![expect(clippy::disallowed_types, reason = "a witness from several threads")]

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use perloop::{
    EventLoop, EventLoopGroup, FutureError, GroupHandle, JoinError, LoopEnd, PanicPolicy, Promise,
    ShutdownReport, catch_cancelled, create_task, run_coroutine_threadsafe, sleep, yield_now,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Loops on virtual time, so that an hour takes none.
fn group(loops: usize) -> EventLoopGroup {
    let settings = EventLoop::builder().virtual_time();
    EventLoopGroup::builder().loops(loops).settings(settings).spawn().unwrap()
}

fn counts(report: &ShutdownReport) -> (usize, usize, usize) {
    (report.finished(), report.cancelled(), report.abandoned())
}

/// Counts those that are gone.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_idle_group_ends_at_once() {
    let report = group(3).shutdown(Duration::MAX, Duration::MAX).unwrap();
    assert_eq!((counts(&report), report.loops.len()), ((0, 0, 0), 3));
    assert!(report.is_clean());
}

#[test]
fn what_is_under_way_finishes() {
    let group = group(2);
    let sleepers = group.map(0..10, |n| async move {
        sleep(HOUR).await;
        n
    });
    // Also what was made there, and was not handed in.
    let makes = group.broadcast(|_| async { drop(create_task(sleep(2 * HOUR))) });
    makes.result().unwrap();
    let report = group.shutdown(Duration::MAX, Duration::ZERO).unwrap();
    assert!(report.is_clean());
    assert!(sleepers.result().unwrap().into_iter().eq(0..10));
    assert_eq!((report.cancelled(), report.abandoned()), (0, 0));
}

/// Work that loops hand to each other while they drain, and that comes to loops that had nothing any more.
async fn relay(group: GroupHandle, hops: usize) -> usize {
    let Some(left) = hops.checked_sub(1) else { return 0 };
    yield_now().await;
    let next = group.get((group.current_index().unwrap() + 1) % group.len()).unwrap().clone();
    1 + next.run_with(move || Box::pin(relay(group, left))).await.unwrap()
}

#[test]
fn what_tasks_hand_on_while_the_group_drains_finishes() {
    let group = group(4);
    let handle = group.handle();
    let relayed = group.get(0).unwrap().run_with(move || relay(handle, 40));
    let report = group.shutdown(Duration::MAX, Duration::ZERO).unwrap();
    assert!(report.is_clean());
    assert_eq!(relayed.result(), Ok(40));
}

#[test]
fn what_is_handed_on_and_forgotten_finishes() {
    for _ in 0..50 {
        let group = group(3);
        let (handle, ended) = (group.handle(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&ended);
        let begin = group.get(0).unwrap().run_with(move || async move {
            let (first, second) = (handle.get(1).unwrap().clone(), handle.get(2).unwrap().clone());
            let last = move || async move { drop(Counted(counted)) };
            drop(first.run_with(move || async move {
                yield_now().await;
                drop(second.run_with(last));
            }));
        });
        let report = group.shutdown(Duration::MAX, Duration::ZERO).unwrap();
        assert!(report.is_clean());
        assert_eq!((begin.result(), ended.load(Ordering::SeqCst)), (Ok(()), 1));
    }
}

#[test]
fn others_are_refused_while_the_group_drains() {
    let group = group(2);
    let (mut promise, go) = Promise::new();
    let waits = run_coroutine_threadsafe(go, group.get(0).unwrap());
    let on = group.get(1).unwrap().clone();
    let outside = thread::spawn(move || {
        loop {
            let outcome = run_coroutine_threadsafe(async {}, &on).result();
            if outcome.is_err() {
                promise.set_result(42).unwrap();
                return (outcome, on.is_closed());
            }
        }
    });
    let report = group.shutdown(Duration::MAX, Duration::ZERO).unwrap();
    let (outcome, was_closed) = outside.join().unwrap();
    assert!(matches!(outcome, Err(FutureError::LoopClosed(_))));
    assert!(!was_closed, "it drains");
    assert_eq!(waits.result(), Ok(Ok(42)));
    assert!(report.is_clean());
}

#[test]
fn what_does_not_finish_in_time_is_cancelled_and_may_clean_up() {
    let group = group(2);
    let cleaned_up = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cleaned_up);
    let endless = group.broadcast(move |_| async move {
        let held = Counted(counted);
        if let Err(cancelled) = catch_cancelled(pending::<()>()).await {
            sleep(HOUR).await;
            drop(held);
            cancelled.raise().await;
        }
    });
    let report = group.shutdown(Duration::from_millis(1), 2 * HOUR).unwrap();
    assert_eq!(counts(&report), (0, 2, 0));
    assert!(report.is_clean());
    assert_eq!(cleaned_up.load(Ordering::SeqCst), 2);
    assert_eq!(endless.result(), Err(FutureError::Cancelled));
}

#[test]
fn what_ends_by_itself_though_it_was_asked_to_stop_has_finished() {
    let group = group(1);
    let stubborn = group.submit(async {
        drop(catch_cancelled(pending::<()>()).await);
        create_task(async { resume_unwind(Box::new("meant")) });
        42
    });
    let report = group.shutdown(Duration::ZERO, HOUR).unwrap();
    assert_eq!((report.finished(), report.cancelled()), (1, 0));
    drop(stubborn);
}

#[test]
fn what_will_not_hear_is_abandoned_and_dropped() {
    let group = group(2);
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let deaf = group.broadcast(move |_| async move {
        let _held = Counted(counted);
        while catch_cancelled(pending::<()>()).await.is_err() {}
    });
    // Both have begun.
    group.broadcast(|_| async {}).result().unwrap();
    let report = group.shutdown(Duration::ZERO, HOUR).unwrap();
    assert_eq!(counts(&report), (0, 0, 2));
    assert!(!report.is_clean() && report.loops.iter().all(|one| one.end == LoopEnd::Joined));
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(deaf.result().is_err());
}

#[test]
fn a_thread_that_is_blocked_is_left_behind() {
    let group = group(2);
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let blocks = async move {
        begin.send(()).unwrap();
        assert!(released.recv().is_err());
    };
    let blocked = run_coroutine_threadsafe(blocks, group.get(0).unwrap());
    begun.recv().unwrap();
    let on = group.get(0).unwrap().clone();
    let report = group.shutdown(Duration::ZERO, Duration::ZERO).unwrap();
    assert_eq!((&report.loops[0].end, &report.loops[1].end), (&LoopEnd::Stuck, &LoopEnd::Joined));
    assert_eq!((report.died(), report.stuck()), (0, 1));
    assert!(!report.is_clean() && !blocked.done());
    drop(release);
    // It goes on, and finds that it is to end.
    while !on.is_closed() {
        thread::yield_now();
    }
    assert_eq!(blocked.result(), Ok(()));
}

#[test]
fn a_loop_that_died_is_told_of() {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let group = EventLoopGroup::builder().loops(2).settings(settings).spawn().unwrap();
    let on = group.get(1).unwrap().clone();
    on.call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).unwrap();
    while !on.is_closed() {
        thread::yield_now();
    }
    let report = group.shutdown(Duration::MAX, Duration::MAX).unwrap();
    assert_eq!(report.loops[0].end, LoopEnd::Joined);
    assert!(matches!(report.loops[1].end, LoopEnd::Died(_)), "{report:?}");
    assert_eq!((report.died(), report.stuck(), report.is_clean()), (1, 0, false));
}

#[test]
fn a_group_cannot_be_shut_down_by_a_task_of_its_own_but_ends() {
    let group = group(2);
    let handle = group.handle();
    let (sender, receiver) = mpsc::channel();
    let shuts_down = async move { sender.send(group.shutdown(Duration::MAX, Duration::MAX)).unwrap() };
    drop(run_coroutine_threadsafe(shuts_down, handle.get(1).unwrap()));
    let told = receiver.recv().unwrap();
    assert!(
        matches!(&told, Err(JoinError::WouldDeadlock(circle)) if circle.path() == ["loop-1"]),
        "{told:?}"
    );
    while !handle.loops().all(perloop::LoopHandle::is_closed) {
        thread::yield_now();
    }
}

#[test]
fn a_task_awaits_the_shutdown_of_another_group() {
    let group = group(2);
    let (gates, waits): (Vec<_>, Vec<_>) = (0..2).map(|_| Promise::<()>::new()).unzip();
    let work = group.map(waits, |gate| async move { gate.await.unwrap() });
    let on = group.get(0).unwrap().clone();
    let report = perloop::run(async {
        let report = group.begin_shutdown(Duration::MAX, Duration::MAX).unwrap();
        // At once, not only when the thread has begun.
        assert!(on.call_soon_threadsafe(|| ()).is_err());
        assert!(!report.cancel());
        gates.into_iter().for_each(|mut gate| gate.set_result(()).unwrap());
        report.await
    });
    let report = report.unwrap().unwrap().unwrap();
    assert!(report.is_clean() && report.finished() <= 2, "{report:?}");
    assert_eq!((report.died(), report.stuck()), (0, 0));
    assert_eq!(work.result(), Ok(vec![(), ()]));
}

#[test]
fn a_shutdown_that_nobody_waits_for_goes_on() {
    let group = group(2);
    let handle = group.handle();
    let work = group.broadcast(|_| pending::<()>());
    drop(group.begin_shutdown(Duration::ZERO, Duration::ZERO).unwrap());
    assert!(work.outcomes().iter().all(|outcome| *outcome == Err(FutureError::Cancelled)));
    while !handle.loops().all(perloop::LoopHandle::is_closed) {
        thread::yield_now();
    }
}

#[test]
fn a_task_of_the_group_may_begin_its_shutdown() {
    let group = group(2);
    let (handle, others) = (group.handle(), group.broadcast(|_| pending::<()>()));
    let (sender, receiver) = mpsc::channel();
    let begins = async move { sender.send(group.begin_shutdown(Duration::ZERO, Duration::MAX)).unwrap() };
    run_coroutine_threadsafe(begins, handle.get(1).unwrap()).result().unwrap();
    let report = receiver.recv().unwrap().unwrap();
    let report = report.result().unwrap().unwrap();
    assert!(report.is_clean() && report.cancelled() == 2, "{report:?}");
    drop(others);
}

#[test]
fn each_task_is_counted_once() {
    let group = EventLoopGroup::builder().loops(4).spawn().unwrap();
    let endless = group.map(0..50, |_| pending::<()>());
    let deaf = group.map(0..20, |_| async { while catch_cancelled(pending::<()>()).await.is_err() {} });
    let (gates, waits): (Vec<_>, Vec<_>) = (0..30).map(|_| Promise::<()>::new()).unzip();
    let gated = group.map(waits, |gate| async move { gate.await.unwrap() });
    // All have begun.
    group.broadcast(|_| async {}).result().unwrap();
    let on = group.get(0).unwrap().clone();
    let opens = thread::spawn(move || {
        // The drain has begun when others are refused.
        while on.call_soon_threadsafe(|| ()).is_ok() {}
        gates.into_iter().for_each(|mut gate| gate.set_result(()).unwrap());
    });
    let report = group.shutdown(Duration::from_millis(500), Duration::from_millis(1)).unwrap();
    opens.join().unwrap();
    assert!(gated.into_futures().iter().all(|future| future.done()));
    let (finished, cancelled, abandoned) = counts(&report);
    // Those behind the gates have finished before it began or since, or were too late.
    assert!(abandoned == 20 && cancelled >= 50 && finished + cancelled <= 80, "{report:?}");
    drop((endless, deaf));
}
