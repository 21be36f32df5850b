//! Queues: the objects, their ops, and what can be awaited of them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use perloop::{
    GetNowaitError, LifoQueue, Order, PriorityQueue, PutNowaitError, Queue, QueueShutDown, TaskDoneTooOften,
};
use serde_json::{Value, json};

use crate::coroutine::Local;
use crate::error::Error;
use crate::known;
use crate::world::{Env, World};

/// A value as Python compares it: numbers, texts, and lists of these.
#[derive(Debug, PartialEq, Eq)]
struct Item(Value);

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(left), Value::Number(right)) => left.as_i64().cmp(&right.as_i64()),
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Array(left), Value::Array(right)) => {
                let items = |list: &[Value]| list.iter().cloned().map(Item).collect::<Vec<_>>();
                items(left).cmp(&items(right))
            }
            (left, right) => panic!("no order between {left} and {right}"),
        }
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone)]
enum AnyQueue {
    First(Rc<Queue<Item>>),
    Last(Rc<LifoQueue<Item>>),
    Least(Rc<PriorityQueue<Item>>),
}

thread_local! {
    static QUEUES: RefCell<HashMap<String, AnyQueue>> = RefCell::default();
}

/// Does something with a queue, whatever its kind.
macro_rules! with_queue {
    ($name:expr, $queue:ident => $act:expr) => {
        match find($name) {
            AnyQueue::First($queue) => $act,
            AnyQueue::Last($queue) => $act,
            AnyQueue::Least($queue) => $act,
        }
    };
}

fn find(name: &str) -> AnyQueue {
    let found = QUEUES.with_borrow(|queues| queues.get(name).cloned());
    found.unwrap_or_else(|| panic!("no queue '{name}'"))
}

/// Makes the scenario's queues.
pub(crate) fn make_all(spec: &'static Value) {
    QUEUES.take();
    for (name, object) in spec["objects"].as_object().into_iter().flatten() {
        // perloop's maximum is never negative.
        let maxsize = object["maxsize"].as_u64().and_then(|maxsize| usize::try_from(maxsize).ok());
        let maxsize = maxsize.unwrap_or_default();
        let queue = match object["type"].as_str() {
            Some("queue") => AnyQueue::First(Rc::new(Queue::new(maxsize))),
            Some("lifo_queue") => AnyQueue::Last(Rc::new(LifoQueue::new(maxsize))),
            Some("priority_queue") => AnyQueue::Least(Rc::new(PriorityQueue::new(maxsize))),
            _ => continue,
        };
        QUEUES.with_borrow_mut(|queues| queues.insert(name.clone(), queue));
    }
}

/// Ops that never suspend.
pub(crate) fn op(world: &World, op: &'static Value, env: &Env) -> Option<Result<Value, Error>> {
    let verb = op["op"].as_str().expect("an op");
    if !matches!(
        verb,
        "put_nowait" | "get_nowait" | "task_done" | "qsize" | "empty" | "full" | "queue_shutdown"
    ) {
        return None;
    }
    let name = world.text(env, &op["on"]);
    Some(with_queue!(&name, queue => act(world, op, env, &queue)))
}

fn act<O: Order<Item>>(
    world: &World,
    op: &'static Value,
    env: &Env,
    queue: &Queue<Item, O>,
) -> Result<Value, Error> {
    let verb = op["op"].as_str().expect("an op");
    let label = format!("{verb} {}", world.text(env, &op["on"]));
    let untold = match verb {
        "qsize" => return world.tell(env, &label, Ok(queue.qsize())),
        "empty" => return world.tell(env, &label, Ok(queue.empty())),
        "full" => return world.tell(env, &label, Ok(queue.full())),
        "get_nowait" => {
            let taken = queue.get_nowait().map(|item| item.0);
            return world.tell(env, &label, taken.map_err(Error::from));
        }
        "put_nowait" => queue.put_nowait(Item(world.value(env, &op["value"]))).map_err(Error::from),
        "task_done" => queue.task_done().map_err(Error::from),
        _ => {
            queue.shutdown(op["immediate"] == true);
            Ok(())
        }
    };
    world.tell_error(env, &label, untold).map(|()| Value::Null)
}

/// What can be awaited of a queue.
pub(crate) fn awaitable(world: &World, spec: &'static Value, env: &Env) -> Local<Result<Value, Error>> {
    let kind = known::kind_of(spec);
    let name = world.text(env, &spec[kind]);
    let value = world.value(env, &spec["value"]);
    with_queue!(&name, queue => Box::pin(misuse_caught(async move {
        match kind {
            "get" => queue.get().await.map(|item| item.0).map_err(Error::from),
            "put" => queue.put(Item(value)).await.map(|()| Value::Null).map_err(Error::from),
            _ => {
                queue.join().await;
                Ok(json!(null))
            }
        }
    })))
}

/// What asyncio says as an error, to wait on another loop than before, perloop says as a panic.
pub(crate) async fn misuse_caught(work: impl Future<Output = Result<Value, Error>>) -> Result<Value, Error> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|payload| {
        let Error(message) = Error::caught(payload);
        assert!(message.contains("another event loop"), "{message}");
        Err(Error::misuse("different-loop"))
    })
}

impl<T> From<QueueShutDown<T>> for Error {
    fn from(_: QueueShutDown<T>) -> Self {
        Self::named("QueueShutDown", "")
    }
}

impl From<GetNowaitError> for Error {
    fn from(error: GetNowaitError) -> Self {
        match error {
            GetNowaitError::Empty => Self::named("QueueEmpty", ""),
            GetNowaitError::ShutDown => Self::named("QueueShutDown", ""),
        }
    }
}

impl<T> From<PutNowaitError<T>> for Error {
    fn from(error: PutNowaitError<T>) -> Self {
        match error {
            PutNowaitError::Full(_) => Self::named("QueueFull", ""),
            PutNowaitError::ShutDown(_) => Self::named("QueueShutDown", ""),
        }
    }
}

impl From<TaskDoneTooOften> for Error {
    fn from(_: TaskDoneTooOften) -> Self {
        Self("ValueError:task-done-too-many".to_owned())
    }
}
