//! Where the threads of perloop meet. See `PROTOCOL.md`.
//!
//! Programs use the crate `perloop`, which re-exports what they need of this one: [`CrossThreadFuture`], [`Promise`],
//! the errors. The rest is for who writes a loop: [`Home`] is the loop as its own thread has it, and shows a loop in
//! miniature; [`Remote`] is the loop as other threads have it.
mod bell;
mod core;
mod deadlock;
mod errors;
mod foreign;
mod future;
mod home;
mod inbox;
mod many;
mod promise;
mod remote;
mod scope;
mod sync;
mod task;
mod wait;
mod watchers;

pub use bell::Bell;
pub use errors::{
    Forked, FutureError, InvalidState, LoopClosed, LoopDied, Panicked, Refusal, Refused, WouldDeadlock,
};
pub use future::{Completion, CrossThreadFuture, drop_cancelled};
pub use home::{Call, CallRef, Closing, Home, Ready};
pub use many::{AnyFuture, AsCompleted, DoneAndPending, ReturnWhen, as_completed, wait};
pub use promise::Promise;
pub use remote::Remote;
pub use scope::{Scope, ScopedFuture};
pub use task::{HomeTask, Record, Stepped, TaskRef};
pub use wait::Spin;
