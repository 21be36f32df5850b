//! The loop's own end of the bridge: the ready list, and what its thread does with the inbox.

use std::cell::Cell as StdCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use crate::bell::Bell;
use crate::core::{CoreRef, Life, LoopCore};
use crate::deadlock;
use crate::errors::FutureError;
use crate::future::CrossThreadFuture;
use crate::inbox::{Asleep, Batch};
use crate::ready::{Call, Ready, ReadyList};
use crate::remote::Remote;
use crate::sync::{ThreadToken, count_forks, this_thread, thread_cell};
use crate::task::{Cell, CellPtr, Record, TaskList, TaskRef, VTable};
use crate::wait::{Spin, has_reached};
use crate::watchers::{self, Place, Until};

/// The most nodes that one turn takes from the inbox, so that a flood from outside leaves room for timers, I/O and
/// the loop's own tasks. What is left comes first in the next turn.
const BATCH_LIMIT: usize = 256;

/// What only the home thread touches of a loop's core.
#[derive(Default)]
pub(crate) struct HomeState {
    ready: ReadyList,
    pub(crate) tasks: TaskList,
    /// What was taken from the inbox and not looked at yet: the rest of a flood, or of the batch in hand.
    backlog: Batch,
    /// Nodes of tasks that have ended, which are between their word and the inbox, or in it.
    pub(crate) late_nodes: usize,
    /// Submissions that were popped and not adopted yet.
    pub(crate) in_hand: usize,
    /// Submissions that were popped, and are not in hand any more, modulo 2^32.
    pub(crate) taken_up: u32,
    pub(crate) is_closed: bool,
    /// If the runtime asked for that.
    outside_waits: Option<OutsideWaits>,
}

/// What is outside of a loop: where work is done while its clock must stand still, see [`Home::note_outside_waits`].
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # let other = Home::new("other", Spin::Never, Box::new(NoBell));
/// use perloop_bridge::Outside;
///
/// let future = other.remote().submit::<(), _>((), async {});
/// assert!(home.is_served_outside(&future)); // by another loop
/// home.note_outside_waits(Outside::OtherThreads);
/// assert!(!home.is_served_outside(&future)); // in this thread
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outside {
    /// Every other loop.
    #[default]
    OtherLoops,
    /// Loops of other threads: those of this one share a clock.
    OtherThreads,
}

impl Outside {
    /// Is the loop `other`, of that thread, outside of the caller's own?
    fn has(self, own: NonNull<LoopCore>, other: NonNull<LoopCore>, thread: ThreadToken) -> bool {
        other != own && (self == Self::OtherLoops || thread != this_thread())
    }
}

thread_cell! {
    /// Has a loop of this thread ever noted such waits?
    static NOTES: bool = false;
}

/// May a loop of this thread note what its tasks await from outside?
#[inline]
pub(crate) fn this_thread_notes() -> bool {
    NOTES.with(std::cell::Cell::get)
}

/// The cross-thread futures that tasks of the loop await from outside, each with a reference and the place where the
/// waker stands.
struct OutsideWaits {
    /// The loop's number.
    id: u32,
    outside: Outside,
    waits: Vec<(CellPtr, Place)>,
}

impl HomeState {
    /// The loop's number, if it notes waits for that one, of that thread.
    pub(crate) fn noting_id(
        &self,
        own: NonNull<LoopCore>,
        awaited: NonNull<LoopCore>,
        thread: ThreadToken,
    ) -> Option<u32> {
        let noted = self.outside_waits.as_ref()?;
        noted.outside.has(own, awaited, thread).then_some(noted.id)
    }

    /// A task of the loop awaits a cross-thread future.
    pub(crate) fn note_outside_wait(&mut self, cell: CellPtr, place: Place) {
        if let Some(noted) = &mut self.outside_waits {
            cell.retain();
            noted.waits.push((cell, place));
        }
    }

    /// It awaits it no longer. What comes back is the noted one, whose reference the caller releases.
    pub(crate) fn forget_outside_wait(&mut self, cell: CellPtr, place: Place) -> Option<CellPtr> {
        let OutsideWaits { waits, .. } = self.outside_waits.as_mut()?;
        let index = waits.iter().position(|noted| *noted == (cell, place))?;
        Some(waits.swap_remove(index).0)
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: Ready) {
        self.ready.push(entry);
    }
}

/// Why a loop closes, see [`Home::close`].
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use perloop_bridge::{Closing, FutureError, Ready};
///
/// let future = home.remote().submit::<(), _>((), std::future::pending::<()>());
/// if let Some(Ready::Adopt(task)) = home.pop() {
///     assert!(task.adopt()); // it has begun
/// }
/// home.close(Closing::Died);
/// assert!(matches!(future.result(), Err(FutureError::LoopDied(_))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Its owner closed it: what had begun ends cancelled.
    Closed,
    /// Its thread ended, or it was ended by a panic: what had begun ends with `LoopDied`.
    Died,
}

/// The loop, as its own thread has it. It cannot leave the thread; dropping it closes the loop, as one that died.
///
/// The runtime turns it: [`collect`](Self::collect) what has come, wait if there is nothing, [`pop`](Self::pop) and
/// do what was ready. All methods belong to the loop's thread; other threads have a [`Remote`].
///
/// # Examples
/// A loop in miniature:
///
/// ```
/// use std::sync::{Arc, Condvar, Mutex};
/// use std::time::Duration;
/// use perloop_bridge::{Bell, FutureError, Home, Ready, Spin, Stepped};
///
/// #[derive(Clone, Default)]
/// struct Gong(Arc<(Mutex<bool>, Condvar)>);
///
/// impl Bell for Gong {
///     fn ring(&self) {
///         *self.0.0.lock().expect("no panic under it") = true;
///         self.0.1.notify_one();
///     }
/// }
///
/// fn turn(home: &Home, gong: &Gong) {
///     home.collect();
///     if home.ready_len() == 0 && !home.look(Duration::MAX) && home.fall_asleep() {
///         let rung = gong.0.0.lock().expect("no panic under it");
///         *gong.0.1.wait_while(rung, |rung| !*rung).expect("no panic under it") = false;
///     }
///     home.collect();
///     for _ in 0..home.ready_len() {
///         match home.pop() {
///             Some(Ready::Adopt(task)) => if task.adopt() { task.wake() },
///             Some(Ready::Step(task)) => {
///                 let is_asked_to_stop = task.begin_step();
///                 if task.has_ended() {
///                     continue;
///                 }
///                 let error = FutureError::Cancelled;
///                 let stepped = if is_asked_to_stop { task.end_with(error) } else { task.poll() };
///                 if stepped == (Stepped::Ended { publish: true }) {
///                     home.push(Ready::Publish(task));
///                 }
///             }
///             Some(Ready::Publish(task)) => task.publish(),
///             Some(Ready::Call(call)) => call.0.call(),
///             Some(Ready::Handed(call)) => drop(home.run_handed(call)),
///             None => break,
///         }
///     }
/// }
///
/// let gong = Gong::default();
/// let home = Home::new("miniature", Spin::Adaptive, Box::new(gong.clone()));
/// let remote = home.remote();
/// let submitter = std::thread::spawn(move || remote.submit::<(), _>((), async { 6 * 7 }));
/// let future = submitter.join().expect("it does not panic");
/// while !future.done() {
///     turn(&home, &gong);
/// }
/// assert_eq!(future.result(), Ok(42));
/// ```
pub struct Home {
    core: CoreRef,
    id: u32,
    is_asleep: StdCell<bool>,
    not_send: PhantomData<*mut ()>,
}

impl Home {
    /// Makes a loop of this thread. `bell` ends the wait that the thread enters after [`Home::fall_asleep`].
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Bell, Home, Spin};
    ///
    /// struct NoBell; // for a loop that never sleeps
    /// impl Bell for NoBell {
    ///     fn ring(&self) {}
    /// }
    /// let home = Home::new("worker", Spin::Never, Box::new(NoBell));
    /// assert!(!home.has_work() && !home.is_closed());
    /// ```
    pub fn new(name: impl Into<String>, spin: Spin, bell: Box<dyn Bell>) -> Self {
        count_forks();
        let core = LoopCore::allocate(name.into(), spin, bell, this_thread());
        let id = deadlock::add_loop(&core);
        Self { core, id, is_asleep: StdCell::new(false), not_send: PhantomData }
    }

    /// Returns the loop as other threads have it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert_eq!(home.remote().name(), "doc");
    /// ```
    pub fn remote(&self) -> Remote {
        Remote::new(self.core.clone())
    }

    /// Returns a number that no other loop of this process ever has.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let other = Home::new("other", Spin::Never, Box::new(NoBell));
    /// assert_ne!(home.id(), other.id());
    /// ```
    #[inline]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Says whether the process was forked since the loop was made; then it is the parent's, and not to be turned.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(!home.is_inherited());
    /// ```
    #[inline]
    pub fn is_inherited(&self) -> bool {
        self.core.is_inherited()
    }

    /// Tells other threads that the loop runs, or not, for [`Remote::is_running`].
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.set_running(true);
    /// assert!(home.remote().is_running());
    /// ```
    pub fn set_running(&self, is_running: bool) {
        self.core.set_life(if is_running { Life::Running } else { Life::Resting });
        self.core.publish_core();
    }

    /// Has the loop's load be counted from now on, for [`Remote::load`], which costs a little with each submission and each
    /// turn.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.count_load();
    /// let future = home.remote().submit::<(), _>((), async {});
    /// assert_eq!(home.remote().load(), 1);
    /// # drop(future);
    /// ```
    pub fn count_load(&self) {
        self.core.count_load();
    }

    /// Says whether it was closed.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # use perloop_bridge::Closing;
    /// home.close(Closing::Closed);
    /// assert!(home.is_closed());
    /// ```
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.core.on_home(|home| home.is_closed)
    }

    /// Makes a task, and queues its first step. `record` is called once there is a place for what it gives;
    /// it must not panic, or the body is forgotten.
    ///
    /// # Panics
    /// If the loop is closed.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{Ready, Stepped};
    ///
    /// let task = home.spawn(|| (), async { 42 });
    /// if let Some(Ready::Step(step)) = home.pop() {
    ///     assert!(!step.begin_step());
    ///     assert_eq!(step.poll(), Stepped::Ended { publish: false });
    /// }
    /// assert_eq!(task.take(), Some(Ok(42)));
    /// ```
    #[inline]
    pub fn spawn<R: Record, F: Future + 'static>(&self, record: impl FnOnce() -> R, body: F) -> TaskRef {
        self.make(&Cell::<R, F>::TAKEABLE, record, body)
    }

    /// As [`spawn`](Self::spawn), but no step is queued: the first one is the caller's, here and now.
    ///
    /// # Panics
    /// As `spawn`.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Stepped;
    ///
    /// let task = home.spawn_unqueued(|| (), async { 42 });
    /// assert_eq!(home.ready_len(), 0);
    /// assert_eq!(task.poll(), Stepped::Ended { publish: false });
    /// assert_eq!(task.take(), Some(Ok(42)));
    /// ```
    pub fn spawn_unqueued<R: Record, F: Future + 'static>(
        &self,
        record: impl FnOnce() -> R,
        body: F,
    ) -> TaskRef {
        assert!(!self.is_closed(), "the runtime refuses tasks on a closed loop");
        TaskRef::make(&Cell::<R, F>::TAKEABLE, self.core.as_ptr(), record, body)
    }

    /// A task whose first step is queued.
    #[inline]
    pub(crate) fn make<R: Record, F: Future>(
        &self,
        vtable: &'static VTable,
        record: impl FnOnce() -> R,
        body: F,
    ) -> TaskRef {
        assert!(!self.is_closed(), "the runtime refuses tasks on a closed loop");
        let task = TaskRef::make(vtable, self.core.as_ptr(), record, body);
        task.wake();
        task
    }

    /// Queues an entry behind everything that is ready.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::Ready;
    ///
    /// home.spawn(|| (), async {});
    /// home.spawn(|| (), async {});
    /// if let Some(first) = home.pop() {
    ///     home.push(first); // now it is the last
    /// }
    /// assert_eq!(home.ready_len(), 2);
    /// ```
    #[inline]
    pub fn push(&self, entry: Ready) {
        if let Ready::Adopt(task) = &entry {
            assert!(task.is_of(self.core.as_ptr()), "a loop adopts its own submissions");
            drop(task.leave_hand());
        }
        if self.is_closed() {
            self.end_entry(entry);
        } else {
            self.core.on_home(|home| home.push(entry));
        }
    }

    /// Takes the oldest entry that is ready.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(home.pop().is_none());
    /// ```
    #[inline]
    pub fn pop(&self) -> Option<Ready> {
        self.core.on_home(|home| {
            let entry = home.ready.pop();
            if let Some(Ready::Adopt(task)) = &entry {
                task.take_in_hand();
                home.in_hand += 1;
            }
            entry
        })
    }

    /// Says whether a callback is the last of what is ready, so that it can do one thing more when its turn comes.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use std::rc::Rc;
    /// use perloop_bridge::{Call, CallRef, Ready};
    ///
    /// struct Nothing;
    /// impl Call for Nothing {
    ///     fn call(self: Rc<Self>) {}
    /// }
    /// let (first, last) = (Rc::new(Nothing), Rc::new(Nothing));
    /// home.push(Ready::Call(CallRef(first.clone())));
    /// assert!(home.ends_with(&first) && !home.ends_with(&last));
    /// home.push(Ready::Call(CallRef(last.clone())));
    /// assert!(home.ends_with(&last) && !home.ends_with(&first));
    /// ```
    #[inline]
    pub fn ends_with<C: Call>(&self, call: &Rc<C>) -> bool {
        self.core.on_home(|home| home.ready.ends_with(call))
    }

    /// Begins a turn, and returns how many entries it runs: what is ready now. What is queued from here on is for the next
    /// one, and joins none of these, see [`ends_with`](Self::ends_with).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use std::rc::Rc;
    /// use perloop_bridge::{Call, CallRef, Ready};
    ///
    /// struct Nothing;
    /// impl Call for Nothing {
    ///     fn call(self: Rc<Self>) {}
    /// }
    /// let call = Rc::new(Nothing);
    /// home.push(Ready::Call(CallRef(call.clone())));
    /// assert_eq!(home.begin_turn(), 1);
    /// assert!(!home.ends_with(&call));
    /// ```
    #[inline]
    pub fn begin_turn(&self) -> usize {
        self.core.on_home(|home| home.ready.begin_turn())
    }

    /// Returns how many entries are ready.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.spawn(|| (), async {});
    /// assert_eq!(home.ready_len(), 1);
    /// ```
    #[inline]
    pub fn ready_len(&self) -> usize {
        self.core.on_home(|home| home.ready.len())
    }

    /// Says whether there is something to do without waiting: ready here, or come from outside.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let remote = home.remote();
    /// std::thread::spawn(move || remote.call(|| ()).is_ok()).join().expect("it does not panic");
    /// assert!(home.has_work() && home.ready_len() == 0); // it is not collected yet
    /// ```
    pub fn has_work(&self) -> bool {
        self.core.on_home(|home| !home.ready.is_empty() || !home.backlog.is_empty())
            || self.core.door.inbox.has_news()
    }

    /// Moves what has come from outside to the end of the ready list, oldest first, up to a limit. The loop is awake
    /// afterwards.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let remote = home.remote();
    /// std::thread::spawn(move || remote.call(|| ()).is_ok()).join().expect("it does not panic");
    /// home.collect();
    /// assert_eq!(home.ready_len(), 1);
    /// ```
    pub fn collect(&self) {
        self.core.tell_load();
        // A backlog is older than what the inbox has, so that waits; a loop that fell asleep had none.
        let room = self.receive(BATCH_LIMIT);
        let was_asleep = room > 0 && self.is_asleep.replace(false);
        if was_asleep {
            // A thread that slept may wake elsewhere.
            self.core.publish_core();
        }
        if was_asleep || (room > 0 && self.core.door.inbox.has_news()) {
            let news = self.core.door.inbox.take();
            self.core.on_home(|home| home.backlog = news);
            self.receive(room);
        }
    }

    /// Takes up to `room` nodes from the backlog, and tells how much room is left. A node may run a destructor, which
    /// may close the loop, so the batch stays where `close` finds it.
    fn receive(&self, room: usize) -> usize {
        for left in (1..=room).rev() {
            let Some(node) = self.core.on_home(|home| home.backlog.next()) else { return left };
            self.receive_one(node);
        }
        0
    }

    fn receive_one(&self, node: CellPtr) {
        if !TaskRef::is_adopted(node) {
            let task = TaskRef::first(node);
            TaskRef::drained(node);
            self.push(if task.is_call() { Ready::Handed(task) } else { Ready::Adopt(task) });
        } else if TaskRef::is_ended(node) {
            self.core.on_home(|home| home.late_nodes -= 1);
            node.release();
        } else {
            TaskRef::drained(node);
            TaskRef::schedule(node);
        }
    }

    /// Runs a callback that another thread handed in.
    ///
    /// # Errors
    /// The callback's panic, if it panics.
    ///
    /// # Panics
    /// If `call` is not that of a [`Ready::Handed`], or has run.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{FutureError, Ready};
    ///
    /// home.remote().call(|| panic!("out of paper")).expect("it is open");
    /// let Some(Ready::Handed(call)) = home.pop() else { unreachable!() };
    /// assert!(matches!(home.run_handed(call), Err(FutureError::Panicked(_))));
    /// ```
    pub fn run_handed(&self, call: TaskRef) -> Result<(), FutureError> {
        call.take_up();
        let stepped = call.poll();
        debug_assert!(stepped != crate::task::Stepped::Pending, "a call is done when it returns");
        call.error().map_or(Ok(()), Err)
    }

    /// Looks a while for something from outside, as the loop's [`Spin`] says, and not for longer than `at_most`. True if
    /// something has come.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(!home.look(std::time::Duration::from_micros(1)));
    /// ```
    pub fn look(&self, at_most: Duration) -> bool {
        self.core.publish_core();
        self.core.door.asker.look_for_news(self.core.spin, at_most, || self.core.door.inbox.has_news())
    }

    /// Returns how the loop looks for news.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert_eq!(home.spin(), Spin::Never);
    /// ```
    pub fn spin(&self) -> Spin {
        self.core.spin
    }

    /// Says that the thread will wait for its bell, unless something has come meanwhile. True: wait; every push from
    /// now on rings. [`Home::collect`] ends it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let remote = home.remote();
    /// std::thread::spawn(move || remote.call(|| ()).is_ok()).join().expect("it does not panic");
    /// assert!(!home.fall_asleep()); // something has come
    /// home.collect();
    /// assert!(home.fall_asleep()); // now wait for the bell
    /// ```
    pub fn fall_asleep(&self) -> bool {
        let has_backlog = self.core.on_home(|home| !home.backlog.is_empty());
        let asleep = !has_backlog && self.core.door.inbox.fall_asleep() == Asleep::Yes;
        self.is_asleep.set(asleep);
        asleep
    }

    /// Takes another bell, when the runtime had to replace what it waits on. Rings that the old one got are not
    /// repeated.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.replace_bell(Box::new(NoBell));
    /// ```
    pub fn replace_bell(&self, bell: Box<dyn Bell>) {
        self.core.replace_bell(Some(bell));
    }

    /// Returns the tasks that have not ended, in the order of creation.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// let task = home.spawn(|| (), async {});
    /// assert_eq!(home.tasks(), [task.clone()]);
    /// ```
    pub fn tasks(&self) -> Vec<TaskRef> {
        self.core.on_home(|home| home.tasks.iter().cloned().collect())
    }

    /// Returns how many tasks have not ended.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.spawn(|| (), async {});
    /// assert_eq!(home.task_count(), 1);
    /// ```
    pub fn task_count(&self) -> usize {
        self.core.on_home(|home| home.tasks.len())
    }

    /// Notes from now on which cross-thread futures the loop's tasks await, for [`Home::has_outside_waits`].
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// home.note_outside_waits(perloop_bridge::Outside::OtherLoops);
    /// assert!(!home.has_outside_waits());
    /// ```
    pub fn note_outside_waits(&self, outside: Outside) {
        let noted = OutsideWaits { id: self.id, outside, waits: Vec::new() };
        NOTES.with(|notes| notes.set(true));
        self.core.on_home(|home| home.outside_waits = Some(noted));
    }

    /// Says whether a cross-thread future that a task of the loop awaited is still outstanding, if they are noted: on
    /// virtual time the clock must not jump meanwhile. If none is, what they woke is there to be
    /// [collected](Self::collect).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// assert!(!home.has_outside_waits());
    /// ```
    pub fn has_outside_waits(&self) -> bool {
        // Between an outcome and the wake-up that it causes there is time, in which the waker stands in the list.
        let is_over = |(cell, place): &(CellPtr, Place)| {
            has_reached(*cell, Until::Done) && !watchers::stands(*cell, *place)
        };
        let noted = self
            .core
            .on_home(|home| home.outside_waits.as_mut().map(|noted| std::mem::take(&mut noted.waits)));
        let (over, outstanding): (Vec<_>, Vec<_>) = noted.into_iter().flatten().partition(is_over);
        let is_outstanding = !outstanding.is_empty();
        self.core
            .on_home(|home| home.outside_waits.iter_mut().for_each(|noted| noted.waits.extend(&outstanding)));
        // The last reference may drop an output, which is foreign code.
        over.into_iter().for_each(|(cell, _)| cell.release());
        is_outstanding
    }

    /// Says whether a loop [outside](Outside) does the work of a cross-thread future: neither this one nor, as for a bare
    /// future, anybody who may set it.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Promise, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # let other = Home::new("other", Spin::Never, Box::new(NoBell));
    /// let future = other.remote().submit::<(), _>((), async {});
    /// assert!(home.is_served_outside(&future) && !other.is_served_outside(&future));
    /// assert!(!home.is_served_outside(&Promise::<()>::new().1));
    /// ```
    pub fn is_served_outside<T>(&self, future: &CrossThreadFuture<T>) -> bool {
        let outside = self.core.on_home(|home| home.outside_waits.as_ref().map(|noted| noted.outside));
        let (header, outside) = (future.cell().header(), outside.unwrap_or_default());
        header.core.is_some_and(|core| outside.has(self.core.as_ptr(), core, header.thread))
    }

    /// Closes the loop. Everything that was handed in and not taken up is refused; everything that had begun is
    /// dropped, here, and ends cancelled or, if the loop died, `LoopDied`. Foreign code (destructors, wakers,
    /// callbacks) runs after the doors are shut. A task that closes its own loop ends when its poll returns. A second
    /// call does nothing.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// use perloop_bridge::{Closing, FutureError};
    ///
    /// let future = home.remote().submit::<(), _>((), async {});
    /// home.close(Closing::Closed);
    /// assert!(matches!(future.result(), Err(FutureError::LoopClosed(_)))); // it was not taken up
    /// ```
    pub fn close(&self, why: Closing) {
        if self.is_closed() {
            return;
        }
        self.core.set_life(if why == Closing::Died { Life::Died } else { Life::Closed });
        deadlock::remove_loop(&self.core);
        let noted = self.core.on_home(|home| home.outside_waits.take());
        let (entries, live, backlog, to_come) = self.core.on_home(|home| {
            home.is_closed = true;
            let live = std::mem::take(&mut home.tasks);
            let backlog = std::mem::take(&mut home.backlog);
            (std::mem::take(&mut home.ready), live, backlog, home.late_nodes + home.in_hand)
        });
        self.is_asleep.set(false);
        // Nobody starts towards the inbox any more; who is on the way is counted, and keeps the core. So does what the
        // runtime has in hand.
        let on_their_way = live.iter().filter(|task| task.deafen()).count();
        self.core.lend(to_come + on_their_way);
        let rest = self.core.door.inbox.close();
        let refused: Vec<TaskRef> = backlog.chain(rest).filter_map(|node| self.last_of_inbox(node)).collect();
        // Handles may outlive the loop for long, and need not keep what it slept on. (Nobody sleeps any more.)
        self.core.replace_bell(None);
        // From here on foreign code runs.
        noted.into_iter().flat_map(|noted| noted.waits).for_each(|(cell, _)| cell.release());
        for entry in entries.chain(refused.into_iter().map(Ready::Adopt)) {
            self.end_entry(entry);
        }
        for task in live.iter() {
            task.abandon(match why {
                Closing::Closed => FutureError::Cancelled,
                Closing::Died => FutureError::LoopDied(self.core.died()),
            });
        }
    }

    /// A node that came before the door was shut: a submission is given back, to be refused; a wake has arrived.
    fn last_of_inbox(&self, node: CellPtr) -> Option<TaskRef> {
        if TaskRef::is_adopted(node) {
            self.core.take_back();
            node.release();
            return None;
        }
        TaskRef::drained(node);
        Some(TaskRef::first(node))
    }

    /// What was ready and will not run.
    fn end_entry(&self, entry: Ready) {
        match entry {
            Ready::Adopt(task) => task.refuse(self.core.refusal().into()),
            // Its body has ended, so it has its outcome.
            Ready::Publish(task) => task.publish(),
            Ready::Step(_) | Ready::Call(_) | Ready::Handed(_) => crate::foreign::drop_contained(entry),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.close(Closing::Died);
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("name", &self.core.name).field("life", &self.core.life()).finish()
    }
}
