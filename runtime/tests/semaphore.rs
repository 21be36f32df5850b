//! `Semaphore` and `BoundedSemaphore`: what their golden traces do not show.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::{Either, join, join_all, select};
use perloop::{BoundedSemaphore, EventLoop, Semaphore, catch_cancelled, create_task, yield_now};

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().build().unwrap().run_until_complete(main).unwrap()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_permit_given_to_a_waiter_that_is_dropped_goes_to_the_next() {
    run(async {
        let semaphore = Semaphore::new(0);
        let (mut first, mut second) = (Box::pin(semaphore.acquire()), Box::pin(semaphore.acquire()));
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        semaphore.release();
        assert!(poll_once(second.as_mut()).await.is_pending(), "it belongs to the first");
        drop(first);
        let Poll::Ready(permit) = poll_once(second.as_mut()).await else { panic!("it was handed on") };
        drop(permit);
        assert!(!semaphore.locked());
    });
}

#[test]
fn a_permit_given_to_the_last_waiter_comes_back_when_it_is_dropped() {
    run(async {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.acquire().await;
        let mut wait = Box::pin(semaphore.acquire());
        assert!(poll_once(wait.as_mut()).await.is_pending());
        drop(permit);
        drop(wait);
        assert!(!semaphore.locked());
    });
}

#[test]
fn no_permit_is_lost_or_made_whatever_becomes_of_those_who_wait() {
    run(async {
        let semaphore = Semaphore::new(3);
        for round in 0..50_usize {
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    create_task(async move {
                        let _permit = semaphore.acquire().await;
                        yield_now().await;
                        matches!(select(pin!(semaphore.acquire()), pin!(yield_now())).await, Either::Left(_))
                    })
                })
                .collect();
            for (at, task) in tasks.iter().enumerate() {
                if (at * 7 + round) % 5 == 0 {
                    task.cancel();
                }
                if at % 6 == 0 {
                    yield_now().await;
                }
            }
            for task in tasks {
                let _ended = task.await;
            }
            assert!(format!("{semaphore:?}").contains("permits: 3, waiting: 0"), "{round}: {semaphore:?}");
        }
    });
}

/// The request goes to the scope in the other branch. This one was passed over, and is not dropped.
#[test]
fn a_waiter_beside_a_scope_that_catches_the_request_gets_its_permit() {
    run(async {
        let semaphore = Semaphore::new(0);
        let task = create_task({
            let semaphore = semaphore.clone();
            async move {
                let caught = catch_cancelled(std::future::pending::<()>());
                join(caught, semaphore.acquire()).await.0.is_err()
            }
        });
        yield_now().await;
        task.cancel();
        semaphore.release();
        assert_eq!(task.await, Ok(true));
        assert!(!semaphore.locked());
    });
}

#[test]
fn branches_of_a_task_take_turns() {
    run(async {
        let (semaphore, at_once) = (BoundedSemaphore::new(2), Cell::new(0));
        join_all((0..7).map(async |_| {
            let _permit = semaphore.acquire().await;
            at_once.set(at_once.get() + 1);
            assert!(at_once.get() <= 2);
            yield_now().await;
            at_once.set(at_once.get() - 1);
        }))
        .await;
        assert!(semaphore.release().is_err());
    });
}

#[test]
fn a_guard_whose_permit_was_released_brings_none_back_beyond_the_bound() {
    run(async {
        let semaphore = BoundedSemaphore::new(1);
        let permit = semaphore.acquire().await;
        assert_eq!(semaphore.release(), Ok(()));
        drop(permit);
        assert!(format!("{semaphore:?}").contains("permits: 1"));
    });
}

/// A waker that panics, as foreign code may.
struct Faulty;

impl Wake for Faulty {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("out of paper");
    }
}

#[test]
fn a_waker_that_panics_harms_neither_who_releases_nor_the_count() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let reports = Rc::new(Cell::new(0));
    let count = Rc::clone(&reports);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &_| count.set(count.get() + 1)));
    let main = async {
        let semaphore = Semaphore::new(0);
        let faulty = Waker::from(std::sync::Arc::new(Faulty));
        let mut wait = Box::pin(semaphore.acquire());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&faulty)).is_pending());
        semaphore.release();
        assert!(semaphore.locked(), "the permit is the waiter's");
        drop(wait);
        assert!(!semaphore.locked());
    };
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(reports.get(), 1);
}

#[test]
fn a_burst_of_releases_serves_in_order_those_who_were_not_asked_to_stop() {
    run(async {
        let (semaphore, served) = (Semaphore::new(0), Rc::new(RefCell::new(Vec::new())));
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let (semaphore, served) = (semaphore.clone(), Rc::clone(&served));
                create_task(async move {
                    semaphore.acquire().await.forget();
                    served.borrow_mut().push(number);
                })
            })
            .collect();
        yield_now().await;
        tasks.iter().step_by(3).for_each(|task| assert!(task.cancel()));
        (0..100).for_each(|_| semaphore.release());
        assert!(semaphore.locked(), "those who were served have not run");
        yield_now().await;
        let stayed: Vec<_> = (0..200).filter(|number| number % 3 != 0).collect();
        assert_eq!(*served.borrow(), stayed[..100]);
        assert!(format!("{semaphore:?}").contains("permits: 0, waiting: 33"), "{semaphore:?}");
        (0..38).for_each(|_| semaphore.release());
        yield_now().await;
        assert_eq!(*served.borrow(), stayed);
        assert!(format!("{semaphore:?}").contains("permits: 5, waiting: 0"), "{semaphore:?}");
    });
}

/// Its permit went to the one behind it, and the request to the scope in its other branch.
#[test]
fn a_waiter_that_was_passed_over_keeps_its_place() {
    run(async {
        let (semaphore, served) = (Semaphore::new(0), Rc::new(RefCell::new(Vec::new())));
        let wait = |name: &'static str| {
            let (semaphore, served) = (semaphore.clone(), Rc::clone(&served));
            async move {
                semaphore.acquire().await.forget();
                served.borrow_mut().push(name);
            }
        };
        let passed = wait("passed");
        let first = create_task(async move {
            assert!(join(catch_cancelled(std::future::pending::<()>()), passed).await.0.is_err());
        });
        let others = ["second", "third"].map(|name| create_task(wait(name)));
        yield_now().await;
        first.cancel();
        semaphore.release();
        assert!(semaphore.locked());
        yield_now().await;
        yield_now().await;
        assert!(format!("{semaphore:?}").contains("waiting: 2"), "{semaphore:?}");
        semaphore.release();
        semaphore.release();
        first.await.unwrap();
        for task in others {
            task.await.unwrap();
        }
        assert_eq!(*served.borrow(), ["second", "passed", "third"]);
    });
}

#[test]
fn waiters_that_were_passed_over_and_dropped_are_gone() {
    run(async {
        let semaphore = Semaphore::new(0);
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let semaphore = semaphore.clone();
                create_task(async move { semaphore.acquire().await.forget() })
            })
            .collect();
        yield_now().await;
        tasks.iter().for_each(|task| assert!(task.cancel()));
        semaphore.release();
        assert!(!semaphore.locked(), "nobody else is in line");
        semaphore.acquire().await.forget();
        assert!(format!("{semaphore:?}").contains("permits: 0, waiting: 5"), "{semaphore:?}");
        yield_now().await;
        assert!(format!("{semaphore:?}").contains("permits: 0, waiting: 0"), "{semaphore:?}");
    });
}

#[test]
fn newcomers_wait_for_who_was_served_to_run_and_are_all_served_then() {
    run(async {
        let semaphore = Semaphore::new(0);
        let first = create_task({
            let semaphore = semaphore.clone();
            async move { semaphore.acquire().await.forget() }
        });
        yield_now().await;
        (0..3).for_each(|_| semaphore.release());
        assert!(semaphore.locked(), "one is in line, though there are permits");
        let (mut second, mut third) = (Box::pin(semaphore.acquire()), Box::pin(semaphore.acquire()));
        assert!(poll_once(second.as_mut()).await.is_pending());
        assert!(poll_once(third.as_mut()).await.is_pending());
        first.await.unwrap();
        assert!(poll_once(third.as_mut()).await.is_ready());
        assert!(poll_once(second.as_mut()).await.is_ready());
    });
}

thread_local! {
    static SEEN: RefCell<Option<(Semaphore, String)>> = const { RefCell::new(None) };
}

/// A waker that looks at the semaphore.
struct Curious;

impl Wake for Curious {
    fn wake(self: std::sync::Arc<Self>) {
        SEEN.with_borrow_mut(|seen| {
            let (semaphore, text) = seen.as_mut().unwrap();
            *text = format!("{semaphore:?}");
        });
    }
}

#[test]
fn a_waker_finds_the_permit_given_and_may_use_the_semaphore() {
    run(async {
        let semaphore = Semaphore::new(0);
        SEEN.set(Some((semaphore.clone(), String::new())));
        let curious = Waker::from(std::sync::Arc::new(Curious));
        let mut wait = Box::pin(semaphore.acquire());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&curious)).is_pending());
        semaphore.release();
        let (_, text) = SEEN.take().unwrap();
        assert!(text.contains("permits: 0, waiting: 1"), "{text}");
    });
}
