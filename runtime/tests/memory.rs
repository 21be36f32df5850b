//! Memory that is asked for and given back, counted for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use perloop::{EventLoop, new_event_loop, sleep, yield_now};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // In a thread that is ending nobody counts.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: it hands everything on to the system's allocator, as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes more this thread has after `act` than before.
fn growth(act: impl FnOnce()) -> isize {
    let before = LIVE.get();
    act();
    LIVE.get() - before
}

fn arm(event_loop: &EventLoop) -> perloop::TimerHandle {
    event_loop.call_later(Duration::from_secs(3600), || panic!("cancelled")).unwrap()
}

/// A million timers that are armed for an hour and cancelled leave nothing for that hour: neither one after the other,
/// beside some that stay, nor as sleeps that are given up.
#[test]
fn t_1e6_cancelled_timers() {
    let event_loop = new_event_loop().unwrap();
    let stay: Vec<_> = (0..10).map(|_| arm(&event_loop)).collect();
    let grown = growth(|| (0..1_000_000).for_each(|_| arm(&event_loop).cancel()));
    assert!(grown < 256 * 1024, "{grown} bytes");
    let sleeps = async {
        for _ in 0..50_000 {
            let mut nap = std::pin::pin!(sleep(Duration::from_secs(3600)));
            let poll =
                |cx: &mut std::task::Context<'_>| std::task::Poll::Ready(nap.as_mut().poll(cx).is_pending());
            assert!(std::future::poll_fn(poll).await);
        }
    };
    let grown = growth(|| event_loop.run_until_complete(sleeps).unwrap());
    assert!(grown < 256 * 1024, "{grown} bytes");
    assert_eq!(event_loop.next_deadline(), stay.first().map(perloop::TimerHandle::when));
}

/// Of many that wait at once and are cancelled, what they wait for is dropped at once, and their places are used again:
/// a second crowd takes no more than the first.
#[test]
fn a_second_crowd_of_timers_takes_no_more_memory_than_the_first() {
    let event_loop = new_event_loop().unwrap();
    let crowd = || {
        let timers: Vec<_> = (0..100_000).map(|_| arm(&event_loop)).collect();
        timers.iter().for_each(perloop::TimerHandle::cancel);
        assert_eq!(event_loop.next_deadline(), None);
    };
    let first = growth(crowd);
    // A place in the heap, one in the slots and one in the list of free ones.
    assert!(first < 100_000 * 120, "{first} bytes");
    let second = growth(crowd);
    assert!(second <= first / 100, "{second} bytes after {first}");
}

/// Tasks that end leave nothing, whether somebody holds on to the loop or not.
#[test]
fn tasks_that_end_leave_nothing() {
    let event_loop = new_event_loop().unwrap();
    let crowd = || {
        for _ in 0..10_000 {
            drop(event_loop.create_task(async { yield_now().await }).unwrap());
        }
        event_loop.run_until_complete(sleep(Duration::from_micros(1))).unwrap();
    };
    crowd();
    let grown = growth(crowd);
    assert!(grown < 256 * 1024, "{grown} bytes");
}
