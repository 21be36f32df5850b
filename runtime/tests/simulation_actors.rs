//! Whatever becomes of an actor, in whatever order: each message is handled, a dead letter, or given back; those of one sender
//! are handled in order; and each question has one answer.
#![expect(clippy::disallowed_types, reason = "what is sent is `Send`, and counts there")]

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, AskError, GroupHandle, Handler, Simulation, TryTellError,
    create_task, sleep, timeout, yield_now,
};

const SENDERS: usize = 4;
const MESSAGES: usize = 12;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn time(&mut self) -> Duration {
        Duration::from_millis(self.below(5))
    }
}

#[derive(Default)]
struct Counts {
    alive: AtomicUsize,
    handled: AtomicUsize,
    /// Given to the actor in any way.
    sent: AtomicUsize,
    /// Given back, as there was no room.
    full: AtomicUsize,
    /// Given up by the sender, who does not know how far it was.
    unknown: AtomicUsize,
    /// Answered, refused, and failed.
    ends: [AtomicUsize; 3],
}

fn add(to: &AtomicUsize) {
    to.fetch_add(1, Relaxed);
}

struct Message {
    sender: usize,
    serial: usize,
    counts: Arc<Counts>,
}

impl Message {
    fn new(sender: usize, serial: usize, counts: &Arc<Counts>) -> Self {
        add(&counts.alive);
        add(&counts.sent);
        Self { sender, serial, counts: Arc::clone(counts) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.counts.alive.fetch_sub(1, Relaxed);
    }
}

struct Mortal {
    dice: Dice,
    /// Of each sender, the serial number of its next message or less.
    next: [usize; SENDERS],
}

impl Actor for Mortal {}
impl Handler<Message> for Mortal {
    type Reply = usize;

    async fn handle(&mut self, message: Message, context: &mut ActorContext<Self>) -> usize {
        add(&message.counts.handled);
        assert!(message.serial >= self.next[message.sender], "an older message comes later");
        self.next[message.sender] = message.serial + 1;
        match self.dice.below(40) {
            0 => resume_unwind(Box::new("mortal")),
            1 => context.stop(),
            2..10 => sleep(self.dice.time()).await,
            10..20 => yield_now().await,
            _ => {}
        }
        message.serial
    }
}

async fn send(to: Address<Mortal>, sender: usize, mut dice: Dice, counts: Arc<Counts>) {
    for serial in 0..MESSAGES {
        let message = Message::new(sender, serial, &counts);
        match dice.below(6) {
            0 => drop(to.tell(message).await),
            1 => match to.try_tell(message) {
                Err(TryTellError::Full(_)) => add(&counts.full),
                Ok(()) | Err(TryTellError::Stopped(_)) => {}
            },
            2 => {
                if timeout(dice.time(), to.tell(message)).await.is_err() {
                    add(&counts.unknown);
                }
            }
            3 => {
                if timeout(dice.time(), to.ask(message)).await.is_err() {
                    add(&counts.unknown);
                }
            }
            4 => {
                let (to, unknown) = (to.clone(), Arc::clone(&counts));
                let asks = create_task(async move { to.ask(message).await.is_ok() });
                sleep(dice.time()).await;
                asks.cancel();
                if asks.await.is_err() {
                    add(&unknown.unknown);
                }
            }
            _ => match to.ask(message).await {
                Ok(answer) => {
                    assert_eq!(answer, serial);
                    add(&counts.ends[0]);
                }
                Err(AskError::Stopped) => add(&counts.ends[1]),
                Err(AskError::Panicked(panicked)) => {
                    assert_eq!(panicked.message(), "mortal");
                    add(&counts.ends[2]);
                }
                Err(other) => panic!("{other}"),
            },
        }
        if dice.below(3) == 0 {
            sleep(dice.time()).await;
        }
    }
}

async fn program(group: GroupHandle, mut dice: Dice, counts: Arc<Counts>) {
    let room = 1 + dice.below(4) as usize;
    let fate = Dice(dice.below(u64::MAX));
    let on = group.get(dice.below(3) as usize).unwrap();
    let mortal =
        ActorBuilder::new().mailbox(room).create_on(on, || Mortal { dice: fate, next: [0; SENDERS] });
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let (to, chance, counts) = (mortal.clone(), Dice(dice.below(u64::MAX)), Arc::clone(&counts));
        let from = group.get(dice.below(3) as usize).unwrap();
        senders.push(from.run_with(move || send(to, sender, chance, counts)));
    }
    if dice.below(2) == 0 {
        sleep(3 * dice.time()).await;
        mortal.stop();
    }
    for sender in senders {
        sender.await.unwrap();
    }
    mortal.stop();
    mortal.ended().await;
    let [handled, sent, full, unknown] =
        [&counts.handled, &counts.sent, &counts.full, &counts.unknown].map(|count| count.load(Relaxed));
    let (seen, known) = (handled + mortal.dead_letters(), sent - full);
    assert_eq!(sent, SENDERS * MESSAGES);
    assert!((known - unknown..=known).contains(&seen), "{seen} of {known}, and {unknown} are unknown");
}

#[test]
fn every_message_is_handled_dead_or_given_back() {
    let mut all = [0; 5];
    let mut runs = 0;
    Simulation::check(0..500, |simulation| {
        let counts = Arc::new(Counts::default());
        let (dice, counted) = (Dice(simulation.seed()), Arc::clone(&counts));
        simulation.loops(3).run(|group| program(group, dice, counted)).unwrap();
        assert_eq!(counts.alive.load(Relaxed), 0, "dropped");
        let found = [&counts.ends[0], &counts.ends[1], &counts.ends[2], &counts.full, &counts.unknown];
        all.iter_mut().zip(found).for_each(|(sum, count)| *sum += count.load(Relaxed));
        runs += 1;
    });
    println!("{all:?}");
    assert!(runs < 100 || all.iter().all(|count| *count > runs / 50), "{all:?}");
}
