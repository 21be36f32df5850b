//! A thread that asks a loop again and again may be moved to another core, and may run where it might before.
#![cfg(target_os = "linux")]

use perloop::{LoopThread, run_coroutine_threadsafe};
use rustix::thread::sched_getaffinity;

#[test]
fn a_thread_may_run_where_it_might_before() {
    let before = sched_getaffinity(None).unwrap();
    let worker = LoopThread::spawn("worker").unwrap();
    for number in 0..20_000 {
        assert_eq!(run_coroutine_threadsafe(async move { number }, &worker).result(), Ok(number));
    }
    assert!(sched_getaffinity(None).unwrap() == before);
}
