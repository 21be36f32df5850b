//! The waker of a task: a reference to its cell. It may be cloned, woken and dropped by any thread, also when the
//! task, its loop and the loop's thread are gone.

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::core::LoopCore;
use crate::sync::this_thread;
use crate::task::state::AfterWake;
use crate::task::{CellPtr, Header, TaskRef};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_reference);

/// Wakers from our own vtable carry a cell in `data`, and a reference to it.
#[inline]
fn cell_of(data: *const ()) -> CellPtr {
    CellPtr::from_raw(data.cast_mut().cast::<Header>()).expect("a waker of ours carries a cell")
}

unsafe fn clone(data: *const ()) -> RawWaker {
    let cell = cell_of(data);
    cell.retain();
    if cell.header().thread == this_thread() {
        // Whoever keeps the waker will wake the task: it waits for that.
        TaskRef::waits_for_a_waker(cell);
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    wake_cell(cell_of(data));
    cell_of(data).release();
}

unsafe fn wake_by_ref(data: *const ()) {
    wake_cell(cell_of(data));
}

unsafe fn drop_reference(data: *const ()) {
    cell_of(data).release();
}

/// Schedules a step of the task. On its own thread that touches no other thread's memory.
#[inline]
fn wake_cell(cell: CellPtr) {
    let header = cell.header();
    if header.thread == this_thread() {
        TaskRef::schedule(cell);
        return;
    }
    match header.state.wake() {
        AfterWake::Nothing => {}
        AfterWake::Push => LoopCore::push_notified(cell),
    }
}

/// A waker for the length of one poll, which counts nothing, since the poller keeps the cell.
#[inline]
pub(crate) fn borrowed(cell: CellPtr) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(cell.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the vtable's functions keep the contract of `RawWaker`; `ManuallyDrop` keeps the reference, which this
    // waker doesn't have, from being given back.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Does it wake the task of that cell?
#[inline]
pub(crate) fn is_of(waker: &Waker, cell: CellPtr) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE) && cell_of(waker.data()) == cell
}

/// The task that a waker wakes, if it is one of this thread's.
#[inline]
pub(crate) fn task_of(waker: &Waker) -> Option<TaskRef> {
    if !std::ptr::eq(waker.vtable(), &VTABLE) {
        return None;
    }
    let cell = cell_of(waker.data());
    if cell.header().thread == this_thread() { TaskRef::another(cell) } else { None }
}
