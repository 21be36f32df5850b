//! Memory for cells, kept for the next ones.
//!
//! A submission is allocated by one thread and freed by another, for which a general allocator takes locks, and longer
//! than for all the rest of the submission. So each thread keeps two short chains of free blocks of each size; a full
//! chain goes to a depot that all threads share, and comes back to whoever has run out: one lock for a chain of
//! allocations. Nobody ever waits for that lock: who finds it taken (or left taken by a fork) asks the system.
//!
//! How much is kept is bounded, by `CHAIN` in a thread and by `DEPOT` in all; what exceeds that is the system's again.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::sync::{Mutex, POOLED, process_wide, try_lock};

/// Blocks of one size are so many bytes apart from those of the next; the sizes leave the word that most allocators
/// add to each.
const STEP: usize = 32;
const SPARE_WORD: usize = 8;
/// The sizes that are kept; greater cells are the system's.
const SIZES: usize = 16;
/// Blocks in a full chain.
const CHAIN: u32 = 64;
/// The most bytes of one size in the depot.
const DEPOT: usize = 4 << 20;

/// A free block. The rest of it is not initialised.
struct Block {
    next: *mut Block,
}

/// Free blocks of one size, one behind the other.
#[derive(Clone, Copy)]
struct Chain {
    first: *mut Block,
    len: u32,
}

// SAFETY: nobody else knows of a free block.
unsafe impl Send for Chain {}

impl Chain {
    const EMPTY: Self = Self { first: ptr::null_mut(), len: 0 };

    #[inline]
    fn push(&mut self, block: NonNull<Block>) {
        // SAFETY: the block is free and large enough, and the caller's.
        unsafe { block.write(Block { next: self.first }) };
        self.first = block.as_ptr();
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.first)?;
        // SAFETY: what is in a chain was written by `push`.
        self.first = unsafe { block.as_ref() }.next;
        self.len -= 1;
        Some(block)
    }

    fn give_back(mut self, size: usize) {
        while let Some(block) = self.pop() {
            // SAFETY: the blocks in a chain of this size were allocated with its layout.
            unsafe { dealloc(block.as_ptr().cast(), layout(size)) };
        }
    }
}

/// What a thread keeps of one size.
struct Kept {
    /// Taken from, and put to.
    active: Cell<Chain>,
    /// Full or empty, so that a thread that goes to and fro between two blocks does not go to the depot each time.
    spare: Cell<Chain>,
    /// Allocations until it is worth while to ask an empty depot again.
    dry: Cell<u32>,
}

struct Cache([Kept; SIZES]);

thread_local! {
    static CACHE: Cache = const { Cache([const { Kept::new() }; SIZES]) };
}

process_wide! {
    static DEPOTS: [Depot<Chain>; SIZES] = Default::default();
}

/// Where threads leave what they have too much of, for who has too little. (It is public for its model alone.)
#[derive(Debug)]
pub struct Depot<T>(Mutex<Vec<T>>);

impl<T> Default for Depot<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> Depot<T> {
    /// Leaves something here. It comes back if there is as much as `most`, or somebody is at the door.
    pub fn deposit(&self, full: T, most: usize) -> Result<(), T> {
        match try_lock(&self.0) {
            Some(mut kept) if kept.len() < most => {
                kept.push(full);
                Ok(())
            }
            _ => Err(full),
        }
    }

    /// Takes what was left here, unless there is nothing, or somebody is at the door.
    pub fn withdraw(&self) -> Option<T> {
        try_lock(&self.0)?.pop()
    }
}

/// The size that blocks for `T` have, as a number, if such are kept.
const fn size_of_block<T>() -> Option<usize> {
    let wanted = Layout::new::<T>();
    let size = (wanted.size() + SPARE_WORD).div_ceil(STEP);
    if POOLED && size < SIZES && wanted.align() <= layout(size).align() { Some(size) } else { None }
}

const fn layout(size: usize) -> Layout {
    let bytes = if size == 0 { STEP } else { size * STEP - SPARE_WORD };
    match Layout::from_size_align(bytes, align_of::<u128>()) {
        Ok(layout) => layout,
        Err(_) => panic!("a few hundred bytes are a layout"),
    }
}

/// Allocates for `T`.
#[inline]
pub(crate) fn allocate<T>() -> NonNull<T> {
    match const { size_of_block::<T>() } {
        Some(size) => take(size).cast(),
        None => allocate_from_system(const { Layout::new::<T>() }).cast(),
    }
}

/// Gives memory back.
///
/// # Safety
/// It comes from `allocate` for the same type, holds nothing any more, and nobody uses it.
#[inline]
pub(crate) unsafe fn free<T>(memory: NonNull<T>) {
    match const { size_of_block::<T>() } {
        Some(size) => put(size, memory.cast()),
        // SAFETY: the caller's promise.
        None => unsafe { crate::sync::free(memory.as_ptr().cast(), const { Layout::new::<T>() }) },
    }
}

fn allocate_from_system(layout: Layout) -> NonNull<u8> {
    // SAFETY: cells have a size.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

#[inline]
fn take(size: usize) -> NonNull<Block> {
    // In a thread that is ending, whose cache is gone, it is the system's turn.
    let kept = CACHE.try_with(|cache| cache.0[size].take(size)).ok().flatten();
    kept.unwrap_or_else(|| allocate_from_system(layout(size)).cast())
}

#[inline]
fn put(size: usize, block: NonNull<Block>) {
    if CACHE.try_with(|cache| cache.0[size].put(size, block)).is_err() {
        // SAFETY: the block has this size, and is free.
        unsafe { dealloc(block.as_ptr().cast(), layout(size)) };
    }
}

impl Kept {
    const fn new() -> Self {
        Self { active: Cell::new(Chain::EMPTY), spare: Cell::new(Chain::EMPTY), dry: Cell::new(0) }
    }

    #[cold]
    fn withdraw(&self, size: usize) -> Option<Chain> {
        let dry = self.dry.get();
        if dry > 0 {
            self.dry.set(dry - 1);
            return None;
        }
        let full = DEPOTS[size].withdraw();
        if full.is_none() {
            self.dry.set(CHAIN);
        }
        full
    }

    #[inline]
    fn take(&self, size: usize) -> Option<NonNull<Block>> {
        let mut active = self.active.get();
        if active.len == 0 {
            active = self.spare.replace(Chain::EMPTY);
            if active.len == 0 {
                active = self.withdraw(size)?;
            }
        }
        let block = active.pop();
        self.active.set(active);
        block
    }

    #[inline]
    fn put(&self, size: usize, block: NonNull<Block>) {
        let mut active = self.active.get();
        if active.len == CHAIN {
            let full = self.spare.replace(active);
            active = Chain::EMPTY;
            if full.len != 0 {
                let bytes = CHAIN as usize * layout(size).size();
                DEPOTS[size].deposit(full, DEPOT / bytes).unwrap_or_else(|full| full.give_back(size));
            }
        }
        active.push(block);
        self.active.set(active);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for (size, kept) in self.0.iter().enumerate() {
            for chain in [&kept.active, &kept.spare] {
                chain.replace(Chain::EMPTY).give_back(size);
            }
        }
    }
}
