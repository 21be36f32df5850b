//! How actors begin and end: hooks, children, and timers to themselves.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, ActorEnd, Address, EventLoop, Handler, create_actor, sleep, yield_now,
};

type Notes = Rc<RefCell<Vec<String>>>;

/// Notes each step of its life.
struct Life {
    name: &'static str,
    notes: Notes,
    children: Vec<&'static str>,
    slow_end: Duration,
}

impl Life {
    fn new(name: &'static str, notes: &Notes) -> Self {
        Self { name, notes: Rc::clone(notes), children: Vec::new(), slow_end: Duration::ZERO }
    }

    fn with(mut self, children: Vec<&'static str>, slow_end: Duration) -> Self {
        (self.children, self.slow_end) = (children, slow_end);
        self
    }

    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(format!("{} {text}", self.name));
    }
}

impl Actor for Life {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        self.note("started");
        for (name, millis) in self.children.clone().into_iter().zip(1..) {
            let notes = Rc::clone(&self.notes);
            let slow_end = Duration::from_millis(millis);
            context.create_child(move || Self::new(name, &notes).with(Vec::new(), slow_end));
        }
        yield_now().await;
        self.note("ready");
    }

    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        self.note("stopping");
    }

    async fn stopped(&mut self) {
        sleep(self.slow_end).await;
        self.note("stopped");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

enum Do {
    Note(&'static str),
    Panic,
    Later(Duration, &'static str),
    Wait(Duration),
}

impl Handler<Do> for Life {
    type Reply = ();

    async fn handle(&mut self, what: Do, context: &mut ActorContext<Self>) {
        match what {
            Do::Note(text) => self.note(text),
            Do::Panic => panic!("as told"),
            Do::Later(delay, text) => drop(context.tell_later(delay, Do::Note(text))),
            Do::Wait(delay) => sleep(delay).await,
        }
    }
}

fn play<F: Future + 'static>(program: impl FnOnce(Notes) -> F) -> Vec<String> {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &perloop::ExceptionContext| {}));
    let notes = Notes::default();
    event_loop.run_until_complete(program(Rc::clone(&notes))).expect("it ends by itself");
    event_loop.close().expect("it does not run");
    notes.take()
}

fn family(notes: &Notes) -> Address<Life> {
    let notes = Rc::clone(notes);
    create_actor(move || Life::new("parent", &notes).with(vec!["first", "second"], Duration::ZERO))
}

#[test]
fn hooks_are_called_around_all_messages() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let life = create_actor(move || Life::new("it", &kept));
        life.try_tell(Do::Note("is told")).expect("there is room");
        sleep(Duration::from_millis(1)).await;
        life.stop();
        assert_eq!(life.ended().await, ActorEnd::Stopped);
    });
    assert_eq!(notes, ["it started", "it ready", "it is told", "it stopping", "it stopped", "it dropped"]);
}

#[test]
fn a_stop_before_the_first_message_waits_for_the_start() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let life = create_actor(move || Life::new("it", &kept));
        life.try_tell(Do::Note("is told")).expect("there is room");
        life.stop();
        life.ended().await;
        assert_eq!(life.dead_letters(), 1);
    });
    assert_eq!(notes, ["it started", "it ready", "it stopping", "it stopped", "it dropped"]);
}

#[test]
fn children_end_before_their_parent_the_last_one_first() {
    let notes = play(|notes| async move {
        let parent = family(&notes);
        sleep(Duration::from_millis(1)).await;
        notes.borrow_mut().clear();
        parent.stop();
        parent.ended().await;
    });
    let expected = [
        "parent stopping",
        "second stopping",
        "second stopped",
        "second dropped",
        "first stopping",
        "first stopped",
        "first dropped",
        "parent stopped",
        "parent dropped",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn a_parent_that_panics_takes_its_children_along_and_skips_its_hooks() {
    let notes = play(|notes| async move {
        let parent = family(&notes);
        sleep(Duration::from_millis(1)).await;
        notes.borrow_mut().clear();
        parent.try_tell(Do::Panic).expect("there is room");
        assert!(matches!(parent.ended().await, ActorEnd::Panicked(_)));
        sleep(Duration::from_millis(10)).await;
    });
    let of = |name: &str| notes.iter().filter(|note| note.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("parent"), ["parent dropped"]);
    assert_eq!(of("first"), ["first stopping", "first stopped", "first dropped"]);
    assert_eq!(of("second").len(), 3);
}

#[test]
fn a_timer_to_oneself_comes_before_what_waits_also_if_the_mailbox_is_full() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let life = ActorBuilder::new().mailbox(1).create(move || Life::new("it", &kept));
        let told = async {
            life.tell(Do::Later(Duration::from_millis(5), "hears its timer")).await?;
            life.tell(Do::Wait(Duration::from_millis(10))).await?;
            life.tell(Do::Note("is told")).await
        };
        assert!(told.await.is_ok());
        sleep(Duration::from_millis(20)).await;
    });
    assert_eq!(notes[2..4], ["it hears its timer", "it is told"]);
}

#[test]
fn a_timer_to_an_actor_that_has_ended_is_dropped() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let life = create_actor(move || Life::new("it", &kept));
        life.tell(Do::Later(Duration::from_millis(5), "never")).await.expect("it lives");
        sleep(Duration::from_millis(1)).await;
        life.stop();
        sleep(Duration::from_millis(10)).await;
        assert!(life.has_ended());
    });
    assert!(!notes.contains(&"it never".to_owned()));
}

/// Asks its parent something when it stops.
struct Curious(Address<Parent>, Notes);
struct Parent(Notes);

impl Actor for Curious {
    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        let reply = self.0.ask(()).await;
        self.1.borrow_mut().push(format!("{reply:?}"));
    }
}

impl Actor for Parent {
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        let this = context.address().expect("it has an address");
        let notes = Rc::clone(&self.0);
        context.create_child(move || Curious(this, notes));
    }
}

impl Handler<()> for Parent {
    type Reply = ();

    async fn handle(&mut self, (): (), _: &mut ActorContext<Self>) {}
}

#[test]
fn a_child_that_asks_its_parent_as_both_stop_is_told_that_it_has_ended() {
    let notes = play(|notes| async move {
        let kept = Rc::clone(&notes);
        let parent = create_actor(move || Parent(kept));
        sleep(Duration::from_millis(1)).await;
        parent.stop();
        assert_eq!(parent.ended().await, ActorEnd::Stopped);
    });
    assert_eq!(notes, ["Err(Stopped)"]);
}
