//! An account: an actor that is what its journal says. The journal outlives it, in the safe of its thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use perloop::{Actor, ActorContext, Handler, get_running_loop};

use crate::Bank;
use crate::chaos::{crash_point, pause};

/// What an account has when it is opened.
pub(crate) const BEGIN: u64 = 100;

/// A transfer, as the account that sends knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Transfer {
    /// No other one has the same, and whoever asks again says the same.
    pub(crate) id: u64,
    pub(crate) to: usize,
    pub(crate) amount: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    Opened(u64),
    /// It has left this account, and is on its way.
    Sent(Transfer),
    Received {
        id: u64,
        amount: u64,
    },
    /// The other account has it.
    Arrived(u64),
}

/// Money comes. It may come twice, and is taken once.
pub(crate) struct Receive {
    pub(crate) id: u64,
    pub(crate) amount: u64,
}

/// The other account has it.
pub(crate) struct Confirm(pub(crate) u64);

/// Sends once more what has not arrived, and tells all.
pub(crate) struct Audit;

#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) balance: u64,
    pub(crate) on_the_way: usize,
    pub(crate) journal: Vec<Line>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct NotEnough;

type Journal = Rc<RefCell<Vec<Line>>>;

thread_local! {
    static SAFE: RefCell<BTreeMap<usize, Journal>> = RefCell::default();
}

/// Throws away what other banks have left in this thread.
pub(crate) fn empty_safe() {
    drop(SAFE.take());
}

pub(crate) struct Account {
    bank: Bank,
    number: usize,
    journal: Journal,
    balance: u64,
    on_the_way: BTreeMap<u64, Transfer>,
    sent: BTreeSet<u64>,
    received: BTreeSet<u64>,
}

impl Account {
    /// Begins with what the journal says, and with a new one if there is none.
    pub(crate) fn open(bank: Bank, number: usize) -> Self {
        bank.books().lives += 1;
        let journal = SAFE.with_borrow_mut(|safe| Rc::clone(safe.entry(number).or_default()));
        let (on_the_way, sent, received) = Default::default();
        let mut account =
            Self { bank, number, journal: Rc::clone(&journal), balance: 0, on_the_way, sent, received };
        if journal.borrow().is_empty() {
            journal.borrow_mut().push(Line::Opened(BEGIN));
        }
        journal.borrow().iter().for_each(|line| account.apply(line));
        account
    }

    /// A line is there or it is not. If a panic comes between it and the account's own state, the next life reads it.
    fn write(&mut self, line: Line) {
        crash_point();
        self.journal.borrow_mut().push(line.clone());
        crash_point();
        self.apply(&line);
        crash_point();
    }

    fn apply(&mut self, line: &Line) {
        match *line {
            Line::Opened(amount) => self.balance = amount,
            Line::Sent(transfer) => {
                self.balance -= transfer.amount;
                self.on_the_way.insert(transfer.id, transfer);
                self.sent.insert(transfer.id);
            }
            Line::Received { id, amount } => {
                self.balance += amount;
                self.received.insert(id);
            }
            Line::Arrived(id) => drop(self.on_the_way.remove(&id)),
        }
    }

    /// Brings money to the other account, by a task of its own: an account that waited for another one would keep up
    /// all who wait for it, and two of them each other for ever.
    fn deliver(&self, Transfer { id, to, amount }: Transfer) {
        let (bank, from) = (self.bank.clone(), self.number);
        let delivery = async move {
            bank.insist(to, || Receive { id, amount }).await;
            bank.insist(from, || Confirm(id)).await;
        };
        let own = get_running_loop().expect("an actor lives on a loop that runs");
        drop(own.create_named_task("delivery", delivery));
    }

    fn deliver_all(&self) {
        self.on_the_way.values().for_each(|transfer| self.deliver(*transfer));
    }
}

impl Actor for Account {
    async fn started(&mut self, _: &mut ActorContext<Self>) {
        self.deliver_all();
    }
}

impl Handler<Transfer> for Account {
    type Reply = Result<(), NotEnough>;

    async fn handle(&mut self, transfer: Transfer, _: &mut ActorContext<Self>) -> Self::Reply {
        pause().await;
        if self.sent.contains(&transfer.id) {
            return Ok(()); // asked again, by somebody who has not heard the answer
        }
        if self.balance < transfer.amount {
            return Err(NotEnough);
        }
        self.write(Line::Sent(transfer));
        self.deliver(transfer);
        pause().await;
        Ok(())
    }
}

impl Handler<Receive> for Account {
    type Reply = ();

    async fn handle(&mut self, Receive { id, amount }: Receive, _: &mut ActorContext<Self>) {
        pause().await;
        if !self.received.contains(&id) || self.bank.is_careless() {
            self.write(Line::Received { id, amount });
        }
    }
}

impl Handler<Confirm> for Account {
    type Reply = ();

    async fn handle(&mut self, Confirm(id): Confirm, _: &mut ActorContext<Self>) {
        if self.on_the_way.contains_key(&id) {
            self.write(Line::Arrived(id));
        }
    }
}

impl Handler<Audit> for Account {
    type Reply = Statement;

    async fn handle(&mut self, _: Audit, _: &mut ActorContext<Self>) -> Statement {
        self.deliver_all();
        let journal = self.journal.borrow().clone();
        Statement { balance: self.balance, on_the_way: self.on_the_way.len(), journal }
    }
}
