//! Context variables: values that belong to a task or callback, and go along to what it starts.
//!
//! While a loop runs, the thread's current context is empty, but while a step or a callback that has one runs. So whoever
//! has none pays for looking whether there is one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use tracing::Span;
use tracing::level_filters::LevelFilter;

use crate::event_loop::run_callback;
use crate::task::{TaskRecord, step};

type Value = Arc<dyn Any + Send + Sync>;

thread_local! {
    /// Is there anything in `CURRENT`?
    static IS_SET: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Context> = const { RefCell::new(Context(None)) };
    /// The innermost `Context::run`, by its number.
    static SCOPE: Cell<u64> = const { Cell::new(0) };
    static SCOPES_MADE: Cell<u64> = const { Cell::new(0) };
}

/// Has any variable a value here?
#[inline]
pub(crate) fn is_set() -> bool {
    IS_SET.get()
}

/// Makes a context the current one, and gives the one before.
fn replace(new: Context) -> Context {
    let has_values = new.0.is_some();
    // In a thread that is ending there are no variables any more.
    let old = CURRENT.try_with(|current| current.replace(new));
    IS_SET.set(has_values && old.is_ok());
    old.unwrap_or_default()
}

/// The current context is the loop's own again: empty. For after a callback, which may have set something.
#[inline]
pub(crate) fn clear() {
    if is_set() {
        let old = replace(Context::new());
        run_callback(|| drop(old));
    }
}

/// A variable that each task has a value of its own of: asyncio's `contextvars.ContextVar`. A task or callback begins
/// with the values that were there where it was made, also if that was another thread, and what it sets is seen by
/// itself and by what it makes then; not by who made it.
///
/// Declare it as a static. It may be used in any thread, inside of loops and outside; a plain thread has its own values.
/// Values are cloned out, so make large ones an `Arc`.
///
/// # Examples
/// ```
/// use perloop::{ContextVar, create_task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// async fn greet() -> String {
///     format!("hello, {}", USER.get().unwrap_or("stranger"))
/// }
///
/// perloop::run(async {
///     USER.set("Ada");
///     let first = create_task(greet());
///     USER.set("Grace"); // too late for the first
///     let second = create_task(greet());
///     assert_eq!(first.await.as_deref(), Ok("hello, Ada"));
///     assert_eq!(second.await.as_deref(), Ok("hello, Grace"));
/// })?;
/// assert_eq!(USER.get(), None);
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct ContextVar<T> {
    name: &'static str,
    default: Option<T>,
}

impl<T> ContextVar<T> {
    /// Makes a variable without a value. The name is for people.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// assert_eq!(REQUEST.get(), None);
    /// ```
    pub const fn new(name: &'static str) -> Self {
        Self { name, default: None }
    }

    /// Makes a variable that has a value where none was set: the `default` of asyncio's `ContextVar`.
    ///
    /// # Examples
    /// ```
    /// static LANGUAGE: perloop::ContextVar<&str> = perloop::ContextVar::with_default("language", "en");
    /// assert_eq!(LANGUAGE.get(), Some("en"));
    /// ```
    pub const fn with_default(name: &'static str, default: T) -> Self {
        Self { name, default: Some(default) }
    }

    /// Returns the variable's name.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// assert_eq!(REQUEST.name(), "request");
    /// ```
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What tells it from others.
    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: Clone + Send + Sync + 'static> ContextVar<T> {
    /// Returns its value in the current context, else its default, if it has one: asyncio's `var.get()`.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// REQUEST.set(7);
    /// assert_eq!(REQUEST.get(), Some(7));
    /// ```
    pub fn get(&'static self) -> Option<T> {
        if !is_set() {
            return self.default.clone();
        }
        let found = CURRENT.try_with(|current| current.borrow().find(self.key())).ok().flatten();
        found.map(|value| clone_of(&value)).or_else(|| self.default.clone())
    }

    /// Sets its value in the current context, and gives what [`reset`](Self::reset) takes: asyncio's `var.set()`.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// REQUEST.set(7);
    /// let token = REQUEST.set(8);
    /// assert_eq!(token.old_value(), Some(7));
    /// ```
    pub fn set(&'static self, value: T) -> Token<T> {
        Token { var: self, old: change(self.key(), Some(Arc::new(value))), made_in: Place::here() }
    }

    /// Puts back what was there before the [`set`](Self::set) that gave the token: asyncio's `var.reset()`.
    ///
    /// # Errors
    /// If the token is another variable's, or comes from another context: another task, callback or thread. Nothing
    /// changes.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// let token = REQUEST.set(7);
    /// REQUEST.reset(token)?;
    /// assert_eq!(REQUEST.get(), None);
    /// # Ok::<(), perloop::ResetError>(())
    /// ```
    pub fn reset(&'static self, token: Token<T>) -> Result<(), ResetError> {
        if token.var.key() != self.key() {
            return Err(ResetError::OtherVariable { token: token.var.name, reset: self.name });
        }
        if token.made_in != Place::here() {
            return Err(ResetError::OtherContext(self.name));
        }
        drop(change(self.key(), token.old));
        Ok(())
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

fn clone_of<T: Clone + 'static>(value: &Value) -> T {
    value.downcast_ref::<T>().expect("a variable's value has its type").clone()
}

/// Changes the current context, and gives what was there. What is replaced is dropped outside of the borrow.
fn change(key: usize, new: Option<Value>) -> Option<Value> {
    let mut context = replace(Context::new());
    let old = context.change(key, new);
    drop(replace(context));
    old
}

/// Where a variable was set: a thread, and in it a task or `Context::run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    thread: ThreadId,
    task: Option<(u32, u64)>,
    scope: u64,
}

impl Place {
    fn here() -> Self {
        let task = step::current().map(|task| task.record::<TaskRecord>().key());
        Self { thread: thread::current().id(), task, scope: SCOPE.get() }
    }
}

/// What a [`ContextVar::set`] changed, for [`ContextVar::reset`]: `contextvars.Token`. Dropping it changes nothing.
///
/// # Examples
/// ```
/// use perloop::{ContextVar, Token};
///
/// static REQUEST: ContextVar<u64> = ContextVar::new("request");
/// let token: Token<u64> = REQUEST.set(7);
/// assert_eq!(token.old_value(), None);
/// ```
pub struct Token<T: 'static> {
    var: &'static ContextVar<T>,
    old: Option<Value>,
    made_in: Place,
}

impl<T: Clone> Token<T> {
    /// Returns the value that was replaced, if there was one.
    ///
    /// # Examples
    /// ```
    /// static REQUEST: perloop::ContextVar<u64> = perloop::ContextVar::new("request");
    /// let (first, second) = (REQUEST.set(1), REQUEST.set(2));
    /// assert_eq!((first.old_value(), second.old_value()), (None, Some(1)));
    /// ```
    pub fn old_value(&self) -> Option<T> {
        self.old.as_ref().map(clone_of)
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("var", &self.var.name).field("had_value", &self.old.is_some()).finish()
    }
}

/// Why a variable was not reset.
///
/// # Examples
/// ```
/// use perloop::{ContextVar, ResetError};
///
/// static USER: ContextVar<u64> = ContextVar::new("user");
/// static REQUEST: ContextVar<u64> = ContextVar::new("request");
/// let token = USER.set(1);
/// assert_eq!(REQUEST.reset(token), Err(ResetError::OtherVariable { token: "user", reset: "request" }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetError {
    /// The token is another variable's.
    OtherVariable {
        /// The name of the token's variable.
        token: &'static str,
        /// The name of the one that was to be reset.
        reset: &'static str,
    },
    /// The token comes from another context; the variable's name.
    OtherContext(&'static str),
}

impl fmt::Display for ResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVariable { token, reset } => {
                write!(
                    f,
                    "a token of the variable '{token}' cannot reset '{reset}'; use that variable's `reset`"
                )
            }
            Self::OtherContext(name) => write!(
                f,
                "the variable '{name}' was set in another context; reset it in the task or callback that set it"
            ),
        }
    }
}

impl Error for ResetError {}

/// The values of all context variables at one time: `contextvars.Context`. A clone is a copy, which costs as much as
/// one of a pointer; it may go to any thread.
///
/// # Examples
/// ```
/// use perloop::{Context, ContextVar};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let mut context = Context::new();
/// context.run(|| {
///     USER.set("Ada");
/// });
/// assert_eq!((context.run(|| USER.get()), USER.get()), (Some("Ada"), None));
/// ```
#[derive(Clone, Default)]
pub struct Context(Option<Arc<Vec<(usize, Value)>>>);

impl Context {
    /// Makes one where no variable is set.
    ///
    /// # Examples
    /// ```
    /// static USER: perloop::ContextVar<&str> = perloop::ContextVar::new("user");
    /// USER.set("Ada");
    /// assert_eq!(perloop::Context::new().run(|| USER.get()), None);
    /// ```
    pub fn new() -> Self {
        Self(None)
    }

    /// Calls `callback` with this as the current context, which keeps what is set meanwhile: `context.run()`. A
    /// callback that is to run in a context of its own is `move || context.run(callback)`.
    ///
    /// # Examples
    /// ```
    /// static USER: perloop::ContextVar<&str> = perloop::ContextVar::new("user");
    ///
    /// let event_loop = perloop::new_event_loop()?;
    /// let mut context = perloop::copy_context();
    /// event_loop.call_soon(move || context.run(|| drop(USER.set("Ada"))))?;
    /// event_loop.run_once(None)?;
    /// assert_eq!(USER.get(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<R>(&mut self, callback: impl FnOnce() -> R) -> R {
        let _scope = Scope::enter(self);
        callback()
    }

    pub(crate) fn has_values(&self) -> bool {
        self.0.is_some()
    }

    fn find(&self, key: usize) -> Option<Value> {
        let values = self.0.as_ref()?;
        values.iter().find(|(of, _)| *of == key).map(|(_, value)| Arc::clone(value))
    }

    /// Programs have few variables, so that the list is copied if somebody else has it too.
    fn change(&mut self, key: usize, new: Option<Value>) -> Option<Value> {
        let values = Arc::make_mut(self.0.get_or_insert_default());
        let at = values.iter().position(|(of, _)| *of == key);
        let old = match (at, new) {
            (Some(at), Some(new)) => Some(std::mem::replace(&mut values[at].1, new)),
            (Some(at), None) => Some(values.swap_remove(at).1),
            (None, Some(new)) => {
                values.push((key, new));
                None
            }
            (None, None) => None,
        };
        if values.is_empty() {
            self.0 = None;
        }
        old
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map_or(0, |values| values.len());
        f.debug_struct("Context").field("variables", &count).finish()
    }
}

/// A context is the current one as long as this lives.
struct Scope<'a> {
    context: &'a mut Context,
    outer: Context,
    outer_number: u64,
}

impl<'a> Scope<'a> {
    fn enter(context: &'a mut Context) -> Self {
        let number = SCOPES_MADE.get() + 1;
        SCOPES_MADE.set(number);
        let outer = replace(std::mem::take(context));
        Self { context, outer, outer_number: SCOPE.replace(number) }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        SCOPE.set(self.outer_number);
        *self.context = replace(std::mem::take(&mut self.outer));
    }
}

/// Returns a copy of the current context: `contextvars.copy_context()`.
///
/// # Examples
/// ```
/// static USER: perloop::ContextVar<&str> = perloop::ContextVar::new("user");
///
/// USER.set("Ada");
/// let mut copied = perloop::copy_context();
/// USER.set("Grace");
/// let thread = std::thread::spawn(move || copied.run(|| USER.get()));
/// assert_eq!(thread.join().ok().flatten(), Some("Ada"));
/// ```
pub fn copy_context() -> Context {
    if !is_set() {
        return Context::new();
    }
    CURRENT.try_with(|current| current.borrow().clone()).unwrap_or_default()
}

/// A task's context is the current one during its step, which is all that happens in `step`. What the step sets stays
/// with the task. No panic gets through here but one of the loop's own, which ends the loop.
pub(crate) fn in_step(record: &TaskRecord, step: impl FnOnce()) {
    if is_set() || record.may_have_context() {
        return in_context_of(record, step);
    }
    step();
    keep_of_step(record);
}

/// A step that began in the empty context is over: what it set stays with its task.
#[inline]
pub(crate) fn keep_of_step(record: &TaskRecord) {
    if is_set() {
        record.set_context(replace(Context::new()));
    }
}

#[inline(never)]
fn in_context_of(record: &TaskRecord, step: impl FnOnce()) {
    let outer = replace(record.take_context());
    step();
    record.set_context(replace(outer));
}

/// The loop's thread has the empty context while it turns; who called has the old one again afterwards.
#[derive(Debug)]
pub(crate) struct InLoop(Context);

impl InLoop {
    pub(crate) fn enter() -> Self {
        Self(if is_set() { replace(Context::new()) } else { Context::new() })
    }
}

impl Drop for InLoop {
    fn drop(&mut self) {
        clear();
        if self.0.has_values() {
            drop(replace(std::mem::take(&mut self.0)));
        }
    }
}

/// The span that is entered in this thread, if anybody listens.
#[inline]
pub(crate) fn current_span() -> Option<Span> {
    if LevelFilter::current() == LevelFilter::OFF {
        return None;
    }
    Some(Span::current()).filter(|span| !span.is_none())
}

/// What goes along with plain code that another thread runs.
pub(crate) struct Carried {
    context: Context,
    span: Option<Span>,
}

impl Carried {
    /// None if there is nothing to carry.
    #[inline]
    pub(crate) fn now() -> Option<Box<Self>> {
        if is_set() || LevelFilter::current() != LevelFilter::OFF { Self::collect() } else { None }
    }

    #[cold]
    fn collect() -> Option<Box<Self>> {
        let (context, span) = (copy_context(), current_span());
        (context.has_values() || span.is_some()).then(|| Box::new(Self { context, span }))
    }

    /// Runs it with what came along, if anything did.
    pub(crate) fn run<R>(carried: Option<Box<Self>>, code: impl FnOnce() -> R) -> R {
        let Some(mut carried) = carried else { return code() };
        let Self { context, span } = &mut *carried;
        let _span = span.as_ref().map(Span::enter);
        context.run(code)
    }
}
