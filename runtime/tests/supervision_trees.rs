//! Supervisors of supervisors, and children on several loops: who gives up, who hears of it, and what comes back.

#[allow(dead_code, reason = "it is for several tests, and each uses its part")]
mod parts;

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use parts::{Count, Fail, Habit, Hang, Notes, Part, part, play, settle};
use perloop::{
    Actor, ActorContext, ActorEnd, Address, AskError, Child, ChildRef, EventLoop, EventLoopGroup,
    ExceptionContext, Handler, Intensity, LoopHandle, LoopThread, PanicPolicy, Restart, Strategy, Supervisor,
    WhichChildren, run, sleep,
};

fn at_most(restarts: u32) -> Intensity {
    Intensity { restarts, period: Duration::from_secs(60) }
}

async fn up(tree: &Address<Supervisor>) -> Vec<String> {
    let children = tree.ask(WhichChildren).await.expect("it lives");
    children.into_iter().filter(|child| child.is_up).map(|child| child.name).collect()
}

/// A root of a branch with two parts, and of a part beside it. Branch and root take so many failures.
fn tree(notes: &Notes, branch: u32, root: u32) -> (perloop::SupervisorBuilder, [ChildRef<Part>; 3]) {
    let known = [ChildRef::new(), ChildRef::new(), ChildRef::new()];
    let kept = (notes.clone(), known.clone());
    let make_branch = move || {
        let mut builder = Supervisor::builder().name("branch").intensity(at_most(branch));
        for (name, known) in ["a", "b"].into_iter().zip(&kept.1) {
            let notes = kept.0.clone();
            builder =
                builder.child(Child::new(name, move || Part::new(name, &notes, Habit::None)).known_as(known));
        }
        builder.build()
    };
    let notes = notes.clone();
    let root = Supervisor::builder()
        .name("root")
        .intensity(at_most(root))
        .strategy(Strategy::RestForOne)
        .child(Child::new("branch", make_branch))
        .child(Child::new("c", move || Part::new("c", &notes, Habit::None)).known_as(&known[2]));
    (root, known)
}

fn fail(part: &ChildRef<Part>) {
    part.address().expect("it is there").try_tell(Fail).expect("there is room");
}

#[test]
fn a_tree_starts_in_order_and_stops_in_reverse_branch_by_branch() {
    play(|notes| async move {
        let root = tree(&notes, 1, 1).0.create();
        assert_eq!(up(&root).await, ["branch", "c"]);
        assert_eq!(notes.take(), ["a started", "b started", "c started"]);
        root.stop();
        assert!(root.ended().await.is_normal());
        let mut stopped = notes.take();
        stopped.retain(|note| note.ends_with("stopped"));
        assert_eq!(stopped, ["c stopped", "b stopped", "a stopped"]);
    });
}

#[test]
fn a_branch_that_gives_up_is_restarted_whole_by_its_supervisor() {
    play(|notes| async move {
        let (root, parts) = tree(&notes, 1, 1);
        let root = root.create();
        up(&root).await;
        let before = parts[0].address().expect("it is there");
        fail(&parts[0]);
        settle().await;
        assert_eq!(before.ask(Count).await, Ok(1));
        notes.take();
        fail(&parts[0]);
        settle().await;
        let expected = ["b stopping", "b stopped", "c stopping", "c stopped", "a started", "b started"];
        assert_eq!(notes.take()[..6], expected);
        assert_eq!(up(&root).await, ["branch", "c"]);
        // What the branch had is new: its children's mailboxes too.
        let after = parts[0].address().expect("it is there");
        assert!(before != after && before.has_ended());
        assert_eq!(after.ask(Count).await, Ok(1));
    });
}

#[test]
fn who_gives_up_ends_with_the_reason_and_hands_it_on_once() {
    let reported = Rc::new(RefCell::new(Vec::new()));
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    let heard = Rc::clone(&reported);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        heard.borrow_mut().push(context.to_string());
    }));
    let ended = event_loop.run_until_complete(async move {
        let (root, parts) = tree(&Notes::default(), 1, 1);
        let root = root.create();
        up(&root).await;
        let monitors = [root.monitor(), root.monitor()];
        for _ in 0..4 {
            fail(&parts[0]);
            settle().await;
        }
        let mut ends = Vec::new();
        for monitor in monitors {
            ends.push(monitor.await.end);
        }
        assert!(parts.iter().all(|part| part.address().is_none()));
        ends
    });
    for end in ended.expect("it ends by itself") {
        let ActorEnd::GaveUp(root) = &end else { panic!("{end:?}") };
        assert_eq!((root.supervisor.as_str(), root.child.as_str()), ("root", "branch"));
        let ActorEnd::GaveUp(branch) = &root.end else { panic!("{end:?}") };
        assert_eq!((branch.supervisor.as_str(), branch.child.as_str()), ("branch", "a"));
        assert!(matches!(&branch.end, ActorEnd::Panicked(panicked) if panicked.message() == "failed"));
    }
    let reported = reported.take();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].starts_with("supervisor 'root' gave up: 'branch' failed, after 1 restarts within 60s: ")
    );
}

/// For other threads: counts, fails, kills its loop, or holds its thread up.
#[derive(Default)]
struct Remote {
    count: u32,
}

enum Order {
    Count,
    Fail,
    /// Says so, and blocks its thread until the other end is dropped.
    Block(mpsc::Sender<()>, mpsc::Receiver<()>),
}

impl Actor for Remote {}

impl Handler<Order> for Remote {
    type Reply = u32;

    async fn handle(&mut self, order: Order, _: &mut ActorContext<Self>) -> u32 {
        match order {
            Order::Count => self.count += 1,
            Order::Fail => resume_unwind(Box::new("failed")),
            Order::Block(begins, until) => {
                begins.send(()).expect("somebody waits");
                let _is_dropped = until.recv();
            }
        }
        self.count
    }
}

fn remote(home: &LoopHandle, name: &str, known: &ChildRef<Remote>) -> Child<Remote> {
    Child::on(home, name, Remote::default).known_as(known)
}

#[test]
fn children_on_other_loops_are_restarted_there_with_their_siblings() {
    let loops = ["left", "right"].map(|name| LoopThread::spawn(name).expect("a thread"));
    let known = [ChildRef::new(), ChildRef::new()];
    let children = [0, 1].map(|index| remote(&loops[index], ["l", "r"][index], &known[index]));
    run(async {
        let mut tree = Supervisor::builder().strategy(Strategy::OneForAll).intensity(at_most(100));
        for child in children {
            tree = tree.child(child);
        }
        let tree = tree.create();
        assert_eq!(up(&tree).await, ["l", "r"]);
        let [left, right] = known.each_ref().map(|part| part.address().expect("it is there"));
        for _ in 0..20 {
            assert_eq!((left.ask(Order::Count).await, right.ask(Order::Count).await), (Ok(1), Ok(1)));
            let monitor = left.monitor();
            assert!(matches!(right.ask(Order::Fail).await, Err(AskError::Panicked(_))));
            assert!(monitor.await.end.is_normal());
        }
        assert_eq!((left.home().name(), right.home().name()), ("left", "right"));
        tree.stop();
        assert!(tree.ended().await.is_normal());
        assert!(left.ended().await.is_normal());
    })
    .expect("it ends by itself");
}

#[test]
fn a_child_of_a_loop_that_dies_is_restarted_on_the_loop_that_comes_in_its_place() {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let group =
        EventLoopGroup::builder().loops(2).settings(settings).replace_dead(2).spawn().expect("a group");
    let (handle, known) = (group.handle(), [ChildRef::new(), ChildRef::new()]);
    run(async {
        let mut tree = Supervisor::builder().intensity(at_most(2));
        for (index, known) in known.iter().enumerate() {
            tree = tree
                .child(Child::on_group(&handle, index, format!("{index}"), Remote::default).known_as(known));
        }
        let tree = tree.create();
        up(&tree).await;
        let other = known[0].address().expect("it is there");
        assert_eq!(other.ask(Order::Count).await, Ok(1));
        for generation in 1..=2 {
            let old = known[1].address().expect("it is there");
            let (monitor, waits) = (old.monitor(), old.clone());
            old.home().call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).expect("it is open");
            let down = monitor.await;
            assert!(matches!(&down.end, ActorEnd::LoopDied(died) if died.loop_name() == "loop-1"), "{down}");
            assert_eq!(waits.ask(Order::Count).await, Err(AskError::Stopped));
            let fresh = loop {
                match known[1].address() {
                    Some(fresh) if fresh != old => break fresh,
                    _ => sleep(Duration::from_millis(1)).await,
                }
            };
            assert_eq!(fresh.ask(Order::Count).await, Ok(1));
            assert_eq!(handle.generation(1), Some(generation));
            assert_eq!(fresh.home(), handle.get(1).expect("there is one"));
        }
        assert_eq!(other.ask(Order::Count).await, Ok(2), "the other one is as it was");
        // Nobody comes in the place of the third.
        let last = known[1].address().expect("it is there");
        last.home().call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).expect("it is open");
        let end = tree.ended().await;
        assert!(matches!(&end, ActorEnd::GaveUp(gave_up) if gave_up.child == "1"), "{end}");
        assert!(other.ended().await.is_normal());
    })
    .expect("it ends by itself");
}

#[test]
fn a_supervisor_gives_up_on_a_child_whose_loop_is_closed() {
    let closed = perloop::new_event_loop().expect("a loop");
    let home = closed.handle();
    closed.close().expect("it does not run");
    let known = ChildRef::new();
    run(async {
        let tree = Supervisor::builder().intensity(at_most(2)).child(remote(&home, "a", &known)).create();
        let ActorEnd::GaveUp(gave_up) = tree.ended().await else { panic!("it gives up") };
        assert!(matches!(gave_up.end, ActorEnd::LoopClosed(_)));
        // One that need not be there is let go.
        let child = remote(&home, "a", &known).restart(Restart::Temporary);
        let tree = Supervisor::builder().intensity(at_most(2)).child(child).create();
        assert!(up(&tree).await.is_empty());
    })
    .expect("it ends by itself");
}

#[test]
fn a_supervisors_loop_that_closes_or_dies_ends_its_children_elsewhere() {
    let home = LoopThread::spawn("home").expect("a thread");
    for dies in [false, true] {
        let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
        let group = EventLoopGroup::builder().loops(1).settings(settings).spawn().expect("a group");
        let known = ChildRef::new();
        let (handle, child) = (home.handle(), known.clone());
        let tree = group
            .next()
            .create_actor(move || Supervisor::builder().child(remote(&handle, "a", &child)).build());
        assert_eq!(tree.ask_blocking(WhichChildren).expect("it lives").len(), 1);
        let child = known.address().expect("it is there");
        if dies {
            group.next().call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).expect("it is open");
        } else {
            group.join().expect("it does not panic");
        }
        assert_eq!(child.ended_blocking(), Ok(ActorEnd::Stopped));
    }
}

#[test]
fn a_child_that_keeps_its_thread_busy_is_abandoned_and_another_one_made() {
    let [first, second] = ["first", "second"].map(|name| LoopThread::spawn(name).expect("a thread"));
    let (stuck, other) = (ChildRef::new(), ChildRef::new());
    let time = Some(Duration::from_millis(5));
    run(async {
        let tree = Supervisor::builder().strategy(Strategy::OneForAll);
        let tree = tree
            .child(remote(&first, "stuck", &stuck).stop_within(time))
            .child(remote(&second, "other", &other));
        let tree = tree.create();
        up(&tree).await;
        let before = stuck.address().expect("it is there");
        let go_on = block(&before);
        before.try_tell(Order::Count).expect("there is room");
        let fails = other.address().expect("it is there");
        assert!(fails.ask(Order::Fail).await.is_err());
        let after = loop {
            match stuck.address() {
                Some(after) if after != before => break after,
                _ => sleep(Duration::from_millis(1)).await,
            }
        };
        drop(go_on);
        assert_eq!(before.ended().await, ActorEnd::Killed);
        assert_eq!((after.ask(Order::Count).await, before.dead_letters()), (Ok(1), 1));
        assert_eq!(fails.ask(Order::Count).await, Ok(1));
        // And as the supervisor ends.
        let go_on = block(&after);
        tree.stop();
        assert!(tree.ended().await.is_normal());
        assert!(!after.has_ended());
        drop(go_on);
        assert_eq!(after.ended().await, ActorEnd::Killed);
    })
    .expect("it ends by itself");
}

/// Holds its thread up until what this gives is dropped.
fn block(remote: &Address<Remote>) -> mpsc::Sender<()> {
    let ((go_on, until), (begins, begun)) = (mpsc::channel(), mpsc::channel());
    remote.try_tell(Order::Block(begins, until)).expect("there is room");
    begun.recv().expect("it begins");
    go_on
}

/// Links itself to another one each time it starts.
struct Linked(Address<Part>);

impl Actor for Linked {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        context.link(&self.0);
    }
}

#[test]
fn a_link_reaches_from_life_to_life() {
    play(|notes| async move {
        let (child, known) = part("a", &notes, Habit::None);
        let (linked, other) = (ChildRef::new(), known.clone());
        let make = move || Linked(other.address().expect("it is there"));
        let tree = Supervisor::builder().intensity(at_most(10)).child(child);
        let tree = tree.child(Child::new("linked", make).known_as(&linked)).create();
        up(&tree).await;
        for restarts in 1..4 {
            fail(&known);
            settle().await;
            let states = tree.ask(WhichChildren).await.expect("it lives");
            assert!(states.iter().all(|child| child.is_up && child.restarts == restarts), "{states:?}");
        }
        known.address().expect("it is there").try_tell(Hang).expect("there is room");
        linked.address().expect("it is there").kill();
        settle().await;
        let states = tree.ask(WhichChildren).await.expect("it lives");
        assert!(states.iter().all(|child| child.is_up), "{states:?}");
        // The other one may have come too soon, and found the first still about to end.
        assert!(states[0].restarts == 4 && states[1].restarts >= 4, "{states:?}");
    });
}
