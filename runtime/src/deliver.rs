//! Outcomes into a channel, so that plain threads can `select!` over loops.

use crossbeam_channel::{Sender, TrySendError};
use perloop_bridge::{CrossThreadFuture, FutureError};

/// Adds [`deliver`](Deliver::deliver) to [`CrossThreadFuture`], so that a plain thread can `select!` over several
/// loops and whatever else it receives.
///
/// Nothing else implements it.
///
/// # Examples
/// ```
/// use crossbeam_channel::{never, select, unbounded};
/// use perloop::{Deliver, LoopThread, run_coroutine_threadsafe};
///
/// let worker = LoopThread::spawn("worker")?;
/// let (sender, outcomes) = unbounded();
/// run_coroutine_threadsafe(async { 6 * 7 }, &worker).deliver(&sender, |outcome| outcome);
/// let other_news = never::<()>();
/// select! {
///     recv(outcomes) -> outcome => assert_eq!(outcome?, Ok(42)),
///     recv(other_news) -> _ => unreachable!("it never comes"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Deliver<T>: sealed::Sealed {
    /// Sends the outcome, as `wrap` makes it a message, once it is there; it detaches the future. The loop never
    /// blocks: for each outcome that finds a bounded channel full, a thread of its own waits for room, so give the
    /// channel room for what is outstanding. If the receivers are gone the outcome is dropped.
    ///
    /// # Examples
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
        let waiting = std::thread::Builder::new().name("perloop deliver".to_owned());
        let (hand_over, handed) = crossbeam_channel::bounded(1);
        let patient = sender.clone();
        let spawned = waiting.spawn(move || handed.recv().map(|message| patient.send(message).is_ok()));
        // Without a thread to spare the message would be lost, so then it does wait here.
        drop(if spawned.is_ok() { hand_over.send(message) } else { sender.send(message) });
    }
}
