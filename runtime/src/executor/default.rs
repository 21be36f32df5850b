//! A loop and its jobs: `to_thread`, `run_in_executor`, and the default executor.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use perloop_bridge::{CrossThreadFuture, Promise};

use crate::current;
use crate::errors::TaskError;
use crate::event_loop::{EventLoop, InFlight};
use crate::executor::{ExecutorError, ExecutorTimedOut, JobError, Leaving, ThreadPoolExecutor};
use crate::lodging::{Lodger, Lodging};
use crate::loop_future::LoopFuture;
use crate::timeout::timeout;
use crate::wrap_future::wrap;

/// A loop's own pool, which is made when it is first needed.
#[derive(Default)]
pub(crate) struct DefaultExecutor {
    pool: RefCell<Option<Rc<ThreadPoolExecutor>>>,
    is_shut: Cell<bool>,
    /// The pool that was shut down, for all who wait for its jobs.
    ending: RefCell<Option<Rc<Ending>>>,
}

/// A pool that takes no more jobs.
struct Ending {
    ended: CrossThreadFuture<()>,
    threads: Leaving,
}

impl DefaultExecutor {
    fn get(&self) -> Result<Rc<ThreadPoolExecutor>, ExecutorError> {
        if self.is_shut.get() {
            return Err(ExecutorError::ShutDown);
        }
        let make = || Rc::new(ThreadPoolExecutor::builder().thread_name_prefix("asyncio").build());
        Ok(Rc::clone(self.pool.borrow_mut().get_or_insert_with(make)))
    }

    /// The loop closes: the jobs that it has go on, and nobody waits for them.
    pub(crate) fn close(&self) {
        self.is_shut.set(true);
        drop(self.pool.take());
        drop(self.ending.take());
    }

    /// Has the pool take no more jobs. None: there never was one.
    fn shut_down(&self) -> Option<Rc<Ending>> {
        self.is_shut.set(true);
        let pool = self.pool.take();
        // Nobody else has it but a submission that is not over, further up the stack.
        if let Some(Ok(pool)) = pool.map(Rc::try_unwrap) {
            let (ended, threads) = pool.end();
            let _none = self.ending.replace(Some(Rc::new(Ending { ended, threads })));
        }
        self.ending.borrow().clone()
    }
}

impl Ending {
    /// The end of the jobs, for one who waits: that one gives up changes nothing for the others.
    fn news(&self) -> LoopFuture<()> {
        let running =
            current::get_running_loop().unwrap_or_else(|error| panic!("shutdown_default_executor: {error}"));
        let (mut promise, news) = Promise::new();
        self.ended.add_done_callback(move |_| {
            // It is refused if the wait was given up.
            let _set = promise.set_result(());
        });
        wrap(&running, news, Location::caller(), InFlight::on(&running), |()| ())
    }
}

/// Runs a blocking function in a thread of the running loop's default executor, and gives its value; the loop runs on
/// meanwhile: asyncio's `to_thread`. The function is handed in when this is first polled, and takes the current tracing
/// span along.
///
/// Cancel safety: giving up the wait takes a function back that has not begun; one that has begun goes on, since nothing
/// can stop a thread, and what it gives is dropped. On [virtual time](crate::Builder::virtual_time) the clock stands
/// still until it has ended.
///
/// What it gives is plain data, `Send` if the function is, so that it may be part of what is submitted to another loop.
///
/// How many run at once is bounded by the pool; a [`CapacityLimiter`](crate::CapacityLimiter) bounds one kind of use.
///
/// # Errors
/// If the function panics, if it is refused, or if the wait is cancelled. A failure that is no panic is better an `Err`
/// in the value.
///
/// # Panics
/// When it is polled outside of a running loop.
///
/// # Examples
/// ```
/// use perloop::to_thread;
///
/// let length = perloop::run(async {
///     let text = to_thread(|| std::fs::read_to_string("Cargo.toml")).await??;
///     Ok::<_, Box<dyn std::error::Error>>(text.len())
/// })?;
/// assert!(length? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "spawn_blocking")]
pub async fn to_thread<T, F>(job: F) -> Result<T, JobError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    run_with(job, ()).await
}

/// As `to_thread`; what is to be `kept` is dropped when the job has ended.
pub(super) async fn run_with<T, F, K>(job: F, kept: K) -> Result<T, JobError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
    K: 'static,
{
    // All that it holds while it waits: plain data, so that it is `Send`.
    let waits = Waits::begin(job, kept)?;
    poll_fn(|cx| Waits::poll(&waits, cx)).await
}

/// The wait of one task for its job. The value need not be `Clone`, as it is given to one.
struct Waits<T: 'static>(RefCell<LoopFuture<Slot<T>>>);

type Slot<T> = Rc<Cell<Option<T>>>;

impl<T: Send + 'static> Waits<T> {
    fn begin<F, K>(job: F, kept: K) -> Result<Lodging<Self>, ExecutorError>
    where
        F: FnOnce() -> T + Send + 'static,
        K: 'static,
    {
        let running = current::get_running_loop().unwrap_or_else(|error| panic!("to_thread: {error}"));
        let source = running.hand_in(None, job)?;
        let kept = (InFlight::on(&running), kept);
        let future =
            wrap(&running, source, Location::caller(), kept, |value| Rc::new(Cell::new(Some(value))));
        Ok(Lodging::new(&running, Rc::new(Self(RefCell::new(future)))))
    }

    fn poll(waits: &Lodging<Self>, cx: &mut Context<'_>) -> Poll<Result<T, JobError>> {
        if let Ok(Err(error)) = current::with_running(|running| running.check_owns(waits.loop_id())) {
            return Poll::Ready(Err(JobError::WrongLoop(error)));
        }
        let found = waits.get().expect("`to_thread` is polled on the loop on which it began");
        let slot = ready!(Pin::new(&mut *found.0.borrow_mut()).poll(cx))?;
        Poll::Ready(Ok(slot.take().expect("nobody else knows of it")))
    }
}

impl<T: 'static> Lodger for Waits<T> {
    fn leave(self: Rc<Self>) {
        self.0.borrow().cancel();
    }
}

impl EventLoop {
    /// Hands a blocking function to a pool, at once, and gives the loop's future of its value: asyncio's
    /// `run_in_executor`. Without a pool it is the loop's default executor, which is made when it is first needed, with
    /// asyncio's bound of `min(32, processors + 4)` threads.
    ///
    /// Cancelling the future takes a function back that has not begun; one that has begun goes on, and what it gives is
    /// dropped. So it is too if the loop is closed first. On [virtual time](crate::Builder::virtual_time) the clock
    /// stands still until it has ended. A panic is the future's failure.
    ///
    /// The future may be awaited by many, so its value has to be `Clone` for that; [`to_thread`] and
    /// [`ThreadPoolExecutor::submit`] take every type.
    ///
    /// # Errors
    /// If the loop is closed, the default executor shut down, the pool the parent process's, or if it has no thread and
    /// the system gives none. The function is dropped.
    ///
    /// # Examples
    /// ```
    /// use perloop::{ThreadPoolExecutor, get_running_loop};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).build();
    /// let sum = perloop::run(async {
    ///     let running = get_running_loop()?;
    ///     let one = running.run_in_executor(None, || 1)?;
    ///     let two = running.run_in_executor(Some(&pool), || 2)?;
    ///     Ok::<_, Box<dyn std::error::Error>>(one.await? + two.await?)
    /// })?;
    /// assert_eq!(sum?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn run_in_executor<T, F>(
        &self,
        executor: Option<&ThreadPoolExecutor>,
        job: F,
    ) -> Result<LoopFuture<T>, ExecutorError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let at = Location::caller();
        let source = self.hand_in(executor, job)?;
        Ok(wrap(self, source, at, InFlight::on(self), |value| value))
    }

    fn hand_in<T, F>(
        &self,
        executor: Option<&ThreadPoolExecutor>,
        job: F,
    ) -> Result<CrossThreadFuture<T>, ExecutorError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.check_open().map_err(ExecutorError::LoopClosed)?;
        match executor {
            Some(pool) => pool.submit(job),
            None => self.0.executor.get()?.submit(job),
        }
    }

    /// Makes `pool` the loop's default executor: asyncio's `set_default_executor`. The loop owns it from then on, and
    /// shuts it down at its end; the one before finishes its jobs, and nobody waits for it. After
    /// [`shutdown_default_executor`](Self::shutdown_default_executor) it changes nothing.
    ///
    /// # Examples
    /// ```
    /// use std::thread;
    /// use perloop::{ThreadPoolExecutor, get_running_loop, to_thread};
    ///
    /// let name = perloop::run(async {
    ///     let pool = ThreadPoolExecutor::builder().thread_name_prefix("files").build();
    ///     get_running_loop()?.set_default_executor(pool);
    ///     let name = to_thread(|| thread::current().name().map(str::to_owned)).await?;
    ///     Ok::<_, Box<dyn std::error::Error>>(name)
    /// })?;
    /// assert_eq!(name?.as_deref(), Some("files_0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_default_executor(&self, pool: ThreadPoolExecutor) {
        let executor = &self.0.executor;
        if !executor.is_shut.get() {
            // The old one is dropped outside of the borrow.
            let _old = executor.pool.replace(Some(Rc::new(pool)));
        }
    }

    /// Has the default executor take no more jobs, and waits until those that it has are over and its threads have ended,
    /// at most for `limit`: asyncio's `shutdown_default_executor`. Without a limit it waits for as long as it takes.
    /// [`run`](crate::run) does it at its end, with asyncio's limit of five minutes.
    ///
    /// On virtual time the clock stands still until the jobs are over, so that the limit is never reached.
    ///
    /// It can be called again, by several at once too: each waits, with a limit of its own.
    ///
    /// Cancel safety: if the wait is given up the executor ends all the same, and the next call waits for it.
    ///
    /// # Errors
    /// If the time was up first; asyncio has a warning for that, and so has `tracing` here. The jobs go on.
    ///
    /// # Panics
    /// When it is polled outside of a perloop task, if there is something to wait for.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    /// use perloop::get_running_loop;
    ///
    /// let (sender, done) = mpsc::channel();
    /// perloop::run(async {
    ///     let running = get_running_loop()?;
    ///     running.run_in_executor(None, move || sender.send("done"))?; // detached
    ///     running.shutdown_default_executor(None).await?;
    ///     assert_eq!(done.try_recv(), Ok("done"));
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn shutdown_default_executor(
        &self,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), ExecutorTimedOut> {
        let Some(ending) = self.0.executor.shut_down() else { return Ok(()) };
        let (ended, limit) = (ending.news(), limit.into());
        let jobs = async {
            match ended.await {
                // Not the end of the jobs, but of this wait.
                Err(TaskError::Cancelled(cancelled)) => match cancelled.raise().await {},
                ended => ended,
            }
        };
        if let (Err(_), Some(timeout)) = (timeout(limit, jobs).await, limit) {
            tracing::warn!(target: "perloop", event_loop = self.name(), ?timeout, "the default executor's jobs did not end in time");
            return Err(ExecutorTimedOut { timeout });
        }
        // Each has run its last line, so this takes no time.
        ending.threads.join();
        Ok(())
    }
}
