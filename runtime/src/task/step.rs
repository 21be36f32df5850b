//! A task's steps: what is done around each poll of its future, and how a request to cancel it is delivered.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use perloop_bridge::{FutureError, Panicked, Ready, Stepped, TaskRef, drop_cancelled};

use crate::cancel::Cancelled;
use crate::context;
use crate::current;
use crate::event_loop::EventLoop;
use crate::loop_future;
use crate::task::{Awaited, Rare, TaskRecord};

/// The task whose step runs in this thread.
pub(crate) fn current() -> Option<TaskRef> {
    current::with_running(|running| running.0.current.borrow().clone()).ok().flatten()
}

/// Makes a task its loop's current one, as long as this lives. Only a task that starts eagerly has one before it.
struct Current<'a> {
    current: &'a RefCell<Option<TaskRef>>,
    before: Option<TaskRef>,
}

impl<'a> Current<'a> {
    fn enter(event_loop: &'a EventLoop, task: &TaskRef) -> Self {
        let current = &event_loop.0.current;
        let before = current.replace(Some(task.clone()));
        Self { current, before }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        drop(self.current.replace(self.before.take()));
    }
}

/// The current task waits for something else than a task.
pub(crate) fn note_wait() {
    if let Some(task) = current() {
        task.note_wait_elsewhere();
    }
}

/// As `note_wait`, on the running loop.
#[inline]
pub(crate) fn note_wait_on(running: &EventLoop) {
    if let Some(task) = &*running.0.current.borrow() {
        task.note_wait_elsewhere();
    }
}

/// A submission's first turn: it becomes a task, whose first step is queued.
pub(crate) fn adopt(event_loop: &EventLoop, task: &TaskRef) {
    if task.adopt() {
        if tracing::level_enabled!(tracing::Level::TRACE) {
            note_adoption(event_loop);
        }
        if event_loop.starts_eagerly() { run(event_loop, task) } else { task.wake() }
    }
}

fn note_adoption(event_loop: &EventLoop) {
    tracing::trace!(target: "perloop", event_loop = event_loop.name(), "adopted a submission");
}

/// One step, from one wait to the next.
pub(crate) fn run(event_loop: &EventLoop, task: &TaskRef) {
    if task.begin_step() {
        return asked_from_outside(task);
    }
    if task.has_ended() {
        return;
    }
    let record: &TaskRecord = task.record();
    if !record.is_plain() || context::is_set() {
        return run_with_what_is_apart(event_loop, task, record);
    }
    let _current = Current::enter(event_loop, task);
    poll(event_loop, task, record);
    context::keep_of_step(record);
}

/// As asyncio, where a callback asks the task now and the step that gets it comes later. A wake that came by the same
/// node is not lost: that step polls.
#[cold]
fn asked_from_outside(task: &TaskRef) {
    if !task.has_ended() {
        cancel(task, None);
        task.wake();
    }
}

/// The task has more than a plain one, or somebody has set a context variable.
#[inline(never)]
fn run_with_what_is_apart(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord) {
    let _span = record.span().map(tracing::Span::enter);
    let _current = Current::enter(event_loop, task);
    context::in_step(record, || deliver_or_poll(event_loop, task, record));
}

fn deliver_or_poll(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord) {
    let has_begun = task.has_begun();
    if let Some(rare) = record.rare_if_any()
        && (rare.cancel.is_on_its_way() || rare.scopes.has_told())
        && let Some(cancelled) = pass_on(record, rare, has_begun)
    {
        end_cancelled(event_loop, task, cancelled);
        return;
    }
    poll(event_loop, task, record);
}

#[inline(always)]
fn poll(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord) {
    match task.poll() {
        Stepped::Ended { publish } => ended(event_loop, task, record, publish),
        Stepped::Pending => {
            if let Some(rare) = record.rare_if_any() {
                suspended(event_loop, task, rare);
            }
        }
    }
}

/// Passes on to the future what it was asked. What nobody in it catches ends the task.
fn pass_on(record: &TaskRecord, rare: &Rare, has_begun: bool) -> Option<Cancelled> {
    let came_late = rare.cancel.is_waiting();
    if let Some(request) = rare.cancel.deliver() {
        let awaited_end = if came_late { awaited_end(record) } else { None };
        let cancelled = awaited_end.unwrap_or(request);
        if !has_begun || !rare.scopes.ask(&cancelled) {
            return Some(cancelled);
        }
    }
    if rare.scopes.has_told() {
        rare.scopes.pass_on_what_was_told();
    }
    None
}

/// The future waits. Did it say that it ends cancelled, or is there a request that was made while it ran?
fn suspended(event_loop: &EventLoop, task: &TaskRef, rare: &Rare) {
    if let Some(cancelled) = rare.scopes.take_raised().or_else(|| rare.scopes.take_orphaned()) {
        end_cancelled(event_loop, task, cancelled);
    } else if !task.is_queued() && rare.cancel.is_waiting() {
        let message = rare.cancel.message();
        rare.cancel.withdraw();
        let mut asking = Asking::new(message.as_ref());
        asking.meet_wait(task);
        asking.go_on();
    } else if rare.scopes.has_told() && !task.is_queued() {
        task.wake();
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
    finish(event_loop, task, record, publish);
}

/// The future has ended by itself.
#[inline(never)]
fn ended(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord, publish: bool) {
    if task.error().is_some() || record.rare_if_any().is_some() {
        weigh_end(event_loop, task, record, publish);
    }
    finish(event_loop, task, record, publish);
}

/// It panicked, or there may be a request to cancel it.
#[cold]
fn weigh_end(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord, publish: bool) {
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
}

/// A panic is told by the cross-thread future, if anybody holds it; else by the exception handler, if nobody asks.
fn note_failure(event_loop: &EventLoop, task: &TaskRef, publish: bool, panicked: Panicked) {
    let record: &TaskRecord = task.record();
    let failure = &record.rare().failure;
    if publish {
        failure.set_published(panicked);
    } else {
        let (name, at) = (record.name(), record.created_at());
        let message = format!("task '{name}', created at {at}, panicked: {}", panicked.message());
        failure.set(panicked, event_loop.downgrade(), message, at);
    }
}

/// Queues all who wait for the end, the cross-thread future first, as it was there first.
#[inline(always)]
fn finish(event_loop: &EventLoop, task: &TaskRef, record: &TaskRecord, publish: bool) {
    if publish {
        event_loop.0.home.push(Ready::Publish(task.clone()));
    }
    record.wake_watchers(event_loop, task);
}

/// Is there a request to cancel it that its next step gets? The step that runs may still take it back, and none need
/// follow it: that one is not asked.
pub(crate) fn is_asked_to_stop(task: &TaskRef) -> bool {
    let record: &TaskRecord = task.record();
    !task.is_running()
        && record.rare_if_any().is_some_and(|rare| rare.cancel.is_on_its_way() || rare.scopes.has_told())
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
    ask(Awaited::Task(task.clone()), message.as_ref());
    true
}

/// Asks a task to stop what is inside of one of its scopes. If that is all that it does, this is a request to the task,
/// which counts, and true. Else the task has other branches (of a `join!`), which go on: nothing is counted.
pub(crate) fn cancel_inside(task: &TaskRef, scope: u64) -> bool {
    let record: &TaskRecord = task.record();
    let scopes = &record.rare().scopes;
    let inside = |inner| scopes.is_inside(inner, scope);
    let (mut awaited, is_beside_others) = record.waits().awaits.inside(inside);
    if !is_beside_others && scopes.is_alone(scope) {
        return cancel(task, None);
    }
    if task.is_running() || task.is_queued() {
        scopes.tell(scope);
        return false;
    }
    // If something waits otherwise, that may be inside too, and nobody else would end it.
    awaited.retain(|awaited| !awaited.is_over() && !task.waits_elsewhere());
    if awaited.iter().any(Awaited::can_be_asked) && awaited.iter().all(Awaited::outlives_a_request) {
        scopes.note_stop(scope);
    } else {
        scopes.tell(scope);
        task.wake();
    }
    let mut asking = Asking::new(None);
    asking.asked.insert(record.key());
    asking.push(awaited);
    asking.go_on();
    false
}

/// Asks a task to stop, or cancels a future. False if there is nobody to ask.
pub(crate) fn cancel_awaited(awaited: Awaited, message: Option<Arc<str>>) -> bool {
    if let Awaited::Task(task) = &awaited {
        return cancel(task, message);
    }
    let can_be_asked = awaited.can_be_asked();
    ask(awaited, message.as_ref());
    can_be_asked
}

fn ask(awaited: Awaited, message: Option<&Arc<str>>) {
    let mut asking = Asking::new(message);
    asking.stack.push(awaited);
    asking.go_on();
}

/// A request on its way. A chain of tasks that await each other may be long, so this is a loop. It may be a circle,
/// too: then the one that closes it is interrupted, or none would ever end.
struct Asking<'a> {
    message: Option<&'a Arc<str>>,
    asked: HashSet<(u32, u64)>,
    /// Who is still to be asked, the next one last.
    stack: Vec<Awaited>,
}

impl<'a> Asking<'a> {
    fn new(message: Option<&'a Arc<str>>) -> Self {
        Self { message, asked: HashSet::new(), stack: Vec::new() }
    }

    fn go_on(&mut self) {
        while let Some(awaited) = self.stack.pop() {
            match awaited {
                Awaited::Task(task) => self.ask_task(&task),
                Awaited::Future(future) => {
                    let children = loop_future::cancel(&future, self.message.cloned());
                    self.push(children);
                }
            }
        }
    }

    fn push(&mut self, awaited: Vec<Awaited>) {
        self.stack.extend(awaited.into_iter().rev());
    }

    fn ask_task(&mut self, task: &TaskRef) {
        let record: &TaskRecord = task.record();
        if task.has_ended() || !self.asked.insert(record.key()) {
            return;
        }
        let requests = &record.rare().cancel;
        requests.count();
        if task.is_running() || task.is_queued() {
            requests.wait_for_suspension(self.message.cloned());
        } else {
            self.meet_wait(task);
        }
    }

    /// The task waits. What it waits for is asked instead, or the wait is given up.
    fn meet_wait(&mut self, task: &TaskRef) {
        let requests = &task.record::<TaskRecord>().rare().cancel;
        let mut awaited = awaited_instead(task);
        awaited.retain(|awaited| !self.has_asked(awaited));
        if !awaited.is_empty() && awaited.iter().all(|awaited| !awaited.can_be_asked()) {
            // A gather whose children have all ended: its end is near, and the request comes with it.
            requests.wait_for_suspension(self.message.cloned());
            return;
        }
        if awaited.is_empty() || !awaited.iter().all(Awaited::outlives_a_request) {
            requests.interrupt_wait(self.message.cloned());
        }
        if awaited.is_empty() {
            task.wake();
        }
        // A future that is cancelled wakes who waits for it, in order.
        self.push(awaited);
    }

    fn has_asked(&self, awaited: &Awaited) -> bool {
        match awaited {
            Awaited::Task(task) => self.asked.contains(&task.record::<TaskRecord>().key()),
            Awaited::Future(_) => false,
        }
    }
}

/// What a request to this task is passed on to: what it awaits, if it waits for nothing else.
fn awaited_instead(task: &TaskRef) -> Vec<Awaited> {
    if task.waits_elsewhere() {
        return Vec::new();
    }
    let record: &TaskRecord = task.record();
    let awaited = record.waits_if_any().map_or_else(Vec::new, |waits| waits.awaits.get());
    awaited.into_iter().filter(|awaited| !awaited.is_over()).collect()
}

/// How what this one awaits ended cancelled. If that came first, its message comes, and not a later request's.
fn awaited_end(record: &TaskRecord) -> Option<Cancelled> {
    let awaited = record.waits_if_any()?.awaits.get();
    awaited.iter().find_map(Awaited::ended_by)
}
