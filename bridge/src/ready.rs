//! What a loop has to run, in the order in which it became ready.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::task::TaskRef;

/// Something that the loop runs in its turn. What is to be done with each is shown at [`Home`](crate::Home).
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use perloop_bridge::Ready;
///
/// let task = home.spawn(|| (), async {});
/// assert!(matches!(home.pop(), Some(Ready::Step(step)) if step == task));
/// ```
#[derive(Debug)]
pub enum Ready {
    /// One step of a task.
    Step(TaskRef),
    /// A submission that becomes a task.
    Adopt(TaskRef),
    /// The outcome of a submission, to be given to its cross-thread future.
    Publish(TaskRef),
    /// A plain callback of this thread.
    Call(CallRef),
    /// A plain callback that another thread handed in: [`Home::run_handed`](crate::Home::run_handed).
    Handed(TaskRef),
}

/// A callback of the loop's own thread, as the runtime keeps it.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use std::{cell::Cell, rc::Rc};
/// use perloop_bridge::{Call, CallRef, Ready};
///
/// struct Count(Cell<u32>);
///
/// impl Call for Count {
///     fn call(self: Rc<Self>) {
///         self.0.set(self.0.get() + 1);
///     }
/// }
///
/// let count = Rc::new(Count(Cell::new(0)));
/// home.push(Ready::Call(CallRef(count.clone())));
/// while let Some(Ready::Call(call)) = home.pop() {
///     call.0.call();
/// }
/// assert_eq!(count.0.get(), 1);
/// ```
pub trait Call {
    /// Runs it.
    fn call(self: Rc<Self>);

    /// Returns where in the program it was given to the loop, if it knows.
    fn made_at(&self) -> Option<&'static Location<'static>> {
        None
    }
}

/// A callback in the ready list.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use perloop_bridge::{Call, CallRef};
///
/// struct Nothing;
/// impl Call for Nothing {
///     fn call(self: Rc<Self>) {}
/// }
/// let call = CallRef(Rc::new(Nothing));
/// call.clone().0.call();
/// ```
#[derive(Clone)]
pub struct CallRef(
    /// The callback.
    pub Rc<dyn Call>,
);

impl fmt::Debug for CallRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallRef")
    }
}

/// Entries for which a list keeps room, so that only one that was long gives room back.
const SPARE: usize = 2 << 10;

/// The list. Nearly all of it are tasks, so that callbacks, which are wider, lie apart, in the same order.
#[derive(Default)]
pub(crate) struct ReadyList {
    entries: VecDeque<Entry>,
    calls: VecDeque<CallRef>,
    /// The address of the callback that is the last entry; zero if that is something else, or this turn runs it.
    last_call: usize,
}

enum Entry {
    Step(TaskRef),
    Adopt(TaskRef),
    Publish(TaskRef),
    Handed(TaskRef),
    /// The first of the `calls`.
    Call,
}

impl ReadyList {
    #[inline]
    pub(crate) fn push(&mut self, entry: Ready) {
        self.last_call = 0;
        self.entries.push_back(match entry {
            Ready::Step(task) => Entry::Step(task),
            Ready::Adopt(task) => Entry::Adopt(task),
            Ready::Publish(task) => Entry::Publish(task),
            Ready::Handed(call) => Entry::Handed(call),
            Ready::Call(call) => {
                self.last_call = address_of(&call.0);
                self.calls.push_back(call);
                Entry::Call
            }
        });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let entry = pop_front(&mut self.entries)?;
        // Nearly all of them.
        if let Entry::Step(task) = entry {
            return Some(Ready::Step(task));
        }
        if self.entries.is_empty() {
            self.last_call = 0;
        }
        Some(match entry {
            Entry::Step(task) => Ready::Step(task),
            Entry::Adopt(task) => Ready::Adopt(task),
            Entry::Publish(task) => Ready::Publish(task),
            Entry::Handed(call) => Ready::Handed(call),
            Entry::Call => Ready::Call(pop_front(&mut self.calls)?),
        })
    }

    /// Gives how many entries there are. What comes later is no part of them.
    #[inline]
    pub(crate) fn begin_turn(&mut self) -> usize {
        self.last_call = 0;
        self.entries.len()
    }

    #[inline]
    pub(crate) fn ends_with<C: Call>(&self, call: &Rc<C>) -> bool {
        self.last_call == address_of(call)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn address_of<C: Call + ?Sized>(call: &Rc<C>) -> usize {
    Rc::as_ptr(call).cast::<()>().addr()
}

/// Takes the first one out. Room that was for many more than are left is given back.
#[inline]
fn pop_front<T>(list: &mut VecDeque<T>) -> Option<T> {
    if list.capacity() > 8 * (list.len() + SPARE) {
        shrink(list);
    }
    list.pop_front()
}

#[cold]
#[inline(never)]
fn shrink<T>(list: &mut VecDeque<T>) {
    list.shrink_to(2 * (list.len() + SPARE));
}

impl Iterator for ReadyList {
    type Item = Ready;

    fn next(&mut self) -> Option<Ready> {
        self.pop()
    }
}
