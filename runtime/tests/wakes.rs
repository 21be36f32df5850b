//! What a wake does, and what it never does.
#![expect(clippy::disallowed_types, reason = "a lock is what a waker may hold")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use perloop::{EventLoop, create_task, new_event_loop, yield_now};

/// A task that waits for ever and counts its polls, under a lock that it takes for that; and its waker.
struct Sleeper {
    polls: Rc<Cell<u32>>,
    lock: Arc<Mutex<()>>,
    waker: Waker,
}

impl Sleeper {
    /// Polled once.
    fn new(event_loop: &EventLoop) -> Self {
        let (polls, lock) = (Rc::new(Cell::new(0)), Arc::new(Mutex::new(())));
        let slot = Rc::new(RefCell::new(None));
        let (counted, locked, out) = (Rc::clone(&polls), Arc::clone(&lock), Rc::clone(&slot));
        let sleeps = std::future::poll_fn(move |cx| {
            let _held = locked.try_lock().expect("polled under the lock that its waker holds");
            counted.set(counted.get() + 1);
            out.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            Poll::<()>::Pending
        });
        drop(event_loop.create_task(sleeps).unwrap());
        turn(event_loop);
        let waker = slot.take().unwrap();
        Self { polls, lock, waker }
    }

    /// Wakes it in every way, with its lock held.
    fn wake(&self) {
        let before = self.polls.get();
        let held = self.lock.lock().unwrap();
        self.waker.wake_by_ref();
        let owned = self.waker.clone();
        owned.wake();
        drop(held);
        assert_eq!(self.polls.get(), before, "the wake has polled");
    }
}

fn turn(event_loop: &EventLoop) {
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
}

/// A wake queues a step and nothing more, wherever it comes from: a task that was polled on the waker's stack would meet
/// the locks that the waker holds. So many wakes lead to one poll.
#[test]
fn t_wake_never_polls() {
    let event_loop = new_event_loop().unwrap();
    let sleeper = Rc::new(Sleeper::new(&event_loop));
    let mut expected = 1;
    let mut play = |wakes: &dyn Fn()| {
        wakes();
        turn(&event_loop);
        turn(&event_loop);
        expected += 1;
        assert_eq!(sleeper.polls.get(), expected);
    };
    // Outside of any turn.
    play(&|| sleeper.wake());
    let in_task = || {
        let sleeper = Rc::clone(&sleeper);
        event_loop.create_task(async move { sleeper.wake() }).unwrap();
    };
    play(&in_task);
    let in_callback = || {
        let sleeper = Rc::clone(&sleeper);
        event_loop.call_soon(move || sleeper.wake()).unwrap();
    };
    play(&in_callback);
    let in_timer = || {
        let sleeper = Rc::clone(&sleeper);
        event_loop.call_later(Duration::ZERO, move || sleeper.wake()).unwrap();
    };
    play(&in_timer);
    let in_destructor = || {
        struct Wakes(Rc<Sleeper>);
        impl Drop for Wakes {
            fn drop(&mut self) {
                self.0.wake();
            }
        }
        let wakes = Wakes(Rc::clone(&sleeper));
        event_loop.call_soon(move || drop(wakes)).unwrap().cancel();
    };
    play(&in_destructor);
    // Elsewhere, while this thread does nothing.
    let elsewhere = || {
        let (waker, lock) = (sleeper.waker.clone(), Arc::clone(&sleeper.lock));
        let wakes = move || {
            let _held = lock.lock().unwrap();
            waker.wake_by_ref();
            waker.wake();
        };
        thread::spawn(wakes).join().unwrap();
    };
    play(&elsewhere);
}

/// Nor does the end of a submission poll who awaits it, on whichever loop: it wakes it.
#[test]
fn an_end_does_not_poll_who_awaits_it() {
    let event_loop = new_event_loop().unwrap();
    let (mut promise, future) = perloop::Promise::new();
    let is_awake = Rc::new(Cell::new(false));
    let woken = Rc::clone(&is_awake);
    let awaits = async move {
        assert_eq!(future.await, Ok(1));
        woken.set(true);
    };
    drop(event_loop.create_task(awaits).unwrap());
    turn(&event_loop);
    promise.set_result(1).unwrap();
    assert!(!is_awake.get());
    turn(&event_loop);
    assert!(is_awake.get());
}

/// A task that wakes itself is polled once in each turn, behind the others.
#[test]
fn a_task_that_wakes_itself_is_polled_in_the_next_turn() {
    let event_loop = new_event_loop().unwrap();
    let (send, receive) = mpsc::channel();
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let main = async move {
        let busy = create_task(std::future::poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        yield_now().await;
        for turns in 1..=10 {
            send.send((polls.get(), turns)).unwrap();
            yield_now().await;
        }
        busy.cancel();
    };
    event_loop.run_until_complete(main).unwrap();
    assert!(receive.iter().all(|(polls, turns)| polls == turns));
}
