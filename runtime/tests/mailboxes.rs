//! Mailboxes under pressure: their bound holds, whatever it is that is told is counted once, and what is not a message comes
//! through.
//!
//! `cargo test --release -p perloop --test mailboxes -- --ignored` runs for 10 seconds, or for as many as the variable
//! `PERLOOP_SLOW_CONSUMER_SECONDS` says.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use perloop::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, EventLoop, Handler, LoopThread, TryTellError,
    create_actor, run, sleep,
};

/// For how many messages a mailbox has room, if nothing else is said.
const BOUND: usize = 1024;
/// If these were kept, it would be seen.
const SIZE: usize = 4096;

/// By how much the process may grow meanwhile, as other tests run beside. All that is sent would be gigabytes.
const LIMIT: usize = 64 << 20;

/// The process's resident memory in bytes; none where the system does not tell.
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// A message of a sender, with its number there.
struct Parcel {
    from: usize,
    number: u64,
    weight: [u8; SIZE],
}

impl Parcel {
    fn new(from: usize, number: u64) -> Self {
        Self { from, number, weight: [from as u8; SIZE] }
    }
}

/// Takes its time, or waits until it may begin.
struct Consumer {
    pace: Duration,
    begin: Option<mpsc::Receiver<()>>,
    /// From each sender.
    taken: Vec<u64>,
    last: Vec<Option<u64>>,
}

impl Consumer {
    fn new(senders: usize, pace: Duration, begin: Option<mpsc::Receiver<()>>) -> Self {
        Self { pace, begin, taken: vec![0; senders], last: vec![None; senders] }
    }
}

impl Actor for Consumer {}

impl Handler<Parcel> for Consumer {
    type Reply = ();

    async fn handle(&mut self, Parcel { from, number, weight }: Parcel, _: &mut ActorContext<Self>) {
        if let Some(begin) = self.begin.take() {
            assert!(begin.recv().is_err());
        }
        if !self.pace.is_zero() {
            sleep(self.pace).await;
        }
        assert!(self.last[from] < Some(number), "a sender's messages come in its order");
        assert_eq!(usize::from(weight[SIZE - 1]), from);
        self.last[from] = Some(number);
        self.taken[from] += 1;
    }
}

struct Taken;

impl Handler<Taken> for Consumer {
    type Reply = Vec<u64>;

    async fn handle(&mut self, _: Taken, _: &mut ActorContext<Self>) -> Vec<u64> {
        self.taken.clone()
    }
}

fn mailbox_is_bounded(sends: u64) {
    let worker = LoopThread::spawn("worker").unwrap();
    let (begin, begins) = mpsc::channel::<()>();
    let consumer = worker.create_actor(|| Consumer::new(1, Duration::ZERO, Some(begins)));
    // It has this one in hand.
    consumer.tell_blocking(Parcel::new(0, 0)).unwrap();
    let before = resident();
    let (mut told, mut full) = (1, 0);
    for number in 1..sends {
        match consumer.try_tell(Parcel::new(0, number)) {
            Ok(()) => told += 1,
            Err(TryTellError::Full(parcel)) => {
                assert_eq!(parcel.number, number, "the message comes back");
                full += 1;
            }
            Err(TryTellError::Stopped(_)) => panic!("it lives"),
        }
    }
    // What it has in hand may still take room.
    assert!((BOUND..=BOUND + 1).contains(&usize::try_from(told).unwrap()), "{told} were told");
    assert_eq!(told + full, sends);
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after.saturating_sub(before) < LIMIT, "from {before} to {after} bytes");
    }
    // Who awaits room, or blocks for it, gets in as others leave.
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let consumer = consumer.clone();
            thread::spawn(move || consumer.ask_blocking(Taken).map(|_| ()))
        })
        .collect();
    drop(begin);
    threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    assert_eq!(consumer.ask_blocking(Taken).unwrap(), [told]);
}

#[test]
fn t_mailbox_default_bounded() {
    mailbox_is_bounded(1_000_000);
}

#[test]
#[ignore = "it is as the one before, and takes longer"]
fn t_mailbox_default_bounded_for_long() {
    mailbox_is_bounded(10_000_000);
}

/// Notes what it hears.
struct Clerk(Rc<RefCell<Vec<String>>>);
struct Letter(u32);
struct Timer(u32);

impl Actor for Clerk {
    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        self.0.borrow_mut().push("stop".to_owned());
    }
}

impl Handler<Letter> for Clerk {
    type Reply = ();

    async fn handle(&mut self, Letter(number): Letter, context: &mut ActorContext<Self>) {
        self.0.borrow_mut().push(format!("letter {number}"));
        if number == 0 {
            for millis in 1..=3 {
                context.tell_later(Duration::from_millis(millis), Timer(millis as u32));
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

impl Handler<Timer> for Clerk {
    type Reply = ();

    async fn handle(&mut self, Timer(number): Timer, _: &mut ActorContext<Self>) {
        self.0.borrow_mut().push(format!("timer {number}"));
    }
}

/// What is not a message has a lane of its own, needs no room, and is heard in its order after the message in hand.
#[test]
fn t_system_lane() {
    let notes = Rc::default();
    let kept = Rc::clone(&notes);
    let ended = EventLoop::builder().virtual_time().run(async move {
        let clerk = ActorBuilder::new().mailbox(4).create(|| Clerk(kept));
        clerk.tell(Letter(0)).await.expect("it lives");
        sleep(Duration::from_micros(500)).await;
        while clerk.try_tell(Letter(1)).is_ok() {}
        // When all timers are over, and before the message in hand is.
        sleep(Duration::from_millis(5)).await;
        clerk.stop();
        (clerk.ended().await, clerk.dead_letters())
    });
    assert_eq!(ended.expect("it ends by itself"), (ActorEnd::Stopped, 4));
    assert_eq!(*notes.borrow(), ["letter 0", "timer 1", "timer 2", "timer 3", "stop"]);
}

/// How many each sender has told, and how many times there was no room.
fn flood(consumer: &Address<Consumer>, from: usize, until: Instant) -> (u64, u64) {
    let (mut told, mut full) = (0, 0);
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        match consumer.try_tell(Parcel::new(from, number)) {
            Ok(()) => told += 1,
            Err(TryTellError::Full(_)) => {
                full += 1;
                if full % 16 == 0 {
                    thread::yield_now();
                }
            }
            Err(TryTellError::Stopped(_)) => panic!("it lives"),
        }
    }
    (told, full)
}

fn slow_consumer(time: Duration) {
    const SENDERS: usize = 8;
    let worker = LoopThread::spawn("worker").unwrap();
    let slow = || Consumer::new(SENDERS, Duration::from_millis(1), None);
    let consumer = worker.create_actor(slow);
    let (until, before) = (Instant::now() + time, resident());
    let sent = thread::scope(|scope| {
        let flood = |from| {
            scope.spawn({
                let consumer = &consumer;
                move || flood(consumer, from, until)
            })
        };
        let senders: Vec<_> = (0..SENDERS).map(flood).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
    });
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after.saturating_sub(before) < LIMIT, "from {before} to {after} bytes");
    }
    // The reply comes when all that was told before has been handled.
    let taken = consumer.ask_blocking(Taken).unwrap();
    let (told, full): (Vec<u64>, Vec<u64>) = sent.into_iter().unzip();
    assert_eq!(taken, told, "all that was accepted was delivered, once");
    assert!(told.iter().sum::<u64>() >= BOUND as u64 && full.iter().sum::<u64>() > 0);
    assert_eq!(consumer.dead_letters(), 0);
    println!("{} told, {} times there was no room", told.iter().sum::<u64>(), full.iter().sum::<u64>());
}

#[test]
fn s_slow_consumer() {
    slow_consumer(Duration::from_millis(500));
}

#[test]
#[ignore = "it takes as long as one likes"]
fn s_slow_consumer_for_long() {
    let seconds =
        std::env::var("PERLOOP_SLOW_CONSUMER_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    slow_consumer(Duration::from_secs(seconds.unwrap_or(10)));
}

#[test]
fn tasks_that_await_room_are_let_in_as_a_slow_consumer_goes_on() {
    const SENDERS: usize = 8;
    const EACH: u64 = 200;
    let virtual_time = EventLoop::builder().virtual_time();
    let taken = virtual_time.run(async {
        let slow = || Consumer::new(SENDERS, Duration::from_millis(1), None);
        let consumer = ActorBuilder::new().mailbox(16).create(slow);
        let senders = (0..SENDERS).map(|from| {
            let consumer = consumer.clone();
            perloop::create_task(async move {
                for number in 0..EACH {
                    assert!(consumer.tell(Parcel::new(from, number)).await.is_ok(), "it lives");
                }
            })
        });
        perloop::gather(senders.collect::<Vec<_>>()).await.expect("none of them fails");
        consumer.ask(Taken).await
    });
    assert_eq!(taken.expect("it ends by itself"), Ok(vec![EACH; SENDERS]));
}

/// Tells at its end how much it was told.
struct Counts(u64, mpsc::Sender<u64>);

impl Actor for Counts {}

impl Handler<Arc<()>> for Counts {
    type Reply = ();

    async fn handle(&mut self, _: Arc<()>, _: &mut ActorContext<Self>) {
        self.0 += 1;
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.1.send(self.0).expect("the test waits for it");
    }
}

/// Tells until that is refused, and says how many times.
fn tell_until_refused(to: &Address<Counts>, message: &Arc<()>) -> u64 {
    let mut sent = 1;
    while to.tell_blocking(Arc::clone(message)).is_ok() {
        sent += 1;
    }
    sent
}

#[test]
fn of_a_loop_that_closes_under_a_flood_each_message_is_handled_or_dead() {
    for _ in 0..20 {
        let worker = LoopThread::spawn("worker").unwrap();
        let (send, counts) = mpsc::channel();
        let (consumer, message) = (worker.create_actor(|| Counts(0, send)), Arc::new(()));
        let sent: u64 = thread::scope(|scope| {
            let flood = || tell_until_refused(&consumer, &message);
            let floods = [scope.spawn(flood), scope.spawn(flood)];
            thread::sleep(Duration::from_millis(1));
            worker.join().unwrap();
            floods.into_iter().map(|flood| flood.join().unwrap()).sum()
        });
        // None: it has never begun.
        let handled = counts.try_recv().unwrap_or_default();
        assert_eq!(handled + consumer.dead_letters() as u64, sent);
        assert_eq!(Arc::strong_count(&message), 1, "each was dropped");
    }
}

#[test]
fn an_actor_that_is_slow_to_begin_has_its_messages_all_the_same() {
    run(async {
        let consumer = create_actor(|| Consumer::new(1, Duration::ZERO, None));
        for number in 0..BOUND as u64 {
            assert!(consumer.try_tell(Parcel::new(0, number)).is_ok());
        }
        assert!(consumer.try_tell(Parcel::new(0, BOUND as u64)).is_err());
        assert_eq!(consumer.ask(Taken).await, Ok(vec![BOUND as u64]));
    })
    .expect("it ends by itself");
}
