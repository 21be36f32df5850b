//! Where the threads of perloop meet: everything that two of them share is in this crate, and all of its atomics, locks
//! and `unsafe` code too.
//!
//! Programs use the crate `perloop`, which re-exports what they need of this one: [`CrossThreadFuture`], [`Promise`],
//! the errors. The rest is for who writes a loop: [`Home`] is the loop as its own thread has it, and shows a loop in
//! miniature; [`Remote`] is the loop as other threads have it.
//!
//! # Who meets whom
//!
//! | here | there | where |
//! | ---- | ----- | ----- |
//! | a thread hands work in: [`Remote`] | the loop takes it: [`Home`] | the inbox, one word |
//! | a thread wakes a task | the loop polls it: [`TaskRef`] | the task's cell, one word |
//! | a thread waits, awaits, cancels: [`CrossThreadFuture`] | the loop ends the task | the same word, and a list of watchers |
//! | a thread waits: [`CrossThreadFuture`] | any thread completes: [`Promise`] | as above, without a loop |
//! | a thread lends from its stack: [`Scope`] | the loop runs what borrows | as above; the lender waits for the end |
//! | a thread that owns a loop blocks | another one does too | the table of waits |
//! | an actor waits for another: [`Asking`] | that one waits for it | the table of questions |
//! | a thread gives a name: [`NameEntry`] | another one looks it up, or gives it, too | the table of names |
//! | a thread hands a pool a job | a worker has been idle for long, and leaves | [`Staff`], one word |
//! | a thread or a task puts an item: [`ThreadSender`] | another one gets it: [`ThreadReceiver`] | a ring; each slot's word |
//! | a thread or a task takes a permit: [`Permits`] | another one gives it back: [`Permit`] | one word, and a line of those who wait |
//! | a thread looks a seat up: [`Roster`] | another one gives it anew | a pointer a seat |
//! | a thread reads a list: [`Members`] | another one changes it | a number, and a lock for who finds a new one |
//! | a thread sends a letter: [`Post`] | who lives on a loop receives it: [`Mailbox`] | a lane, one word |
//! | a pusher rings: [`Bell`] | the loop sleeps | what the runtime brings |
//!
//! A task's body never leaves its loop's thread once it has begun: there it is polled, there it is dropped, whoever
//! cancels it and whatever becomes of the loop. Each submission ends in exactly one way: with a value, a panic,
//! cancelled, or refused.
//!
//! # Reading order
//!
//! `PROTOCOL.md` first: how a loop sleeps and is woken, what is claimed, and by which model it is proved. Then `inbox`
//! (the one word), `task` with its numbered rules of who may touch what, `task::state` (the other word), `task::local`
//! (what needs no atomics), `task::cell` (the allocation), `core`, `remote` and `home` (the two ends of a loop),
//! `watchers`, `wait` and `future` (waiting for an end), `promise` and `many`, `mailbox`, and last `deadlock`, `asking`, `registry` and `scope`.
//! `pool` is where the memory of cells, letters and `pooled` futures comes from, `foreign` is how code that is not ours is run, and `sync` is all that there is of std's threads, or of loom's.
//!
//! # A loop in ten lines
//!
//! ```
//! use perloop_bridge::{Bell, Closing, Home, Ready, Spin, Stepped};
//!
//! struct Unpark(std::thread::Thread);
//! impl Bell for Unpark {
//!     fn ring(&self) {
//!         self.0.unpark();
//!     }
//! }
//!
//! let home = Home::new("mini", Spin::Never, Box::new(Unpark(std::thread::current())));
//! let remote = home.remote();
//! let asker = std::thread::spawn(move || remote.submit::<(), _>((), async { 6 * 7 }).result());
//! while !asker.is_finished() {
//!     home.collect();
//!     while let Some(entry) = home.pop() {
//!         match entry {
//!             Ready::Adopt(task) if task.adopt() => task.wake(),
//!             Ready::Step(task) if !task.begin_step() && !task.has_ended() => {
//!                 if task.poll() == (Stepped::Ended { publish: true }) {
//!                     task.publish();
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     if home.fall_asleep() {
//!         std::thread::park_timeout(std::time::Duration::from_millis(1));
//!     }
//! }
//! assert_eq!(asker.join().unwrap(), Ok(42));
//! home.close(Closing::Closed);
//! ```
mod asking;
mod bell;
mod core;
mod deadlock;
mod errors;
mod foreign;
mod future;
mod group_id;
mod home;
mod inbox;
mod load;
mod mailbox;
mod many;
mod members;
mod permits;
mod pool;
mod pooled;
mod promise;
mod ready;
mod registry;
mod remote;
mod roster;
mod scope;
mod staff;
mod sync;
mod task;
mod thread_queue;
mod wait;
mod waiters;
mod waits;
mod watchers;
mod witness;

pub use asking::{ActorName, Asker, Asking};
#[doc(hidden)]
pub use bell::Belfry;
pub use bell::Bell;
pub use errors::{
    Forked, FutureError, InvalidState, LoopClosed, LoopDied, Panicked, Refusal, Refused, WouldDeadlock,
};
pub use future::{Completion, CrossThreadFuture, drop_cancelled, drops_cancelled};
pub use group_id::{GroupId, InGroup};
pub use home::{Closing, Home, Outside};
pub use mailbox::{
    Answer, Burial, Letter, Mailbox, Open, Opener, Post, Question, Received, Reply, RoomWait, Unopened,
    WhenFull, mailbox, mailbox_with,
};
pub use many::{AnyFuture, AsCompleted, DoneAndPending, ReturnWhen, as_completed, wait};
pub use members::{Members, Seen};
pub use permits::{Permit, PermitError, Permits, TakePermit};
#[doc(hidden)]
pub use pool::Depot;
pub use pooled::PooledFuture;
pub use promise::Promise;
pub use ready::{Call, CallRef, Ready};
pub use registry::NameEntry;
pub use remote::Remote;
pub use roster::Roster;
pub use scope::{Scope, ScopedFuture};
pub use staff::{Handing, Staff};
pub use sync::SharedText;
pub use task::{Record, Stepped, TaskRef};
pub use thread_queue::{
    GetBlockingError, PutBlockingError, QueueClosed, ThreadGet, ThreadPut, ThreadReceiver, ThreadSender,
    TryGetError, TryPutError, thread_queue, thread_queue_with,
};
pub use wait::Spin;
pub use witness::{Watch, Witness};
