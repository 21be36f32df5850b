//! Where actors live, and how those of one loop share its time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, Address, EventLoop, EventLoopGroup, Handler, create_actor, run, sleep,
    yield_now,
};

/// How many messages an actor handles at the most before others have their turn.
const BUDGET: usize = 64;

/// Tells where it is.
struct Citizen;
struct Where;

impl Actor for Citizen {}

impl Handler<Where> for Citizen {
    type Reply = String;

    async fn handle(&mut self, _: Where, _: &mut ActorContext<Self>) -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }
}

#[test]
fn an_actor_lives_where_it_is_put() {
    let group = EventLoopGroup::builder().loops(3).name("town").spawn().unwrap();
    let at = |citizen: &Address<Citizen>| citizen.ask_blocking(Where).unwrap();
    let by_index: Vec<_> = group.loops().map(|on| on.create_actor(|| Citizen)).collect();
    let beside: Vec<_> = by_index.iter().map(|other| other.home().create_actor(|| Citizen)).collect();
    assert_eq!(by_index.iter().map(at).collect::<Vec<_>>(), ["town-0", "town-1", "town-2"]);
    assert_eq!(beside.iter().map(at).collect::<Vec<_>>(), ["town-0", "town-1", "town-2"]);
    let by_turns: Vec<_> = (0..3).map(|_| at(&group.next().create_actor(|| Citizen))).collect();
    assert_eq!(by_turns, ["town-0", "town-1", "town-2"]);
    for key in ["Ada", "Bob", "Eve"] {
        let (first, second) = (group.by_key(key), ActorBuilder::new().name(key));
        let citizens = [first.create_actor(|| Citizen), second.create_on(group.by_key(key), || Citizen)];
        assert_eq!(citizens[0].home(), citizens[1].home());
        assert_eq!(at(&citizens[0]), at(&citizens[1]));
    }
    // An actor is a task of its loop, and so its load.
    let idle = group.least_loaded().create_actor(|| Citizen);
    let load = |index| group.load(index).unwrap();
    let least = (0..3).map(load).min().unwrap();
    assert!(group.loops().zip(0..3).any(|(on, index)| on == idle.home() && load(index) <= least + 1));
}

type Log = Rc<RefCell<Vec<u8>>>;

/// Writes its number each time that it is told.
struct Writer(u8, Log);
struct Write;
/// Also tells itself the same again.
struct WriteOn;

impl Actor for Writer {}

impl Handler<Write> for Writer {
    type Reply = ();

    async fn handle(&mut self, _: Write, _: &mut ActorContext<Self>) {
        self.1.borrow_mut().push(self.0);
    }
}

impl Handler<WriteOn> for Writer {
    type Reply = ();

    async fn handle(&mut self, _: WriteOn, context: &mut ActorContext<Self>) {
        self.1.borrow_mut().push(self.0);
        if let Some(this) = context.address() {
            assert!(this.try_tell(WriteOn).is_ok(), "there is room, and it lives");
        }
    }
}

fn writers(log: &Log, count: u8) -> Vec<Address<Writer>> {
    let writer = |number| {
        let log = Rc::clone(log);
        create_actor(move || Writer(number, log))
    };
    (0..count).map(writer).collect()
}

/// The longest run of one number.
fn longest_run(log: &[u8]) -> usize {
    log.chunk_by(|one, next| one == next).map(<[u8]>::len).max().unwrap_or_default()
}

#[test]
fn actors_with_much_to_do_take_turns() {
    const EACH: usize = 1000;
    let log = Log::default();
    run(async {
        let writers = writers(&log, 3);
        for writer in &writers {
            for _ in 0..EACH {
                assert!(writer.try_tell(Write).is_ok(), "there is room");
            }
        }
        while log.borrow().len() < 3 * EACH {
            yield_now().await;
        }
    })
    .expect("it ends by itself");
    // As long as all have something to do, none has more than its budget at a time.
    let log = log.take();
    assert!(longest_run(&log[..2 * EACH]) <= BUDGET, "{}", longest_run(&log));
}

#[test]
fn actors_that_never_come_to_an_end_let_others_live() {
    let log = Log::default();
    let virtual_time = EventLoop::builder().virtual_time();
    virtual_time
        .run(async {
            let writers = writers(&log, 3);
            assert!(writers[0].try_tell(WriteOn).is_ok() && writers[1].try_tell(WriteOn).is_ok());
            for asked in 1..=100 {
                writers[2].ask(Write).await.expect("it lives");
                let others = log.borrow().iter().filter(|number| **number != 2).count();
                // The question, the reply, and what that wakes: a few turns, in each of which both others have theirs.
                assert!(others <= asked * 4 * 2 * BUDGET, "{others} of others for {asked} questions");
            }
            writers.iter().for_each(Address::stop);
            for writer in &writers {
                writer.ended().await;
            }
        })
        .expect("it ends by itself");
}

#[test]
fn a_timer_is_heard_while_actors_have_no_end_of_work() {
    let log = Log::default();
    run(async {
        let writers = writers(&log, 2);
        for writer in &writers {
            assert!(writer.try_tell(WriteOn).is_ok());
        }
        sleep(Duration::from_millis(5)).await;
    })
    .expect("it ends, and with it they do");
    assert!(longest_run(&log.borrow()) <= BUDGET);
}
