//! A pipeline over three loops. Its mailboxes are bounded, so its slowest stage, the last one, sets the pace of all of it, up
//! to the thread that feeds it; and there is never more in flight than there is room.
//!
//! `cargo run --release --example pipeline`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, EventLoopGroup, GroupHandle, Handler, Promise, Recipient,
    sleep,
};

const ITEMS: usize = 300;
const STAGES: usize = 3;
/// For how many items each mailbox has room.
const ROOM: usize = 4;
/// What there is at the most: in each stage's mailbox and in its hand, and in the hand of who feeds the first.
const MOST: usize = STAGES * (ROOM + 1) + 1;

/// How many items there are now, and how many there ever were at once.
#[derive(Default)]
struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Item {
    number: usize,
    in_flight: Arc<InFlight>,
}

impl Item {
    fn new(number: usize, in_flight: &Arc<InFlight>) -> Self {
        let now = in_flight.now.fetch_add(1, Relaxed) + 1;
        in_flight.most.fetch_max(now, Relaxed);
        Self { number, in_flight: Arc::clone(in_flight) }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.in_flight.now.fetch_sub(1, Relaxed);
    }
}

enum Next {
    Stage(Recipient<Item>),
    /// There is none: this is the last one. It keeps the promise when it has ended.
    Done(Promise<usize>),
}

struct Stage {
    /// How long it takes for an item.
    pace: Duration,
    handled: usize,
    next: Next,
}

impl Stage {
    fn create(group: &GroupHandle, index: usize, pace: Duration, next: Next) -> Address<Self> {
        let (on, builder) = (group.get(index).expect("a loop a stage"), ActorBuilder::new().mailbox(ROOM));
        builder.create_on(on, move || Self { pace, handled: 0, next })
    }
}

impl Actor for Stage {
    /// A stage ends when it has handled all, and nobody can send it more: the stage before it has ended.
    async fn stopped(&mut self) {
        if let Next::Done(promise) = &mut self.next {
            promise.set_result(self.handled).expect("nobody else sets it");
        }
    }
}

impl Handler<Item> for Stage {
    type Reply = ();

    async fn handle(&mut self, item: Item, context: &mut ActorContext<Self>) {
        assert_eq!(item.number, self.handled, "items come in their order");
        sleep(self.pace).await;
        self.handled += 1;
        if let Next::Stage(next) = &self.next {
            // Here is the back-pressure: while the next one has no room, this one handles nothing.
            if next.tell(item).await.is_err() {
                // It has ended, so there is nobody to work for.
                context.stop();
            }
        }
    }
}

/// Sends all items through, and tells how many came out, and how many there were at the most.
fn run() -> Result<(usize, usize), Box<dyn Error>> {
    let group = EventLoopGroup::builder().loops(STAGES).name("stage").spawn()?;
    let (promise, done) = Promise::new();
    let last = Stage::create(&group, 2, Duration::from_millis(1), Next::Done(promise));
    let middle = Stage::create(&group, 1, Duration::ZERO, Next::Stage(last.recipient()));
    let first = Stage::create(&group, 0, Duration::ZERO, Next::Stage(middle.recipient()));
    // Each stage has the next one's address, and nobody else has.
    drop((middle, last));
    let in_flight = Arc::default();
    for number in 0..ITEMS {
        // Blocks when the first stage has no room.
        first.tell_blocking(Item::new(number, &in_flight)).map_err(|_| "the pipeline has broken")?;
    }
    drop(first);
    let handled = done.result()?;
    Ok((handled, in_flight.most.load(Relaxed)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (handled, most) = run()?;
    println!(
        "{handled} items came out, in their order; at the most {most} were in flight, of {MOST} that can be"
    );
    Ok(())
}

#[test]
fn all_come_out_and_never_more_are_in_flight_than_there_is_room() {
    let (handled, most) = run().expect("nothing in it fails");
    assert_eq!(handled, ITEMS);
    // It was full, as the last stage is slow; and it never burst.
    assert!((ROOM..=MOST).contains(&most), "{most} were in flight");
}
