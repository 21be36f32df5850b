//! Where threads leave what they have too much of, for who has too little.

use std::ptr::NonNull;

use super::chain::{Block, Chain};
use super::door::{Door, Inside};
use super::late::Late;
use super::slab::{Cut, Shelf, Uncut, Whole};

/// The most bytes that are kept in chains. What comes beyond them goes back to its slabs.
const KEPT: usize = 4 << 20;

/// The depot for blocks of one size. (It is public for its tests alone.)
#[derive(Debug)]
pub struct Depot {
    cut: Cut,
    /// Blocks in a full chain.
    chain: u32,
    /// The most chains that are kept.
    most: usize,
    stock: Door<Stock>,
    late: Late,
}

#[derive(Debug)]
struct Stock {
    chains: Vec<Chain>,
    shelf: Shelf,
}

impl Depot {
    /// For blocks that are so many bytes apart, in chains of so many.
    pub(super) fn new(stride: usize, chain: u32) -> Self {
        Self::with(Cut::by(stride), chain, KEPT / (chain as usize * stride))
    }

    /// A depot for slabs of so many blocks, which are all cut off at once, that keeps at most so many chains: other blocks
    /// go back to their slab.
    pub fn small(blocks: u32, most: usize) -> Self {
        Self::with(Cut { stride: 32, blocks }, blocks, most)
    }

    fn with(cut: Cut, chain: u32, most: usize) -> Self {
        Self {
            cut,
            chain,
            most,
            stock: Door::new(Stock { chains: Vec::new(), shelf: Shelf::EMPTY }),
            late: Late::new(),
        }
    }

    /// Takes blocks that were left here, unless there are none, or somebody is at the door.
    pub(super) fn withdraw(&self) -> Option<Chain> {
        let mut stock = self.enter()?;
        stock.chains.pop().or_else(|| stock.shelf.take(self.chain))
    }

    /// For whoever finds nobody here. Nobody waits: who is inside may have lost its core.
    fn enter(&self) -> Option<Inside<'_, Stock>> {
        let mut stock = self.stock.enter()?;
        for chain in self.late.take() {
            self.take_in(&mut stock, chain);
        }
        Some(stock)
    }

    /// Takes blocks that nobody has used.
    pub(super) fn cut_off(&self, uncut: &mut Uncut) -> Chain {
        uncut.cut_off(self.chain, self.cut)
    }

    /// Leaves blocks here, if there are any: nobody is given an empty chain.
    pub(super) fn deposit(&self, chain: Chain) {
        if chain.is_empty() {
            return;
        }
        match self.enter() {
            Some(mut stock) => self.take_in(&mut stock, chain),
            None => self.late.push(chain),
        }
    }

    fn take_in(&self, stock: &mut Stock, chain: Chain) {
        if stock.chains.len() < self.most {
            return stock.chains.push(chain);
        }
        let mut rest = chain;
        while let Some(block) = rest.pop() {
            // SAFETY: what is left here was cut off here, and is the caller's.
            if let Some(whole) = unsafe { stock.shelf.put(block) } {
                whole.free();
            }
        }
    }

    /// Takes a block, for who keeps none.
    pub fn withdraw_one(&self) -> NonNull<Block> {
        let mut uncut = Uncut::NOTHING;
        let mut chain = self.withdraw().unwrap_or_else(|| self.cut_off(&mut uncut));
        let block = chain.pop().expect("a chain that is given out is not empty");
        self.retire(uncut);
        self.deposit(chain);
        block
    }

    /// Leaves a block, for who keeps none.
    ///
    /// # Safety
    /// It comes from here, and is nobody else's.
    pub unsafe fn deposit_one(&self, block: NonNull<Block>) {
        let mut chain = Chain::EMPTY;
        // SAFETY: the caller's promise.
        unsafe { chain.push(block) };
        self.deposit(chain);
    }

    /// Leaves what was not cut off.
    pub(super) fn retire(&self, mut uncut: Uncut) {
        match self.enter() {
            Some(mut stock) => stock.shelf.retire(uncut).into_iter().for_each(Whole::free),
            None if uncut.is_empty() => {}
            None => self.late.push(uncut.cut_off(u32::MAX, self.cut)),
        }
    }
}
