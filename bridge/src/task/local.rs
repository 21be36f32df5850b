//! The part of a task cell that only its home thread touches: plain memory, no atomics.
//!
//! | row       | flags                          | what is true | left by |
//! | --------- | ------------------------------ | ------------ | ------- |
//! | new       |                                | on its way here; nobody reads this | `TaskRef::first`, `Home::pop` → in hand; `refuse` → ended |
//! | in hand   | `IN_HAND`                      | popped from the ready list as a submission; its loop counts it | `adopt` → adopted, or ended if it was cancelled; dropped → ended |
//! | adopted   | `ADOPTED`                      | a task: it has a body, and its loop lists it | `poll`, `end_with` → ended; a close: `abandon` → ended or abandoned |
//! | ended     | `ADOPTED` `ENDED`              | the outcome lies in the slot | `publish`, `take`: a mark; the last `TaskRef` → released |
//! | abandoned | `ADOPTED` `ENDED` `ABANDONED`  | its loop was closed first: no outcome | the last `TaskRef` → released |
//! | released  | `RELEASED` beside the others   | no `TaskRef` is left, and none can be had any more | nobody |
//!
//! A task is made at home (in row *adopted*), or it is `SUBMITTED` and has a cross-thread future, or it is a `CALL`, a
//! callback that another thread handed in, which has neither future nor waker nor place in the list.

use crate::sync::UnsafeCell;

// Rows.

/// A submission that was popped from the ready list and not adopted yet.
pub(crate) const IN_HAND: u32 = 1 << 0;
/// The record is in use.
pub(crate) const ADOPTED: u32 = 1 << 1;
/// The body is gone, or the loop is closed: wakes mean nothing and the loop may be gone.
pub(crate) const ENDED: u32 = 1 << 2;
/// The loop was closed before the body ended, so there is no outcome.
pub(crate) const ABANDONED: u32 = 1 << 3;
/// The home thread has given its reference back: only the memory is left.
pub(crate) const RELEASED: u32 = 1 << 4;

// Kinds.

/// There is a cross-thread future for it: the output is published by the shared word, not by `ENDED`.
pub(crate) const SUBMITTED: u32 = 1 << 5;
/// It is no task but a callback that another thread handed in.
pub(crate) const CALL: u32 = 1 << 6;

// Marks beside a row.

/// A step of the task stands in the ready list.
pub(crate) const QUEUED: u32 = 1 << 7;
/// The body is being polled, or dropped, further up this thread's stack.
pub(crate) const RUNNING: u32 = 1 << 8;
/// The node was taken from the inbox and not yet run: the next step has to clear `NOTIFIED` in the shared word.
pub(crate) const DRAINED: u32 = 1 << 9;
/// In its last step the body waited for something else than a task of its loop. Set by who registers such a wait (any
/// clone of the task's waker does), cleared when a step begins.
pub(crate) const WAITS_ELSEWHERE: u32 = 1 << 10;
/// The output is an error.
pub(crate) const FAILED: u32 = 1 << 11;
/// The shared word says `ENDED`, or need not.
pub(crate) const PUBLISHED: u32 = 1 << 12;
/// The output was given to who asked at home.
pub(crate) const TAKEN: u32 = 1 << 13;
/// The body was polled, or dropped, at least once.
pub(crate) const BEGUN: u32 = 1 << 14;

/// References that the home thread has, and its flags. Read and written by the home thread alone (rule 4).
pub(crate) struct Local(UnsafeCell<Fields>);

#[derive(Clone, Copy)]
struct Fields {
    refs: u32,
    flags: u32,
    /// The task's place in the loop's list.
    slot: u32,
}

impl Local {
    #[inline]
    pub(crate) fn new(refs: u32, flags: u32) -> Self {
        Self(UnsafeCell::new(Fields { refs, flags, slot: 0 }))
    }

    /// For a submission, before the home thread knows of it.
    pub(crate) fn submitted() -> Self {
        Self::new(0, 0)
    }

    /// For a call, before the home thread knows of it.
    pub(crate) fn call() -> Self {
        Self::new(0, CALL | PUBLISHED)
    }

    #[inline]
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.get().flags & flag != 0
    }

    /// Those of these flags that are set.
    #[inline]
    pub(crate) fn of(&self, flags: u32) -> u32 {
        self.get().flags & flags
    }

    #[inline]
    pub(crate) fn set(&self, flag: u32) {
        self.change(|fields| fields.flags |= flag);
    }

    #[inline]
    pub(crate) fn clear(&self, flag: u32) {
        self.change(|fields| fields.flags &= !flag);
    }

    /// Sets a flag; true if it was clear.
    #[inline]
    pub(crate) fn raise(&self, flag: u32) -> bool {
        let was_clear = !self.has(flag);
        self.set(flag);
        was_clear
    }

    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        self.get().slot
    }

    #[inline]
    pub(crate) fn set_slot(&self, slot: u32) {
        self.change(|fields| fields.slot = slot);
    }

    #[inline]
    pub(crate) fn retain(&self) {
        self.change(|fields| {
            fields.refs = fields.refs.checked_add(1).expect("fewer than 2^32 handles of a task")
        });
    }

    /// True if it was the last reference.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        self.change(|fields| {
            fields.refs -= 1;
            fields.refs == 0
        })
    }

    #[inline]
    fn get(&self) -> Fields {
        // SAFETY: rule 4: only the home thread comes here, and no reference into the cell outlives a closure.
        self.0.with(|fields| unsafe { *fields })
    }

    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut Fields) -> R) -> R {
        // SAFETY: rule 4, and `change` runs none but our own code, which does not come here again.
        self.0.with_mut(|fields| change(unsafe { &mut *fields }))
    }
}
