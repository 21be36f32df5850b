//! [`LoopThread`]: a thread that owns a loop.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::thread::JoinHandle;

use perloop_bridge::{Panicked, WouldDeadlock};

use crate::current::set_event_loop;
use crate::event_loop::{Builder, EventLoop};
use crate::handle::LoopHandle;
use crate::run::tear_down;

/// A thread that owns a loop and turns it until it is stopped. It derefs to the loop's [`LoopHandle`].
///
/// [`join`](Self::join), or dropping it, stops the loop; then, as [`run`](crate::run) does, the tasks that are left are
/// cancelled and waited for, however long they take, and the thread ends.
///
/// ```
/// use perloop::{LoopThread, run_coroutine_threadsafe};
///
/// let worker = LoopThread::spawn("worker")?;
/// let thread = run_coroutine_threadsafe(async { std::thread::current().name().map(str::to_owned) }, &worker);
/// assert_eq!(thread.result()?.as_deref(), Some("worker"));
/// worker.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LoopThread {
    handle: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl LoopThread {
    /// Starts a thread and a loop of this name. When it returns, the loop is there and runs or is about to.
    ///
    /// # Errors
    /// If the system gives no thread, or no descriptor for the loop to wait on.
    pub fn spawn(name: impl Into<String>) -> io::Result<Self> {
        let name = name.into();
        Self::spawn_with(name.clone(), EventLoop::builder().name(name))
    }

    /// As [`spawn`](Self::spawn), with a loop of other settings.
    ///
    /// # Errors
    /// As `spawn`.
    pub fn spawn_with(thread_name: impl Into<String>, builder: Builder) -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let thread = std::thread::Builder::new().name(thread_name.into()).spawn(move || {
            let event_loop = match builder.build() {
                Ok(event_loop) => event_loop,
                Err(error) => return drop(sender.send(Err(error))),
            };
            set_event_loop(Some(&event_loop));
            drop(sender.send(Ok(event_loop.handle())));
            drop(sender);
            live(&event_loop);
        })?;
        match receiver.recv() {
            Ok(Ok(handle)) => Ok(Self { handle, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the loop's thread ended before its loop was made")),
        }
    }

    /// Stops the loop, and waits until its thread has ended.
    ///
    /// # Errors
    /// If a panic ended it, or if the caller is that very thread.
    pub fn join(mut self) -> Result<(), JoinError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), JoinError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.handle.stop();
        if thread.thread().id() == std::thread::current().id() {
            return Err(JoinError::WouldDeadlock(WouldDeadlock::of_loop(self.handle.name())));
        }
        thread.join().map_err(|payload| JoinError::Panicked(Panicked::new(payload)))
    }
}

/// The thread's whole life.
fn live(event_loop: &EventLoop) {
    let ended = event_loop.run_forever().and_then(|()| tear_down(event_loop));
    if let Err(error) = ended {
        event_loop.die();
        panic!("event loop '{}': {error}", event_loop.name());
    }
    event_loop.close().expect("it does not run any more");
}

impl Deref for LoopThread {
    type Target = LoopHandle;

    fn deref(&self) -> &LoopHandle {
        &self.handle
    }
}

impl Drop for LoopThread {
    /// A panic of the thread was reported by the panic hook; its own thread is not joined.
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Why [`LoopThread::join`] failed.
#[derive(Debug, Clone, PartialEq)]
pub enum JoinError {
    /// A panic ended the thread.
    Panicked(Panicked),
    /// A thread cannot wait for its own end. The loop was stopped all the same.
    WouldDeadlock(WouldDeadlock),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(error) => write!(f, "the event loop's thread panicked: {}", error.message()),
            Self::WouldDeadlock(error) => error.fmt(f),
        }
    }
}

impl Error for JoinError {}
