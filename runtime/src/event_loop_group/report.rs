//! What became of a group's work when the group was shut down.

use perloop_bridge::Panicked;

/// What [`EventLoopGroup::shutdown`](crate::EventLoopGroup::shutdown) has come to.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::EventLoopGroup;
///
/// let group = EventLoopGroup::builder().loops(2).spawn()?;
/// let endless = group.broadcast(|_| std::future::pending::<()>());
/// let report = group.shutdown(Duration::ZERO, Duration::from_secs(10))?;
/// assert_eq!((report.finished(), report.cancelled(), report.abandoned()), (0, 2, 0));
/// assert!(report.is_clean());
/// # drop(endless);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// What became of each loop, in the order of their indices; of the same index, in that of their generations.
    pub loops: Vec<LoopReport>,
}

/// What became of one loop of a group, and of its tasks.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{EventLoopGroup, LoopEnd};
///
/// let group = EventLoopGroup::builder().loops(1).name("io").spawn()?;
/// let report = group.shutdown(Duration::ZERO, Duration::ZERO)?;
/// assert_eq!((report.loops[0].name.as_str(), &report.loops[0].end), ("io-0", &LoopEnd::Joined));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoopReport {
    /// The loop's name.
    pub name: String,
    /// How many loops there were of its index before it, which died.
    pub generation: u64,
    /// Tasks that have ended by themselves since the shutdown began, with a value or a panic.
    pub finished: usize,
    /// Tasks that have ended cancelled, after the drain.
    pub cancelled: usize,
    /// Tasks that had not ended when their time was up. Their futures were dropped, unless the loop is
    /// [stuck](LoopEnd::Stuck).
    pub abandoned: usize,
    /// How the loop itself has ended.
    pub end: LoopEnd,
}

/// How a loop of a group that was shut down has ended.
///
/// # Examples
/// ```
/// use perloop::LoopEnd;
///
/// assert_ne!(LoopEnd::Joined, LoopEnd::Stuck);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum LoopEnd {
    /// It is closed, and its thread has ended.
    Joined,
    /// A panic ended its thread, then or before; its tasks went with it, and are not counted.
    Died(Panicked),
    /// It has not answered in time: something blocks its thread, which was left behind. If it ever goes on, the loop is
    /// closed. Its tasks are not counted.
    Stuck,
}

impl ShutdownReport {
    /// Returns how many tasks have ended by themselves since the shutdown began.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoopGroup, sleep};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// drop(group.broadcast(|_| sleep(Duration::from_millis(100))));
    /// let report = group.shutdown(Duration::from_secs(60), Duration::ZERO)?;
    /// assert_eq!(report.finished(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finished(&self) -> usize {
        self.loops.iter().map(|one| one.finished).sum()
    }

    /// Returns how many tasks have ended cancelled.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// drop(group.broadcast(|_| std::future::pending::<()>()));
    /// assert_eq!(group.shutdown(Duration::ZERO, Duration::from_secs(60))?.cancelled(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancelled(&self) -> usize {
        self.loops.iter().map(|one| one.cancelled).sum()
    }

    /// Returns how many tasks have not ended.
    ///
    /// # Examples
    /// ```
    /// use std::{future::pending, time::Duration};
    /// use perloop::{EventLoopGroup, catch_cancelled};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// drop(group.broadcast(|_| async {
    ///     while catch_cancelled(pending::<()>()).await.is_err() {} // it will not hear
    /// }));
    /// assert_eq!(group.shutdown(Duration::ZERO, Duration::from_millis(1))?.abandoned(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abandoned(&self) -> usize {
        self.loops.iter().map(|one| one.abandoned).sum()
    }

    /// Returns how many loops died by a panic, then or before, those among them that were replaced.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, EventLoopGroup, PanicPolicy};
    ///
    /// let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    /// let group = EventLoopGroup::builder().loops(2).settings(settings).spawn()?;
    /// let doomed = group.get(1).unwrap();
    /// doomed.call_soon_threadsafe(|| panic!("nobody will ask"))?;
    /// while !doomed.is_closed() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(group.shutdown(Duration::ZERO, Duration::ZERO)?.died(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn died(&self) -> usize {
        self.loops.iter().filter(|one| matches!(one.end, LoopEnd::Died(_))).count()
    }

    /// Returns how many loops have not answered in time, and were left behind.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert_eq!(group.shutdown(Duration::ZERO, Duration::ZERO)?.stuck(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stuck(&self) -> usize {
        self.loops.iter().filter(|one| one.end == LoopEnd::Stuck).count()
    }

    /// Says whether all threads were joined, and nothing was abandoned.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert!(group.shutdown(Duration::ZERO, Duration::ZERO)?.is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_clean(&self) -> bool {
        self.abandoned() == 0 && self.died() == 0 && self.stuck() == 0
    }
}
