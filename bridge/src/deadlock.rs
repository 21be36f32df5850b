//! No blocking where it can't end.
//!
//! A thread that owns loops and is about to block publishes whom it waits for, in one table under one lock, and asks
//! who of those in it would never go on: first all who wait, then, again and again, less those whom one of the others
//! lets go on. If it is left over itself, waiting could never end. Publishing and looking are one act under the lock, so
//! of two threads that would block on each other the second one sees the first. A thread that owns no loop keeps nobody
//! from anything and takes no part; nor does a wait that does not block.

use std::ptr::NonNull;

use crate::core::{CoreRef, Life, LoopCore};
use crate::errors::WouldDeadlock;
use crate::sync::{Mutex, ThreadToken, generation, lock, new_loop_id, process_wide, this_thread};
use crate::task::CellPtr;
use crate::wait::has_reached;
use crate::watchers::Until;

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::new());
}

struct Table {
    loops: Vec<Owned>,
    waits: Vec<Wait>,
    tickets: u64,
}

/// A loop and the thread that owns it.
struct Owned {
    id: u32,
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
pub(crate) fn add_loop(core: &CoreRef) -> u32 {
    let id = new_loop_id();
    let address = Address(core.as_ptr());
    lock(&TABLE).loops.push(Owned { id, core: address, thread: core.thread, name: core.name.clone() });
    id
}

/// The open loop of this number.
pub(crate) fn find_loop(id: u32) -> Option<CoreRef> {
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
    // Who does not block just now (a scope) may make a loop meanwhile, so it is entered in any case.
    let blocks_now = to != this_thread() && end_of.is_some();
    let for_end = || ForEnd { to, end_of: end_of.map(|(cell, until)| EndOf(cell, until)) };
    enter_for(Needs::All, blocks_now, || vec![for_end()])
}

/// This thread is about to wait for several futures. The caller keeps a reference to each, as for `enter`.
pub(crate) fn enter_for_many(needs: Needs, cells: &[CellPtr]) -> Result<Blocked, WouldDeadlock> {
    let for_end =
        |cell: &CellPtr| ForEnd { to: cell.header().thread, end_of: Some(EndOf(*cell, Until::Done)) };
    let blocks_now = cells.iter().all(|cell| cell.header().thread != this_thread());
    enter_for(needs, blocks_now, || cells.iter().map(for_end).collect())
}

fn enter_for(
    needs: Needs,
    blocks_now: bool,
    for_ends: impl FnOnce() -> Vec<ForEnd>,
) -> Result<Blocked, WouldDeadlock> {
    let from = this_thread();
    let mut table = lock(&TABLE);
    if blocks_now && !table.owns_loops(from) {
        return Ok(Blocked(None));
    }
    table.tickets += 1;
    let ticket = table.tickets;
    table.waits.push(Wait { ticket, from, needs, for_ends: for_ends() });
    if let Some(path) = table.circle(from) {
        table.waits.pop();
        return Err(WouldDeadlock::of_loops(path));
    }
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
    let name = table.name_of_core(core).unwrap_or_else(|| table.name_of(header.thread));
    Err(WouldDeadlock::of_loops(vec![name]))
}

/// Fails if a loop of this thread runs, whose tasks nobody would turn while the thread waits for anybody.
pub(crate) fn check_no_loop_runs() -> Result<(), WouldDeadlock> {
    let table = lock(&TABLE);
    // SAFETY: a loop that stands in the table is kept by its home until it is taken out, under this lock.
    let runs = |owned: &&Owned| unsafe { owned.core.0.as_ref() }.life() == Life::Running;
    let running = table.loops.iter().filter(|owned| owned.thread == this_thread()).find(runs);
    running.map_or(Ok(()), |owned| Err(WouldDeadlock::of_running_loop(owned.name.clone())))
}

impl Table {
    /// The tickets of one process are none of its child's, which may give inherited ones back.
    fn new() -> Self {
        Self { loops: Vec::new(), waits: Vec::new(), tickets: u64::from(generation()) << 32 }
    }

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

    /// The names along a circle of waits in which this thread would never go on, if there is one.
    fn circle(&self, thread: ThreadToken) -> Option<Vec<String>> {
        // Whether an end has come is looked at once, as that may change at any time.
        let mut stuck: Vec<HeldUp> = self.waits.iter().filter_map(Wait::held_up).collect();
        loop {
            let threads: Vec<_> = stuck.iter().map(|wait| wait.from).collect();
            stuck.retain(|wait| wait.lasts_with(&threads));
            if stuck.len() == threads.len() {
                break;
            }
        }
        if !stuck.iter().any(|wait| wait.from == thread) {
            return None;
        }
        let (mut path, mut seen) = (Vec::new(), Vec::new());
        find_way(&stuck, thread, thread, &mut path, &mut seen);
        Some(path.into_iter().map(|thread| self.name_of(thread)).collect())
    }
}

/// Goes along those who hold each other up. True if that leads from one thread to the other.
fn find_way(
    stuck: &[HeldUp],
    from: ThreadToken,
    to: ThreadToken,
    path: &mut Vec<ThreadToken>,
    seen: &mut Vec<ThreadToken>,
) -> bool {
    path.push(from);
    seen.push(from);
    for &next in stuck.iter().filter(|wait| wait.from == from).flat_map(|wait| &wait.by) {
        if next == to || (!seen.contains(&next) && find_way(stuck, next, to, path, seen)) {
            return true;
        }
    }
    path.pop();
    false
}

/// A wait whose end has not come, and the threads that it is for.
struct HeldUp {
    from: ThreadToken,
    needs: Needs,
    by: Vec<ThreadToken>,
}

impl HeldUp {
    /// Will it never end if these threads never go on?
    fn lasts_with(&self, stuck: &[ThreadToken]) -> bool {
        let mut is_stuck = self.by.iter().map(|thread| stuck.contains(thread));
        match self.needs {
            Needs::All => is_stuck.any(|is_stuck| is_stuck),
            Needs::Any => is_stuck.all(|is_stuck| is_stuck),
        }
    }
}

impl Wait {
    /// None if enough of what it is for has come, or anybody may bring it.
    fn held_up(&self) -> Option<HeldUp> {
        let by: Vec<_> = self.for_ends.iter().filter(|end| !end.is_over()).map(|end| end.to).collect();
        let is_over = match self.needs {
            Needs::All => false,
            Needs::Any => by.len() < self.for_ends.len(),
        };
        (!is_over && !by.is_empty()).then_some(HeldUp { from: self.from, needs: self.needs, by })
    }
}

impl ForEnd {
    fn is_over(&self) -> bool {
        self.end_of.as_ref().is_some_and(|EndOf(cell, until)| has_reached(*cell, *until))
    }
}
