//! A loop of a group that dies: who waited for it is told, others go on, and it is replaced if that was asked for.

mod events;

use std::cell::Cell;
use std::future::pending;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use events::Listener;
use perloop::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, AskError, EventLoop, EventLoopGroup, FutureError,
    Handler, JoinError, LoopDeath, LoopEnd, LoopHandle, PanicPolicy, Spin, run_coroutine_threadsafe,
};

/// A group whose loops die of what nobody hears of, and the news of that.
fn mortal(loops: usize, times: u64) -> (EventLoopGroup, Receiver<LoopDeath>) {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop).spin(Spin::Never);
    let builder = EventLoopGroup::builder().loops(loops).settings(settings).replace_dead(times);
    let (sender, deaths) = mpsc::channel();
    (builder.on_death(move |death| drop(sender.send(death.clone()))).spawn().unwrap(), deaths)
}

fn kill(on: &LoopHandle) {
    on.call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).unwrap();
}

/// How the loop's own code panics: at an event that it tells a subscriber of, who is the one stranger called from there.
/// Or a callback does, of which nobody else hears.
fn kill_at(phase: &'static str, on: &LoopHandle) {
    let listen = move |message: &str| {
        if message == phase {
            resume_unwind(Box::new("meant"));
        }
    };
    match phase {
        "callback" => kill(on),
        _ => on.call_soon_threadsafe(move || Listener::install(listen)).unwrap(),
    }
}

#[test]
fn t_loop_dies() {
    for phase in ["callback", "adopted a submission", "sleep", "stop"] {
        let (group, deaths) = mortal(3, 1);
        let outstanding: Vec<_> = (0..30)
            .map(|index| run_coroutine_threadsafe(pending::<()>(), group.get(index % 3).unwrap()))
            .collect();
        let awaited = group.broadcast(|_| pending::<()>());
        group.broadcast(|_| async {}).result().unwrap();
        let dead = group.get(1).unwrap().clone();
        kill_at(phase, &dead);
        let last = dead.run_with(pending::<()>);
        if phase == "stop" {
            dead.stop();
        }
        for (index, future) in outstanding.iter().enumerate().filter(|(index, _)| index % 3 == 1) {
            let outcome = future.result();
            assert!(
                matches!(&outcome, Err(FutureError::LoopDied(died)) if died.loop_name() == "loop-1"),
                "{phase}, {index}: {outcome:?}"
            );
        }
        assert!(last.result().is_err(), "{phase}");
        let death = deaths.recv().unwrap();
        assert_eq!((death.name.as_str(), death.index, death.generation), ("loop-1", 1, 0), "{phase}");
        assert_eq!((death.panicked.message(), death.is_replaced), ("meant", true), "{phase}");
        // The others are as they were.
        assert!(outstanding.iter().enumerate().all(|(index, future)| future.done() == (index % 3 == 1)));
        // In its place is another one, which has nothing of the dead.
        let fresh = group.get(1).unwrap();
        assert!(*fresh != dead && dead.is_closed() && fresh.name() == "loop-1");
        assert_eq!((group.generation(1), group.generation(0)), (Some(1), Some(0)));
        assert!(matches!(
            run_coroutine_threadsafe(async {}, &dead).result(),
            Err(FutureError::LoopClosed(_))
        ));
        assert_eq!(group.broadcast(|index| async move { index }).result(), Ok(vec![0, 1, 2]), "{phase}");
        awaited.cancel();
        let report = group.shutdown(Duration::ZERO, Duration::from_secs(60)).unwrap();
        let ends: Vec<_> = report.loops.iter().map(|one| (one.name.as_str(), one.generation)).collect();
        assert_eq!(ends, [("loop-0", 0), ("loop-1", 0), ("loop-1", 1), ("loop-2", 0)], "{phase}");
        assert!(matches!(&report.loops[1].end, LoopEnd::Died(panicked) if panicked.message() == "meant"));
        assert_eq!(report.loops[2].end, LoopEnd::Joined, "{phase}");
    }
}

#[test]
fn a_loop_that_is_not_to_be_replaced_leaves_its_place_closed() {
    let (group, deaths) = mortal(2, 0);
    let dead = group.get(0).unwrap().clone();
    kill(&dead);
    assert!(!deaths.recv().unwrap().is_replaced);
    assert!(group.get(0) == Some(&dead) && dead.is_closed());
    assert!((0..4).all(|_| group.next().name() == "loop-1"));
    assert!(matches!(group.join(), Err(JoinError::Panicked(panicked)) if panicked.message() == "meant"));
}

#[test]
fn a_loop_is_replaced_as_often_as_was_said() {
    let (group, deaths) = mortal(2, 3);
    for generation in 0..=3 {
        assert_eq!(group.generation(1), Some(generation));
        kill(group.get(1).unwrap());
        let death = deaths.recv().unwrap();
        assert_eq!((death.generation, death.is_replaced), (generation, generation < 3));
    }
    assert!(group.get(1).unwrap().is_closed());
    // Each index has a number of its own.
    kill(group.get(0).unwrap());
    assert!(deaths.recv().unwrap().is_replaced);
    assert_eq!(group.submit(async { 42 }).result(), Ok(42));
}

#[test]
fn a_new_generation_begins_with_nothing_of_the_old_one() {
    thread_local! {
        static MARK: Cell<u32> = const { Cell::new(0) };
    }
    let (group, deaths) = mortal(1, 1);
    group.broadcast(|_| async { MARK.set(42) }).result().unwrap();
    kill(group.get(0).unwrap());
    deaths.recv().unwrap();
    assert_eq!(group.broadcast(|_| async { MARK.get() }).result(), Ok(vec![0]));
    let handle = group.handle();
    assert_eq!(group.broadcast(move |_| async move { handle.current_index() }).result(), Ok(vec![Some(0)]));
    assert_eq!(group.load(0), Some(0));
}

#[test]
fn whoever_is_told_of_a_death_may_panic() {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let builder = EventLoopGroup::builder().loops(1).settings(settings).replace_dead(1);
    let group = builder.on_death(|_| resume_unwind(Box::new("the listener's"))).spawn().unwrap();
    kill(group.get(0).unwrap());
    while group.generation(0) != Some(1) {
        thread::yield_now();
    }
    assert_eq!(group.submit(async { 42 }).result(), Ok(42));
    assert!(matches!(group.join(), Err(JoinError::Panicked(panicked)) if panicked.message() == "meant"));
}

#[test]
fn loops_that_die_as_their_group_ends_are_joined_with_it() {
    for round in 0..40 {
        let (group, deaths) = mortal(3, u64::MAX);
        let handle = group.handle();
        let killer = thread::spawn(move || {
            // Until the group is closed, to which it belongs not.
            while handle
                .loops()
                .any(|on| on.call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).is_ok())
            {}
        });
        if round % 2 == 0 {
            let report = group.shutdown(Duration::MAX, Duration::from_secs(60)).unwrap();
            assert!(report.loops.iter().all(|one| one.end != LoopEnd::Stuck), "{report:?}");
        } else {
            drop(group);
        }
        killer.join().unwrap();
        // Who tells of deaths is gone with the last thread of the group.
        deaths.iter().for_each(drop);
    }
}

#[test]
fn a_group_that_is_joined_where_a_loop_of_it_dies_ends() {
    let (sender, receiver) = crossbeam_channel::bounded::<EventLoopGroup>(1);
    let (ended, end) = mpsc::channel();
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let builder = EventLoopGroup::builder().loops(2).settings(settings);
    let joins = move |_: &LoopDeath| drop(ended.send(receiver.recv().unwrap().join()));
    let group = builder.on_death(joins).spawn().unwrap();
    let handle = group.handle();
    sender.send(group).unwrap();
    kill(handle.get(0).unwrap());
    // It cannot wait for the thread that it is on.
    assert!(end.recv().unwrap().is_err());
    while !handle.get(1).unwrap().is_closed() {
        thread::yield_now();
    }
}

/// Tells when it begins with a message, and never ends with it.
struct Hostage(mpsc::Sender<()>);
struct Wait;
struct Go;

impl Actor for Hostage {}

impl Handler<Wait> for Hostage {
    type Reply = ();

    async fn handle(&mut self, _: Wait, _: &mut ActorContext<Self>) {
        self.0.send(()).expect("the test waits for it");
        pending().await
    }
}

impl Handler<Go> for Hostage {
    type Reply = ();

    async fn handle(&mut self, _: Go, _: &mut ActorContext<Self>) {}
}

#[test]
fn whoever_waits_for_an_actor_of_a_loop_that_dies_is_told() {
    for phase in ["callback", "adopted a submission", "sleep"] {
        let (group, deaths) = mortal(2, 1);
        let (begin, begun) = mpsc::channel();
        let (builder, next) = (ActorBuilder::new().mailbox(1), begin.clone());
        let hostage = builder.create_on(group.get(1).unwrap(), || Hostage(begin));
        let name = format!("hostage at {phase}");
        hostage.register(&name).unwrap();
        let [first, second, third, fourth] = [(); 4].map(|()| hostage.clone());
        let handled = group.get(0).unwrap().run_with(move || async move { first.ask(Wait).await });
        begun.recv().unwrap();
        // The others wait for room.
        while hostage.try_tell(Wait).is_err() {}
        let awaits = group.get(0).unwrap().run_with(move || async move { second.tell(Wait).await.is_err() });
        let blocks = thread::spawn(move || third.ask_blocking(Wait));
        let ended = thread::spawn(move || fourth.ended_blocking());
        kill_at(phase, hostage.home());
        drop(run_coroutine_threadsafe(async {}, hostage.home()));
        assert_eq!(handled.result(), Ok(Err(AskError::Stopped)), "{phase}");
        assert_eq!(awaits.result(), Ok(true), "{phase}");
        assert_eq!(blocks.join().unwrap(), Err(AskError::Stopped), "{phase}");
        let end = ended.join().unwrap();
        assert!(
            matches!(&end, Ok(ActorEnd::LoopDied(died)) if died.loop_name() == "loop-1"),
            "{phase}: {end:?}"
        );
        assert_eq!(Address::<Hostage>::find(&name), None, "{phase}");
        // The letter in the mailbox, and the two that waited.
        assert_eq!(hostage.dead_letters(), 3, "{phase}");
        assert!(deaths.recv().unwrap().is_replaced, "{phase}");
        // The next generation may have one of that name.
        let next = group.get(1).unwrap().create_actor(|| Hostage(next));
        assert_eq!((next.register(&name), next.ask_blocking(Go)), (Ok(()), Ok(())), "{phase}");
    }
}
