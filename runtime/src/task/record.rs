//! What the loop keeps with each task, beside its future.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use perloop_bridge::{Panicked, Record};

use crate::cancel::{CancelState, Scopes};
use crate::current;
use crate::event_loop::{EventLoop, WeakLoop};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::task::done::{AwaitedTasks, Watchers};

/// What comes along with a task's future, from the thread that hands it in.
#[derive(Debug)]
pub(crate) struct Seed {
    name: Option<String>,
    created_at: &'static Location<'static>,
    span: tracing::Span,
}

impl Seed {
    pub(crate) fn new(name: Option<String>, created_at: &'static Location<'static>) -> Self {
        let span = span_of(name.as_deref(), created_at);
        Self { name, created_at, span }
    }
}

/// A span for the task, in the field names that tokio-console reads. Free when nobody listens.
fn span_of(name: Option<&str>, at: &'static Location<'static>) -> tracing::Span {
    tracing::trace_span!(
        target: "tokio::task",
        "runtime.spawn",
        kind = "task",
        task.name = name,
        loc.file = at.file(),
        loc.line = at.line(),
        loc.col = at.column(),
    )
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct TaskRecord {
    name: RefCell<Option<String>>,
    number: u64,
    created_at: &'static Location<'static>,
    pub(crate) span: tracing::Span,
    /// The loop that it belongs to.
    pub(crate) of: WeakLoop,
    loop_id: u64,
    pub(crate) has_begun: Cell<bool>,
    pub(crate) cancel: CancelState,
    pub(crate) scopes: Scopes,
    /// Who waits for its end.
    pub(crate) watchers: Watchers,
    /// The tasks that it waits for.
    pub(crate) awaits: AwaitedTasks,
    pub(crate) failure: Failure,
}

impl TaskRecord {
    pub(crate) fn new(seed: Seed, of: &EventLoop) -> Self {
        Self {
            name: RefCell::new(seed.name),
            number: of.next_task_number(),
            created_at: seed.created_at,
            span: seed.span,
            of: of.downgrade(),
            loop_id: of.id(),
            has_begun: Cell::new(false),
            cancel: CancelState::default(),
            scopes: Scopes::default(),
            watchers: Watchers::default(),
            awaits: AwaitedTasks::default(),
            failure: Failure::default(),
        }
    }

    /// Tells the task from every other one of the process.
    pub(crate) fn key(&self) -> (u64, u64) {
        (self.loop_id, self.number)
    }

    pub(crate) fn name(&self) -> String {
        self.name.borrow().clone().unwrap_or_else(|| format!("Task-{}", self.number))
    }

    pub(crate) fn set_name(&self, name: String) {
        self.span.record("task.name", name.as_str());
        self.name.replace(Some(name));
    }

    pub(crate) fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }
}

impl Record for TaskRecord {
    type Seed = Seed;

    fn adopt(seed: Seed) -> Self {
        let adopted = current::with_running(|running| Self::new(seed, running));
        adopted.expect("a submission is taken up by a loop that runs")
    }
}

/// The panic that ended the task, until somebody asks for it. What nobody asked for goes to the exception handler,
/// when the last handle of the task is dropped.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    panicked: RefCell<Option<Panicked>>,
    report: RefCell<Option<Report>>,
}

#[derive(Debug)]
struct Report {
    to: WeakLoop,
    context: Rc<ExceptionContext>,
}

impl Failure {
    pub(crate) fn set(&self, panicked: Panicked, to: WeakLoop, task: &str, at: &Location<'_>) {
        let context = Rc::new(ExceptionContext {
            kind: ExceptionKind::NeverRetrieved,
            message: format!("task '{task}', created at {at}, panicked: {}", panicked.message()),
            panicked: Some(panicked.clone()),
            task: None,
        });
        self.panicked.replace(Some(panicked));
        self.report.replace(Some(Report { to, context }));
    }

    /// It is told by the cross-thread future.
    pub(crate) fn set_published(&self, panicked: Panicked) {
        self.panicked.replace(Some(panicked));
    }

    /// Somebody has asked.
    pub(crate) fn set_retrieved(&self) {
        self.report.take();
    }

    pub(crate) fn retrieve(&self) -> Option<Panicked> {
        self.set_retrieved();
        self.panicked.borrow().clone()
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        if let Some(Report { to, context }) = self.report.take()
            && let Some(event_loop) = to.upgrade()
        {
            event_loop.call_exception_handler(&context);
        }
    }
}
