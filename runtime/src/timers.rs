//! What is to happen at a time of the loop's clock, in asyncio's order: by deadline, then by creation.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Cancelled entries that the heap may hold before their share of it matters, so that a small heap isn't swept
/// at every other cancellation.
const TOLERATED_CANCELLED: usize = 64;

/// A timer's name, good for one removal. After its timer has been removed, or has fired and left nothing, the key is
/// stale and names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: usize,
    sequence: u64,
}

/// The pending timers of one loop, each with an item.
///
/// Inserting, removing and popping take O(log n), amortised. A removed item leaves at once; its entry stays in the
/// heap until it reaches the top, or until such entries outnumber the live ones.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// The earliest entry on top, which is always a live one.
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    next_sequence: u64,
}

/// A timer in the heap. The fields are compared in this order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: Duration,
    /// Counts the timers made, so that it orders equal deadlines and tells the occupants of a slot apart.
    sequence: u64,
    slot: usize,
}

/// Where an item lies while its timer is pending.
#[derive(Debug)]
struct Slot<T> {
    /// The present occupant's, or the last one's.
    sequence: Sequence,
    item: Option<T>,
}

/// A sequence number, and in its highest bit whether the timer has fired: there are many slots, and so none of them has
/// a word more.
#[derive(Debug, Clone, Copy)]
struct Sequence(u64);

impl Sequence {
    const FIRED: u64 = 1 << 63;

    fn is(self, sequence: u64) -> bool {
        self.0 & !Self::FIRED == sequence
    }

    fn has_fired(self) -> bool {
        self.0 & Self::FIRED != 0
    }

    fn fire(&mut self) {
        self.0 |= Self::FIRED;
    }
}

impl<T> Timers<T> {
    /// Makes an empty set of timers.
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), next_sequence: 0 }
    }

    /// Adds a timer. With a deadline of `Duration::MAX` it never fires.
    pub(crate) fn insert(&mut self, deadline: Duration, item: T) -> TimerKey {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let occupied = Slot { sequence: Sequence(sequence), item: Some(item) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = occupied;
                slot
            }
            None => {
                self.slots.push(occupied);
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse(Entry { deadline, sequence, slot }));
        TimerKey { slot, sequence }
    }

    /// Cancels a timer and gives back its item, or `None` if it went when it fired, or has been removed already.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        let item = self.vacate(key.slot, key.sequence)?;
        self.drop_cancelled_top();
        self.sweep_if_worthwhile();
        Some(item)
    }

    /// The item of a timer that has neither fired nor been removed.
    pub(crate) fn get(&self, key: TimerKey) -> Option<&T> {
        let slot = self.slots.get(key.slot).filter(|slot| slot.sequence.is(key.sequence))?;
        slot.item.as_ref().filter(|_| !slot.sequence.has_fired())
    }

    /// Returns the earliest deadline, unless no timer will ever fire.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let Reverse(earliest) = self.heap.peek()?;
        (earliest.deadline != Duration::MAX).then_some(earliest.deadline)
    }

    /// Fires the earliest timer if its deadline is `now` or has passed, and gives its item; or, if `copy` gives one, that
    /// copy, and then the item stays under its key until it is removed.
    pub(crate) fn fire_due(&mut self, now: Duration, copy: impl FnOnce(&T) -> Option<T>) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        let slot = self.heap.peek()?.0.slot;
        let slot = &mut self.slots[slot];
        let Some(copy) = slot.item.as_ref().and_then(copy) else { return self.pop_earliest() };
        slot.sequence.fire();
        self.heap.pop();
        self.drop_cancelled_top();
        Some(copy)
    }

    /// Takes out all items: first those of timers that are pending, also of those that never fire, in the order in which
    /// they would have fired.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut all: Vec<_> = std::iter::from_fn(|| self.pop_earliest()).collect();
        self.free.clear();
        all.extend(self.slots.drain(..).filter_map(|slot| slot.item));
        all
    }

    /// Returns how many timers are pending, or have fired and left their item.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn pop_earliest(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        let item = self.vacate(entry.slot, entry.sequence);
        debug_assert!(item.is_some(), "the heap's top is live");
        self.drop_cancelled_top();
        item
    }

    /// Empties a slot, if the timer of this sequence number still lies there.
    fn vacate(&mut self, slot: usize, sequence: u64) -> Option<T> {
        let occupant = self.slots.get_mut(slot).filter(|occupant| occupant.sequence.is(sequence))?;
        let item = occupant.item.take()?;
        self.free.push(slot);
        Some(item)
    }

    /// Restores what `next_deadline` relies on: the heap's top is live.
    fn drop_cancelled_top(&mut self) {
        while self.heap.peek().is_some_and(|Reverse(top)| !is_live(&self.slots, top)) {
            self.heap.pop();
        }
    }

    /// Throws the cancelled entries out once they outnumber the live ones: a sweep costs as much as the
    /// cancellations that led to it.
    fn sweep_if_worthwhile(&mut self) {
        if self.heap.len() > 2 * self.len() + TOLERATED_CANCELLED {
            let slots = &self.slots;
            self.heap.retain(|Reverse(entry)| is_live(slots, entry));
        }
    }
}

fn is_live<T>(slots: &[Slot<T>], entry: &Entry) -> bool {
    let slot = &slots[entry.slot];
    slot.sequence.is(entry.sequence) && slot.item.is_some()
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
            self.fire_due(now, |_| None)
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
    fn an_item_that_is_copied_stays_until_it_is_removed() {
        let mut timers = Timers::new();
        let (first, second) = (timers.insert(seconds(1), "first"), timers.insert(seconds(1), "second"));
        assert_eq!(timers.fire_due(seconds(1), |item| Some(*item)), Some("first"));
        assert_eq!((timers.get(first), timers.get(second)), (None, Some(&"second")));
        assert_eq!(timers.fire_due(seconds(1), |item| Some(*item)), Some("second"));
        assert_eq!((timers.next_deadline(), timers.pop_due(seconds(1))), (None, None));
        assert_eq!((timers.remove(first), timers.remove(first)), (Some("first"), None));
        assert_eq!(timers.take_all(), ["second"]);
        assert_eq!((timers.remove(second), timers.len()), (None, 0));
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
        timers.insert(seconds(2), "late");
        let cancelled = timers.insert(seconds(1), "cancelled");
        timers.insert(seconds(1), "early");
        timers.remove(cancelled);
        assert_eq!(timers.take_all(), ["early", "late", "never"]);
        assert_eq!(timers.len(), 0);
        assert_eq!(timers.take_all(), [""; 0]);
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
            assert!(timers.heap.len() <= 2 * timers.len() + TOLERATED_CANCELLED);
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
            assert!(timers.heap.len() <= 2 * timers.len() + TOLERATED_CANCELLED);
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
}
