//! What a loop shares with other threads, in one allocation that its home and its handles keep alive.

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::bell::{Belfry, Bell};
use crate::deadlock;
use crate::errors::{Forked, LoopClosed, LoopDied, Refusal};
use crate::home::HomeState;
use crate::inbox::{Inbox, Pushed};
use crate::load::Load;
use crate::ready::Ready;
use crate::sync::{
    Alive, AtomicU32, AtomicUsize, Ordering, ThreadToken, UnsafeCell, free, generation, this_core,
    this_thread,
};
use crate::task::{CellPtr, TaskList};
use crate::wait::{Asker, Spin};
use crate::watchers::Place;

/// See the [module](self).
pub(crate) struct LoopCore {
    alive: Alive,
    /// Handles, the home, and those whom rule 8 of [`task`](crate::task) names.
    references: AtomicUsize,
    pub(crate) door: Apart<Door>,
    bell: Belfry,
    pub(crate) thread: ThreadToken,
    /// The process that it belongs to, counted in forks.
    generation: u32,
    pub(crate) name: String,
    pub(crate) spin: Spin,
    /// What other threads may know of the loop's life: a word to read, not one to decide by.
    life: AtomicU32,
    /// The core that the loop last ran on.
    ran_on: AtomicU32,
    pub(crate) load: Load,
    /// The group whose threads alone may hand work in; 0 is everybody. See `group_id`.
    pub(crate) only_for: AtomicU32,
    /// For the home thread alone.
    pub(crate) home: Apart<UnsafeCell<HomeState>>,
}

/// What is written by each push.
pub(crate) struct Door {
    pub(crate) inbox: Inbox,
    pub(crate) asker: Asker,
    /// Submissions, if the load is counted, modulo 2^32.
    pub(crate) submitted: AtomicU32,
}

/// On cache lines of its own (processors fetch them in pairs), as others than those of its neighbours write it.
#[repr(align(128))]
pub(crate) struct Apart<T>(T);

impl<T> Apart<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The loop's life as other threads may read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// New or stopped: it may run.
    Resting = 0,
    /// A thread turns it.
    Running = 1,
    /// Closed by its owner.
    Closed = 2,
    /// Closed since its thread ended or panicked.
    Died = 3,
}

/// A counted reference to a core.
pub(crate) struct CoreRef(NonNull<LoopCore>);

// SAFETY: all fields of a core that other threads reach are atomics, locks and constants; `home` is touched by the home
// thread alone, which `Home` (not Send) and the thread token of a cell make sure of.
unsafe impl Send for CoreRef {}
// SAFETY: as for Send.
unsafe impl Sync for CoreRef {}

impl LoopCore {
    pub(crate) fn allocate(name: String, spin: Spin, bell: Box<dyn Bell>, thread: ThreadToken) -> CoreRef {
        let core = Box::new(Self {
            alive: Alive::new(),
            references: AtomicUsize::new(1),
            door: Apart(Door { inbox: Inbox::new(), asker: Asker::new(), submitted: AtomicU32::new(0) }),
            bell: Belfry::new(bell),
            thread,
            generation: generation(),
            name,
            spin,
            life: AtomicU32::new(Life::Resting as u32),
            ran_on: AtomicU32::new(u32::MAX),
            load: Load::new(),
            only_for: AtomicU32::new(0),
            home: Apart(UnsafeCell::new(HomeState::default())),
        });
        CoreRef(NonNull::from(Box::leak(core)))
    }

    /// Rings, unless the loop is the parent process's.
    pub(crate) fn ring(&self) {
        if !self.is_inherited() {
            self.bell.ring();
        }
    }

    /// Home: hangs up another bell, or none.
    pub(crate) fn replace_bell(&self, bell: Option<Box<dyn Bell>>) {
        self.bell.replace(bell);
    }

    /// Does it belong to the process that this one was forked from?
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != generation()
    }

    pub(crate) fn life(&self) -> Life {
        // ORDERING: Relaxed; it may be out of date as soon as it is read, so nobody may conclude anything from it.
        match self.life.load(Ordering::Relaxed) {
            0 => Life::Resting,
            1 => Life::Running,
            2 => Life::Closed,
            _ => Life::Died,
        }
    }

    pub(crate) fn set_life(&self, life: Life) {
        // ORDERING: see `life`.
        self.life.store(life as u32, Ordering::Relaxed);
    }

    /// The core that the loop last ran on.
    pub(crate) fn ran_on(&self) -> u32 {
        // ORDERING: Relaxed; a hint.
        self.ran_on.load(Ordering::Relaxed)
    }

    /// Home: says where it runs.
    pub(crate) fn publish_core(&self) {
        let now = this_core();
        if now != self.ran_on() {
            // ORDERING: Relaxed; a hint.
            self.ran_on.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        if self.is_inherited() {
            Refusal::Forked(Forked)
        } else {
            Refusal::LoopClosed(LoopClosed::new(self.name.clone()))
        }
    }

    pub(crate) fn died(&self) -> LoopDied {
        LoopDied::new(self.name.clone())
    }

    /// Pushes a node on behalf of somebody who has set `NOTIFIED` and holds nothing of the loop (rule 8).
    pub(crate) fn push_notified(cell: CellPtr) {
        let core = cell.header().core.expect("a node that can be notified has a loop");
        // SAFETY: rule 8: we have set NOTIFIED, and the push has not returned.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        if !this.door.inbox.has_news() {
            // Else the first of those that are there has said so.
            this.door.asker.note_wake(this.spin);
        }
        match this.door.inbox.push(cell, || CoreRef::another(core)) {
            Pushed::Quietly => {}
            Pushed::MustRing(kept) => kept.ring(),
            Pushed::Refused => {
                // The closing loop has counted a reference for us.
                drop(CoreRef(core));
                cell.release();
            }
        }
    }

    /// Home, with the loop open: puts an entry into the ready list.
    #[inline]
    pub(crate) fn push_ready(core: NonNull<LoopCore>, entry: Ready) {
        // SAFETY: rule 8: the caller is the home thread, and the loop is not closed.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        this.on_home(|home| home.push(entry));
    }

    /// Home, with the loop open: its number, if it notes that its tasks wait for that loop, of that thread.
    pub(crate) fn noting_id(
        core: NonNull<LoopCore>,
        awaited: NonNull<LoopCore>,
        thread: ThreadToken,
    ) -> Option<u32> {
        // SAFETY: as for `push_ready`.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        this.on_home(|home| home.noting_id(core, awaited, thread))
    }

    /// Home, with the loop open: one of its tasks awaits a cross-thread future.
    pub(crate) fn note_outside_wait(core: NonNull<LoopCore>, cell: CellPtr, place: Place) {
        // SAFETY: as for `push_ready`.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        this.on_home(|home| home.note_outside_wait(cell, place));
    }

    /// Any thread: a task of the loop of this number does not await the future any longer. In another thread than that
    /// loop's the note stays until the future is done.
    pub(crate) fn forget_outside_wait(id: u32, cell: CellPtr, place: Place) {
        if let Some(core) = deadlock::find_loop(id)
            && core.thread == this_thread()
            && let Some(noted) = core.on_home(|home| home.forget_outside_wait(cell, place))
        {
            noted.release();
        }
    }

    /// Home, with the loop open: changes the list of its tasks.
    #[inline]
    pub(crate) fn with_tasks<R>(core: NonNull<LoopCore>, change: impl FnOnce(&mut TaskList) -> R) -> R {
        // SAFETY: as for `push_ready`.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        this.on_home(|home| change(&mut home.tasks))
    }

    /// Home, with the loop open: a task has ended and its node is between its word and the inbox, or in it.
    pub(crate) fn count_late_node(core: NonNull<LoopCore>) {
        // SAFETY: as for `push_ready`.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        this.on_home(|home| home.late_nodes += 1);
    }

    /// Home: a submission that was counted as in hand is so no more. An error if the loop has closed since.
    pub(crate) fn leave_hand(core: NonNull<LoopCore>) -> Result<(), Refusal> {
        // SAFETY: rule 8: the loop is open, or has counted a reference for us.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        if !this.on_home(|home| home.is_closed) {
            this.on_home(|home| {
                home.in_hand -= 1;
                home.taken_up = home.taken_up.wrapping_add(1);
            });
            return Ok(());
        }
        let refusal = this.refusal();
        drop(CoreRef(core));
        Err(refusal)
    }

    /// Home: changes what only the home thread touches.
    #[inline]
    pub(crate) fn on_home<R>(&self, change: impl FnOnce(&mut HomeState) -> R) -> R {
        // SAFETY: only the home thread comes here, and `change` runs none but our own short code, which does not come
        // here again.
        self.home.with_mut(|home| change(unsafe { &mut *home }))
    }
}

impl CoreRef {
    /// One more reference; the caller keeps the core alive meanwhile.
    #[inline]
    pub(crate) fn another(core: NonNull<LoopCore>) -> Self {
        // SAFETY: the caller's promise.
        let this = unsafe { core.as_ref() };
        this.alive.check();
        // ORDERING: Relaxed; a new reference is made from one that somebody keeps, and orders nothing.
        let old = this.references.fetch_add(1, Ordering::Relaxed);
        if old > usize::MAX / 2 {
            std::process::abort();
        }
        Self(core)
    }

    pub(crate) fn as_ptr(&self) -> NonNull<LoopCore> {
        self.0
    }

    /// Counts `references` that others will drop.
    pub(crate) fn lend(&self, references: usize) {
        // ORDERING: Relaxed; as in `another`.
        self.references.fetch_add(references, Ordering::Relaxed);
    }

    /// Takes back one that was lent and is not needed.
    pub(crate) fn take_back(&self) {
        drop(Self(self.0));
    }
}

impl std::ops::Deref for CoreRef {
    type Target = LoopCore;

    fn deref(&self) -> &LoopCore {
        // SAFETY: a reference is counted for us.
        let core = unsafe { self.0.as_ref() };
        core.alive.check();
        core
    }
}

impl Clone for CoreRef {
    fn clone(&self) -> Self {
        Self::another(self.0)
    }
}

impl Drop for CoreRef {
    fn drop(&mut self) {
        // ORDERING: AcqRel: our accesses come before the one who frees it, and everybody's before us if that is us.
        if self.references.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.alive.bury();
            // SAFETY: this was the last reference.
            unsafe { self.0.drop_in_place() };
            // SAFETY: it was allocated as a Box in `allocate`, and nothing is left in it.
            unsafe { free(self.0.as_ptr().cast(), Layout::new::<LoopCore>()) };
        }
    }
}
