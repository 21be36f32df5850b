//! Plays one scenario at a time, and finds out when the interpreter itself fails.

use std::panic;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;

use crate::driver;
use crate::scenario::needs;

/// A scenario that waits for ever has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// What panicked in the interpreter. A scenario's own failures are thrown without a word to the hook, and perloop's
/// panics are errors in traces.
static FAILURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Failures are nobody's by name, so scenarios are played one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Has panics of the interpreter kept for `play`, and no others printed.
pub(crate) fn watch_panics() {
    panic::set_hook(Box::new(|info| {
        let is_ours = info.location().is_some_and(|at| at.file().contains("tests/conformance/"));
        if is_ours && let Ok(mut failures) = FAILURES.lock() {
            failures.push(info.to_string());
        }
    }));
}

fn take_failures() -> Vec<String> {
    FAILURES.lock().map(|mut failures| std::mem::take(&mut *failures)).unwrap_or_default()
}

/// The trace of a scenario, or why there is none.
pub(crate) fn play(spec: &'static Value) -> Result<Vec<String>, String> {
    let _turn = TURN.lock();
    take_failures();
    // SIGINT is for the main thread.
    let played = if needs(spec, "signals") { Ok(driver::play(spec)) } else { play_in_thread(spec) };
    let failures = take_failures();
    if failures.is_empty() { played } else { Err(failures.join("; ")) }
}

/// In a thread of its own, so that nothing is left for the next one.
fn play_in_thread(spec: &'static Value) -> Result<Vec<String>, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(driver::play(spec)));
    receiver.recv_timeout(LIMIT).map_err(|error| format!("no trace: {error}"))
}
