//! Witnesses: who hears of an end without having the future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use perloop_bridge::{Promise, drop_cancelled};

/// The task that awaits a witness is cancelled: what it heard of is not.
#[test]
fn a_witness_whose_task_is_cancelled_cancels_nothing() {
    let (mut promise, future) = Promise::new();
    let mut witness = future.witness();
    assert!(Pin::new(&mut witness).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop_cancelled(|| drop(witness));
    assert_eq!((promise.set_result(()), future.result()), (Ok(()), Ok(())));
}
