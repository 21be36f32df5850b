//! What needs a process, or the main thread, of its own: Ctrl-C, fork, the end of threads. The test harness runs tests
//! in other threads, so this file has a small one: each test is this program once more, told by a variable which.
#![cfg_attr(not(target_os = "linux"), allow(unused, reason = "these are Linux's ways to look at a process"))]

#[cfg(target_os = "linux")]
#[path = "main_thread/ctrl_c.rs"]
mod ctrl_c;
#[cfg(target_os = "linux")]
#[path = "main_thread/descriptors.rs"]
mod descriptors;
#[cfg(target_os = "linux")]
#[path = "main_thread/fork.rs"]
mod fork;
#[cfg(target_os = "linux")]
#[path = "main_thread/thread_end.rs"]
mod thread_end;

use std::process::{Command, ExitCode, Output};

/// How a test's process is to end.
#[derive(Clone, Copy)]
enum Ends {
    /// By itself.
    Well,
    /// By SIGINT, after it has said this.
    Interrupted(&'static str),
}

type Test = (&'static str, fn(), Ends);

/// Says which test this process is.
const WHICH: &str = "PERLOOP_MAIN_THREAD_TEST";

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let tests: Vec<Test> = [ctrl_c::TESTS, descriptors::TESTS, fork::TESTS, thread_end::TESTS].concat();
    if let Ok(which) = std::env::var(WHICH) {
        limit_time();
        hear_ctrl_c();
        let (_, test, _) = tests.iter().find(|(name, ..)| *name == which).expect("the variable names a test");
        test();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let wanted: Vec<_> = tests.into_iter().filter(|(name, ..)| is_wanted(name)).collect();
    println!("\nrunning {} tests", wanted.len());
    let failed = wanted.iter().filter(|test| !passes(test)).count();
    println!("\n{} passed; {failed} failed\n", wanted.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}

#[cfg(not(target_os = "linux"))]
fn main() {}

/// A test that hangs is killed, by SIGALRM.
#[cfg(target_os = "linux")]
fn limit_time() {
    // SAFETY: it sets a timer, whose signal nobody handles.
    unsafe { libc::alarm(60) };
}

/// A shell's background jobs are started with Ctrl-C ignored, which perloop leaves so.
#[cfg(target_os = "linux")]
fn hear_ctrl_c() {
    // SAFETY: it gives the signal its default effect.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

#[cfg(target_os = "linux")]
fn passes(&(name, _, ends): &Test) -> bool {
    let own = std::env::current_exe().expect("this program has a path");
    let output = Command::new(own).env(WHICH, name).output().expect("this program runs");
    let has_passed = has_ended(&output, ends);
    println!("test {name} ... {}", if has_passed { "ok" } else { "FAILED" });
    if !has_passed {
        println!("{:?}", output.status);
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    has_passed
}

#[cfg(target_os = "linux")]
fn has_ended(output: &Output, as_expected: Ends) -> bool {
    use std::os::unix::process::ExitStatusExt;
    match as_expected {
        Ends::Well => output.status.success(),
        Ends::Interrupted(said) => {
            output.status.signal() == Some(libc::SIGINT)
                && String::from_utf8_lossy(&output.stdout).trim_end() == said
        }
    }
}
