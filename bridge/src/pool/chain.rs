//! Free blocks of one size, one behind the other.

use std::ptr::{self, NonNull};

/// A free block. The rest of it is not initialised.
#[derive(Debug)]
pub struct Block {
    next: *mut Block,
}

/// Blocks that belong to whoever has the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: *mut Block,
    len: u32,
}

// SAFETY: nobody else knows of a free block.
unsafe impl Send for Chain {}

impl Chain {
    pub(super) const EMPTY: Self = Self { first: ptr::null_mut(), len: 0 };

    /// Puts a block to the others. It is the next to be taken.
    ///
    /// # Safety
    /// The block is free, and large enough for a [`Block`], and nobody else uses it.
    #[inline]
    pub(super) unsafe fn push(&mut self, block: NonNull<Block>) {
        // SAFETY: the caller's promise.
        unsafe { block.write(Block { next: self.first }) };
        self.first = block.as_ptr();
        self.len += 1;
    }

    /// Takes a block.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.first)?;
        // SAFETY: what is in a chain was written by `push`.
        self.first = unsafe { block.as_ref() }.next;
        self.len -= 1;
        Some(block)
    }

    /// Takes so many of them, or all.
    pub(super) fn split(&mut self, most: u32) -> Self {
        if self.len <= most {
            return std::mem::replace(self, Self::EMPTY);
        }
        let mut taken = Self::EMPTY;
        while taken.len < most
            && let Some(block) = self.pop()
        {
            // SAFETY: the block comes out of a chain.
            unsafe { taken.push(block) };
        }
        taken
    }

    pub(super) fn len(self) -> u32 {
        self.len
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}
