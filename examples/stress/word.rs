//! An account's word: all that is counted of one submission, in one atomic, so that it is always a state that was.

use std::fmt;

/// How a submission ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Cancelled,
    Panicked,
    /// Before anything of it ran: the loop was closed, or the wait would have been a deadlock.
    Refused,
    Died,
    /// Nobody was left to be told. The body and the value are gone all the same.
    Unheard,
}

impl End {
    pub(crate) const ALL: [(Self, &str); 6] = [
        (Self::Completed, "completed"),
        (Self::Cancelled, "cancelled"),
        (Self::Panicked, "panicked"),
        (Self::Refused, "refused"),
        (Self::Died, "died"),
        (Self::Unheard, "unheard"),
    ];
}

// The fields of a word, as what is added for one of each. No field can overflow into the next but by a fault.

/// Tokens that are not dropped yet: 8 bits. At none the word is final.
pub(crate) const TOKEN: u64 = 1;
/// Ends that were told: 4 bits.
pub(crate) const TOLD: u64 = 1 << 8;
/// Which end, plus one: 4 bits.
pub(crate) const END: u64 = 1 << 12;
/// What a body owns, that its body has begun, and that it is gone: 4 bits each.
pub(crate) const WORK_MADE: u64 = 1 << 16;
pub(crate) const WORK_BEGUN: u64 = 1 << 20;
pub(crate) const WORK_DROPPED: u64 = 1 << 24;
/// Values: 4 bits each.
pub(crate) const PRODUCT_MADE: u64 = 1 << 28;
pub(crate) const PRODUCT_DROPPED: u64 = 1 << 32;
/// Callbacks: 4 bits each.
pub(crate) const CALLBACK_MADE: u64 = 1 << 36;
pub(crate) const CALLBACK_CALLED: u64 = 1 << 40;
pub(crate) const CALLBACK_DROPPED: u64 = 1 << 44;
/// Which submission uses the account: 16 bits, wrapping.
const GENERATION: u64 = 1 << 48;

/// What was read of an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// The first one of the submission that uses the account after this one's: with one token, its claim.
    pub(crate) fn next(self) -> Self {
        Self((self.generation() + 1) % (u64::MAX / GENERATION + 1) * GENERATION + TOKEN)
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 / GENERATION
    }

    /// Is a token left, so that there may be more to come?
    pub(crate) fn is_open(self) -> bool {
        self.tokens() > 0
    }

    fn tokens(self) -> u64 {
        self.0 & 255
    }

    pub(crate) fn count(self, unit: u64) -> u64 {
        (self.0 / unit) & 15
    }

    /// What was told, if anything.
    pub(crate) fn end(self) -> Option<End> {
        let which = usize::try_from(self.count(END)).ok()?.checked_sub(1)?;
        End::ALL.get(which).map(|(end, _)| *end)
    }

    /// Is a final word exact? A call is a callback that a loop takes over: it has no value, and a loop that closes may
    /// drop it.
    pub(crate) fn audit(self, is_call: bool) -> Result<(), &'static str> {
        let (one, end) = (|unit| self.count(unit), self.end());
        let (called, calls) = (one(CALLBACK_CALLED), one(CALLBACK_MADE));
        let rules = [
            (one(TOLD) == 1, "not exactly one end"),
            (one(WORK_MADE) == one(WORK_DROPPED), "not each body was dropped once"),
            (one(WORK_BEGUN) <= one(WORK_MADE), "a body began twice"),
            (one(PRODUCT_MADE) == one(PRODUCT_DROPPED), "not each value was dropped once"),
            (calls == one(CALLBACK_DROPPED), "not each callback was dropped once"),
            (
                end != Some(End::Refused) || one(WORK_BEGUN) + one(PRODUCT_MADE) == 0,
                "refused, and yet it ran",
            ),
            (is_call || end != Some(End::Completed) || one(PRODUCT_MADE) == 1, "completed without a value"),
            (is_call || called == calls, "not each callback was called once"),
            (!is_call || called == u64::from(end == Some(End::Completed)), "called or not, against its end"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |unit| self.count(unit);
        let end = self.end().map_or("nothing", |end| End::ALL[end as usize].1);
        write!(f, "{} tokens left, told {end} ({} ends)", self.tokens(), one(TOLD))?;
        write!(f, ", body {}/{}/{}", one(WORK_MADE), one(WORK_BEGUN), one(WORK_DROPPED))?;
        write!(f, ", value {}/{}", one(PRODUCT_MADE), one(PRODUCT_DROPPED))?;
        write!(f, ", callback {}/{}/{}", one(CALLBACK_MADE), one(CALLBACK_CALLED), one(CALLBACK_DROPPED))?;
        f.write_str(" (made/begun or called/dropped)")
    }
}
