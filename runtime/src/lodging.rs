//! [`Lodging`]: what a future keeps on its loop, so that it is plain data itself and `Send`.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use perloop_bridge::Remote;

use crate::current;
use crate::event_loop::EventLoop;

/// What is kept for a future.
pub(crate) trait Lodger: Any {
    /// The future was done with or dropped. Called on the loop's thread, unless the loop was closed first.
    fn leave(self: Rc<Self>);
}

/// All that a loop keeps for futures.
#[derive(Default)]
pub(crate) struct Lodgers(RefCell<Slots>);

#[derive(Default)]
struct Slots {
    /// Each with its occupant's number, or the last one's.
    slots: Vec<(u64, Option<Rc<dyn Lodger>>)>,
    free: Vec<usize>,
    numbers: u64,
}

/// Where a future's share lies. It may go anywhere; what lies there stays on its loop's thread, and goes when this does.
pub(crate) struct Lodging<V> {
    loop_id: u32,
    slot: usize,
    number: u64,
    _of: PhantomData<fn() -> V>,
}

impl Lodgers {
    fn add(&self, lodger: Rc<dyn Lodger>) -> (usize, u64) {
        let mut all = self.0.borrow_mut();
        all.numbers += 1;
        let number = all.numbers;
        let slot = all.free.pop().unwrap_or(all.slots.len());
        match all.slots.get_mut(slot) {
            Some(free) => *free = (number, Some(lodger)),
            None => all.slots.push((number, Some(lodger))),
        }
        (slot, number)
    }

    fn get(&self, slot: usize, number: u64) -> Option<Rc<dyn Lodger>> {
        let all = self.0.borrow();
        let (_, lodger) = all.slots.get(slot).filter(|(occupant, _)| *occupant == number)?;
        lodger.clone()
    }

    /// What it gives is left by the caller, outside of the borrow.
    fn remove(&self, slot: usize, number: u64) -> Option<Rc<dyn Lodger>> {
        let mut all = self.0.borrow_mut();
        let (_, lodger) = all.slots.get_mut(slot).filter(|(occupant, _)| *occupant == number)?;
        let removed = lodger.take()?;
        all.free.push(slot);
        Some(removed)
    }

    /// The loop closes: takes all out, for the caller to drop.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Rc<dyn Lodger>> + use<> {
        let all = self.0.take();
        self.0.borrow_mut().numbers = all.numbers;
        all.slots.into_iter().filter_map(|(_, lodger)| lodger)
    }
}

impl<V: Lodger> Lodging<V> {
    pub(crate) fn new(of: &EventLoop, lodger: Rc<V>) -> Self {
        let (slot, number) = of.0.lodgers.add(lodger);
        Self { loop_id: of.id(), slot, number, _of: PhantomData }
    }

    /// None in another thread, and if the loop was closed.
    pub(crate) fn get(&self) -> Option<Rc<V>> {
        let found = self.on_its_loop(|lodgers| lodgers.get(self.slot, self.number))??;
        let found: Rc<dyn Any> = found;
        found.downcast().ok()
    }
}

impl<V> Lodging<V> {
    /// The number of the loop.
    pub(crate) fn loop_id(&self) -> u32 {
        self.loop_id
    }

    fn on_its_loop<R>(&self, act: impl FnOnce(&Lodgers) -> R) -> Option<R> {
        current::find(self.loop_id).map(|own| act(&own.0.lodgers))
    }
}

impl<V> Drop for Lodging<V> {
    fn drop(&mut self) {
        let (slot, number) = (self.slot, self.number);
        if let Some(removed) = self.on_its_loop(|lodgers| lodgers.remove(slot, number)) {
            removed.into_iter().for_each(Lodger::leave);
        } else if let Some(remote) = Remote::find(self.loop_id) {
            // Dropped in another thread: its own loop removes it. A closed loop has none.
            let leave = move || {
                if let Ok(running) = current::get_running_loop() {
                    running.0.lodgers.remove(slot, number).into_iter().for_each(Lodger::leave);
                }
            };
            drop(remote.call(leave));
        }
    }
}

impl<V> fmt::Debug for Lodging<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lodging").field("loop_id", &self.loop_id).field("number", &self.number).finish()
    }
}
