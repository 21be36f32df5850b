//! [`drop_nested`]: futures that hold each other in a chain, which may be long, and are dropped one inside of the other.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::needs_drop;

use crate::event_loop::run_callback;

/// How many drops may be one inside of the other. What is deeper waits until the outermost is over.
const DEEPEST: u32 = 16;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PUT_OFF: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Drops what may be the next link of a chain: not deeper than the stack allows. A panic goes to the caller, except of what
/// had to wait.
pub(crate) fn drop_nested<T: 'static>(value: T) {
    if !needs_drop::<T>() {
        return;
    }
    if DEPTH.get() == DEEPEST && is_heard() {
        return put_off(Box::new(value));
    }
    let _level = Level::enter();
    drop(value);
}

/// In a thread whose thread-locals are gone nothing can wait.
fn is_heard() -> bool {
    PUT_OFF.try_with(|_| ()).is_ok()
}

fn put_off(value: Box<dyn Any>) {
    PUT_OFF.with(|put_off| put_off.borrow_mut().push(value));
}

fn next() -> Option<Box<dyn Any>> {
    PUT_OFF.try_with(|put_off| put_off.borrow_mut().pop()).ok().flatten()
}

struct Level;

impl Level {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // Still inside of the outermost, so that each of them counts from there.
        if DEPTH.get() == 1 {
            while let Some(waiting) = next() {
                run_callback(|| drop(waiting));
            }
        }
        DEPTH.set(DEPTH.get() - 1);
    }
}
