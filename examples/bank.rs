//! A bank whose accounts are actors on several loops. Money goes from loop to loop while handlers panic, tasks are
//! cancelled and accounts begin anew; and at closing time it is all there.
//!
//! `cargo run --release --example bank` does it with threads. The tests do the same in simulations, where a seed decides who
//! is first; so many seeds as one likes:
//!
//! `PERLOOP_SEED=0..10000 cargo test --release -p perloop-examples --example bank`
//!
//! How no money is lost: an account writes what it does into a journal, one line for each deed, which stays in its
//! thread when a panic ends the account, and from which its next life begins, as soon as a supervisor makes it anew.
//! Money that has left one account is *on its way* until the other one has confirmed it. What is on its way is sent
//! again after each restart, and at the audit; so it may come twice, and each transfer has a number, by which it is
//! taken once.

#[path = "bank/account.rs"]
mod account;
#[path = "bank/audit.rs"]
mod audit;
#[path = "bank/chaos.rs"]
mod chaos;
#[path = "stress/dice.rs"]
mod dice;
#[cfg(test)]
#[path = "bank/tests.rs"]
mod tests;

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use perloop::{
    Address, Child, ChildRef, EventLoopGroup, GroupHandle, Handler, Intensity, Supervisor, create_task,
    get_running_loop, sleep,
};

use account::{Account, Audit, NotEnough, Transfer, empty_safe};
use audit::Findings;
use dice::Dice;

/// Who has accounts made anew, and is never cancelled.
const MANAGER: &str = "manager";
/// How long one waits before one asks again.
const PATIENCE: Duration = Duration::from_millis(1);

/// What happens on a day.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    accounts: usize,
    /// On each loop.
    clients: usize,
    /// Of each client.
    transfers: u64,
    /// How often a task is cancelled.
    cancellations: usize,
    /// Takes what comes twice twice.
    is_careless: bool,
}

/// The bank, for any thread.
#[derive(Clone)]
struct Bank(Arc<Inner>);

struct Inner {
    group: GroupHandle,
    plan: Plan,
    /// By number.
    accounts: Vec<ChildRef<Account>>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// How often an account has begun.
    lives: usize,
    /// The transfers of which clients know that they were accepted.
    accepted: Vec<u64>,
}

impl Bank {
    fn open(group: GroupHandle, plan: Plan) -> Self {
        let accounts = (0..plan.accounts).map(|_| ChildRef::new()).collect();
        Self(Arc::new(Inner { group, plan, accounts, books: Mutex::default() }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().expect("nobody panics under it")
    }

    fn is_careless(&self) -> bool {
        self.0.plan.is_careless
    }

    /// Has all accounts made, in turn on each loop, and made anew whenever they fail, under the same address. One
    /// whose task is cancelled gets another address.
    fn manage(&self) -> Address<Supervisor> {
        let any_number = Intensity { restarts: u32::MAX, ..Intensity::default() };
        let mut manager = Supervisor::builder().name(MANAGER).intensity(any_number);
        for (number, account) in self.0.accounts.iter().enumerate() {
            let (bank, on) = (self.clone(), self.0.group.get(number % self.0.group.len()));
            let open = move || Account::open(bank.clone(), number);
            let child = Child::on(on.expect("it is below"), format!("account {number}"), open);
            manager = manager.child(child.known_as(account));
        }
        manager.create()
    }

    /// Asks an account until it answers. What is asked may be done more than once.
    async fn insist<M: Send + 'static, R: Send + 'static>(&self, number: usize, message: impl Fn() -> M) -> R
    where
        Account: Handler<M, Reply = R>,
    {
        loop {
            if let Some(account) = self.0.accounts[number].address()
                && let Ok(answer) = account.ask(message()).await
            {
                return answer;
            }
            sleep(PATIENCE).await;
        }
    }

    /// Moves money between accounts, any amount from any to any.
    async fn be_client(self, number: u64) {
        let Plan { seed, accounts, transfers, .. } = self.0.plan;
        let mut dice = Dice::new(seed ^ 1, usize::try_from(number).expect("few clients"));
        for transfer in 0..transfers {
            let (from, steps) = (dice.index(accounts), 1 + dice.index(accounts - 1));
            let (id, to, amount) =
                (number * transfers + transfer, (from + steps) % accounts, 1 + dice.below(80));
            let outcome = self.insist(from, || Transfer { id, to, amount }).await;
            if outcome != Err(NotEnough) {
                self.books().accepted.push(id);
            }
            sleep(dice.micros(500)).await;
        }
    }

    /// All clients of one loop, each with a task of its own, which may be cancelled.
    async fn serve(self, index: usize) {
        let own = get_running_loop().expect("it runs this");
        let clients = self.0.plan.clients;
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let number = u64::try_from(index * clients + client).expect("few clients");
                own.create_named_task("client", self.clone().be_client(number)).expect("it is open")
            })
            .collect();
        for task in tasks {
            // Cancelled, it has gone home in the middle of something.
            drop(task.await);
        }
    }

    /// Has tasks cancelled on all loops. How many that were comes back.
    async fn cancel_some(self) -> usize {
        let mut dice = Dice::new(self.0.plan.seed ^ 2, 0);
        let mut cancelled = 0;
        for _ in 0..self.0.plan.cancellations {
            sleep(dice.micros(2_000)).await;
            let on = self.0.group.get(dice.index(self.0.group.len())).expect("it is below");
            cancelled += on.run_with(chaos::cancel_one).await.unwrap_or_default();
        }
        cancelled
    }
}

/// A day of a bank, from its opening to the audit.
async fn day(group: GroupHandle, plan: Plan) -> Findings {
    let seed = plan.seed;
    let bank = Bank::open(group.clone(), plan);
    let prepare = move |index| async move {
        empty_safe();
        chaos::set(Some(Dice::new(seed, index)));
    };
    group.broadcast(prepare).await.expect("no loop ends before the bank does");
    let manager = bank.manage();
    let cancelled = create_task(bank.clone().cancel_some());
    let serving = bank.clone();
    group
        .broadcast(move |index| serving.serve(index))
        .await
        .expect("clients are cancelled in their own tasks");
    let cancelled = cancelled.await.expect("nobody cancels it");
    group.broadcast(|_| async { chaos::set(None) }).await.expect("as above");
    let findings = bank.audit(cancelled).await;
    manager.stop();
    assert!(manager.ended().await.is_normal(), "the manager has not given up");
    findings
}

fn main() -> Result<(), Box<dyn Error>> {
    let group = EventLoopGroup::builder().loops(3).spawn()?;
    let plan =
        Plan { seed: 7, accounts: 30, clients: 10, transfers: 100, cancellations: 100, is_careless: false };
    let findings = perloop::run(day(group.handle(), plan))?;
    group.join()?;
    println!("{findings}");
    if findings.faults.is_empty() { Ok(()) } else { Err("money was made or lost".into()) }
}
