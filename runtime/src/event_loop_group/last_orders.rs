//! What a loop of a group does when the group is shut down: this part runs on the loop's own thread.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use perloop_bridge::ReturnWhen;

use crate::current::{get_running_loop, with_running};
use crate::event_loop::EventLoop;
use crate::run::report;
use crate::task::{AnyTask, Waitable, current_task};
use crate::timeout::timeout;
use crate::wait::wait;

thread_local! {
    static SHUTDOWN: RefCell<Shutdown> = RefCell::default();
    /// All that is to be ended was ended, so that the loop need only be closed.
    static IS_DISMISSED: Cell<bool> = const { Cell::new(false) };
}

/// What this thread's loop knows of its group's shutdown.
#[derive(Default)]
struct Shutdown {
    /// The tasks that the shutdown itself has made here, which are nobody's work.
    own: Vec<(u32, u64)>,
    /// When it began.
    began: Option<Count>,
}

#[derive(Clone, Copy)]
struct Count {
    /// Tasks that were ever made.
    made: u64,
    /// Of those, the ones that have not ended, without the shutdown's own.
    alive: usize,
}

/// How a loop has found itself drained.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    /// Tasks that were ever made, before it was asked and when it had none any more.
    pub(super) made_before: u64,
    pub(super) made: u64,
}

/// What became of a loop's tasks.
#[derive(Clone, Copy, Default)]
pub(super) struct Ended {
    pub(super) finished: usize,
    pub(super) cancelled: usize,
    pub(super) abandoned: usize,
}

/// Waits until the loop has no task, but the shutdown's.
pub(super) async fn drained() -> Drained {
    let event_loop = begin();
    let made_before = event_loop.tasks_made() - 1;
    loop {
        let others = others(&event_loop);
        if others.is_empty() {
            return Drained { made_before, made: event_loop.tasks_made() };
        }
        wait_for(&others, None).await;
    }
}

/// Cancels all tasks, waits for them for so long, and ends what else a loop has to end.
pub(super) async fn cancelled(clean_up: Duration) -> Ended {
    let event_loop = begin();
    let until = event_loop.time().saturating_add(clean_up);
    let left = || until.saturating_sub(event_loop.time());
    let others = others(&event_loop);
    let mut ended = Ended { finished: finished(&event_loop, others.len()), ..Ended::default() };
    let me = current_task().ok().flatten();
    for task in event_loop.all_tasks().iter().filter(|task| Some(*task) != me.as_ref()) {
        task.cancel();
    }
    wait_for(&others, Some(left())).await;
    for task in others.iter().filter(|task| task.done()) {
        *if task.cancelled() { &mut ended.cancelled } else { &mut ended.finished } += 1;
        report(&event_loop, task);
    }
    // What did not hear, and what the others have made as they cleaned up.
    ended.abandoned = self::others(&event_loop).len();
    // That it took too long is no news: the loop is closed all the same.
    let _late = timeout(left(), event_loop.shutdown_asyncgens()).await;
    let _late = event_loop.shutdown_default_executor(left()).await;
    ended
}

/// The loop returns from its run, to be closed.
pub(super) fn dismiss() {
    IS_DISMISSED.set(true);
    with_running(EventLoop::stop).unwrap_or_default();
}

pub(super) fn is_dismissed() -> bool {
    IS_DISMISSED.get()
}

/// Notes that the current task is the shutdown's, and when that began.
fn begin() -> EventLoop {
    let event_loop = get_running_loop().expect("it runs this");
    let me = current_task().ok().flatten().expect("this is a task");
    SHUTDOWN.with_borrow_mut(|shutdown| shutdown.own.push(me.record().key()));
    let now = Count { made: event_loop.tasks_made(), alive: others(&event_loop).len() };
    SHUTDOWN.with_borrow_mut(|shutdown| _ = shutdown.began.get_or_insert(now));
    event_loop
}

/// How many tasks have ended since the shutdown began, if so many are left.
fn finished(event_loop: &EventLoop, left: usize) -> usize {
    SHUTDOWN.with_borrow(|shutdown| {
        let began = shutdown.began.expect("it has begun");
        // The first of the shutdown's own was there when it was counted.
        let own = shutdown.own.len() - 1;
        let made = usize::try_from(event_loop.tasks_made() - began.made).unwrap_or(usize::MAX);
        (began.alive + made).saturating_sub(own + left)
    })
}

fn others(event_loop: &EventLoop) -> Vec<AnyTask> {
    let mut tasks = event_loop.all_tasks();
    SHUTDOWN.with_borrow(|shutdown| tasks.retain(|task| !shutdown.own.contains(&task.record().key())));
    tasks
}

async fn wait_for(tasks: &[AnyTask], limit: Option<Duration>) {
    let several: Vec<_> = tasks.iter().map(|task| task as &dyn Waitable).collect();
    // It refuses to wait for nothing, and so there is nothing to wait for.
    let _found = wait(&several, ReturnWhen::AllCompleted, limit).await;
}
