//! `Runner`: what it keeps between its runs, and how it ends.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    EventLoop, RunError, Runner, catch_cancelled, create_task, current_task, get_event_loop,
    get_running_loop, new_event_loop, set_event_loop, sleep, yield_now,
};

#[test]
fn its_loop_tasks_and_timers_live_on_between_its_runs() {
    let runner = Runner::with_builder(EventLoop::builder().virtual_time());
    let rang = Rc::new(Cell::new(false));
    let task = runner.get_loop().unwrap().create_task(sleep(Duration::from_secs(3))).unwrap();
    let bell = Rc::clone(&rang);
    let main = async {
        let running = get_running_loop().unwrap();
        running.call_later(Duration::from_secs(2), move || bell.set(true)).unwrap();
    };
    runner.run(main).unwrap();
    assert!(!task.done() && !rang.get());
    runner.run(sleep(Duration::from_secs(2))).unwrap();
    assert!(rang.get());
    assert_eq!(runner.run(task).unwrap(), Ok(()));
    assert_eq!(runner.get_loop().unwrap().time(), Duration::from_secs(3));
}

#[test]
fn a_panic_of_one_main_reaches_its_caller_and_spoils_no_other() {
    let runner = Runner::new();
    let unwound: Result<Result<(), _>, _> =
        catch_unwind(AssertUnwindSafe(|| runner.run(async { resume_unwind(Box::new(42_u8)) })));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&42_u8));
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

#[test]
fn a_cancelled_main_is_an_error_and_the_next_one_runs() {
    let runner = Runner::new();
    let cancelled = runner.run(async {
        current_task().unwrap().unwrap().cancel();
        pending::<()>().await;
    });
    assert!(matches!(cancelled, Err(RunError::Cancelled(_))), "{cancelled:?}");
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

#[test]
fn its_loop_is_the_thread_s_current_one_until_it_is_closed() {
    let before = new_event_loop().unwrap();
    set_event_loop(Some(&before));
    let runner = Runner::new();
    assert_eq!(get_event_loop().unwrap(), before, "it makes no loop before the first use");
    runner.run(async {}).unwrap();
    assert_eq!(get_event_loop().unwrap(), runner.get_loop().unwrap());
    runner.close().unwrap();
    assert!(get_event_loop().is_err());
}

#[test]
fn closing_cancels_what_is_left_and_lets_it_clean_up() {
    let runner = Runner::new();
    let is_clean = Rc::new(Cell::new(false));
    let in_task = Rc::clone(&is_clean);
    let event_loop = runner.get_loop().unwrap();
    runner
        .run(async {
            create_task(async move {
                catch_cancelled(pending::<()>()).await.unwrap_err();
                sleep(Duration::from_millis(1)).await;
                in_task.set(true);
            });
            yield_now().await;
        })
        .unwrap();
    runner.close().unwrap();
    assert!(is_clean.get() && event_loop.is_closed());
    runner.close().unwrap();
    assert!(matches!(runner.run(async {}), Err(RunError::RunnerClosed(_))));
    assert!(matches!(runner.get_loop(), Err(RunError::RunnerClosed(_))));
}

#[test]
fn dropping_it_closes_it_also_while_its_thread_unwinds() {
    let is_clean = Rc::new(Cell::new(0));
    for unwinds in [false, true] {
        let counted = Rc::clone(&is_clean);
        let use_and_drop = || {
            let runner = Runner::new();
            let main = async {
                create_task(async move {
                    catch_cancelled(pending::<()>()).await.unwrap_err();
                    sleep(Duration::from_millis(1)).await;
                    counted.set(counted.get() + 1);
                });
                yield_now().await;
            };
            runner.run(main).unwrap();
            if unwinds {
                resume_unwind(Box::new("meant"));
            }
        };
        assert_eq!(catch_unwind(AssertUnwindSafe(use_and_drop)).is_err(), unwinds);
    }
    assert_eq!(is_clean.get(), 2);
    assert!(get_event_loop().is_err());
}

#[test]
fn inside_of_a_running_loop_it_neither_runs_nor_closes() {
    let runner = Rc::new(Runner::with_builder(EventLoop::builder().name("outer")));
    let inner = Rc::clone(&runner);
    let outcomes = runner.run(async move {
        let another = Runner::new();
        (inner.run(async {}), inner.close(), another.run(async {}), another.close())
    });
    let (run_again, closed, run_another, closed_unused) = outcomes.unwrap();
    for refused in [run_again, closed, run_another] {
        assert!(matches!(&refused, Err(RunError::Nested(name)) if name == "outer"), "{refused:?}");
    }
    closed_unused.unwrap();
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

#[test]
fn dropped_inside_of_another_loop_it_closes_its_own_without_waiting() {
    let runner = Runner::new();
    let event_loop = runner.get_loop().unwrap();
    let dropped = Rc::new(RefCell::new(()));
    let held = Rc::clone(&dropped);
    let task = event_loop.create_task(async move {
        let _held = held;
        pending::<()>().await;
    });
    perloop::run(async move { drop(runner) }).unwrap();
    assert!(event_loop.is_closed() && !task.unwrap().done());
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn a_loop_that_somebody_else_closed_is_an_error_and_the_runner_still_closes() {
    let runner = Runner::new();
    runner.get_loop().unwrap().close().unwrap();
    assert!(matches!(runner.run(async {}), Err(RunError::LoopClosed(_))));
    runner.close().unwrap();
    assert!(matches!(runner.run(async {}), Err(RunError::RunnerClosed(_))));
}

#[test]
fn a_stop_ends_one_run_only() {
    let runner = Runner::new();
    let stopped = runner.run(async {
        get_running_loop().unwrap().stop();
        pending::<()>().await;
    });
    assert!(matches!(stopped, Err(RunError::Stopped(_))), "{stopped:?}");
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}
