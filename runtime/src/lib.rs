//! *An event loop for every thread, and a bridge between them*: Python's asyncio in Rust, where the threads really run
//! in parallel.
//!
//! Three steps, each of which runs.
//!
//! **One loop.** [`run`] makes a loop in this thread, runs a future on it as its main task, and closes it. Inside,
//! [`create_task`] makes tasks, which need not be `Send`:
//!
//! ```
//! use std::{cell::Cell, rc::Rc, time::Duration};
//! use perloop::{create_task, sleep};
//!
//! let count = perloop::run(async {
//!     let count = Rc::new(Cell::new(0));
//!     let tasks: Vec<_> = (1..=3)
//!         .map(|n| {
//!             let count = Rc::clone(&count);
//!             create_task(async move {
//!                 sleep(Duration::from_millis(n)).await;
//!                 count.set(count.get() + 1);
//!             })
//!         })
//!         .collect();
//!     for task in tasks {
//!         task.await.expect("it neither panics nor is cancelled");
//!     }
//!     count.get()
//! })?;
//! assert_eq!(count, 3);
//! # Ok::<(), perloop::RunError>(())
//! ```
//!
//! **A loop in another thread**, and the door to it: [`LoopThread`] owns a loop, [`run_coroutine_threadsafe`] hands it
//! a future from plain code, and gives a [`CrossThreadFuture`]:
//!
//! ```
//! use std::time::Duration;
//! use perloop::{FutureError, LoopThread, run_coroutine_threadsafe, sleep};
//!
//! let worker = LoopThread::spawn("worker")?;
//! let quick = run_coroutine_threadsafe(async { 42 }, &worker);
//! let slow = run_coroutine_threadsafe(sleep(Duration::from_secs(3600)), &worker);
//! assert_eq!(quick.result()?, 42);
//! assert_eq!(slow.result_timeout(Duration::from_millis(1)), Err(FutureError::TimedOut));
//! assert!(slow.cancel_and_wait()?); // its destructors have run
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **State that stays on its loop.** What [`LoopHandle::run_with`] makes on the loop's thread never leaves it, so it
//! needs no lock; and a task on one loop awaits work on another as any other future:
//!
//! ```
//! use std::cell::RefCell;
//! use perloop::{LoopThread, run_coroutine_threadsafe};
//!
//! thread_local! {
//!     static WORDS: RefCell<Vec<String>> = RefCell::default();
//! }
//!
//! let index = LoopThread::spawn("index")?;
//! let worker = LoopThread::spawn("worker")?;
//! let index_handle = (*index).clone();
//! let length = run_coroutine_threadsafe(
//!     async move {
//!         for word in ["lock", "free"] {
//!             let add = async move { WORDS.with_borrow_mut(|words| words.push(word.to_owned())) };
//!             run_coroutine_threadsafe(add, &index_handle).await?;
//!         }
//!         run_coroutine_threadsafe(async { WORDS.with_borrow(Vec::len) }, &index_handle).await
//!     },
//!     &worker,
//! );
//! assert_eq!(length.result()??, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The names are asyncio's wherever asyncio has the thing; `README.md` has the table, `ARCHITECTURE.md` what differs on
//! purpose. An exception is an `Err`; a panic ends the task that it happens in, and is its outcome.
#![deny(unsafe_code)]

mod as_completed;
mod async_gen;
mod async_with;
mod cancel;
mod clock;
mod current;
mod deliver;
mod errors;
mod event_loop;
mod exception;
mod executor;
mod gather;
mod gather_tuple;
mod handle;
mod interval;
mod locks;
mod loop_future;
mod loop_thread;
mod queues;
mod reactor;
mod run;
mod runner;
mod shield;
mod signal;
mod sleep;
mod task;
mod task_group;
mod timeout;
mod timers;
mod wait;
mod wait_for;
mod wrap_future;

pub use perloop_bridge::{
    AnyFuture, AsCompleted, Completion, CrossThreadFuture, DoneAndPending, Forked, FutureError, InvalidState,
    LoopClosed, LoopDied, Panicked, Promise, Refusal, Refused, ReturnWhen, ScopedFuture, Spin, WouldDeadlock,
};

/// What plain threads do with several cross-thread futures: `concurrent.futures.wait` and `as_completed`.
///
/// # Examples
/// ```
/// use perloop::{LoopThread, ReturnWhen, run_coroutine_threadsafe, threads};
///
/// let (first, second) = (LoopThread::spawn("first")?, LoopThread::spawn("second")?);
/// let number = run_coroutine_threadsafe(async { 42 }, &first);
/// let words = run_coroutine_threadsafe(async { "forty-two" }, &second);
/// let found = threads::wait(&[&number, &words], ReturnWhen::AllCompleted, None)?;
/// assert_eq!(found.done, [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod threads {
    pub use perloop_bridge::{as_completed, wait};
}

pub use as_completed::{Completions, as_completed};
pub use async_gen::{Aclose, Anext, AsyncGenerator, GeneratorError, Yield, Yielder, async_gen};
pub use async_with::{BodyEnd, async_with};
pub use cancel::{Cancelled, CatchCancelled, catch_cancelled};
pub use current::{get_event_loop, get_running_loop, new_event_loop, set_event_loop};
pub use deliver::Deliver;
pub use errors::{
    CloseRunning, Interrupted, LoopError, NoEventLoop, NoRunningLoop, RunError, RunnerClosed, SetError,
    StoppedBeforeDone, TaskError, TimedOut, TimeoutNotActive, WaitError, WrongLoop,
};
pub use event_loop::{Builder, EventLoop, Handle, TimerHandle};
pub use exception::{ExceptionContext, ExceptionKind};
pub use executor::{
    CapacityLimiter, ExecutorError, ExecutorTimedOut, JobError, LimiterToken, ThreadPoolBuilder,
    ThreadPoolExecutor, to_thread,
};
pub use gather::{Gather, gather, gather_outcomes, try_gather};
#[doc(hidden)]
pub use gather_tuple::GatherTuple;
pub use handle::{LoopHandle, LoopScope, run_coroutine_threadsafe};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use locks::{
    Barrier, BoundedSemaphore, BrokenBarrier, Condition, Event, Lock, LockGuard, NoParties, NotAcquired,
    ReleasedTooMany, Semaphore, SemaphorePermit,
};
pub use loop_future::{LoopFuture, create_future, ensure_future};
pub use loop_thread::{JoinError, LoopThread};
pub use queues::{
    Fifo, Get, GetNowaitError, Join, Least, Lifo, LifoQueue, Order, PriorityQueue, Put, PutNowaitError,
    Queue, QueueShutDown, TaskDoneTooOften,
};
pub use run::run;
pub use runner::Runner;
pub use shield::shield;
pub use sleep::{Sleep, YieldNow, sleep, yield_now};
pub use task::{AnyTask, Awaitable, CallbackKey, Task, Waitable, all_tasks, create_task, current_task};
pub use task_group::{ExceptionGroup, GroupRefused, GroupedError, TaskGroup};
pub use timeout::{Timeout, TimeoutScope, timeout, timeout_at};
pub use wait::wait;
pub use wait_for::wait_for;
pub use wrap_future::wrap_future;

/// The README's programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
