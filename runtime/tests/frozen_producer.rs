//! A producer that is taken off its core in the middle of a push, wherever that is: a signal handler holds it there.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_types, reason = "what a signal handler reaches is static")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use perloop::new_event_loop;

/// The system's allocator has locks, in which the producer may be frozen as well. This one gives each thread its own
/// memory, and takes nothing back.
struct Bump;

const CHUNK: usize = 4 << 20;

thread_local! {
    /// Where this thread's memory goes on, and how much of it is left.
    static REST: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: each part of a chunk is given away once, to one thread, aligned.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (mut at, mut left) = REST.get();
        let mut padding = at.wrapping_neg() % layout.align();
        if padding + layout.size() > left {
            (at, left) = (new_chunk(), CHUNK);
            padding = 0;
        }
        let taken = padding + layout.size();
        REST.set((at + taken, left - taken));
        std::ptr::with_exposed_provenance_mut(at + padding)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// Memory of the system's, aligned to a page.
fn new_chunk() -> usize {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: it maps new memory, and nothing in the place of anything.
    let chunk = unsafe { libc::mmap(std::ptr::null_mut(), CHUNK, access, kind, -1, 0) };
    if chunk == libc::MAP_FAILED { std::process::abort() } else { chunk.expose_provenance() }
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

const FREE: u32 = 0;
const FROZEN: u32 = 1;
static PRODUCER: AtomicU32 = AtomicU32::new(FREE);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

/// Holds the thread that it interrupts, at the very instruction.
extern "C" fn freeze(_: libc::c_int) {
    PRODUCER.store(FROZEN, SeqCst);
    while !MAY_GO_ON.load(SeqCst) {
        // SAFETY: it is async-signal-safe.
        unsafe { libc::sched_yield() };
    }
    PRODUCER.store(FREE, SeqCst);
}

fn install() {
    // SAFETY: zeroed bytes are a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = freeze as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler makes async-signal-safe calls only.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()) }, 0);
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

/// One producer is frozen at some instruction of its pushes, and others push a thousand calls: the loop runs them all, and
/// has nothing to do then. A queue in which a place is reserved before it is filled has a hole there, before which the
/// loop waits, or spins.
#[test]
fn t_producer_frozen_mid_push() {
    install();
    let event_loop = new_event_loop().unwrap();
    let (ran, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (handle, over) = (event_loop.handle(), Arc::clone(&is_over));
    let producer = thread::spawn(move || {
        // As long as there is memory for it; after that it is frozen while it does nothing.
        for _ in 0..300_000 {
            handle.call_soon_threadsafe(|| ()).unwrap();
        }
        wait_until(|| over.load(SeqCst));
    });
    for round in 1..=100 {
        MAY_GO_ON.store(false, SeqCst);
        // SAFETY: the thread has not been joined.
        assert_eq!(unsafe { libc::pthread_kill(producer.as_pthread_t(), libc::SIGUSR2) }, 0);
        wait_until(|| PRODUCER.load(SeqCst) == FROZEN);
        let others = [0; 4].map(|_| {
            let (handle, ran) = (event_loop.handle(), Arc::clone(&ran));
            thread::spawn(move || {
                for _ in 0..250 {
                    let ran = Arc::clone(&ran);
                    handle.call_soon_threadsafe(move || _ = ran.fetch_add(1, SeqCst)).unwrap();
                }
            })
        });
        others.into_iter().for_each(|other| other.join().unwrap());
        // It may have been about to ring, so the loop waits for a while at the most, as for a timer.
        while ran.load(SeqCst) < 1_000 * round || event_loop.next_deadline().is_some() {
            event_loop.run_once(Some(Duration::from_millis(1))).unwrap();
        }
        assert_eq!((ran.load(SeqCst), PRODUCER.load(SeqCst)), (1_000 * round, FROZEN));
        MAY_GO_ON.store(true, SeqCst);
        wait_until(|| PRODUCER.load(SeqCst) == FREE);
        // For a moment it pushes on.
        event_loop.run_once(Some(Duration::from_millis(1))).unwrap();
    }
    is_over.store(true, SeqCst);
    producer.join().unwrap();
}
