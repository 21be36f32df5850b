//! `wait`: until some or all of several tasks and futures are done.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{DoneAndPending, ReturnWhen};

use crate::current;
use crate::errors::WaitError;
use crate::event_loop::{EventLoop, TimerHandle};
use crate::notice::Notice;
use crate::task::{Awaited, Waitable};

/// Waits until enough of several tasks and futures are done, or the time is up, and tells which are, by their places in
/// the list: asyncio's `wait`. It asks none of them for its outcome, and cancels none, neither at the timeout nor when
/// the awaiting task is cancelled. Without a timeout it waits for as long as it takes.
///
/// It takes references to things of one type; of unlike types make the first a `&dyn Waitable`, as below.
///
/// `FirstException` means a panic, or a future that was set to a failure: an `Err` is a value, which `wait` does not look
/// at. To go on at the first `Err` there are [`try_gather`](crate::try_gather),
/// [`TaskGroup::try_create_task`](crate::TaskGroup::try_create_task), which cancels the others too, and
/// [`as_completed`](crate::as_completed), which gives one after the other. What is given twice counts once, and stands at
/// both places. It takes two turns even if all are done.
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
    let timeout = timeout.into();
    let own = current::get_running_loop().expect("`wait` is awaited on a running loop");
    let several: Vec<Awaited> = several.into_iter().map(|one| one.inside().0).collect();
    check(&own, &several)?;
    let (enough, left) = (Rc::<Notice>::default(), Rc::<Cell<usize>>::default());
    let mut watching = Watching::default();
    for awaited in &several {
        let (give, in_callback) = (enough.giver(), Rc::clone(&left));
        if watching.watch(awaited, move |ended| one_ended(ended, give, &in_callback, when)) {
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

fn one_ended(ended: &Awaited, give: impl Fn(), left: &Cell<usize>, when: ReturnWhen) {
    left.set(left.get() - 1);
    let is_enough = match when {
        ReturnWhen::AllCompleted => false,
        ReturnWhen::FirstCompleted => true,
        ReturnWhen::FirstException => ended.has_failed(),
    };
    if is_enough || left.get() == 0 {
        give();
    }
}
