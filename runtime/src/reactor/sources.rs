//! The descriptors of one loop, who waits for each, and the keys by which the system names them.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use polling::Event;

use super::Occurrence;

/// How many bits of a key are the slot's index; the others count the registrations that the slot has seen.
const INDEX_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// The part of a key that is the slot's index.
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// One of the two things that a descriptor can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Reader,
    Writer,
}

/// The registered descriptors. A slot's index and generation are the key of its registration.
pub(super) struct Sources<C> {
    pub(super) slots: Vec<Slot<C>>,
    pub(super) free: Vec<usize>,
    pub(super) by_fd: HashMap<RawFd, usize>,
}

/// One descriptor and who waits for it; vacant when nobody does.
pub(super) struct Slot<C> {
    /// Counts the registrations made from this slot, so that events of earlier ones are known by their keys.
    pub(super) generation: usize,
    pub(super) fd: RawFd,
    pub(super) reader: Option<C>,
    pub(super) writer: Option<C>,
}

impl<C> Slot<C> {
    pub(super) fn is_vacant(&self) -> bool {
        self.reader.is_none() && self.writer.is_none()
    }

    pub(super) fn callback_mut(&mut self, side: Side) -> &mut Option<C> {
        match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
        }
    }

    pub(super) fn start_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }
}

impl<C> Sources<C> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), by_fd: HashMap::new() }
    }

    pub(super) fn find(&self, fd: BorrowedFd<'_>) -> Option<usize> {
        self.by_fd.get(&fd.as_raw_fd()).copied()
    }

    /// Finds a slot for a descriptor that has none.
    pub(super) fn claim(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let fd = fd.as_raw_fd();
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index].fd = fd;
                index
            }
            // No key may be one of the last two: `usize::MAX` is the poller's own, and the one before is our bell's.
            None if self.slots.len() >= INDEX_MASK - 1 => {
                return Err(io::Error::other("too many descriptors in one loop"));
            }
            None => {
                self.slots.push(Slot { generation: 0, fd, reader: None, writer: None });
                self.slots.len() - 1
            }
        };
        self.by_fd.insert(fd, index);
        Ok(index)
    }

    /// Keeps a slot without callbacks for its next descriptor.
    pub(super) fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        debug_assert!(slot.is_vacant(), "whoever waits for a descriptor is told that it goes");
        slot.start_generation();
        self.by_fd.remove(&slot.fd);
        self.free.push(index);
    }

    pub(super) fn key(&self, index: usize) -> usize {
        // The shift drops the generation's upper bits: it has to differ from the last ones, not from all.
        self.slots[index].generation << INDEX_BITS | index
    }

    /// What a slot waits for.
    pub(super) fn interest(&self, index: usize) -> Event {
        let slot = &self.slots[index];
        Event::new(self.key(index), slot.reader.is_some(), slot.writer.is_some())
    }

    /// What a slot will wait for once it has a callback for `side`.
    pub(super) fn interest_with(&self, index: usize, side: Side) -> Event {
        let mut interest = self.interest(index);
        match side {
            Side::Reader => interest.readable = true,
            Side::Writer => interest.writable = true,
        }
        interest
    }
}

impl<C: Clone> Sources<C> {
    /// Adds the callbacks of what has happened to `ready`. Returns false if nobody's registration did it: one of an
    /// earlier generation, which the system couldn't be told to forget.
    pub(super) fn collect(&self, occurrence: &Occurrence, ready: &mut Vec<C>) -> bool {
        let index = occurrence.key & INDEX_MASK;
        if index >= self.slots.len() || self.slots[index].is_vacant() || self.key(index) != occurrence.key {
            return false;
        }
        if occurrence.is_readable {
            ready.extend(self.slots[index].reader.clone());
        }
        if occurrence.is_writable {
            ready.extend(self.slots[index].writer.clone());
        }
        true
    }
}
