//! Threads that own loops and block on each other.
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bridge::{FutureError, Remote, ReturnWhen};
use loom::sync::mpsc;
use loom::thread;
use support::{Driver, model};

/// What a blocked thread came back with.
#[derive(PartialEq, Debug, Clone, Copy)]
enum Came {
    Done,
    Refused,
}

fn block(remote: &Remote) -> Came {
    outcome(remote.submit::<(), _>((), async {}).result())
}

fn outcome(outcome: Result<(), FutureError>) -> Came {
    match outcome {
        Ok(()) => Came::Done,
        Err(FutureError::WouldDeadlock(error)) => {
            assert!(!error.path().is_empty());
            Came::Refused
        }
        // The other one was refused, and closed its loop.
        Err(FutureError::LoopClosed(_) | FutureError::Cancelled) => Came::Done,
        Err(other) => panic!("{other}"),
    }
}

/// Two threads, each with a loop, that know each other's: `here` runs on the model's own thread.
fn two_loops(
    here: impl FnOnce(Driver, Remote) -> Came,
    there: impl FnOnce(Driver, Remote) -> Came + Send + 'static,
) -> (Came, Came) {
    let (to_there, from_here) = mpsc::channel();
    let (to_here, from_there) = mpsc::channel();
    let thread = thread::spawn(move || {
        let driver = Driver::named("there");
        to_here.send(driver.remote()).unwrap();
        there(driver, from_here.recv().unwrap())
    });
    let driver = Driver::named("here");
    to_there.send(driver.remote()).unwrap();
    let came = here(driver, from_there.recv().unwrap());
    (came, thread.join().unwrap())
}

/// Two threads that do not turn their loops while they block wait for each other's. If neither were told, both would
/// wait for ever; the second to come must see the first. Told, it closes its loop, which ends the other's wait.
#[test]
fn of_two_loops_that_block_on_each_other_one_is_told() {
    fn act(driver: Driver, remote: Remote) -> Came {
        let came = block(&remote);
        drop(driver);
        came
    }
    model(2, || {
        let (here, there) = two_loops(act, act);
        assert_ne!(here, there);
    });
}

/// As before, for threads that lend.
#[test]
fn of_two_loops_that_lend_to_each_other_one_is_told() {
    fn act(driver: Driver, remote: Remote) -> Came {
        let came = outcome(remote.block_on::<(), _>((), async {}));
        drop(driver);
        came
    }
    model(2, || {
        let (here, there) = two_loops(act, act);
        assert_ne!(here, there);
    });
}

/// As before, for threads that wait for several futures.
#[test]
fn of_two_loops_that_wait_for_all_of_the_other_one_is_told() {
    fn act(driver: Driver, remote: Remote) -> Came {
        let future = remote.submit::<(), _>((), async {});
        let came = match bridge::wait(&[&future], ReturnWhen::AllCompleted, None) {
            Ok(_) => Came::Done,
            Err(_) => Came::Refused,
        };
        drop(driver);
        came
    }
    model(2, || {
        let (here, there) = two_loops(act, act);
        assert_ne!(here, there);
    });
}

fn unless_refused<T>(outcome: Result<T, bridge::WouldDeadlock>) -> Came {
    if outcome.is_ok() { Came::Done } else { Came::Refused }
}

/// A way to block on a loop.
type Way = (&'static str, fn(&Remote) -> Came);

const WAYS: [Way; 7] = [
    ("result", block),
    ("exception", |remote| outcome(remote.submit::<(), _>((), async {}).exception().map(drop))),
    ("cancel_and_wait", |remote| outcome(remote.submit::<(), _>((), async {}).cancel_and_wait().map(drop))),
    ("block_on", |remote| outcome(remote.block_on::<(), _>((), async {}))),
    ("scope", |remote| {
        let scoped = remote.scope::<(), _, _>(|scope| {
            scope.submit((), async {});
        });
        unless_refused(scoped)
    }),
    ("wait", |remote| {
        let future = remote.submit::<(), _>((), async {});
        unless_refused(bridge::wait(&[&future], ReturnWhen::FirstException, None))
    }),
    ("as_completed", |remote| {
        let future = remote.submit::<(), _>((), async {});
        let futures: [&dyn bridge::AnyFuture; 1] = [&future];
        let mut completed = bridge::as_completed(&futures, None).expect("another thread's");
        outcome(completed.next().expect("one is left").map(drop))
    }),
];

/// As before, for each way to block against each other one.
#[test]
fn of_two_loops_that_block_on_each_other_in_any_way_one_is_told() {
    for (index, (name, here)) in WAYS.into_iter().enumerate() {
        for (other_name, there) in WAYS.into_iter().skip(index) {
            println!("{name}, against {other_name}");
            model(1, move || {
                let act = |block: fn(&Remote) -> Came| {
                    move |driver: Driver, remote: Remote| {
                        let came = block(&remote);
                        drop(driver);
                        came
                    }
                };
                let (here, there) = two_loops(act(here), act(there));
                assert_ne!(here, there);
            });
        }
    }
}

/// Three threads that block on each other in a ring: only the last of them can know, and none alone has two of its
/// links.
#[test]
fn of_three_loops_in_a_ring_one_is_told() {
    model(1, || {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<Remote>()).unzip();
        senders.rotate_left(1);
        let mut ends: Vec<_> = receivers.into_iter().zip(senders).collect();
        let act = |(next, previous): (mpsc::Receiver<Remote>, mpsc::Sender<Remote>)| {
            let driver = Driver::named("one of three");
            previous.send(driver.remote()).unwrap();
            let came = block(&next.recv().unwrap());
            drop(driver);
            came
        };
        let mine = ends.pop().unwrap();
        let others: Vec<_> = ends.into_iter().map(|end| thread::spawn(move || act(end))).collect();
        let mut came = vec![act(mine)];
        came.extend(others.into_iter().map(|other| other.join().unwrap()));
        assert_eq!(came.iter().filter(|came| **came == Came::Refused).count(), 1, "{came:?}");
    });
}

/// A thread that waits for one of two goes on as soon as one of them does, so the first that waits for it in turn is
/// in no circle; the second one is. Whoever comes last is told, and the table, which has a circle of innocents in it by
/// then, is walked to an end.
#[test]
fn of_three_loops_of_which_one_waits_for_any_one_is_told() {
    model(1, || {
        let (to_middle, remotes) = mpsc::channel();
        let middle = Driver::named("middle");
        let sides: Vec<_> = (0..2)
            .map(|_| {
                let (to_middle, middle) = (to_middle.clone(), middle.remote());
                thread::spawn(move || {
                    let driver = Driver::named("side");
                    to_middle.send(driver.remote()).unwrap();
                    let came = block(&middle);
                    drop(driver);
                    came
                })
            })
            .collect();
        let futures = [(); 2].map(|()| {
            let side: Remote = remotes.recv().unwrap();
            side.submit::<(), _>((), async {})
        });
        let either: [&dyn bridge::AnyFuture; 2] = [&futures[0], &futures[1]];
        let waited = bridge::wait(&either, ReturnWhen::FirstCompleted, None);
        drop(middle);
        let refused = sides.into_iter().map(|side| side.join().unwrap());
        let refused = refused.filter(|came| *came == Came::Refused).count();
        // A side that is told closes its loop, which is an end for the middle.
        assert_eq!(refused + usize::from(waited.is_err()), 1);
    });
}

/// Turns a loop until it has run somebody's submission.
fn serve(driver: &Driver, served: &AtomicUsize) {
    driver.run_until(|| served.load(Relaxed) == 1 && driver.home.task_count() == 0);
}

fn be_served(remote: &Remote, served: &Arc<AtomicUsize>) -> Came {
    let served = Arc::clone(served);
    outcome(remote.submit::<(), _>((), async move { served.store(1, Relaxed) }).result())
}

/// A thread stands in the table until it has left its wait. Once the future that it waited for is done it is on its
/// way out, and a wait for it is no circle: refused, an innocent program would fail now and then.
#[test]
fn a_thread_whose_future_is_done_is_in_no_circle() {
    model(2, || {
        let (here, there): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (served_here, served_there) = (Arc::clone(&here), Arc::clone(&there));
        let came = two_loops(
            |driver, remote| {
                let came = be_served(&remote, &there);
                serve(&driver, &here);
                came
            },
            move |driver, remote| {
                serve(&driver, &served_there);
                be_served(&remote, &served_here)
            },
        );
        assert_eq!(came, (Came::Done, Came::Done));
    });
}

/// As before, for a thread that waited for one of two: the other one, which is still to come, is no reason to stay.
#[test]
fn a_thread_of_whose_futures_one_is_done_is_in_no_circle() {
    model(1, || {
        let (here, there): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (served_here, served_there) = (Arc::clone(&here), Arc::clone(&there));
        let came = two_loops(
            |driver, remote| {
                let served = Arc::clone(&there);
                let first = remote.submit::<(), _>((), async move { served.store(1, Relaxed) });
                let second = remote.submit::<(), _>((), std::future::pending::<()>());
                let waited = bridge::wait(&[&first, &second], ReturnWhen::FirstCompleted, None);
                serve(&driver, &here);
                if waited.is_ok() { Came::Done } else { Came::Refused }
            },
            move |driver, remote| {
                driver.run_until(|| served_there.load(Relaxed) == 1);
                be_served(&remote, &served_here)
            },
        );
        assert_eq!(came, (Came::Done, Came::Done));
    });
}

/// The other thread turns its loop and waits for nobody: nobody is refused.
#[test]
fn a_block_on_a_loop_that_turns_is_not_refused() {
    model(2, || {
        let served = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&served);
        let serving = |driver, _| {
            serve(&driver, &served);
            Came::Done
        };
        let came = two_loops(serving, move |_driver, remote| be_served(&remote, &asked));
        assert_eq!(came, (Came::Done, Came::Done));
    });
}

/// A wait for one's own loop could never end, and is refused before it blocks; so is a scope on it.
#[test]
fn a_wait_for_ones_own_loop_is_refused() {
    model(1, || {
        let driver = Driver::new();
        let remote = driver.remote();
        assert_eq!(block(&remote), Came::Refused);
        assert!(remote.block_on::<(), _>((), async {}).is_err());
        assert!(remote.scope::<(), _, _>(|_| ()).is_err());
    });
}
