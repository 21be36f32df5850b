//! How much of the memory that a burst needs is kept when it is over.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

use perloop::{LoopThread, run_coroutine_threadsafe};

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: it hands everything on to the system's allocator, as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size().cast_signed(), Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size().cast_signed(), Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURST: u64 = 200_000;

fn burst(worker: &LoopThread) -> isize {
    let handles: Vec<_> = (0..BURST).map(|n| run_coroutine_threadsafe(async move { n }, worker)).collect();
    let most = LIVE.load(Relaxed);
    let sum: u64 = handles.into_iter().map(|handle| handle.result().unwrap()).sum();
    assert_eq!(sum, BURST * (BURST - 1) / 2);
    most
}

/// A burst of submissions whose handles are all kept, from this thread or from one that ends: when they are gone, so is
/// their memory, but for a bounded stock; and the next burst does not add to it.
#[test]
fn what_a_burst_needed_is_given_back_after_it() {
    const STOCK: isize = 8 << 20;
    let before = LIVE.load(Relaxed);
    for _ in 0..3 {
        let worker = LoopThread::spawn("worker").unwrap();
        let most = burst(&worker) - before;
        assert!(most > 2 * STOCK, "the burst is large enough to tell: {most} bytes");
        std::thread::scope(|scope| {
            scope.spawn(|| burst(&worker));
        });
        drop(worker);
        let kept = LIVE.load(Relaxed) - before;
        assert!(kept < STOCK, "{kept} bytes are kept of {most}");
    }
}
