//! Chance that can be replayed.

/// `SplitMix64`, by Guy Steele, Doug Lea and Christine Flood, with Sebastiano Vigna's constants. What it gives for a
/// seed never changes, or old seeds would replay nothing.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is small, so that all are as likely but for a hair.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_what_it_has_always_given() {
        let mut dice = Dice::new(1_234_567);
        let rolls = [(); 3].map(|()| dice.roll());
        assert_eq!(rolls, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
