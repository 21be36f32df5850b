//! Chains that came to a depot whose lock was taken. Whoever has the lock next takes them in.
//!
//! | word    | what is true                       | who leaves this row, and how |
//! | ------- | ---------------------------------- | ---------------------------- |
//! | null    | nothing waits                      | `push` → a chain |
//! | a chain | the last that came, others behind  | `push` → another before it; `take` → null |

use std::ptr::{self, NonNull};

use super::chain::{Block, Chain};
use crate::sync::{AtomicPtr, Ordering};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Late(AtomicPtr<Waiting>);

/// What the first block of a chain holds while the chain waits.
struct Waiting {
    chain: Chain,
    behind: *mut Waiting,
}

/// What was taken in.
pub(super) struct Taken(*mut Waiting);

impl Late {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Leaves a chain, without waiting for anybody. Blocks are large enough for what is noted in the first.
    pub(super) fn push(&self, mut chain: Chain) {
        let Some(first) = chain.pop() else { return };
        let waiting = first.cast::<Waiting>();
        // ORDERING: Relaxed; nothing is read of what is there.
        let mut behind = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the block is free, and was in the caller's chain; as large as the smallest block.
            unsafe { waiting.write(Waiting { chain, behind }) };
            // ORDERING: Release pairs with the Acquire of `take`: the blocks are left before they are found. Chains behind
            // this one stay published, as the word is only ever read-modify-written.
            match self.0.compare_exchange(behind, waiting.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => behind = now,
            }
        }
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> Taken {
        // ORDERING: Relaxed; the swap decides, this saves it.
        if self.0.load(Ordering::Relaxed).is_null() {
            return Taken(ptr::null_mut());
        }
        // ORDERING: Acquire pairs with the Release of each `push`.
        Taken(self.0.swap(ptr::null_mut(), Ordering::Acquire))
    }
}

const _: () = assert!(
    size_of::<Waiting>() <= super::STEP - super::WORD && align_of::<Waiting>() <= align_of::<u128>(),
    "the smallest block holds what is noted"
);

impl Iterator for Taken {
    type Item = Chain;

    fn next(&mut self) -> Option<Chain> {
        let waiting = NonNull::new(self.0)?;
        // SAFETY: `push` wrote it, and whoever took it has it.
        let Waiting { mut chain, behind } = unsafe { waiting.read() };
        self.0 = behind;
        // SAFETY: the block came out of this chain.
        unsafe { chain.push(waiting.cast::<Block>()) };
        Some(chain)
    }
}
