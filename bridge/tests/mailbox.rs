//! Mailboxes and replies, with code that is not theirs: wakers, destructors and burials that panic, or send.
mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use perloop_bridge::{
    Answer, Burial, Open, Opener, Post, Question, Received, Reply, RoomWait, Spin, Unopened, WhenFull,
    mailbox, mailbox_with,
};
use support::hooked_waker::{Used, hooked_waker, waker_that_panics};
use support::{Driver, MEANT, PanicsOnDrop, hush};

/// Who opens a question hands its answer on.
struct Clerk;

impl Opener for Clerk {
    type Opened<'a> = Option<Answer<u32>>;
}

struct Ask;

impl Question<Clerk> for Ask {
    type Reply = u32;

    fn open(self, _: &mut Clerk, answer: Answer<u32>) -> Option<Answer<u32>> {
        Some(answer)
    }
}

/// Panics when it is buried.
struct Note(Arc<AtomicUsize>);

impl Open<Clerk> for Note {
    fn open(self, _: &mut Clerk) -> Option<Answer<u32>> {
        None
    }

    fn bury(self, _: Burial) {
        self.0.fetch_add(1, SeqCst);
        panic_any(MEANT);
    }
}

struct Empty;

impl Open<Clerk> for Empty {
    fn open(self, _: &mut Clerk) -> Option<Answer<u32>> {
        None
    }
}

fn ends() -> (Driver, Post<Clerk>, Unopened<Clerk>) {
    let driver = Driver::new(Spin::Never);
    let (post, unopened) = mailbox(&driver.home.remote(), 1);
    (driver, post, unopened)
}

/// A question that was opened, and its reply.
fn asked() -> (Answer<u32>, Reply<u32>) {
    let (_driver, post, unopened) = ends();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(post.poll_let_in(&mut RoomWait::default(), &cx).is_ready());
    let Ok(reply) = post.ask_let_in(Ask) else { panic!("it is open") };
    let Poll::Ready(Received::Letter(letter)) = unopened.open().poll_receive(&mut cx) else {
        panic!("it was sent")
    };
    (letter.open(&mut Clerk).unwrap(), reply)
}

/// One poll, of which a panic is the poller's.
fn poll(reply: &mut Reply<u32>, waker: &Waker) {
    let polled = AssertUnwindSafe(|| Pin::new(reply).poll(&mut Context::from_waker(waker)).is_ready());
    assert!(!catch_unwind(polled).unwrap_or_default());
}

/// Each of a waker's functions panics: the answer comes all the same, or is given in vain.
#[test]
fn an_answer_comes_whatever_a_waker_does() {
    hush();
    for when in [Used::Cloned, Used::Woken, Used::WokenByRef, Used::Dropped] {
        let waker = waker_that_panics(when);
        for wakers in [&[&waker][..], &[&waker, Waker::noop()], &[Waker::noop(), &waker, Waker::noop()]] {
            for is_given_up in [false, true] {
                let (answer, mut reply) = asked();
                wakers.iter().for_each(|waker| poll(&mut reply, waker));
                if is_given_up {
                    drop(reply);
                    answer.give(Ok(42));
                } else {
                    answer.give(Ok(42));
                    let ended = Pin::new(&mut reply).poll(&mut Context::from_waker(Waker::noop()));
                    assert_eq!(ended, Poll::Ready(Ok(42)));
                }
            }
        }
        // Its own drop is the test's.
        drop(catch_unwind(AssertUnwindSafe(|| drop(waker))));
    }
}

/// A reason is there already, and the one that comes late panics when it is dropped.
#[test]
fn a_sign_is_raised_whatever_its_reason_does() {
    hush();
    let (_driver, post, unopened) = ends();
    let drops = Arc::new(AtomicUsize::new(0));
    let mailbox = unopened.open();
    post.raise_for(1, Box::new("why"));
    post.raise_for(2, Box::new(PanicsOnDrop(Arc::clone(&drops))));
    assert_eq!((mailbox.take_signs(), drops.load(SeqCst)), (1 | 2, 1));
    assert!(mailbox.take_reason().is_some_and(|reason| reason.is::<&str>()));
}

/// It marks that the receiver's waker is there, which it is not.
#[test]
fn the_highest_bit_is_no_sign() {
    hush();
    let (_driver, post, unopened) = ends();
    for (lower, raise) in [(0, 1 << 31), (1 << 31, 0), (1 << 31 | 1, 2)] {
        assert!(catch_unwind(AssertUnwindSafe(|| post.change_signs(lower, raise))).is_err());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| post.raise_for(1 << 31, Box::new(())))).is_err());
    assert_eq!(unopened.open().take_signs(), 0);
}

/// Letters that are displaced, and that are left, panic when they are buried: the sender and the closer go on.
#[test]
fn a_burial_that_panics_is_in_nobodys_way() {
    hush();
    let driver = Driver::new(Spin::Never);
    let (post, unopened) = mailbox_with::<Clerk>(&driver.home.remote(), 2, WhenFull::DropOldest);
    let buried = Arc::new(AtomicUsize::new(0));
    (0..3).for_each(|_| assert!(post.try_send(Note(Arc::clone(&buried))).is_ok()));
    assert_eq!((buried.load(SeqCst), post.dead_letters()), (1, 1));
    assert_eq!(unopened.open().close(), 2);
    assert_eq!((buried.load(SeqCst), post.dead_letters()), (3, 3));
}

/// Letters that come in a row wake a receiver that sleeps once.
#[test]
fn of_letters_in_a_row_the_first_wakes() {
    for when_full in [WhenFull::Wait, WhenFull::DropOldest] {
        let driver = Driver::new(Spin::Never);
        let (post, unopened) = mailbox_with::<Clerk>(&driver.home.remote(), 3, when_full);
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        let waker = hooked_waker(move |used| _ = count.fetch_add((used == Used::WokenByRef).into(), SeqCst));
        let mut mailbox = unopened.open();
        assert!(mailbox.poll_receive(&mut Context::from_waker(&waker)).is_pending());
        let send = move || (0..3).for_each(|_| assert!(post.try_send(Empty).is_ok()));
        thread::spawn(send).join().unwrap();
        assert_eq!(wakes.load(SeqCst), 1);
    }
}

/// A receiver that is about to sleep gives room back, which wakes somebody who sends at once from its own thread: it does
/// not sleep.
#[test]
fn what_is_sent_while_a_receiver_falls_asleep_is_received() {
    let driver = Driver::new(Spin::Never);
    let (post, unopened) = mailbox::<Clerk>(&driver.home.remote(), 9);
    let mut mailbox = unopened.open();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..8 {
        assert!(post.poll_let_in(&mut RoomWait::default(), &cx).is_ready());
    }
    assert!(post.try_send(Empty).is_ok());
    // Of so much room that of one letter is not given back at once.
    assert!(mailbox.poll_receive(&mut cx).is_ready());
    let sender = post.clone();
    let waker = hooked_waker(move |used| {
        if used == Used::Woken {
            assert!(sender.send_order(Empty).is_ok());
        }
    });
    let waits = move || {
        let mut wait = RoomWait::default();
        assert!(post.poll_let_in(&mut wait, &Context::from_waker(&waker)).is_pending());
    };
    thread::spawn(waits).join().unwrap();
    assert!(matches!(mailbox.poll_receive(&mut cx), Poll::Ready(Received::Order(_))));
}
