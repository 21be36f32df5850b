//! A submitting thread's part of the ledger: it opens accounts, settles those that are over, and says which are off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use crate::deeds::Deed;
use crate::ledger::{Claim, Entry, Ledger, OPEN_LIMIT};
use crate::word::{CALLBACK_CALLED, CALLBACK_MADE, End, PRODUCT_MADE, WORK_BEGUN, WORK_MADE};

/// How many submissions a thread opens between two sweeps.
const SWEEP_INTERVAL: usize = 256;
const FAULTS_KEPT: usize = 20;

/// What the settled accounts add up to.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) ends: [[u64; End::ALL.len()]; Deed::ALL.len()],
    pub(crate) bodies: u64,
    pub(crate) begun: u64,
    pub(crate) values: u64,
    pub(crate) callbacks: u64,
    pub(crate) called: u64,
    pub(crate) most_open: usize,
    pub(crate) faults: Vec<String>,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: Self) {
        let sums = self.ends.iter_mut().flatten().zip(other.ends.iter().flatten());
        sums.for_each(|(sum, more)| *sum += more);
        self.bodies += other.bodies;
        self.begun += other.begun;
        self.values += other.values;
        self.callbacks += other.callbacks;
        self.called += other.called;
        self.most_open += other.most_open;
        self.faults.extend(other.faults);
    }

    pub(crate) fn of_deed(&self, deed: usize) -> u64 {
        self.ends[deed].iter().sum()
    }

    pub(crate) fn of_end(&self, end: End) -> u64 {
        self.ends.iter().map(|ends| ends[end as usize]).sum()
    }

    pub(crate) fn submissions(&self) -> u64 {
        self.ends.iter().flatten().sum()
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(text);
        }
    }

    fn settle(&mut self, entry: &Entry) {
        let Entry { word, deed, .. } = *entry;
        if let Err(why) = word.audit(deed == Deed::Call as usize) {
            self.fault(format!("{why}: {entry}"));
        }
        self.ends[deed][word.end().unwrap_or(End::Unheard) as usize] += 1;
        self.bodies += word.count(WORK_MADE);
        self.begun += word.count(WORK_BEGUN);
        self.values += word.count(PRODUCT_MADE);
        self.callbacks += word.count(CALLBACK_MADE);
        self.called += word.count(CALLBACK_CALLED);
    }
}

/// A submitting thread's own part of the ledger.
pub(crate) struct Book {
    ledger: Arc<Ledger>,
    thread: u64,
    opened: u64,
    free: Vec<usize>,
    open: VecDeque<usize>,
    tally: Tally,
}

impl Book {
    pub(crate) fn new(ledger: &Arc<Ledger>, thread: usize) -> Self {
        let free = (thread * OPEN_LIMIT..(thread + 1) * OPEN_LIMIT).rev().collect();
        let thread = u64::try_from(thread).expect("few threads");
        Self {
            ledger: Arc::clone(ledger),
            thread,
            opened: 0,
            free,
            open: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn open(&mut self, deed: Deed) -> Claim {
        if self.open.len() % SWEEP_INTERVAL == SWEEP_INTERVAL - 1 {
            self.sweep();
        }
        let index = loop {
            match self.free.pop() {
                Some(index) => break index,
                // Others go on meanwhile, and end the loops that hold these.
                None => thread::yield_now(),
            }
            self.sweep();
        };
        self.open.push_back(index);
        self.tally.most_open = self.tally.most_open.max(self.open.len());
        self.opened += 1;
        self.ledger.open(index, deed, self.thread << 48 | self.opened)
    }

    /// Settles those whose last token is gone.
    fn sweep(&mut self) {
        for _ in 0..self.open.len() {
            let Some(index) = self.open.pop_front() else { return };
            let entry = self.ledger.read(index);
            if entry.word.is_open() {
                self.open.push_back(index);
                continue;
            }
            self.tally.settle(&entry);
            self.free.push(index);
        }
    }

    /// All is over: what is not settled now is lost.
    pub(crate) fn close(mut self) -> Tally {
        self.sweep();
        for index in std::mem::take(&mut self.open) {
            self.tally.fault(format!("lost: {}", self.ledger.read(index)));
        }
        self.tally
    }
}
