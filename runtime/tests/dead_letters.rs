//! Messages that nobody handles: each is counted, and ends its `ask`.

use std::future::pending;
use std::thread;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, AskError, EventLoop, Handler, LoopThread, WhenFull,
    create_task, sleep, yield_now,
};

/// Remembers what it was told, and waits at zero.
#[derive(Default)]
struct Latest(Vec<u32>);

impl Actor for Latest {}

impl Handler<u32> for Latest {
    type Reply = Vec<u32>;

    async fn handle(&mut self, number: u32, _: &mut ActorContext<Self>) -> Vec<u32> {
        if number == 0 {
            pending::<()>().await;
        }
        self.0.push(number);
        self.0.clone()
    }
}

fn latest(capacity: usize) -> Address<Latest> {
    ActorBuilder::new().mailbox(capacity).when_full(WhenFull::DropOldest).create(Latest::default)
}

/// Plays a program in virtual time.
fn play<F: Future + 'static>(program: F) {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.run_until_complete(program).map(drop).expect("it ends by itself");
    event_loop.close().expect("it does not run");
}

#[test]
fn the_oldest_make_room_and_their_asks_end_with_an_error() {
    play(async {
        let latest = latest(2);
        latest.try_tell(0).expect("there is room");
        yield_now().await;
        let asks: Vec<_> = (1..=5)
            .map(|number| {
                let latest = latest.clone();
                create_task(async move { latest.ask(number).await })
            })
            .collect();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(asks.iter().map(|ask| ask.done()).collect::<Vec<_>>(), [true, true, true, false, false]);
        for ask in asks.into_iter().take(3) {
            assert_eq!(ask.await, Ok(Err(AskError::Dropped)));
        }
        assert_eq!(latest.dead_letters(), 3);
        latest.kill();
        latest.ended().await;
        assert_eq!(latest.dead_letters(), 5);
        assert!(latest.tell(6).await.is_err() && latest.try_tell(7).is_err());
        assert_eq!(latest.ask(8).await, Err(AskError::Stopped));
        assert_eq!(latest.dead_letters(), 8);
    });
}

#[test]
fn nobody_waits_for_room_and_what_came_last_comes_in_order() {
    play(async {
        let latest = latest(3);
        for number in 1..=100 {
            latest.tell(number).await.expect("there is always room");
        }
        let mut seen = latest.ask(101).await.expect("it lives");
        assert_eq!(seen.split_off(seen.len() - 2), [100, 101]);
        sleep(Duration::from_millis(1)).await;
        let handled = latest.ask(102).await.expect("it lives").len();
        assert_eq!(handled + latest.dead_letters(), 102);
    });
}

#[test]
fn a_flood_from_threads_loses_none_that_is_not_counted() {
    const EACH: u32 = 20_000;
    let home = LoopThread::spawn("home").expect("a thread");
    let latest =
        ActorBuilder::new().mailbox(16).when_full(WhenFull::DropOldest).create_on(&home, Latest::default);
    let tellers = [(); 2].map(|()| {
        let latest = latest.clone();
        thread::spawn(move || {
            (1..=EACH).for_each(|number| latest.try_tell(number).expect("there is always room"))
        })
    });
    tellers.into_iter().for_each(|teller| teller.join().expect("it does not panic"));
    let handled = latest.ask_blocking(EACH + 1).expect("it lives");
    assert_eq!(handled.len() + latest.dead_letters(), 2 * EACH as usize + 1);
    assert_eq!(handled.last(), Some(&(EACH + 1)));
}
