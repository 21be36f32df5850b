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

/// A thread that owns loops waits for another thread.
struct Wait {
    ticket: u64,
    from: ThreadToken,
    to: ThreadToken,
    /// Whose end it waits for, if it is one end only; once that has come, the thread is about to go on.
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
    let from = this_thread();
    let mut table = lock(&TABLE);
    if from == to {
        return Err(WouldDeadlock { path: vec![table.name_of(from)] });
    }
    if !table.owns_loops(from) {
        return Ok(Blocked(None));
    }
    let mut path = vec![table.name_of(from)];
    if table.reaches(to, from, &mut path) {
        return Err(WouldDeadlock { path });
    }
    table.tickets += 1;
    let ticket = table.tickets;
    let end_of = end_of.map(|(cell, until)| EndOf(cell, until));
    table.waits.push(Wait { ticket, from, to, end_of });
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

    /// Does a chain of waits lead from one thread to the other? It cannot go in circles, since no circle ever gets
    /// into the table.
    fn reaches(&self, from: ThreadToken, to: ThreadToken, path: &mut Vec<String>) -> bool {
        path.push(self.name_of(from));
        for wait in self.waits.iter().filter(|wait| wait.from == from && !wait.is_over()) {
            if wait.to == to || self.reaches(wait.to, to, path) {
                return true;
            }
        }
        path.pop();
        false
    }
}

impl Wait {
    fn is_over(&self) -> bool {
        self.end_of.as_ref().is_some_and(|EndOf(cell, until)| has_reached(*cell, *until))
    }
}
