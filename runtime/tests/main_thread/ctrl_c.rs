//! Ctrl-C while `run` runs, and afterwards; and the main thread's loop.

use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
#[expect(clippy::disallowed_types, reason = "signal-hook's own interface")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use perloop::{
    Cancelled, EventLoop, RunError, Runner, catch_cancelled, create_task, current_task, get_event_loop,
    new_event_loop, run, set_event_loop, sleep, yield_now,
};

use crate::{Ends, Test};

pub(crate) const TESTS: &[Test] = &[
    ("the_main_thread_gets_a_loop_when_it_asks", the_main_thread_gets_a_loop_when_it_asks, Ends::Well),
    (
        "the_main_thread_that_has_set_a_loop_gets_no_other",
        the_main_thread_that_has_set_a_loop_gets_no_other,
        Ends::Well,
    ),
    ("the_first_ctrl_c_lets_main_clean_up", the_first_ctrl_c_lets_main_clean_up, Ends::Well),
    (
        "the_second_ctrl_c_ends_the_process",
        the_second_ctrl_c_ends_the_process,
        Ends::Interrupted("cleaning up"),
    ),
    (
        "after_run_ctrl_c_has_its_default_effect",
        after_run_ctrl_c_has_its_default_effect,
        Ends::Interrupted("run is over"),
    ),
    (
        "ctrl_c_is_left_alone_if_one_says_so",
        ctrl_c_is_left_alone_if_one_says_so,
        Ends::Interrupted("running"),
    ),
    ("a_thread_s_run_leaves_ctrl_c_alone", a_thread_s_run_leaves_ctrl_c_alone, Ends::Interrupted("running")),
    ("a_handler_of_the_user_s_own_is_not_taken", a_handler_of_the_user_s_own_is_not_taken, Ends::Well),
    ("a_handler_installed_after_run_is_left_alone", a_handler_installed_after_run_is_left_alone, Ends::Well),
    ("a_handler_installed_during_run_stays", a_handler_installed_during_run_stays, Ends::Well),
    ("a_signal_that_is_ignored_stays_ignored", a_signal_that_is_ignored_stays_ignored, Ends::Well),
    ("main_may_swallow_an_interruption", main_may_swallow_an_interruption, Ends::Well),
    ("an_interruption_beside_a_cancellation_is_a_cancellation", beside_a_cancellation, Ends::Well),
    ("each_run_is_interrupted_anew", each_run_is_interrupted_anew, Ends::Well),
    ("an_interrupted_runner_can_be_used_on", an_interrupted_runner_can_be_used_on, Ends::Well),
    (
        "between_its_runs_a_runner_leaves_ctrl_c_alone",
        between_its_runs_a_runner_leaves_ctrl_c_alone,
        Ends::Interrupted("between"),
    ),
    ("ctrl_c_comes_through_to_a_busy_loop", ctrl_c_comes_through_to_a_busy_loop, Ends::Well),
];

/// As if the user had pressed it.
fn ctrl_c() {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::INT).unwrap();
}

async fn hour() {
    sleep(Duration::from_secs(3600)).await;
}

fn the_main_thread_gets_a_loop_when_it_asks() {
    let event_loop = get_event_loop().unwrap();
    assert_eq!(get_event_loop().unwrap(), event_loop);
    assert_eq!(event_loop.run_until_complete(async { 1 }).unwrap(), 1);
    assert!(std::thread::spawn(|| get_event_loop().is_err()).join().unwrap());
    event_loop.close().unwrap();
    assert!(get_event_loop().unwrap().is_closed(), "a closed loop that is set stays set");
}

fn the_main_thread_that_has_set_a_loop_gets_no_other() {
    let event_loop = new_event_loop().unwrap();
    assert!(set_event_loop(Some(&event_loop)).is_none());
    assert_eq!(get_event_loop().unwrap(), event_loop);
    set_event_loop(None);
    assert_eq!(get_event_loop().unwrap_err().thread_name(), "main");
}

fn the_first_ctrl_c_lets_main_clean_up() {
    let is_clean = Cell::new(false);
    let outcome = run(async {
        ctrl_c();
        let caught = catch_cancelled(hour()).await.unwrap_err();
        assert_eq!(current_task().unwrap().unwrap().cancelling(), 1);
        sleep(Duration::from_millis(2)).await;
        is_clean.set(true);
        caught.raise().await
    });
    assert!(matches!(outcome, Err(RunError::Interrupted(_))), "{outcome:?}");
    assert!(is_clean.get());
}

fn the_second_ctrl_c_ends_the_process() {
    let _ = run(async {
        ctrl_c();
        drop(catch_cancelled(hour()).await);
        println!("cleaning up");
        ctrl_c();
        hour().await;
    });
    println!("it goes on");
}

fn after_run_ctrl_c_has_its_default_effect() {
    run(async {}).unwrap();
    println!("run is over");
    ctrl_c();
    println!("it goes on");
}

fn ctrl_c_is_left_alone_if_one_says_so() {
    let _ = EventLoop::builder().ctrl_c(false).run(async {
        println!("running");
        ctrl_c();
        println!("it goes on");
    });
}

fn a_thread_s_run_leaves_ctrl_c_alone() {
    let body = || {
        run(async {
            println!("running");
            ctrl_c();
            hour().await;
        })
    };
    drop(std::thread::spawn(body).join());
}

fn a_handler_of_the_user_s_own_is_not_taken() {
    let has_come = install_handler();
    for _ in 0..2 {
        run(async {
            ctrl_c();
            for _ in 0..100 {
                yield_now().await;
            }
        })
        .unwrap();
        assert!(has_come.swap(false, Ordering::Relaxed));
    }
}

#[expect(clippy::disallowed_types, reason = "signal-hook's own interface")]
fn install_handler() -> Arc<AtomicBool> {
    let has_come = Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&has_come)).unwrap();
    has_come
}

fn a_handler_installed_after_run_is_left_alone() {
    run(async {}).unwrap();
    let has_come = install_handler();
    ctrl_c();
    assert!(has_come.swap(false, Ordering::Relaxed));
    run(async {}).unwrap();
    ctrl_c();
    assert!(has_come.load(Ordering::Relaxed));
}

fn a_handler_installed_during_run_stays() {
    let has_come = run(async { install_handler() }).unwrap();
    for _ in 0..2 {
        ctrl_c();
        assert!(has_come.swap(false, Ordering::Relaxed));
    }
}

fn a_signal_that_is_ignored_stays_ignored() {
    // SAFETY: to ignore a signal runs nothing.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    for _ in 0..2 {
        run(async {
            ctrl_c();
            for _ in 0..100 {
                yield_now().await;
            }
        })
        .unwrap();
        ctrl_c();
    }
}

fn main_may_swallow_an_interruption() {
    let outcome = run(async {
        ctrl_c();
        catch_cancelled(hour()).await.unwrap_err();
        "swallowed"
    });
    assert_eq!(outcome.unwrap(), "swallowed");
}

fn beside_a_cancellation() {
    let outcome = run(async {
        let main = current_task().unwrap().unwrap();
        ctrl_c();
        drop(catch_cancelled(hour()).await);
        main.cancel();
        hour().await;
    });
    assert!(matches!(outcome, Err(RunError::Cancelled(_))), "{outcome:?}");
}

fn each_run_is_interrupted_anew() {
    for _ in 0..3 {
        let outcome = run(async {
            ctrl_c();
            hour().await;
        });
        assert!(matches!(outcome, Err(RunError::Interrupted(_))), "{outcome:?}");
        assert_eq!(run(async { 1 }).unwrap(), 1);
    }
}

fn an_interrupted_runner_can_be_used_on() {
    let runner = Runner::new();
    for _ in 0..3 {
        let outcome = runner.run(async {
            ctrl_c();
            hour().await;
        });
        assert!(matches!(outcome, Err(RunError::Interrupted(_))), "{outcome:?}");
        assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    }
    runner.close().unwrap();
}

fn between_its_runs_a_runner_leaves_ctrl_c_alone() {
    let runner = Runner::new();
    runner.run(async {}).unwrap();
    println!("between");
    ctrl_c();
    println!("it goes on");
}

fn ctrl_c_comes_through_to_a_busy_loop() {
    let outcome = run(async {
        create_task(async {
            loop {
                yield_now().await;
            }
        });
        yield_now().await;
        ctrl_c();
        if catch_cancelled(pending::<()>()).await.is_err() {
            Cancelled::default().raise().await;
        }
    });
    assert!(matches!(outcome, Err(RunError::Interrupted(_))), "{outcome:?}");
}
