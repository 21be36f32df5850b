//! What the loop keeps with each task, beside its future.

use std::cell::{OnceCell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use perloop_bridge::{Panicked, Record, TaskRef};

use crate::cancel::CancelState;
use crate::context::{self, Context};
use crate::current;
use crate::event_loop::{EventLoop, WeakLoop};
use crate::exception::{ExceptionContext, ExceptionKind};
use crate::scopes::Scopes;
use crate::task::awaited::Awaited;
use crate::task::done::{FIRST, Waits, Watch};
use crate::task::first::First;

/// What comes along with a task's future, from the thread that hands it in.
#[derive(Debug)]
pub(crate) struct Seed {
    created_at: &'static Location<'static>,
    /// For a task that has a name, a span or context variables.
    named: Option<Box<Named>>,
}

#[derive(Debug, Default)]
struct Named {
    name: RefCell<Option<String>>,
    span: Option<tracing::Span>,
    /// The span is the task's own, and has its name.
    has_own_span: bool,
    context: RefCell<Context>,
}

impl Seed {
    /// Of a task that this thread makes, here.
    #[inline]
    pub(crate) fn new(name: Option<String>, created_at: &'static Location<'static>) -> Self {
        if name.is_none() && !tracing::level_enabled!(tracing::Level::TRACE) && !context::is_set() {
            return Self { created_at, named: None };
        }
        Self::with(name, created_at, None, None)
    }

    /// Of one that is handed in from here, maybe by another thread, whose span goes along.
    #[inline]
    pub(crate) fn handed_in(created_at: &'static Location<'static>) -> Self {
        match context::current_span() {
            None => Self::new(None, created_at),
            span => Self::with(None, created_at, None, span),
        }
    }

    pub(crate) fn with(
        name: Option<String>,
        created_at: &'static Location<'static>,
        context: Option<Context>,
        outer_span: Option<tracing::Span>,
    ) -> Self {
        let own_span = span_of(name.as_deref(), created_at);
        let has_own_span = own_span.is_some();
        let span = own_span.or(outer_span);
        let context = context.unwrap_or_else(context::copy_context);
        let is_plain = name.is_none() && span.is_none() && !context.has_values();
        let named = (!is_plain).then(|| {
            Box::new(Named { name: RefCell::new(name), span, has_own_span, context: RefCell::new(context) })
        });
        Self { created_at, named }
    }
}

/// A span for the task, in the field names that tokio-console reads. None, and free, when nobody listens.
#[inline]
fn span_of(name: Option<&str>, at: &'static Location<'static>) -> Option<tracing::Span> {
    if tracing::level_enabled!(tracing::Level::TRACE) { new_span(name, at) } else { None }
}

fn new_span(name: Option<&str>, at: &'static Location<'static>) -> Option<tracing::Span> {
    let span = tracing::trace_span!(
        target: "tokio::task",
        "runtime.spawn",
        kind = "task",
        task.name = name,
        loc.file = at.file(),
        loc.line = at.line(),
        loc.col = at.column(),
    );
    Some(span).filter(|span| !span.is_disabled())
}

/// See the [module](self). What most tasks never have lies apart, so that a task is small.
#[derive(Debug)]
pub(crate) struct TaskRecord {
    number: Number,
    _kind: Kind,
    loop_id: u32,
    first: First,
    created_at: &'static Location<'static>,
    apart: OnceCell<Box<Apart>>,
}

/// Tells the tasks of a loop apart. Who makes a hundred million tasks a second needs twenty years for all of them.
#[derive(Debug, Clone, Copy)]
struct Number([u8; 7]);

impl Number {
    fn new(number: u64) -> Self {
        let [low @ .., _] = number.to_le_bytes();
        Self(low)
    }

    fn get(self) -> u64 {
        let [a, b, c, d, e, f, g] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, 0])
    }
}

/// All have one. Its other values are free for the cell, to say that there is no record: cells hide theirs.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Kind {
    Record,
}

#[derive(Debug, Default)]
struct Apart {
    waits: Waits,
    named: OnceCell<Box<Named>>,
    rare: OnceCell<Box<Rare>>,
}

/// What a task has once it is cancelled, fails, or catches a cancellation.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) cancel: CancelState,
    pub(crate) scopes: Scopes,
    pub(crate) failure: Failure,
}

impl TaskRecord {
    #[inline]
    pub(crate) fn new(seed: Seed, of: &EventLoop) -> Self {
        Self {
            number: Number::new(of.next_task_number()),
            _kind: Kind::Record,
            loop_id: of.id(),
            first: First::new(),
            created_at: seed.created_at,
            apart: seed.named.map(|named| OnceCell::from(Box::new(Apart::named(named)))).unwrap_or_default(),
        }
    }

    /// The number of the loop that it belongs to.
    #[inline]
    pub(crate) fn loop_id(&self) -> u32 {
        self.loop_id
    }

    /// Tells the task from every other one of the process.
    pub(crate) fn key(&self) -> (u32, u64) {
        (self.loop_id, self.number.get())
    }

    pub(crate) fn name(&self) -> String {
        let given = self.named().and_then(|named| named.name.borrow().clone());
        given.unwrap_or_else(|| format!("Task-{}", self.number.get()))
    }

    pub(crate) fn set_name(&self, name: String) {
        let named = self.apart().named.get_or_init(Box::default);
        if let Some(span) = named.span.as_ref().filter(|_| named.has_own_span) {
            span.record("task.name", name.as_str());
        }
        named.name.replace(Some(name));
    }

    pub(crate) fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }

    /// The task's span, if anybody listens.
    pub(crate) fn span(&self) -> Option<&tracing::Span> {
        self.named()?.span.as_ref()
    }

    /// It has nothing that most tasks never have: neither span nor context, and nobody ever asked it to stop.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.apart.get().is_none()
    }

    pub(crate) fn may_have_context(&self) -> bool {
        self.named().is_some()
    }

    /// Its context variables, while no step of it runs.
    #[inline]
    pub(crate) fn take_context(&self) -> Context {
        self.named().map(|named| named.context.take()).unwrap_or_default()
    }

    pub(crate) fn set_context(&self, context: Context) {
        if context.has_values() {
            self.apart().named.get_or_init(Box::default).context.replace(context);
        }
    }

    #[inline]
    fn named(&self) -> Option<&Named> {
        self.apart.get()?.named.get().map(Box::as_ref)
    }

    fn apart(&self) -> &Apart {
        self.apart.get_or_init(Box::default)
    }

    /// Its place, for `unwatch`.
    #[inline]
    pub(super) fn watch(&self, watch: Watch) -> u64 {
        let watch = match self.apart.get() {
            None => match self.first.set(watch) {
                Ok(()) => return FIRST,
                Err(watch) => watch,
            },
            Some(_) => watch,
        };
        self.waits().watchers.add(watch)
    }

    pub(super) fn unwatch(&self, place: u64) -> Option<Watch> {
        if place == FIRST { self.first.take() } else { self.waits_if_any()?.watchers.remove(place) }
    }

    /// The end: queues all who wait for it, in order.
    #[inline(always)]
    pub(super) fn wake_watchers(&self, event_loop: &EventLoop, ended: &TaskRef) {
        if let Some(first) = self.first.take() {
            first.wake(event_loop, || Awaited::Task(ended.clone()));
        }
        if let Some(waits) = self.waits_if_any() {
            waits.watchers.wake_all(event_loop, || Awaited::Task(ended.clone()));
        }
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.apart().waits
    }

    #[inline]
    pub(crate) fn waits_if_any(&self) -> Option<&Waits> {
        self.apart.get().map(|apart| &apart.waits)
    }

    pub(crate) fn rare(&self) -> &Rare {
        self.apart().rare.get_or_init(Box::default)
    }

    #[inline]
    pub(crate) fn rare_if_any(&self) -> Option<&Rare> {
        self.apart.get()?.rare.get().map(Box::as_ref)
    }
}

impl Apart {
    #[inline]
    fn named(named: Box<Named>) -> Self {
        Self { named: OnceCell::from(named), ..Self::default() }
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
    pub(crate) fn set(
        &self,
        panicked: Panicked,
        to: WeakLoop,
        message: String,
        created_at: &'static Location<'static>,
    ) {
        let context = ExceptionContext::of_panic(ExceptionKind::NeverRetrieved, panicked.clone());
        let context = Rc::new(ExceptionContext { message, created_at: Some(created_at), ..context });
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
        let Some(Report { to, context }) = self.report.take() else { return };
        match to.upgrade() {
            Some(event_loop) => event_loop.report(&context),
            // Its handler is gone with it.
            None => tracing::error!(target: "perloop", "{context}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;

    use super::{Named, Seed, TaskRecord};

    /// A small task is one of two cache lines because of this.
    #[test]
    fn names_spans_and_contexts_lie_apart_from_a_task_s_record() {
        assert_eq!(size_of::<TaskRecord>(), 32);
        assert_eq!(size_of::<Option<Option<TaskRecord>>>(), 32);
        assert_eq!(size_of::<Seed>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<OnceCell<Box<Named>>>(), size_of::<usize>());
    }
}
