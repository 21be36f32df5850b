//! `wait`: until some or all of several tasks and futures are done.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::{Rc, Weak};
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
    let (enough, watching) = Watching::begin(&own, &several, when, timeout);
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

/// Callbacks on all of them, and a timer, as long as this lives.
struct Watching {
    places: Vec<(Awaited, u64)>,
    timer: Option<TimerHandle>,
}

impl Watching {
    fn begin(
        own: &EventLoop,
        several: &[Awaited],
        when: ReturnWhen,
        timeout: Option<Duration>,
    ) -> (Rc<Notice>, Self) {
        let enough = Rc::<Notice>::default();
        let mut seen = HashSet::new();
        let unlike: Vec<_> = several.iter().filter(|awaited| seen.insert(awaited.key())).collect();
        let left = Rc::new(Cell::new(unlike.len()));
        let watch = |awaited: &Awaited| {
            let (enough, left) = (Rc::downgrade(&enough), Rc::clone(&left));
            let place = awaited.add_callback(move |ended| one_ended(ended, &enough, &left, when));
            (awaited.clone(), place)
        };
        let places = unlike.into_iter().map(watch).collect();
        let late = Rc::downgrade(&enough);
        let timer = timeout.and_then(|timeout| own.call_later(timeout, move || give(&late)).ok());
        (enough, Self { places, timer })
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

fn one_ended(ended: &Awaited, enough: &Weak<Notice>, left: &Cell<usize>, when: ReturnWhen) {
    left.set(left.get() - 1);
    let is_enough = match when {
        ReturnWhen::AllCompleted => false,
        ReturnWhen::FirstCompleted => true,
        ReturnWhen::FirstException => ended.has_failed(),
    };
    if is_enough || left.get() == 0 {
        give(enough);
    }
}

/// A callback that is queued already comes after the `wait` was given up, too: then it wakes nobody, as its task would
/// take that for the next thing that it waits for.
fn give(enough: &Weak<Notice>) {
    if let Some(enough) = enough.upgrade() {
        enough.give();
    }
}
