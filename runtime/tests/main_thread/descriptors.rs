//! The process's descriptors: who inherits them, and what happens when there are none left.

use perloop::{EventLoop, LoopThread, RunError, new_event_loop, run, run_coroutine_threadsafe};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Ends, Test};

pub(crate) const TESTS: &[Test] = &[
    ("descriptors_are_closed_on_exec", descriptors_are_closed_on_exec, Ends::Well),
    ("without_descriptors_a_loop_is_an_error_and_leaks_none", without_descriptors, Ends::Well),
];

fn descriptors_are_closed_on_exec() {
    let list = || std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
    let before = list();
    let _worker = LoopThread::spawn("worker").unwrap();
    let _portable = EventLoop::builder().portable_wait().build().unwrap();
    assert_eq!(run(async { list() }).unwrap(), before);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Lets the process have descriptors below this number only.
fn limit_descriptors(limit: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
}

/// The lowest number that is free: each further one goes up from here.
fn next_descriptor() -> u64 {
    use std::os::fd::AsRawFd;
    u64::try_from(std::fs::File::open("/dev/null").unwrap().as_raw_fd()).unwrap()
}

fn without_descriptors() {
    let worker = LoopThread::spawn("worker").unwrap();
    run(async {}).unwrap();
    let (before, next) = (descriptors(), next_descriptor());
    let mut failures = 0;
    for spare in 0..16 {
        limit_descriptors(next + spare);
        failures += usize::from(new_event_loop().is_err());
        failures += usize::from(EventLoop::builder().portable_wait().build().is_err());
        failures += usize::from(LoopThread::spawn("starved").is_err());
        match run(async { 1 }) {
            Ok(value) => assert_eq!(value, 1),
            Err(error) => assert!(matches!(error, RunError::Io(_)), "{error:?}"),
        }
        // Who has a loop already is not starved.
        assert_eq!(run_coroutine_threadsafe(async { 1 }, &worker).result(), Ok(1));
        limit_descriptors(next + 100);
        assert_eq!(descriptors(), before, "with {spare} to spare");
    }
    assert!(failures > 3, "{failures} failures");
    assert_eq!(run(async { 1 }).unwrap(), 1);
}
