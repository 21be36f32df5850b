//! `wait` and `as_completed`: several tasks and futures at once.

use std::future::pending;
use std::time::Duration;

use futures_util::future::join;
use perloop::{
    DoneAndPending, EventLoop, ReturnWhen, TaskError, WaitError, Waitable, as_completed, catch_cancelled,
    create_future, create_task, ensure_future, get_running_loop, new_event_loop, sleep, timeout, try_gather,
    try_wait, wait, yield_now,
};

const MOMENT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

fn in_virtual_time<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("main ends by itself")
}

#[test]
fn what_ends_after_the_decisive_one_but_before_the_waiter_runs_is_done_too() {
    in_virtual_time(async {
        let (first, second, third) =
            (create_task(async {}), create_task(async { 2 }), create_task(sleep(LONG)));
        let several: [&dyn Waitable; 3] = [&third, &second, &first];
        let found = wait(&several, ReturnWhen::FirstCompleted, None).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![1, 2], vec![0]));
    });
}

#[test]
fn a_timeout_cancels_nothing_and_leaves_no_callback_and_no_timer() {
    in_virtual_time(async {
        let future = create_future::<()>();
        let found = wait(&[&future], ReturnWhen::AllCompleted, MOMENT).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![], vec![0]));
        let given_up = timeout(MOMENT, wait(&[&future], ReturnWhen::AllCompleted, LONG)).await;
        assert!(given_up.is_err() && !future.done());
        assert_eq!(get_running_loop().expect("it runs").next_deadline(), None);
    });
}

/// Ends so many milliseconds later.
async fn ends(after: u32, how: Result<&'static str, &'static str>) -> Result<&'static str, &'static str> {
    sleep(MOMENT * after).await;
    how
}

#[test]
fn to_try_wait_an_err_is_an_exception_and_all_values_stay() {
    in_virtual_time(async {
        let tasks = [ends(1, Ok("one")), ends(3, Ok("late")), ends(2, Err("two"))].map(create_task);
        let found = try_wait(&tasks, ReturnWhen::FirstException, None).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![0, 2], vec![1]));
        let found = try_wait(&tasks, ReturnWhen::FirstException, None).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![0, 2], vec![1]), "it ends at once, in two turns");
        let found =
            try_wait(&tasks[..2], ReturnWhen::FirstException, None).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![0, 1], vec![]));
        assert_eq!(tasks.map(|task| task.result()), [Ok(Ok("one")), Ok(Ok("late")), Ok(Err("two"))]);
    });
}

#[test]
fn try_wait_looks_at_futures_of_all_kinds() {
    in_virtual_time(async {
        let (own, endless) = (create_future(), create_future());
        let of_task = ensure_future(create_task(ends(1, Err("of a task"))));
        let found = try_wait([&endless, &of_task, &own], ReturnWhen::FirstException, None).await;
        assert_eq!(found.map(|found| found.done), Ok(vec![1]));
        own.set_result(Err("set by hand")).expect("it is pending");
        let found = try_wait([&endless, &own], ReturnWhen::FirstException, None).await;
        assert_eq!(found.map(|found| found.done), Ok(vec![1]));
        let all = try_gather([create_task(ends(1, Ok("one"))), create_task(ends(2, Err("two")))]);
        let endless = try_gather([create_task(ends(99, Ok("late")))]);
        let found = try_wait([&endless, &all], ReturnWhen::FirstException, None).await;
        assert_eq!((found.map(|found| found.done), all.await), (Ok(vec![1]), Ok(Err("two"))));
        assert_eq!((of_task.await, own.await), (Ok(Err("of a task")), Ok(Err("set by hand"))));
    });
}

#[test]
fn try_wait_ends_at_a_panic_and_not_at_a_cancelled_one_nor_at_an_err_that_was_taken() {
    in_virtual_time(async {
        let cancelled = create_task(ends(9, Ok("nothing")));
        let taken = create_task(ends(1, Err("taken")));
        let failing = create_task(async {
            sleep(2 * MOMENT).await;
            panic!("out of paper");
        });
        let endless = create_task(ends(99, Ok("late")));
        cancelled.cancel();
        let taker = async {
            yield_now().await;
            assert_eq!(taken.result(), Err(TaskError::NotDone));
            sleep(MOMENT).await;
        };
        let several = [&cancelled, &failing, &endless];
        let (found, ()) = join(try_wait(several, ReturnWhen::FirstException, None), taker).await;
        assert_eq!(found.map(|found| (found.done, found.pending)), Ok((vec![0, 1], vec![2])));
        assert_eq!(taken.result(), Ok(Err("taken")));
        let found = try_wait([&taken, &endless], ReturnWhen::FirstException, MOMENT).await;
        assert_eq!(found.map(|found| (found.done, found.pending)), Ok((vec![0], vec![1])), "by the timeout");
        let _: Result<_, TaskError> = failing.await;
    });
}

#[test]
fn first_exception_is_a_panic_and_neither_an_err_nor_a_cancelled_one() {
    in_virtual_time(async {
        let error = create_task(async { Err::<(), _>("an error is a value") });
        let cancelled = create_task(sleep(LONG));
        let failing = create_task(async {
            sleep(MOMENT).await;
            panic!("out of paper");
        });
        let endless = create_task(sleep(LONG));
        cancelled.cancel();
        let several: [&dyn Waitable; 4] = [&error, &cancelled, &failing, &endless];
        let found = wait(&several, ReturnWhen::FirstException, None).await.expect("there is something");
        assert_eq!((found.done, found.pending), (vec![0, 1, 2], vec![3]));
        let _: Result<(), TaskError> = failing.await;
    });
}

#[test]
fn wait_takes_what_can_be_listed_by_reference() {
    in_virtual_time(async {
        let alike: Vec<_> = (0..3).map(|n| create_task(async move { n })).collect();
        let (number, unit, future) =
            (create_task(async { 1 }), create_task(async {}), create_future::<&str>());
        let places = |found: Result<DoneAndPending, WaitError>| {
            let DoneAndPending { done, pending } = found.expect("there is something");
            (done.len(), pending.len())
        };
        let all = ReturnWhen::AllCompleted;
        assert_eq!(places(wait(&alike, all, None).await), (3, 0));
        assert_eq!(places(wait(alike.iter().skip(1), all, None).await), (2, 0));
        assert_eq!(places(wait([&*number, &*unit], all, None).await), (2, 0));
        let unlike = [&number as &dyn Waitable, &unit, &future];
        assert_eq!(places(wait(unlike, all, MOMENT).await), (2, 1));
        assert_eq!(places(wait(&unlike, all, MOMENT).await), (2, 1));
    });
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let elsewhere = EventLoop::builder().build().expect("a loop");
    let future = elsewhere.create_future::<()>();
    let outcome = in_virtual_time(async { wait(&[&future], ReturnWhen::AllCompleted, None).await });
    assert!(matches!(outcome, Err(WaitError::WrongLoop(_))));
}

#[test]
fn an_await_of_the_next_that_is_given_up_loses_nothing() {
    in_virtual_time(async {
        let (first, second) = (create_future(), create_future());
        let mut items = as_completed([&first, &second, &first], None);
        assert!(timeout(MOMENT, items.next()).await.is_err());
        assert!(second.set_result(2).is_ok() && first.set_result(1).is_ok());
        yield_now().await;
        for value in [2, 1] {
            let item = items.next().await.expect("two are left").expect("there is no limit");
            assert_eq!(item.result(), Ok(value));
        }
        assert!(items.next().await.is_none());
    });
}

#[test]
fn the_timeout_is_for_all_that_have_not_ended_by_then() {
    in_virtual_time(async {
        let tasks = [9, 0, 2, 8].map(|n| create_task(sleep(n * MOMENT)));
        let mut items = as_completed(&tasks, 5 * MOMENT);
        sleep(20 * MOMENT).await;
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            found.push(item.map(|task| task.name()).ok());
        }
        assert_eq!(found, [Some("Task-3".to_owned()), Some("Task-4".to_owned()), None, None]);
    });
}

#[test]
fn a_wait_goes_on_when_another_branch_of_its_task_takes_the_request() {
    in_virtual_time(async {
        let future = create_future::<()>();
        let waits_for = future.clone();
        let task = create_task(async move {
            let several: [&dyn Waitable; 1] = [&waits_for];
            let waits = wait(&several, ReturnWhen::AllCompleted, None);
            let (found, caught) = join(waits, catch_cancelled(pending::<()>())).await;
            (found.expect("there is something to wait for").pending.len(), caught.is_err())
        });
        yield_now().await;
        task.cancel();
        yield_now().await;
        assert!(!task.done());
        future.set_result(()).expect("nobody else sets it");
        assert_eq!(task.await, Ok((0, true)));
    });
}

#[test]
#[should_panic(expected = "as_completed: a task or future of event loop")]
fn what_would_never_come_is_no_item() {
    let elsewhere = new_event_loop().expect("a loop");
    let task = elsewhere.create_task(async {}).expect("it is open");
    in_virtual_time(async { drop(as_completed([task], None)) });
}
