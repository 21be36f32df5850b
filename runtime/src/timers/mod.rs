//! What is to happen at a time of the loop's clock, in asyncio's order: by deadline, then by creation.

mod heap;

use std::time::Duration;

use heap::{Entry, Far, Heap, Near};

/// Cancelled entries that the heap may hold before their share of it matters, so that a small heap isn't swept
/// at every other cancellation.
const TOLERATED_CANCELLED: usize = 64;

/// A timer's name, good for one removal. After its timer has been removed, or has fired and left nothing, the key is
/// stale and names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

/// The pending timers of one loop, each with an item.
///
/// Inserting, removing and popping take O(log n), amortised. A removed item leaves at once; its entry stays in the
/// heap until it reaches the top, or until such entries outnumber the live ones. A million of them are a million entries
/// of 16 bytes and slots of 24, so they are counted in 32 bits.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// The earliest entry on top, which is always a live one, as in the other.
    near: Heap<Near>,
    /// Later than all that are near.
    far: Heap<Far>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    next_sequence: u32,
    pending: usize,
}

/// Where an item lies while its timer is pending.
#[derive(Debug)]
struct Slot<T> {
    /// The present occupant's, or the last one's. Counts the timers made, so that it orders equal deadlines and tells
    /// the occupants of a slot apart; or `FIRED`.
    sequence: u32,
    /// Counts the occupants. When there can be no more, the slot stays empty.
    generation: u32,
    item: Option<T>,
}

/// No timer's sequence number: that of this slot has fired, and left its item.
const FIRED: u32 = u32::MAX;

/// What a timer that fires gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fired<T> {
    Item(T),
    /// The item stays under this key until it is removed.
    Stays(TimerKey),
}

impl<T> Timers<T> {
    /// Makes an empty set of timers.
    pub(crate) fn new() -> Self {
        Self {
            near: Heap::new(),
            far: Heap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_sequence: 0,
            pending: 0,
        }
    }

    /// Adds a timer. With a deadline of `Duration::MAX` it never fires.
    pub(crate) fn insert(&mut self, deadline: Duration, item: T) -> TimerKey {
        let sequence = self.take_sequence();
        let key = self.occupy(sequence, item);
        match u64::try_from(deadline.as_nanos()) {
            Ok(nanoseconds) => self.near.push(Near::new(nanoseconds, sequence, key.slot)),
            Err(_) => self.far.push(Far { deadline, sequence, slot: key.slot }),
        }
        key
    }

    /// Adds a timer that has fired and left its item.
    pub(crate) fn insert_fired(&mut self, item: T) -> TimerKey {
        self.occupy(FIRED, item)
    }

    #[inline]
    fn occupy(&mut self, sequence: u32, item: T) -> TimerKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { sequence, generation: 0, item: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 timers")
        });
        let occupied = &mut self.slots[slot as usize];
        occupied.sequence = sequence;
        occupied.item = Some(item);
        self.pending += 1;
        TimerKey { slot, generation: occupied.generation }
    }

    /// Cancels a timer and gives back its item, or `None` if it went when it fired, or has been removed already.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.occupied(key)?;
        let item = self.vacate(key.slot);
        self.drop_cancelled_top();
        self.sweep_if_worthwhile();
        item
    }

    /// The item of a timer that has neither fired nor been removed.
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let slot = self.occupied(key)?;
        slot.item.as_mut().filter(|_| slot.sequence != FIRED)
    }

    /// The item of a timer that has not been removed, fired or not.
    pub(crate) fn item_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        self.occupied(key)?.item.as_mut()
    }

    /// Returns the earliest deadline, unless no timer will ever fire.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match self.near.first() {
            Some(earliest) => Some(Duration::from_nanos(earliest.deadline())),
            None => self
                .far
                .first()
                .map(|earliest| earliest.deadline)
                .filter(|earliest| *earliest != Duration::MAX),
        }
    }

    /// Fires the earliest timer if its deadline is `now` or has passed. Its item comes out, unless it `stays`.
    pub(crate) fn fire_due(&mut self, now: Duration, stays: impl FnOnce(&T) -> bool) -> Option<Fired<T>> {
        if self.next_deadline()? > now {
            return None;
        }
        let slot = self.pop_entry()?;
        let fired = &mut self.slots[slot as usize];
        let fired = if fired.item.as_ref().is_some_and(stays) {
            fired.sequence = FIRED;
            Fired::Stays(TimerKey { slot, generation: fired.generation })
        } else {
            Fired::Item(self.vacate(slot)?)
        };
        self.drop_cancelled_top();
        Some(fired)
    }

    /// Takes out all items: first those of timers that are pending, also of those that never fire, in the order in which
    /// they would have fired.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(slot) = self.pop_entry() {
            all.extend(self.vacate(slot));
            self.drop_cancelled_top();
        }
        for slot in 0..self.slots.len() {
            all.extend(self.vacate(slot as u32));
        }
        all
    }

    /// Returns how many timers are pending, or have fired and left their item.
    pub(crate) fn len(&self) -> usize {
        self.pending
    }

    fn occupied(&mut self, key: TimerKey) -> Option<&mut Slot<T>> {
        self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)
    }

    /// Takes the earliest entry out of its heap, and gives its slot.
    fn pop_entry(&mut self) -> Option<u32> {
        match self.near.pop() {
            Some(earliest) => Some(earliest.slot()),
            None => self.far.pop().map(|earliest| earliest.slot()),
        }
    }

    /// Empties a slot.
    fn vacate(&mut self, slot: u32) -> Option<T> {
        let vacated = &mut self.slots[slot as usize];
        let item = vacated.item.take()?;
        self.pending -= 1;
        if let Some(next) = vacated.generation.checked_add(1) {
            vacated.generation = next;
            self.free.push(slot);
        }
        Some(item)
    }

    /// Restores what `next_deadline` relies on: the tops of the heaps are live.
    fn drop_cancelled_top(&mut self) {
        self.near.drop_top_while(|top| !is_live(&self.slots, top));
        self.far.drop_top_while(|top| !is_live(&self.slots, top));
    }

    /// Throws the cancelled entries out once they outnumber the live ones: a sweep costs as much as the
    /// cancellations that led to it.
    fn sweep_if_worthwhile(&mut self) {
        if self.near.len() + self.far.len() > 2 * self.len() + TOLERATED_CANCELLED {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.near.retain(|entry| is_live(&self.slots, entry));
        self.far.retain(|entry| is_live(&self.slots, entry));
    }

    fn take_sequence(&mut self) -> u32 {
        if self.next_sequence == FIRED {
            self.renumber();
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    /// The numbers are used up: those that are pending get the first ones, in their order.
    fn renumber(&mut self) {
        self.sweep();
        self.next_sequence = 0;
        let mut renumbered = |slot: u32| {
            let sequence = self.next_sequence;
            self.slots[slot as usize].sequence = sequence;
            self.next_sequence += 1;
            sequence
        };
        for entry in self.near.sorted() {
            *entry = entry.with_sequence(renumbered(entry.slot()));
        }
        for entry in self.far.sorted() {
            *entry = entry.with_sequence(renumbered(entry.slot()));
        }
    }
}

fn is_live<T>(slots: &[Slot<T>], entry: &impl Entry) -> bool {
    let slot = &slots[entry.slot() as usize];
    slot.sequence == entry.sequence() && slot.item.is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    impl<T> Timers<T> {
        fn pop_due(&mut self, now: Duration) -> Option<T> {
            match self.fire_due(now, |_| false)? {
                Fired::Item(item) => Some(item),
                Fired::Stays(_) => unreachable!("none of them stays"),
            }
        }
    }

    /// A xorshift generator: the same numbers in each run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    #[test]
    fn equal_deadlines_fire_in_creation_order() {
        let mut timers = Timers::new();
        for (deadline, item) in [(2, "c"), (1, "a"), (2, "d"), (1, "b"), (2, "e")] {
            timers.insert(seconds(deadline), item);
        }
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(seconds(2))).collect();
        assert_eq!(fired, ["a", "b", "c", "d", "e"]);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_timer_is_due_at_its_deadline_and_not_before() {
        let mut timers = Timers::new();
        timers.insert(seconds(3), ());
        assert_eq!(timers.next_deadline(), Some(seconds(3)));
        assert_eq!(timers.pop_due(seconds(3) - Duration::from_nanos(1)), None);
        assert_eq!(timers.pop_due(seconds(3)), Some(()));
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn a_stale_key_removes_nothing() {
        let mut timers = Timers::new();
        let removed = timers.insert(seconds(1), "removed");
        assert_eq!(timers.remove(removed), Some("removed"));
        let fired = timers.insert(seconds(1), "fired");
        assert_eq!(timers.pop_due(seconds(1)), Some("fired"));
        let kept = timers.insert(seconds(1), "kept");
        assert_eq!((removed.slot, fired.slot), (kept.slot, kept.slot), "all three used one slot");
        assert_eq!(timers.remove(removed), None);
        assert_eq!(timers.remove(fired), None);
        assert_eq!(timers.remove(kept), Some("kept"));
        assert_eq!(timers.remove(kept), None);
    }

    #[test]
    fn an_item_that_stays_is_there_until_it_is_removed() {
        let mut timers = Timers::new();
        let (first, second) = (timers.insert(seconds(1), "first"), timers.insert(seconds(1), "second"));
        assert_eq!(timers.fire_due(seconds(1), |_| true), Some(Fired::Stays(first)));
        assert_eq!(timers.get_mut(first), None);
        assert_eq!(timers.get_mut(second), Some(&mut "second"));
        assert_eq!(timers.fire_due(seconds(1), |_| true), Some(Fired::Stays(second)));
        assert_eq!((timers.next_deadline(), timers.pop_due(seconds(1))), (None, None));
        assert_eq!((timers.remove(first), timers.remove(first)), (Some("first"), None));
        assert_eq!(timers.take_all(), ["second"]);
        assert_eq!((timers.remove(second), timers.len()), (None, 0));
    }

    #[test]
    fn one_that_was_made_fired_is_as_one_that_has_fired() {
        let mut timers = Timers::new();
        let fired = timers.insert_fired("now");
        assert_eq!((timers.next_deadline(), timers.pop_due(seconds(1))), (None, None));
        assert_eq!(timers.get_mut(fired), None);
        assert_eq!(timers.item_mut(fired), Some(&mut "now"));
        assert_eq!(timers.remove(fired), Some("now"));
        assert_eq!(timers.item_mut(fired), None);
    }

    #[test]
    fn never_is_not_a_deadline() {
        let mut timers = Timers::new();
        let never = timers.insert(Duration::MAX, "never");
        assert_eq!(timers.next_deadline(), None);
        assert_eq!(timers.pop_due(Duration::MAX), None);
        timers.insert(seconds(1), "soon");
        assert_eq!(timers.next_deadline(), Some(seconds(1)));
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.remove(never), Some("never"));
    }

    #[test]
    fn take_all_hands_out_everything_in_order() {
        let mut timers = Timers::new();
        timers.insert(Duration::MAX, "never");
        let late = timers.insert(seconds(2), "late");
        let cancelled = timers.insert(seconds(1), "cancelled");
        timers.insert(seconds(1), "early");
        timers.remove(cancelled);
        assert_eq!(timers.take_all(), ["early", "late", "never"]);
        assert_eq!(timers.len(), 0);
        assert_eq!(timers.take_all(), [""; 0]);
        timers.insert(seconds(1), "next");
        assert_eq!(timers.remove(late), None, "whoever lies there now");
    }

    #[test]
    fn removing_the_earliest_uncovers_the_next_live_one() {
        let mut timers = Timers::new();
        let keys: Vec<_> = (1..=3).map(|second| timers.insert(seconds(second), second)).collect();
        timers.remove(keys[1]);
        assert_eq!(timers.next_deadline(), Some(seconds(1)));
        timers.remove(keys[0]);
        assert_eq!(timers.next_deadline(), Some(seconds(3)));
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let mut timers = Timers::new();
        timers.insert(Duration::ZERO, 0);
        for item in 1..1_000_000 {
            let key = timers.insert(seconds(item), item);
            assert_eq!(timers.remove(key), Some(item));
            assert!(timers.near.len() <= 2 * timers.len() + TOLERATED_CANCELLED);
        }
        assert_eq!((timers.len(), timers.slots.len()), (1, 2));
    }

    #[test]
    fn a_million_pending_timers_are_cancelled() {
        let mut timers = Timers::new();
        let mut random = Random(7);
        let keys: Vec<_> =
            (0..1_000_000).map(|item| timers.insert(seconds(random.below(1_000)), item)).collect();
        for (item, key) in keys.into_iter().enumerate() {
            assert_eq!(timers.remove(key), Some(item));
            assert!(timers.near.len() <= 2 * timers.len() + TOLERATED_CANCELLED);
        }
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn agrees_with_an_ordered_map() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut timers = Timers::new();
        let mut oracle = BTreeMap::new();
        let mut keys = Vec::new();
        for item in 0..100_000 {
            match random.below(4) {
                0 | 1 => {
                    let deadline = seconds(random.below(50));
                    keys.push((timers.insert(deadline, item), (deadline, item)));
                    oracle.insert((deadline, item), item);
                }
                2 if !keys.is_empty() => {
                    let (key, name) = keys[random.below(keys.len() as u64) as usize];
                    assert_eq!(timers.remove(key), oracle.remove(&name));
                }
                _ => {
                    let now = seconds(random.below(50));
                    let due = oracle.first_entry().filter(|first| first.key().0 <= now);
                    assert_eq!(timers.pop_due(now), due.map(|first| first.remove()));
                }
            }
            assert_eq!(timers.len(), oracle.len());
            assert_eq!(timers.next_deadline(), oracle.keys().next().map(|first| first.0));
        }
        assert_eq!(timers.take_all(), oracle.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn the_order_survives_the_last_sequence_number() {
        let mut timers = Timers::new();
        timers.next_sequence = u32::MAX - 2;
        let keys: Vec<_> = (0..6).map(|item| timers.insert(seconds(1), item)).collect();
        assert!(timers.next_sequence < 10, "they were renumbered");
        assert_eq!(timers.remove(keys[1]), Some(1));
        assert_eq!(timers.remove(keys[4]), Some(4));
        assert_eq!(timers.take_all(), [0, 2, 3, 5]);
    }

    #[test]
    fn a_slot_that_had_all_its_occupants_is_left() {
        let mut timers = Timers::new();
        let first = timers.insert(seconds(1), 1);
        timers.remove(first);
        timers.slots[0].generation = u32::MAX;
        let last = timers.insert(seconds(1), 2);
        assert_eq!((last.slot, timers.remove(last)), (0, Some(2)));
        let elsewhere = timers.insert(seconds(1), 3);
        assert_eq!((elsewhere.slot, timers.remove(last)), (1, None));
        assert_eq!(timers.remove(elsewhere), Some(3));
    }

    #[test]
    fn centuries_are_in_order_too() {
        let mut timers = Timers::new();
        let age = seconds(u64::MAX / 2);
        let deadlines =
            [Duration::MAX, age, seconds(1), age, age + seconds(1), seconds(600 * 366 * 24 * 3600)];
        let keys: Vec<_> = deadlines.into_iter().enumerate().map(|(n, at)| timers.insert(at, n)).collect();
        assert_eq!(timers.pop_due(Duration::MAX), Some(2));
        assert_eq!(timers.pop_due(age), Some(5));
        assert_eq!(timers.remove(keys[1]), Some(1));
        assert_eq!((timers.next_deadline(), timers.pop_due(age)), (Some(age), Some(3)));
        assert_eq!(timers.pop_due(age), None);
        assert_eq!(timers.take_all(), [4, 0]);
    }
}
