//! Outcomes into a channel, so that plain threads can `select!` over loops.

use crossbeam_channel::{Sender, TrySendError};
use perloop_bridge::{CrossThreadFuture, FutureError};

/// Adds [`deliver`](Deliver::deliver) to [`CrossThreadFuture`].
pub trait Deliver<T>: sealed::Sealed {
    /// Sends the outcome, as `wrap` makes it a message, once it is there; it detaches the future. The loop never
    /// blocks: if a bounded channel is full, a thread of its own waits for room. If the receivers are gone the outcome
    /// is dropped.
    ///
    /// ```
    /// use crossbeam_channel::unbounded;
    /// use perloop::{Deliver, LoopThread, run_coroutine_threadsafe};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let (sender, outcomes) = unbounded();
    /// for n in 1..=3 {
    ///     run_coroutine_threadsafe(async move { n * n }, &worker).deliver(&sender, move |square| (n, square));
    /// }
    /// drop(sender);
    /// let mut squares = Vec::new();
    /// for (n, square) in outcomes {
    ///     squares.push((n, square?));
    /// }
    /// squares.sort();
    /// assert_eq!(squares, [(1, 1), (2, 4), (3, 9)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn deliver<U>(self, sender: &Sender<U>, wrap: impl FnOnce(Result<T, FutureError>) -> U + Send + 'static)
    where
        U: Send + 'static;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for perloop_bridge::CrossThreadFuture<T> {}
}

impl<T: Send + 'static> Deliver<T> for CrossThreadFuture<T> {
    fn deliver<U>(self, sender: &Sender<U>, wrap: impl FnOnce(Result<T, FutureError>) -> U + Send + 'static)
    where
        U: Send + 'static,
    {
        let sender = sender.clone();
        self.add_done_callback(move |future| {
            let Some(outcome) = future.try_result() else {
                unreachable!("done callbacks come when it is done")
            };
            send(sender, wrap(outcome));
        });
    }
}

fn send<U: Send + 'static>(sender: Sender<U>, message: U) {
    if let Err(TrySendError::Full(message)) = sender.try_send(message) {
        // Without a thread to spare the message would be lost, so then it does wait here.
        let waiting = std::thread::Builder::new().name("perloop deliver".to_owned());
        drop(waiting.spawn(move || drop(sender.send(message))));
    }
}
