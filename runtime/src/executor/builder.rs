//! How a pool is set up.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::executor::ThreadPoolExecutor;

/// More threads no system gives a process.
const MOST_WORKERS: u32 = 1 << 15;
const IDLE_TIME: Duration = Duration::from_secs(10);
/// A thread that is counted on looks again after this time at the earliest.
const SHORTEST_IDLE_TIME: Duration = Duration::from_millis(1);

/// Settings of a pool that is to be made: the arguments of `concurrent.futures.ThreadPoolExecutor(...)`, and more.
///
/// # Examples
/// ```
/// use perloop::{ThreadPoolBuilder, ThreadPoolExecutor};
///
/// fn small(settings: ThreadPoolBuilder) -> ThreadPoolExecutor {
///     settings.max_workers(2).build()
/// }
/// assert_eq!(small(ThreadPoolExecutor::builder()).max_workers(), 2);
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `build`"]
pub struct ThreadPoolBuilder {
    pub(super) max_workers: u32,
    pub(super) idle_time: Duration,
    prefix: String,
    stack_size: Option<usize>,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        let prefix = "perloop".to_owned();
        Self { max_workers: usual_workers(), idle_time: IDLE_TIME, prefix, stack_size: None }
    }

    /// Sets how many threads it may have: Python's `max_workers`. By default it is asyncio's `min(32, processors + 4)`;
    /// more than 32,768 count as so many.
    ///
    /// # Panics
    /// If it is zero.
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::builder().max_workers(64).build();
    /// assert_eq!(pool.max_workers(), 64);
    /// ```
    pub fn max_workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "max_workers: a pool needs at least one thread");
        self.max_workers = u32::try_from(workers).unwrap_or(MOST_WORKERS).min(MOST_WORKERS);
        self
    }

    /// Sets what its threads' names begin with; a number follows, as in `io_0`: Python's `thread_name_prefix`. By
    /// default it is `perloop`, and `asyncio` for a loop's default executor.
    ///
    /// # Panics
    /// If it has a NUL in it.
    ///
    /// # Examples
    /// ```
    /// use std::thread;
    ///
    /// let pool = perloop::ThreadPoolExecutor::builder().thread_name_prefix("io").build();
    /// let name = pool.submit(|| thread::current().name().map(str::to_owned))?;
    /// assert_eq!(name.result()?.as_deref(), Some("io_0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        assert!(!self.prefix.contains('\0'), "thread_name_prefix: a thread's name cannot have a NUL in it");
        self
    }

    /// Sets for how long a thread without work waits until it ends, a millisecond at least. By default it is ten seconds.
    /// (Python's threads wait until their pool is shut down.)
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// // Threads for as long as there is work.
    /// let pool = perloop::ThreadPoolExecutor::builder().idle_time(Duration::ZERO).build();
    /// assert_eq!(pool.submit(|| 42)?.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time.max(SHORTEST_IDLE_TIME);
        self
    }

    /// Sets the size of its threads' stacks, in bytes: Python's `threading.stack_size`. By default it is that of
    /// [`std::thread`].
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::builder().stack_size(16 << 20).build();
    /// assert_eq!(pool.submit(|| 42)?.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Makes the pool, as Python's `ThreadPoolExecutor(...)` does. It has no thread yet.
    ///
    /// # Examples
    /// ```
    /// let pool = perloop::ThreadPoolExecutor::builder().max_workers(1).build();
    /// assert_eq!(pool.submit(|| 42)?.result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> ThreadPoolExecutor {
        ThreadPoolExecutor::with(self)
    }

    pub(super) fn workers(&self) -> usize {
        usize::try_from(self.max_workers).unwrap_or(usize::MAX)
    }

    /// What makes one of its threads.
    pub(super) fn thread(&self, number: usize) -> thread::Builder {
        let thread = thread::Builder::new().name(format!("{}_{number}", self.prefix));
        match self.stack_size {
            Some(bytes) => thread.stack_size(bytes),
            None => thread,
        }
    }
}

fn usual_workers() -> u32 {
    static PROCESSORS: OnceCell<NonZero<usize>> = OnceCell::new();
    // The system is asked once, as it looks into files for it.
    let processors = PROCESSORS.get_or_try_init(thread::available_parallelism);
    let processors = processors.map_or(1, |processors| processors.get());
    u32::try_from(processors).unwrap_or(32).saturating_add(4).min(32)
}
