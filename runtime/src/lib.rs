//! *An event loop for every thread, and a bridge between them*: Python's asyncio, in Rust, where the threads run in
//! parallel.
#![deny(unsafe_code)]

mod cancel;
mod clock;
mod current;
mod deliver;
mod errors;
mod event_loop;
mod exception;
mod handle;
mod loop_thread;
mod reactor;
mod run;
mod signal;
mod sleep;
mod task;
mod timers;

pub use perloop_bridge::{
    AnyFuture, AsCompleted, Completion, CrossThreadFuture, DoneAndPending, Forked, FutureError, InvalidState,
    LoopClosed, LoopDied, Panicked, Promise, Refusal, Refused, ReturnWhen, ScopedFuture, Spin, WouldDeadlock,
};

/// What plain threads do with several cross-thread futures: `concurrent.futures.wait` and `as_completed`.
pub mod threads {
    pub use perloop_bridge::{as_completed, wait};
}

pub use cancel::{Cancelled, CatchCancelled, catch_cancelled};
pub use current::{get_event_loop, get_running_loop, new_event_loop, set_event_loop};
pub use deliver::Deliver;
pub use errors::{
    CloseRunning, Interrupted, LoopError, NoEventLoop, NoRunningLoop, RunError, StoppedBeforeDone, TaskError,
    WrongLoop,
};
pub use event_loop::{Builder, EventLoop, Handle, TimerHandle};
pub use exception::{ExceptionContext, ExceptionKind};
pub use handle::{LoopHandle, LoopScope, run_coroutine_threadsafe};
pub use loop_thread::{JoinError, LoopThread};
pub use run::run;
pub use sleep::{Sleep, YieldNow, sleep, yield_now};
pub use task::{AnyTask, Task, all_tasks, create_task, current_task};
