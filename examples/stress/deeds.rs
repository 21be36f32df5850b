//! What can be done with a submission. `submitter.rs` does it.

use crate::dice::Dice;

/// The deeds, and their rows in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Wait,
    Batch,
    Unread,
    Detach,
    CancelEarly,
    CancelRunning,
    CancelLate,
    CancelElsewhere,
    Catch,
    Panic,
    PanicInDrop,
    Try,
    Left,
    Callbacks,
    Deliver,
    Await,
    Block,
    BlockLending,
    Timeout,
    Wakers,
    Call,
    Lend,
    Scope,
    Local,
    Several,
    Poll,
    Promise,
    Children,
    /// What a body hands in.
    Inner,
}

impl Deed {
    pub(crate) const ALL: [(Self, &str); 29] = [
        (Self::Wait, "wait"),
        (Self::Batch, "batch"),
        (Self::Unread, "unread"),
        (Self::Detach, "detach"),
        (Self::CancelEarly, "cancel-early"),
        (Self::CancelRunning, "cancel-running"),
        (Self::CancelLate, "cancel-late"),
        (Self::CancelElsewhere, "cancel-elsewhere"),
        (Self::Catch, "catch"),
        (Self::Panic, "panic"),
        (Self::PanicInDrop, "panic-in-drop"),
        (Self::Try, "try"),
        (Self::Left, "left"),
        (Self::Callbacks, "callbacks"),
        (Self::Deliver, "deliver"),
        (Self::Await, "await"),
        (Self::Block, "block"),
        (Self::BlockLending, "block-lending"),
        (Self::Timeout, "timeout"),
        (Self::Wakers, "wakers"),
        (Self::Call, "call"),
        (Self::Lend, "lend"),
        (Self::Scope, "scope"),
        (Self::Local, "local"),
        (Self::Several, "several"),
        (Self::Poll, "poll"),
        (Self::Promise, "promise"),
        (Self::Children, "children"),
        (Self::Inner, "inner"),
    ];
    /// All that can be asked for.
    const CHOICES: usize = Self::ALL.len() - 1;

    pub(crate) fn name(index: usize) -> &'static str {
        Self::ALL.get(index).map_or("nothing", |(_, name)| name)
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL[..Self::CHOICES].iter().find(|(_, other)| *other == name).map(|(deed, _)| *deed)
    }

    /// The next one of a mix.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        Self::ALL[dice.index(Self::CHOICES)].0
    }
}
