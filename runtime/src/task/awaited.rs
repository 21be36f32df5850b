//! What a task can wait for on its loop, whatever its value: a task, or a future.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use perloop_bridge::{Panicked, TaskRef};

use crate::cancel::Cancelled;
use crate::context;
use crate::loop_future::{AnyState, LoopFuture};
use crate::task::done::{Placed, Watch};
use crate::task::{AnyTask, Task, TaskRecord};

use sealed::{Inside, Sealed};

/// See the [module](self). Clones, and equal ones, are the same thing.
#[derive(Clone)]
pub(crate) enum Awaited {
    Task(TaskRef),
    Future(Rc<dyn AnyState>),
}

impl fmt::Debug for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => task.fmt(f),
            Self::Future(_) => f.write_str("a future"),
        }
    }
}

impl PartialEq for Awaited {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Task(one), Self::Task(other)) => one == other,
            (Self::Future(one), Self::Future(other)) => std::ptr::addr_eq(Rc::as_ptr(one), Rc::as_ptr(other)),
            _ => false,
        }
    }
}

impl Awaited {
    /// One whose loop was closed before it ended is never done.
    #[inline]
    pub(crate) fn done(&self) -> bool {
        match self {
            Self::Task(task) => task.has_ended() && !task.has_no_outcome(),
            Self::Future(future) => future.core().done(),
        }
    }

    /// Done, or its loop was closed.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Task(task) => task.has_ended(),
            Self::Future(future) => future.core().done(),
        }
    }

    pub(crate) fn ended_by(&self) -> Option<Cancelled> {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().rare_if_any()?.cancel.ended_by(),
            Self::Future(future) => future.core().ended_by(),
        }
    }

    /// The task, if it is one.
    pub(crate) fn task(&self) -> Option<AnyTask> {
        match self {
            Self::Task(task) => Some(AnyTask::new(task.clone())),
            Self::Future(_) => None,
        }
    }

    pub(crate) fn created_at(&self) -> &'static Location<'static> {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().created_at(),
            Self::Future(future) => future.core().created_at,
        }
    }

    /// The failure that it ended with; it counts as having asked.
    pub(crate) fn failure(&self) -> Option<Panicked> {
        match self {
            Self::Task(task) => AnyTask::new(task.clone()).exception(),
            Self::Future(future) => future.core().failure(),
        }
    }

    /// Did it end otherwise than by a value or cancelled? It counts as having asked.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Tells it from all others that are alive.
    pub(crate) fn key(&self) -> usize {
        match self {
            Self::Task(task) => std::ptr::from_ref(task.record::<TaskRecord>()).addr(),
            Self::Future(future) => Rc::as_ptr(future).addr(),
        }
    }

    #[inline]
    pub(crate) fn loop_id(&self) -> u32 {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().loop_id(),
            Self::Future(future) => future.core().loop_id(),
        }
    }

    /// Does `cancel` ask anybody? A gather asks its children.
    pub(crate) fn can_be_asked(&self) -> bool {
        match self {
            Self::Task(task) => !task.has_ended(),
            Self::Future(future) => future.core().can_be_asked(),
        }
    }

    /// Does it go on when it is asked to stop, until it has come to its end?
    pub(crate) fn outlives_a_request(&self) -> bool {
        match self {
            Self::Task(_) => true,
            Self::Future(future) => future.core().outlives_a_request(),
        }
    }

    #[inline]
    pub(crate) fn watch(&self, watch: Watch) -> u64 {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().watch(watch),
            Self::Future(future) => future.core().watchers().add(watch),
        }
    }

    pub(super) fn unwatch(&self, place: u64) -> Option<Watch> {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().unwatch(place),
            Self::Future(future) => future.core().watchers().remove(place),
        }
    }

    /// Has `callback` called when it ends, or soon if it is done.
    pub(crate) fn add_callback(&self, callback: impl FnOnce(&Awaited) + 'static) -> u64 {
        super::done::add_callback(self, Box::new(callback))
    }

    /// As `add_callback`, for a user's, who wants to know where it came from.
    pub(crate) fn add_user_callback(
        &self,
        callback: impl FnOnce(&Awaited) + 'static,
        made_at: &'static Location<'static>,
    ) -> u64 {
        if !context::is_set() {
            return super::done::add_callback(self, Box::new(Placed::new(callback, made_at)));
        }
        let mut context = context::copy_context();
        let in_context = move |ended: &Self| context.run(|| callback(ended));
        super::done::add_callback(self, Box::new(Placed::new(in_context, made_at)))
    }

    /// A shield around it was cancelled, so that nobody may ask for its failure.
    pub(crate) fn note_cancelled_shield(&self) {
        match self {
            Self::Task(task) => task.record::<TaskRecord>().waits().watchers.add_shield(),
            Self::Future(future) => future.core().watchers().add_shield(),
        }
    }

    /// False: it was not there any more.
    pub(crate) fn remove_callback(&self, place: u64) -> bool {
        // Dropped here, outside of the list's borrow.
        self.unwatch(place).is_some()
    }
}

/// What has an end on its loop: tasks and futures, whatever their values; asyncio's `Future`. Their references can
/// stand in one list, for [`EventLoop::run_until_done`](crate::EventLoop::run_until_done). Nothing else implements it.
///
/// # Examples
/// ```
/// use perloop::{Waitable, create_future, create_task};
///
/// perloop::run(async {
///     let (future, task) = (create_future::<i32>(), create_task(async { "words" }));
///     let both: [&dyn Waitable; 2] = [&future, &task];
///     assert_eq!(both.len(), 2);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub trait Waitable: sealed::Sealed {}

pub(crate) mod sealed {
    use super::Awaited;

    /// What is behind a [`Waitable`](super::Waitable); of no use outside.
    #[derive(Debug)]
    pub struct Inside(pub(crate) Awaited);

    pub trait Sealed {
        fn inside(&self) -> Inside;
    }
}

impl Sealed for AnyTask {
    fn inside(&self) -> Inside {
        Inside(self.as_awaited())
    }
}

impl<T> Sealed for Task<T> {
    fn inside(&self) -> Inside {
        Inside(self.as_awaited())
    }
}

impl<T> Sealed for LoopFuture<T> {
    fn inside(&self) -> Inside {
        Inside(self.as_awaited())
    }
}

impl<W: Sealed + ?Sized> Sealed for &W {
    fn inside(&self) -> Inside {
        (**self).inside()
    }
}

impl<W: Waitable + ?Sized> Waitable for &W {}
impl Waitable for AnyTask {}
impl<T> Waitable for Task<T> {}
impl<T> Waitable for LoopFuture<T> {}
