//! A future whose panic is an error.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use perloop_bridge::Panicked;

use crate::event_loop::run_callback;

/// Runs a future, and gives a panic of it as an error. It has been dropped then.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(Some(future));
    poll_fn(|cx| {
        let inner = future.as_mut().as_pin_mut().expect("polled after it was ready");
        let ended = match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(Panicked::new(payload)),
        };
        // What its destructors throw must not keep the caller from going on.
        run_callback(|| future.set(None));
        Poll::Ready(ended)
    })
    .await
}
