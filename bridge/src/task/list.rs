//! The tasks of a loop that have not ended, in the order of creation.

use crate::task::TaskRef;

/// Places to spare before the list is packed.
const SLACK: usize = 32;

/// Ended tasks leave holes; when three in four places are holes it is packed. So all acts take constant time on average,
/// and a task's place is known without looking for it.
#[derive(Default)]
pub(crate) struct TaskList {
    slots: Vec<Option<TaskRef>>,
    live: usize,
}

impl TaskList {
    #[inline]
    pub(crate) fn insert(&mut self, task: TaskRef) {
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks on a loop");
        task.set_slot(slot);
        self.slots.push(Some(task));
        self.live += 1;
    }

    /// Takes a task out. What comes back is a reference, to be dropped by the caller; it is not the last one.
    #[inline]
    pub(crate) fn remove(&mut self, task: &TaskRef) -> Option<TaskRef> {
        let taken = self.slots.get_mut(task.slot() as usize)?.take_if(|kept| kept == task)?;
        self.live -= 1;
        if self.slots.len() > 4 * self.live + SLACK {
            self.pack();
        }
        Some(taken)
    }

    fn pack(&mut self) {
        self.slots.retain(Option::is_some);
        for (slot, task) in (0u32..).zip(self.slots.iter().flatten()) {
            task.set_slot(slot);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TaskRef> {
        self.slots.iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }
}
