//! One scenario being played: its trace, its clock, its names. What lies in [`World`] is for all threads; what lies in
//! [`Local`] belongs to the thread of its loop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use perloop::{
    AnyTask, Builder, EventLoop, ExceptionContext, ExceptionKind, Handle, LoopFuture, LoopHandle, Runner,
    SlowCallback, TimeoutScope, TimerHandle, Yielder, current_task, get_running_loop,
};
use serde_json::{Value, json};

use crate::error::Error;
use crate::futures::{Callbacks, FutureEntry};
use crate::script::Scripts;
use crate::thread_future::ThreadFuture;

/// What a coroutine ended with. Its body writes it, for who looks without asking for it.
pub(crate) type Outcome = Arc<Mutex<Option<Result<Value, Error>>>>;

/// A task, and the future that it sets: not a main task's, which `run` keeps to itself.
#[derive(Clone)]
pub(crate) struct TaskEntry {
    pub(crate) any: AnyTask,
    pub(crate) future: Option<LoopFuture<Value>>,
    pub(crate) outcome: Outcome,
    pub(crate) callbacks: Callbacks,
}

/// What a name may stand for in a loop's own thread.
#[derive(Clone)]
pub(crate) enum Thing {
    Loop(EventLoop),
    Task(TaskEntry),
    Future(FutureEntry),
    Handle(Handle),
    Timer(TimerHandle),
    Scope(TimeoutScope),
    Runner(Rc<Runner>),
}

/// What a name may stand for in any thread.
#[derive(Clone)]
pub(crate) enum Shared {
    Loop(LoopHandle),
    Future(Arc<ThreadFuture>),
}

thread_local! {
    static LOCAL: RefCell<HashMap<String, Thing>> = RefCell::default();
}

/// Who runs ops.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Coroutine,
    Callback(String),
    Driver(String),
    Script(String, usize),
}

/// A run of a coroutine, a callback or a script: its variables.
pub(crate) struct Env {
    pub(crate) place: Place,
    vars: RefCell<HashMap<String, Value>>,
    /// What the handler that runs is handling.
    pub(crate) handled: RefCell<Option<Error>>,
    /// Of a generator's body: what it yields by.
    pub(crate) yielder: RefCell<Option<Rc<Yielder<Value>>>>,
}

impl Env {
    pub(crate) fn new(place: Place, vars: HashMap<String, Value>) -> Rc<Self> {
        let vars = RefCell::new(vars);
        Rc::new(Self { place, vars, handled: RefCell::default(), yielder: RefCell::default() })
    }
}

#[derive(Default)]
struct State {
    now: u64,
    trace: Vec<String>,
    is_over: bool,
    instances: HashMap<String, usize>,
    globals: HashMap<String, Value>,
    names: HashMap<String, Shared>,
    loops: usize,
    on_error: Option<&'static str>,
    is_dropping: bool,
}

pub(crate) struct World {
    pub(crate) spec: &'static Value,
    state: Mutex<State>,
    pub(crate) scripts: Scripts,
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a short scenario")
}

impl World {
    pub(crate) fn new(spec: &'static Value) -> &'static Self {
        Box::leak(Box::new(Self { spec, state: Mutex::default(), scripts: Scripts::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the state in hand")
    }

    // The clock. Loops have clocks of their own; the world's is that of the loop that runs, and stands still between.

    pub(crate) fn now(&self) -> u64 {
        if let Ok(running) = get_running_loop() {
            self.follow(&running);
        }
        self.state().now
    }

    /// Takes the time of a loop over.
    pub(crate) fn follow(&self, event_loop: &EventLoop) {
        let time = millis(event_loop.time()) + self.offset(event_loop);
        let mut state = self.state();
        state.now = state.now.max(time);
    }

    /// How far the loop's clock is behind the world's.
    pub(crate) fn offset(&self, event_loop: &EventLoop) -> u64 {
        let key = format!("{} offset", event_loop.name());
        self.state().globals.get(&key).and_then(Value::as_u64).unwrap_or_default()
    }

    /// The loop begins to run now.
    pub(crate) fn begin_run(&self, event_loop: &EventLoop) {
        let key = format!("{} offset", event_loop.name());
        let mut state = self.state();
        let offset = state.now - millis(event_loop.time());
        state.globals.insert(key, json!(offset));
    }

    pub(crate) fn move_to(&self, time: u64) {
        let mut state = self.state();
        state.now = state.now.max(time);
    }

    // The trace.

    pub(crate) fn emit(&self, who: &str, event: &str) {
        let now = self.now();
        let mut state = self.state();
        if !state.is_over {
            state.trace.push(format!("{now} {who} {event}"));
        }
    }

    pub(crate) fn say(&self, env: &Env, event: &str) {
        match &env.place {
            Place::Coroutine => self.emit(&current_name(), event),
            Place::Callback(name) => self.emit(&format!("@{name}"), event),
            Place::Driver(who) => self.emit(who, event),
            Place::Script(name, _) => self.emit(&format!("%{name}"), event),
        }
    }

    /// Ends the trace, and gives it.
    pub(crate) fn finish(&self) -> Vec<String> {
        let mut state = self.state();
        state.is_over = true;
        state.names.clear();
        std::mem::take(&mut state.trace)
    }

    /// Traces what an op gives, or its error.
    pub(crate) fn tell<T: Into<Value>>(
        &self,
        env: &Env,
        label: &str,
        result: Result<T, Error>,
    ) -> Result<Value, Error> {
        let value = self.tell_error(env, label, result)?.into();
        self.say(env, &format!("{label} = {}", format_value(&value)));
        Ok(value)
    }

    /// Traces only an error.
    pub(crate) fn tell_error<T>(&self, env: &Env, label: &str, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.say(env, &format!("{label} ! {}", error.0)))
    }

    // Names and values.

    pub(crate) fn new_label(&self, coroutine: &str) -> String {
        let mut state = self.state();
        let count = state.instances.entry(coroutine.to_owned()).or_default();
        *count += 1;
        if *count == 1 { coroutine.to_owned() } else { format!("{coroutine}#{count}") }
    }

    pub(crate) fn new_loop_label(&self) -> String {
        let mut state = self.state();
        state.loops += 1;
        if state.loops == 1 { "loop".to_owned() } else { format!("loop#{}", state.loops) }
    }

    pub(crate) fn keep_shared(&self, name: &str, thing: Shared) {
        let _old = self.state().names.insert(name.to_owned(), thing);
    }

    pub(crate) fn shared(&self, name: &str) -> Option<Shared> {
        self.state().names.get(name).cloned()
    }

    pub(crate) fn future(&self, name: &str) -> Arc<ThreadFuture> {
        match self.shared(name) {
            Some(Shared::Future(future)) => future,
            _ => panic!("no thread future '{name}'"),
        }
    }

    pub(crate) fn loop_handle(&self, name: &str) -> LoopHandle {
        match self.shared(name) {
            Some(Shared::Loop(handle)) => handle,
            _ => panic!("no loop '{name}'"),
        }
    }

    /// What makes the scenario's loops.
    pub(crate) fn builder(&self, name: &str) -> Builder {
        EventLoop::builder().name(name).virtual_time().debug(self.spec["debug"] == true)
    }

    /// Makes a loop known, under its own name and as the newest one.
    pub(crate) fn keep_loop(&'static self, event_loop: &EventLoop) {
        event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &_| self.on_exception(context)));
        let on_slow = move |_: &EventLoop, slow: &SlowCallback| {
            self.emit("!", &format!("slow {}", millis(slow.took)));
        };
        event_loop.set_slow_callback_handler(Some(on_slow));
        for name in [event_loop.name(), "loop"] {
            keep(name, Thing::Loop(event_loop.clone()));
            self.keep_shared(name, Shared::Loop(event_loop.handle()));
        }
    }

    pub(crate) fn assign(&self, env: &Env, variable: &Value, value: Value) {
        match variable.as_str() {
            None => {}
            Some(global) if global.starts_with('@') => {
                self.state().globals.insert(global.to_owned(), value);
            }
            Some(local) => {
                env.vars.borrow_mut().insert(local.to_owned(), value);
            }
        }
    }

    fn variable(&self, env: &Env, name: &str) -> Value {
        let found = if name.starts_with('@') {
            self.state().globals.get(name).cloned()
        } else {
            env.vars.borrow().get(name).cloned()
        };
        found.unwrap_or_else(|| panic!("no variable '{name}'"))
    }

    /// A value with its variables put in.
    pub(crate) fn value(&self, env: &Env, raw: &Value) -> Value {
        match raw {
            Value::Array(items) => items.iter().map(|item| self.value(env, item)).collect(),
            Value::String(text) if text.contains('$') => self.expand(env, text),
            other => other.clone(),
        }
    }

    fn expand(&self, env: &Env, text: &str) -> Value {
        let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '@');
        if let Some(name) = text.strip_prefix('$')
            && is_name(name)
        {
            return self.variable(env, name);
        }
        let mut parts = text.split("${");
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("a closed brace");
            expanded.push_str(&plain_text(&self.variable(env, name)));
            expanded.push_str(rest);
        }
        Value::String(expanded)
    }

    pub(crate) fn text(&self, env: &Env, raw: &Value) -> String {
        plain_text(&self.value(env, raw))
    }

    pub(crate) fn millis_of(&self, env: &Env, raw: &Value) -> i64 {
        self.value(env, raw).as_i64().expect("a time")
    }

    pub(crate) fn arguments(&self, env: &Env, raw: &Value) -> HashMap<String, Value> {
        let fields = raw.as_object().into_iter().flatten();
        fields.map(|(name, value)| (name.clone(), self.value(env, value))).collect()
    }

    // The exception handler.

    pub(crate) fn set_on_error(&self, callback: &'static Value) {
        self.state().on_error = callback.as_str();
    }

    pub(crate) fn set_dropping(&self, is_dropping: bool) {
        self.state().is_dropping = is_dropping;
    }

    fn on_exception(&'static self, context: &ExceptionContext) {
        let code = match context.kind {
            ExceptionKind::Callback => "callback",
            ExceptionKind::Shutdown => "shutdown",
            ExceptionKind::Asyncgen => "asyncgen",
            ExceptionKind::Shielded => "shielded",
            ExceptionKind::NeverRetrieved if !self.state().is_dropping => return,
            ExceptionKind::NeverRetrieved => "never-retrieved",
            _ => "?",
        };
        let error = context.panicked.as_ref().map(Error::from);
        let shown = error.as_ref().map_or("-", |error| error.0.as_str());
        self.emit("!", &format!("handler {code} {shown}"));
        let handler = self.state().on_error;
        if let Some(handler) = handler {
            let error = error.map(|error| error.0);
            let vars = [("code".to_owned(), json!(code)), ("error".to_owned(), json!(error))];
            let env = Env::new(Place::Callback(handler.to_owned()), vars.into());
            crate::ops::run(self, &self.spec["callbacks"][handler], &env).expect("a handler does not fail");
        }
    }
}

/// A value as text is put into text: strings bare.
fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| format_value(value), str::to_owned)
}

/// A value as the traces write it. Errors in values are objects of one field.
pub(crate) fn format_value(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(format_value).collect::<Vec<_>>().join(",")),
        Value::Object(error) => format!("!{}", error["error"].as_str().expect("an error")),
        other => other.to_string(),
    }
}

pub(crate) fn error_value(error: &Error) -> Value {
    json!({ "error": error.0 })
}

/// A task's name; none if it was made up.
pub(crate) fn task_name(task: &AnyTask) -> String {
    let name = task.name();
    let is_made_up = name.strip_prefix("Task-").is_some_and(|rest| rest.parse::<u64>().is_ok());
    if is_made_up { "?".to_owned() } else { name }
}

/// The task whose step runs, or whose future is being dropped by a request.
pub(crate) fn current() -> Option<AnyTask> {
    current_task().ok().flatten()
}

fn current_name() -> String {
    current().map_or_else(|| "?".to_owned(), |task| task_name(&task))
}

pub(crate) fn keep(name: &str, thing: Thing) {
    let _old = LOCAL.with_borrow_mut(|things| things.insert(name.to_owned(), thing));
}

pub(crate) fn find(name: &str) -> Option<Thing> {
    LOCAL.with_borrow(|things| things.get(name).cloned())
}

/// Takes a name out.
pub(crate) fn forget(name: &str) {
    let _old = LOCAL.with_borrow_mut(|things| things.remove(name));
}

pub(crate) fn forget_all() {
    let _old = LOCAL.take();
}

pub(crate) fn task(name: &str) -> TaskEntry {
    match find(name) {
        Some(Thing::Task(entry)) => entry,
        _ => panic!("no task '{name}'"),
    }
}

pub(crate) fn event_loop(name: &str) -> EventLoop {
    match find(name) {
        Some(Thing::Loop(event_loop)) => event_loop,
        _ => panic!("no loop '{name}'"),
    }
}

/// Makes the current task known under its coroutine's label, if it has no name of its own.
pub(crate) fn name_current(label: &str, outcome: &Outcome) {
    let Some(current) = current() else { return };
    if task_name(&current) != "?" {
        return;
    }
    current.set_name(label);
    let known = LOCAL.with_borrow_mut(|things| {
        let is_it = |thing: &Thing| matches!(thing, Thing::Task(entry) if entry.any == current);
        let name = things.iter().find_map(|(name, thing)| is_it(thing).then(|| name.clone()))?;
        // A name that nobody gave is only for finding it here.
        if name.starts_with('?') { things.remove(&name) } else { things.get(&name).cloned() }
    });
    let fresh = || {
        let (any, outcome) = (current.clone(), Arc::clone(outcome));
        Thing::Task(TaskEntry { any, future: None, outcome, callbacks: Callbacks::default() })
    };
    keep(label, known.unwrap_or_else(fresh));
}
