//! [`LoopHandle`]: a loop as other threads have it.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use perloop_bridge::{
    CrossThreadFuture, FutureError, GroupId, LoopClosed, Refused, Remote, Scope, ScopedFuture, WouldDeadlock,
};

use crate::context::Carried;
use crate::current;
use crate::debug::note_handed;
use crate::errors::NotHome;
use crate::event_loop::{EventLoop, run_callback_of};
use crate::task::{Seed, TaskRecord};

/// Hands a future to a loop, from any thread, and gives a cross-thread future of its outcome: asyncio's
/// `run_coroutine_threadsafe`.
///
/// The loop takes it up in a turn, as a task of its own; if it does not run yet, the submission waits until it does.
/// Every submission ends in exactly one way: with the value, with the future's panic, cancelled, or refused since the
/// loop is closed, died, or belongs to a parent process; the cross-thread future says which.
///
/// # Examples
/// ```
/// use perloop::{LoopThread, run_coroutine_threadsafe};
///
/// let worker = LoopThread::spawn("worker")?;
/// let answer = run_coroutine_threadsafe(async { 6 * 7 }, &worker);
/// assert_eq!(answer.result()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn run_coroutine_threadsafe<F>(future: F, on: &LoopHandle) -> CrossThreadFuture<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    on.noting_refusal(on.0.submit::<TaskRecord, F>(Seed::handed_in(Location::caller()), future))
}

/// A loop, for any thread: `Clone + Send + Sync`; in asyncio other threads have the loop itself. It keeps neither the
/// loop nor its thread alive.
///
/// Two are equal if they are of the same loop.
///
/// # Examples
/// ```
/// use perloop::LoopHandle;
///
/// let event_loop = perloop::new_event_loop()?;
/// let handle: LoopHandle = event_loop.handle();
/// assert_eq!(handle, event_loop.handle());
/// drop(event_loop);
/// assert!(handle.is_closed());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LoopHandle(Remote);

impl LoopHandle {
    pub(crate) fn new(remote: Remote) -> Self {
        Self(remote)
    }

    /// Returns the loop's name.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// assert_eq!(worker.name(), "worker");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Says whether a thread turns the loop just now: asyncio's `loop.is_running()`. It may be otherwise by the time
    /// that you read it. What is submitted to a loop that does not run waits until it does.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.handle();
    /// assert!(!handle.is_running());
    /// assert!(event_loop.run_until_complete(async { handle.is_running() })?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// Says whether it is closed, or a parent process's, so that every submission will be refused: asyncio's
    /// `loop.is_closed()`. A no may be out of date by the time that you read it; a yes is for good.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.handle();
    /// event_loop.close()?;
    /// assert!(handle.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Says whether the caller is the loop's own thread, where blocking on the loop's work could never end.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let handle = (*worker).clone();
    /// assert!(!handle.is_home());
    /// assert!(worker.block_on(async { handle.is_home() })?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_home(&self) -> bool {
        self.0.is_home()
    }

    /// Gives the loop itself, on its own thread: for what was handed in and wants `call_soon` and its kin there.
    ///
    /// # Errors
    /// In any other thread, where a loop must not be touched, and if the loop is gone.
    ///
    /// # Examples
    /// ```
    /// use perloop::{LoopThread, NotHome};
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// assert_eq!(worker.event_loop().unwrap_err(), NotHome::WrongThread("worker".to_owned()));
    /// let handle = worker.handle();
    /// let soon = worker.block_on(async { handle.event_loop().map(|home| home.call_soon(|| ()).is_ok()) })?;
    /// assert_eq!(soon, Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn event_loop(&self) -> Result<EventLoop, NotHome> {
        if !self.is_home() {
            return Err(NotHome::WrongThread(self.name().to_owned()));
        }
        let own = current::find_owned_by(|own| own.handle() == *self);
        own.ok_or_else(|| NotHome::Closed(LoopClosed::new(self.name())))
    }

    /// Queues a callback, to run on the loop's thread: asyncio's `call_soon_threadsafe`. Callbacks of one thread keep
    /// their order. A panic in it goes to the loop's exception handler.
    ///
    /// # Errors
    /// If the loop is closed, or a parent process's; the callback comes back.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let (sender, calls) = mpsc::channel();
    /// for n in 1..=3 {
    ///     let sender = sender.clone();
    ///     worker.call_soon_threadsafe(move || drop(sender.send(n)))?;
    /// }
    /// drop(sender);
    /// assert_eq!(calls.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_soon_threadsafe<F>(&self, callback: F) -> Result<(), Refused<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let (at, carried) = (Location::caller(), Carried::now());
        self.0.call_by(callback, move |callback| {
            note_handed(at);
            run_callback_of(|| Carried::run(carried, callback), |context| context.created_at = Some(at));
        })
    }

    /// As [`run_coroutine_threadsafe`], but the loop's own thread makes the future, which need not be `Send`.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use perloop::LoopThread;
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let length = worker.run_with(|| {
    ///     let words = Rc::new(RefCell::new(vec!["stays", "on", "its", "thread"]));
    ///     async move { words.borrow().len() }
    /// });
    /// assert_eq!(length.result()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn run_with<F>(&self, make: impl FnOnce() -> F + Send + 'static) -> CrossThreadFuture<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.submit_seeded(Seed::handed_in(Location::caller()), make)
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.0
    }

    /// As `run_with`, of a task with settings of its own.
    pub(crate) fn submit_seeded<F>(
        &self,
        seed: Seed,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> CrossThreadFuture<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.noting_refusal(self.0.submit_with::<TaskRecord, _, F>(seed, make))
    }

    /// From now on only threads of the group hand work in.
    pub(crate) fn close_to_others(&self, than: GroupId) {
        self.0.close_to_others(than);
    }

    /// The circle of a wait for the caller's own loop.
    pub(crate) fn own_circle(&self) -> Option<WouldDeadlock> {
        self.0.check_foreign().err()
    }

    /// How much is under way, if the loop counts that.
    pub(crate) fn load(&self) -> usize {
        self.0.load()
    }

    fn noting_refusal<T>(&self, future: CrossThreadFuture<T>) -> CrossThreadFuture<T> {
        if tracing::level_enabled!(tracing::Level::DEBUG) && self.is_closed() {
            tracing::debug!(target: "perloop", event_loop = self.name(), "refused a submission: the loop is closed");
        }
        future
    }

    /// As [`run_coroutine_threadsafe`], but a future that is refused comes back.
    ///
    /// # Errors
    /// If the loop is closed, or a parent process's.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.handle();
    /// event_loop.close()?;
    /// let refused = handle.try_submit(async { 42 }).unwrap_err();
    /// assert_eq!(perloop::run(refused.into_inner())?, 42); // so run it elsewhere
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_submit<F>(&self, future: F) -> Result<CrossThreadFuture<F::Output>, Refused<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.try_submit::<TaskRecord, F>(Seed::handed_in(Location::caller()), future)
    }

    /// Runs a future on the loop and blocks until it has ended and is dropped there; so it may borrow from the
    /// caller's stack. If the loop does not run, it waits until it does: the blocking kin of asyncio's
    /// `run_coroutine_threadsafe(...).result()`.
    ///
    /// # Errors
    /// What it ended with, if not with a value; `WouldDeadlock`, before anything of it ran, if the caller is the loop's
    /// own thread or one for which it waits.
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let words = vec!["lent", "for", "a", "while"];
    /// let longest = worker.block_on(async { words.iter().max_by_key(|word| word.len()) })?;
    /// assert_eq!(longest, Some(&"while"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn block_on<F>(&self, future: F) -> Result<F::Output, FutureError>
    where
        F: Future + Send,
        F::Output: Send,
    {
        self.0.block_on::<TaskRecord, F>(Seed::handed_in(Location::caller()), future)
    }

    /// Calls `work` with a scope through which futures that borrow can be handed in, and blocks until all of them have
    /// ended and are dropped. If `work` panics they are cancelled first.
    ///
    /// # Errors
    /// `WouldDeadlock`, before `work` is called, as for [`block_on`](Self::block_on).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let text = String::from("to be or not to be");
    /// let count = |word: &'static str| text.split(' ').filter(move |other| *other == word).count();
    /// let (be, or) = worker.scope(|scope| {
    ///     let be = scope.submit(async { count("be") });
    ///     let or = scope.submit(async { count("or") });
    ///     (be.result(), or.result_timeout(Duration::from_secs(5)))
    /// })?;
    /// assert_eq!((be?, or?), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scope<'env, T>(
        &'env self,
        work: impl for<'scope> FnOnce(LoopScope<'scope, 'env>) -> T,
    ) -> Result<T, WouldDeadlock> {
        self.0.scope::<TaskRecord, T, _>(|scope| work(LoopScope(scope)))
    }

    /// Stops the loop, once its current turn is over, as [`EventLoop::stop`](crate::EventLoop::stop) does: asyncio's
    /// `loop.call_soon_threadsafe(loop.stop)`. It returns at once. A loop that does not run will run for one turn; one
    /// that is closed does not mind.
    ///
    /// # Examples
    /// ```
    /// let event_loop = perloop::new_event_loop()?;
    /// let handle = event_loop.handle();
    /// let stopper = std::thread::spawn(move || handle.stop());
    /// event_loop.run_forever()?;
    /// stopper.join().expect("it does not panic");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) {
        // Refused by a closed loop: stopped for good.
        drop(self.0.call(|| current::with_running(crate::EventLoop::stop).unwrap_or_default()));
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle")
            .field("name", &self.name())
            .field("running", &self.is_running())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// What hands futures that borrow to a loop, see [`LoopHandle::scope`]. It does not leave the thread.
///
/// # Examples
/// ```
/// use perloop::{LoopScope, LoopThread, ScopedFuture};
///
/// fn count<'scope>(scope: LoopScope<'scope, '_>, text: &'scope str) -> ScopedFuture<'scope, usize> {
///     scope.submit(async { text.split(' ').count() })
/// }
///
/// let worker = LoopThread::spawn("worker")?;
/// let text = String::from("to be or not to be");
/// assert_eq!(worker.scope(|scope| count(scope, &text).result())??, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LoopScope<'scope, 'env>(&'scope Scope<'scope, 'env, TaskRecord>);

impl<'scope> LoopScope<'scope, '_> {
    /// Hands a future in, which may borrow from outside of the scope, and returns at once. If the loop does not take
    /// it, the scoped future says so, as that of [`run_coroutine_threadsafe`].
    ///
    /// # Examples
    /// ```
    /// let worker = perloop::LoopThread::spawn("worker")?;
    /// let mut words = vec!["lent"];
    /// worker.scope(|scope| {
    ///     scope.submit(async { words.push("and changed") });
    /// })?;
    /// assert_eq!(words, ["lent", "and changed"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit<F>(self, future: F) -> ScopedFuture<'scope, F::Output>
    where
        F: Future + Send + 'scope,
        F::Output: Send + 'scope,
    {
        self.0.submit(Seed::handed_in(Location::caller()), future)
    }
}
