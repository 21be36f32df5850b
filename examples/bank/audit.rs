//! Closing time: is all the money there?

use std::collections::BTreeMap;
use std::fmt;

use perloop::sleep;

use crate::account::{BEGIN, Line, Statement};
use crate::{Audit, Bank, PATIENCE};

/// What the audit finds.
#[derive(Debug, PartialEq)]
pub(crate) struct Findings {
    pub(crate) balances: Vec<u64>,
    pub(crate) transfers: usize,
    pub(crate) restarts: usize,
    pub(crate) cancelled: usize,
    pub(crate) faults: Vec<String>,
}

/// What all journals say of one transfer.
#[derive(Default)]
struct Trail {
    sent: Vec<u64>,
    received: Vec<u64>,
    arrived: usize,
}

impl Bank {
    /// Waits until nothing is on its way any more, and compares the journals.
    pub(crate) async fn audit(&self, cancelled: usize) -> Findings {
        let statements = self.all_statements().await;
        let balances: Vec<u64> = statements.iter().map(|statement| statement.balance).collect();
        let trails = trails(&statements);
        let mut faults = Vec::new();
        let (money, begin) = (balances.iter().sum::<u64>(), BEGIN * balances.len() as u64);
        if money != begin {
            faults.push(format!("there were {begin}, and there are {money}"));
        }
        for (id, Trail { sent, received, arrived }) in &trails {
            if sent.len() != 1 || sent != received || *arrived != 1 {
                faults.push(format!(
                    "transfer {id}: sent {sent:?}, received {received:?}, confirmed {arrived}"
                ));
            }
        }
        let books = self.books();
        let forgotten = books.accepted.iter().filter(|id| !trails.contains_key(id));
        faults.extend(forgotten.map(|id| format!("transfer {id}: accepted and forgotten")));
        Findings {
            balances,
            transfers: trails.len(),
            restarts: books.lives - self.0.plan.accounts,
            cancelled,
            faults,
        }
    }

    async fn all_statements(&self) -> Vec<Statement> {
        loop {
            let mut statements = Vec::new();
            for number in 0..self.0.plan.accounts {
                statements.push(self.insist(number, || Audit).await);
            }
            if statements.iter().all(|statement| statement.on_the_way == 0) {
                return statements;
            }
            sleep(PATIENCE).await;
        }
    }
}

fn trails(statements: &[Statement]) -> BTreeMap<u64, Trail> {
    let mut trails: BTreeMap<u64, Trail> = BTreeMap::new();
    for line in statements.iter().flat_map(|statement| &statement.journal) {
        match *line {
            Line::Opened(_) => {}
            Line::Sent(transfer) => trails.entry(transfer.id).or_default().sent.push(transfer.amount),
            Line::Received { id, amount } => trails.entry(id).or_default().received.push(amount),
            Line::Arrived(id) => trails.entry(id).or_default().arrived += 1,
        }
    }
    trails
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { balances, transfers, restarts, cancelled, faults } = self;
        let (accounts, money) = (balances.len(), balances.iter().sum::<u64>());
        writeln!(f, "{transfers} transfers between {accounts} accounts")?;
        writeln!(f, "{restarts} restarts of accounts, {cancelled} cancelled tasks")?;
        write!(f, "{money} in the bank, of {}", accounts as u64 * BEGIN)?;
        faults.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}
