//! Actors: what is told and asked, in which order, and how each of them ends.

use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, AskError, EventLoop, Handler, LoopThread,
    Recipient, TellError, TryTellError, WeakAddress, create_actor, create_task, gather, new_event_loop, run,
    sleep, timeout, yield_now,
};

type Notes = Rc<RefCell<Vec<String>>>;

fn note(notes: &Notes, text: impl Into<String>) {
    notes.borrow_mut().push(text.into());
}

/// Writes down what it is told, and does what it is asked.
struct Scribe {
    notes: Notes,
}

impl Scribe {
    fn create(notes: &Notes) -> Address<Self> {
        let notes = Rc::clone(notes);
        create_actor(|| Self { notes })
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        note(&self.notes, "dropped");
    }
}

impl Actor for Scribe {}

struct Write(&'static str);
/// Takes so many milliseconds.
struct WriteSlowly(&'static str, u64);
struct Fail;
struct Quit;

impl Handler<Write> for Scribe {
    type Reply = usize;

    async fn handle(&mut self, Write(text): Write, _: &mut ActorContext<Self>) -> usize {
        note(&self.notes, text);
        self.notes.borrow().len()
    }
}

impl Handler<WriteSlowly> for Scribe {
    type Reply = ();

    async fn handle(&mut self, WriteSlowly(text, millis): WriteSlowly, _: &mut ActorContext<Self>) {
        note(&self.notes, format!("begins {text}"));
        sleep(Duration::from_millis(millis)).await;
        note(&self.notes, format!("ends {text}"));
    }
}

impl Handler<Fail> for Scribe {
    type Reply = ();

    async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
        panic!("the pen is broken");
    }
}

impl Handler<Quit> for Scribe {
    type Reply = ();

    async fn handle(&mut self, _: Quit, context: &mut ActorContext<Self>) {
        context.stop();
    }
}

/// A program on virtual time, on one loop.
fn play<F: Future + 'static>(program: impl FnOnce(Notes) -> F) -> Vec<String> {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &perloop::ExceptionContext| {}));
    let notes = Notes::default();
    event_loop.run_until_complete(program(Rc::clone(&notes))).expect("it ends by itself");
    event_loop.close().expect("it does not run");
    notes.take()
}

#[test]
fn messages_of_a_sender_are_handled_one_at_a_time_in_its_order() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        scribe.tell(WriteSlowly("a", 5)).await.expect("it lives");
        scribe.tell(Write("b")).await.expect("it lives");
        scribe.try_tell(WriteSlowly("c", 1)).expect("there is room");
        assert_eq!(scribe.ask(Write("d")).await, Ok(6));
    });
    assert_eq!(notes, ["begins a", "ends a", "b", "begins c", "ends c", "d", "dropped"]);
}

#[test]
fn a_handler_that_waits_lets_others_of_its_loop_run() {
    let notes = play(|notes| async move {
        let (first, second) = (Scribe::create(&notes), Scribe::create(&notes));
        first.tell(WriteSlowly("a", 5)).await.expect("it lives");
        second.tell(WriteSlowly("b", 2)).await.expect("it lives");
        sleep(Duration::from_millis(10)).await;
    });
    assert_eq!(notes[..4], ["begins a", "begins b", "ends b", "ends a"]);
}

#[test]
fn an_actor_that_nobody_has_ends_after_what_is_left() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        let weak = scribe.downgrade();
        scribe.try_tell(WriteSlowly("a", 1)).expect("there is room");
        scribe.try_tell(Write("b")).expect("there is room");
        drop(scribe);
        assert!(weak.upgrade().is_none());
        sleep(Duration::from_millis(2)).await;
    });
    assert_eq!(notes, ["begins a", "ends a", "b", "dropped"]);
}

#[test]
fn a_weak_address_that_is_upgraded_keeps_the_actor() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        let weak: WeakAddress<Scribe> = scribe.downgrade();
        let other = weak.upgrade().expect("it lives");
        drop(scribe);
        yield_now().await;
        other.ask(Write("still here")).await.expect("it lives");
    });
    assert_eq!(notes, ["still here", "dropped"]);
}

#[test]
fn a_stop_comes_before_the_messages_that_wait_and_after_the_one_in_hand() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        scribe.try_tell(WriteSlowly("a", 5)).expect("there is room");
        sleep(Duration::from_millis(1)).await;
        let asked = create_task({
            let scribe = scribe.clone();
            async move { scribe.ask(Write("never")).await }
        });
        yield_now().await;
        scribe.stop();
        assert_eq!(scribe.ended().await, ActorEnd::Stopped);
        assert_eq!(asked.await, Ok(Err(AskError::Stopped)));
        assert_eq!(scribe.try_tell(Write("late")).map_err(|_| ()), Err(()));
        assert_eq!(scribe.dead_letters(), 2);
    });
    assert_eq!(notes, ["begins a", "ends a", "dropped"]);
}

#[test]
fn an_actor_that_stops_itself_leaves_the_rest() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        scribe.try_tell(Quit).expect("there is room");
        scribe.try_tell(Write("never")).expect("there is room");
        assert_eq!(scribe.ended().await, ActorEnd::Stopped);
    });
    assert_eq!(notes, ["dropped"]);
}

#[test]
fn a_panic_ends_its_ask_with_it_and_the_actor() {
    let reported = Rc::new(Cell::new(0));
    let counted = Rc::clone(&reported);
    let event_loop = new_event_loop().expect("a loop");
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &perloop::ExceptionContext| {
        counted.set(counted.get() + 1);
    }));
    let notes = Notes::default();
    let ended = event_loop.run_until_complete({
        let notes = Rc::clone(&notes);
        async move {
            let scribe = Scribe::create(&notes);
            let (failed, next) = (scribe.clone(), scribe.clone());
            let failed = create_task(async move { failed.ask(Fail).await });
            let next = create_task(async move { next.ask(Write("never")).await });
            let Ok(Err(AskError::Panicked(panicked))) = failed.await else { panic!("it panicked") };
            assert_eq!(panicked.message(), "the pen is broken");
            assert_eq!(next.await, Ok(Err(AskError::Stopped)));
            (scribe.ended().await, panicked)
        }
    });
    let (end, panicked) = ended.expect("it ends by itself");
    assert_eq!(end, ActorEnd::Panicked(panicked));
    assert_eq!(*notes.borrow(), ["dropped"]);
    event_loop.run_once(Some(Duration::ZERO)).expect("it turns");
    assert_eq!(reported.get(), 1, "the exception handler hears of it once");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("a bomb's"));
    }
}

struct MakeBomb;

impl Handler<MakeBomb> for Scribe {
    type Reply = Bomb;

    async fn handle(&mut self, _: MakeBomb, _: &mut ActorContext<Self>) -> Bomb {
        yield_now().await;
        Bomb
    }
}

#[test]
fn a_reply_that_nobody_asked_for_and_whose_destructor_panics_is_the_handlers_panic() {
    run(async {
        let scribe = Scribe::create(&Notes::default());
        assert!(scribe.tell(MakeBomb).await.is_ok());
        let ActorEnd::Panicked(panicked) = scribe.ended().await else { panic!("it panicked") };
        assert_eq!(panicked.message(), "a bomb's");
    })
    .expect("it ends by itself");
}

#[test]
fn an_actor_whose_maker_panics_has_ended_by_that() {
    play(|_| async move {
        let scribe = create_actor::<Scribe>(|| panic!("no ink"));
        assert_eq!(scribe.ask(Write("never")).await, Err(AskError::Stopped));
        let ActorEnd::Panicked(panicked) = scribe.ended().await else { panic!("it panicked") };
        assert_eq!(panicked.message(), "no ink");
    });
}

#[test]
fn a_full_mailbox_refuses_and_lets_wait() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let scribe = ActorBuilder::new().mailbox(1).create(|| Scribe { notes: kept });
        scribe.try_tell(WriteSlowly("a", 5)).expect("there is room");
        let Err(TryTellError::Full(Write("b"))) = scribe.try_tell(Write("b")) else { panic!("it is full") };
        scribe.tell(Write("c")).await.expect("there is room when it has begun");
        note(&notes, "told");
        // A wait that is given up has told nothing.
        assert!(timeout(Duration::from_millis(1), scribe.tell(Write("d"))).await.is_err());
        scribe.ask(Write("e")).await.expect("it lives");
    });
    assert_eq!(notes, ["begins a", "told", "ends a", "c", "e", "dropped"]);
}

#[test]
fn of_those_who_wait_for_room_each_is_served() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let scribe = ActorBuilder::new().mailbox(1).create(|| Scribe { notes: kept });
        let asks = ["a", "b", "c", "d"].map(|text| {
            let scribe = scribe.clone();
            create_task(async move { scribe.ask(Write(text)).await })
        });
        for reply in gather(asks).await.expect("none fails") {
            assert!(reply.is_ok());
        }
    });
    assert_eq!(notes.len(), 5);
}

#[test]
fn an_ask_that_is_given_up_is_handled_and_its_reply_dropped() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        assert!(timeout(Duration::from_millis(1), scribe.ask(WriteSlowly("a", 5))).await.is_err());
        scribe.ask(Write("b")).await.expect("it lives");
    });
    assert_eq!(notes, ["begins a", "ends a", "b", "dropped"]);
}

#[test]
fn a_flood_of_messages_leaves_other_tasks_their_turns() {
    let notes = play(|notes| async move {
        let scribe = Scribe::create(&notes);
        (0..200).for_each(|_| scribe.try_tell(Write("x")).expect("there is room"));
        for _ in 0..3 {
            yield_now().await;
            note(&notes, "turn");
        }
        scribe.ask(Write("last")).await.expect("it lives");
    });
    let turns: Vec<_> = (0..).zip(&notes).filter(|(_, note)| *note == "turn").map(|(at, _)| at).collect();
    assert!(turns.iter().all(|at| *at < 200), "{turns:?}");
}

#[test]
fn a_loop_that_closes_ends_its_actors_and_who_asked() {
    let event_loop = new_event_loop().expect("a loop");
    let notes = Notes::default();
    let kept = Rc::clone(&notes);
    let scribe = event_loop
        .run_until_complete(async move {
            let scribe = Scribe::create(&kept);
            scribe.try_tell(WriteSlowly("a", 1_000_000)).expect("there is room");
            yield_now().await;
            scribe.try_tell(Write("never")).expect("there is room");
            scribe
        })
        .expect("it ends by itself");
    let asker = std::thread::spawn({
        let scribe = scribe.clone();
        move || (scribe.ask_blocking(Write("never")), scribe.ended_blocking())
    });
    while event_loop.run_once(Some(Duration::from_millis(1))).is_ok() && !has_arrived(&scribe) {}
    event_loop.close().expect("it does not run");
    let (reply, end) = asker.join().expect("it does not panic");
    assert_eq!(reply, Err(AskError::Stopped));
    assert!(matches!(end, Ok(ActorEnd::LoopClosed(_))), "{end:?}");
    assert_eq!(*notes.borrow(), ["begins a", "dropped"]);
    assert_eq!(scribe.ended_blocking(), end);
}

/// Is the other thread's question in the mailbox, or refused?
fn has_arrived(scribe: &Address<Scribe>) -> bool {
    format!("{scribe:?}").contains("letters: 2") || scribe.has_ended()
}

#[test]
fn an_actor_on_a_closed_loop_has_ended() {
    let event_loop = new_event_loop().expect("a loop");
    let handle = event_loop.handle();
    event_loop.close().expect("it does not run");
    let dead = handle.create_actor(|| Echo);
    assert!(dead.has_ended());
    assert_eq!(dead.ask_blocking(1), Err(AskError::Stopped));
    assert_eq!(dead.tell_blocking(1), Err(TellError::Stopped(1)));
    assert!(matches!(dead.ended_blocking(), Ok(ActorEnd::LoopClosed(_))));
}

struct Echo;

impl Actor for Echo {}

impl Handler<u64> for Echo {
    type Reply = u64;

    async fn handle(&mut self, n: u64, _: &mut ActorContext<Self>) -> u64 {
        n
    }
}

#[test]
fn a_block_on_an_actor_of_the_own_loop_would_deadlock() {
    run(async {
        let echo = create_actor(|| Echo);
        assert!(matches!(echo.ask_blocking(1), Err(AskError::WouldDeadlock(_))));
        assert!(matches!(echo.ended_blocking(), Err(AskError::WouldDeadlock(_))));
        let ended = echo.ended_timeout(Duration::from_secs(1));
        assert!(matches!(ended, Err(AskError::WouldDeadlock(_))));
        assert_eq!(echo.ask(1).await, Ok(1));
    })
    .expect("it ends by itself");
}

#[test]
fn blocks_of_two_loops_on_each_others_actors_are_found_out() {
    /// Blocks its loop's thread on another one's actor.
    struct Blocker;
    struct Meet(Address<Blocker>, mpsc::Receiver<()>);
    impl Actor for Blocker {}
    impl Handler<Meet> for Blocker {
        type Reply = bool;

        async fn handle(&mut self, Meet(other, go): Meet, _: &mut ActorContext<Self>) -> bool {
            go.recv().expect("it is told to go");
            matches!(other.ask_blocking(()), Err(AskError::WouldDeadlock(_)))
        }
    }
    impl Handler<()> for Blocker {
        type Reply = ();

        async fn handle(&mut self, (): (), _: &mut ActorContext<Self>) {}
    }
    let loops = ["left", "right"].map(|name| LoopThread::spawn(name).expect("a thread"));
    let [left, right] = loops.each_ref().map(|thread| thread.create_actor(|| Blocker));
    let (go_left, left_goes) = mpsc::channel();
    let (go_right, right_goes) = mpsc::channel();
    let outcomes = run(async move {
        let (first, second) = (left.clone(), right.clone());
        let first = create_task(async move { first.ask(Meet(right, left_goes)).await });
        let second = create_task(async move { second.ask(Meet(left, right_goes)).await });
        yield_now().await;
        go_left.send(()).and(go_right.send(())).expect("they wait");
        [first.await, second.await]
    })
    .expect("it ends by itself");
    let told = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Ok(true)))).count();
    assert_eq!(told, 1, "one of them is told, and the other gets its reply");
}

#[test]
fn threads_and_loops_ask_one_actor_at_once() {
    struct Sum(u64);
    impl Actor for Sum {}
    impl Handler<u64> for Sum {
        type Reply = u64;

        async fn handle(&mut self, n: u64, _: &mut ActorContext<Self>) -> u64 {
            self.0 += n;
            self.0
        }
    }
    const EACH: u64 = 2_000;
    let home = LoopThread::spawn("home").expect("a thread");
    let sum = ActorBuilder::new().mailbox(4).create_on(&home, || Sum(0));
    let tellers = [(); 2].map(|()| {
        let sum = sum.clone();
        std::thread::spawn(move || (0..EACH).for_each(|_| sum.tell_blocking(1).expect("it lives")))
    });
    let asker = std::thread::spawn({
        let sum = sum.clone();
        move || run(async move { asks(&sum, EACH).await }).expect("it ends by itself")
    });
    let local = home.run_with({
        let sum = sum.clone();
        move || async move { asks(&sum, EACH).await }
    });
    tellers.into_iter().for_each(|teller| teller.join().expect("it does not panic"));
    asker.join().expect("it does not panic");
    local.result().expect("it ends by itself");
    assert_eq!(sum.ask_blocking(0), Ok(4 * EACH));
    assert_eq!(sum.dead_letters(), 0);
}

/// Asks so often; the replies rise.
async fn asks(sum: &impl Asks, times: u64) {
    let mut last = 0;
    for _ in 0..times {
        let now = sum.ask_one().await;
        assert!(now > last);
        last = now;
    }
}

trait Asks {
    async fn ask_one(&self) -> u64;
}

impl<A: Handler<u64, Reply = u64>> Asks for Address<A> {
    async fn ask_one(&self) -> u64 {
        self.ask(1).await.expect("it lives")
    }
}

#[test]
fn a_recipient_keeps_its_actor_and_hides_its_type() {
    let notes = play(|notes| async move {
        let writer: Recipient<Write, usize> = Scribe::create(&notes).into();
        let same = writer.clone();
        drop(writer);
        assert_eq!(same.ask(Write("a")).await, Ok(1));
        assert!(same.tell(Write("b")).await.is_ok());
        drop(same);
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(notes, ["a", "b", "dropped"]);
}

#[test]
fn a_cancelled_actor_task_drops_its_handler_half_way() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let scribe = ActorBuilder::new().name("scribe").create(|| Scribe { notes: kept });
        scribe.try_tell(WriteSlowly("a", 5)).expect("there is room");
        sleep(Duration::from_millis(1)).await;
        for task in
            perloop::all_tasks().expect("a loop runs").into_iter().filter(|task| task.name() == "scribe")
        {
            task.cancel();
        }
        assert_eq!(scribe.ended().await, ActorEnd::Cancelled);
    });
    assert_eq!(notes, ["begins a", "dropped"]);
}

#[test]
fn virtual_time_stands_still_for_a_reply_of_another_loop() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let echo = worker.create_actor(|| Echo);
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    let asked = event_loop.run_until_complete(async {
        let began = event_loop.time();
        for _ in 0..100 {
            timeout(Duration::from_millis(1), echo.ask(7))
                .await
                .expect("no time goes by")
                .expect("it answers");
        }
        event_loop.time() - began
    });
    assert_eq!(asked.expect("it ends by itself"), Duration::ZERO);
}
