//! A panic of a loop of a simulation itself. Alone in its process, since what `tracing` enables is of all threads.
#![expect(clippy::disallowed_types, reason = "a subscriber of `tracing` is for any thread")]

mod events;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use events::Listener;
use perloop::{LoopHandle, Simulation, get_running_loop, yield_now};

/// Whatever of its own it is: here a subscriber of `tracing` panics amid a turn.
#[test]
fn a_panic_of_a_loop_itself_comes_out_and_closes_all() {
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    Listener::install(move |message| {
        if message == "start" && armed.swap(false, SeqCst) {
            resume_unwind(Box::new("subscriber"));
        }
    });
    let handle = RefCell::new(None);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        Simulation::seeded(1).run(|group| {
            handle.replace(Some(group));
            is_armed.store(true, SeqCst);
            yield_now()
        })
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"subscriber"));
    assert!(handle.take().unwrap().loops().all(LoopHandle::is_closed));
    assert!(get_running_loop().is_err());
}
