//! A system clock that goes backwards. This program brings its own `clock_gettime`, which the standard library calls.
#![cfg(target_os = "linux")]

#[path = "../../bridge/tests/support/ledger.rs"]
mod ledger;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ledger::Dice;
use perloop::{EventLoop, sleep, yield_now};

thread_local! {
    /// How far this thread's clock is from the system's, in nanoseconds.
    static OFFSET: Cell<i64> = const { Cell::new(0) };
}

/// The system's clock, put forward by the offset. It goes by the system call's number, as the C library's name is ours.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: libc::clockid_t, out: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the arguments are the caller's own.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) };
    if result == 0 {
        // SAFETY: the call has written it.
        let time = unsafe { &mut *out };
        let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec + OFFSET.get();
        time.tv_sec = nanos.div_euclid(1_000_000_000);
        time.tv_nsec = nanos.rem_euclid(1_000_000_000);
    }
    result as libc::c_int
}

fn step(nanos: i64) {
    OFFSET.set(OFFSET.get() + nanos);
}

/// The clock stands, and goes back by a second, again and again, in the middle of everything: nothing overflows, no timer
/// is early by what the clock said, and in the end each has fired once, whichever way the loop waits.
#[test]
fn p_clock_backwards() {
    let before = Instant::now();
    step(-3_600_000_000_000);
    assert!(Instant::now() < before, "the program's clock is the one that is read");
    step(3_600_000_000_000);
    let mut dice = Dice(11);
    for builder in [EventLoop::builder(), EventLoop::builder().portable_wait()] {
        let event_loop = builder.build().unwrap();
        let fired = Rc::new(Cell::new(0));
        for _ in 0..300 {
            let (fired, clock) = (Rc::clone(&fired), event_loop.clone());
            let when = event_loop.time() + Duration::from_nanos(dice.below(20_000_000));
            event_loop.call_at(when, move || assert_fired(&clock, when, &fired)).unwrap();
        }
        for _ in 0..200 {
            step(-i64::try_from(dice.below(1_000_000_000)).unwrap());
            let limit = Duration::from_nanos(dice.below(100_000));
            event_loop.run_once(Some(limit)).unwrap();
            let _ = (event_loop.next_deadline(), event_loop.time());
        }
        // Before the loop was made, by this clock.
        step(-5_000_000_000);
        assert_eq!(event_loop.time(), Duration::ZERO);
        event_loop.run_until_complete(async { yield_now().await }).unwrap();
        // The time that it lost, and more.
        step(400_000_000_000);
        event_loop.run_until_complete(sleep(Duration::from_millis(1))).unwrap();
        assert_eq!(fired.get(), 300);
    }
}

fn assert_fired(clock: &EventLoop, when: Duration, fired: &Cell<u32>) {
    assert!(clock.time() >= when, "it is early");
    fired.set(fired.get() + 1);
}
