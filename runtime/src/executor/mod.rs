//! Blocking work in threads of its own: `concurrent.futures.ThreadPoolExecutor`, and what asyncio makes of it.

mod builder;
mod default;
mod errors;
mod job;
mod limiter;
mod worker;

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use perloop_bridge::{CrossThreadFuture, Forked, Handing, Promise, Staff};

pub use builder::ThreadPoolBuilder;
pub(crate) use default::DefaultExecutor;
pub use default::to_thread;
pub use errors::{ExecutorError, ExecutorTimedOut, JobError};
pub use limiter::{CapacityLimiter, LimiterToken};

use crate::executor::job::Job;
use crate::executor::worker::{EndNote, Worker};

/// Threads that run blocking jobs: `concurrent.futures.ThreadPoolExecutor`. It is `Send + Sync`; to use one from many
/// places share it by an [`Arc`].
///
/// It has no thread at first. Each job that finds no idle thread starts one, up to the bound; more jobs wait in order,
/// and there is no limit to how many wait. A thread that has had nothing to do for long ends.
///
/// Dropping it lets the jobs that were handed in run to the last one, and waits for nothing;
/// [`shutdown`](Self::shutdown) waits. A program may end while a job runs: its threads do not hold the process.
/// (`concurrent.futures` joins them when the interpreter exits, so that a job that never ends is a program that never
/// does. In Rust `main` decides: [`run`](crate::run) waits for the loop's default executor, and a pool of one's own is
/// waited for by `shutdown`.)
///
/// A job's panic is its future's error; the thread goes on. In the child of a fork the pool refuses all jobs, since its
/// threads are the parent's.
///
/// # Examples
/// ```
/// use perloop::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("squares").build();
/// let squares: Vec<_> = (1..=3).map(|n| pool.submit(move || n * n)).collect::<Result<_, _>>()?;
/// // From plain threads; a task awaits them.
/// assert_eq!(squares[2].result()?, 9);
/// pool.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadPoolExecutor {
    /// None only while it is being dropped or ended.
    pool: Option<Pool>,
    process: u32,
}

struct Pool {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    staff: Arc<Staff>,
    threads: (Sender<JoinHandle<()>>, Receiver<JoinHandle<()>>),
    end: Arc<EndNote>,
    ended: CrossThreadFuture<()>,
    settings: ThreadPoolBuilder,
}

/// The threads of a pool that takes no more jobs.
struct Leaving(Receiver<JoinHandle<()>>);

impl ThreadPoolExecutor {
    /// Sets up a pool with other than the usual settings: `concurrent.futures.ThreadPoolExecutor(max_workers=...)`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).idle_time(Duration::from_secs(1)).build();
    /// assert_eq!(pool.max_workers(), 1);
    /// ```
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// Makes a pool with asyncio's bound: as many threads as processors and four more, but at most 32.
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::new();
    /// assert!((5..=32).contains(&pool.max_workers()));
    /// ```
    pub fn new() -> Self {
        Self::builder().build()
    }

    fn with(settings: ThreadPoolBuilder) -> Self {
        let (jobs, queue) = unbounded();
        let (promise, ended) = Promise::new();
        let staff = Arc::new(Staff::new(settings.max_workers));
        let end = Arc::new(EndNote(promise));
        let pool = Pool { jobs, queue, staff, threads: unbounded(), end, ended, settings };
        Self { pool: Some(pool), process: std::process::id() }
    }

    /// Returns how many threads it may have: what `ThreadPoolExecutor(max_workers)` was given in Python.
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::builder().max_workers(3).build();
    /// assert_eq!(pool.max_workers(), 3);
    /// ```
    pub fn max_workers(&self) -> usize {
        self.pool().settings.workers()
    }

    /// Hands a job in, from any thread, and returns at once: `concurrent.futures.Executor.submit`. The current tracing
    /// span goes along.
    ///
    /// Cancelling the future takes a job back that has not begun; one that has begun goes on, and cannot be cancelled.
    /// Dropping the future detaches the job.
    ///
    /// # Errors
    /// If the pool has no thread and the system gives none, or it is the parent process's. The job is dropped.
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::new();
    /// let answer = pool.submit(|| 6 * 7)?;
    /// assert_eq!(answer.result()?, 42);
    ///
    /// let pool = std::sync::Arc::new(pool);
    /// let doubled = perloop::run(async move { pool.submit(|| 2 * 42)?.await.map_err(Box::<dyn std::error::Error>::from) })?;
    /// assert_eq!(doubled?, 84);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit<T, F>(&self, job: F) -> Result<CrossThreadFuture<T>, ExecutorError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.is_inherited() {
            return Err(ExecutorError::Forked(Forked));
        }
        let (job, future) = Job::new(job);
        self.pool().hand_in(job).map_err(ExecutorError::NoThread)?;
        Ok(future)
    }

    /// Waits until all jobs have run and all threads have ended: `concurrent.futures.Executor.shutdown(wait=True)`. It
    /// blocks, so it is not for a loop's thread. A job that ends the pool which it runs in waits for the other threads.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let pool = perloop::ThreadPoolExecutor::builder().max_workers(1).build();
    /// let (sender, done) = mpsc::channel();
    /// for n in 0..3 {
    ///     let sender = sender.clone();
    ///     pool.submit(move || sender.send(n))?;
    /// }
    /// pool.shutdown();
    /// assert_eq!(done.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), perloop::ExecutorError>(())
    /// ```
    pub fn shutdown(self) {
        if !self.is_inherited() {
            self.end().1.join();
        }
    }

    /// Takes no more jobs, and waits for nothing. The future is done when all threads have run their last line.
    fn end(mut self) -> (CrossThreadFuture<()>, Leaving) {
        let Pool { threads, ended, .. } = self.pool.take().expect("it was not ended before");
        (ended, Leaving(threads.1))
    }

    fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }

    fn pool(&self) -> &Pool {
        self.pool.as_ref().expect("nobody else has it when it ends")
    }
}

impl Pool {
    fn hand_in(&self, job: Job) -> io::Result<()> {
        let mut handing = self.staff.hand_in();
        if handing == Handing::Hire
            && let Err(error) = self.hire()
        {
            if !self.staff.hire_failed() {
                self.drop_orphans();
                return Err(error);
            }
            handing = Handing::Queued;
        }
        self.jobs.send(job).map_err(drop).expect("the pool keeps a receiver");
        if handing == Handing::Queued {
            self.drop_orphans();
        }
        Ok(())
    }

    fn hire(&self) -> io::Result<()> {
        let worker = Worker {
            queue: self.queue.clone(),
            staff: Arc::clone(&self.staff),
            idle_time: self.settings.idle_time,
            _end: Arc::clone(&self.end),
        };
        let thread = self.settings.thread(self.threads.1.len()).spawn(move || worker.live())?;
        self.keep(thread);
        Ok(())
    }

    /// Keeps a thread's handle, and forgets those of threads that have ended.
    fn keep(&self, thread: JoinHandle<()>) {
        let (keep, kept) = &self.threads;
        for thread in kept.try_iter().take(kept.len()).filter(|thread| !thread.is_finished()) {
            let _kept = keep.send(thread);
        }
        let _kept = keep.send(thread);
    }

    /// Jobs that counted on a thread which could not be started: their futures are cancelled.
    fn drop_orphans(&self) {
        while self.staff.take_orphan() {
            if let Ok(job) = self.queue.try_recv() {
                drop(job);
                continue;
            }
            self.staff.leave_orphan();
            if self.queue.is_empty() {
                return;
            }
        }
    }
}

impl Leaving {
    /// Blocks until all of them have ended, but for the caller.
    fn join(&self) {
        let own = thread::current().id();
        for thread in self.0.try_iter().filter(|thread| thread.thread().id() != own) {
            // Panics of jobs end in them.
            drop(thread.join());
        }
    }
}

impl Default for ThreadPoolExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        let pool = self.pool.take();
        if self.is_inherited() {
            // The parent's threads may have held its channels' locks when it forked.
            mem::forget(pool);
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor").field("max_workers", &self.max_workers()).finish_non_exhaustive()
    }
}
