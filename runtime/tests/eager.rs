//! Eager start: a task's first step inside of its making.

use std::cell::RefCell;
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    ContextVar, EventLoop, GroupedError, LoopThread, Task, TaskError, TaskGroup, all_tasks, catch_cancelled,
    create_future, create_task, current_task, get_running_loop, run_coroutine_threadsafe, sleep, yield_now,
};

/// Runs `main` on a loop whose tasks start eagerly.
fn eagerly<F: Future>(main: F) -> F::Output {
    EventLoop::builder().virtual_time().eager_start(true).run(main).unwrap()
}

/// What happened, in order.
type Trace = Rc<RefCell<Vec<&'static str>>>;

#[test]
fn a_body_that_does_not_wait_is_done_when_its_task_is_made_and_was_never_queued() {
    eagerly(async {
        let running = get_running_loop().unwrap();
        let task = create_task(async { 42 });
        assert!(task.done());
        assert_eq!(running.next_deadline(), None, "nothing is ready");
        assert_eq!(task.await, Ok(42));
    });
}

#[test]
fn the_first_step_runs_at_once_and_the_others_in_their_turns() {
    let trace = Trace::default();
    eagerly(async {
        let say = |what| trace.borrow_mut().push(what);
        let log = Rc::clone(&trace);
        let task = create_task(async move {
            log.borrow_mut().push("first step");
            yield_now().await;
            log.borrow_mut().push("second step");
            sleep(Duration::from_secs(1)).await;
            log.borrow_mut().push("third step");
        });
        say("made");
        get_running_loop()
            .unwrap()
            .call_soon({
                let log = Rc::clone(&trace);
                move || log.borrow_mut().push("callback")
            })
            .unwrap();
        task.await.unwrap();
        say("awaited");
    });
    let expected = ["first step", "made", "second step", "callback", "third step", "awaited"];
    assert_eq!(*trace.borrow(), expected);
}

#[test]
fn during_that_step_it_is_the_current_task_and_afterwards_the_maker_is_again() {
    eagerly(async {
        let main = current_task().unwrap().unwrap();
        let task = create_task(async {
            let own = current_task().unwrap().unwrap();
            let nested = create_task(async { current_task().unwrap().unwrap() });
            let nested = nested.result().unwrap();
            assert!(nested != own && current_task().unwrap().as_ref() == Some(&own));
            assert!(all_tasks().unwrap().contains(&own));
            own
        });
        let own = task.result().unwrap();
        assert_eq!(own, *task);
        assert_eq!(current_task().unwrap(), Some(main));
    });
}

#[test]
fn made_by_a_callback_it_leaves_no_current_task() {
    eagerly(async {
        let running = get_running_loop().unwrap();
        let callback = || {
            assert!(create_task(async { current_task().unwrap().is_some() }).result().unwrap());
            assert_eq!(current_task().unwrap(), None);
        };
        running.call_soon(callback).unwrap();
        yield_now().await;
    });
}

#[test]
fn a_panic_in_that_step_is_the_task_s_outcome() {
    eagerly(async {
        let task: Task<()> = create_task(async { resume_unwind(Box::new("meant")) });
        assert!(matches!(task.result(), Err(TaskError::Panicked(panicked)) if panicked.message() == "meant"));
    });
}

#[test]
fn a_request_made_during_that_step_meets_it_as_in_any_other() {
    eagerly(async {
        let cancel_self = || assert!(current_task().unwrap().unwrap().cancel());
        let unmet = create_task(async move { cancel_self() });
        assert!(unmet.cancelled());
        let caught = create_task(async move {
            cancel_self();
            catch_cancelled(pending::<()>()).await.is_err()
        });
        assert_eq!(caught.await, Ok(true));
        assert_eq!(current_task().unwrap().unwrap().cancelling(), 0);
    });
}

#[test]
fn cancelled_after_that_step_its_destructors_run_and_it_ends_cancelled() {
    eagerly(async {
        let task = create_task(pending::<()>());
        assert!(task.cancel() && !task.done());
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn the_maker_s_wait_is_not_the_task_s() {
    eagerly(async {
        let future = create_future();
        let of_task = future.clone();
        let waiter = create_task(of_task);
        let maker = current_task().unwrap().unwrap();
        // The request goes to what the maker waits for, and not to what its eager task does.
        get_running_loop().unwrap().call_soon(move || assert!(maker.cancel())).unwrap();
        assert!(catch_cancelled(sleep(Duration::from_secs(1))).await.is_err());
        assert!(!future.cancelled() && !waiter.done());
        future.set_result(7).unwrap();
        assert_eq!(waiter.await, Ok(Ok(7)));
    });
}

#[test]
fn its_context_is_a_copy_of_its_maker_s() {
    static USER: ContextVar<&str> = ContextVar::new("user");
    eagerly(async {
        let bare = create_task(async {
            USER.set("bare");
            yield_now().await;
            USER.get()
        });
        assert_eq!(USER.get(), None);
        USER.set("maker");
        let task = create_task(async {
            assert_eq!(USER.get(), Some("maker"));
            USER.set("task");
            yield_now().await;
            USER.get()
        });
        assert_eq!(USER.get(), Some("maker"));
        assert_eq!((bare.await, task.await), (Ok(Some("bare")), Ok(Some("task"))));
    });
}

#[test]
fn while_the_loop_does_not_run_the_step_is_queued() {
    let event_loop = EventLoop::builder().eager_start(true).build().unwrap();
    let task = event_loop.create_task(async { 42 }).unwrap();
    assert!(!task.done());
    assert_eq!(event_loop.run_until_complete(task).unwrap(), Ok(42));
}

#[test]
fn one_task_may_start_eagerly_or_not_whatever_the_loop_does() {
    for is_eager in [false, true] {
        let main = async {
            let running = get_running_loop().unwrap();
            assert_eq!(running.build_task().create(async {}).unwrap().done(), is_eager);
            assert!(running.build_task().eager_start(true).create(async {}).unwrap().done());
            assert!(!running.build_task().eager_start(false).create(async {}).unwrap().done());
        };
        EventLoop::builder().eager_start(is_eager).run(main).unwrap();
    }
}

#[test]
fn a_group_whose_children_are_done_at_once_ends_without_a_hop() {
    eagerly(async {
        let running = get_running_loop().unwrap();
        let trace = Trace::default();
        let log = Rc::clone(&trace);
        running.call_soon(move || log.borrow_mut().push("callback")).unwrap();
        let group = TaskGroup::<&str>::new();
        let child = group.run(async { Ok(group.create_task(async { 42 }).unwrap()) }).await;
        trace.borrow_mut().push("group is over");
        assert_eq!(child.unwrap().expect("nobody cancelled it").await, Ok(42));
        yield_now().await;
        assert_eq!(*trace.borrow(), ["group is over", "callback"]);

        let group = TaskGroup::<&str>::new();
        let body = async {
            group.try_create_task(async { Err::<(), _>("out of paper") }).unwrap();
            pending::<Result<(), &str>>().await
        };
        let errors = group.run(body).await.unwrap_err().into_errors();
        assert_eq!(errors, [GroupedError::Failed("out of paper")]);
    });
}

#[test]
fn a_submission_to_an_eager_loop_starts_when_it_is_taken_up() {
    let builder = EventLoop::builder().eager_start(true);
    let worker = LoopThread::spawn_with("worker", builder).unwrap();
    let nested = async {
        yield_now().await;
        create_task(async { 6 * 7 }).result()
    };
    assert_eq!(run_coroutine_threadsafe(nested, &worker).result(), Ok(Ok(42)));
    let cancelled = run_coroutine_threadsafe(pending::<()>(), &worker);
    assert_eq!(cancelled.cancel_and_wait(), Ok(true));
    worker.join().unwrap();
}
