//! Who hears of an actor's end, how it ended, and who ends with it.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, AskError, Down, EventLoop, EventLoopGroup, Handler,
    LoopThread, Monitor, PanicPolicy, create_actor, create_task, new_event_loop, run, sleep, timeout,
    yield_now,
};

/// Does what it is told.
#[derive(Default)]
struct Worker {
    panics_when: &'static str,
    dropped: Option<Rc<Cell<u32>>>,
}

impl Worker {
    fn that_panics(when: &'static str) -> Self {
        Self { panics_when: when, dropped: None }
    }

    fn at(&self, when: &str) {
        if self.panics_when == when {
            resume_unwind(Box::new(when.to_owned()));
        }
    }
}

impl Actor for Worker {
    async fn started(&mut self, _: &mut ActorContext<Self>) {
        self.at("started");
    }

    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        self.at("stopping");
        if self.panics_when == "never stops" {
            pending::<()>().await;
        }
    }

    async fn stopped(&mut self) {
        self.at("stopped");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.set(dropped.get() + 1);
        }
        self.at("drop");
    }
}

enum Do {
    Fail,
    Wait,
    /// Waits, and panics when it is dropped half-way.
    WaitBadly,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("bomb"));
    }
}

impl Handler<Do> for Worker {
    type Reply = ();

    async fn handle(&mut self, what: Do, _: &mut ActorContext<Self>) {
        match what {
            Do::Fail => resume_unwind(Box::new("failed")),
            Do::Wait => pending().await,
            Do::WaitBadly => {
                let _bomb = Bomb;
                pending::<()>().await;
            }
        }
    }
}

fn play<F: Future + 'static>(program: impl FnOnce() -> F) -> F::Output {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &perloop::ExceptionContext| {}));
    let ended = event_loop.run_until_complete(program()).expect("it ends by itself");
    event_loop.close().expect("it does not run");
    ended
}

fn message(end: &ActorEnd) -> &str {
    match end {
        ActorEnd::Panicked(panicked) => panicked.message(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_monitor_hears_of_a_panic_with_its_message() {
    play(|| async {
        let worker = ActorBuilder::new().name("worker").create(Worker::default);
        let monitors = [worker.monitor(), worker.monitor(), worker.monitor()];
        worker.try_tell(Do::Fail).expect("there is room");
        for monitor in monitors {
            let down = monitor.await;
            assert_eq!((down.name.as_str(), message(&down.end), down.was_gone), ("worker", "failed", false));
        }
        let late = worker.monitor().await;
        assert_eq!((message(&late.end), late.was_gone), ("failed", true));
        assert!(late.to_string().contains("was already down"), "{late}");
    });
}

#[test]
fn a_panic_in_any_hook_or_the_destructor_is_how_it_ended() {
    play(|| async {
        for when in ["started", "stopping", "stopped", "drop"] {
            let worker = create_actor(move || Worker::that_panics(when));
            let monitor = worker.monitor();
            worker.stop();
            assert_eq!(message(&monitor.await.end), when);
        }
        let worker = create_actor::<Worker>(|| resume_unwind(Box::new("made")));
        assert_eq!(message(&worker.monitor().await.end), "made");
    });
}

#[test]
fn a_kill_breaks_off_whatever_the_actor_waits_for() {
    play(|| async {
        let dropped = Rc::new(Cell::new(0));
        for (count, what) in (1..).zip([None, Some(Do::Wait), Some(Do::WaitBadly)]) {
            let kept = Some(Rc::clone(&dropped));
            let worker = create_actor(|| Worker { panics_when: "", dropped: kept });
            let asked = what.map(|what| {
                let worker = worker.clone();
                create_task(async move { worker.ask(what).await })
            });
            yield_now().await;
            yield_now().await;
            worker.kill();
            assert_eq!(worker.ended().await, ActorEnd::Killed);
            assert_eq!(dropped.get(), count);
            if let Some(asked) = asked {
                assert_eq!(asked.await, Ok(Err(AskError::Stopped)));
            }
        }
    });
}

#[test]
fn a_kill_ends_one_that_never_stops_and_one_that_has_not_begun() {
    play(|| async {
        let worker = create_actor(|| Worker::that_panics("never stops"));
        worker.stop();
        assert!(timeout(Duration::from_secs(1), worker.ended()).await.is_err());
        worker.kill();
        assert_eq!(worker.ended().await, ActorEnd::Killed);
        let unborn = create_actor(Worker::default);
        unborn.kill();
        assert_eq!(unborn.ended().await, ActorEnd::Killed);
    });
}

#[test]
fn a_monitor_neither_keeps_its_actor_nor_ends_it() {
    play(|| async {
        let worker = create_actor(Worker::default);
        let (monitor, kept) = (worker.monitor(), worker.clone());
        drop(worker.monitor());
        drop(worker);
        assert!(timeout(Duration::from_secs(1), monitor).await.is_err());
        let mut monitor = kept.monitor();
        assert!(timeout(Duration::from_secs(1), &mut monitor).await.is_err());
        drop(kept);
        assert!(monitor.await.end.is_normal());
    });
}

#[test]
fn a_task_that_is_cancelled_as_it_awaits_a_monitor_harms_nobody() {
    play(|| async {
        let worker = create_actor(Worker::default);
        let monitor = worker.monitor();
        let waiter = create_task(monitor);
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.is_err());
        assert!(!worker.has_ended());
        let next = worker.monitor();
        worker.stop();
        assert!(next.await.end.is_normal());
    });
}

#[test]
fn threads_block_for_the_news_and_the_own_loop_must_not() {
    let home = LoopThread::spawn("home").expect("a thread");
    let worker = home.create_actor(Worker::default);
    let monitors: Vec<Monitor> = (0..4).map(|_| worker.monitor()).collect();
    assert_eq!(monitors[0].wait_timeout(Duration::from_millis(1)), Err(AskError::TimedOut));
    assert_eq!(monitors[0].try_down(), None);
    let own = worker.monitor();
    let refused = home.run_with(move || async move { own.wait() }).result().expect("it ends by itself");
    assert!(matches!(refused, Err(AskError::WouldDeadlock(_))));
    let waits: Vec<_> =
        monitors.into_iter().map(|monitor| std::thread::spawn(move || monitor.wait())).collect();
    worker.stop();
    for wait in waits {
        assert!(wait.join().expect("it does not panic").is_ok_and(|down| down.end.is_normal()));
    }
}

#[test]
fn a_loop_that_is_closed_or_dies_is_the_reason() {
    let event_loop = new_event_loop().expect("a loop");
    let worker =
        event_loop.run_until_complete(async { create_actor(Worker::default) }).expect("it ends by itself");
    let (monitor, unborn) = (worker.monitor(), event_loop.handle().create_actor(Worker::default).monitor());
    event_loop.close().expect("it does not run");
    for monitor in [monitor, unborn, event_loop.handle().create_actor(Worker::default).monitor()] {
        let down = monitor.wait().expect("it has ended");
        assert!(
            matches!(&down.end, ActorEnd::LoopClosed(why) if why.loop_name() == event_loop.name()),
            "{down}"
        );
    }

    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let group = EventLoopGroup::builder().loops(1).settings(settings).spawn().expect("a group");
    let worker = group.next().create_actor(Worker::default);
    let monitor = worker.monitor();
    group.next().call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).expect("it is open");
    let down = monitor.wait().expect("it has ended");
    assert!(matches!(&down.end, ActorEnd::LoopDied(why) if why.loop_name() == "loop-0"), "{down}");
}

#[test]
fn the_end_of_a_loops_thread_cancels_what_is_left() {
    let home = LoopThread::spawn("home").expect("a thread");
    let monitor = home.create_actor(Worker::default).monitor();
    let kept = home.create_actor(Worker::default);
    assert!(monitor.wait().expect("it has ended").end.is_normal(), "nobody has its address");
    let monitor = kept.monitor();
    home.join().expect("it does not panic");
    assert_eq!(monitor.wait().expect("it has ended").end, ActorEnd::Cancelled);
}

/// Notes the ends that it is told of.
struct Watcher {
    watched: Vec<Address<Worker>>,
    heard: Rc<RefCell<Vec<Down>>>,
}

impl Actor for Watcher {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        for worker in &self.watched {
            context.monitor(worker);
        }
    }
}

impl Handler<Down> for Watcher {
    type Reply = ();

    async fn handle(&mut self, down: Down, _: &mut ActorContext<Self>) {
        self.heard.borrow_mut().push(down);
    }
}

#[test]
fn an_actor_is_told_of_each_end_by_one_message_also_with_a_full_mailbox() {
    play(|| async {
        let workers: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|name| ActorBuilder::new().name(*name).create(Worker::default))
            .collect();
        workers[2].stop();
        workers[2].ended().await;
        let (heard, watched) = (Rc::new(RefCell::new(Vec::new())), workers.clone());
        let kept = Rc::clone(&heard);
        let watcher = ActorBuilder::new().mailbox(1).create(|| Watcher { watched, heard: kept });
        sleep(Duration::from_millis(1)).await;
        workers[0].kill();
        workers[1].try_tell(Do::Fail).expect("there is room");
        sleep(Duration::from_millis(1)).await;
        let texts: Vec<_> = heard.borrow().iter().map(Down::to_string).collect();
        let expected = [
            "actor 'c' was already down: stopped",
            "actor 'a' is down: killed",
            "actor 'b' is down: panicked: failed",
        ];
        assert_eq!(texts, expected);
        drop(watcher);
    });
}

/// Links itself to others, in the order given.
struct Partner {
    others: Vec<Address<Partner>>,
    unlinks: bool,
}

impl Actor for Partner {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        for other in &self.others {
            context.link(other);
            context.link(other);
            if self.unlinks {
                context.unlink(other);
            }
        }
    }
}

fn partner(others: &[&Address<Partner>], unlinks: bool) -> Address<Partner> {
    let others = others.iter().copied().cloned().collect();
    create_actor(move || Partner { others, unlinks })
}

#[test]
fn an_end_that_is_not_normal_goes_along_links_both_ways() {
    play(|| async {
        let first = partner(&[], false);
        let second = partner(&[&first], false);
        let third = partner(&[&second], false);
        let unlinked = partner(&[&first], true);
        sleep(Duration::from_millis(1)).await;
        second.kill();
        for linked in [&first, &third] {
            let ActorEnd::Linked(down) = linked.ended().await else { panic!("it was linked") };
            assert_eq!(down.end, ActorEnd::Killed);
        }
        sleep(Duration::from_millis(1)).await;
        assert!(!unlinked.has_ended());
    });
}

#[test]
fn a_normal_end_goes_along_no_link_but_one_to_who_is_gone_does() {
    play(|| async {
        let first = partner(&[], false);
        let second = partner(&[&first], false);
        sleep(Duration::from_millis(1)).await;
        first.stop();
        first.ended().await;
        sleep(Duration::from_millis(1)).await;
        assert!(!second.has_ended());
        let late = partner(&[&first], false);
        let ActorEnd::Linked(down) = late.ended().await else { panic!("it was linked") };
        assert!(down.was_gone && down.end.is_normal());
    });
}

#[test]
fn links_and_monitors_reach_over_loops() {
    let (left, right) =
        (LoopThread::spawn("left").expect("a thread"), LoopThread::spawn("right").expect("a thread"));
    let first = left.create_actor(|| Partner { others: Vec::new(), unlinks: false });
    let others = vec![first.clone()];
    let second = right.create_actor(|| Partner { others, unlinks: false });
    let (sender, started) = mpsc::channel();
    right
        .run_with(move || async move { sender.send(()) })
        .result()
        .expect("it ends by itself")
        .expect("heard");
    started.recv().expect("the second has started");
    let monitor = second.monitor();
    first.kill();
    assert!(matches!(monitor.wait().expect("it ends").end, ActorEnd::Linked(_)));
    let down = run(async move { second.monitor().await }).expect("it ends by itself");
    assert!(down.was_gone);
}
