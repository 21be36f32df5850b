//! [`EventLoopGroup`]: several threads, each with a loop of its own, as one thing.
//!
//! `builder` is how it is set up, `member` one of the threads, `cores` where that may run, `key` which loop a key belongs to, `death`
//! what becomes of a loop that dies, `shutdown` how the group ends, `last_orders` what its loops do then, `report` what came of it, `futures` what is handed to
//! several loops at once.

mod builder;
mod cores;
mod death;
mod futures;
mod key;
mod last_orders;
mod member;
mod report;
mod shutdown;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::available_parallelism;

use crossbeam_channel::{Receiver, Sender};
use perloop_bridge::{CrossThreadFuture, GroupId, Roster, Witness};

pub use builder::GroupBuilder;
pub use death::LoopDeath;
pub use futures::GroupFutures;
pub(crate) use key::place_of;
pub(crate) use member::InPlace;
pub use report::{LoopEnd, LoopReport, ShutdownReport};

use crate::event_loop_group::member::{Member, Seat, current_index, stop_and_join};
use crate::handle::{LoopHandle, run_coroutine_threadsafe};
use crate::loop_thread::JoinError;

/// Several threads, each with a loop of its own: what Netty calls by this name, and a program on asyncio makes of processes.
/// It derefs to its [`GroupHandle`], which has what one does with the loops.
///
/// [`join`](Self::join), or dropping it, stops all loops; then, as for a [`LoopThread`](crate::LoopThread), the tasks that
/// are left are cancelled and waited for, however long they take, and the threads end. [`shutdown`](Self::shutdown) lets them
/// finish first, has a deadline, and reports.
///
/// # Examples
/// ```
/// use perloop::EventLoopGroup;
///
/// let group = EventLoopGroup::spawn()?; // a loop a core
/// let lengths = group.map(["one", "three", "five"], |word| async move { word.len() });
/// assert_eq!(lengths.result()?, [3, 5, 4]);
/// group.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "MultiThreadIoEventLoopGroup")]
#[derive(Debug)]
pub struct EventLoopGroup {
    handle: GroupHandle,
    settings: GroupBuilder,
    members: Vec<Member>,
    /// Those that came in the place of dead ones.
    births: Receiver<Member>,
}

/// The loops of an [`EventLoopGroup`], or of a [`Simulation`](crate::Simulation), for any thread: `Clone + Send +
/// Sync`. It keeps neither the loops nor their threads alive.
///
/// # Examples
/// ```
/// use perloop::{EventLoopGroup, GroupHandle, run_coroutine_threadsafe};
///
/// let group = EventLoopGroup::builder().loops(2).spawn()?;
/// let handle: GroupHandle = group.handle();
/// // From one loop to all.
/// let sum = group.submit(async move { handle.broadcast(|index| async move { index }).await });
/// assert_eq!(sum.result()??, [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GroupHandle(Arc<Seats>);

/// What the group's handles share.
struct Seats {
    id: GroupId,
    roster: Roster<Seat>,
}

/// What the group's threads share.
struct Shared {
    handle: GroupHandle,
    settings: GroupBuilder,
    cores: Option<Vec<usize>>,
    births: Sender<Member>,
}

impl EventLoopGroup {
    /// Starts a group of one loop for each core that the process may use.
    ///
    /// # Errors
    /// As [`GroupBuilder::spawn`].
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::spawn()?;
    /// assert_eq!(group.len(), std::thread::available_parallelism()?.get());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn() -> io::Result<Self> {
        Self::builder().spawn()
    }

    /// Sets up a group with other than the usual settings.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).name("io").spawn()?;
    /// assert_eq!(group.len(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> GroupBuilder {
        GroupBuilder::new()
    }

    fn start(settings: GroupBuilder) -> io::Result<Self> {
        let loops = settings.loops.map_or_else(|| Ok(available_parallelism()?.get()), Ok::<_, io::Error>)?;
        if loops == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a group has at least one loop"));
        }
        let cores = settings.pinning.cores()?;
        let (id, mut members, mut lives) = (GroupId::new(), Vec::new(), Vec::new());
        for index in 0..loops {
            match Member::start(&settings, id, index, 0, core_of(cores.as_deref(), index)) {
                Ok((member, life)) => {
                    members.push(member);
                    lives.push(life);
                }
                Err(error) => {
                    // Who dies meanwhile waits for no group.
                    drop(lives);
                    drop(stop_and_join(members));
                    return Err(error);
                }
            }
        }
        let (sender, births) = crossbeam_channel::unbounded();
        let handle = GroupHandle::seated(id, members.iter().map(Member::seat));
        let shared =
            Arc::new(Shared { handle: handle.clone(), settings: settings.clone(), cores, births: sender });
        lives.into_iter().for_each(|life| life.begin(&shared));
        Ok(Self { handle, settings, members, births })
    }

    /// A handle of the group, to keep.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// let handle = group.handle();
    /// group.join()?;
    /// assert!(handle.next().is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> GroupHandle {
        self.handle.clone()
    }

    /// Stops all loops, and waits until their threads have ended, as is said at [`EventLoopGroup`].
    ///
    /// # Errors
    /// The first one, in the order of the loops, for the reasons of [`LoopThread::join`](crate::LoopThread::join). The other
    /// threads were waited for all the same.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoopGroup, FutureError};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let left = group.broadcast(|_| std::future::pending::<()>());
    /// group.join()?;
    /// assert_eq!(left.result(), Err(FutureError::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(mut self) -> Result<(), JoinError> {
        self.end()
    }

    /// Stops and joins all threads, of every generation.
    fn end(&mut self) -> Result<(), JoinError> {
        let mut ended = Ok(());
        let mut members = self.take_members();
        while !members.is_empty() {
            ended = ended.and(stop_and_join(members));
            // A thread that died as the group ended may have started one more before that.
            members = self.births.try_iter().collect();
        }
        ended
    }

    /// From now on no loop that dies is replaced. Gives the threads, of every generation.
    fn take_members(&mut self) -> Vec<Member> {
        // In the child of a fork the lock may be held for ever, and there are no threads; and once is enough.
        if self.members.iter().any(|member| !member.is_inherited()) {
            self.handle.0.roster.close();
        }
        let mut members = std::mem::take(&mut self.members);
        members.extend(self.births.try_iter());
        members.sort_by_key(|member| (member.index, member.generation));
        members
    }
}

impl GroupHandle {
    /// The group of these loops.
    pub(crate) fn of(id: GroupId, loops: impl IntoIterator<Item = LoopHandle>) -> Self {
        Self::seated(id, loops.into_iter().map(|handle| Seat { handle, mourned: None }))
    }

    fn seated(id: GroupId, seats: impl IntoIterator<Item = Seat>) -> Self {
        Self(Arc::new(Seats { id, roster: Roster::new(seats) }))
    }

    /// Returns how many loops there are.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::EventLoopGroup::builder().loops(2).spawn()?.len(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.roster.len()
    }

    /// Returns the loop of this index, from 0 on.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert_eq!(group.get(1).map(|on| on.name()), Some("loop-1"));
    /// assert!(group.get(2).is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn get(&self, index: usize) -> Option<&LoopHandle> {
        self.0.roster.get(index).map(|seat| &seat.handle)
    }

    /// Returns the index of the loop on whose thread this is called, if it is one of the group: for what each loop has a part
    /// of.
    ///
    /// # Examples
    /// ```
    /// use perloop::EventLoopGroup;
    ///
    /// let (group, other) = (EventLoopGroup::builder().loops(2).spawn()?, EventLoopGroup::builder().loops(2).spawn()?);
    /// let (ours, theirs) = (group.handle(), other.handle());
    /// let indices = group.broadcast(move |_| async move { (ours.current_index(), theirs.current_index()) });
    /// assert_eq!(indices.result()?, [(Some(0), None), (Some(1), None)]);
    /// assert_eq!(group.current_index(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn current_index(&self) -> Option<usize> {
        current_index(self.id())
    }

    /// Returns how many loops there were of this index before the one that is there now, see
    /// [`GroupBuilder::replace_dead`].
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(1).spawn()?;
    /// assert_eq!((group.generation(0), group.generation(1)), (Some(0), None));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn generation(&self, index: usize) -> Option<u64> {
        self.0.roster.generation(index)
    }

    /// Returns all loops, in the order of their indices.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert!(group.loops().map(|on| on.name()).eq(["loop-0", "loop-1"]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn loops(&self) -> impl Iterator<Item = &LoopHandle> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns one loop after the other, whoever asks, and after the last one the first again. Those that are closed or died
    /// are passed over, unless all are.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoopGroup, run_coroutine_threadsafe};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let names = [group.next().name(), group.next().name(), group.next().name()];
    /// assert_eq!(names, ["loop-0", "loop-1", "loop-0"]);
    /// assert_eq!(run_coroutine_threadsafe(async { 42 }, group.next()).result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next(&self) -> &LoopHandle {
        let first = self.0.roster.next();
        let open = (0..self.len()).map(|step| self.at(first + step)).find(|on| !on.is_closed());
        open.unwrap_or_else(|| self.at(first))
    }

    /// Returns the loop of a key: the same key always has the same loop, also if that is closed, so that what belongs to the
    /// key can live there without a lock. Keys are spread evenly, by their [`Hash`].
    ///
    /// In a group of other size most keys have the loop of the same index still: from n loops to n + 1, one key of n + 1
    /// moves, to the new one; from n + 1 to n, only the keys of the last loop move. Don't keep indices for later programs:
    /// what a type's `Hash` makes of a value is not for ever.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(4).spawn()?;
    /// assert_eq!(group.by_key("alice"), group.by_key(&String::from("alice")));
    /// assert_eq!(group.by_key("alice").name(), group.get(group.index_of("alice")).unwrap().name());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn by_key<K: Hash + ?Sized>(&self, key: &K) -> &LoopHandle {
        self.at(self.index_of(key))
    }

    /// Returns the index of a key's loop, see [`by_key`](Self::by_key).
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(4).spawn()?;
    /// assert_eq!(group.index_of(&42), group.index_of(&42));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn index_of<K: Hash + ?Sized>(&self, key: &K) -> usize {
        place_of(key, self.len())
    }

    /// Returns a loop that has least to do: submissions that it has not taken up yet, and tasks that have not ended, whoever
    /// made them and whether they run or wait. It counts heads, of loops that are open, as they are just now; of several with
    /// as little, it is the one whose turn it is. It looks at all loops, so [`next`](Self::next) is quicker, and as good for
    /// work that is all alike.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoopGroup, run_coroutine_threadsafe};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let endless = run_coroutine_threadsafe(std::future::pending::<()>(), group.get(0).unwrap());
    /// assert_eq!(group.least_loaded().name(), "loop-1");
    /// # drop(endless);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn least_loaded(&self) -> &LoopHandle {
        let first = self.0.roster.next();
        let candidates = (0..self.len()).map(|step| self.at(first + step));
        let least = candidates.filter(|on| !on.is_closed()).min_by_key(|on| on.load());
        least.unwrap_or_else(|| self.at(first))
    }

    /// Returns how much the loop of this index has to do, as [`least_loaded`](Self::least_loaded) counts it.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoopGroup, run_coroutine_threadsafe};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let endless = run_coroutine_threadsafe(std::future::pending::<()>(), group.get(0).unwrap());
    /// assert_eq!((group.load(0), group.load(1), group.load(2)), (Some(1), Some(0), None));
    /// # drop(endless);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn load(&self, index: usize) -> Option<usize> {
        self.get(index).map(LoopHandle::load)
    }

    /// Hands a future to the [next](Self::next) loop, as [`run_coroutine_threadsafe`] does.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// assert_eq!(group.submit(async { 6 * 7 }).result()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn submit<F>(&self, future: F) -> CrossThreadFuture<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        run_coroutine_threadsafe(future, self.next())
    }

    /// Has each loop make a future, of its index, and run it, and gives all their values. The future need not be `Send`, as
    /// it is made where it runs.
    ///
    /// # Examples
    /// ```
    /// use std::cell::Cell;
    ///
    /// thread_local! {
    ///     static SEEN: Cell<usize> = const { Cell::new(0) };
    /// }
    ///
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// group.broadcast(|index| async move { SEEN.set(10 * index) }).result()?;
    /// assert_eq!(group.broadcast(|_| async { SEEN.get() }).result()?, [0, 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "invoke_on_all")]
    #[track_caller]
    pub fn broadcast<F, M>(&self, make: M) -> GroupFutures<F::Output>
    where
        M: FnOnce(usize) -> F + Clone + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let mut futures = Vec::with_capacity(self.len());
        for (index, on) in self.loops().enumerate() {
            let make = make.clone();
            futures.push(on.run_with(move || make(index)));
        }
        GroupFutures::new(futures)
    }

    /// Hands each item to the [next](Self::next) loop, which makes a future of it and runs that, and gives all their values,
    /// in the order of the items.
    ///
    /// # Examples
    /// ```
    /// let group = perloop::EventLoopGroup::builder().loops(2).spawn()?;
    /// let squares = group.map(1..=4_u64, |n| async move { n * n });
    /// assert_eq!(squares.result()?, [1, 4, 9, 16]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<I, F, M>(&self, items: I, work: M) -> GroupFutures<F::Output>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        M: FnOnce(I::Item) -> F + Clone + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let items = items.into_iter();
        let mut futures = Vec::with_capacity(items.size_hint().0);
        for item in items {
            let work = work.clone();
            futures.push(self.next().run_with(move || work(item)));
        }
        GroupFutures::new(futures)
    }

    /// If the loop of this index is closed, and another one may come in its place: hears that there is one, or will be none.
    pub(crate) fn awaits_successor(&self, index: usize) -> Option<Witness> {
        let seat = self.0.roster.get(index)?;
        seat.mourned.clone().filter(|mourned| seat.handle.is_closed() && !mourned.done())
    }

    pub(crate) fn id(&self) -> GroupId {
        self.0.id
    }

    /// The loop of this index, counted round.
    fn at(&self, index: usize) -> &LoopHandle {
        self.get(index % self.len()).expect("an index within the group")
    }
}

impl Shared {
    fn core_of(&self, index: usize) -> Option<usize> {
        core_of(self.cores.as_deref(), index)
    }
}

/// The core that the loop of this index stays on.
fn core_of(cores: Option<&[usize]>, index: usize) -> Option<usize> {
    cores.map(|cores| cores[index % cores.len()])
}

impl Deref for EventLoopGroup {
    type Target = GroupHandle;

    fn deref(&self) -> &GroupHandle {
        &self.handle
    }
}

impl Drop for EventLoopGroup {
    /// A panic of a thread was reported by the panic hook; its own thread is not joined.
    fn drop(&mut self) {
        if !self.settings.is_daemon {
            drop(self.end());
        }
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupHandle").field(&self.0.roster).finish()
    }
}
