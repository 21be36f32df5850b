//! The ledger: one word for each submission, in which everything that is made, dropped, called and told is counted.
//!
//! All counting is relaxed, so that only perloop itself orders what two threads do, and a sanitizer sees it if it
//! doesn't. An account is settled when the last of its tokens is gone; then its word must be one of the exact ones.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ThreadId};

use perloop::FutureError;

use crate::deeds::Deed;
use crate::word::{
    CALLBACK_CALLED, CALLBACK_DROPPED, CALLBACK_MADE, END, End, PRODUCT_DROPPED, PRODUCT_MADE, TOKEN, TOLD,
    WORK_BEGUN, WORK_DROPPED, WORK_MADE, Word,
};

/// What is thrown on purpose.
pub(crate) const MEANT: &str = "meant";
/// How many submissions of one thread can be on their way at once. Loops end after fewer, so it can't fill up.
pub(crate) const OPEN_LIMIT: usize = 8192;

/// An account. Apart from its neighbours, so that two do not share a cache line.
#[derive(Default)]
#[repr(align(64))]
struct Shared {
    word: AtomicU64,
    number: AtomicU64,
    deed: AtomicU8,
}

impl Shared {
    fn read(&self) -> Entry {
        let deed = usize::from(self.deed.load(Relaxed));
        Entry { word: Word(self.word.load(Relaxed)), number: self.number.load(Relaxed), deed }
    }
}

/// What was read of an account. Only its submitter can tell that all of it is of one submission.
pub(crate) struct Entry {
    pub(crate) word: Word,
    pub(crate) deed: usize,
    number: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", name(self.number), Deed::name(self.deed), self.word)
    }
}

fn name(number: u64) -> String {
    format!("submission {} of thread {}", number & 0xffff_ffff_ffff, number >> 48)
}

/// All accounts, and the sums over them.
pub(crate) struct Ledger {
    entries: Box<[Shared]>,
    made: AtomicU64,
    read: AtomicU64,
    unread: AtomicU64,
    astray: AtomicU64,
    ghosts: AtomicU64,
    surprises: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        let zero = AtomicU64::default;
        Arc::new(Self {
            entries: (0..threads * OPEN_LIMIT).map(|_| Shared::default()).collect(),
            made: zero(),
            read: zero(),
            unread: zero(),
            astray: zero(),
            ghosts: zero(),
            surprises: zero(),
        })
    }

    /// Says and counts it if something is not as it must be.
    pub(crate) fn check(&self, is_right: bool, what: &str) {
        if !is_right {
            self.surprises.fetch_add(1, Relaxed);
            eprintln!("fault: {what}");
        }
    }

    /// The sums, and what is wrong with them.
    pub(crate) fn sums(&self, faults: &mut Vec<String>) -> String {
        let [made, read, unread] = [&self.made, &self.read, &self.unread].map(|sum| sum.load(Relaxed));
        if made != read.wrapping_add(unread) {
            faults.push(format!(
                "the values made sum up to {made}, those read and dropped to {read} + {unread}"
            ));
        }
        for (count, what) in [
            (&self.astray, "bodies were dropped away from home"),
            (&self.ghosts, "tokens belonged to a submission that was over"),
            (&self.surprises, "things were not as they must be"),
        ] {
            if count.load(Relaxed) > 0 {
                faults.push(format!("{} {what}", count.load(Relaxed)));
            }
        }
        format!("{made:016x} made = {read:016x} read + {unread:016x} dropped unread")
    }

    /// Begins a submission in an account that is settled.
    pub(crate) fn open(self: &Arc<Self>, index: usize, deed: Deed, number: u64) -> Claim {
        let entry = &self.entries[index];
        let word = Word(entry.word.load(Relaxed)).next();
        entry.number.store(number, Relaxed);
        entry.deed.store(deed as u8, Relaxed);
        entry.word.store(word.0, Relaxed);
        let account = Account { ledger: Arc::clone(self), index, generation: word.generation(), number };
        Claim { account, is_open: true }
    }

    pub(crate) fn read(&self, index: usize) -> Entry {
        self.entries[index].read()
    }

    /// Those that are open, for who wants to know what hangs.
    pub(crate) fn describe_open(&self, limit: usize) -> String {
        let open: Vec<_> =
            self.entries.iter().map(Shared::read).filter(|entry| entry.word.is_open()).collect();
        let shown = open.iter().take(limit).fold(String::new(), |text, entry| text + &format!("  {entry}\n"));
        format!("{shown}  {} submissions are open", open.len())
    }
}

/// A place in the ledger, in the time of one submission.
#[derive(Clone)]
pub(crate) struct Account {
    ledger: Arc<Ledger>,
    index: usize,
    generation: u64,
    number: u64,
}

impl Account {
    fn add(&self, amount: u64) {
        let before = self.ledger.entries[self.index].word.fetch_add(amount, Relaxed);
        if Word(before).generation() != self.generation {
            self.ledger.ghosts.fetch_add(1, Relaxed);
        }
    }

    /// Is the body gone, with all that it owned?
    pub(crate) fn is_body_gone(&self) -> bool {
        Word(self.ledger.entries[self.index].word.load(Relaxed)).count(WORK_DROPPED) > 0
    }

    pub(crate) fn check(&self, is_right: bool, what: &str) {
        if !is_right {
            self.ledger.check(false, &format!("{}: {what}", name(self.number)));
        }
    }

    pub(crate) fn tell(&self, end: End) {
        self.add(TOLD + END * (end as u64 + 1));
    }

    fn work(&self) -> Work {
        self.add(TOKEN + WORK_MADE);
        Work { account: self.clone(), home: None, load: load(self.number) }
    }

    fn callback(&self) -> Callback {
        self.add(TOKEN + CALLBACK_MADE);
        Callback { account: self.clone(), load: load(self.number) }
    }
}

/// Plain memory that one thread writes and another reads.
fn load(number: u64) -> Box<[u64; 2]> {
    Box::new([number, !number])
}

fn is_whole(load: &[u64; 2]) -> bool {
    load[0] == !load[1]
}

/// The right to tell how a submission ended. Dropped without a word, it was unheard.
pub(crate) struct Claim {
    account: Account,
    is_open: bool,
}

impl Claim {
    pub(crate) fn account(&self) -> Account {
        self.account.clone()
    }

    pub(crate) fn work(&self) -> Work {
        self.account.work()
    }

    pub(crate) fn callback(&self) -> Callback {
        self.account.callback()
    }

    pub(crate) fn is_body_gone(&self) -> bool {
        self.account.is_body_gone()
    }

    pub(crate) fn check(&self, is_right: bool, what: &str) {
        self.account.check(is_right, what);
    }

    pub(crate) fn tell(mut self, end: End) {
        self.account.tell(end);
        self.is_open = false;
    }

    /// What `End::of` says. If somebody else has the value, that one tells.
    pub(crate) fn hear(mut self, outcome: Result<Product, FutureError>) {
        if let Some(end) = heard(outcome, &self.account.ledger) {
            self.account.tell(end);
        }
        self.is_open = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_open {
            self.account.tell(End::Unheard);
        }
        self.account.add(0u64.wrapping_sub(TOKEN));
    }
}

/// What a body owns.
pub(crate) struct Work {
    account: Account,
    home: Option<ThreadId>,
    load: Box<[u64; 2]>,
}

impl Work {
    /// From now on it belongs to this thread.
    pub(crate) fn begin(&mut self) {
        self.account.add(WORK_BEGUN);
        self.account.ledger.check(is_whole(&self.load), "what a body owns is torn");
        self.home = Some(thread::current().id());
    }

    pub(crate) fn make(&self) -> Product {
        self.account.add(TOKEN + PRODUCT_MADE);
        self.account.ledger.made.fetch_add(self.account.number, Relaxed);
        Product { account: self.account.clone(), load: load(self.account.number), is_read: false }
    }

    pub(crate) fn check(&self, is_right: bool, what: &str) {
        self.account.check(is_right, what);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.check(is_whole(&self.load), "what a body owns was torn when it was dropped");
        if self.home.is_some_and(|home| home != thread::current().id()) {
            self.account.ledger.astray.fetch_add(1, Relaxed);
        }
        self.account.add(WORK_DROPPED - TOKEN);
    }
}

/// A value.
pub(crate) struct Product {
    account: Account,
    load: Box<[u64; 2]>,
    is_read: bool,
}

impl Product {
    pub(crate) fn read(mut self) {
        self.is_read = true;
    }

    /// As the submission's end, by whoever took it from under its claimant.
    pub(crate) fn read_and_tell(self) {
        self.account.tell(End::Completed);
        self.read();
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let ledger = &self.account.ledger;
        ledger.check(is_whole(&self.load) && self.load[0] == self.account.number, "a value is torn");
        let sum = if self.is_read { &ledger.read } else { &ledger.unread };
        sum.fetch_add(self.load[0], Relaxed);
        self.account.add(PRODUCT_DROPPED - TOKEN);
    }
}

/// What a callback owns.
pub(crate) struct Callback {
    account: Account,
    load: Box<[u64; 2]>,
}

impl Callback {
    pub(crate) fn call(&self) {
        self.account.ledger.check(is_whole(&self.load), "what a callback owns is torn");
        self.account.add(CALLBACK_CALLED);
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.account.add(CALLBACK_DROPPED - TOKEN);
    }
}

/// Reads the value, if there is one. `None`: somebody else has it.
fn heard(outcome: Result<Product, FutureError>, ledger: &Ledger) -> Option<End> {
    Some(match outcome {
        Ok(product) => {
            product.read();
            End::Completed
        }
        Err(FutureError::Taken) => return None,
        Err(FutureError::Cancelled) => End::Cancelled,
        Err(FutureError::LoopClosed(_)) => End::Refused,
        Err(FutureError::LoopDied(_)) => End::Died,
        Err(FutureError::Panicked(panicked)) => {
            let is_meant = [MEANT, "a payload that is no text"].contains(&panicked.message());
            ledger.check(is_meant, panicked.message());
            End::Panicked
        }
        Err(error @ (FutureError::Forked(_) | FutureError::TimedOut | FutureError::WouldDeadlock(_))) => {
            ledger.check(false, &format!("no way to end: {error}"));
            End::Refused
        }
    })
}
