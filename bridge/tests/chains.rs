//! Long chains, on a small stack.

use std::thread;

use perloop_bridge::{CrossThreadFuture, Promise};

const LENGTH: usize = 200_000;

/// The value of each future is the next one.
struct Link(#[expect(dead_code, reason = "it is there to be dropped")] Option<CrossThreadFuture<Link>>);

fn on_a_small_stack(act: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(128 * 1024).spawn(act).unwrap().join().unwrap();
}

fn chain() -> Link {
    (0..LENGTH).fold(Link(None), |last, _| {
        let (mut promise, future) = Promise::new();
        promise.set_result(last).unwrap_or_else(|_| unreachable!("set once"));
        Link(Some(future))
    })
}

/// Each value's destructor drops the last handle of the next: freed one inside of the other they would use up the
/// stack.
#[test]
fn a_long_chain_of_values_is_dropped() {
    on_a_small_stack(|| drop(chain()));
}

/// As many callbacks on one future, which are called one after the other.
#[test]
fn many_callbacks_are_called() {
    let (send, receive) = std::sync::mpsc::channel();
    on_a_small_stack(move || {
        let (mut promise, future) = Promise::new();
        for number in 0..LENGTH {
            let send = send.clone();
            future.add_done_callback(move |_| send.send(number).unwrap());
        }
        promise.set_result(()).unwrap();
    });
    assert!(receive.iter().eq(0..LENGTH));
}
