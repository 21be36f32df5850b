//! [`Few`]: a line that mostly holds one.

use crate::places::Places;

/// As [`Places`], with numbers that it gives itself, and with room for one that is alone.
#[derive(Debug)]
pub(super) struct Few<T> {
    /// The others all came later.
    first: Option<(u64, T)>,
    others: Option<Box<Places<T>>>,
    last_place: u64,
}

impl<T> Few<T> {
    /// The first place that it gives is the one after this.
    pub(super) fn after(place: u64) -> Self {
        Self { first: None, others: None, last_place: place }
    }

    /// Its place, for `remove`.
    pub(super) fn add(&mut self, value: T) -> u64 {
        self.last_place += 1;
        let place = self.last_place;
        match &mut self.others {
            None if self.first.is_none() => self.first = Some((place, value)),
            Some(others) if self.first.is_none() && others.len() == 0 => self.first = Some((place, value)),
            others => others.get_or_insert_default().push(place, value),
        }
        place
    }

    pub(super) fn remove(&mut self, place: u64) -> Option<T> {
        match &mut self.first {
            Some((first, _)) if *first == place => self.first.take().map(|(_, value)| value),
            _ => self.others.as_mut()?.remove(place),
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let first = self.first.iter().map(|(_, value)| value);
        first.chain(self.others.iter().flat_map(|others| others.values()))
    }

    /// Takes them all out, in order.
    pub(super) fn take_all(&mut self) -> (Option<T>, impl Iterator<Item = T> + use<T>) {
        let others = self.others.take().into_iter().flat_map(|others| others.into_values());
        (self.first.take().map(|(_, value)| value), others)
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn they_stand_in_the_order_of_coming_whoever_leaves() {
        let mut few = Few::after(1);
        let places = ['a', 'b', 'c'].map(|value| few.add(value));
        assert_eq!(places, [2, 3, 4]);
        assert_eq!((few.remove(2), few.remove(2)), (Some('a'), None));
        assert_eq!(few.add('d'), 5);
        assert_eq!((few.remove(1), few.remove(4), few.len()), (None, Some('c'), 2));
        assert_eq!(few.values().collect::<String>(), "bd");
        let (first, others) = few.take_all();
        assert_eq!((first, others.collect::<String>()), (None, "bd".to_owned()));
        assert_eq!((few.add('e'), few.len()), (6, 1));
        assert_eq!(few.remove(6), Some('e'));
    }
}
