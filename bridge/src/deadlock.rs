//! No blocking where it can't end.
//!
//! A thread that owns loops and is about to block publishes whom it waits for, in one table under one lock, and walks
//! the chain of those who wait already: if it comes back to itself, waiting could never end. Publishing and looking
//! are one act under the lock, so of two threads that would block on each other the second one sees the first. A
//! thread that owns no loop keeps nobody from anything and takes no part; nor does a wait that does not block.

use std::ptr::NonNull;

use crate::core::{CoreRef, LoopCore};
use crate::errors::WouldDeadlock;
use crate::sync::{Mutex, ThreadToken, lock, process_wide, this_thread};
use crate::task::CellPtr;
use crate::wait::has_reached;
use crate::watchers::Until;

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::default());
}

#[derive(Default)]
struct Table {
    loops: Vec<Owned>,
    loops_made: u64,
    waits: Vec<Wait>,
    tickets: u64,
}

/// A loop and the thread that owns it.
struct Owned {
    id: u64,
    core: Address,
    thread: ThreadToken,
    name: String,
}

struct Address(NonNull<LoopCore>);

// SAFETY: the core is looked at under the table's lock only, and its home keeps it until it has taken it out.
unsafe impl Send for Address {}

/// A thread that owns loops waits for others.
struct Wait {
    ticket: u64,
    from: ThreadToken,
    needs: Needs,
    for_ends: Vec<ForEnd>,
}

/// Of several ends that a thread waits for, how many let it go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Each of them.
    All,
    /// One of them.
    Any,
}

struct ForEnd {
    to: ThreadToken,
    /// Whose end it waits for, if it is one end only; once that has come, it need not wait for it any more.
    end_of: Option<EndOf>,
}

struct EndOf(CellPtr, Until);

// SAFETY: the cell is looked at under the table's lock only, and whoever put it there keeps a reference until it has
// taken it out.
unsafe impl Send for EndOf {}

/// A loop was made in this thread. Its number is never used again.
pub(crate) fn add_loop(core: &CoreRef) -> u64 {
    let mut table = lock(&TABLE);
    table.loops_made += 1;
    let id = table.loops_made;
    let address = Address(core.as_ptr());
    table.loops.push(Owned { id, core: address, thread: core.thread, name: core.name.clone() });
    id
}

/// The open loop of this number.
pub(crate) fn find_loop(id: u64) -> Option<CoreRef> {
    let table = lock(&TABLE);
    let owned = table.loops.iter().find(|owned| owned.id == id)?;
    // A loop that stands in the table is kept by its home until it is taken out, under this lock.
    Some(CoreRef::another(owned.core.0))
}

/// The loop is closed.
pub(crate) fn remove_loop(core: &CoreRef) {
    lock(&TABLE).loops.retain(|owned| owned.core.0 != core.as_ptr());
}

/// What stands in the table as long as a thread blocks, or may block. None: the thread owns no loop.
#[must_use]
pub(crate) struct Blocked(Option<u64>);

impl Blocked {
    pub(crate) const NOT: Self = Self(None);
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if let Some(ticket) = self.0 {
            lock(&TABLE).waits.retain(|wait| wait.ticket != ticket);
        }
    }
}

/// This thread is about to wait for the thread `to`. If it is for the end of one cell, the caller keeps a reference to
/// it until it drops what it got.
pub(crate) fn enter(to: ThreadToken, end_of: Option<(CellPtr, Until)>) -> Result<Blocked, WouldDeadlock> {
    enter_for(Needs::All, vec![ForEnd { to, end_of: end_of.map(|(cell, until)| EndOf(cell, until)) }])
}

/// This thread is about to wait for several futures. The caller keeps a reference to each, as for `enter`.
pub(crate) fn enter_for_many(needs: Needs, cells: &[CellPtr]) -> Result<Blocked, WouldDeadlock> {
    let for_end =
        |cell: &CellPtr| ForEnd { to: cell.header().thread, end_of: Some(EndOf(*cell, Until::Done)) };
    enter_for(needs, cells.iter().map(for_end).collect())
}

fn enter_for(needs: Needs, for_ends: Vec<ForEnd>) -> Result<Blocked, WouldDeadlock> {
    let from = this_thread();
    let mut table = lock(&TABLE);
    if !table.owns_loops(from) && for_ends.iter().all(|end| end.to != from) {
        return Ok(Blocked(None));
    }
    let mut path = vec![table.name_of(from)];
    if table.is_stuck(needs, &for_ends, from, &mut path) {
        return Err(WouldDeadlock { path });
    }
    table.tickets += 1;
    let ticket = table.tickets;
    table.waits.push(Wait { ticket, from, needs, for_ends });
    Ok(Blocked(Some(ticket)))
}

/// The circle that a wait for this loop's own thread would be, if the caller is that thread.
pub(crate) fn check_own_thread(cell: CellPtr) -> Result<(), WouldDeadlock> {
    let header = cell.header();
    let Some(core) = header.core else { return Ok(()) };
    if header.thread != this_thread() {
        return Ok(());
    }
    let table = lock(&TABLE);
    Err(WouldDeadlock {
        path: vec![table.name_of_core(core).unwrap_or_else(|| table.name_of(header.thread))],
    })
}

impl Table {
    fn owns_loops(&self, thread: ThreadToken) -> bool {
        self.loops.iter().any(|owned| owned.thread == thread)
    }

    fn name_of(&self, thread: ThreadToken) -> String {
        let owned = self.loops.iter().rfind(|owned| owned.thread == thread);
        owned.map_or_else(|| "a thread whose loops are closed".to_owned(), |owned| owned.name.clone())
    }

    fn name_of_core(&self, core: NonNull<LoopCore>) -> Option<String> {
        let owned = self.loops.iter().find(|owned| owned.core.0 == core)?;
        Some(owned.name.clone())
    }

    /// Would a wait for these ends last until the thread `by` goes on? Those who keep each other waiting are added to
    /// the path.
    fn is_stuck(&self, needs: Needs, for_ends: &[ForEnd], by: ThreadToken, path: &mut Vec<String>) -> bool {
        let mut is_held_up = |end: &ForEnd| !end.is_over() && self.waits_for(end.to, by, path);
        match needs {
            Needs::All => for_ends.iter().any(is_held_up),
            Needs::Any => !for_ends.is_empty() && for_ends.iter().all(&mut is_held_up),
        }
    }

    /// Does a chain of waits lead from one thread to the other? It cannot go in circles, since no circle ever gets
    /// into the table.
    fn waits_for(&self, thread: ThreadToken, by: ThreadToken, path: &mut Vec<String>) -> bool {
        if thread == by {
            return true;
        }
        path.push(self.name_of(thread));
        let mut waits = self.waits.iter().filter(|wait| wait.from == thread);
        if waits.any(|wait| self.is_stuck(wait.needs, &wait.for_ends, by, path)) {
            return true;
        }
        path.pop();
        false
    }
}

impl ForEnd {
    fn is_over(&self) -> bool {
        self.end_of.as_ref().is_some_and(|EndOf(cell, until)| has_reached(*cell, *until))
    }
}
