//! `Lock`: what its golden traces do not show: futures that are given up without a request, two waits in one task,
//! guards and `release` side by side, foreign wakers, loops.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, join, join3, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use perloop::{Event, EventLoop, Lock, Task, catch_cancelled, create_task, yield_now};

type Trace = Rc<RefCell<Vec<String>>>;

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().build().unwrap().run_until_complete(main).unwrap()
}

/// A task that holds the lock for one hop.
fn holder(name: &str, lock: &Lock, trace: &Trace) -> Task<()> {
    let (name, lock, trace) = (name.to_owned(), lock.clone(), Rc::clone(trace));
    create_task(async move {
        let _guard = lock.acquire().await;
        trace.borrow_mut().push(name);
        yield_now().await;
    })
}

/// Polls once, as a branch of a race that may lose does.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_woken_waiter_that_is_dropped_passes_the_lock_on() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let mut second = Box::pin(lock.acquire());
        assert!(poll_once(second.as_mut()).await.is_pending());
        let third = holder("third", &lock, &trace);
        yield_now().await;
        drop(guard); // wakes the second
        drop(second);
        third.await.unwrap();
        assert_eq!(*trace.borrow(), ["third"]);
        assert!(!lock.locked());
    });
}

#[test]
fn a_race_that_the_lock_loses_leaves_no_trace_in_the_line() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        assert!(matches!(select(pin!(lock.acquire()), pin!(yield_now())).await, Either::Right(_)));
        let next = holder("next", &lock, &trace);
        yield_now().await;
        drop(guard);
        next.await.unwrap();
        assert_eq!(*trace.borrow(), ["next"]);
    });
}

#[test]
fn a_newcomer_stands_behind_the_woken_also_if_it_is_the_one_who_released() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let other = holder("other", &lock, &trace);
        yield_now().await;
        drop(guard);
        assert!(!lock.locked());
        let _again = lock.acquire().await;
        trace.borrow_mut().push("again".to_owned());
        assert_eq!(*trace.borrow(), ["other", "again"]);
        other.await.unwrap();
    });
}

#[test]
fn a_guard_whose_hold_was_released_releases_nothing_more() {
    run(async {
        let lock = Lock::new();
        let old = lock.acquire().await;
        assert_eq!(lock.release(), Ok(()));
        let new = lock.acquire().await;
        drop(old);
        assert!(lock.locked(), "it is another's by now");
        drop(new);
        assert!(!lock.locked());
    });
}

#[test]
fn two_branches_of_a_task_get_it_one_after_the_other() {
    run(async {
        let lock = Lock::new();
        let hold = async |name| {
            let _guard = lock.acquire().await;
            yield_now().await;
            name
        };
        assert_eq!(join(hold(1), hold(2)).await, (1, 2));
        let mut all: FuturesUnordered<_> = (0..5).map(hold).collect();
        let mut order = Vec::new();
        while let Some(name) = all.next().await {
            order.push(name);
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
    });
}

/// The request goes to the scope in the other branch. This one was about to be passed over, and is not dropped.
#[test]
fn a_waiter_beside_a_scope_that_catches_the_request_is_not_forgotten() {
    run(async {
        let lock = Lock::new();
        lock.acquire().await.forget();
        let task = create_task({
            let lock = lock.clone();
            async move {
                let caught = catch_cancelled(std::future::pending::<()>());
                let (caught, guard) = join(caught, lock.acquire()).await;
                assert!(caught.is_err());
                drop(guard);
            }
        });
        yield_now().await;
        task.cancel();
        lock.release().unwrap();
        assert_eq!(task.await, Ok(()));
        assert!(!lock.locked());
    });
}

#[test]
fn a_wait_that_moves_to_another_task_wakes_that_one() {
    run(async {
        let lock = Rc::new(Lock::new());
        let guard = lock.acquire().await;
        let mut wait = {
            let lock = Rc::clone(&lock);
            Box::pin(async move { lock.acquire().await.forget() })
        };
        assert!(poll_once(wait.as_mut()).await.is_pending());
        let other = create_task(wait);
        yield_now().await;
        drop(guard);
        assert_eq!(other.await, Ok(()));
    });
}

#[test]
fn many_waiters_that_leave_from_the_middle_leave_the_others_in_order() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let tasks: Vec<_> = (0..300).map(|n| holder(&n.to_string(), &lock, &trace)).collect();
        yield_now().await;
        tasks.iter().skip(1).step_by(3).for_each(|task| assert!(task.cancel()));
        drop(guard);
        for task in tasks {
            let _ended = task.await;
        }
        let stayed: Vec<_> = (0..300).filter(|n| n % 3 != 1).map(|n| n.to_string()).collect();
        assert_eq!(*trace.borrow(), stayed);
    });
}

#[test]
fn a_closed_loop_drops_holders_and_waiters_and_the_lock_is_free() {
    let lock = Lock::new();
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    for _ in 0..3 {
        let lock = lock.clone();
        event_loop
            .create_task(async move {
                let _guard = lock.acquire().await;
                std::future::pending::<()>().await;
            })
            .unwrap();
    }
    event_loop.run_until_complete(yield_now()).unwrap();
    assert!(lock.locked());
    event_loop.close().unwrap();
    assert!(!lock.locked());
}

#[test]
#[should_panic(expected = "Lock::acquire: it belongs to another event loop, 'first'")]
fn waiting_for_it_in_another_loop_panics_and_says_what_to_do() {
    let first = EventLoop::builder().name("first").virtual_time().build().unwrap();
    let second = EventLoop::builder().name("second").virtual_time().build().unwrap();
    let lock = Lock::new();
    let wait = async |lock: &Lock| {
        lock.acquire().await.forget();
        let _lost = select(pin!(lock.acquire()), pin!(yield_now())).await;
        lock.release().unwrap();
    };
    first.run_until_complete(wait(&lock)).unwrap();
    let _panicked = second.run_until_complete(wait(&lock));
}

#[test]
fn the_few_who_stay_while_most_leave_in_any_order_get_it_in_theirs() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let tasks: Vec<_> = (0..500).map(|n| holder(&n.to_string(), &lock, &trace)).collect();
        yield_now().await;
        let stays = |n: usize| n % 50 == 7;
        // 13 and 500 have no divisor in common: each is met once.
        (0..500).map(|n| n * 13 % 500).filter(|n| !stays(*n)).for_each(|n| assert!(tasks[n].cancel()));
        yield_now().await;
        assert!(format!("{lock:?}").contains("waiting: 10"), "{lock:?}");
        drop(guard);
        for task in tasks {
            let _ended = task.await;
        }
        let stayed: Vec<_> = (0..500).filter(|n| stays(*n)).map(|n| n.to_string()).collect();
        assert_eq!(*trace.borrow(), stayed);
        assert!(format!("{lock:?}").contains("waiting: 0"), "{lock:?}");
    });
}

#[test]
fn a_poll_that_nobody_woke_takes_no_lock_that_others_asked_for_before() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let first = holder("first", &lock, &trace);
        yield_now().await;
        let mut second = Box::pin(lock.acquire());
        let mut third = Box::pin(lock.acquire());
        assert!(poll_once(second.as_mut()).await.is_pending());
        assert!(poll_once(third.as_mut()).await.is_pending());
        drop(guard);
        assert!(poll_once(third.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending(), "the first was called");
        first.cancel();
        yield_now().await;
        assert!(first.done() && !lock.locked());
        assert!(poll_once(third.as_mut()).await.is_pending(), "the second was called");
        drop(second.await);
        drop(third.await);
    });
}

/// Each was asked to stop, was passed over by one who came later, and has a scope in its other branch that takes the
/// request.
#[test]
fn of_two_that_were_passed_over_the_one_that_came_first_is_served_first() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        lock.acquire().await.forget();
        let [first, second] = ["first", "second"].map(|name| {
            let (lock, trace) = (lock.clone(), Rc::clone(&trace));
            create_task(async move {
                let hold = async {
                    let _guard = lock.acquire().await;
                    trace.borrow_mut().push(name.to_owned());
                };
                join(catch_cancelled(std::future::pending::<()>()), hold).await.0.is_err()
            })
        });
        let event = Event::new();
        let releaser = create_task({
            let (lock, event) = (lock.clone(), event.clone());
            async move {
                event.wait().await;
                lock.release()
            }
        });
        yield_now().await;
        // These three run in this order, after this task has taken the lock again.
        first.cancel();
        event.set();
        second.cancel();
        lock.release().unwrap();
        lock.acquire().await.forget();
        assert_eq!(releaser.await, Ok(Ok(())));
        assert_eq!((first.await, second.await), (Ok(true), Ok(true)));
        assert_eq!(*trace.borrow(), ["first", "second"]);
    });
}

#[test]
fn behind_one_that_was_cancelled_the_next_is_woken_when_that_one_leaves() {
    run(async {
        let (lock, trace) = (Lock::new(), Trace::default());
        let guard = lock.acquire().await;
        let tasks = ["cancelled", "next"].map(|name| holder(name, &lock, &trace));
        yield_now().await;
        tasks[0].cancel();
        drop(guard);
        let other = create_task({
            let trace = Rc::clone(&trace);
            async move { trace.borrow_mut().push("other".to_owned()) }
        });
        let [_, next] = tasks;
        next.await.unwrap();
        other.await.unwrap();
        assert_eq!(*trace.borrow(), ["other", "next"]);
    });
}

/// To a task that waits for nothing but another task it would go on to that one.
#[test]
fn a_request_to_a_task_that_waits_for_a_lock_beside_another_task_stays_with_it() {
    run(async {
        for hops_before in [0, 2] {
            let (lock, gate, has_ended) = (Lock::new(), Event::new(), Rc::new(Cell::new(false)));
            lock.acquire().await.forget();
            let child = create_task({
                let (gate, has_ended) = (gate.clone(), Rc::clone(&has_ended));
                async move {
                    gate.wait().await;
                    has_ended.set(true);
                }
            });
            let hops = async move {
                for _ in 0..hops_before {
                    yield_now().await;
                }
            };
            let task = create_task({
                let lock = lock.clone();
                async move { drop(join3(child, hops, lock.acquire()).await) }
            });
            for _ in 0..4 {
                yield_now().await;
            }
            task.cancel();
            yield_now().await;
            assert!(task.done(), "it was polled {hops_before} times more");
            gate.set();
            yield_now().await;
            assert!(has_ended.get());
        }
    });
}
