//! One allocation of the system's, cut into blocks of one size. It is given back as a whole, once all its blocks have
//! come back.
//!
//! In front of each block stands a word that tells its slab:
//!
//! | bytes        | what |
//! | ------------ | ---- |
//! | 0            | the [`Slab`] |
//! | `FIRST` - 8  | the slab's address |
//! | `FIRST`      | block 0, one word shorter than the stride; the next block's word is behind it |

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::chain::{Block, Chain};
use crate::sync::{Alive, UnsafeCell, free, generation};

/// The bytes of a slab: small enough for most of it to come back together, large enough for a page more or less not to
/// matter, and for the system's allocator to be asked rarely.
const BYTES: usize = 64 << 10;
/// Blocks begin on a cache line, if their stride is a multiple of one.
const LINE: usize = 64;
/// Where the first block begins.
const FIRST: usize = (size_of::<Slab>() + WORD).next_multiple_of(LINE);
/// The word in front of a block.
pub(super) const WORD: usize = size_of::<*mut Slab>();

const LAYOUT: Layout = match Layout::from_size_align(BYTES, LINE) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two and a size are a layout"),
};

/// How a slab is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// From one block to the next, in bytes.
    pub(super) stride: usize,
    pub(super) blocks: u32,
}

impl Cut {
    pub(super) const fn by(stride: usize) -> Self {
        let blocks = (BYTES - FIRST) / stride;
        #[expect(clippy::cast_possible_truncation, reason = "fewer than bytes")]
        Self { stride, blocks: blocks as u32 }
    }
}

/// The head of a slab. Who has the lock of the depot for blocks of its size has it.
pub(super) struct Slab {
    alive: Alive,
    state: UnsafeCell<State>,
    /// The process that made it. A child of a fork leaves its parent's slabs alone: another thread may have been at work on
    /// one in the very moment.
    made_in: u32,
}

struct State {
    /// Blocks that have come back.
    returned: Chain,
    /// How many there are to come back.
    blocks: u32,
    before: *mut Slab,
    after: *mut Slab,
}

/// The part of a slab that is not cut yet. It is one thread's.
#[derive(Clone, Copy)]
pub(super) struct Uncut {
    slab: *mut Slab,
    left: u32,
}

impl Uncut {
    pub(super) const NOTHING: Self = Self { slab: ptr::null_mut(), left: 0 };

    pub(super) fn is_empty(self) -> bool {
        self.left == 0
    }

    /// Asks the system for a slab.
    fn new(cut: Cut) -> Self {
        // SAFETY: the layout has a size.
        let place = NonNull::new(unsafe { alloc(LAYOUT) }).unwrap_or_else(|| handle_alloc_error(LAYOUT));
        let state = State {
            returned: Chain::EMPTY,
            blocks: cut.blocks,
            before: ptr::null_mut(),
            after: ptr::null_mut(),
        };
        let slab = Slab { alive: Alive::new(), state: UnsafeCell::new(state), made_in: generation() };
        let place = place.cast::<Slab>();
        // SAFETY: it was just allocated, large enough and aligned to a cache line.
        unsafe { place.write(slab) };
        Self { slab: place.as_ptr(), left: cut.blocks }
    }

    /// Cuts off so many blocks, or what is left; of another slab if nothing is.
    pub(super) fn cut_off(&mut self, most: u32, cut: Cut) -> Chain {
        if self.left == 0 {
            *self = Self::new(cut);
        }
        let mut chain = Chain::EMPTY;
        for _ in 0..most.min(self.left) {
            self.left -= 1;
            let at = FIRST + self.left as usize * cut.stride;
            // SAFETY: the slab was made above, or before something of it was left.
            let slab = unsafe { NonNull::new_unchecked(self.slab) };
            // SAFETY: so many bytes on are inside of the slab, into which all blocks with their words fit.
            let block = unsafe { slab.byte_add(at).cast::<Block>() };
            // SAFETY: the word in front of the block is inside of the slab, and no other block's.
            unsafe { word(block).write(self.slab) };
            // SAFETY: nobody was given the block yet, and it is as large as the stride, less a word.
            unsafe { chain.push(block) };
        }
        chain
    }
}

/// Slabs of which blocks have come back, the newest first.
#[derive(Debug)]
pub(super) struct Shelf {
    first: *mut Slab,
}

// SAFETY: it lies under the lock that guards the heads of its slabs.
unsafe impl Send for Shelf {}

/// A slab of which all has come back: nobody knows of it any more.
pub(super) struct Whole(NonNull<Slab>);

impl Whole {
    /// Gives it back to the system.
    pub(super) fn free(self) {
        // SAFETY: nobody else knows of it.
        unsafe { self.0.as_ref() }.alive.bury();
        // SAFETY: as above, and it is dropped once.
        unsafe { self.0.drop_in_place() };
        // SAFETY: `Uncut::new` allocated it with this layout.
        unsafe { free(self.0.as_ptr().cast(), LAYOUT) };
    }
}

impl Shelf {
    pub(super) const EMPTY: Self = Self { first: ptr::null_mut() };

    /// Takes a block back.
    ///
    /// # Safety
    /// It was cut from a slab whose blocks come back under this lock, and is nobody else's.
    pub(super) unsafe fn put(&mut self, block: NonNull<Block>) -> Option<Whole> {
        // SAFETY: `cut_off` wrote it, and the slab lives until this block has come back.
        let slab = unsafe { word(block).cast::<NonNull<Slab>>().read() };
        // SAFETY: as above, and `made_in` does not change.
        if unsafe { slab.as_ref() }.made_in != generation() {
            return None;
        }
        let is_first = with(slab, |state| {
            // SAFETY: the caller's promise.
            unsafe { state.returned.push(block) };
            state.returned.len() == 1
        });
        if is_first {
            self.link(slab);
        }
        self.take_if_whole(slab)
    }

    /// Expects nothing of what was never cut.
    pub(super) fn retire(&mut self, uncut: Uncut) -> Option<Whole> {
        let slab = NonNull::new(uncut.slab)?;
        // SAFETY: as long as something is uncut, not all blocks have come back; and `made_in` does not change.
        if uncut.left == 0 || unsafe { slab.as_ref() }.made_in != generation() {
            return None;
        }
        with(slab, |state| state.blocks -= uncut.left);
        self.take_if_whole(slab)
    }

    /// Gives out blocks of one slab, at most so many.
    pub(super) fn take(&mut self, most: u32) -> Option<Chain> {
        let slab = NonNull::new(self.first)?;
        let (taken, is_empty) = with(slab, |state| (state.returned.split(most), state.returned.is_empty()));
        if is_empty {
            self.unlink(slab);
        }
        Some(taken)
    }

    fn take_if_whole(&mut self, slab: NonNull<Slab>) -> Option<Whole> {
        let is_whole = with(slab, |state| state.returned.len() == state.blocks);
        is_whole.then(|| {
            self.unlink(slab);
            Whole(slab)
        })
    }

    fn link(&mut self, slab: NonNull<Slab>) {
        let after = std::mem::replace(&mut self.first, slab.as_ptr());
        with(slab, |state| state.after = after);
        if let Some(after) = NonNull::new(after) {
            with(after, |state| state.before = slab.as_ptr());
        }
    }

    fn unlink(&mut self, slab: NonNull<Slab>) {
        let (before, after) =
            with(slab, |state| (std::mem::take(&mut state.before), std::mem::take(&mut state.after)));
        match NonNull::new(before) {
            Some(before) => with(before, |state| state.after = after),
            None => self.first = after,
        }
        if let Some(after) = NonNull::new(after) {
            with(after, |state| state.before = before);
        }
    }
}

/// The word in front of a block.
fn word(block: NonNull<Block>) -> NonNull<*mut Slab> {
    // SAFETY: it is inside of the slab that the block was cut from.
    unsafe { block.cast::<*mut Slab>().sub(1) }
}

/// For who has the lock.
fn with<R>(slab: NonNull<Slab>, change: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: the slab lives until all its blocks have come back, and then it is on no shelf.
    let slab = unsafe { slab.as_ref() };
    slab.alive.check();
    // SAFETY: only who has the lock comes here, and `change` is none that comes here again.
    slab.state.with_mut(|state| change(unsafe { &mut *state }))
}
