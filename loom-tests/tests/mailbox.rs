//! A mailbox: who sends from elsewhere and from home, who receives, who waits for room, and who closes.
mod support;

use std::future::poll_fn;
use std::task::{Context, Poll};

use bridge::{
    Mailbox, Open, Opener, Post, PutBlockingError, QueueClosed, Received, RoomWait, TryPutError, Unopened,
    WhenFull, mailbox, mailbox_with,
};
use loom::thread;
use support::{Driver, Ledger, TestBell, Value, join_all, model, ringing, wait_for};

/// Who opens a letter gets its number.
struct Reader;

impl Opener for Reader {
    type Opened<'a> = u32;
}

struct Note(Value);

impl Open<Reader> for Note {
    fn open(self, _: &mut Reader) -> u32 {
        self.0.get()
    }
}

struct Ends {
    ledger: Ledger,
    post: Post<Reader>,
    unopened: Unopened<Reader>,
    _home: Driver,
}

fn ends(capacity: usize) -> Ends {
    let home = Driver::new();
    let (post, unopened) = mailbox(&home.remote(), capacity);
    Ends { ledger: Ledger::default(), post, unopened, _home: home }
}

/// Waits for the next letter as a task does, always by the same waker.
struct Receiver {
    mailbox: Mailbox<Reader>,
    bell: TestBell,
}

impl Receiver {
    fn new(unopened: Unopened<Reader>) -> Self {
        Self { mailbox: unopened.open(), bell: TestBell::new() }
    }

    fn poll(&mut self) -> Poll<Received<Reader>> {
        let waker = ringing(&self.bell);
        self.mailbox.poll_receive(&mut Context::from_waker(&waker))
    }

    fn receive(&mut self) -> Received<Reader> {
        loop {
            match self.poll() {
                Poll::Ready(received) => return received,
                Poll::Pending => self.bell.wait(),
            }
        }
    }

    fn letter(&mut self) -> u32 {
        match self.receive() {
            Received::Letter(letter) => letter.open(&mut Reader),
            Received::Order(_) => panic!("nobody has sent an order"),
        }
    }
}

async fn let_in(post: &Post<Reader>) -> Result<(), QueueClosed> {
    let mut wait = RoomWait::default();
    poll_fn(|cx| post.poll_let_in(&mut wait, cx)).await
}

fn send(post: &Post<Reader>, value: Value) {
    assert!(post.try_send(Note(value)).is_ok());
}

/// One who sends two letters, and a receiver that falls asleep meanwhile.
#[test]
fn letters_against_a_receiver_that_falls_asleep_wake_it() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(2);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn(move || values.into_iter().for_each(|value| send(&post, value)));
        let mut receiver = Receiver::new(unopened);
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        assert!(receiver.bell.rings() <= 2);
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// Two who send.
#[test]
fn letters_of_two_senders_come_once() {
    model(1, || {
        let Ends { ledger, post, unopened, _home } = ends(2);
        let others = [1, 2].map(|number| {
            let (post, value) = (post.clone(), ledger.value_of(number));
            thread::spawn(move || send(&post, value))
        });
        let mut receiver = Receiver::new(unopened);
        assert_eq!(receiver.letter() + receiver.letter(), 3);
        join_all(others);
        drop(receiver);
        ledger.check();
    });
}

/// A letter by the lane, which is told of by another thread's signal, and one from home: the first comes first.
#[test]
fn a_letter_from_home_comes_after_what_led_to_it() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(2);
        let (bell, value) = (TestBell::new(), ledger.value_of(1));
        let other = thread::spawn({
            let (post, bell) = (post.clone(), bell.clone());
            move || {
                send(&post, value);
                bell.strike();
            }
        });
        let mut receiver = Receiver::new(unopened);
        bell.wait();
        send(&post, ledger.value_of(2));
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// The receiver waits; one sends from home, and another one from elsewhere.
#[test]
fn a_letter_from_home_against_one_from_elsewhere_wake_who_waits() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(2);
        let mut receiver = Receiver::new(unopened);
        assert!(receiver.poll().is_pending());
        let (others, value) = (post.clone(), ledger.value_of(1));
        let other = thread::spawn(move || send(&others, value));
        send(&post, ledger.value_of(2));
        receiver.bell.wait();
        assert_eq!(receiver.letter() + receiver.letter(), 3);
        assert!(receiver.poll().is_pending());
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// Nobody but the home thread is there: its own sends wake as well, all room is given back before a wait, and a closed
/// mailbox refuses.
#[test]
fn a_letter_from_home_wakes_who_waits() {
    model(0, || {
        let Ends { ledger, post, unopened, _home } = ends(100);
        let mut receiver = Receiver::new(unopened);
        assert!(receiver.poll().is_pending());
        send(&post, ledger.value_of(1));
        assert!(post.send_order(Note(ledger.value_of(2))).is_ok());
        assert_eq!((receiver.bell.rings(), post.len()), (1, 1));
        assert!(matches!(receiver.poll(), Poll::Ready(Received::Order(_))));
        assert_eq!(receiver.letter(), 1);
        assert!(receiver.poll().is_pending() && post.is_empty());
        receiver.mailbox.close();
        assert!(post.send_order(Note(ledger.value_of(3))).is_err());
        assert!(post.try_send(Note(ledger.value_of(4))).is_err());
        drop(receiver);
        ledger.check();
    });
}

/// The mailbox is full, and an order comes all the same, before the letters, also if the receiver falls asleep.
#[test]
fn an_order_against_a_receiver_that_falls_asleep_wakes_it() {
    model(2, || a_letter_and_an_order_wake_the_receiver(ends(1)));
}

/// As above, where the receiver puts the queue to sleep and then the lane.
#[test]
fn an_order_against_a_receiver_that_drops_the_oldest_wakes_it() {
    model(2, || a_letter_and_an_order_wake_the_receiver(ends_that_drop(1)));
}

fn a_letter_and_an_order_wake_the_receiver(ends: Ends) {
    let Ends { ledger, post, unopened, _home } = ends;
    let values = [1, 2].map(|number| ledger.value_of(number));
    let other = thread::spawn(move || {
        let [letter, order] = values;
        send(&post, letter);
        assert!(post.send_order(Note(order)).is_ok());
    });
    let mut receiver = Receiver::new(unopened);
    let mut sum = 0;
    for _ in 0..2 {
        sum += match receiver.receive() {
            Received::Order(order) | Received::Letter(order) => order.open(&mut Reader),
        };
    }
    assert_eq!(sum, 3);
    other.join().unwrap();
    drop(receiver);
    ledger.check();
}

/// There is room for one letter, and who sends blocks for more.
#[test]
fn receives_against_a_blocked_send_make_room() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn(move || {
            for value in values {
                assert!(post.block_let_in(None).is_ok());
                assert!(post.send_let_in(Note(value)).is_ok());
            }
        });
        let mut receiver = Receiver::new(unopened);
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// As above, and who sends awaits.
#[test]
fn receives_against_an_awaited_send_make_room() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn(move || {
            for value in values {
                assert!(wait_for(let_in(&post)).is_ok());
                assert!(post.send_let_in(Note(value)).is_ok());
            }
        });
        let mut receiver = Receiver::new(unopened);
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// One waits for room and gives up as there is some: another one that waits gets it.
#[test]
fn a_send_that_gives_up_against_a_receive_leaves_the_room_to_others() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        send(&post, ledger.value_of(1));
        let bell = TestBell::new();
        let mut wait = RoomWait::default();
        assert!(post.poll_let_in(&mut wait, &Context::from_waker(&ringing(&bell))).is_pending());
        let (others, value) = (post.clone(), ledger.value_of(2));
        let second = thread::spawn(move || {
            assert!(others.block_let_in(None).is_ok());
            assert!(others.send_let_in(Note(value)).is_ok());
        });
        let quitter = thread::spawn(move || post.forget(&mut wait));
        let mut receiver = Receiver::new(unopened);
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        join_all([second, quitter]);
        drop(receiver);
        ledger.check();
    });
}

/// A letter that comes as the mailbox is closed is dropped there or comes back.
#[test]
fn a_send_against_a_close_is_dropped_once_or_comes_back() {
    let ways: [fn(Unopened<Reader>) -> usize; 3] = [
        |unopened| Receiver::new(unopened).mailbox.close(),
        |unopened| {
            let mut receiver = Receiver::new(unopened);
            let is_there = receiver.poll().is_ready();
            receiver.mailbox.close() + usize::from(is_there)
        },
        |unopened| {
            drop(unopened);
            0
        },
    ];
    for close in ways {
        model(3, move || {
            let Ends { ledger, post, unopened, _home } = ends(2);
            let value = ledger.value_of(1);
            let other = thread::spawn({
                let post = post.clone();
                move || match post.try_send(Note(value)) {
                    Ok(()) => 0,
                    Err(TryPutError::Closed(note)) => note.0.get(),
                    Err(TryPutError::Full(_)) => panic!("there is room"),
                }
            });
            let closed = close(unopened);
            let came_back = other.join().unwrap();
            assert!(closed == 0 || came_back == 0);
            assert!(post.is_closed() && post.dead_letters() <= 1);
            drop(post);
            ledger.check();
        });
    }
}

/// A close against one who waits for room: it is told, and has its letter still.
#[test]
fn a_close_against_a_waiting_send_ends_it() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        send(&post, ledger.value_of(1));
        let awaiting = thread::spawn({
            let post = post.clone();
            move || assert!(wait_for(let_in(&post)).is_err())
        });
        let mut receiver = Receiver::new(unopened);
        assert_eq!(receiver.mailbox.close(), 1);
        assert_eq!(post.block_let_in(None), Err(PutBlockingError::Closed(())));
        awaiting.join().unwrap();
        // The one that was in it, and the two that waited for room.
        assert_eq!(post.dead_letters(), 3);
        drop((receiver, post));
        ledger.check();
    });
}

/// An order that comes as the mailbox is closed is dropped there or comes back.
#[test]
fn an_order_against_a_close_is_dropped_once_or_comes_back() {
    model(3, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let value = ledger.value_of(1);
        let other = thread::spawn(move || drop(post.send_order(Note(value))));
        let mut receiver = Receiver::new(unopened);
        let _ = receiver.poll();
        drop(receiver);
        other.join().unwrap();
        ledger.check();
    });
}

/// Who is told that a mailbox is closed may read what was written before that.
#[test]
fn who_is_refused_sees_what_was_before_the_close() {
    model(3, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let reason = support::Shared::new();
        let value = ledger.value_of(1);
        let other = thread::spawn({
            let reason = reason.clone();
            move || {
                if post.try_send(Note(value)).is_err() {
                    assert_eq!(reason.get(), 1);
                }
            }
        });
        reason.add();
        drop(unopened);
        other.join().unwrap();
        ledger.check();
    });
}

/// Who has seen that a mailbox is closed is refused, whatever it sends.
#[test]
fn who_finds_it_closed_is_refused() {
    for ends in [ends, ends_that_drop] {
        model(3, move || {
            let Ends { ledger, post, unopened, _home } = ends(1);
            let values = [1, 2].map(|number| ledger.value_of(number));
            let other = thread::spawn(move || {
                let [letter, order] = values;
                if post.is_closed() {
                    assert!(post.send_order(Note(order)).is_err());
                    assert!(post.try_send(Note(letter)).is_err());
                }
            });
            drop(unopened);
            other.join().unwrap();
            ledger.check();
        });
    }
}

/// One raises a sign, and a receiver that waits for it, or for letters and it, is woken.
#[test]
fn a_sign_against_a_receiver_that_watches_wakes_it() {
    for reads_letters in [false, true] {
        model(3, move || {
            let Ends { ledger, post, unopened, _home } = ends(1);
            let seen = support::Shared::new();
            let other = thread::spawn({
                let seen = seen.clone();
                move || {
                    seen.add();
                    post.change_signs(0, 4);
                }
            });
            let mut receiver = Receiver::new(unopened);
            while !signs_are(4, &mut receiver, reads_letters) {
                receiver.bell.wait();
            }
            // What was before the sign is seen with it.
            assert_eq!(seen.get(), 1);
            other.join().unwrap();
            drop(receiver);
            ledger.check();
        });
    }
}

fn signs_are(expected: u32, receiver: &mut Receiver, reads_letters: bool) -> bool {
    if reads_letters {
        assert!(receiver.poll().is_pending());
    }
    let waker = ringing(&receiver.bell);
    receiver.mailbox.poll_signs(&Context::from_waker(&waker)) == Poll::Ready(expected)
}

/// Two who raise signs, one of them for a reason: none is lost.
#[test]
fn signs_of_two_are_both_seen() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let (first, value) = (post.clone(), ledger.value_of(1));
        let others = [
            thread::spawn(move || first.raise_for(1, Box::new(value))),
            thread::spawn(move || post.change_signs(0, 2)),
        ];
        let receiver = Receiver::new(unopened);
        let waker = ringing(&receiver.bell);
        let mut signs = 0;
        while signs != 3 {
            match receiver.mailbox.poll_signs(&Context::from_waker(&waker)) {
                Poll::Ready(raised) => signs |= raised,
                Poll::Pending => receiver.bell.wait(),
            }
        }
        assert!(receiver.mailbox.take_reason().is_some_and(|reason| reason.is::<Value>()));
        join_all(others);
        drop(receiver);
        ledger.check();
    });
}

/// A letter and then a sign: who sees the sign finds the letter, as one must that ends when nobody will send.
#[test]
fn a_sign_comes_after_the_letters_before_it() {
    model(3, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        let value = ledger.value_of(1);
        let other = thread::spawn(move || {
            send(&post, value);
            post.change_signs(0, 1);
        });
        let mut receiver = Receiver::new(unopened);
        if receiver.mailbox.take_signs() == 1 {
            assert!(receiver.poll().is_ready());
        }
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// One sign takes back another that was not seen: it is seen alone, or after that one.
#[test]
fn a_sign_that_takes_one_back_against_a_look_is_seen_alone_or_later() {
    model(3, || {
        let Ends { ledger, post, unopened, _home } = ends(1);
        post.change_signs(0, 1);
        let other = thread::spawn(move || post.change_signs(1, 2));
        let receiver = Receiver::new(unopened);
        let first = receiver.mailbox.take_signs();
        other.join().unwrap();
        let second = receiver.mailbox.take_signs();
        assert!([(1, 2), (2, 0)].contains(&(first, second)), "{first} {second}");
        drop(receiver);
        ledger.check();
    });
}

fn ends_that_drop(capacity: usize) -> Ends {
    let home = Driver::new();
    let (post, unopened) = mailbox_with(&home.remote(), capacity, WhenFull::DropOldest);
    Ends { ledger: Ledger::default(), post, unopened, _home: home }
}

/// As `letters_against_a_receiver_that_falls_asleep_wake_it`, where the oldest makes room, which there is enough of.
#[test]
fn letters_against_a_receiver_that_drops_the_oldest_wake_it() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends_that_drop(2);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn(move || values.into_iter().for_each(|value| send(&post, value)));
        let mut receiver = Receiver::new(unopened);
        assert_eq!((receiver.letter(), receiver.letter()), (1, 2));
        other.join().unwrap();
        drop(receiver);
        ledger.check();
    });
}

/// Two who send where there is room for one: what comes is the last one, whoever that is, and the other comes before or is
/// dropped, once.
#[test]
fn letters_of_two_senders_displace_each_other_or_come() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends_that_drop(1);
        let others = [1, 2].map(|number| {
            let (post, value) = (post.clone(), ledger.value_of(number));
            thread::spawn(move || send(&post, value))
        });
        let mut receiver = Receiver::new(unopened);
        let first = receiver.letter();
        join_all(others);
        let second = match receiver.poll() {
            Poll::Ready(Received::Letter(letter)) => letter.open(&mut Reader),
            Poll::Ready(Received::Order(_)) => panic!("nobody has sent an order"),
            Poll::Pending => 0,
        };
        assert_eq!(second == 0, post.dead_letters() == 1);
        assert!([(1, 2), (2, 1), (1, 0), (2, 0)].contains(&(first, second)), "{first} {second}");
        drop(receiver);
        ledger.check();
    });
}

/// Letters that come as such a mailbox is closed are dropped there, or come back.
#[test]
fn letters_against_the_close_of_a_mailbox_that_drops_the_oldest_end_once() {
    model(2, || {
        let Ends { ledger, post, unopened, _home } = ends_that_drop(1);
        let values = [1, 2].map(|number| ledger.value_of(number));
        let other = thread::spawn({
            let post = post.clone();
            move || {
                let came_back = values.into_iter().filter_map(|value| post.try_send(Note(value)).err());
                came_back.count()
            }
        });
        let mut receiver = Receiver::new(unopened);
        let is_read = receiver.poll().is_ready();
        receiver.mailbox.close();
        drop(receiver);
        let came_back = other.join().unwrap();
        assert!(came_back <= 2 && post.dead_letters() == 2 - usize::from(is_read));
        drop(post);
        ledger.check();
    });
}
