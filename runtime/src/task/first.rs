//! Who waits first for a task: mostly the only one.
//!
//! They lie in a table of the thread, and the task's record has a number of 32 bits, so that a task that is gathered
//! needs no memory of its own for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;

use crate::event_loop::run_callback;
use crate::nested_drop::drop_nested;
use crate::task::done::Watch;

/// Entries for which an empty table keeps room.
const SPARE: usize = 1024;

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Table { entries: Vec::new(), free: NONE, taken: 0 }) };
}

/// No place in the table.
const NONE: u32 = u32::MAX;
/// It was one's, who has left or was woken.
const LEFT: u32 = u32::MAX - 1;

struct Table {
    entries: Vec<Entry>,
    /// The first free entry.
    free: u32,
    taken: u32,
}

enum Entry {
    Taken(Watch),
    /// And the next one.
    Free(u32),
}

impl Table {
    /// None, and it stays where it is, if the table is full.
    #[inline]
    fn put(&mut self, watch: &mut Option<Watch>) -> Option<u32> {
        let place = self.free;
        if let Some(entry) = self.entries.get_mut(place as usize) {
            let Entry::Free(next) = *entry else { unreachable!("the first free entry is free") };
            *entry = Entry::Taken(watch.take()?);
            self.free = next;
            self.taken += 1;
            return Some(place);
        }
        let place = u32::try_from(self.entries.len()).ok().filter(|place| *place < LEFT)?;
        self.entries.push(Entry::Taken(watch.take()?));
        self.taken += 1;
        Some(place)
    }

    #[inline]
    fn take(&mut self, place: u32) -> Option<Watch> {
        let entry = self.entries.get_mut(place as usize)?;
        let Entry::Taken(watch) = mem::replace(entry, Entry::Free(self.free)) else {
            unreachable!("a place is one task's")
        };
        self.free = place;
        self.taken -= 1;
        if self.taken == 0 {
            self.empty();
        }
        Some(watch)
    }

    #[cold]
    fn empty(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(SPARE);
        self.free = NONE;
    }
}

impl Drop for Table {
    /// The thread ends before the tasks do: it is foreign code, and a panic must not get out of a thread-local.
    fn drop(&mut self) {
        for entry in self.entries.drain(..) {
            run_callback(|| drop(entry));
        }
    }
}

/// See the [module](self). It is one's only once.
pub(super) struct First(Cell<u32>);

impl First {
    #[inline]
    pub(super) fn new() -> Self {
        Self(Cell::new(NONE))
    }

    /// Refused if there was one before.
    #[inline]
    pub(super) fn set(&self, watch: Watch) -> Result<(), Watch> {
        if self.0.get() != NONE {
            return Err(watch);
        }
        let mut watch = Some(watch);
        let place = TABLE.try_with(|table| table.borrow_mut().put(&mut watch));
        // In a thread that is ending there is no table.
        if let Ok(Some(place)) = place {
            self.0.set(place);
        }
        watch.map_or(Ok(()), Err)
    }

    #[inline(always)]
    pub(super) fn take(&self) -> Option<Watch> {
        if self.0.get() >= LEFT {
            return None;
        }
        let place = self.0.replace(LEFT);
        TABLE.try_with(|table| table.borrow_mut().take(place)).ok().flatten()
    }
}

impl Drop for First {
    /// The loop was closed before the end, and the last handle dropped. It is foreign code, and may panic.
    #[inline]
    fn drop(&mut self) {
        if *self.0.get_mut() < LEFT {
            self.drop_watch();
        }
    }
}

impl First {
    #[cold]
    fn drop_watch(&self) {
        if let Some(watch) = self.take() {
            run_callback(|| drop_nested(watch));
        }
    }
}

impl fmt::Debug for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "First({})", self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Entry, First, SPARE, TABLE, Table};
    use crate::task::done::Watch;

    fn room() -> (usize, usize) {
        TABLE.with(|table| {
            let Table { entries, .. } = &*table.borrow();
            (entries.iter().filter(|entry| matches!(entry, Entry::Taken(_))).count(), entries.capacity())
        })
    }

    #[test]
    fn the_table_gives_its_room_back() {
        let firsts: Vec<_> = (0..10 * SPARE).map(|_| First::new()).collect();
        firsts.iter().for_each(|first| assert!(first.set(Watch::Shield).is_ok()));
        assert_eq!(room().0, firsts.len());
        assert!(firsts[7].take().is_some() && firsts[7].take().is_none());
        assert!(firsts[7].set(Watch::Shield).is_err(), "only once");
        let other = First::new();
        assert!(other.set(Watch::Shield).is_ok());
        assert_eq!(room().0, firsts.len(), "in the place that was free");
        drop((firsts, other));
        assert!(room().0 == 0 && room().1 <= SPARE);
    }

    #[test]
    fn who_waits_is_dropped_with_the_task() {
        let alive = Rc::new(());
        let its = Rc::clone(&alive);
        let first = First::new();
        assert!(first.set(Watch::Callback(Box::new(move |_: &_| drop(its)))).is_ok());
        drop(first);
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}
