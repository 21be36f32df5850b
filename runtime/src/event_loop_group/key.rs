//! Which loop of a group, or which member of a router, a key belongs to.

use std::hash::{Hash, Hasher};

/// Takes what a key is made of in eight bytes at a time. Not one that resists keys that are chosen to collide: those end up
/// on one loop, and that is all.
struct KeyHasher(u64);

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(ODD);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(ODD);
        mixed ^ (mixed >> 29)
    }
}

/// One of `places` for a key: the same for the same key, and evenly spread. With one place more, one key of that many moves,
/// to the new place; the others stay.
pub(crate) fn place_of<K: Hash + ?Sized>(key: &K, places: usize) -> usize {
    let mut hasher = KeyHasher(ODD);
    key.hash(&mut hasher);
    jump(hasher.finish(), places)
}

/// The consistent hash of Lamping and Veach. As the places become more, a key jumps from one to a later one; by its random
/// numbers it is known where it jumps to next, so that those between need not be looked at.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are few, and quotients positive"
)]
fn jump(mut key: u64, places: usize) -> usize {
    let (mut place, mut next) = (0, 0.0_f64);
    while next < places as f64 {
        place = next as usize;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let random = ((key >> 33) + 1) as f64 / (1_u64 << 31) as f64;
        next = ((place + 1) as f64 / random).floor();
    }
    place
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn keys_are_spread_evenly() {
        for places in [1, 2, 3, 7, 64] {
            let mut counts = vec![0_u32; places];
            let keys = 2_000 * u32::try_from(places).unwrap();
            (0..keys).for_each(|key| counts[place_of(&key, places)] += 1);
            assert!(counts.iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn with_one_place_more_keys_only_move_to_it() {
        for places in 1..20 {
            let moved = (0..10_000).filter(|key| {
                let (before, after) = (place_of(key, places), place_of(key, places + 1));
                assert!(before == after || after == places);
                before != after
            });
            let expected = 10_000 / (places + 1);
            assert!((expected * 3 / 4..expected * 5 / 4 + 1).contains(&moved.count()), "{places}");
        }
    }

    #[test]
    fn short_and_long_words_are_told_apart() {
        let words = ["", "a", "b", "ab", "ba", "abcdefgh", "abcdefghi", "abcdefghj"];
        let mut places: Vec<_> = words.iter().map(|word| place_of(word, 1 << 20)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), words.len());
    }
}
