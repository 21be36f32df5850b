//! [`LoopThread`]: a thread that owns a loop.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::thread::JoinHandle;

use perloop_bridge::{Forked, Panicked, WouldDeadlock};

use crate::current::set_event_loop;
use crate::event_loop::{Builder, EventLoop};
use crate::handle::LoopHandle;
use crate::run::tear_down;

/// A thread that owns a loop and turns it until it is stopped: what asyncio's users write as
/// `Thread(target=loop.run_forever)`. It derefs to the loop's [`LoopHandle`].
///
/// [`join`](Self::join), or dropping it, stops the loop; then, as [`run`](crate::run) does, the tasks that are left are
/// cancelled and waited for, however long they take, and the thread ends.
///
/// # Examples
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
    /// Whose the thread is: a forked child has its memory, and not the thread.
    process: u32,
}

impl LoopThread {
    /// Starts a thread and a loop, both of this name. When it returns, the loop is there and runs or is about to.
    ///
    /// # Errors
    /// If the system gives no thread, or no descriptor for the loop to wait on.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// assert_eq!(worker.block_on(async { 6 * 7 })?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(name: impl Into<String>) -> io::Result<Self> {
        let name = name.into();
        Self::spawn_with(name.clone(), EventLoop::builder().name(name))
    }

    /// As [`spawn`](Self::spawn), with a loop of other settings.
    ///
    /// # Errors
    /// As `spawn`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, LoopThread, sleep};
    ///
    /// let worker = LoopThread::spawn_with("worker", EventLoop::builder().name("dreamer").virtual_time())?;
    /// assert_eq!(worker.name(), "dreamer");
    /// worker.block_on(sleep(Duration::from_secs(3600)))?; // at once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_with(thread_name: impl Into<String>, builder: Builder) -> io::Result<Self> {
        let (handle, thread) = start(thread_name.into(), || builder.build(), |event_loop| live(&event_loop))?;
        Ok(Self { handle, thread: Some(thread), process: std::process::id() })
    }

    /// A handle of the loop, to keep.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let handle = worker.handle();
    /// worker.join()?;
    /// assert!(handle.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> LoopHandle {
        self.handle.clone()
    }

    /// Stops the loop, and waits until its thread has ended, as is said at [`LoopThread`]: asyncio's
    /// `loop.call_soon_threadsafe(loop.stop)` and then `thread.join()`.
    ///
    /// # Errors
    /// If a panic ended it, if the caller is that very thread or one for which it waits, or if it is the parent
    /// process's.
    ///
    /// # Examples
    /// ```
    /// use perloop::{FutureError, LoopThread, run_coroutine_threadsafe};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let left = run_coroutine_threadsafe(std::future::pending::<()>(), &worker);
    /// worker.join()?;
    /// assert_eq!(left.result(), Err(FutureError::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(mut self) -> Result<(), JoinError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), JoinError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if self.process != std::process::id() {
            // Neither joined nor detached: there is no such thread here.
            std::mem::forget(thread);
            return Err(JoinError::Forked(Forked));
        }
        self.handle.stop();
        join(&self.handle, thread)
    }
}

/// Starts a thread, where `make` makes a loop and `live` is the rest of its life, and waits until the loop is there.
pub(crate) fn start(
    thread_name: String,
    make: impl FnOnce() -> io::Result<EventLoop> + Send + 'static,
    live: impl FnOnce(EventLoop) + Send + 'static,
) -> io::Result<(LoopHandle, JoinHandle<()>)> {
    if thread_name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name cannot have a NUL in it"));
    }
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let thread = std::thread::Builder::new().name(thread_name).spawn(move || {
        let event_loop = match make() {
            Ok(event_loop) => event_loop,
            Err(error) => return drop(sender.send(Err(error))),
        };
        set_event_loop(Some(&event_loop));
        drop(sender.send(Ok(event_loop.handle())));
        drop(sender);
        live(event_loop);
    })?;
    let failed = match receiver.recv() {
        Ok(Ok(handle)) => return Ok((handle, thread)),
        Ok(Err(error)) => error,
        Err(_) => io::Error::other("the loop's thread ended before its loop was made"),
    };
    // A panic that ended it was reported by the panic hook.
    drop(thread.join());
    Err(failed)
}

/// Waits for the end of a loop's thread.
pub(crate) fn join(handle: &LoopHandle, thread: JoinHandle<()>) -> Result<(), JoinError> {
    // A scope's wait is one that other threads see, so that of a circle somebody is told.
    let joined = handle.scope(|_| thread.join()).map_err(JoinError::WouldDeadlock)?;
    joined.map_err(|payload| JoinError::Panicked(Panicked::new(payload)))
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
///
/// # Examples
/// ```
/// use perloop::{JoinError, LoopThread};
///
/// let worker = LoopThread::spawn("worker")?;
/// let handle = (*worker).clone();
/// let joined = handle.run_with(|| async { worker.join() });
/// let Err(JoinError::WouldDeadlock(error)) = joined.result()? else { unreachable!() };
/// assert_eq!(error.path(), ["worker"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum JoinError {
    /// A panic ended the thread.
    Panicked(Panicked),
    /// A thread cannot wait for its own end, nor for one that waits for it. The loop was stopped all the same.
    WouldDeadlock(WouldDeadlock),
    /// It is a thread of the process that this one was forked from.
    Forked(Forked),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(error) => write!(f, "the event loop's thread panicked: {}", error.message()),
            Self::WouldDeadlock(error) => error.fmt(f),
            Self::Forked(error) => error.fmt(f),
        }
    }
}

impl Error for JoinError {}
