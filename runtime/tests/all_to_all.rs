//! Four loops, each of which submits to each, with a limit to each, and their handlers submit too. And the same of actors,
//! whose mailboxes are bounded, and whose handlers tell others.
//!
//! `cargo test --release -p perloop --test all_to_all -- --ignored` runs for 20 seconds, or for as many as the variable
//! `PERLOOP_ALL_TO_ALL_SECONDS` says.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, EventLoopGroup, GroupHandle, Handler, SubmitLimit, TellError,
    create_task, gather, yield_now,
};

const LOOPS: usize = 4;
/// How much may be under way to one loop.
const BOUND: usize = 1_024;

/// What one loop knows of what came to it.
#[derive(Default)]
struct Ledger {
    /// From each loop, in its order.
    messages: [u64; LOOPS],
    /// Sent on by each loop's handlers.
    echoes: [u64; LOOPS],
}

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// The way to each loop, for messages and for what their handlers send on: a limit of its own for each step, or all
/// permits could be held by handlers that wait for one.
#[derive(Clone)]
struct Ways {
    group: GroupHandle,
    limits: Arc<[[SubmitLimit; LOOPS]; 2]>,
}

impl Ways {
    /// Sends numbered messages until the time is up, and says how many.
    async fn send(self, from: usize, to: usize, until: Instant) -> u64 {
        let on = self.group.get(to).expect("one of the loops").clone();
        let mut sent = 0;
        loop {
            let (ways, number) = (self.clone(), sent);
            let handler = || ways.handle(from, to, number);
            drop(self.limits[0][to].submit(&on, handler).await.expect("no fork"));
            sent += 1;
            if sent.is_multiple_of(64) {
                yield_now().await;
            }
            if Instant::now() >= until {
                return sent;
            }
        }
    }

    async fn handle(self, from: usize, at: usize, number: u64) {
        LEDGER.with_borrow_mut(|ledger| {
            assert_eq!(ledger.messages[from], number, "from {from} to {at}");
            ledger.messages[from] += 1;
        });
        let next = (at + 1) % LOOPS;
        let echo = move || async move { LEDGER.with_borrow_mut(|ledger| ledger.echoes[at] += 1) };
        let on = self.group.get(next).expect("one of the loops");
        let sent_on = self.limits[1][next].submit(on, echo).await.expect("no fork");
        sent_on.await.expect("the loop is open");
    }
}

fn all_to_all(time: Duration) {
    let group = EventLoopGroup::builder().loops(LOOPS).spawn().unwrap();
    let limit = |_| SubmitLimit::new(BOUND);
    let limits = Arc::new([[(); LOOPS].map(|()| limit(())), [(); LOOPS].map(|()| limit(()))]);
    let (ways, until) = (Ways { group: group.handle(), limits: Arc::clone(&limits) }, Instant::now() + time);
    let sent = group.broadcast(move |from| async move {
        let senders = (0..LOOPS).map(|to| create_task(ways.clone().send(from, to, until)));
        gather(senders.collect::<Vec<_>>()).await.expect("no sender panics")
    });
    let sent = sent.result().unwrap();
    while limits.iter().flatten().any(|limit| limit.available() < BOUND) {
        thread::yield_now();
    }
    let ledgers = group.broadcast(|_| async { LEDGER.take() }).result().unwrap();
    for (from, sent) in sent.iter().enumerate() {
        let arrived: Vec<_> = ledgers.iter().map(|ledger| ledger.messages[from]).collect();
        assert_eq!(arrived, *sent, "from {from}");
        assert!(sent.iter().all(|sent| *sent > 0));
        let handled: u64 = ledgers[from].messages.iter().sum();
        assert_eq!(ledgers[(from + 1) % LOOPS].echoes[from], handled, "sent on by {from}");
    }
    println!("{} messages, and as many sent on", sent.iter().flatten().sum::<u64>());
    group.join().unwrap();
}

#[test]
fn s_all_to_all_full_queues() {
    all_to_all(Duration::from_secs(1));
}

#[test]
#[ignore = "it takes as long as one likes"]
fn s_all_to_all_for_long() {
    let seconds = std::env::var("PERLOOP_ALL_TO_ALL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    all_to_all(Duration::from_secs(seconds.unwrap_or(20)));
    actors_all_to_all(Duration::from_secs(seconds.unwrap_or(20)));
}

/// An actor of one of the loops.
#[derive(Default)]
struct Peer {
    next: Option<Address<Peer>>,
    ledger: Account,
}

/// What it knows of what came to it, and of what it has sent on.
#[derive(Clone, Default)]
struct Account {
    messages: [u64; LOOPS],
    echoes: u64,
    sent_on: u64,
    /// Echoes that were not sent on, as all would have waited for each other.
    given_up: u64,
}

struct Message {
    from: usize,
    number: u64,
}
struct Echo;
struct Meet(Address<Peer>);
struct Close;

impl Actor for Peer {}

impl Handler<Meet> for Peer {
    type Reply = ();

    async fn handle(&mut self, Meet(next): Meet, _: &mut ActorContext<Self>) {
        self.next = Some(next);
    }
}

impl Handler<Message> for Peer {
    type Reply = ();

    async fn handle(&mut self, Message { from, number }: Message, _: &mut ActorContext<Self>) {
        assert_eq!(self.ledger.messages[from], number, "from {from}");
        self.ledger.messages[from] += 1;
        match self.next.as_ref().expect("they have met").tell(Echo).await {
            Ok(()) => self.ledger.sent_on += 1,
            Err(TellError::WouldDeadlock(Echo, _)) => self.ledger.given_up += 1,
            Err(other) => panic!("{other}"),
        }
    }
}

impl Handler<Echo> for Peer {
    type Reply = ();

    async fn handle(&mut self, _: Echo, _: &mut ActorContext<Self>) {
        self.ledger.echoes += 1;
    }
}

impl Handler<Close> for Peer {
    type Reply = Account;

    /// Else each would keep the next one alive, all round.
    async fn handle(&mut self, _: Close, _: &mut ActorContext<Self>) -> Account {
        self.next = None;
        self.ledger.clone()
    }
}

async fn send(to: Address<Peer>, from: usize, until: Instant) -> u64 {
    for number in 0.. {
        assert!(to.tell(Message { from, number }).await.is_ok(), "it lives");
        if number % 64 == 0 {
            yield_now().await;
        }
        if Instant::now() >= until {
            return number + 1;
        }
    }
    unreachable!("it is over before")
}

fn actors_all_to_all(time: Duration) {
    let group = EventLoopGroup::builder().loops(LOOPS).spawn().unwrap();
    let peer = |on| ActorBuilder::new().mailbox(BOUND).create_on(on, Peer::default);
    let peers: Vec<_> = group.loops().map(peer).collect();
    for (index, peer) in peers.iter().enumerate() {
        peer.ask_blocking(Meet(peers[(index + 1) % LOOPS].clone())).unwrap();
    }
    let (until, all) = (Instant::now() + time, peers.clone());
    let sent = group.broadcast(move |from| async move {
        let senders = all.into_iter().map(|to| create_task(send(to, from, until)));
        gather(senders.collect::<Vec<_>>()).await.expect("no sender panics")
    });
    let sent = sent.result().unwrap();
    // Until all messages are handled, and then until all echoes are.
    peers.iter().for_each(|peer| peer.ask_blocking(Meet(peer.clone())).unwrap());
    let ledgers: Vec<Account> = peers.iter().map(|peer| peer.ask_blocking(Close).unwrap()).collect();
    for (to, ledger) in ledgers.iter().enumerate() {
        let expected: Vec<_> = sent.iter().map(|sent| sent[to]).collect();
        assert_eq!(ledger.messages.as_slice(), expected, "to {to}");
        assert!(expected.iter().all(|sent| *sent > 0));
        assert_eq!(ledger.sent_on + ledger.given_up, expected.iter().sum::<u64>(), "sent on by {to}");
        assert_eq!(ledgers[(to + 1) % LOOPS].echoes, ledger.sent_on, "sent on by {to}");
    }
    let given_up: u64 = ledgers.iter().map(|ledger| ledger.given_up).sum();
    println!("{} messages, of which {given_up} were not sent on", sent.iter().flatten().sum::<u64>());
    group.join().unwrap();
}

#[test]
fn s_all_to_all_of_actors() {
    actors_all_to_all(Duration::from_secs(1));
}
