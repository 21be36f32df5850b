//! A task's steps: what is done around each poll of its future, and how a request to cancel it is delivered.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use perloop_bridge::{FutureError, Panicked, Ready, Stepped, TaskRef, drop_cancelled};

use crate::cancel::Cancelled;
use crate::current;
use crate::event_loop::EventLoop;
use crate::task::{AnyTask, Rare, TaskRecord};

/// The task whose step runs in this thread.
pub(crate) fn current() -> Option<TaskRef> {
    current::with_running(|running| running.0.current.borrow().clone()).ok().flatten()
}

/// Makes a task its loop's current one, as long as this lives. Steps do not nest.
struct Current<'a>(&'a RefCell<Option<TaskRef>>);

impl<'a> Current<'a> {
    fn enter(event_loop: &'a EventLoop, task: &TaskRef) -> Self {
        let current = &event_loop.0.current;
        let before = current.replace(Some(task.clone()));
        debug_assert!(before.is_none(), "a step inside of a step");
        Self(current)
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// The current task waits for something else than a task.
pub(crate) fn note_wait() {
    if let Some(task) = current() {
        task.note_wait_elsewhere();
    }
}

/// A submission's first turn: it becomes a task, whose first step is queued.
pub(crate) fn adopt(event_loop: &EventLoop, task: &TaskRef) {
    if task.adopt() {
        if tracing::level_enabled!(tracing::Level::TRACE) {
            note_adoption(event_loop);
        }
        task.wake();
    }
}

fn note_adoption(event_loop: &EventLoop) {
    tracing::trace!(target: "perloop", event_loop = event_loop.name(), "adopted a submission");
}

/// One step, from one wait to the next.
pub(crate) fn run(event_loop: &EventLoop, task: &TaskRef) {
    let was_asked_from_outside = task.begin_step();
    if task.has_ended() {
        return;
    }
    if was_asked_from_outside {
        // As asyncio, where a callback asks the task now and the step that gets it comes later. A wake that came by
        // the same node is not lost: that step polls.
        cancel(task, None);
        task.wake();
        return;
    }
    let record: &TaskRecord = task.record();
    let _span = record.span().map(tracing::Span::enter);
    let _current = Current::enter(event_loop, task);
    let has_begun = record.has_begun.replace(true);
    if let Some(rare) = record.rare_if_any()
        && let came_late = rare.cancel.is_waiting()
        && let Some(request) = rare.cancel.deliver()
    {
        let awaited_end = if came_late { awaited_end(record) } else { None };
        let cancelled = awaited_end.unwrap_or(request);
        if !has_begun || !rare.scopes.ask(&cancelled) {
            end_cancelled(event_loop, task, cancelled);
            return;
        }
    }
    match task.poll() {
        Stepped::Ended { publish } => ended(event_loop, task, publish),
        Stepped::Pending => {
            if let Some(rare) = record.rare_if_any() {
                suspended(event_loop, task, rare);
            }
        }
    }
}

/// The future waits. Did it say that it ends cancelled, or is there a request that was made while it ran?
fn suspended(event_loop: &EventLoop, task: &TaskRef, rare: &Rare) {
    if let Some(cancelled) = rare.scopes.take_raised().or_else(|| rare.scopes.take_orphaned()) {
        end_cancelled(event_loop, task, cancelled);
    } else if !task.is_queued() && rare.cancel.is_waiting() {
        // What it waits for is asked instead, or the wait is given up.
        let awaited = awaited_instead(task);
        if !awaited.is_empty() {
            let message = rare.cancel.message();
            rare.cancel.withdraw();
            cancel_all(awaited, message.as_ref());
        } else {
            rare.cancel.give_up_wait();
            task.wake();
        }
    }
}

/// The future, with all guards in it, is dropped in this step, while the task is the current one.
fn end_cancelled(event_loop: &EventLoop, task: &TaskRef, by: Cancelled) {
    let record: &TaskRecord = task.record();
    let Stepped::Ended { publish } = drop_cancelled(|| task.end_with(FutureError::Cancelled)) else {
        unreachable!("a task that was ended has ended")
    };
    match task.error() {
        // A destructor panicked, and an error out of the clean-up replaces the cancellation.
        Some(FutureError::Panicked(panicked)) => note_failure(event_loop, task, publish, panicked),
        _ => record.rare().cancel.set_ended_by(by),
    }
    finish(event_loop, task, publish);
}

/// The future has ended by itself.
fn ended(event_loop: &EventLoop, task: &TaskRef, publish: bool) {
    let record: &TaskRecord = task.record();
    match task.error() {
        Some(FutureError::Panicked(panicked)) => note_failure(event_loop, task, publish, panicked),
        _ => {
            // A request that it did not meet: the value is lost.
            let unmet = record.rare_if_any().filter(|rare| rare.cancel.is_waiting());
            if let Some(Rare { cancel, .. }) = unmet {
                task.replace_outcome(FutureError::Cancelled);
                cancel.set_ended_by(cancel.deliver().unwrap_or_default());
            }
        }
    }
    finish(event_loop, task, publish);
}

/// A panic is told by the cross-thread future, if anybody holds it; else by the exception handler, if nobody asks.
fn note_failure(event_loop: &EventLoop, task: &TaskRef, publish: bool, panicked: Panicked) {
    let record: &TaskRecord = task.record();
    let failure = &record.rare().failure;
    if publish && !task.is_detached() {
        failure.set_published(panicked);
    } else {
        failure.set(panicked, event_loop.downgrade(), &record.name(), record.created_at());
    }
}

/// Queues all who wait for the end, the cross-thread future first, as it was there first.
fn finish(event_loop: &EventLoop, task: &TaskRef, publish: bool) {
    if publish {
        event_loop.0.home.push(Ready::Publish(task.clone()));
    }
    let record: &TaskRecord = task.record();
    if let Some(waits) = record.waits_if_any() {
        waits.watchers.wake_all(event_loop, &AnyTask::new(task.clone()));
    }
}

/// Asks a task to stop. False if it is done.
pub(crate) fn cancel(task: &TaskRef, message: Option<Arc<str>>) -> bool {
    if task.has_ended() {
        let record: &TaskRecord = task.record();
        if let Some(rare) = record.rare_if_any() {
            rare.failure.set_retrieved();
        }
        return false;
    }
    cancel_all(vec![task.clone()], message.as_ref());
    true
}

/// Asks tasks to stop that have not ended. A chain of tasks that await each other may be long, so this is a loop. It
/// may be a circle, too: then the one that closes it is interrupted, or none would ever end.
fn cancel_all(mut tasks: Vec<TaskRef>, message: Option<&Arc<str>>) {
    let mut asked = HashSet::new();
    while let Some(task) = tasks.pop() {
        let record: &TaskRecord = task.record();
        if !asked.insert(record.key()) {
            continue;
        }
        let requests = &record.rare().cancel;
        requests.count();
        if task.is_running() || task.is_queued() {
            requests.wait_for_suspension(message.cloned());
            continue;
        }
        let mut awaited = awaited_instead(&task);
        awaited.retain(|task| !asked.contains(&task.record::<TaskRecord>().key()));
        if awaited.is_empty() {
            requests.interrupt_wait(message.cloned());
            task.wake();
        }
        tasks.extend(awaited.into_iter().rev());
    }
}

/// The tasks to which a request to this one is passed on: those that it awaits, if it waits for nothing else.
fn awaited_instead(task: &TaskRef) -> Vec<TaskRef> {
    if task.waits_elsewhere() {
        return Vec::new();
    }
    let record: &TaskRecord = task.record();
    let awaited = record.waits_if_any().map_or_else(Vec::new, |waits| waits.awaits.get());
    awaited.into_iter().filter(|task| !task.has_ended()).collect()
}

/// How a task that this one awaits ended cancelled. If that came first, its message comes, and not a later request's.
fn awaited_end(record: &TaskRecord) -> Option<Cancelled> {
    let awaited = record.waits_if_any()?.awaits.get();
    awaited.iter().find_map(|task| task.record::<TaskRecord>().rare_if_any()?.cancel.ended_by())
}
