//! A question's reply: who answers, or goes without, against who awaits it, with one waker and another, or goes.
mod support;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bridge::{Answer, FutureError, Opener, Post, Question, Received, Reply, RoomWait, mailbox};
use loom::thread;
use support::{Driver, Ledger, TestBell, Value, model, ringing};

/// Who opens a question hands its answer on.
struct Clerk;

impl Opener for Clerk {
    type Opened<'a> = Answer<Value>;
}

struct Ask(Value);

impl Question<Clerk> for Ask {
    type Reply = Value;

    fn open(self, _: &mut Clerk, answer: Answer<Value>) -> Answer<Value> {
        assert_eq!(self.0.get(), 1);
        answer
    }
}

/// A question that was asked and opened, and its reply.
fn asked(ledger: &Ledger) -> (Answer<Value>, Reply<Value>, Driver) {
    let home = Driver::new();
    let (post, mailbox) = mailbox::<Clerk>(&home.remote(), 1);
    let reply = ask(&post, ledger);
    let bell = TestBell::new();
    let waker = ringing(&bell);
    let mut mailbox = mailbox.open();
    let Poll::Ready(Received::Letter(letter)) = mailbox.poll_receive(&mut Context::from_waker(&waker)) else {
        panic!("it was sent")
    };
    (letter.open(&mut Clerk), reply, home)
}

fn ask(post: &Post<Clerk>, ledger: &Ledger) -> Reply<Value> {
    let bell = TestBell::new();
    let waker = ringing(&bell);
    let mut wait = RoomWait::default();
    assert!(post.poll_let_in(&mut wait, &Context::from_waker(&waker)).is_ready());
    post.ask_let_in(Ask(ledger.value_of(1))).unwrap_or_else(|_| panic!("it is open"))
}

type Outcome = Result<u32, FutureError>;

fn poll(reply: &mut Reply<Value>, bell: &TestBell) -> Poll<Outcome> {
    let waker = ringing(bell);
    let polled = Pin::new(reply).poll(&mut Context::from_waker(&waker));
    polled.map(|outcome| outcome.map(|value| value.get()))
}

/// Awaits it as a task does, always by the same waker.
fn wait(reply: &mut Reply<Value>, bell: &TestBell) -> Outcome {
    loop {
        match poll(reply, bell) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => {
                bell.wait();
                // It may have woken itself, until another thread goes on.
                thread::yield_now();
            }
        }
    }
}

#[test]
fn an_answer_against_who_awaits_it_comes_whole() {
    model(3, || {
        let ledger = Ledger::default();
        let (answer, mut reply, _home) = asked(&ledger);
        let value = ledger.value_of(2);
        let other = thread::spawn(move || answer.give(Ok(value)));
        let bell = TestBell::new();
        assert_eq!(wait(&mut reply, &bell), Ok(2));
        assert!(bell.rings() <= 1);
        other.join().unwrap();
        drop(reply);
        ledger.check();
    });
}

#[test]
fn an_answer_against_a_change_of_wakers_is_told() {
    model(3, || {
        let ledger = Ledger::default();
        let (answer, mut reply, _home) = asked(&ledger);
        let value = ledger.value_of(2);
        let other = thread::spawn(move || answer.give(Ok(value)));
        let bells = [TestBell::new(), TestBell::new()];
        let first = poll(&mut reply, &bells[0]);
        let outcome = if let Poll::Ready(outcome) = first { outcome } else { wait(&mut reply, &bells[1]) };
        assert_eq!(outcome, Ok(2));
        other.join().unwrap();
        drop(reply);
        ledger.check();
    });
}

#[test]
fn an_answer_against_who_gives_up_is_dropped_once() {
    model(3, || {
        let ledger = Ledger::default();
        let (answer, mut reply, _home) = asked(&ledger);
        let value = ledger.value_of(2);
        let other = thread::spawn(move || answer.give(Ok(value)));
        let bell = TestBell::new();
        _ = poll(&mut reply, &bell);
        drop(reply);
        other.join().unwrap();
        ledger.check();
    });
}

#[test]
fn an_answer_that_is_dropped_against_who_awaits_it_ends_the_wait() {
    model(3, || {
        let ledger = Ledger::default();
        let (answer, mut reply, _home) = asked(&ledger);
        let other = thread::spawn(move || drop(answer));
        assert_eq!(wait(&mut reply, &TestBell::new()), Err(FutureError::Cancelled));
        other.join().unwrap();
        drop(reply);
        ledger.check();
    });
}

/// The letter is opened, or dropped with its mailbox, while the asker waits, or goes.
fn against_the_mailbox(close: bool, goes: bool) {
    let ledger = Ledger::default();
    let home = Driver::new();
    let (post, mailbox) = mailbox::<Clerk>(&home.remote(), 1);
    let its = ledger.clone();
    let other = thread::spawn(move || {
        let mut reply = ask(&post, &its);
        if !goes {
            let outcome = wait(&mut reply, &TestBell::new());
            assert_eq!(outcome, if close { Err(FutureError::Cancelled) } else { Ok(2) });
        }
    });
    let bell = TestBell::new();
    let waker = ringing(&bell);
    let mut mailbox = mailbox.open();
    loop {
        match mailbox.poll_receive(&mut Context::from_waker(&waker)) {
            Poll::Ready(Received::Letter(letter)) if close => break drop(letter),
            Poll::Ready(Received::Letter(letter)) => {
                break letter.open(&mut Clerk).give(Ok(ledger.value_of(2)));
            }
            Poll::Ready(Received::Order(_)) => panic!("nobody has sent an order"),
            Poll::Pending => bell.wait(),
        }
    }
    other.join().unwrap();
    drop(mailbox);
    ledger.check();
}

#[test]
fn a_question_by_the_lane_is_answered_where_it_came_from() {
    model(2, || against_the_mailbox(false, false));
}

#[test]
fn a_question_by_the_lane_that_is_not_opened_ends_the_wait() {
    model(2, || against_the_mailbox(true, false));
}

#[test]
fn a_question_by_the_lane_whose_asker_goes_is_freed_once() {
    model(2, || against_the_mailbox(false, true));
    model(2, || against_the_mailbox(true, true));
}
