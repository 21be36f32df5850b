//! Requests to stop, and the scopes that catch them.

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, join, select};
use futures_util::stream::FuturesUnordered;
use perloop::{
    Cancelled, EventLoop, Task, TaskError, catch_cancelled, create_task, current_task, get_running_loop, run,
    run_coroutine_threadsafe, sleep, yield_now,
};

/// Runs on virtual time, so that a sleep takes none.
fn play<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).unwrap()
}

async fn hour() {
    sleep(Duration::from_secs(3600)).await;
}

fn message<T: std::fmt::Debug>(outcome: Result<T, TaskError>) -> String {
    match outcome {
        Err(TaskError::Cancelled(cancelled)) => cancelled.message().unwrap_or("-").to_owned(),
        other => panic!("{other:?} instead of a cancellation"),
    }
}

/// Gives a task the time to begin, and cancels it.
async fn cancel<T>(task: Task<T>, message: &str) -> Result<T, TaskError> {
    yield_now().await;
    assert!(task.cancel_with(message));
    task.await
}

#[test]
fn the_innermost_scope_catches_and_the_task_goes_on() {
    let outcome = play(async {
        let task = create_task(async {
            let outer = catch_cancelled(async {
                let inner = catch_cancelled(hour()).await;
                sleep(Duration::from_secs(1)).await;
                inner.unwrap_err().message().map(str::to_owned)
            });
            outer.await
        });
        cancel(task, "inner").await
    });
    assert_eq!(outcome, Ok(Ok(Some("inner".to_owned()))));
}

#[test]
fn a_second_request_meets_the_clean_up_after_the_first() {
    let trace = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&trace);
    let outcome = play(async move {
        let task = create_task(async move {
            let first = catch_cancelled(hour()).await.unwrap_err();
            note.borrow_mut().push(first.to_string());
            let second = catch_cancelled(hour()).await.unwrap_err();
            note.borrow_mut().push(second.to_string());
            assert_eq!(current_task().unwrap().unwrap().cancelling(), 2);
            second.raise().await
        });
        yield_now().await;
        task.cancel_with("first");
        yield_now().await;
        yield_now().await;
        task.cancel_with("second");
        message(task.await)
    });
    assert_eq!(outcome, "second");
    assert_eq!(*trace.borrow(), ["the task was cancelled: first", "the task was cancelled: second"]);
}

#[test]
fn two_requests_before_the_step_are_one() {
    let outcome = play(async {
        let task = create_task(async {
            let caught = catch_cancelled(hour()).await;
            hour().await;
            caught.unwrap_err().message().map(str::to_owned)
        });
        yield_now().await;
        assert!(task.cancel_with("first") && task.cancel_with("second"));
        assert_eq!(task.cancelling(), 2);
        task.await
    });
    assert_eq!(outcome, Ok(Some("first".to_owned())));
}

#[test]
fn a_scope_that_has_ended_catches_nothing() {
    let outcome = play(async {
        let task = create_task(async {
            catch_cancelled(async {}).await.unwrap();
            drop(catch_cancelled(hour()));
            hour().await;
        });
        message(cancel(task, "uncaught").await)
    });
    assert_eq!(outcome, "uncaught");
}

#[test]
fn raise_ends_the_innermost_scope_only() {
    let caught = play(async {
        let caught = catch_cancelled(async { Cancelled::new("raised").raise().await }).await;
        yield_now().await;
        caught.unwrap_err()
    });
    assert_eq!(caught.message(), Some("raised"));
}

#[test]
fn a_request_meets_each_branch_of_a_join() {
    let outcome = play(async {
        let task = create_task(async {
            let branch = |name: &'static str| async move {
                let caught = catch_cancelled(hour()).await.unwrap_err();
                sleep(Duration::from_secs(1)).await;
                format!("{name} {}", caught.message().unwrap())
            };
            join(branch("left"), branch("right")).await
        });
        cancel(task, "cleaned up").await
    });
    assert_eq!(outcome, Ok(("left cleaned up".to_owned(), "right cleaned up".to_owned())));
}

#[test]
fn a_request_meets_the_futures_of_an_executor_inside_of_the_task() {
    let outcome = play(async {
        let task = create_task(async {
            let mut all: FuturesUnordered<_> = (0..5).map(|_| catch_cancelled(hour())).collect();
            let mut caught = 0;
            while let Some(outcome) = all.next().await {
                caught += usize::from(outcome.is_err());
            }
            sleep(Duration::from_secs(1)).await;
            caught
        });
        cancel(task, "all").await
    });
    assert_eq!(outcome, Ok(5));
}

#[test]
fn a_branch_that_a_select_dropped_catches_nothing() {
    let outcome = play(async {
        let task = create_task(async {
            {
                let (slow, quick) = (pin!(catch_cancelled(hour())), pin!(yield_now()));
                assert!(matches!(select(slow, quick).await, Either::Right(_)));
            }
            hour().await;
        });
        yield_now().await;
        message(cancel(task, "uncaught").await)
    });
    assert_eq!(outcome, "uncaught");
}

#[test]
fn a_scope_that_went_to_another_task_is_in_nobody_s_way() {
    let outcome = play(async {
        let task = create_task(async {
            let mut moved = Box::pin(catch_cancelled(hour()));
            assert!(matches!(select(&mut moved, Box::pin(yield_now())).await, Either::Right(_)));
            // It goes on elsewhere, in the background.
            let background = create_task(moved);
            let caught = catch_cancelled(hour()).await.unwrap_err();
            // The clean-up may await.
            sleep(Duration::from_secs(1)).await;
            assert!(!background.done());
            caught.message().map(str::to_owned)
        });
        for _ in 0..5 {
            yield_now().await;
        }
        cancel(task, "caught").await
    });
    assert_eq!(outcome, Ok(Some("caught".to_owned())));
}

#[test]
fn a_branch_that_raises_and_loses_a_select_has_raised_nothing() {
    let outcome = play(async {
        create_task(async {
            let raises = Box::pin(Cancelled::new("lost").raise());
            let wins = std::future::ready(1);
            let Either::Right((won, _)) = select(raises, wins).await;
            sleep(Duration::from_secs(1)).await;
            won
        })
        .await
    });
    assert_eq!(outcome, Ok(1));
}

#[test]
fn a_request_to_a_task_that_awaits_another_one_meets_that_one() {
    let outcome = play(async {
        let inner = create_task(async { catch_cancelled(hour()).await.is_err() });
        let outer = create_task(inner);
        cancel(outer, "inner").await
    });
    assert_eq!(outcome, Ok(Ok(true)));
}

#[test]
fn a_task_that_awaits_a_cross_thread_future_cancels_it() {
    let future = play(async {
        let handle = get_running_loop().unwrap().handle();
        let (sender, receiver) = std::sync::mpsc::channel();
        let remote = run_coroutine_threadsafe(pending::<()>(), &handle);
        remote.add_done_callback(move |future| sender.send(future.cancelled()).unwrap());
        let task = create_task(remote);
        yield_now().await;
        message(cancel(task, "with what it awaits").await);
        receiver
    });
    assert_eq!(future.recv(), Ok(true));
}

#[test]
fn a_request_before_the_first_step_ends_the_task_unbegun() {
    let outcome = play(async {
        let task = create_task(catch_cancelled(async { unreachable!("never begins") }));
        task.cancel_with("early");
        message(task.await.map(|outcome: Result<(), _>| outcome.is_ok()))
    });
    assert_eq!(outcome, "early");
}

#[test]
fn uncancel_withdraws_what_was_not_delivered() {
    let outcome = play(async {
        create_task(async {
            let own = current_task().unwrap().unwrap();
            own.cancel();
            assert_eq!((own.cancelling(), own.uncancel(), own.cancelling()), (1, 0, 0));
            sleep(Duration::from_secs(1)).await;
            "not cancelled"
        })
        .await
    });
    assert_eq!(outcome, Ok("not cancelled"));
}

#[test]
fn a_request_takes_timers_and_wakers_along() {
    let next = play(async {
        let task = create_task(async { drop(join(catch_cancelled(hour()), hour()).await) });
        let outcome = cancel(task, "-").await;
        assert!(outcome.is_ok() || outcome.is_err());
        get_running_loop().unwrap().next_deadline()
    });
    assert_eq!(next, None);
}

#[test]
fn outside_of_a_task_a_scope_catches_nothing_and_is_no_hindrance() {
    assert_eq!(futures_util::FutureExt::now_or_never(catch_cancelled(async { 1 })), Some(Ok(1)));
    assert_eq!(run(catch_cancelled(async { 1 })).unwrap(), Ok(1));
}

#[test]
fn a_request_goes_down_a_long_chain_of_tasks_on_a_small_stack() {
    const LENGTH: usize = 20_000;
    let chain = || {
        play(async {
            let mut last = create_task(async { catch_cancelled(hour()).await.map_or(1, |()| 0) });
            for _ in 0..LENGTH {
                last = create_task(async move { last.await.unwrap() + 1 });
            }
            for _ in 0..2 {
                yield_now().await;
            }
            assert!(last.cancel());
            last.await
        })
    };
    let small = std::thread::Builder::new().stack_size(256 * 1024).spawn(chain).unwrap();
    assert_eq!(small.join().unwrap(), Ok(LENGTH + 1));
}

#[test]
fn a_long_chain_of_tasks_is_dropped_on_a_small_stack() {
    let chain = || {
        let event_loop = EventLoop::builder().build().unwrap();
        let mut last = event_loop.create_task(hour()).unwrap();
        for _ in 0..20_000 {
            last = event_loop.create_task(async move { last.await.unwrap() }).unwrap();
        }
        event_loop.run_until_complete(yield_now()).unwrap();
        event_loop.close().unwrap();
        assert!(!last.done());
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(chain).unwrap().join().unwrap();
}
