//! [`GroupId`]: which threads belong to one group of loops.
//!
//! A group that is to end takes no more work from outside, while its own tasks may still hand work to each other. So each
//! thread knows of which group it is, and a loop that is closed to others asks for that.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;

use crate::core::LoopCore;
use crate::sync::{Ordering, new_loop_id, thread_cell};

/// Names a group of loops; no other one of the process has the same. For runtime writers.
///
/// # Examples
/// ```
/// use perloop_bridge::GroupId;
///
/// let group = GroupId::new();
/// assert_eq!(GroupId::of_this_thread(), None);
/// let entered = group.enter();
/// assert_eq!(GroupId::of_this_thread(), Some(group));
/// drop(entered);
/// assert_ne!(group, GroupId::new());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId(NonZeroU32);

thread_cell! {
    /// The group of this thread.
    static OURS: Option<GroupId> = None;
}

impl GroupId {
    /// Makes a new one.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::GroupId;
    ///
    /// assert_ne!(GroupId::new(), GroupId::new());
    /// ```
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        Self(NonZeroU32::new(new_loop_id()).expect("they are counted from one"))
    }

    /// Returns the group that this thread has entered.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::GroupId;
    ///
    /// let group = GroupId::new();
    /// let _entered = group.enter();
    /// assert_eq!(GroupId::of_this_thread(), Some(group));
    /// ```
    pub fn of_this_thread() -> Option<Self> {
        OURS.with(std::cell::Cell::get)
    }

    /// This thread is of the group as long as what comes back lives.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::GroupId;
    ///
    /// drop(GroupId::new().enter());
    /// assert_eq!(GroupId::of_this_thread(), None);
    /// ```
    pub fn enter(self) -> InGroup {
        InGroup { before: OURS.with(|ours| ours.replace(Some(self))), of_this_thread: PhantomData }
    }
}

/// What [`GroupId::enter`] gives.
///
/// # Examples
/// ```
/// use perloop_bridge::{GroupId, InGroup};
///
/// let entered: InGroup = GroupId::new().enter();
/// # drop(entered);
/// ```
#[must_use = "the thread leaves the group when this is dropped"]
pub struct InGroup {
    before: Option<GroupId>,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for InGroup {
    fn drop(&mut self) {
        OURS.with(|ours| ours.set(self.before));
    }
}

impl fmt::Debug for InGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InGroup").field("before", &self.before).finish_non_exhaustive()
    }
}

impl LoopCore {
    /// From now on only threads of the group hand work in.
    pub(crate) fn close_to_others(&self, than: GroupId) {
        // ORDERING: Relaxed; who has not seen it yet has come before, and its work is taken up or refused as any other.
        self.only_for.store(than.0.get(), Ordering::Relaxed);
    }

    /// Is it closed to this thread?
    #[inline]
    pub(crate) fn is_closed_to_this_thread(&self) -> bool {
        // ORDERING: Relaxed; as above.
        let only_for = NonZeroU32::new(self.only_for.load(Ordering::Relaxed));
        only_for.is_some() && only_for.map(GroupId) != GroupId::of_this_thread()
    }
}
