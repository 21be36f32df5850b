//! A task's cell: who may touch which field, and when. The code cites these rules by number.
//!
//! 1. **The allocation** lives as long as `state` counts a reference. References are: one of the home thread (however
//!    many `TaskRef`s it has), one of a node while `NOTIFIED` is set, one of each waker, one of the cross-thread
//!    future, one of a promise. Who gives the last one back frees it.
//! 2. **`state`** is changed by any thread that has a reference, through the transitions of `state` alone.
//! 3. **`next`** belongs to who sets `NOTIFIED`, until the node is pushed; then to who takes the batch. The next
//!    pusher comes only after `begin_step` has cleared `NOTIFIED`. When no reference is left it belongs to who frees.
//! 4. **`local`** belongs to the home thread, from the first time that the node is taken from the inbox; before that
//!    nobody reads it.
//! 5. **The stage** (body, then output) belongs to the home thread, or to the submitter or the promise while nobody
//!    else knows of it, until `finish` publishes it; of a task that is not published, for ever.
//! 6. **The record** belongs to the home thread; before adoption it is a seed and comes along with the body. It is
//!    dropped with the last `TaskRef`.
//! 7. **A published output** is not written any more. Any thread that has seen `FINISHED` may look at its error; its
//!    value is for who wins `take`.
//! 8. **`core`** may be looked at by the home thread while `ENDED` is clear in `local`; by who has set `NOTIFIED` in
//!    `state`, until its push returns; by who holds a `Remote` of that loop. A closing loop counts those who are
//!    half-way between the word and the inbox, and the submissions that its runtime has in hand, and keeps the core
//!    for them. (A call looks at no core.)
//! 9. **`watchers`** is for any thread with a reference, under its lock, which is never held over foreign code, but for the
//!    ring that wakes a loop which notes its waits.
//!
//! Foreign code is called in these places, each of which contains a panic: the body's `poll` and destructor, the
//! output's and the record's destructor (`cell`), wakers and callbacks (`watchers`), calls (`call`).

mod cell;
mod list;
mod local;
mod state;
mod task_ref;
mod waker;

pub use cell::Record;
pub(crate) use cell::{Birth, Cell, CellPtr, Header, VTable};
pub(crate) use list::TaskList;
pub(crate) use local::Local;
pub(crate) use state::{AfterCancel, AfterFinish, State};
pub use task_ref::{Stepped, TaskRef};

use crate::watchers::{self, Until};

/// Publishes what is in the slot. The caller is the home thread, or the promise.
pub(crate) fn publish(cell: CellPtr, is_cancelled: bool) {
    let state = &cell.header().state;
    let watched = if is_cancelled {
        state.end_cancelled().is_watched()
    } else {
        match state.finish() {
            AfterFinish::Won { watched } => watched,
            AfterFinish::Lost => {
                // Cancelled first: the value is nobody's, and is gone before the end is told.
                cell.drop_stage();
                state.end_cancelled().is_watched()
            }
        }
    };
    if watched {
        watchers::tell(cell, Until::Ended);
    }
}
