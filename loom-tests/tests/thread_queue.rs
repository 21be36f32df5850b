//! A bounded queue between threads: who puts, who gets, who waits for either, and who gives up.
mod support;

use std::task::Poll;

use bridge::{
    GetBlockingError, PutBlockingError, Spin, ThreadReceiver, ThreadSender, TryGetError, TryPutError,
    thread_queue_with,
};
use loom::thread::{self, JoinHandle};
use support::{Ledger, Shared, TestBell, Value, join_all, model, poll_once, ringing, wait_for};

type Ends = (ThreadSender<Value>, ThreadReceiver<Value>);

fn queue(maxsize: usize) -> (Ledger, Ends) {
    (Ledger::default(), thread_queue_with(maxsize, Spin::Never))
}

/// Puts values of these numbers, in a thread of its own, which blocks when it has to.
fn putter(sender: ThreadSender<Value>, ledger: &Ledger, numbers: &[u32]) -> JoinHandle<()> {
    let values: Vec<_> = numbers.iter().map(|number| ledger.value_of(*number)).collect();
    thread::spawn(move || values.into_iter().for_each(|value| assert!(sender.put_blocking(value).is_ok())))
}

fn got(value: Result<Value, GetBlockingError>) -> u32 {
    value.expect("it is not closed").get()
}

/// Two items, one after the other, and who gets them waits as a thread does.
#[test]
fn puts_against_blocking_gets_come_whole_and_in_order() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(2);
        let other = putter(sender, &ledger, &[1, 2]);
        assert_eq!(got(receiver.get_blocking()), 1);
        assert_eq!(got(receiver.get_blocking()), 2);
        assert_eq!(receiver.get_blocking().err(), Some(GetBlockingError::Closed));
        other.join().unwrap();
        ledger.check();
    });
}

/// As above, and who gets them awaits.
#[test]
fn puts_against_awaited_gets_come_whole_and_in_order() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(2);
        let other = putter(sender, &ledger, &[1, 2]);
        for number in [1, 2] {
            let value = wait_for(async { receiver.get().await });
            assert_eq!(value.ok().unwrap().get(), number);
        }
        assert!(wait_for(async { receiver.get().await }).is_err());
        other.join().unwrap();
        ledger.check();
    });
}

/// There is room for one item: who puts has to wait, as a thread does, and the ring goes round.
#[test]
fn gets_against_blocking_puts_into_a_full_queue_make_room() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(1);
        let other = putter(sender, &ledger, &[1, 2]);
        for number in 1..=2 {
            assert_eq!(got(receiver.get_blocking()), number);
        }
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// As above, and who puts awaits.
#[test]
fn gets_against_awaited_puts_into_a_full_queue_make_room() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(1);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn(move || {
            for value in values {
                assert!(wait_for(async { sender.put(value).await }).is_ok());
            }
        });
        assert_eq!(got(receiver.get_blocking()), 1);
        assert_eq!(got(receiver.get_blocking()), 2);
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// Two who put and one who gets: no item is lost, doubled, or left while somebody waits for it.
#[test]
fn two_putters_against_a_waiting_get_lose_nothing() {
    model(1, || {
        let (ledger, (sender, receiver)) = queue(2);
        let others = [putter(sender.clone(), &ledger, &[1]), putter(sender, &ledger, &[2])];
        let sum = got(receiver.get_blocking()) + got(receiver.get_blocking());
        assert_eq!(sum, 3);
        join_all(others);
        drop(receiver);
        ledger.check();
    });
}

/// One who puts two items and two who wait: both are told.
#[test]
fn two_puts_against_two_waiting_gets_serve_both() {
    model(1, || {
        let (ledger, (sender, receiver)) = queue(2);
        let getters = [receiver.clone(), receiver].map(|receiver| {
            thread::spawn(move || {
                got(receiver.get_blocking());
            })
        });
        for number in [1, 2] {
            assert!(sender.try_put(ledger.value_of(number)).is_ok());
        }
        join_all(getters);
        drop(sender);
        ledger.check();
    });
}

/// A task waits for an item and gives up as it is put: another one that waits gets it.
#[test]
fn a_get_that_gives_up_against_a_put_loses_nothing() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(1);
        let second = receiver.clone();
        let bell = TestBell::new();
        let mut first = receiver.get();
        assert!(poll_once(&mut first, &ringing(&bell)).is_pending());
        let other = thread::spawn(move || {
            got(second.get_blocking());
        });
        let put = putter(sender, &ledger, &[1]);
        drop(first);
        join_all([other, put]);
        drop(receiver);
        ledger.check();
    });
}

/// A task waits for room and gives up as there is some: another one that waits gets it.
#[test]
fn a_put_that_gives_up_against_a_get_leaves_the_room_to_others() {
    model(2, || {
        let (ledger, (sender, receiver)) = queue(1);
        assert!(sender.try_put(ledger.value_of(1)).is_ok());
        let bell = TestBell::new();
        let mut first = sender.put(ledger.value_of(2));
        assert!(poll_once(&mut first, &ringing(&bell)).is_pending());
        let other = putter(sender.clone(), &ledger, &[3]);
        let get = thread::spawn(move || {
            assert_eq!(got(receiver.get_blocking()), 1);
            assert_eq!(got(receiver.get_blocking()), 3);
        });
        drop(first);
        join_all([other, get]);
        drop(sender);
        ledger.check();
    });
}

/// A wait that is polled again by another waker, as an item is put, is told by that one or is ready.
#[test]
fn a_get_that_changes_its_waker_against_a_put_is_told() {
    model(3, || {
        let (ledger, (sender, receiver)) = queue(1);
        let mut get = receiver.get();
        assert!(poll_once(&mut get, &ringing(&TestBell::new())).is_pending());
        let put = putter(sender.clone(), &ledger, &[1]);
        let bell = TestBell::new();
        let value = loop {
            match poll_once(&mut get, &ringing(&bell)) {
                Poll::Ready(value) => break value.unwrap(),
                Poll::Pending => bell.wait(),
            }
        };
        assert_eq!(value.get(), 1);
        drop(value);
        put.join().unwrap();
        drop(get);
        drop((receiver, sender));
        ledger.check();
    });
}

/// A wait that ends by its time, as an item is put: the item is taken, or still there.
#[test]
fn a_get_that_times_out_against_a_put_loses_nothing() {
    model(3, || {
        let (ledger, (sender, receiver)) = queue(1);
        let put = putter(sender.clone(), &ledger, &[1]);
        match receiver.get_timeout(std::time::Duration::ZERO) {
            Ok(value) => assert_eq!(value.get(), 1),
            Err(error) => {
                assert_eq!(error, GetBlockingError::TimedOut);
                assert_eq!(got(receiver.get_blocking()), 1);
            }
        }
        put.join().unwrap();
        drop((sender, receiver));
        ledger.check();
    });
}

/// Each way to close, against one who waits for an item.
#[test]
fn a_close_against_a_waiting_get_ends_it() {
    let ways: [fn(ThreadSender<Value>); 2] = [|sender| sender.close(), drop];
    for close in ways {
        model(3, move || {
            let (_, (sender, receiver)) = queue(1);
            let other = thread::spawn(move || close(sender));
            assert_eq!(receiver.get_blocking().err(), Some(GetBlockingError::Closed));
            other.join().unwrap();
        });
    }
}

/// Each way to close, against one who waits for room: the item comes back.
#[test]
fn a_close_against_a_waiting_put_gives_the_item_back() {
    let ways: [fn(ThreadReceiver<Value>); 2] = [|receiver| receiver.close(), drop];
    for close in ways {
        model(2, move || {
            let (ledger, (sender, receiver)) = queue(1);
            assert!(sender.try_put(ledger.value_of(1)).is_ok());
            let other = thread::spawn(move || close(receiver));
            match sender.put_blocking(ledger.value_of(2)) {
                Err(PutBlockingError::Closed(value)) => assert_eq!(value.get(), 2),
                ended => panic!("{ended:?}"),
            }
            other.join().unwrap();
            drop(sender);
            ledger.check();
        });
    }
}

/// An item that was taken before the close is got, however late; one that was refused comes back.
#[test]
fn a_put_against_a_close_is_got_or_comes_back() {
    model(3, || {
        let (ledger, (sender, receiver)) = queue(1);
        let closer = sender.clone();
        let other = thread::spawn(move || closer.close());
        let was_put = match sender.try_put(ledger.value_of(1)) {
            Ok(()) => true,
            Err(TryPutError::Closed(value)) => value.get() == 0,
            Err(TryPutError::Full(_)) => panic!("there is room"),
        };
        assert_eq!(receiver.get_blocking().is_ok(), was_put);
        other.join().unwrap();
        assert_eq!(receiver.try_get().err(), Some(TryGetError::Closed));
        drop(sender);
        ledger.check();
    });
}

/// Who is told that the queue is closed sees what was done before it was.
#[test]
fn who_is_refused_sees_what_was_before_the_close() {
    model(3, || {
        let (ledger, (sender, receiver)) = queue(1);
        let (closer, before) = (sender.clone(), Shared::new());
        let other = thread::spawn({
            let before = before.clone();
            move || {
                before.add();
                closer.close();
            }
        });
        if receiver.try_get().err() == Some(TryGetError::Closed) {
            assert_eq!(before.get(), 1);
        }
        if let Err(TryPutError::Closed(_)) = sender.try_put(ledger.value_of(1)) {
            assert_eq!(before.get(), 1);
        }
        if receiver.is_closed() {
            assert_eq!(before.get(), 1);
        }
        other.join().unwrap();
        drop((sender, receiver));
        ledger.check();
    });
}

/// The last receiver goes as an item is put: whoever has it drops it.
#[test]
fn a_put_against_the_last_receivers_end_leaves_nothing() {
    model(3, || {
        let (ledger, (sender, receiver)) = queue(2);
        assert!(sender.try_put(ledger.value_of(1)).is_ok());
        let value = ledger.value_of(2);
        let other = thread::spawn(move || drop(sender.try_put(value)));
        drop(receiver);
        other.join().unwrap();
        ledger.check();
    });
}
