//! One supervisor and its children: what is restarted, when, and in which order; what a restart keeps, and what not.

mod parts;

use std::time::Duration;

use parts::{Count, Fail, Habit, Hang, Notes, Part, Quit, part, play, settle};
use perloop::{
    Actor, ActorContext, ActorEnd, Address, AskError, Backoff, Child, ChildRef, ChildState, Handler,
    Intensity, Panicked, Restart, StartChild, StopChild, Strategy, Supervisor, SupervisorBuilder,
    WhichChildren, create_actor, create_task, get_running_loop, sleep, timeout,
};

const MANY: Intensity = Intensity { restarts: u32::MAX, period: Duration::from_secs(1) };

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn now() -> u128 {
    get_running_loop().expect("a loop runs").time().as_millis()
}

async fn up(tree: &Address<Supervisor>) -> Vec<ChildState> {
    tree.ask(WhichChildren).await.expect("it lives")
}

/// A supervisor of one part, which runs.
async fn of_one(
    builder: SupervisorBuilder,
    notes: &Notes,
    habit: Habit,
) -> (Address<Supervisor>, Address<Part>) {
    let (child, known) = part("a", notes, habit);
    let tree = builder.child(child).create();
    up(&tree).await;
    (tree, known.address().expect("it is there"))
}

#[test]
fn a_restart_keeps_the_address_and_what_was_not_handled_and_makes_the_state_anew() {
    play(|notes| async move {
        let (tree, a) = of_one(Supervisor::builder(), &notes, Habit::None).await;
        assert_eq!((a.ask(Count).await, a.ask(Count).await), (Ok(1), Ok(2)));
        let asks = [0; 3].map(|_| a.clone());
        let [first, second, third] = asks;
        let failed = create_task(async move { first.ask(Fail).await });
        let next = create_task(async move { second.ask(Count).await });
        let last = create_task(async move { third.ask(Count).await });
        let Ok(Err(AskError::Panicked(panicked))) = failed.await else { panic!("it panicked") };
        assert_eq!(panicked.message(), "failed");
        assert_eq!((next.await, last.await), (Ok(Ok(1)), Ok(Ok(2))));
        assert_eq!(a.dead_letters(), 0);
        assert_eq!(notes.take(), ["a started", "a restarts, as it panicked: failed", "a started"]);
        let [state] = &up(&tree).await[..] else { panic!("there is one") };
        assert_eq!((state.restarts, state.is_up), (1, true));
        assert!(!a.has_ended());
    });
}

#[test]
fn what_comes_while_a_child_waits_to_be_restarted_is_kept_as_far_as_there_is_room() {
    play(|notes| async move {
        let (child, known) = part("a", &notes, Habit::None);
        let backoff = Backoff::exponential(millis(100), millis(100));
        let tree = Supervisor::builder().backoff(backoff).child(child.mailbox(2)).create();
        up(&tree).await;
        let a = known.address().expect("it is there");
        a.try_tell(Fail).expect("there is room");
        settle().await;
        assert!(!up(&tree).await[0].is_up);
        a.try_tell(Count).expect("there is room");
        a.try_tell(Count).expect("there is room");
        assert!(a.try_tell(Count).is_err());
        assert_eq!((a.ask(Count).await, now()), (Ok(3), 100));
    });
}

#[test]
fn each_restart_type_decides_by_how_a_child_has_ended() {
    let is_restarted = |restart: Restart, end: fn(&Address<Part>)| {
        play(move |notes| async move {
            let (child, known) = part("a", &notes, Habit::None);
            let tree = Supervisor::builder().child(child.restart(restart)).create();
            up(&tree).await;
            let a = known.address().expect("it is there");
            end(&a);
            settle().await;
            let left = up(&tree).await;
            assert_eq!(left.len(), usize::from(!a.has_ended()));
            left.iter().any(|child| child.is_up && child.restarts == 1)
        })
    };
    let ends: [fn(&Address<Part>); 4] = [
        |a| a.stop(),
        |a| a.try_tell(Quit).expect("there is room"),
        |a| a.try_tell(Fail).expect("there is room"),
        |a| a.kill(),
    ];
    assert_eq!(ends.map(|end| is_restarted(Restart::Permanent, end)), [true; 4]);
    assert_eq!(ends.map(|end| is_restarted(Restart::Transient, end)), [false, false, true, true]);
    assert_eq!(ends.map(|end| is_restarted(Restart::Temporary, end)), [false; 4]);
}

#[test]
fn a_panic_in_each_hook_the_maker_and_the_destructor_is_a_failure() {
    for (when, restarts) in [("made", 2), ("started", 2), ("stopping", 1), ("stopped", 1), ("dropped", 1)] {
        play(move |notes| async move {
            let (child, known) = part("a", &notes, Habit::FailsWhen(when));
            let intensity = Intensity { restarts: 2, ..MANY };
            let tree = Supervisor::builder().intensity(intensity).child(child).create();
            settle().await;
            if restarts == 1 {
                known.address().expect("it is there").stop();
                settle().await;
                let left = up(&tree).await;
                assert_eq!((left[0].restarts, left[0].is_up), (1, true), "{when}");
                return;
            }
            let ActorEnd::GaveUp(gave_up) = tree.ended().await else { panic!("it fails each time") };
            assert!(matches!(&gave_up.end, ActorEnd::Panicked(panicked) if panicked.message() == when));
            assert_eq!(notes.of("a started"), if when == "made" { 0 } else { 3 });
        });
    }
}

/// Three parts, and their notes from here on.
async fn three(
    strategy: Strategy,
    notes: &Notes,
    habit: Habit,
) -> (Address<Supervisor>, [ChildRef<Part>; 3]) {
    let [(a, first), (b, second), (c, third)] = ["a", "b", "c"].map(|name| part(name, notes, habit));
    let tree = Supervisor::builder().strategy(strategy).intensity(MANY).child(a).child(b).child(c).create();
    up(&tree).await;
    (tree, [first, second, third])
}

/// What is noted when the second of three fails.
fn when_the_second_fails(strategy: Strategy) -> Vec<String> {
    play(move |notes| async move {
        let (tree, parts) = three(strategy, &notes, Habit::IsSlow).await;
        assert_eq!((notes.take().join(", ").as_str(), now()), ("a started, b started, c started", 30));
        parts[1].address().expect("it is there").try_tell(Fail).expect("there is room");
        sleep(millis(200)).await;
        let mut noted = notes.take();
        noted.retain(|note| !note.contains("stopping"));
        assert!(up(&tree).await.iter().all(|child| child.is_up));
        noted
    })
}

#[test]
fn one_for_one_restarts_the_one_that_failed() {
    let noted = when_the_second_fails(Strategy::OneForOne);
    assert_eq!(noted, ["b restarts, as it panicked: failed", "b started"]);
}

#[test]
fn one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() {
    let expected = [
        "c stopped",
        "a stopped",
        "a restarts, as it stopped",
        "a started",
        "b restarts, as it panicked: failed",
        "b started",
        "c restarts, as it stopped",
        "c started",
    ];
    assert_eq!(when_the_second_fails(Strategy::OneForAll), expected);
}

#[test]
fn rest_for_one_stops_those_after_it_and_starts_them_in_order() {
    let expected = [
        "c stopped",
        "b restarts, as it panicked: failed",
        "b started",
        "c restarts, as it stopped",
        "c started",
    ];
    assert_eq!(when_the_second_fails(Strategy::RestForOne), expected);
}

#[test]
fn a_sibling_that_is_restarted_keeps_its_mailbox_and_loses_its_state() {
    play(|notes| async move {
        let (_tree, parts) = three(Strategy::OneForAll, &notes, Habit::None).await;
        let [a, b, _] = parts.map(|part| part.address().expect("it is there"));
        assert_eq!(a.ask(Count).await, Ok(1));
        b.try_tell(Fail).expect("there is room");
        settle().await;
        assert_eq!((a.ask(Count).await, a.dead_letters()), (Ok(1), 0));
    });
}

#[test]
fn a_temporary_child_is_stopped_with_the_others_and_not_brought_back() {
    play(|notes| async move {
        let [(a, _), (b, second), (c, third)] = ["a", "b", "c"].map(|name| part(name, &notes, Habit::None));
        let tree = Supervisor::builder().strategy(Strategy::OneForAll);
        let tree = tree.child(a).child(b).child(c.restart(Restart::Temporary)).create();
        up(&tree).await;
        second.address().expect("it is there").try_tell(Fail).expect("there is room");
        settle().await;
        let names: Vec<_> = up(&tree).await.into_iter().map(|child| child.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((notes.of("c stopped"), third.address()), (1, None));
    });
}

#[test]
fn failures_of_several_at_once_restart_each_as_often_as_is_needed() {
    for (strategy, starts) in [(Strategy::OneForOne, [2, 2, 2]), (Strategy::RestForOne, [2, 2, 2])] {
        play(move |notes| async move {
            let (tree, parts) = three(strategy, &notes, Habit::None).await;
            for part in &parts {
                part.address().expect("it is there").kill();
            }
            settle().await;
            assert!(up(&tree).await.iter().all(|child| child.is_up));
            assert_eq!(["a started", "b started", "c started"].map(|note| notes.of(note)), starts);
        });
    }
}

/// `t_supervision` of the reliability plan: a child fails so often.
#[test]
fn t_supervision() {
    for failures in 0..6 {
        for intensity in 0..4 {
            play(move |notes| fails_so_often(failures, intensity, notes));
        }
    }
}

async fn fails_so_often(failures: u32, intensity: u32, notes: Notes) {
    let [(a, first), (b, _), (c, _)] = ["a", "b", "c"].map(|name| part(name, &notes, Habit::None));
    let settings = Intensity { restarts: intensity, period: Duration::from_secs(5) };
    let tree = Supervisor::builder().name("t").intensity(settings).child(a).child(b).child(c).create();
    up(&tree).await;
    notes.take();
    let a = first.address().expect("it is there");
    let (mut downs, tree_monitors) = (0, [tree.monitor(), tree.monitor()]);
    for _ in 0..failures {
        if a.try_tell(Fail).is_ok() {
            downs += hear_of_the_failure(&a).await;
            settle().await;
        }
    }
    let gives_up = failures > intensity;
    assert_eq!(downs, 3 * failures.min(intensity + 1));
    assert_eq!(notes.of("a started"), failures.min(intensity) as usize, "{failures} of {intensity}");
    if !gives_up {
        tree.stop();
    }
    for monitor in tree_monitors {
        assert_eq!(matches!(monitor.await.end, ActorEnd::GaveUp(_)), gives_up);
    }
    assert!(a.has_ended());
    let stopped: Vec<_> = notes.take().into_iter().filter(|note| note.ends_with("stopped")).collect();
    let all = ["c stopped", "b stopped", "a stopped"];
    assert_eq!(stopped, if gives_up { &all[..2] } else { &all });
}

/// Each of three monitors tells of it once.
async fn hear_of_the_failure(a: &Address<Part>) -> u32 {
    let monitors = [a.monitor(), a.monitor(), a.monitor()];
    let mut downs = 0;
    for monitor in monitors {
        let down = monitor.await;
        assert!(matches!(&down.end, ActorEnd::Panicked(why) if why.message() == "failed"));
        assert!(!down.was_gone);
        downs += 1;
    }
    downs
}

#[test]
fn failures_count_only_within_the_period() {
    play(|notes| async move {
        let intensity = Intensity { restarts: 2, period: millis(100) };
        let (tree, a) = of_one(Supervisor::builder().intensity(intensity), &notes, Habit::None).await;
        for _ in 0..20 {
            a.try_tell(Fail).expect("there is room");
            sleep(millis(51)).await;
        }
        assert_eq!(up(&tree).await[0].restarts, 20);
        for _ in 0..3 {
            a.try_tell(Fail).expect("there is room");
        }
        assert!(matches!(tree.ended().await, ActorEnd::GaveUp(gave_up) if gave_up.intensity == intensity));
    });
}

#[test]
fn each_restart_waits_twice_as_long_and_a_long_life_begins_anew() {
    play(|notes| async move {
        let backoff = Backoff { first: millis(10), cap: millis(50), reset_after: millis(1_000) };
        let builder = Supervisor::builder().intensity(MANY).backoff(backoff);
        let (tree, a) = of_one(builder, &notes, Habit::None).await;
        let mut delays = Vec::new();
        for round in 0..7 {
            if round == 5 {
                sleep(millis(1_000)).await;
            }
            let before = now();
            a.try_tell(Fail).expect("there is room");
            a.ask(Count).await.expect("it is restarted");
            delays.push(now() - before);
        }
        assert_eq!(delays, [10, 20, 40, 50, 50, 10, 20]);
        drop(tree);
    });
}

#[test]
fn a_child_that_waits_to_be_restarted_holds_up_those_after_it_only_where_they_rely_on_it() {
    for (strategy, held_up) in [(Strategy::OneForOne, false), (Strategy::RestForOne, true)] {
        play(move |notes| async move {
            let [(a, first), (b, second)] = ["a", "b"].map(|name| part(name, &notes, Habit::None));
            let backoff = Backoff::exponential(millis(100), millis(100));
            let tree = Supervisor::builder().strategy(strategy).backoff(backoff).child(a).child(b).create();
            up(&tree).await;
            let [a, b] = [first, second].map(|part| part.address().expect("it is there"));
            a.try_tell(Fail).expect("there is room");
            settle().await;
            let is_held_up = timeout(millis(10), b.ask(Count)).await.is_err();
            assert_eq!(is_held_up, held_up);
            assert!(a.ask(Count).await.is_ok());
            assert!(b.ask(Count).await.is_ok());
        });
    }
}

#[test]
fn a_flood_of_failures_leaves_nothing_behind() {
    play(|notes| async move {
        let (tree, a) = of_one(Supervisor::builder().intensity(MANY), &notes, Habit::None).await;
        for _ in 0..2_000 {
            a.tell(Fail).await.expect("it lives");
        }
        assert_eq!(a.ask(Count).await, Ok(1));
        assert_eq!(up(&tree).await[0].restarts, 2_000);
        assert_eq!(notes.of("restarts"), 2_000);
        tree.stop();
        assert!(tree.ended().await.is_normal());
    });
}

#[test]
fn a_supervisor_stops_its_children_in_reverse_however_it_is_let_go() {
    let ways: [fn(Address<Supervisor>); 2] = [drop, |tree| tree.stop()];
    for end in ways {
        play(move |notes| async move {
            let (tree, parts) = three(Strategy::OneForOne, &notes, Habit::IsSlow).await;
            let (monitor, last) = (tree.monitor(), parts[0].address().expect("it is there"));
            notes.take();
            end(tree);
            assert!(monitor.await.end.is_normal());
            assert!(last.has_ended());
            let expected = ["c stopping", "c stopped", "b stopping", "b stopped", "a stopping", "a stopped"];
            assert_eq!(notes.take(), expected);
        });
    }
}

#[test]
fn a_supervisor_that_is_killed_tells_its_children_to_stop() {
    play(|notes| async move {
        let (tree, parts) = three(Strategy::OneForOne, &notes, Habit::None).await;
        let parts = parts.map(|part| part.address().expect("it is there"));
        tree.kill();
        assert_eq!(tree.ended().await, ActorEnd::Killed);
        for part in parts {
            assert!(part.ended().await.is_normal());
        }
    });
}

#[test]
fn a_shutdown_half_way_through_a_restart_ends_all() {
    // When the shutdown comes, in milliseconds after the failure: while others stop, wait, and start.
    for after in [0, 5, 15, 25, 60, 105, 115, 125] {
        play(move |notes| async move {
            let [(a, _), (b, second), (c, _)] = ["a", "b", "c"].map(|name| part(name, &notes, Habit::IsSlow));
            let backoff = Backoff::exponential(millis(100), millis(100));
            let tree = Supervisor::builder().strategy(Strategy::OneForAll).backoff(backoff);
            let tree = tree.child(a).child(b).child(c).create();
            up(&tree).await;
            second.address().expect("it is there").try_tell(Fail).expect("there is room");
            sleep(millis(after)).await;
            tree.stop();
            assert!(tree.ended().await.is_normal());
            let lives = ["a", "b", "c"]
                .map(|name| (notes.of(&format!("{name} started")), notes.of(&format!("{name} stopped"))));
            // Each life ends once; that of the one that failed without its hooks.
            let [a, b, c] = lives;
            assert_eq!((a.0, b.0 - 1, c.0), (a.1, b.1, c.1), "after {after} ms: {:?}", notes.take());
            notes.take();
            sleep(millis(1_000)).await;
            assert_eq!(notes.take().len(), 0, "nothing begins later");
        });
    }
}

#[test]
fn a_child_that_does_not_stop_in_time_is_killed() {
    for hangs in ["stopping", "stopped"] {
        play(move |notes| async move {
            let (child, known) = part("a", &notes, Habit::HangsWhen(hangs));
            let tree = Supervisor::builder().child(child.stop_within(Some(millis(20)))).create();
            up(&tree).await;
            let a = known.address().expect("it is there");
            let before = now();
            tree.stop();
            assert!(tree.ended().await.is_normal());
            assert_eq!((a.ended().await, now() - before), (ActorEnd::Killed, 20));
        });
    }
}

#[test]
fn a_sibling_that_does_not_stop_in_time_is_killed_and_restarted_with_its_mailbox() {
    play(|notes| async move {
        let [(a, first), (b, second)] = ["a", "b"].map(|name| part(name, &notes, Habit::None));
        let tree = Supervisor::builder().strategy(Strategy::OneForAll);
        let tree = tree.child(a.stop_within(Some(millis(20)))).child(b).create();
        up(&tree).await;
        let [a, b] = [first, second].map(|part| part.address().expect("it is there"));
        a.try_tell(Hang).expect("there is room");
        a.try_tell(Count).expect("there is room");
        settle().await;
        b.try_tell(Fail).expect("there is room");
        assert_eq!(a.ask(Count).await, Ok(2));
        assert_eq!((notes.of("a restarts, as it killed"), now()), (1, 21));
    });
}

#[test]
fn a_child_that_hangs_as_it_starts_can_be_ended_with_its_supervisor() {
    play(|notes| async move {
        let (child, known) = part("a", &notes, Habit::HangsWhen("started"));
        let tree = Supervisor::builder().child(child.stop_within(Some(millis(20)))).create();
        settle().await;
        let a = known.address().expect("it is there");
        tree.kill(); // a stop waits for the start
        assert_eq!(tree.ended().await, ActorEnd::Killed);
        a.kill();
        assert_eq!(a.ended().await, ActorEnd::Killed);
    });
}

#[test]
fn a_child_is_added_and_taken_away_while_others_run() {
    play(|notes| async move {
        let (tree, a) = of_one(Supervisor::builder(), &notes, Habit::None).await;
        let known = ChildRef::new();
        let reference = known.clone();
        let start = StartChild::new(move || {
            Child::new("b", || Part::new("b", &Notes::default(), Habit::None)).known_as(&reference)
        });
        tree.ask(start).await.expect("it lives");
        let b = known.address().expect("it is there");
        assert_eq!(b.ask(Count).await, Ok(1));
        b.try_tell(Fail).expect("there is room");
        assert_eq!(b.ask(Count).await, Ok(1));
        assert_eq!(tree.ask(StopChild::named("a")).await, Ok(true));
        assert!(a.ended().await.is_normal());
        settle().await;
        let names: Vec<_> = up(&tree).await.into_iter().map(|child| child.name).collect();
        assert_eq!(names, ["b"]);
        assert_eq!(tree.ask(StopChild::named("a")).await, Ok(false));
    });
}

#[test]
fn a_child_that_was_taken_away_does_not_come_back_if_a_sibling_fails_while_it_stops() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        play(|notes| async move {
            let (a, first) = part("a", &notes, Habit::None);
            let (b, second) = part("b", &notes, Habit::IsSlow);
            let tree = Supervisor::builder().strategy(strategy).child(a).child(b).create();
            up(&tree).await;
            let second = second.address().expect("it is there");
            assert_eq!(tree.ask(StopChild::named("b")).await, Ok(true));
            first.address().expect("it is there").try_tell(Fail).expect("there is room");
            assert!(second.ended().await.is_normal(), "{strategy:?}");
            settle().await;
            let names: Vec<_> = up(&tree).await.into_iter().map(|child| child.name).collect();
            assert_eq!((names, notes.of("b started")), (vec!["a".to_owned()], 1), "{strategy:?}");
            assert_eq!(notes.of("a started"), 2, "{strategy:?}");
        });
    }
}

/// Goes on after a panic, if it is told to.
struct Tough {
    count: u32,
    is_tough: bool,
}

impl Actor for Tough {
    fn resumes_after(&mut self, panicked: &Panicked) -> bool {
        assert_eq!(panicked.message(), "half-way");
        self.is_tough
    }
}

impl Handler<Count> for Tough {
    type Reply = u32;

    async fn handle(&mut self, _: Count, _: &mut ActorContext<Self>) -> u32 {
        self.count
    }
}

impl Handler<Fail> for Tough {
    type Reply = ();

    async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
        self.count = 42;
        std::panic::resume_unwind(Box::new("half-way"));
    }
}

#[test]
fn state_that_is_half_changed_is_seen_only_if_the_actor_says_so() {
    for (is_tough, seen) in [(true, 42), (false, 0)] {
        let event_loop = perloop::new_event_loop().expect("a loop");
        event_loop.set_exception_handler(Some(|_: &perloop::EventLoop, _: &perloop::ExceptionContext| {}));
        let counts = event_loop.run_until_complete(async move {
            let known = ChildRef::new();
            let make = move || Tough { count: 0, is_tough };
            let tree = Supervisor::builder().child(Child::new("tough", make).known_as(&known)).create();
            up(&tree).await;
            let supervised = known.address().expect("it is there");
            let alone = create_actor(make);
            let mut counts = Vec::new();
            for tough in [supervised, alone] {
                assert!(matches!(tough.ask(Fail).await, Err(AskError::Panicked(_))));
                counts.push(tough.ask(Count).await.ok());
            }
            counts
        });
        let alone = is_tough.then_some(42);
        assert_eq!(counts.expect("it ends by itself"), [Some(seen), alone]);
    }
}
