//! *An event loop for every thread, and a bridge between them*: Python's asyncio in Rust, where the threads really run
//! in parallel.
//!
//! The names are asyncio's wherever asyncio has the thing: [`asyncio`] is the table of them, with tokio's beside, and
//! `ARCHITECTURE.md` lists what differs on purpose. An exception is an `Err`; a panic ends the task that it happens in,
//! and is its outcome.
//!
//! # One program, step by step
//!
//! It asks several sites whether they are up. (To ask is to sleep here; perloop has no sockets yet.) Each step runs,
//! and shows what it adds.
//!
//! **A coroutine** is a Rust future. [`run`](fn@run) makes a loop in this thread, runs the future on it as the main
//! task, and closes it:
//!
//! ```
//! use std::time::Duration;
//! use perloop::sleep;
//!
//! /// Gives the milliseconds that a site took; the longer its name, the longer.
//! async fn ask(site: &str) -> u64 {
//!     let took = site.len() as u64;
//!     sleep(Duration::from_millis(took)).await;
//!     took
//! }
//!
//! let took = perloop::run(ask("one.example"))?;
//! assert_eq!(took, 11);
//! # Ok::<(), perloop::RunError>(())
//! ```
//!
//! **Several at once** are tasks: [`create_task`] makes one, which begins by itself in the loop's next turn.
//! [`gather()`] awaits them together, and gives their values in the order of the arguments. Both `?` are for the two
//! that can end otherwise: a task, and the loop.
//!
//! ```
//! # use std::time::Duration;
//! # use perloop::sleep;
//! # async fn ask(site: &str) -> u64 {
//! #     let took = site.len() as u64;
//! #     sleep(Duration::from_millis(took)).await;
//! #     took
//! # }
//! use perloop::{create_task, gather};
//!
//! const SITES: [&str; 3] = ["one.example", "three.example", "two.example"];
//!
//! let took = perloop::run(async { gather(SITES.map(|site| create_task(ask(site)))).await })??;
//! assert_eq!(took, [11, 13, 11]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What tasks share** needs no lock against other threads, since a loop and all of its tasks stay in one thread:
//! `Rc`, `Cell` and `RefCell` will do, and a future need not be `Send`. What two tasks must not do at once has
//! asyncio's locks; a [`Semaphore`] lets two ask at a time:
//!
//! ```
//! # use std::time::Duration;
//! # use perloop::{create_task, gather, sleep};
//! # async fn ask(site: &str) -> u64 {
//! #     let took = site.len() as u64;
//! #     sleep(Duration::from_millis(took)).await;
//! #     took
//! # }
//! # const SITES: [&str; 3] = ["one.example", "three.example", "two.example"];
//! use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
//! use perloop::{Semaphore, TaskError};
//!
//! #[derive(Default)]
//! struct Survey {
//!     took: RefCell<BTreeMap<&'static str, u64>>,
//! }
//!
//! impl Survey {
//!     async fn ask_all(self: Rc<Self>, limit: usize) -> Result<(), TaskError> {
//!         let limit = Rc::new(Semaphore::new(limit));
//!         let ask_one = |site| {
//!             let (survey, limit) = (Rc::clone(&self), Rc::clone(&limit));
//!             create_task(async move {
//!                 let _permit = limit.acquire().await; // until the end of the block
//!                 let took = ask(site).await;
//!                 survey.took.borrow_mut().insert(site, took);
//!             })
//!         };
//!         gather(SITES.map(ask_one)).await?;
//!         Ok(())
//!     }
//! }
//!
//! let survey = Rc::new(Survey::default());
//! perloop::run(Rc::clone(&survey).ask_all(2))??;
//! assert_eq!(survey.took.borrow().len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A limit to the patience** is [`timeout()`], which cancels its body when the time is up. To cancel is to ask, as in
//! asyncio: the request meets a task at the `.await` where it stands. There it may be caught, by [`catch_cancelled`],
//! for what has to be cleaned up, with `.await` too; what is not caught drops the future.
//!
//! ```
//! # use std::time::Duration;
//! # use perloop::sleep;
//! use perloop::{catch_cancelled, timeout};
//!
//! /// A site that never answers is to be told good-bye.
//! async fn ask_in_vain() {
//!     if let Err(cancelled) = catch_cancelled(std::future::pending::<()>()).await {
//!         sleep(Duration::from_millis(1)).await; // good-bye
//!         cancelled.raise().await;
//!     }
//! }
//!
//! let outcome = perloop::run(timeout(Duration::from_millis(10), ask_in_vain()))?;
//! assert!(outcome.is_err());
//! # Ok::<(), perloop::RunError>(())
//! ```
//!
//! **A loop in another thread** leaves this one free for what is not async: a window, a game, a blocking library.
//! [`LoopThread`] owns such a loop. [`run_coroutine_threadsafe`] is the door to it: it takes a future from any thread,
//! and gives a [`CrossThreadFuture`], to block on, to await in a task of another loop, to hang callbacks on, or to
//! cancel.
//!
//! ```
//! # use std::time::Duration;
//! # use perloop::sleep;
//! # async fn ask(site: &str) -> u64 {
//! #     let took = site.len() as u64;
//! #     sleep(Duration::from_millis(took)).await;
//! #     took
//! # }
//! use perloop::{FutureError, LoopThread, run_coroutine_threadsafe};
//!
//! let network = LoopThread::spawn("network")?;
//! let quick = run_coroutine_threadsafe(ask("one.example"), &network);
//! let endless = run_coroutine_threadsafe(std::future::pending::<()>(), &network);
//! assert_eq!(quick.result()?, 11); // blocks this thread, which has no loop
//! assert_eq!(endless.result_timeout(Duration::from_millis(1)), Err(FutureError::TimedOut));
//! assert!(endless.cancel_and_wait()?); // its destructors have run
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **State stays at home** even so. What [`LoopHandle::run_with`] is given runs on the loop's thread and makes the
//! future there, `Rc` and all; only the answer crosses. And a task awaits work on another loop as any other future:
//!
//! ```
//! # use std::{cell::RefCell, rc::Rc};
//! # use perloop::LoopThread;
//! use perloop::LoopHandle;
//!
//! thread_local! {
//!     static SEEN: Rc<RefCell<Vec<&'static str>>> = Rc::default();
//! }
//!
//! /// For a task of any loop; the list is that of the archive's thread.
//! async fn note(site: &'static str, archive: LoopHandle) -> usize {
//!     let noted = archive.run_with(move || {
//!         let seen = SEEN.with(Rc::clone);
//!         async move {
//!             seen.borrow_mut().push(site);
//!             seen.borrow().len()
//!         }
//!     });
//!     noted.await.expect("the archive is open")
//! }
//!
//! let archive = LoopThread::spawn("archive")?;
//! let count = perloop::run(async {
//!     note("one.example", archive.handle()).await;
//!     note("two.example", archive.handle()).await
//! })?;
//! assert_eq!(count, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! - Every name of asyncio, and what it is here: [`asyncio`], with what one writes again and again.
//! - A loop: [`run`](fn@run), [`Runner`], [`EventLoop`], [`Builder`]; in a thread of its own, [`LoopThread`];
//!   in several, [`EventLoopGroup`].
//! - Tasks: [`create_task`], [`Task`], [`TaskGroup`], [`catch_cancelled`], [`sleep`], [`interval()`].
//! - Waiting for some of them: [`gather()`], [`gather!`], [`wait()`](fn@wait), [`try_wait`],
//!   [`as_completed`](fn@as_completed), [`timeout()`], [`wait_for`](fn@wait_for), [`shield`](fn@shield); what one sets by hand, [`LoopFuture`].
//! - Scopes and streams: [`async_with`], [`async_gen`].
//! - What blocks, in threads of its own: [`to_thread`], [`ThreadPoolExecutor`], [`CapacityLimiter`].
//! - Between tasks of a loop: [`Lock`], [`Event`], [`Condition`], [`Semaphore`], [`Barrier`], [`Queue`].
//! - State that is talked to by messages: [`Actor`], [`Handler`], [`create_actor`], [`Address`], [`Recipient`]; who restarts
//!   it when it fails, [`Supervisor`]; who hears of its end, [`Monitor`].
//! - From other threads: [`run_coroutine_threadsafe`], [`LoopHandle`], [`CrossThreadFuture`], [`Promise`], [`threads`],
//!   [`thread_queue`]; no more at a time than a [`SubmitLimit`] allows.
//! - What goes along with work: [`ContextVar`], and the `tracing` span.
//! - What went wrong: [`PanicPolicy`], [`EventLoop::set_exception_handler`], [`EventLoop::set_debug`], [`AnyTask::created_at`].
//! - Tests that take no time: [`Builder::virtual_time`].
#![deny(unsafe_code)]

mod actor;
mod as_completed;
mod async_gen;
mod async_with;
mod cancel;
mod caught;
mod clock;
mod context;
mod current;
mod debug;
mod deliver;
mod errors;
mod event_loop;
mod event_loop_group;
mod exception;
mod executor;
mod gather;
mod gather_tuple;
mod handle;
mod interval;
mod line;
mod locks;
mod lodging;
mod loop_future;
mod loop_thread;
mod nested_drop;
mod notice;
mod places;
mod queues;
mod reactor;
mod run;
mod runner;
mod runs;
mod scopes;
mod shield;
mod signal;
mod simulation;
mod sleep;
mod submit_limit;
mod supervisor;
mod task;
mod task_group;
mod timeout;
mod timers;
mod wait;
mod wait_for;
mod wrap_future;

pub use perloop_bridge::{
    AnyFuture, AsCompleted, Completion, CrossThreadFuture, DoneAndPending, Forked, FutureError,
    GetBlockingError, InvalidState, LoopClosed, LoopDied, Panicked, PermitError, Promise, PutBlockingError,
    QueueClosed, Refusal, Refused, ReturnWhen, ScopedFuture, Spin, ThreadGet, ThreadPut, ThreadReceiver,
    ThreadSender, TryGetError, TryPutError, WhenFull, WouldDeadlock, thread_queue, thread_queue_with,
};

#[doc = include_str!("docs/asyncio.md")]
pub mod asyncio {}

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

pub use actor::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, Ask, AskError, AttachedKey, Broadcast, Down,
    Handler, Monitor, MonitorKey, Recipient, RegisterError, Router, RouterMember, Takes, Tell, TellError,
    TryTellError, WeakAddress, WeakRecipient, create_actor,
};
pub use as_completed::{Completions, as_completed};
pub use async_gen::{Aclose, Anext, AsyncGenerator, GeneratorError, Yield, Yielder, async_gen};
pub use async_with::{BodyEnd, async_with};
pub use cancel::{Cancelled, CatchCancelled, catch_cancelled};
pub use context::{Context, ContextVar, ResetError, Token, copy_context};
pub use current::{get_event_loop, get_running_loop, new_event_loop, set_event_loop};
pub use debug::SlowCallback;
pub use deliver::Deliver;
pub use errors::{
    CloseRunning, Interrupted, LoopError, NoEventLoop, NoRunningLoop, NotHome, RunError, RunnerClosed,
    SetError, StoppedBeforeDone, TaskError, TimedOut, TimeoutNotActive, WaitError, WrongLoop,
};
pub use event_loop::{Builder, EventLoop, Handle, TaskBuilder, TimerHandle};
pub use event_loop_group::{
    EventLoopGroup, GroupBuilder, GroupFutures, GroupHandle, LoopDeath, LoopEnd, LoopReport, ShutdownReport,
};
pub use exception::{ExceptionContext, ExceptionKind, PanicPolicy};
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
pub use simulation::{PendingTask, Simulation, SimulationError};
pub use sleep::{Sleep, YieldNow, sleep, yield_now};
pub use submit_limit::{LimitReached, SubmitLimit, SubmitPermit};
pub use supervisor::{
    Backoff, Child, ChildRef, ChildState, GaveUp, Intensity, Restart, StartChild, StopChild, Strategy,
    Supervisor, SupervisorBuilder, WhichChildren,
};
pub use task::{AnyTask, Awaitable, CallbackKey, Task, Waitable, all_tasks, create_task, current_task};
pub use task_group::{ExceptionGroup, GroupRefused, GroupedError, TaskGroup};
pub use timeout::{Timeout, TimeoutScope, timeout, timeout_at};
pub use wait::{try_wait, wait};
pub use wait_for::wait_for;
pub use wrap_future::wrap_future;

/// The README's programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
