//! An actor for the tests of supervision, which notes each step of its lives and fails when it is told to.

use std::cell::RefCell;
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use perloop::{Actor, ActorContext, ActorEnd, Child, ChildRef, EventLoop, ExceptionContext, Handler, sleep};

/// What happened.
#[derive(Clone, Default)]
pub(crate) struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|note| note.contains(what)).count()
    }
}

/// What a part does otherwise than others.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    #[default]
    None,
    /// Takes ten milliseconds to start, and to stop.
    IsSlow,
    /// Fails in this hook: "made", "started", "stopping", "stopped", or "dropped".
    FailsWhen(&'static str),
    /// Waits for ever in this hook.
    HangsWhen(&'static str),
}

pub(crate) struct Part {
    name: &'static str,
    notes: Notes,
    habit: Habit,
    /// Is lost with each life.
    count: u32,
}

impl Part {
    pub(crate) fn new(name: &'static str, notes: &Notes, habit: Habit) -> Self {
        let part = Self { name, notes: notes.clone(), habit, count: 0 };
        part.fail_when("made");
        part
    }

    fn note(&self, text: &str) {
        self.notes.add(format!("{} {text}", self.name));
    }

    fn fail_when(&self, when: &str) {
        if matches!(self.habit, Habit::FailsWhen(this) if this == when) {
            resume_unwind(Box::new(when.to_owned()));
        }
    }

    async fn step(&self, when: &'static str) {
        match self.habit {
            Habit::IsSlow => sleep(Duration::from_millis(10)).await,
            Habit::HangsWhen(this) if this == when => pending().await,
            _ => {}
        }
        self.note(when);
        self.fail_when(when);
    }
}

impl Actor for Part {
    async fn started(&mut self, _: &mut ActorContext<Self>) {
        self.step("started").await;
    }

    async fn restarted(&mut self, why: &ActorEnd, context: &mut ActorContext<Self>) {
        self.note(&format!("restarts, as it {why}"));
        self.started(context).await;
    }

    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        self.step("stopping").await;
    }

    async fn stopped(&mut self) {
        self.step("stopped").await;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.fail_when("dropped");
    }
}

pub(crate) struct Count;
pub(crate) struct Fail;
pub(crate) struct Hang;
pub(crate) struct Quit;

impl Handler<Count> for Part {
    type Reply = u32;

    async fn handle(&mut self, _: Count, _: &mut ActorContext<Self>) -> u32 {
        self.count += 1;
        self.count
    }
}

impl Handler<Fail> for Part {
    type Reply = ();

    async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
        self.count += 100;
        resume_unwind(Box::new("failed"));
    }
}

impl Handler<Hang> for Part {
    type Reply = ();

    async fn handle(&mut self, _: Hang, _: &mut ActorContext<Self>) {
        pending().await
    }
}

impl Handler<Quit> for Part {
    type Reply = ();

    async fn handle(&mut self, _: Quit, context: &mut ActorContext<Self>) {
        context.stop();
    }
}

/// A child that is a part, and where it is found.
pub(crate) fn part(name: &'static str, notes: &Notes, habit: Habit) -> (Child<Part>, ChildRef<Part>) {
    let (notes, known) = (notes.clone(), ChildRef::new());
    (Child::new(name, move || Part::new(name, &notes, habit)).known_as(&known), known)
}

/// A program on one loop, in virtual time. Nobody hears of panics but whom the program asks.
pub(crate) fn play<F: Future + 'static>(program: impl FnOnce(Notes) -> F) -> F::Output {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    event_loop.set_exception_handler(Some(|_: &EventLoop, context: &ExceptionContext| {
        assert!(context.message.contains("gave up"), "{context}");
    }));
    let ended = event_loop.run_until_complete(program(Notes::default())).expect("it ends by itself");
    event_loop.close().expect("it does not run");
    ended
}

pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}
