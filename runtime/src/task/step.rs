//! A task's steps: what is done around each poll of its future, and how a request to cancel it is delivered.

use std::cell::RefCell;
use std::sync::Arc;

use perloop_bridge::{FutureError, Ready, Stepped, TaskRef, drop_cancelled};

use crate::cancel::Cancelled;
use crate::event_loop::EventLoop;
use crate::task::{Rare, TaskRecord};

thread_local! {
    static CURRENT: RefCell<Option<TaskRef>> = const { RefCell::new(None) };
}

/// The task whose step runs.
pub(crate) fn current() -> Option<TaskRef> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Makes a task the current one, as long as this lives.
struct Current(Option<TaskRef>);

impl Current {
    fn enter(task: &TaskRef) -> Self {
        Self(CURRENT.with(|current| current.replace(Some(task.clone()))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        let before = self.0.take();
        drop(CURRENT.with(|current| current.replace(before)));
    }
}

/// A submission's first turn: it becomes a task, whose first step is queued.
pub(crate) fn adopt(event_loop: &EventLoop, task: &TaskRef) {
    if task.adopt() {
        tracing::trace!(target: "perloop", event_loop = event_loop.name(), "adopted a submission");
        task.wake();
    }
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
    let _current = Current::enter(task);
    let has_begun = record.has_begun.replace(true);
    if let Some(rare) = record.rare_if_any()
        && let Some(request) = rare.cancel.deliver()
        && (!has_begun || !rare.scopes.ask(&request))
    {
        end_cancelled(event_loop, task, request);
        return;
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
        if ask_awaited(task.record(), rare.cancel.message()) {
            rare.cancel.withdraw();
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
    record.rare().cancel.set_ended_by(by);
    finish(event_loop, task, publish);
}

/// The future has ended by itself.
fn ended(event_loop: &EventLoop, task: &TaskRef, publish: bool) {
    let record: &TaskRecord = task.record();
    match task.error() {
        Some(FutureError::Panicked(panicked)) => {
            if publish && !task.is_detached() {
                record.rare().failure.set_published(panicked);
            } else {
                record.rare().failure.set(
                    panicked,
                    event_loop.downgrade(),
                    &record.name(),
                    record.created_at(),
                );
            }
        }
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

/// Queues all who wait for the end, the cross-thread future first, as it was there first.
fn finish(event_loop: &EventLoop, task: &TaskRef, publish: bool) {
    if publish {
        event_loop.0.home.push(Ready::Publish(task.clone()));
    }
    let record: &TaskRecord = task.record();
    if let Some(waits) = record.waits_if_any() {
        waits.watchers.wake_all(event_loop);
    }
}

/// Asks a task to stop. False if it is done.
pub(crate) fn cancel(task: &TaskRef, message: Option<Arc<str>>) -> bool {
    let record: &TaskRecord = task.record();
    if task.has_ended() {
        if let Some(rare) = record.rare_if_any() {
            rare.failure.set_retrieved();
        }
        return false;
    }
    let requests = &record.rare().cancel;
    requests.count();
    let is_suspended = !task.is_running() && !task.is_queued();
    if !is_suspended {
        requests.wait_for_suspension(message);
    } else if !ask_awaited(record, message.clone()) {
        requests.interrupt_wait(message);
        task.wake();
    }
    true
}

/// Passes a request on to the tasks that this one awaits. False if there is none that takes it.
fn ask_awaited(record: &TaskRecord, message: Option<Arc<str>>) -> bool {
    let awaited = record.waits_if_any().map_or_else(Vec::new, |waits| waits.awaits.get());
    awaited.iter().map(|task| cancel(task, message.clone())).fold(false, |any, taken| any | taken)
}
