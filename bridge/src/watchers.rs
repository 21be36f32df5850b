//! Who wants to hear of a cross-thread future's end: blocked threads, wakers, callbacks.
//!
//! The list is guarded by a lock; the cell's word says, by `WATCHED`, whether it was ever used, so that a future
//! that nobody waits for is completed without one. Who comes puts itself into the list first and says so in the word
//! then; who completes changes the word first and looks into the list then. So one of the two sees the other.

use std::cell::Cell as StdCell;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::ptr;
use std::task::Waker;

use crate::foreign::{contain, drop_contained};
use crate::sync::{Parker, lock, thread_cell};
use crate::task::CellPtr;

/// What a watcher waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// The outcome is known.
    Done,
    /// The body and all it owned are dropped as well.
    Ended,
}

/// How a watcher is told.
pub(crate) enum Tell {
    Thread(Parker),
    Task(Waker),
    /// Of a loop that has noted the wait, and takes it for over when this stands in the list no more: so it is told under
    /// the list's lock. It is the loop's own waker, which does no more than to queue a step and to ring.
    NotedTask(Waker),
    Callback(Box<dyn FnOnce() + Send>),
}

impl Tell {
    /// `is_noted`: the waker is a task's whose loop has noted the wait.
    pub(crate) fn task(waker: Waker, is_noted: bool) -> Self {
        if is_noted { Self::NotedTask(waker) } else { Self::Task(waker) }
    }

    /// Foreign code, unless it is a thread.
    pub(crate) fn now(self) {
        // A panic in a waker or callback harms neither the completer nor the other watchers; the hook has reported it.
        drop(contain(|| match self {
            Self::Thread(parker) => parker.unpark(),
            Self::Task(waker) | Self::NotedTask(waker) => waker.wake(),
            Self::Callback(callback) => callback(),
        }));
    }

    /// A callback may complete another future, whose callback may complete another, and so on: beyond a few of them they
    /// wait until the outermost is over, or a long chain would use up the stack.
    fn now_or_soon(self) {
        if !matches!(self, Self::Callback(_)) {
            // A callback further up may wait for just this thread or task.
            return self.now();
        }
        let (depth, put_off) = TELLING.with(StdCell::get);
        if depth == DEEPEST {
            // SAFETY: the outermost call of this thread owns the list, is on the stack, and borrows it only for a moment.
            unsafe { &mut *put_off }.push_back(self);
            return;
        }
        if depth > 0 {
            TELLING.with(|telling| telling.set((depth + 1, put_off)));
            self.now();
            return TELLING.with(|telling| telling.set((depth, put_off)));
        }
        let mut put_off = PutOff::new();
        let put_off = &raw mut put_off;
        TELLING.with(|telling| telling.set((1, put_off)));
        let mut next = Some(self);
        while let Some(tell) = next {
            tell.now();
            // SAFETY: the list is ours, and who uses it besides borrows it only for a moment.
            next = unsafe { &mut *put_off }.pop_front();
        }
        TELLING.with(|telling| telling.set((0, ptr::null_mut())));
    }
}

/// A place in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(NonZeroU32);

struct Watcher {
    place: Place,
    until: Until,
    tell: Tell,
}

/// The list, in the order of coming. Most futures have one watcher or none.
#[derive(Default)]
pub(crate) struct Watchers {
    first: Option<Watcher>,
    others: Vec<Watcher>,
    places: u32,
}

/// Puts a watcher into the list. None: it is too late, and the watcher was told, or will not be.
pub(crate) fn watch(cell: CellPtr, until: Until, tell: Tell) -> Option<Place> {
    let header = cell.header();
    let place = {
        let mut watchers = lock(&header.watchers);
        let watchers = watchers.get_or_insert_default();
        let place = Place(NonZeroU32::MIN.saturating_add(watchers.places));
        watchers.places = watchers.places.wrapping_add(1);
        watchers.add(Watcher { place, until, tell });
        place
    };
    let now = header.state.watch();
    let too_late = match until {
        Until::Done => now.is_done(),
        Until::Ended => now.is_ended(),
    };
    if !too_late {
        return Some(place);
    }
    // The completer may have looked into the list before we stood in it.
    if let Some(tell) = leave(cell, place) {
        tell.now_or_soon();
    }
    None
}

/// Takes a watcher out again, if it was not told meanwhile.
pub(crate) fn leave(cell: CellPtr, place: Place) -> Option<Tell> {
    let mut watchers = lock(&cell.header().watchers);
    watchers.as_mut()?.remove(place)
}

/// Puts another waker into a place. False if it was told meanwhile.
pub(crate) fn replace_waker(cell: CellPtr, place: Place, waker: &Waker, is_noted: bool) -> bool {
    let is_same = |tell: &Tell| match tell {
        Tell::Task(old) => !is_noted && old.will_wake(waker),
        Tell::NotedTask(old) => is_noted && old.will_wake(waker),
        Tell::Thread(_) | Tell::Callback(_) => false,
    };
    {
        let mut watchers = lock(&cell.header().watchers);
        match watchers.as_mut().and_then(|watchers| watchers.at(place)) {
            None => return false,
            Some(tell) if is_same(tell) => return true,
            Some(_) => {}
        }
    }
    // Cloning and dropping a waker is foreign code: it runs outside the lock.
    let new = Tell::task(waker.clone(), is_noted);
    let (old, is_there) = {
        let mut watchers = lock(&cell.header().watchers);
        match watchers.as_mut().and_then(|watchers| watchers.at(place)) {
            Some(tell) => (std::mem::replace(tell, new), true),
            None => (new, false),
        }
    };
    drop_contained(old);
    is_there && {
        let mut watchers = lock(&cell.header().watchers);
        watchers.as_mut().is_some_and(|watchers| watchers.at(place).is_some())
    }
}

/// Says whether a watcher has been told neither of an end nor of its own leave.
pub(crate) fn stands(cell: CellPtr, place: Place) -> bool {
    lock(&cell.header().watchers).as_mut().is_some_and(|watchers| watchers.at(place).is_some())
}

/// Tells those who wait for what is now true: noted tasks and threads first, as a callback may take its time; then the
/// others, in the order of coming. The caller has a reference, and has changed the word.
pub(crate) fn tell(cell: CellPtr, reached: Until) {
    let (first, others) = match &mut *lock(&cell.header().watchers) {
        Some(watchers) => {
            let taken = watchers.take(reached);
            wake_noted(taken.0.iter().chain(&taken.1));
            taken
        }
        None => return,
    };
    let is_thread = |watcher: &Watcher| matches!(watcher.tell, Tell::Thread(_));
    let (threads, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_thread);
    let (first_thread, first) =
        if first.as_ref().is_some_and(is_thread) { (first, None) } else { (None, first) };
    for watcher in first_thread.into_iter().chain(threads).chain(first).chain(others) {
        match watcher.tell {
            // It is told; only the waker is left to be dropped.
            told @ Tell::NotedTask(_) => drop_contained(told),
            tell => tell.now_or_soon(),
        }
    }
}

/// Before the lock is given back, see [`Tell::NotedTask`].
fn wake_noted<'a>(watchers: impl Iterator<Item = &'a Watcher>) {
    for watcher in watchers {
        if let Tell::NotedTask(waker) = &watcher.tell {
            drop(contain(|| waker.wake_by_ref()));
        }
    }
}

/// How many callbacks may run one inside of the other.
const DEEPEST: u32 = 16;

type PutOff = VecDeque<Tell>;

thread_cell! {
    /// How many callbacks of this thread run one inside of the other, and what waits until the outermost is over.
    static TELLING: (u32, *mut PutOff) = (0, ptr::null_mut());
}

impl Watchers {
    fn add(&mut self, watcher: Watcher) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(watcher);
        } else {
            self.others.push(watcher);
        }
    }

    fn at(&mut self, place: Place) -> Option<&mut Tell> {
        let mut all = self.first.iter_mut().chain(&mut self.others);
        all.find(|watcher| watcher.place == place).map(|watcher| &mut watcher.tell)
    }

    fn remove(&mut self, place: Place) -> Option<Tell> {
        let first = self.first.take_if(|watcher| watcher.place == place);
        let removed = first.or_else(|| {
            let index = self.others.iter().position(|watcher| watcher.place == place)?;
            Some(self.others.remove(index))
        });
        removed.map(|watcher| watcher.tell)
    }

    /// Takes out who waits for what is reached.
    fn take(&mut self, reached: Until) -> (Option<Watcher>, Vec<Watcher>) {
        let is_reached = |watcher: &Watcher| reached == Until::Ended || watcher.until == Until::Done;
        let first = self.first.take_if(|watcher| is_reached(watcher));
        let (now, later) = std::mem::take(&mut self.others).into_iter().partition(is_reached);
        self.others = later;
        (first, now)
    }
}
