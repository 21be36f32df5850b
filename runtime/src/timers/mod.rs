//! What is to happen at a time of the loop's clock, in asyncio's order: by deadline, then by creation.

mod heap;
mod piles;

use std::cell::Cell;
use std::mem;
use std::time::Duration;

use heap::{Entry, Far, Heap, Near};
use piles::{Later, Piles};

/// Cancelled entries that there may be before their share matters, so that a few aren't swept at every other
/// cancellation.
const TOLERATED_CANCELLED: usize = 64;

/// So many are a heap. When there are more, the later ones are piled up.
const HEAP: usize = 1024;

/// A timer's name, good for one removal. After its timer has been removed, or has fired and left nothing, the key is
/// stale and names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

/// The generation of a timer's slot, in the timer, where there is room beside a pointer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp(Cell<u32>);

impl Stamp {
    fn generation(&self) -> u32 {
        self.0.get() & !FIRED
    }

    fn has_fired(&self) -> bool {
        self.0.get() & FIRED != 0
    }
}

/// Beside the generation: it has fired, and its item stays.
const FIRED: u32 = 1 << 31;

/// What timers have as items: it keeps a stamp for them.
pub(crate) trait Stamped {
    fn stamp(&self) -> &Stamp;
}

/// The pending timers of one loop, each with an item.
///
/// The earliest are in a heap, `near`. Those that are later than all of them are piled up, roughly by time, until their
/// time is near: so a million are not a heap of a million, through which each would sink a cache miss at a time. Inserting,
/// removing and popping take constant time but for the heap's, amortised. A removed item leaves at once; its entry and its
/// slot stay until its time is near, or until such entries outnumber the live ones. A million timers are a million
/// entries of 12 bytes and slots of 16, so they are counted in 32 bits.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// The earliest entry on top, which is always a live one, as in `far`. Empty only if nothing is piled up.
    near: Heap<Near>,
    later: Piles,
    /// Centuries later than all others.
    far: Heap<Far>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// Orders equal deadlines that are near.
    next_sequence: u32,
    next_far: u64,
    pending: usize,
    /// With so many the heap is halved.
    too_many: usize,
}

/// Where an item lies, its timer being pending, or fired and its item not removed yet.
#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    /// The next occupant's generation. While there is an entry for it, it has none; and when there can be no more
    /// generations, the slot stays empty.
    Left(u32),
}

impl<T> Slot<T> {
    fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }
}

/// What a timer that fires gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fired<T> {
    Item(T),
    /// The item stays under this key until it is removed.
    Stays(TimerKey),
}

impl<T: Stamped> Timers<T> {
    /// Makes an empty set of timers.
    pub(crate) fn new() -> Self {
        Self {
            near: Heap::new(),
            later: Piles::new(),
            far: Heap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_sequence: 0,
            next_far: 0,
            pending: 0,
            too_many: 2 * HEAP,
        }
    }

    /// Adds a timer. With a deadline of `Duration::MAX` it never fires.
    pub(crate) fn insert(&mut self, deadline: Duration, item: T) -> TimerKey {
        let key = self.occupy(item, 0);
        match u64::try_from(deadline.as_nanos()) {
            Ok(nanoseconds) => self.add(nanoseconds, key.slot),
            Err(_) => {
                self.far.push(Far { deadline, sequence: self.next_far, slot: key.slot });
                self.next_far += 1;
            }
        }
        key
    }

    /// Adds a timer that has fired and left its item.
    pub(crate) fn insert_fired(&mut self, item: T) -> TimerKey {
        self.occupy(item, FIRED)
    }

    #[inline]
    fn occupy(&mut self, item: T, fired: u32) -> TimerKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Left(0));
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 timers")
        });
        let Slot::Left(generation) = self.slots[slot as usize] else { unreachable!("it is free") };
        item.stamp().0.set(generation | fired);
        self.slots[slot as usize] = Slot::Taken(item);
        self.pending += 1;
        TimerKey { slot, generation }
    }

    fn add(&mut self, deadline: u64, slot: u32) {
        if deadline > self.later.after() {
            if self.later.len() > 0 || self.near.len() >= HEAP {
                return self.later.push(Later::new(deadline, slot));
            }
            self.later.raise(deadline);
        }
        self.push_near(deadline, slot);
        if self.near.len() >= self.too_many {
            self.halve();
        }
    }

    /// Cancels a timer and gives back its item, or `None` if it went when it fired, or has been removed already.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        let has_fired = self.occupant(key)?.stamp().has_fired();
        let item = self.vacate(key.slot, key.generation);
        if has_fired {
            release(&self.slots, &mut self.free, key.slot);
        } else {
            self.settle();
            self.sweep_if_worthwhile();
        }
        item
    }

    /// The item of a timer that has neither fired nor been removed.
    pub(crate) fn get(&mut self, key: TimerKey) -> Option<&mut T> {
        self.occupant(key).filter(|item| !item.stamp().has_fired())
    }

    /// The item of a timer that has not been removed, fired or not.
    pub(crate) fn item_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        self.occupant(key)
    }

    /// Puts another item in the place of one that is there, which comes back; the new one, if there is none.
    pub(crate) fn replace(&mut self, key: TimerKey, item: T) -> T {
        item.stamp().0.set(key.generation);
        match self.get(key) {
            Some(old) => mem::replace(old, item),
            None => item,
        }
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
        let Slot::Taken(item) = &self.slots[slot as usize] else { unreachable!("the earliest is live") };
        let generation = item.stamp().generation();
        let fired = if stays(item) {
            item.stamp().0.set(generation | FIRED);
            Fired::Stays(TimerKey { slot, generation })
        } else {
            let item = self.vacate(slot, generation)?;
            release(&self.slots, &mut self.free, slot);
            Fired::Item(item)
        };
        self.settle();
        Some(fired)
    }

    /// Takes out all items: first those of timers that are pending, also of those that never fire, in the order in which
    /// they would have fired.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(slot) = self.pop_entry() {
            all.extend(self.empty(slot));
            self.settle();
        }
        for slot in 0..self.slots.len() {
            all.extend(self.empty(slot as u32));
        }
        all
    }

    /// Returns how many timers are pending, or have fired and left their item.
    pub(crate) fn len(&self) -> usize {
        self.pending
    }

    fn occupant(&mut self, key: TimerKey) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize)? {
            Slot::Taken(item) if item.stamp().generation() == key.generation => Some(item),
            _ => None,
        }
    }

    /// Takes the earliest entry out of its heap, and gives its slot.
    fn pop_entry(&mut self) -> Option<u32> {
        match self.near.pop() {
            Some(earliest) => Some(earliest.slot()),
            None => self.far.pop().map(|earliest| earliest.slot()),
        }
    }

    /// Takes the item out of a slot, which is not free before its entry has gone.
    fn vacate(&mut self, slot: u32, generation: u32) -> Option<T> {
        let Slot::Taken(item) = mem::replace(&mut self.slots[slot as usize], Slot::Left(generation + 1))
        else {
            return None;
        };
        self.pending -= 1;
        Some(item)
    }

    /// Takes the item out, if any, of a slot that has no entry.
    fn empty(&mut self, slot: u32) -> Option<T> {
        let Slot::Taken(item) = &self.slots[slot as usize] else { return None };
        let generation = item.stamp().generation();
        let item = self.vacate(slot, generation);
        release(&self.slots, &mut self.free, slot);
        item
    }

    fn push_near(&mut self, deadline: u64, slot: u32) {
        let sequence = self.take_sequence();
        self.near.push(Near::new(deadline, sequence, slot));
    }

    fn take_sequence(&mut self) -> u32 {
        if self.next_sequence == u32::MAX {
            // The numbers are used up: those that are there get the first ones, in their order.
            self.next_sequence = 0;
            for entry in self.near.sorted() {
                *entry = Near::new(entry.deadline(), self.next_sequence, entry.slot());
                self.next_sequence += 1;
            }
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    /// Restores what `next_deadline` relies on: the tops of the heaps are live, and what is piled up is not the earliest.
    fn settle(&mut self) {
        let Self { near, far, slots, free, .. } = self;
        near.drop_top_until(|top| is_live_or_release(slots, free, top.slot()));
        far.drop_top_until(|top| is_live_or_release(slots, free, top.slot()));
        while self.near.len() == 0
            && let Some(pile) = self.later.take_first()
        {
            self.refill(pile);
        }
    }

    /// The heap is empty: it gets a pile, or if that is high the earliest of it, and the others go to smaller piles.
    fn refill(&mut self, pile: Vec<Later>) {
        let deadlines = pile.iter().map(|entry| entry.deadline());
        let last = if pile.len() <= HEAP { deadlines.max() } else { deadlines.min() };
        self.later.raise(last.unwrap_or_default());
        self.next_sequence = 0;
        for entry in pile {
            if !is_live_or_release(&self.slots, &mut self.free, entry.slot()) {
                continue;
            }
            if entry.deadline() <= self.later.after() {
                self.push_near(entry.deadline(), entry.slot());
            } else {
                self.later.push(entry);
            }
        }
        self.too_many = 2 * self.near.len().max(HEAP);
    }

    /// Many have come that are earlier than what is piled up. The later half of the heap goes there.
    fn halve(&mut self) {
        let sorted = self.near.sorted();
        let middle = sorted[sorted.len() / 2].deadline();
        let near = sorted.partition_point(|entry| entry.deadline() <= middle);
        if near < sorted.len() {
            self.later.lower(middle);
            for entry in sorted.drain(near..) {
                self.later.push(Later::new(entry.deadline(), entry.slot()));
            }
        }
        self.too_many = 2 * self.near.len().max(HEAP);
    }

    /// Throws the cancelled entries out once they outnumber the live ones: a sweep costs as much as the
    /// cancellations that led to it.
    fn sweep_if_worthwhile(&mut self) {
        if self.near.len() + self.later.len() + self.far.len() > 2 * self.len() + TOLERATED_CANCELLED {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let Self { near, later, far, slots, free, .. } = self;
        near.retain(|entry| is_live_or_release(slots, free, entry.slot()));
        later.retain(|entry| is_live_or_release(slots, free, entry.slot()));
        far.retain(|entry| is_live_or_release(slots, free, entry.slot()));
    }
}

/// Of an entry: is its timer pending? If not, the entry goes, and its slot is free.
fn is_live_or_release<T>(slots: &[Slot<T>], free: &mut Vec<u32>, slot: u32) -> bool {
    let is_live = slots[slot as usize].is_taken();
    if !is_live {
        release(slots, free, slot);
    }
    is_live
}

/// Nothing is in it, and no entry for it.
fn release<T>(slots: &[Slot<T>], free: &mut Vec<u32>, slot: u32) {
    if matches!(slots[slot as usize], Slot::Left(next) if next < FIRED) {
        free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Duration, Fired, HEAP, Slot, Stamp, Stamped, TOLERATED_CANCELLED, TimerKey};

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[derive(Debug)]
    struct Item<T>(T, Stamp);

    impl<T> Stamped for Item<T> {
        fn stamp(&self) -> &Stamp {
            &self.1
        }
    }

    /// With bare items.
    struct Timers<T>(super::Timers<Item<T>>);

    impl<T> Timers<T> {
        fn new() -> Self {
            Self(super::Timers::new())
        }

        fn insert(&mut self, deadline: Duration, item: T) -> TimerKey {
            self.0.insert(deadline, Item(item, Stamp::default()))
        }

        fn remove(&mut self, key: TimerKey) -> Option<T> {
            self.0.remove(key).map(|item| item.0)
        }

        fn get(&mut self, key: TimerKey) -> Option<&mut T> {
            self.0.get(key).map(|item| &mut item.0)
        }

        fn fire_due(&mut self, now: Duration) -> Option<TimerKey> {
            match self.0.fire_due(now, |_| true)? {
                Fired::Stays(key) => Some(key),
                Fired::Item(_) => unreachable!("all of them stay"),
            }
        }

        fn pop_due(&mut self, now: Duration) -> Option<T> {
            match self.0.fire_due(now, |_| false)? {
                Fired::Item(item) => Some(item.0),
                Fired::Stays(_) => unreachable!("none of them stays"),
            }
        }

        fn insert_fired(&mut self, item: T) -> TimerKey {
            self.0.insert_fired(Item(item, Stamp::default()))
        }

        fn item_mut(&mut self, key: TimerKey) -> Option<&mut T> {
            self.0.item_mut(key).map(|item| &mut item.0)
        }

        fn take_all(&mut self) -> Vec<T> {
            self.0.take_all().into_iter().map(|item| item.0).collect()
        }

        fn next_deadline(&self) -> Option<Duration> {
            self.0.next_deadline()
        }

        fn len(&self) -> usize {
            self.0.len()
        }

        fn entries(&self) -> usize {
            self.0.near.len() + self.0.later.len() + self.0.far.len()
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
        assert_eq!(timers.fire_due(seconds(1)), Some(first));
        assert_eq!(timers.get(first), None);
        assert_eq!(timers.get(second), Some(&mut "second"));
        assert_eq!(timers.fire_due(seconds(1)), Some(second));
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
        assert_eq!(timers.get(fired), None);
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
            assert!(timers.entries() <= 2 * timers.len() + TOLERATED_CANCELLED);
        }
        assert_eq!(timers.len(), 1);
        assert!(timers.0.slots.len() <= TOLERATED_CANCELLED + 3);
    }

    #[test]
    fn a_million_pending_timers_are_cancelled() {
        let mut timers = Timers::new();
        let mut random = Random(7);
        let keys: Vec<_> =
            (0..1_000_000).map(|item| timers.insert(seconds(random.below(1_000)), item)).collect();
        for (item, key) in keys.into_iter().enumerate() {
            assert_eq!(timers.remove(key), Some(item));
            assert!(timers.entries() <= 2 * timers.len() + TOLERATED_CANCELLED);
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
        timers.0.next_sequence = u32::MAX - 2;
        let keys: Vec<_> = (0..6).map(|item| timers.insert(seconds(1), item)).collect();
        assert!(timers.0.next_sequence < 10, "they were renumbered");
        assert_eq!(timers.remove(keys[1]), Some(1));
        assert_eq!(timers.remove(keys[4]), Some(4));
        assert_eq!(timers.take_all(), [0, 2, 3, 5]);
    }

    #[test]
    fn a_slot_that_had_all_its_occupants_is_left() {
        let mut timers = Timers::new();
        let first = timers.insert(seconds(1), 1);
        timers.remove(first);
        timers.0.slots[0] = Slot::Left(super::FIRED - 1);
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

    #[test]
    fn many_that_are_near_and_far_and_earlier_than_those_before_fire_in_order() {
        let mut random = Random(0x2545_F491_4F6C_DD1D);
        let mut timers = Timers::new();
        let mut oracle = BTreeMap::new();
        let (mut keys, mut now) = (Vec::new(), 0);
        for item in 0..60_000_u64 {
            // Waves: those of some come all before those of others, and many at one time.
            let range = [64, 1 << 20, 1 << 40, 50_000][(item / 5_000 % 4) as usize];
            let deadline = Duration::from_nanos(now + random.below(range));
            keys.push((timers.insert(deadline, item), (deadline, item)));
            oracle.insert((deadline, item), item);
            if random.below(4) == 0 {
                let (key, name) = keys[random.below(keys.len() as u64) as usize];
                assert_eq!(timers.remove(key), oracle.remove(&name));
            }
            while random.below(8) == 0
                && let Some(due) = oracle.first_entry()
            {
                now = due.key().0.as_nanos() as u64;
                assert_eq!(timers.pop_due(Duration::from_nanos(now)), Some(due.remove()));
            }
            assert_eq!(timers.len(), oracle.len());
            assert_eq!(timers.next_deadline(), oracle.keys().next().map(|first| first.0));
            assert!(timers.entries() <= 2 * timers.len() + TOLERATED_CANCELLED);
        }
        assert!(timers.len() > 10 * HEAP && timers.0.near.len() < timers.len() / 2, "they are piled up");
        assert_eq!(timers.take_all(), oracle.into_values().collect::<Vec<_>>());
        assert_eq!((timers.entries(), timers.0.free.len()), (0, timers.0.slots.len()));
    }

    #[test]
    fn a_timer_is_few_bytes() {
        assert_eq!(size_of::<Slot<crate::event_loop::Timer>>(), 16);
        assert_eq!((size_of::<super::Later>(), size_of::<super::Near>()), (12, 16));
    }
}
