//! Wrong protocols in miniature. Each was somebody's bug, and has to fail, for its own reason; what the bridge does
//! instead passes. They show that the models can see the bugs that they are there for.
mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool as Unwatched;

use bridge::Bell;
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::thread::{self, JoinHandle};
use support::{Ledger, Shared, TestBell, Value, fails, join_all, model};

const HANGS: &[&str] = &["deadlock"];
const RACES: &[&str] = &["Causality violation"];
const USED_AFTER_FREE: &[&str] = &["Causality violation", "used after it was freed"];

/// Runs something of two threads that share it.
fn spawn<T: Send + Sync + 'static>(shared: &Arc<T>, run: impl FnOnce(&T) + Send + 'static) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || run(&shared))
}

/// A loop that says that it sleeps by a store, and not by a read-modify-write, writes over what came meanwhile.
#[test]
fn a_sleep_that_is_stored_loses_a_push() {
    const AWAKE: usize = 0;
    const ASLEEP: usize = 1;
    const NODE: usize = 2;
    fn sleeping(fall_asleep: fn(&AtomicUsize) -> bool) -> impl Fn() + Send + Sync + 'static {
        move || {
            let shared = Arc::new((AtomicUsize::new(AWAKE), TestBell::new()));
            let producer = spawn(&shared, |(word, bell)| {
                if word.swap(NODE, AcqRel) != AWAKE {
                    bell.ring();
                }
            });
            let (word, bell) = &*shared;
            if word.load(Acquire) == AWAKE && fall_asleep(word) {
                bell.wait();
            }
            assert_eq!(word.swap(AWAKE, AcqRel), NODE, "the push is lost");
            producer.join().unwrap();
        }
    }
    fails(
        2,
        &["the push is lost", "deadlock"],
        sleeping(|word| {
            word.store(ASLEEP, Release);
            true
        }),
    );
    model(2, sleeping(|word| word.compare_exchange(AWAKE, ASLEEP, AcqRel, Acquire).is_ok()));
}

/// A flag for "there is work" and one for "I sleep": each side writes its own and reads the other's, and both may read
/// the old value. It takes read-modify-writes of both, or one word.
#[test]
fn a_sleep_by_two_relaxed_flags_loses_a_push() {
    #[derive(Default)]
    struct Flags {
        has_work: AtomicBool,
        sleeps: AtomicBool,
    }
    fn sleeping(set: fn(&AtomicBool), get: fn(&AtomicBool) -> bool) -> impl Fn() + Send + Sync + 'static {
        move || {
            let shared = Arc::new((Flags::default(), TestBell::new()));
            let producer = spawn(&shared, move |(flags, bell)| {
                set(&flags.has_work);
                if get(&flags.sleeps) {
                    bell.ring();
                }
            });
            let (flags, bell) = &*shared;
            set(&flags.sleeps);
            if !get(&flags.has_work) {
                bell.wait();
            }
            producer.join().unwrap();
        }
    }
    fails(2, HANGS, sleeping(|flag| flag.store(true, Relaxed), |flag| flag.load(Relaxed)));
    fails(2, HANGS, sleeping(|flag| flag.store(true, Release), |flag| flag.load(Acquire)));
    let raise = |flag: &AtomicBool| {
        flag.swap(true, AcqRel);
    };
    model(2, sleeping(raise, |flag| flag.fetch_or(false, AcqRel)));
}

/// compio #948: a wake that finds another waker still inside of its push takes the task for scheduled, though its node
/// was taken and polled meanwhile.
#[test]
fn a_wake_that_is_skipped_for_a_push_in_progress_is_lost() {
    const SCHEDULED: usize = 1;
    const SCHEDULING: usize = 2;
    #[derive(Default)]
    struct Task {
        word: AtomicUsize,
        queue: AtomicUsize,
        events: AtomicUsize,
    }
    fn waking(skip: usize) -> impl Fn() + Send + Sync + 'static {
        move || {
            let shared = Arc::new((Task::default(), TestBell::new()));
            let wakers = [(); 2].map(|()| {
                spawn(&shared, move |(task, bell)| {
                    task.events.fetch_add(1, AcqRel);
                    if task.word.fetch_or(SCHEDULED | SCHEDULING, AcqRel) & skip == 0 {
                        task.queue.fetch_add(1, AcqRel);
                        bell.ring();
                        task.word.fetch_and(!SCHEDULING, AcqRel);
                    }
                })
            });
            let (task, bell) = &*shared;
            while task.events.load(Acquire) < 2 {
                bell.wait();
                if task.queue.swap(0, AcqRel) > 0 {
                    task.word.fetch_and(!SCHEDULED, AcqRel);
                }
            }
            join_all(wakers);
        }
    }
    fails(2, HANGS, waking(SCHEDULED | SCHEDULING));
    model(2, waking(SCHEDULED));
}

/// tokio #7622: a wake that finds the task scheduled, and leaves without writing, publishes nothing.
#[test]
fn a_wake_that_only_reads_that_it_is_scheduled_publishes_nothing() {
    fn waking(set_scheduled: fn(&AtomicBool)) -> impl Fn() + Send + Sync + 'static {
        move || {
            let scheduled = Arc::new(AtomicBool::new(false));
            let writers = [(); 2].map(|()| {
                let (cell, has_woken) = (Shared::new(), Arc::new(Unwatched::new(false)));
                let (written, woken) = (cell.clone(), Arc::clone(&has_woken));
                let waker = spawn(&scheduled, move |scheduled| {
                    written.add();
                    set_scheduled(scheduled);
                    woken.store(true, Relaxed);
                });
                (cell, has_woken, waker)
            });
            while !writers.iter().all(|(_, has_woken, _)| has_woken.load(Relaxed)) {
                thread::yield_now();
            }
            assert!(scheduled.swap(false, AcqRel));
            for (cell, _, waker) in writers {
                assert_eq!(cell.get(), 1);
                waker.join().unwrap();
            }
        }
    }
    fails(
        2,
        RACES,
        waking(|scheduled| {
            if !scheduled.load(Acquire) {
                scheduled.store(true, Release);
            }
        }),
    );
    model(
        2,
        waking(|scheduled| {
            scheduled.swap(true, AcqRel);
        }),
    );
}

/// A bell that rings once for several rings, by a flag: a ring that finds the flag up writes nothing, so nothing that was
/// stored before it need be seen by who takes the flag down. It takes read-modify-writes of what is announced.
#[test]
fn a_bell_by_a_flag_loses_what_is_only_stored() {
    type Announce = fn(&AtomicUsize);
    fn ringing(announce: Announce, take: fn(&AtomicUsize) -> usize) -> impl Fn() + Send + Sync + 'static {
        move || {
            let shared = Arc::new((support::Coalescing::new(), [AtomicUsize::new(0), AtomicUsize::new(0)]));
            let producers = [0, 1].map(|index| {
                spawn(&shared, move |(bell, words)| {
                    announce(&words[index]);
                    bell.ring();
                })
            });
            let (bell, words) = &*shared;
            let mut left = 2;
            while left > 0 {
                bell.wait();
                left -= words.iter().map(take).sum::<usize>();
            }
            join_all(producers);
        }
    }
    fn look_then_clear(word: &AtomicUsize) -> usize {
        let seen = word.load(Acquire);
        if seen > 0 {
            word.store(0, Relaxed);
        }
        seen
    }
    fails(3, HANGS, ringing(|word| word.store(1, Release), look_then_clear));
    let add = |word: &AtomicUsize| {
        word.fetch_add(1, AcqRel);
    };
    model(3, ringing(add, |word| word.swap(0, AcqRel)));
}

/// An allocation, and a witness of its life if loom is to see its end.
struct Slot {
    alive: Option<UnsafeCell<bool>>,
    word: AtomicUsize,
}

// SAFETY: loom watches.
unsafe impl Sync for Slot {}

impl Slot {
    fn new(is_watched: bool, word: usize) -> Arc<Self> {
        Arc::new(Self { alive: is_watched.then(|| UnsafeCell::new(true)), word: AtomicUsize::new(word) })
    }

    /// Uses what is inside.
    fn touch(&self) {
        if let Some(alive) = &self.alive {
            // SAFETY: loom watches.
            alive.with(|alive| assert!(unsafe { *alive }, "used after it was freed"));
        }
    }

    fn free(&self) {
        self.touch();
        if let Some(alive) = &self.alive {
            // SAFETY: loom watches.
            alive.with_mut(|alive| unsafe { *alive = false });
        }
    }
}

/// Two threads and a slot: the wrong one fails if the slot has its witness, and passes without, as loom sees no freed
/// memory. The right one passes.
fn frees_too_early(start: usize, wrong: fn(&Slot), right: fn(&Slot), other: fn(&Slot)) {
    let both = move |one: fn(&Slot), is_watched| {
        move || {
            let slot = Slot::new(is_watched, start);
            let thread = spawn(&slot, other);
            one(&slot);
            thread.join().unwrap();
        }
    };
    fails(3, USED_AFTER_FREE, both(wrong, true));
    model(3, both(wrong, false));
    model(3, both(right, true));
}

const SHARED: usize = 1;

/// RUSTSEC-2026-0005: one side gives its share up and takes its waker out of the slot afterwards.
#[test]
fn a_waker_that_is_taken_after_the_share_is_given_up_is_used_after_free() {
    fn give_up(slot: &Slot) {
        if slot.word.swap(0, AcqRel) != SHARED {
            slot.free();
        }
    }
    frees_too_early(
        SHARED,
        |slot| {
            if slot.word.swap(0, AcqRel) == SHARED {
                slot.touch();
            } else {
                slot.free();
            }
        },
        |slot| {
            slot.touch();
            give_up(slot);
        },
        give_up,
    );
}

/// oneshot #87: the receiver is dropped while the sender is inside of its waker, and frees the slot that the sender
/// comes back to.
#[test]
fn a_slot_that_is_freed_while_its_waker_runs_is_used_after_free() {
    const WAITING: usize = 0;
    const WAKING: usize = 1;
    const DROPPED: usize = 2;
    const DONE: usize = 3;
    fn wake(slot: &Slot) {
        if slot.word.swap(WAKING, AcqRel) == DROPPED {
            return slot.free();
        }
        thread::yield_now();
        slot.touch();
        if slot.word.swap(DONE, AcqRel) == DROPPED {
            slot.free();
        }
    }
    frees_too_early(
        WAITING,
        |slot| {
            if slot.word.swap(DROPPED, AcqRel) != WAITING {
                slot.free();
            }
        },
        |slot| {
            if slot.word.swap(DROPPED, AcqRel) == DONE {
                slot.free();
            }
        },
        wake,
    );
}

/// A count whose decrements order nothing: the last one frees what another still reads. Nothing but the witness tells.
#[test]
fn a_relaxed_count_of_references_frees_what_is_in_use() {
    fn release(slot: &Slot, ordering: Ordering) {
        slot.touch();
        if slot.word.fetch_sub(1, ordering) == 1 {
            slot.free();
        }
    }
    frees_too_early(
        2,
        |slot| release(slot, Relaxed),
        |slot| release(slot, AcqRel),
        |slot| release(slot, AcqRel),
    );
}

/// libuv #2226: a pusher that rings after its push, by the loop's own bell and without a reference to it, rings what the
/// loop has freed, if that took the node for another reason.
#[test]
fn a_ring_without_a_reference_rings_what_is_gone() {
    const NODE: usize = 1 << 8;
    fn turn_and_close(slot: &Slot) {
        while slot.word.fetch_and(!NODE, AcqRel) & NODE == 0 {
            thread::yield_now();
        }
        release(slot);
    }
    fn release(slot: &Slot) {
        if slot.word.fetch_sub(1, AcqRel) == 1 {
            slot.free();
        }
    }
    frees_too_early(
        1,
        |slot| {
            slot.word.fetch_or(NODE, AcqRel);
            slot.touch();
        },
        |slot| {
            slot.word.fetch_add(1, Relaxed);
            slot.word.fetch_or(NODE, AcqRel);
            slot.touch();
            release(slot);
        },
        turn_and_close,
    );
}

/// A close that reads the list and shuts the door afterwards drops neither nor refuses what comes between.
#[test]
fn a_close_that_does_not_swap_loses_a_push() {
    const EMPTY: usize = 0;
    const CLOSED: usize = 1;
    type Node = Arc<std::sync::Mutex<Option<Value>>>;
    fn closing(close: fn(&AtomicUsize) -> usize) -> impl Fn() + Send + Sync + 'static {
        move || {
            let ledger = Ledger::default();
            let node: Node = Arc::new(std::sync::Mutex::new(Some(ledger.value())));
            let word = Arc::new(AtomicUsize::new(EMPTY));
            let mine = Arc::clone(&node);
            let pusher = spawn(&word, move |word| {
                if word.compare_exchange(EMPTY, 2, AcqRel, Acquire).is_err() {
                    drop(mine.lock().unwrap().take());
                }
            });
            if close(&word) != EMPTY {
                drop(node.lock().unwrap().take());
            }
            pusher.join().unwrap();
            assert_eq!(ledger.dropped(), 1, "neither taken nor refused");
            ledger.check();
        }
    }
    fails(
        2,
        &["neither taken nor refused"],
        closing(|word| {
            let head = word.load(Acquire);
            word.store(CLOSED, Release);
            head
        }),
    );
    model(2, closing(|word| word.swap(CLOSED, AcqRel)));
}
