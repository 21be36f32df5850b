//! Memory for cells, kept for the next ones.
//!
//! A submission is allocated by one thread and freed by another, for which a general allocator takes locks, and longer
//! than for all the rest of the submission. So each thread keeps two short [chains](chain) of free blocks of each size; a
//! full chain goes to a [depot] that all threads share, and comes back to whoever has run out: one lock for a chain of
//! allocations. Who has run out and finds the depot empty, or its lock taken, cuts blocks off a [slab] of its own.
//!
//! Nobody waits for that [lock](door), since who has it may have lost its core: a chain that comes while it is taken is left
//! [beside it](late).
//!
//! How much is kept is bounded, by `CHAIN` in a thread and by the depot in all; a block that exceeds that goes back to its
//! slab, and the slab to the system when it is whole.

mod chain;
mod depot;
mod door;
mod late;
mod slab;

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::array;
use std::cell::Cell;
use std::ptr::NonNull;

use self::chain::{Block, Chain};
pub use self::depot::Depot;
use self::slab::{Uncut, WORD};
use crate::sync::{POOLED, process_wide};

/// Blocks of one size are so many bytes longer than those of the size before.
const STEP: usize = 32;
/// The sizes that are kept; greater cells are the system's.
const SIZES: usize = 16;
/// Blocks in a full chain.
const CHAIN: u32 = 64;

/// What a thread keeps of one size.
struct Kept {
    /// Taken from, and put to.
    active: Cell<Chain>,
    /// Full or empty, so that a thread that goes to and fro between two blocks does not go to the depot each time.
    spare: Cell<Chain>,
    uncut: Cell<Uncut>,
}

struct Cache([Kept; SIZES]);

thread_local! {
    static CACHE: Cache = const { Cache([const { Kept::new() }; SIZES]) };
}

process_wide! {
    static DEPOTS: [Depot; SIZES] = array::from_fn(|size| Depot::new(stride(size), CHAIN));
}

/// The size that blocks for `T` have, as a number, if such are kept.
const fn size_of_block<T>() -> Option<usize> {
    let wanted = Layout::new::<T>();
    let size = (wanted.size() + WORD).div_ceil(STEP) - 1;
    if POOLED && size < SIZES && wanted.align() <= align_of::<u128>() { Some(size) } else { None }
}

/// From one block of a size to the next, the word in front of it included.
const fn stride(size: usize) -> usize {
    (size + 1) * STEP
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
        // SAFETY: the caller's promise.
        Some(size) => unsafe { put(size, memory.cast()) },
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
    // A thread that is ending, whose cache is gone, keeps nothing.
    CACHE.try_with(|cache| cache.0[size].take(size)).unwrap_or_else(|_| DEPOTS[size].withdraw_one())
}

/// # Safety
/// It is a free block of this size.
#[inline]
unsafe fn put(size: usize, block: NonNull<Block>) {
    // SAFETY: the caller's promise.
    if CACHE.try_with(|cache| unsafe { cache.0[size].put(size, block) }).is_err() {
        // SAFETY: the caller's promise; the cache is gone, and so has not got it.
        unsafe { DEPOTS[size].deposit_one(block) };
    }
}

impl Kept {
    const fn new() -> Self {
        Self {
            active: Cell::new(Chain::EMPTY),
            spare: Cell::new(Chain::EMPTY),
            uncut: Cell::new(Uncut::NOTHING),
        }
    }

    #[inline]
    fn take(&self, size: usize) -> NonNull<Block> {
        let mut active = self.active.get();
        let block = active.pop().unwrap_or_else(|| {
            active = self.restock(size);
            active.pop().expect("a chain that is given out is not empty")
        });
        self.active.set(active);
        block
    }

    #[cold]
    fn restock(&self, size: usize) -> Chain {
        let spare = self.spare.replace(Chain::EMPTY);
        if !spare.is_empty() {
            return spare;
        }
        DEPOTS[size].withdraw().unwrap_or_else(|| {
            let mut uncut = self.uncut.get();
            let chain = DEPOTS[size].cut_off(&mut uncut);
            self.uncut.set(uncut);
            chain
        })
    }

    /// # Safety
    /// It is a free block of this size.
    #[inline]
    unsafe fn put(&self, size: usize, block: NonNull<Block>) {
        let mut active = self.active.get();
        if active.len() == CHAIN {
            let full = self.spare.replace(active);
            active = Chain::EMPTY;
            if !full.is_empty() {
                DEPOTS[size].deposit(full);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { active.push(block) };
        self.active.set(active);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for (size, kept) in self.0.iter().enumerate() {
            for chain in [&kept.active, &kept.spare].map(Cell::get) {
                if !chain.is_empty() {
                    DEPOTS[size].deposit(chain);
                }
            }
            if !kept.uncut.get().is_empty() {
                DEPOTS[size].retire(kept.uncut.get());
            }
        }
    }
}
