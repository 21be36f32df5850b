//! Timeouts: scopes, `wait_for`, `shield`, and what they leave behind.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use perloop::{
    AnyTask, EventLoop, TaskError, TimedOut, TimeoutNotActive, TimeoutScope, async_gen, catch_cancelled,
    create_future, create_task, current_task, ensure_future, get_running_loop, shield, sleep, timeout,
    wait_for, yield_now,
};

const MOMENT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

fn in_virtual_time<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("main ends by itself")
}

fn this_task() -> AnyTask {
    current_task().expect("a loop runs").expect("a task's step")
}

fn now() -> Duration {
    get_running_loop().expect("it runs").time()
}

#[test]
fn of_nested_scopes_only_the_one_that_expired_converts() {
    in_virtual_time(async {
        let inner_ended = Cell::new(false);
        let outer = timeout(2 * MOMENT, async {
            let inner = timeout(LONG, sleep(LONG)).await;
            inner_ended.set(true);
            inner
        });
        assert_eq!(outer.await, Err(TimedOut::default()));
        assert!(!inner_ended.get());
        assert_eq!(this_task().cancelling(), 0);
        let outer = timeout(LONG, timeout(MOMENT, sleep(LONG)));
        assert_eq!(outer.await, Ok(Err(TimedOut::default())));
    });
}

#[test]
fn a_body_that_ends_in_time_leaves_no_timer() {
    in_virtual_time(async {
        assert_eq!(timeout(LONG, async { 42 }).await, Ok(42));
        assert_eq!(get_running_loop().expect("it runs").next_deadline(), None);
        drop(timeout(LONG, sleep(LONG)));
        assert_eq!(get_running_loop().expect("it runs").next_deadline(), None);
    });
}

#[test]
fn a_scope_that_is_given_up_takes_its_alarm_and_its_request_along() {
    in_virtual_time(async {
        let task = this_task();
        let mut given_up = Box::pin(timeout(Duration::ZERO, sleep(LONG)));
        std::future::poll_fn(|cx| {
            assert!(given_up.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(given_up);
        sleep(MOMENT).await;
        assert_eq!(task.cancelling(), 0);
    });
}

#[test]
fn a_request_from_elsewhere_passes_also_at_the_instant_of_the_deadline() {
    in_virtual_time(async {
        let task = create_task(timeout(MOMENT, sleep(LONG)));
        sleep(MOMENT).await;
        task.cancel();
        let any: AnyTask = (*task).clone();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert!(any.cancelled());
    });
}

#[test]
fn a_body_that_swallows_the_request_gives_its_value_late() {
    in_virtual_time(async {
        let scope = TimeoutScope::after(MOMENT);
        let body = async {
            assert!(catch_cancelled(sleep(LONG)).await.is_err());
            sleep(MOMENT).await;
            42
        };
        assert_eq!(scope.run(body).await, Ok(42));
        assert!(scope.expired());
        assert_eq!(scope.reschedule(LONG), Err(TimeoutNotActive::default()));
        assert_eq!((this_task().cancelling(), now()), (0, 2 * MOMENT));
    });
}

#[test]
fn rescheduling_counts_also_when_the_alarm_has_rung_and_not_been_heard() {
    in_virtual_time(async {
        let scope = TimeoutScope::after(MOMENT);
        // Its timer comes first, so that it runs between the alarm's timer and the alarm.
        let other = scope.clone();
        let later = move || other.reschedule(5 * MOMENT).expect("it has not expired");
        get_running_loop().expect("it runs").call_later(MOMENT, later).expect("it is open");
        assert_eq!(scope.run(sleep(LONG)).await, Err(TimedOut::default()));
        assert_eq!(now(), 5 * MOMENT);
    });
}

#[test]
fn clean_up_is_waited_for_and_its_panic_is_what_comes() {
    in_virtual_time(async {
        let slow = create_task(async {
            let cancelled = catch_cancelled(sleep(LONG)).await.expect_err("it is asked");
            sleep(3 * MOMENT).await;
            cancelled.raise().await
        });
        assert!(matches!(wait_for(slow, MOMENT).await, Err(TimedOut { .. })));
        assert_eq!(now(), 4 * MOMENT);
        let failing = create_task(async {
            assert!(catch_cancelled(sleep(LONG)).await.is_ok(), "clean-up");
        });
        assert!(matches!(wait_for(failing, MOMENT).await, Ok(Err(TaskError::Panicked(_)))));
    });
}

#[test]
fn wait_for_of_what_others_cancelled_is_no_timeout() {
    in_virtual_time(async {
        let future = create_future::<()>();
        future.cancel();
        assert!(matches!(wait_for(&future, LONG).await, Ok(Err(TaskError::Cancelled(_)))));
        let task = create_task(sleep(LONG));
        assert_eq!(wait_for(task, Duration::ZERO).await, Err(TimedOut::default()));
    });
}

#[test]
fn a_shield_keeps_a_request_from_what_it_shields() {
    in_virtual_time(async {
        let has_ended = Rc::new(Cell::new(false));
        let flag = Rc::clone(&has_ended);
        let inner = ensure_future(create_task(async move {
            sleep(5 * MOMENT).await;
            flag.set(true);
        }));
        let waiter = create_task(shield(&inner));
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.is_err_and(|error| error.is_cancelled()));
        assert!(!inner.done());
        assert_eq!(inner.await, Ok(()));
        assert!(has_ended.get());
    });
}

#[test]
fn with_a_timeout_of_zero_what_may_not_be_awaited_here_is_an_error_and_no_endless_wait() {
    let elsewhere = perloop::new_event_loop().expect("a loop");
    let task = elsewhere.create_task(async {}).expect("it is open");
    in_virtual_time(async move {
        let ended = wait_for(&task, Duration::ZERO).await;
        assert!(matches!(ended, Ok(Err(TaskError::WrongLoop(_)))), "{ended:?}");
        assert_eq!(task.cancelling(), 0);
    });
}

#[test]
fn a_body_that_moves_to_another_task_is_stopped_there() {
    in_virtual_time(async {
        let mut limited = Box::pin(timeout(10 * MOMENT, sleep(LONG)));
        assert!(poll_fn(|cx| Poll::Ready(limited.as_mut().poll(cx).is_pending())).await);
        let heir = create_task(limited);
        sleep(20 * MOMENT).await;
        assert_eq!(this_task().cancelling(), 0);
        assert_eq!(heir.await, Ok(Err(TimedOut::default())));

        // The request has come, and it leaves before it is met.
        let mut limited = Box::pin(timeout(10 * MOMENT, sleep(LONG)));
        assert!(poll_fn(|cx| Poll::Ready(limited.as_mut().poll(cx).is_pending())).await);
        sleep(20 * MOMENT).await;
        let heir = create_task(async move { (limited.await, this_task().cancelling()) });
        assert_eq!(heir.await, Ok((Err(TimedOut::default()), 0)));
        assert_eq!(this_task().cancelling(), 0);
    });
}

#[test]
fn a_timeout_stops_its_own_branch_of_a_task_and_no_other() {
    in_virtual_time(async {
        let late = || timeout(10 * MOMENT, pending::<()>());
        assert_eq!(join(late(), late()).await, (Err(TimedOut::default()), Err(TimedOut::default())));
        let in_time = || timeout(LONG, sleep(20 * MOMENT));
        assert_eq!(join(late(), in_time()).await, (Err(TimedOut::default()), Ok(())));
        assert_eq!(join(late(), catch_cancelled(in_time())).await.1, Ok(Ok(())));
        assert_eq!(join(late(), create_task(sleep(20 * MOMENT))).await, (Err(TimedOut::default()), Ok(())));

        let future = create_future();
        let later = future.clone();
        let set = move || later.set_result(42).expect("nobody else sets it");
        get_running_loop().expect("it runs").call_later(20 * MOMENT, set).expect("it is open");
        assert_eq!(join(late(), future).await, (Err(TimedOut::default()), Ok(42)));
        assert_eq!(this_task().cancelling(), 0);
    });
}

#[test]
fn beside_others_too_what_the_body_awaits_is_asked_and_its_clean_up_waited_for() {
    in_virtual_time(async {
        let slow = create_task(async {
            let asked = catch_cancelled(sleep(LONG)).await.is_err();
            sleep(5 * MOMENT).await;
            asked
        });
        let beside = create_task(sleep(20 * MOMENT));
        let (cleaned_up, beside) = join(wait_for(slow, 10 * MOMENT), beside).await;
        assert_eq!((cleaned_up, beside), (Ok(Ok(true)), Ok(())));

        let (future, beside) = (create_future::<()>(), create_task(sleep(20 * MOMENT)));
        let (late, beside) = join(wait_for(&future, 10 * MOMENT), beside).await;
        assert_eq!((late, beside), (Err(TimedOut::default()), Ok(())));
        assert!(future.cancelled());
    });
}

#[test]
fn of_scopes_inside_each_other_the_outer_one_converts_beside_others_too() {
    in_virtual_time(async {
        let inner = TimeoutScope::after(10 * MOMENT);
        let nested = timeout(10 * MOMENT, inner.run(sleep(LONG)));
        let (outer, beside) = join(nested, timeout(LONG, sleep(20 * MOMENT))).await;
        assert_eq!((outer, beside), (Err(TimedOut::default()), Ok(())));
        assert!(inner.expired());

        // A request to the task is everybody's, also at the same instant.
        let task = create_task(async {
            let late = || timeout(10 * MOMENT, sleep(LONG));
            join(late(), late()).await
        });
        sleep(10 * MOMENT).await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn dropped_in_another_thread_a_timeout_takes_its_timer_along() {
    in_virtual_time(async {
        let mut limited = Box::pin(timeout(LONG, pending::<()>()));
        assert!(poll_fn(|cx| Poll::Ready(limited.as_mut().poll(cx).is_pending())).await);
        let running = get_running_loop().expect("it runs");
        assert_eq!(running.next_deadline(), Some(LONG));
        std::thread::spawn(move || drop(limited)).join().expect("it panics not");
        yield_now().await;
        yield_now().await;
        assert_eq!(running.next_deadline(), None);
    });
}

#[test]
fn a_deadline_that_comes_between_two_asks_of_a_generator_is_its_tasks() {
    in_virtual_time(async {
        let task = create_task(async {
            let numbers = async_gen(|y| async move {
                let _ = timeout(MOMENT, y.yield_(1)).await;
            });
            assert_eq!(numbers.anext().await, Ok(Some(1)));
            catch_cancelled(sleep(LONG)).await.is_err()
        });
        assert_eq!(task.await, Ok(true));
        assert_eq!(now(), MOMENT);
    });
}

#[test]
fn of_many_timeouts_of_a_task_each_ends_its_own_branch_in_whatever_order() {
    in_virtual_time(async {
        let branch = |n: u32| async move {
            let (deadline, needed) = (n * 37 % 100, n * 59 % 100);
            let ended = timeout(MOMENT * deadline, sleep(MOMENT * needed)).await;
            assert_eq!(ended.is_ok(), needed < deadline, "{n}");
        };
        let mut branches: FuturesUnordered<_> = (1..100).map(branch).collect();
        while branches.next().await.is_some() {}
        assert_eq!(this_task().cancelling(), 0);
    });
}
