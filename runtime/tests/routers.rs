//! Routers: whose turn it is, whom a key belongs to, who has heard, and what becomes of those that end.

use std::thread;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, EventLoop, EventLoopGroup, Handler, LoopThread, Recipient,
    Router, create_actor, sleep, yield_now,
};

/// Counts what it is told, after a while if it is slow.
struct Counter {
    count: u32,
    pace: Duration,
}

#[derive(Clone)]
struct Tick;
struct Count;
struct Fail;

impl Actor for Counter {}

impl Handler<Tick> for Counter {
    type Reply = ();

    async fn handle(&mut self, _: Tick, _: &mut ActorContext<Self>) {
        sleep(self.pace).await;
        self.count += 1;
    }
}

impl Handler<Count> for Counter {
    type Reply = u32;

    async fn handle(&mut self, _: Count, _: &mut ActorContext<Self>) -> u32 {
        self.count
    }
}

impl Handler<Fail> for Counter {
    type Reply = ();

    async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
        std::panic::resume_unwind(Box::new("meant"));
    }
}

fn counter() -> Counter {
    Counter { count: 0, pace: Duration::ZERO }
}

fn counters(count: usize) -> Vec<Address<Counter>> {
    (0..count).map(|_| create_actor(counter)).collect()
}

fn play<F: Future<Output = ()> + 'static>(program: F) {
    EventLoop::builder().virtual_time().run(program).expect("it ends by itself");
}

#[test]
fn members_have_their_turns_whichever_clone_is_asked() {
    play(async {
        let all = counters(3);
        let mut router = Router::new(all.clone());
        let mut clones: Vec<_> = (0..3).map(|_| router.clone()).collect();
        for turn in 0..9 {
            let at = if turn % 2 == 0 { &mut router } else { &mut clones[turn % 3] };
            assert_eq!(at.next_member(), Some(&all[turn % 3]), "turn {turn}");
        }
        // Also if a new clone is made for each.
        let next: Vec<_> = (0..3).map(|_| router.clone().next_member().cloned().unwrap()).collect();
        assert_eq!(next, all);
    });
}

#[test]
fn members_that_end_are_passed_over_and_taken_out() {
    play(async {
        let all = counters(4);
        let (mut router, mut other) = (Router::new(all.clone()), Router::new([]));
        assert_eq!(other.next_member(), None);
        other.add(all[0].clone());
        all[1].stop();
        all[3].ask(Fail).await.expect_err("it panics");
        all[1].ended().await;
        for _ in 0..4 {
            assert!([&all[0], &all[2]].contains(&router.next_member().unwrap()));
        }
        assert_eq!(router.members(), [all[0].clone(), all[2].clone()]);
        for address in &all {
            address.stop();
            address.ended().await;
        }
        assert!(
            router.next_member().is_none() && router.by_key("any").is_none() && other.by_key(&1).is_none()
        );
        assert!(router.members().is_empty());
        // It is not over for good.
        let next = create_actor(counter);
        router.add(next.clone());
        assert_eq!(router.clone().next_member(), Some(&next));
    });
}

#[test]
fn a_key_stays_with_its_member_as_others_come() {
    play(async {
        let mut router = Router::new(counters(4));
        let of = |router: &mut Router<Address<Counter>>| -> Vec<Address<Counter>> {
            (0..1000).map(|key| router.by_key(&key).unwrap().clone()).collect()
        };
        let before = of(&mut router);
        let new = create_actor(counter);
        router.add(new.clone());
        let after = of(&mut router);
        let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        assert!(moved.iter().all(|(_, after)| **after == new) && (100..300).contains(&moved.len()));
        // The new one takes the place of one that goes, and nobody else's keys move.
        let gone = router.members()[1].clone();
        router.remove(&gone);
        for (before, now) in after.iter().zip(of(&mut router)) {
            assert!(*before == now || *before == gone || *before == new);
        }
    });
}

#[test]
fn a_broadcast_waits_for_room_and_says_who_has_heard() {
    play(async {
        let make = |pace| move || Counter { count: 0, pace: Duration::from_millis(pace) };
        let slow = ActorBuilder::new().mailbox(1).create(make(5));
        let [fast, gone] = [create_actor(make(0)), create_actor(make(0))];
        let mut router = Router::new([slow.clone(), gone.clone(), fast.clone()]);
        gone.stop();
        gone.ended().await;
        let heard = router.broadcast(Tick).await;
        assert_eq!((heard.told.len(), heard.ended), (2, vec![gone]));
        yield_now().await;
        assert_eq!(router.try_broadcast(Tick).told.len(), 2);
        let none = router.try_broadcast(Tick);
        assert_eq!((none.told, none.full), (vec![fast.clone()], vec![slow.clone()]));
        // The fast one hears of it while the slow one has no room.
        let mut waits = router.clone();
        let broadcast = perloop::create_task(async move { waits.broadcast(Tick).await });
        sleep(Duration::from_millis(1)).await;
        assert!(!broadcast.done());
        assert_eq!(fast.ask(Count).await, Ok(4));
        assert_eq!(broadcast.await.expect("it is not cancelled").told.len(), 2);
        assert_eq!(slow.ask(Count).await, Ok(3));
    });
}

#[test]
fn recipients_are_equal_if_they_are_of_one_actor() {
    play(async {
        let all = counters(2);
        let [one, same, other] = [&all[0], &all[0], &all[1]].map(Address::recipient::<Tick>);
        assert!(one == same && one != other);
        assert!(one.downgrade().upgrade() == Some(same));
        let router = Router::new([one.clone(), other]);
        assert!(router.remove(&one) && !router.remove(&one));
    });
}

#[test]
fn one_who_tells_itself_too_is_not_waited_for() {
    struct Gossip(Vec<Address<Gossip>>);
    #[derive(Clone)]
    struct Rumour;
    struct Spread;
    impl Actor for Gossip {}
    impl Handler<Rumour> for Gossip {
        type Reply = ();

        async fn handle(&mut self, _: Rumour, _: &mut ActorContext<Self>) {}
    }
    impl Handler<Spread> for Gossip {
        type Reply = (usize, usize);

        async fn handle(&mut self, _: Spread, context: &mut ActorContext<Self>) -> (usize, usize) {
            let this = context.address().expect("it is asked");
            this.try_tell(Rumour).expect("there is room");
            let mut all = Router::new(self.0.drain(..).chain([this]));
            let heard = all.broadcast(Rumour).await;
            (heard.told.len(), heard.full.len())
        }
    }
    play(async {
        let other = create_actor(|| Gossip(Vec::new()));
        let gossip = ActorBuilder::new().mailbox(1).create(|| Gossip(vec![other]));
        assert_eq!(gossip.ask(Spread).await, Ok((1, 1)));
    });
}

#[test]
fn threads_share_a_router_over_the_loops_of_a_group() {
    const THREADS: usize = 4;
    const TOLD: u32 = 300;
    let group = EventLoopGroup::builder().loops(3).spawn().unwrap();
    let all: Vec<_> = group.loops().map(|on| on.create_actor(counter)).collect();
    let ticks: Router<Recipient<Tick>> = Router::new(all.iter().map(Address::recipient));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let mut ticks = ticks.clone();
            scope.spawn(move || {
                for _ in 0..TOLD {
                    ticks.next_member().expect("they live").tell_blocking(Tick).expect("they live");
                }
            });
        }
    });
    let counts: Vec<_> = all.iter().map(|counter| counter.ask_blocking(Count).unwrap()).collect();
    assert_eq!(counts, [TOLD * THREADS as u32 / 3; 3]);
}

#[test]
fn members_come_and_go_under_load_and_nothing_is_lost() {
    const ROUNDS: u32 = 200;
    let worker = LoopThread::spawn("worker").unwrap();
    let router = Router::new([worker.create_actor(counter)]);
    let mut all = vec![router.clone().members()[0].clone()];
    let told: u32 = thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let mut router = router.clone();
                scope.spawn(move || {
                    let tells = (0..10 * ROUNDS).filter(|_| {
                        let member = router.next_member().expect("one is always there");
                        member.tell_blocking(Tick).is_ok()
                    });
                    u32::try_from(tells.count()).unwrap()
                })
            })
            .collect();
        for round in 0..ROUNDS {
            let new = worker.create_actor(counter);
            router.add(new.clone());
            all.push(new);
            let old = &all[all.len() - 2];
            // Every other one leaves it again.
            if round % 2 == 0 {
                router.remove(old);
            }
        }
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let handled: u32 = all.iter().map(|counter| counter.ask_blocking(Count).unwrap()).sum();
    assert_eq!(handled, told);
    assert_eq!(router.clone().members().len(), 1 + ROUNDS as usize / 2);
}
