//! [`Places`]: a line that one may leave from anywhere.

use std::collections::VecDeque;

/// Below this, gaps cost less than to close them.
const FEW: usize = 32;

/// Values in the order of their numbers, which the owner gives and which only ascend. Who leaves from the middle leaves a
/// gap, so that it costs the others nothing; there is none at the ends.
#[derive(Debug)]
pub(crate) struct Places<T> {
    /// A gap has no value.
    line: VecDeque<(u64, Option<T>)>,
    gaps: usize,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { line: VecDeque::new(), gaps: 0 }
    }
}

impl<T> Places<T> {
    pub(crate) fn len(&self) -> usize {
        self.line.len() - self.gaps
    }

    #[inline]
    pub(crate) fn push(&mut self, place: u64, value: T) {
        self.line.push_back((place, Some(value)));
    }

    fn slot(&mut self, place: u64) -> Option<&mut Option<T>> {
        let at = self.line.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(&mut self.line[at].1)
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let (place, value) = self.line.pop_front()?;
        self.drop_gaps();
        value.map(|value| (place, value))
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: u64) -> Option<T> {
        if self.line.front()?.0 == place {
            return self.pop().map(|(_, value)| value);
        }
        if self.last_place() == Some(place) {
            let (_, value) = self.line.pop_back()?;
            self.drop_gaps_behind();
            return value;
        }
        self.remove_amid(place)
    }

    pub(crate) fn last_place(&self) -> Option<u64> {
        self.line.back().map(|(place, _)| *place)
    }

    fn remove_amid(&mut self, place: u64) -> Option<T> {
        let value = self.slot(place)?.take()?;
        self.gaps += 1;
        if self.line.len() > FEW && self.gaps > self.line.len() / 2 {
            self.line.retain(|(_, value)| value.is_some());
            self.gaps = 0;
        }
        Some(value)
    }

    #[inline]
    fn drop_gaps(&mut self) {
        while self.gaps > 0 && self.line.front().is_some_and(|(_, value)| value.is_none()) {
            self.line.pop_front();
            self.gaps -= 1;
        }
    }

    fn drop_gaps_behind(&mut self) {
        while self.gaps > 0 && self.line.back().is_some_and(|(_, value)| value.is_none()) {
            self.line.pop_back();
            self.gaps -= 1;
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.line.iter().filter_map(|(_, value)| value.as_ref())
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.line.into_iter().filter_map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Places};

    #[test]
    fn one_who_stays_for_ever_does_not_keep_the_places_of_all_who_leave_behind_it() {
        let mut places = Places::default();
        places.push(1, 'a');
        for place in 2..1_000 {
            places.push(place, 'b');
            assert_eq!(places.remove(place), Some('b'));
            assert_eq!(places.remove(place), None, "it has left");
            assert_eq!(places.len(), 1);
            assert!(places.line.len() <= FEW + 1, "{}", places.line.len());
        }
    }

    #[test]
    fn whoever_leaves_the_others_keep_their_order() {
        let mut places = Places::default();
        (1..=6).for_each(|place| places.push(place, place));
        assert_eq!((places.remove(2), places.remove(4), places.len()), (Some(2), Some(4), 4));
        assert_eq!(places.pop(), Some((1, 1)));
        assert_eq!(places.values().next(), Some(&3), "the gap before it is gone");
        assert_eq!(places.into_values().collect::<Vec<_>>(), [3, 5, 6]);
    }
}
