//! The process's descriptors: who inherits them, and what happens when there are none left.

use perloop::{EventLoop, LoopThread, RunError, new_event_loop, run, run_coroutine_threadsafe};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Ends, Test};

pub(crate) const TESTS: &[Test] = &[
    ("descriptors_are_closed_on_exec", descriptors_are_closed_on_exec, Ends::Well),
    ("t_bell_registered_once", t_bell_registered_once, Ends::Well),
    ("t_bell_write_fails", t_bell_write_fails, Ends::Well),
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

/// What all of the process's pollers watch: the number and the flags of each registration.
fn registrations() -> Vec<String> {
    let all = std::fs::read_dir("/proc/self/fdinfo").unwrap().map(|entry| entry.unwrap().path());
    let lines = all.filter_map(|path| std::fs::read_to_string(path).ok());
    let mut watched: Vec<_> = lines
        .flat_map(|text| {
            text.lines().filter(|line| line.starts_with("tfd:")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    watched.sort();
    watched
}

/// A loop that is woken again and again has after each wake the descriptors and registrations that it had before the
/// first one.
fn t_bell_registered_once() {
    const WAKES: u32 = 50_000;
    for builder in [EventLoop::builder(), EventLoop::builder().portable_wait()] {
        let event_loop = builder.spin(perloop::Spin::Never).build().unwrap();
        let handle = event_loop.handle();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let waker = std::thread::spawn(move || {
            let is_refused = || handle.call_soon_threadsafe(|| ()).is_err();
            receive.iter().for_each(|()| assert!(!is_refused()));
        });
        let wake = || {
            // The loop is at rest and so asleep: this rings.
            send.send(()).unwrap();
            event_loop.run_once(None).unwrap();
        };
        wake();
        let before = (descriptors(), registrations());
        assert!(before.1.len() >= 2);
        (0..WAKES).for_each(|_| wake());
        assert_eq!((descriptors(), registrations()), before);
        drop(send);
        waker.join().unwrap();
    }
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

/// Puts something that cannot be written in the place of every eventfd of the process.
fn break_eventfds() {
    use std::os::fd::{FromRawFd, OwnedFd};
    let unwritable = std::fs::File::open("/dev/null").unwrap();
    let all: Vec<_> =
        std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_eventfd = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("[eventfd]"))
    };
    for path in all.into_iter().filter(is_eventfd) {
        let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // SAFETY: the number is open, and its owner keeps it: this copy is forgotten.
        let mut owned = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        rustix::io::dup2(&unwritable, &mut owned).unwrap();
    }
}

/// A loop that sleeps, and whose bell is broken, does not leave a submission waiting without a word. (The portable wait
/// rings by its library's notifier, which keeps such an error to itself.)
fn t_bell_write_fails() {
    let worker = LoopThread::spawn_with("deaf", EventLoop::builder().spin(perloop::Spin::Never)).unwrap();
    worker.block_on(async {}).unwrap();
    // Asleep, as the system sees it.
    let mut threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let is_deaf = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "deaf")
    };
    let deaf = threads.find(is_deaf).unwrap();
    while !std::fs::read_to_string(deaf.join("stat")).unwrap().contains(") S ") {
        std::thread::yield_now();
    }
    break_eventfds();
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run_coroutine_threadsafe(async { 1 }, &worker).result_timeout(std::time::Duration::from_secs(5))
    }));
    assert_ne!(asked.ok(), Some(Err(perloop::FutureError::TimedOut)), "it was not told");
    std::mem::forget(worker);
}
