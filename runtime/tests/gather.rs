//! `gather` and its kin: values in order, the first failure, requests, what is left behind.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use perloop::{
    EventLoop, ExceptionContext, Panicked, Task, TaskError, create_future, create_task, gather,
    gather_outcomes, get_running_loop, shield, sleep, timeout, try_gather, wait_for, yield_now,
};

const MOMENT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

fn in_virtual_time<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("main ends by itself")
}

fn later<T: 'static>(moments: u32, value: T) -> Task<T> {
    create_task(async move {
        sleep(moments * MOMENT).await;
        value
    })
}

#[test]
fn values_stand_in_the_order_of_the_arguments_and_need_not_be_clone() {
    struct NotClone(u32);
    in_virtual_time(async {
        let several = [3, 1, 2].map(|n| later(n, NotClone(n)));
        let values = gather(several).await.expect("none fails");
        assert_eq!(values.iter().map(|value| value.0).collect::<Vec<_>>(), [3, 1, 2]);
    });
}

#[test]
fn the_first_failure_ends_it_and_the_others_go_on_unheard() {
    in_virtual_time(async {
        let reports = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&reports);
        let handler =
            move |_: &EventLoop, context: &ExceptionContext| heard.borrow_mut().push(context.to_string());
        get_running_loop().expect("it runs").set_exception_handler(Some(handler));
        let failing = |moments: u32| {
            create_task(async move {
                sleep(moments * MOMENT).await;
                std::panic::panic_any(format!("after {moments}"))
            })
        };
        let several: [Task<()>; 3] = [failing(2), failing(1), later(5, ())];
        let others: Vec<_> = several.iter().map(|task| (**task).clone()).collect();
        let Err(TaskError::Panicked(panicked)) = gather(several).await else { panic!("one fails first") };
        assert_eq!(panicked.message(), "after 1");
        assert!(!others[0].done() && !others[2].done());
        sleep(10 * MOMENT).await;
        assert!(others.iter().all(|task| task.done() && !task.cancelled()));
        drop(others);
        assert!(reports.borrow().is_empty(), "{reports:?}");
    });
}

#[test]
fn an_err_ends_try_gather_only() {
    in_virtual_time(async {
        let several = || [Ok(1), Err("no"), Ok(3)].map(|value: Result<i32, &str>| later(1, value));
        assert_eq!(try_gather(several()).await, Ok(Err("no")));
        assert_eq!(gather(several()).await, Ok(vec![Ok(1), Err("no"), Ok(3)]));
    });
}

#[test]
fn a_request_to_the_awaiter_goes_to_all_and_comes_back_when_they_have_ended() {
    in_virtual_time(async {
        let several = [create_task(sleep(LONG)), create_task(sleep(LONG))];
        let children: Vec<_> = several.iter().map(|task| (**task).clone()).collect();
        let parent = create_task(gather_outcomes(several));
        yield_now().await;
        yield_now().await;
        parent.cancel();
        let ended = parent.await.expect("its own body met no request");
        assert!(ended.is_err_and(|error| error.is_cancelled()));
        assert!(children.iter().all(|task| task.cancelled()));
    });
}

#[test]
fn a_timeout_around_it_cancels_all_and_says_so() {
    in_virtual_time(async {
        let several = [later(1, 1), later(100, 2)];
        let slow = (*several[1]).clone();
        assert!(wait_for(gather(several), 5 * MOMENT).await.is_err());
        assert!(slow.cancelled());
        let shielded = later(3, ());
        let inner = (*shielded).clone();
        let late = timeout(MOMENT, async { gather([shield(shielded)]).await }).await;
        assert!(
            late.is_ok_and(|ended| ended.is_err_and(|error| error.is_cancelled())),
            "an `Err` is a value"
        );
        sleep(5 * MOMENT).await;
        assert!(inner.done() && !inner.cancelled());
    });
}

#[test]
fn what_is_given_twice_fills_both_places_also_of_a_tuple() {
    in_virtual_time(async {
        let future = create_future();
        let both = gather([&future, &future].map(Clone::clone));
        let tuple = gather!(future.clone(), later(1, "words"), future.clone());
        assert_eq!(future.set_result(7), Ok(()));
        assert_eq!(both.await, Ok(vec![7, 7]));
        assert_eq!(tuple.await, Ok((7, "words", 7)));
    });
}

#[test]
fn it_is_done_when_it_is_made_if_all_are() {
    in_virtual_time(async {
        let done = create_future();
        assert_eq!(done.set_result(1), Ok(()));
        let mut gathered = gather([done.clone()]);
        assert!(gathered.done() && !gathered.cancel());
        assert_eq!((&mut gathered).await, Ok(vec![1]));
        assert_eq!(gathered.await, Err(TaskError::Taken));
        let failed = create_future::<i32>();
        assert_eq!(failed.set_exception(Panicked::new(Box::new("out of paper"))), Ok(()));
        assert!(gather([create_future(), failed]).done());
    });
}

#[test]
fn of_different_loops_it_is_an_error() {
    let (here, elsewhere) =
        (EventLoop::builder().build().expect("a loop"), EventLoop::builder().build().expect("a loop"));
    let gathered = gather([here.create_future::<()>(), elsewhere.create_future()]);
    assert!(matches!(gathered.result(), Err(TaskError::WrongLoop(_))));
}

#[test]
fn one_that_is_dropped_leaves_the_others_alone() {
    in_virtual_time(async {
        let task = later(2, ());
        let any = (*task).clone();
        drop(gather([task]));
        sleep(5 * MOMENT).await;
        assert!(any.done() && !any.cancelled());
    });
}

#[test]
fn a_closed_loop_frees_what_was_gathered() {
    let kept = Rc::new(());
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    let held = Rc::clone(&kept);
    let task = event_loop
        .create_task(async move {
            let child = create_task(async move {
                sleep(LONG).await;
                drop(held);
            });
            gather([child]).share(|_| ()).await
        })
        .expect("it is open");
    event_loop.run_once(None).expect("it turns");
    event_loop.run_once(None).expect("it turns");
    event_loop.close().expect("it does not run");
    drop(task);
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn a_panic_of_what_changes_the_shared_value_is_the_failure_of_all_who_share_it() {
    in_virtual_time(async {
        let future = create_future();
        let shared = gather([future.clone()]).share(|_: Vec<i32>| -> i32 { panic!("no sum") });
        future.set_result(1).expect("nobody else sets it");
        let is_panic =
            |outcome| matches!(outcome, Err(TaskError::Panicked(panicked)) if panicked.message() == "no sum");
        assert!(is_panic(shared.clone().await));
        assert!(is_panic(shared.await));

        let done = gather([future]).share(|_: Vec<i32>| -> i32 { panic!("no sum") });
        assert!(is_panic(done.await));
    });
}

#[test]
fn what_a_loop_that_is_gone_left_unfinished_is_no_wait_without_an_end() {
    let (pending, done) = {
        let gone = perloop::new_event_loop().expect("a loop");
        let pending = gone.create_task(async { 1 }).expect("it is open");
        let done = gone.create_future();
        done.set_result(2).expect("nobody else sets it");
        (pending, done)
    };
    in_virtual_time(async move {
        let gathered = gather([pending]).await;
        assert!(matches!(gathered, Err(TaskError::WrongLoop(_))), "{gathered:?}");
        assert_eq!(gather([done]).await, Ok(vec![2]), "an outcome that is there is read from anywhere");
    });
}

#[test]
fn what_became_ready_between_two_ends_runs_between_them() {
    let done_when_it_ran = |is_between: bool| {
        perloop::run(async move {
            let (first, second) = (create_future(), create_future());
            let both = Rc::new(gather([first.clone(), second.clone()]));
            let seen = Rc::new(Cell::new(None));
            let look = {
                let (both, seen) = (Rc::clone(&both), Rc::clone(&seen));
                move || seen.set(Some(both.done()))
            };
            let running = perloop::get_running_loop().expect("it runs");
            first.set_result(1).expect("not set before");
            if is_between {
                running.call_soon(look).expect("open");
                second.set_result(2).expect("not set before");
            } else {
                second.set_result(2).expect("not set before");
                running.call_soon(look).expect("open");
            }
            yield_now().await;
            assert!(both.done(), "both were heard of in one turn");
            seen.get()
        })
    };
    assert_eq!(done_when_it_ran(true).expect("it runs"), Some(false));
    assert_eq!(done_when_it_ran(false).expect("it runs"), Some(true));
}

/// One future's end is told in the turn in which the other one is set, and another thread hands something in.
#[test]
fn an_end_in_the_turn_in_which_another_is_told_is_told_in_the_next_one() {
    in_virtual_time(async {
        let own = get_running_loop().expect("it runs");
        let (first, second) = (create_future::<()>(), create_future::<()>());
        let both = gather([first.clone(), second.clone()]);
        let (handle, (note, noted)) = (own.handle(), mpsc::channel());
        let set_second = move || {
            second.set_result(()).expect("it is open");
            let hand_in = move || handle.call_soon_threadsafe(move || note.send(()).expect("it is awaited"));
            thread::spawn(hand_in).join().expect("no panic").expect("it is open");
        };
        own.call_soon(set_second).expect("it is open");
        first.set_result(()).expect("it is open");
        both.await.expect("both are set");
        assert!(noted.try_recv().is_ok(), "what came in between runs before the last end is heard");
    });
}
