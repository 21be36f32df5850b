//! A queue under load: more threads, more rounds and real time, which the models have not.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use perloop_bridge::{
    GetBlockingError, PutBlockingError, ThreadReceiver, ThreadSender, TryGetError, TryPutError, thread_queue,
};

const ITEMS: usize = if cfg!(miri) { 50 } else { 20_000 };
const PUTTERS: usize = 3;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls now and then only a few times, and begins anew: waits that are given up half-way.
fn wait_impatiently<F: Future>(make: impl Fn() -> F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        let mut future = pin!(make());
        for _ in 0..3 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park_timeout(Duration::from_micros(50));
        }
    }
}

type Item = (usize, usize, Counted);

/// How many there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

type Put = fn(&ThreadSender<Item>, Item);
type Get = fn(&ThreadReceiver<Item>) -> Option<Item>;

fn put_with_try(sender: &ThreadSender<Item>, mut item: Item) {
    while let Err(error) = sender.try_put(item) {
        assert!(matches!(error, TryPutError::Full(_)));
        item = error.into_inner();
        thread::yield_now();
    }
}

fn put_with_timeout(sender: &ThreadSender<Item>, mut item: Item) {
    while let Err(error) = sender.put_timeout(item, Duration::from_micros(20)) {
        assert!(matches!(error, PutBlockingError::TimedOut(_)));
        item = error.into_inner();
    }
}

fn get_with_timeout(receiver: &ThreadReceiver<Item>) -> Option<Item> {
    loop {
        match receiver.get_timeout(Duration::from_micros(20)) {
            Ok(item) => return Some(item),
            Err(GetBlockingError::Closed) => return None,
            Err(error) => assert_eq!(error, GetBlockingError::TimedOut),
        }
    }
}

const PUTS: [Put; 4] = [
    |sender, item| assert!(sender.put_blocking(item).is_ok()),
    |sender, item| assert!(wait_for(sender.put(item)).is_ok()),
    put_with_try,
    put_with_timeout,
];

const GETS: [Get; 4] = [
    |receiver| receiver.get_blocking().ok(),
    |receiver| wait_for(receiver.get()).ok(),
    |receiver| wait_impatiently(|| receiver.get()).ok(),
    get_with_timeout,
];

/// Each item arrives once, those of one putter in order at one getter, and none is left.
fn each_item_arrives_once(maxsize: usize, puts: &[Put], gets: &[Get]) {
    let count = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = thread_queue::<Item>(maxsize);
    let putters: Vec<_> = (0..PUTTERS)
        .map(|putter| {
            let (sender, count, put) = (sender.clone(), Arc::clone(&count), puts[putter % puts.len()]);
            thread::spawn(move || {
                (0..ITEMS).for_each(|number| put(&sender, (putter, number, Counted::new(&count))));
            })
        })
        .collect();
    drop(sender);
    let getters: Vec<_> = gets
        .iter()
        .map(|get| {
            let (receiver, get) = (receiver.clone(), *get);
            thread::spawn(move || {
                let (mut last, mut sum, mut items) = (HashMap::new(), 0, 0);
                while let Some((putter, number, _)) = get(&receiver) {
                    let before = last.insert(putter, number);
                    assert!(before.is_none_or(|before| before < number), "out of order");
                    (sum, items) = (sum + number, items + 1);
                }
                (sum, items)
            })
        })
        .collect();
    putters.into_iter().for_each(|putter| putter.join().unwrap());
    let got = getters.into_iter().map(|getter| getter.join().unwrap());
    let (sum, items) = got.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert_eq!((sum, items), (PUTTERS * (ITEMS * (ITEMS - 1) / 2), PUTTERS * ITEMS));
    assert_eq!(count.load(Relaxed), 0);
}

#[test]
fn each_item_arrives_once_whoever_waits_in_whatever_way() {
    for maxsize in [1, 2, 3, 100] {
        each_item_arrives_once(maxsize, &PUTS, &GETS);
    }
}

#[test]
fn each_item_arrives_once_at_one_getter_of_each_way() {
    for get in GETS {
        each_item_arrives_once(5, &PUTS, &[get]);
    }
}

#[test]
fn what_is_left_is_dropped_with_the_last_receiver_or_the_queue() {
    let count = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = thread_queue(3);
    for _ in 0..3 {
        assert!(sender.try_put(Counted::new(&count)).is_ok());
    }
    let second = receiver.clone();
    drop(receiver);
    assert_eq!((count.load(Relaxed), sender.is_closed()), (3, false));
    drop(second);
    assert_eq!((count.load(Relaxed), sender.is_closed()), (0, true));
    assert!(sender.try_put(Counted::new(&count)).is_err_and(|error| matches!(error, TryPutError::Closed(_))));
    assert_eq!(count.load(Relaxed), 0);
}

#[test]
fn a_queue_that_goes_round_often_is_full_and_empty_when_it_should_be() {
    for maxsize in 1..=9 {
        let (sender, receiver) = thread_queue(maxsize);
        for round in 0..20 {
            for number in 0..maxsize {
                assert_eq!(sender.len(), number);
                assert!(sender.try_put(number).is_ok());
            }
            assert_eq!(sender.try_put(99), Err(TryPutError::Full(99)));
            // So that it begins at another place the next time.
            for number in 0..maxsize {
                assert_eq!(receiver.try_get(), Ok(number));
            }
            assert_eq!(receiver.try_get(), Err(TryGetError::Empty));
            if round % 2 == 0 {
                sender.try_put(0).unwrap();
                receiver.try_get().unwrap();
            }
        }
    }
}

#[test]
fn an_item_whose_destructor_panics_leaves_the_others_their_end() {
    struct Bomb(#[expect(dead_code, reason = "it is dropped")] Counted, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.1, "meant by the test");
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = thread_queue(3);
    for panics in [false, true, false] {
        assert!(sender.try_put(Bomb(Counted::new(&count), panics)).is_ok());
    }
    drop(receiver);
    assert_eq!(count.load(Relaxed), 0);
}
