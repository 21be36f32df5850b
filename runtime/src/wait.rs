//! `wait` and `try_wait`: until some or all of several tasks and futures are done.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{DoneAndPending, ReturnWhen};

use crate::current;
use crate::errors::WaitError;
use crate::event_loop::{EventLoop, TimerHandle};
use crate::notice::Notice;
use crate::task::awaited::sealed::Inside;
use crate::task::{Awaitable, Awaited, Waitable};

/// Waits until enough of several tasks and futures are done, or the time is up, and tells which are, by their places in
/// the list: asyncio's `wait`. It asks none of them for its outcome, and cancels none, neither at the timeout nor when
/// the awaiting task is cancelled. Without a timeout it waits for as long as it takes.
///
/// It takes references to things of one type; of unlike types make the first a `&dyn Waitable`, as below.
///
/// `FirstException` means a panic, or a future that was set to a failure: an `Err` is a value, which `wait` does not look
/// at, and [`try_wait`] does. What is given twice counts once, and stands at both places. It takes two turns even if all
/// are done.
///
/// Cancel safe.
///
/// # Errors
/// If there is nothing to wait for, or something of another loop.
///
/// # Panics
/// When it is polled outside of a running loop.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoop, ReturnWhen, Waitable, create_task, sleep, wait};
///
/// EventLoop::builder().virtual_time().run(async {
///     let tasks = [2, 1].map(|n| create_task(sleep(Duration::from_millis(n))));
///     let found = wait(&tasks, ReturnWhen::FirstCompleted, None).await?;
///     assert_eq!((found.done, found.pending), (vec![1], vec![0]));
///
///     let number = create_task(async { 42 });
///     let unlike = [&tasks[0] as &dyn Waitable, &number];
///     wait(unlike, ReturnWhen::AllCompleted, Duration::from_secs(60)).await?;
///     assert_eq!(number.result(), Ok(42));
///     Ok::<(), perloop::WaitError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn wait<'a, W: Waitable + ?Sized + 'a>(
    several: impl IntoIterator<Item = &'a W>,
    when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Result<DoneAndPending, WaitError> {
    let several = several.into_iter().map(|one| (one.inside().0, Awaited::has_failed));
    wait_for_enough(several.unzip(), when, timeout.into()).await
}

/// As [`wait`], for those that give a `Result`: to `FirstException` an `Err` counts as well, as any exception does in
/// asyncio. It is looked at where it is, so that each value can be had afterwards; what somebody has taken by the turn
/// after its end counts as a value.
///
/// There are also [`try_gather`](crate::try_gather), which gives the values or the first `Err`,
/// [`TaskGroup::try_create_task`](crate::TaskGroup::try_create_task), which cancels the others too, and
/// [`as_completed`](crate::as_completed), which gives one after the other.
///
/// Cancel safe.
///
/// # Errors
/// As `wait`.
///
/// # Panics
/// As `wait`.
///
/// # Examples
/// ```
/// use perloop::{EventLoop, ReturnWhen, create_task, sleep, try_wait};
/// use std::time::Duration;
///
/// EventLoop::builder().virtual_time().run(async {
///     let tasks = ["1", "two", "3"].map(|text| {
///         create_task(async move {
///             sleep(Duration::from_millis(text.len() as u64)).await;
///             text.parse::<i32>()
///         })
///     });
///     let endless = create_task(std::future::pending());
///     let several = tasks.iter().chain([&endless]);
///     let found = try_wait(several, ReturnWhen::FirstException, None).await?;
///     assert_eq!((found.done, found.pending), (vec![0, 1, 2], vec![3]));
///     assert_eq!(tasks[0].result(), Ok(Ok(1)));
///     assert!(matches!(tasks[1].result(), Ok(Err(_)))); // the one that ended it
///     Ok::<(), perloop::WaitError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn try_wait<'a, A, T, E>(
    several: impl IntoIterator<Item = &'a A>,
    when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Result<DoneAndPending, WaitError>
where
    A: Awaitable<Value = Result<T, E>> + 'a,
    T: 'static,
    E: 'static,
{
    let with_test = |one: &A| {
        let is_err = one.test(Result::is_err);
        (one.inside().0, |ended: &Awaited| ended.has_failed() || is_err(Inside(ended.clone())))
    };
    wait_for_enough(several.into_iter().map(with_test).unzip(), when, timeout.into()).await
}

/// Each has a test that says whether it ended by what counts as an exception.
async fn wait_for_enough<F: FnOnce(&Awaited) -> bool + 'static>(
    (several, tests): (Vec<Awaited>, Vec<F>),
    when: ReturnWhen,
    timeout: Option<Duration>,
) -> Result<DoneAndPending, WaitError> {
    let own = current::get_running_loop().expect("`wait` is awaited on a running loop");
    check(&own, &several)?;
    let (enough, left) = (Rc::<Notice>::default(), Rc::<Cell<usize>>::default());
    let mut watching = Watching::default();
    for (awaited, test) in several.iter().zip(tests) {
        let (give, in_callback) = (enough.giver(), Rc::clone(&left));
        let one_ended = move |ended: &Awaited| {
            in_callback.set(in_callback.get() - 1);
            let is_enough = match when {
                ReturnWhen::AllCompleted => false,
                ReturnWhen::FirstCompleted => true,
                ReturnWhen::FirstException => test(ended),
            };
            if is_enough || in_callback.get() == 0 {
                give();
            }
        };
        if watching.watch(awaited, one_ended) {
            left.set(left.get() + 1);
        }
    }
    if let Some(timeout) = timeout {
        watching.set_timeout(&own, timeout, enough.giver());
    }
    enough.come().await;
    drop(watching);
    let (done, pending) = (0..several.len()).partition(|place| several[*place].done());
    Ok(DoneAndPending { done, pending })
}

fn check(own: &EventLoop, several: &[Awaited]) -> Result<(), WaitError> {
    if several.is_empty() {
        return Err(WaitError::Nothing);
    }
    several.iter().try_for_each(|awaited| own.check_owns(awaited.loop_id())).map_err(WaitError::WrongLoop)
}

/// Callbacks at the ends of several, each of which counts once, and one at a timeout, as long as this lives.
#[derive(Default)]
pub(crate) struct Watching {
    seen: HashSet<usize>,
    places: Vec<(Awaited, u64)>,
    timer: Option<TimerHandle>,
}

impl Watching {
    /// False: it is watched already.
    pub(crate) fn watch(&mut self, awaited: &Awaited, callback: impl FnOnce(&Awaited) + 'static) -> bool {
        let is_new = self.seen.insert(awaited.key());
        if is_new {
            self.places.push((awaited.clone(), awaited.add_callback(callback)));
        }
        is_new
    }

    pub(crate) fn set_timeout(
        &mut self,
        own: &EventLoop,
        timeout: Duration,
        callback: impl FnOnce() + 'static,
    ) {
        self.timer = own.call_later(timeout, callback).ok();
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for (awaited, place) in &self.places {
            awaited.remove_callback(*place);
        }
        if let Some(timer) = &self.timer {
            timer.cancel();
        }
    }
}
