//! How a group of loops is set up.

use std::io;

use crate::event_loop::{Builder, EventLoop};
use crate::event_loop_group::EventLoopGroup;
use crate::event_loop_group::cores::Pinning;
use crate::event_loop_group::death::{LoopDeath, OnDeath};

/// Settings of an [`EventLoopGroup`] that is to be made.
///
/// # Examples
/// ```
/// let group = perloop::EventLoopGroup::builder().loops(2).name("io").spawn()?;
/// assert_eq!(group.get(1).map(|on| on.name()), Some("io-1"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `spawn`"]
pub struct GroupBuilder {
    pub(super) loops: Option<usize>,
    pub(super) name: String,
    pub(super) settings: Builder,
    pub(super) pinning: Pinning,
    pub(super) is_daemon: bool,
    pub(super) replacements: u64,
    pub(super) on_death: Option<OnDeath>,
}

impl GroupBuilder {
    pub(super) fn new() -> Self {
        let (name, settings) = ("loop".to_owned(), EventLoop::builder());
        Self {
            loops: None,
            name,
            settings,
            pinning: Pinning::Free,
            is_daemon: false,
            replacements: 0,
            on_death: None,
        }
    }

    /// Sets how many loops there are, each with a thread of its own. By default there is one for each core that the
    /// process may use, as [`std::thread::available_parallelism`] says.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::EventLoopGroup::builder().loops(3).spawn()?.len(), 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn loops(mut self, loops: usize) -> Self {
        self.loops = Some(loops);
        self
    }

    /// Sets the name: loops and threads have it with their index behind, as `loop-0`. (Linux shows the first 15 bytes of a
    /// thread's.)
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(1).name("io").spawn()?;
    /// let thread = group.submit(async { std::thread::current().name().map(str::to_owned) });
    /// assert_eq!(thread.result()?.as_deref(), Some("io-0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets what the loops are like; their names are the group's.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoop, EventLoopGroup, sleep};
    ///
    /// let settings = EventLoop::builder().virtual_time();
    /// let group = EventLoopGroup::builder().loops(2).settings(settings).spawn()?;
    /// group.broadcast(|_| sleep(Duration::from_secs(3600))).result()?; // at once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settings(mut self, settings: Builder) -> Self {
        self.settings = settings;
        self
    }

    /// Sets whether each thread stays on one core, in turn on each of those that the process may use. By default the system
    /// puts threads where it likes, which is better if there are more busy threads than cores.
    ///
    /// # Examples
    /// ```
    /// # if cfg!(target_os = "linux") {
    /// let group = perloop::EventLoopGroup::builder().pinned(true).spawn()?;
    /// assert_eq!(group.broadcast(|index| async move { index }).result()?.len(), group.len());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pinned(mut self, is_pinned: bool) -> Self {
        self.pinning = if is_pinned { Pinning::Allowed } else { Pinning::Free };
        self
    }

    /// Has each thread stay on one core, in turn on each of these, by the system's numbers.
    ///
    /// # Examples
    /// ```
    /// # if cfg!(target_os = "linux") {
    /// let group = perloop::EventLoopGroup::builder().loops(2).pin_to([0]).spawn()?;
    /// assert_eq!(group.len(), 2); // both on core 0
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pin_to(mut self, cores: impl IntoIterator<Item = usize>) -> Self {
        self.pinning = Pinning::To(cores.into_iter().collect());
        self
    }

    /// Sets whether the threads are daemons, as Python calls them: dropping the group leaves them running, and the process
    /// ends without waiting for them. By default dropping the group ends and joins them.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(1).daemon(true).spawn()?;
    /// let on = group.get(0).expect("there is one").clone();
    /// drop(group);
    /// assert_eq!(on.block_on(async { 42 })?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn daemon(mut self, is_daemon: bool) -> Self {
        self.is_daemon = is_daemon;
        self
    }

    /// Sets how often a loop that dies, since a panic ends its thread, is replaced by a new one in a thread of its own: at most
    /// so many times for each index, since a loop that dies again and again has to stop some time. By default never.
    ///
    /// A new generation begins with nothing: what the dead loop had went with it, and every submission to it has ended with
    /// [`LoopDied`](crate::LoopDied) before. [`get`](crate::GroupHandle::get), [`next`](crate::GroupHandle::next) and their
    /// kin give the new loop from then on; handles of the dead one stay closed. The group keeps a little of each generation.
    ///
    /// A panic of a task or callback is no death, unless the loops' [`PanicPolicy`](crate::PanicPolicy) says so.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, EventLoopGroup, PanicPolicy};
    ///
    /// let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    /// let group = EventLoopGroup::builder().loops(1).settings(settings).replace_dead(3).spawn()?;
    /// group.get(0).unwrap().call_soon_threadsafe(|| panic!("nobody will ask"))?;
    /// while group.generation(0) != Some(1) {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(group.submit(async { 42 }).result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace_dead(mut self, times: u64) -> Self {
        self.replacements = times;
        self
    }

    /// Has `tell` called when a loop has died, and was replaced if it is to be: on the thread that dies. A panic in it harms
    /// nobody. A death is also an event of `tracing`, an error.
    ///
    /// # Examples
    /// ```
    /// use perloop::EventLoopGroup;
    ///
    /// let group = EventLoopGroup::builder().loops(1).on_death(|death| eprintln!("{} died", death.name)).spawn()?;
    /// assert_eq!(group.submit(async { 42 }).result(), Ok(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_death(mut self, tell: impl Fn(&LoopDeath) + Send + Sync + 'static) -> Self {
        self.on_death = Some(OnDeath::new(tell));
        self
    }

    /// Starts the threads. When it returns, each loop is there and runs or is about to.
    ///
    /// # Errors
    /// If there are to be no loops, if the name has a NUL in it, if the system gives no thread, or no descriptor for a loop
    /// to wait on, and if a thread cannot stay on its core, since there is none of that number, the process may not use it,
    /// or the system knows no such thing (only Linux does). What was started is ended then.
    ///
    /// # Examples
    /// ```
    /// use perloop::EventLoopGroup;
    ///
    /// assert!(EventLoopGroup::builder().loops(1).spawn().is_ok());
    /// assert!(EventLoopGroup::builder().loops(0).spawn().is_err());
    /// ```
    pub fn spawn(self) -> io::Result<EventLoopGroup> {
        EventLoopGroup::start(self)
    }
}
