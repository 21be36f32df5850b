//! A mailbox: many send, from any thread, and one who lives on a loop receives.
//!
//! `letter` is what is sent, `reply` what comes back, `room` how many letters there may be, `ring` where the oldest makes room,
//! `signs` what the receiver is told beside letters; here are the two ends, and how the receiver is woken.
//!
//! A letter goes by one of two ways. From another thread it goes through a *lane*, one word as a loop's
//! [inbox](crate::inbox): who pushes onto one that is asleep wakes the receiver. From the receiver's own thread it is put
//! behind what was taken from the lane, in plain memory. Who puts it there takes first what has come by the lane, so that
//! letters are in one order: what was sent before something that led to another send comes first.
//!
//! There are two lanes, for what must not wait behind letters, nor be refused for want of room. They need no argument about
//! two words: the receiver puts each of them to sleep by an exchange which fails if something has come.

mod letter;
mod reply;
mod ring;
mod room;
mod signs;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use letter::{Burial, Letter, Open, Opener, Question};
pub use reply::{Answer, Reply};

use crate::foreign::{contain, drop_contained};
use crate::inbox::{Asleep, Batch, Inbox, Pushed};
use crate::mailbox::letter::{LetterPtr, Line};
use crate::mailbox::ring::{Put, Ring};
use crate::mailbox::room::{Outside, Room};
use crate::mailbox::signs::Signs;
use crate::remote::Remote;
use crate::sync::{Arc, AtomicUsize, Ordering, ThreadToken, UnsafeCell, this_thread};
use crate::thread_queue::{PutBlockingError, QueueClosed, TryPutError};
use crate::wait::Spin;
use crate::waiters::Ticket;
use crate::waits::Failed;

type Lane<R> = Inbox<LetterPtr<R>>;

/// What becomes of a letter when the mailbox is full.
///
/// # Examples
/// See [`mailbox_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// It waits for room, or is refused, as its sender likes.
    #[default]
    Wait,
    /// It comes in, and the oldest one in the mailbox is dropped.
    DropOldest,
}

/// In the first cache line is what each letter from elsewhere changes or reads, in the last ones what the receiver looks at
/// for each; what is seldom touched keeps them apart. Alignment to lines would, too, but make it twice as big.
#[repr(C)]
struct Shared<R: Opener> {
    thread: ThreadToken,
    spin: Spin,
    letters: Lane<R>,
    room: Room,
    /// In place of the lane for letters and of the room there, if the oldest makes room.
    ring: Option<Box<Ring<R>>>,
    /// Letters that nobody will open: refused, displaced, or left when the mailbox was closed.
    dead: AtomicUsize,
    /// Written once, by the receiver's thread, before a lane is first asleep or signs are first watched; read by who found
    /// that so, and by that thread.
    waker: UnsafeCell<Option<Waker>>,
    orders: Lane<R>,
    signs: Signs,
    /// For the receiver's thread alone.
    home: UnsafeCell<AtHome<R>>,
}

struct AtHome<R: Opener> {
    letters: Line<R>,
    orders: Line<R>,
    /// Letters that were taken and whose room was not given back yet.
    owed: usize,
    /// Before, all letters go by the lane.
    is_open: bool,
    is_closed: bool,
    /// Does the receiver wait? Then who puts something there wakes it.
    is_waiting: bool,
}

// SAFETY: letters are `Send`; lanes, room and counts are made for any thread; `home` is touched by the thread `thread`
// alone; the waker is written before the lanes publish it, and only read after.
unsafe impl<R: Opener> Send for Shared<R> {}
// SAFETY: as for Send.
unsafe impl<R: Opener> Sync for Shared<R> {}

/// Makes a mailbox of a receiver on the loop `home`, with room for `capacity` letters, and gives its two ends.
///
/// # Panics
/// If `capacity` is zero.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # struct Sum(i32);
/// # impl Opener for Sum { type Opened<'a> = (); }
/// # struct Add(i32);
/// # impl Open<Sum> for Add { fn open(self, sum: &mut Sum) { sum.0 += self.0; } }
/// use std::task::{Context, Poll, Waker};
/// use perloop_bridge::{Open, Opener, Received, mailbox};
///
/// let (post, mailbox) = mailbox::<Sum>(&home.remote(), 8);
/// assert!(post.try_send(Add(42)).is_ok());
/// let mut mailbox = mailbox.open();
/// let mut sum = Sum(0);
/// let mut cx = Context::from_waker(Waker::noop());
/// while let Poll::Ready(Received::Letter(letter)) = mailbox.poll_receive(&mut cx) {
///     letter.open(&mut sum);
/// }
/// assert_eq!(sum.0, 42);
/// ```
pub fn mailbox<R: Opener>(home: &Remote, capacity: usize) -> (Post<R>, Unopened<R>) {
    mailbox_with(home, capacity, WhenFull::Wait)
}

/// As [`mailbox`], and says what becomes of a letter when it is full.
///
/// # Panics
/// If `capacity` is zero.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # struct Sum(i32);
/// # impl Opener for Sum { type Opened<'a> = (); }
/// # struct Add(i32);
/// # impl Open<Sum> for Add { fn open(self, sum: &mut Sum) { sum.0 += self.0; } }
/// use std::task::{Context, Poll, Waker};
/// use perloop_bridge::{Open, Opener, Received, WhenFull, mailbox_with};
///
/// let (post, mailbox) = mailbox_with::<Sum>(&home.remote(), 2, WhenFull::DropOldest);
/// assert!([1, 10, 100].into_iter().all(|n| post.try_send(Add(n)).is_ok()));
/// let (mut mailbox, mut sum) = (mailbox.open(), Sum(0));
/// let mut cx = Context::from_waker(Waker::noop());
/// while let Poll::Ready(Received::Letter(letter)) = mailbox.poll_receive(&mut cx) {
///     letter.open(&mut sum);
/// }
/// assert_eq!((sum.0, post.dead_letters()), (110, 1));
/// ```
pub fn mailbox_with<R: Opener>(
    home: &Remote,
    capacity: usize,
    when_full: WhenFull,
) -> (Post<R>, Unopened<R>) {
    assert!(capacity > 0, "mailbox: it needs room for at least one letter");
    let shared = Arc::new(Shared {
        thread: home.core().thread,
        spin: home.core().spin,
        letters: Inbox::new(),
        orders: Inbox::new(),
        room: Room::new(capacity),
        signs: Signs::new(),
        ring: (when_full == WhenFull::DropOldest).then(|| Box::new(Ring::new(capacity))),
        dead: AtomicUsize::new(0),
        waker: UnsafeCell::new(None),
        home: UnsafeCell::new(AtHome {
            letters: Line::EMPTY,
            orders: Line::EMPTY,
            owed: 0,
            is_open: false,
            is_closed: false,
            is_waiting: false,
        }),
    });
    (Post(Arc::clone(&shared)), Unopened(Some(shared)))
}

impl<R: Opener> Shared<R> {
    fn is_home(&self) -> bool {
        self.thread == this_thread()
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Receiver's thread: changes what only that touches.
    #[inline]
    fn on_home<T>(&self, change: impl FnOnce(&mut AtHome<R>) -> T) -> T {
        debug_assert!(self.is_home(), "what is at home is touched there");
        // SAFETY: only the receiver's thread comes here, and `change` is our own short code, which does not come here
        // again.
        self.home.with_mut(|home| change(unsafe { &mut *home }))
    }

    /// Lets one letter in. From the receiver's thread the room of one that was taken does as well.
    #[inline]
    fn let_in(&self) -> Result<(), Outside> {
        if self.ring.is_some() {
            // There is always room, and whether it is closed is found out then.
            return Ok(());
        }
        let is_paid = self.is_home()
            && self.on_home(|home| {
                let has_room = home.owed > 0 && !home.is_closed;
                home.owed -= usize::from(has_room);
                has_room
            });
        if is_paid { Ok(()) } else { self.room.enter() }
    }

    /// Puts a letter that was let in where the receiver finds it, or gives it back: the mailbox is closed.
    #[inline]
    fn deliver(&self, letter: Letter<R>, lane: WhichLane) -> Result<(), Letter<R>> {
        if let (Some(ring), WhichLane::Letters) = (&self.ring, lane) {
            return self.deliver_by_ring(letter, ring);
        }
        if self.is_home() && self.on_home(|home| home.is_open) {
            return self.deliver_at_home(letter, lane);
        }
        let node = letter.into_node();
        match self.lane(lane).push(node, || ()) {
            Pushed::Quietly => {}
            Pushed::MustRing(()) => self.wake(),
            Pushed::Refused => return Err(node.into_letter()),
        }
        Ok(())
    }

    #[cold]
    fn deliver_by_ring(&self, letter: Letter<R>, ring: &Ring<R>) -> Result<(), Letter<R>> {
        match ring.put(letter) {
            Put::Refused(letter) => return Err(letter),
            Put::In { displaced, must_wake } => {
                if must_wake {
                    self.wake();
                }
                if let Some(displaced) = displaced {
                    self.bury(1);
                    drop(contain(|| displaced.bury(Burial::Displaced)));
                }
            }
        }
        Ok(())
    }

    fn deliver_at_home(&self, letter: Letter<R>, lane: WhichLane) -> Result<(), Letter<R>> {
        if self.on_home(|home| home.is_closed) {
            return Err(letter);
        }
        self.collect(lane);
        let was_waiting = self.on_home(|home| {
            home.line(lane).push(letter.into_node());
            std::mem::take(&mut home.is_waiting)
        });
        if was_waiting {
            self.wake();
        }
        Ok(())
    }

    fn lane(&self, lane: WhichLane) -> &Lane<R> {
        match lane {
            WhichLane::Letters => &self.letters,
            WhichLane::Orders => &self.orders,
        }
    }

    /// Receiver's thread, not closed: takes what has come by a lane.
    #[inline]
    fn collect(&self, lane: WhichLane) {
        if self.lane(lane).has_news() {
            let batch = self.lane(lane).take();
            self.on_home(|home| batch.for_each(|node| home.line(lane).push(node)));
        }
    }

    /// Receiver's thread: the next one of a lane.
    #[inline]
    fn next(&self, lane: WhichLane) -> Option<Letter<R>> {
        if let (Some(ring), WhichLane::Letters) = (&self.ring, lane) {
            return ring.take();
        }
        if let Some(letter) = self.on_home(|home| home.line(lane).pop()) {
            return Some(letter);
        }
        if !self.lane(lane).has_news() {
            return None;
        }
        self.collect(lane);
        self.on_home(|home| home.line(lane).pop())
    }

    /// Wakes the receiver, who waits or did when the lane was read. Foreign code.
    fn wake(&self) {
        // SAFETY: it was written before a lane was asleep, signs were watched, or the receiver waited, of which the caller
        // knows, and never again.
        let waker = self.waker.with(|waker| unsafe { &*waker });
        // A waker that panics has been reported by the panic hook.
        drop(contain(|| waker.iter().for_each(Waker::wake_by_ref)));
    }

    /// Counts letters that nobody will open.
    fn bury(&self, letters: usize) {
        // ORDERING: Relaxed; a count to read.
        self.dead.fetch_add(letters, Ordering::Relaxed);
    }

    /// Refuses all that comes from now on, and drops what is there. How many letters that were.
    fn close(&self, is_home: bool) -> usize {
        let lines = if is_home { self.on_home(AtHome::close) } else { (Line::EMPTY, Line::EMPTY) };
        // The lane for letters last, as that one says that it is closed: who has read so is refused whatever it sends.
        let ring = self.ring.as_ref().map(|ring| ring.close());
        let (orders, letters) = (self.orders.close(), self.letters.close());
        // From here on foreign code runs: who waited for room, and what the letters hold.
        self.room.close();
        let dead = all_of(lines.0, letters).chain(ring.into_iter().flatten());
        let dead = dead.map(|letter| drop(contain(|| letter.bury(Burial::Left)))).count();
        self.bury(dead);
        all_of(lines.1, orders).for_each(drop_contained);
        dead
    }
}

/// What was taken from home and from a lane.
fn all_of<R: Opener>(mut line: Line<R>, batch: Batch<LetterPtr<R>>) -> impl Iterator<Item = Letter<R>> {
    batch.for_each(|node| line.push(node));
    std::iter::from_fn(move || line.pop())
}

impl<R: Opener> AtHome<R> {
    fn line(&mut self, lane: WhichLane) -> &mut Line<R> {
        match lane {
            WhichLane::Letters => &mut self.letters,
            WhichLane::Orders => &mut self.orders,
        }
    }

    fn close(&mut self) -> (Line<R>, Line<R>) {
        self.is_closed = true;
        self.is_waiting = false;
        let letters = std::mem::replace(&mut self.letters, Line::EMPTY);
        (letters, std::mem::replace(&mut self.orders, Line::EMPTY))
    }
}

#[derive(Debug, Clone, Copy)]
enum WhichLane {
    Letters,
    Orders,
}

/// Where letters are sent, from any thread. Clones send to the same mailbox, and do not keep it open.
///
/// # Examples
/// See [`mailbox`].
pub struct Post<R: Opener>(Arc<Shared<R>>);

impl<R: Opener> Post<R> {
    /// Sends a letter if there is room.
    ///
    /// # Errors
    /// If there is none, or the mailbox is closed. The content comes back.
    ///
    /// # Examples
    /// See [`mailbox`].
    #[inline]
    pub fn try_send<V: Open<R>>(&self, content: V) -> Result<(), TryPutError<V>> {
        match self.0.let_in() {
            Ok(()) => self.send_let_in(content).map_err(|QueueClosed(content)| TryPutError::Closed(content)),
            Err(Outside::Full) => Err(TryPutError::Full(content)),
            Err(Outside::Closed) => {
                self.0.bury(1);
                Err(TryPutError::Closed(content))
            }
        }
    }

    /// Sends what must not wait: it needs no room, and is received before all letters.
    ///
    /// # Errors
    /// If the mailbox is closed. The content comes back.
    ///
    /// # Examples
    /// See [`Received`].
    pub fn send_order<V: Open<R>>(&self, content: V) -> Result<(), QueueClosed<V>> {
        self.0.deliver(Letter::new(content), WhichLane::Orders).map_err(|order| {
            // SAFETY: it was made of that above.
            QueueClosed(unsafe { order.into_content::<V>() })
        })
    }

    /// Raises signs, each a bit (the highest one is taken), and lowers others that the receiver has not seen, in one act.
    /// They need no room, wait behind no letter, and are seen by a receiver that [watches](Mailbox::poll_signs) for them while
    /// it does something else. Of a mailbox that is closed nobody sees them.
    ///
    /// # Panics
    /// If the highest bit is among them.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
    /// let mailbox = mailbox.open();
    /// post.change_signs(0, 1);
    /// post.change_signs(1, 2 | 4);
    /// assert_eq!((mailbox.take_signs(), mailbox.take_signs()), (2 | 4, 0));
    /// ```
    pub fn change_signs(&self, lower: u32, raise: u32) {
        if self.0.signs.change(lower, raise) {
            self.0.wake();
        }
    }

    /// Raises signs for a reason, which is dropped if there is one that the receiver has not taken.
    ///
    /// # Panics
    /// As [`change_signs`](Self::change_signs).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
    /// let mailbox = mailbox.open();
    /// post.raise_for(1, Box::new("why"));
    /// assert_eq!(mailbox.take_signs(), 1);
    /// assert_eq!(mailbox.take_reason().unwrap().downcast_ref(), Some(&"why"));
    /// ```
    pub fn raise_for(&self, signs: u32, reason: Box<dyn Any + Send>) {
        self.0.signs.give_reason(reason);
        self.change_signs(0, signs);
    }

    /// Waits for room, for one [`send_let_in`](Self::send_let_in): one poll of it. The waiting is noted in `wait`, which
    /// is to be given to [`forget`](Self::forget) if it is given up.
    ///
    /// # Errors
    /// If the mailbox is closed.
    ///
    /// # Examples
    /// See [`RoomWait`].
    pub fn poll_let_in(&self, wait: &mut RoomWait, cx: &Context<'_>) -> Poll<Result<(), QueueClosed>> {
        if wait.0.is_none() && self.0.let_in().is_ok() {
            return Poll::Ready(Ok(()));
        }
        self.0.room.poll_enter(&mut wait.0, cx).map_err(|()| {
            self.0.bury(1);
            QueueClosed(())
        })
    }

    /// Blocks until there is room, for one [`send_let_in`](Self::send_let_in).
    ///
    /// # Errors
    /// If the mailbox is closed, the time is up, or a loop runs in this thread.
    ///
    /// # Examples
    /// See [`RoomWait`].
    pub fn block_let_in(&self, timeout: Option<Duration>) -> Result<(), PutBlockingError<()>> {
        if self.0.ring.is_some() {
            return Ok(());
        }
        self.0.room.block_enter(self.0.spin, timeout).map_err(|failed| match failed {
            Failed::Closed => {
                self.0.bury(1);
                PutBlockingError::Closed(())
            }
            Failed::TimedOut => PutBlockingError::TimedOut(()),
            Failed::WouldDeadlock(why) => PutBlockingError::WouldDeadlock((), why),
        })
    }

    /// Sends a letter for which there is room, as one of the two above has said.
    ///
    /// # Errors
    /// If the mailbox was closed meanwhile. The content comes back.
    ///
    /// # Examples
    /// See [`RoomWait`].
    #[inline]
    pub fn send_let_in<V: Open<R>>(&self, content: V) -> Result<(), QueueClosed<V>> {
        self.0.deliver(Letter::new(content), WhichLane::Letters).map_err(|letter| {
            self.0.bury(1);
            // SAFETY: it was made of that above.
            QueueClosed(unsafe { letter.into_content::<V>() })
        })
    }

    /// As [`send_let_in`](Self::send_let_in), of what is to be answered.
    ///
    /// # Errors
    /// As `send_let_in`.
    ///
    /// # Examples
    /// See [`Question`].
    #[inline]
    pub fn ask_let_in<V: Question<R>>(&self, content: V) -> Result<Reply<V::Reply>, QueueClosed<V>> {
        let (letter, reply) = Letter::asking(content);
        match self.0.deliver(letter, WhichLane::Letters) {
            Ok(()) => Ok(reply),
            Err(letter) => {
                self.0.bury(1);
                // SAFETY: it was made of that above.
                Err(QueueClosed(unsafe { letter.into_question::<V>() }))
            }
        }
    }

    /// Gives a wait for room up.
    ///
    /// # Examples
    /// See [`RoomWait`].
    pub fn forget(&self, wait: &mut RoomWait) {
        self.0.room.forget(&mut wait.0);
    }

    /// Returns a number that no other mailbox has as long as this one is there.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 8);
    /// assert_eq!(mailbox.open().id(), post.clone().id());
    /// ```
    pub fn id(&self) -> usize {
        self.0.id()
    }

    /// Says whether this is the thread of the mailbox's loop.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, _mailbox) = mailbox::<Nothing>(&home.remote(), 8);
    /// assert!(post.is_home());
    /// ```
    pub fn is_home(&self) -> bool {
        self.0.is_home()
    }

    /// Says whether the mailbox is closed. A yes is for good: whatever is sent after it is refused.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 8);
    /// assert!(!post.is_closed());
    /// drop(mailbox);
    /// assert!(post.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.letters.is_closed()
    }

    /// Returns how many letters there are, as the room that they take is counted: what the receiver has taken since it
    /// last waited may still be among them.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// let (post, _mailbox) = mailbox::<Nothing>(&home.remote(), 8);
    /// assert_eq!((post.len(), post.is_empty(), post.capacity()), (0, true, 8));
    /// ```
    pub fn len(&self) -> usize {
        self.0.ring.as_ref().map_or_else(|| self.0.room.taken(), |ring| ring.len())
    }

    /// Says whether there are none, as [`len`](Self::len) counts them.
    ///
    /// # Examples
    /// See [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns for how many letters there is room.
    ///
    /// # Examples
    /// See [`len`](Self::len).
    pub fn capacity(&self) -> usize {
        self.0.room.capacity()
    }

    /// Returns how many letters will not be opened: those that were refused as the mailbox was closed, those that were left
    /// in it then, and those that were displaced.
    ///
    /// # Examples
    /// See [`Mailbox::close`].
    pub fn dead_letters(&self) -> usize {
        // ORDERING: Relaxed; a count to read.
        self.0.dead.load(Ordering::Relaxed)
    }
}

impl<R: Opener> Clone for Post<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Opener> fmt::Debug for Post<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("len", &self.len()).field("is_closed", &self.is_closed()).finish()
    }
}

/// A task's wait for room in a mailbox, see [`Post::poll_let_in`].
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # struct Nothing;
/// # impl Opener for Nothing { type Opened<'a> = (); }
/// # struct Empty;
/// # impl Open<Nothing> for Empty { fn open(self, _: &mut Nothing) {} }
/// use std::task::{Context, Waker};
/// use perloop_bridge::{Open, Opener, RoomWait, mailbox};
///
/// let (post, _mailbox) = mailbox::<Nothing>(&home.remote(), 1);
/// let cx = Context::from_waker(Waker::noop());
/// let mut wait = RoomWait::default();
/// assert!(post.poll_let_in(&mut wait, &cx).is_ready());
/// assert!(post.send_let_in(Empty).is_ok());
/// assert!(post.poll_let_in(&mut wait, &cx).is_pending());
/// post.forget(&mut wait);
/// assert!(post.block_let_in(Some(std::time::Duration::ZERO)).is_err());
/// ```
#[derive(Debug, Default)]
pub struct RoomWait(Option<Ticket>);

impl RoomWait {
    /// Says whether there is something to give up.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop_bridge::RoomWait::default().is_waiting());
    /// ```
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.0.is_some()
    }
}

/// The receiving end of a mailbox that nobody has opened. Dropping it closes the mailbox.
///
/// # Examples
/// See [`mailbox`].
pub struct Unopened<R: Opener>(Option<Arc<Shared<R>>>);

impl<R: Opener> Unopened<R> {
    /// Begins to receive, on the thread of the mailbox's loop.
    ///
    /// # Panics
    /// In any other thread.
    ///
    /// # Examples
    /// See [`mailbox`].
    pub fn open(mut self) -> Mailbox<R> {
        let is_home = self.0.as_ref().is_some_and(|shared| shared.is_home());
        assert!(is_home, "a mailbox is opened on the thread of its loop");
        let shared = self.0.take().expect("it is opened once");
        shared.on_home(|home| home.is_open = true);
        Mailbox { shared, stays_here: PhantomData }
    }
}

impl<R: Opener> Drop for Unopened<R> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            // Nothing was ever put at home.
            shared.close(false);
        }
    }
}

impl<R: Opener> fmt::Debug for Unopened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unopened")
    }
}

/// What a mailbox gives.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # struct Nothing;
/// # impl Opener for Nothing { type Opened<'a> = (); }
/// # struct Empty;
/// # impl Open<Nothing> for Empty { fn open(self, _: &mut Nothing) {} }
/// use std::task::{Context, Poll, Waker};
/// use perloop_bridge::{Open, Opener, Received, mailbox};
///
/// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
/// assert!(post.try_send(Empty).is_ok());
/// assert!(post.try_send(Empty).is_err()); // full
/// assert!(post.send_order(Empty).is_ok());
/// let mut mailbox = mailbox.open();
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(matches!(mailbox.poll_receive(&mut cx), Poll::Ready(Received::Order(_))));
/// assert!(matches!(mailbox.poll_receive(&mut cx), Poll::Ready(Received::Letter(_))));
/// assert!(mailbox.poll_receive(&mut cx).is_pending());
/// ```
#[derive(Debug)]
pub enum Received<R: Opener> {
    /// By [`Post::send_order`].
    Order(Letter<R>),
    /// By another of [`Post`]'s ways.
    Letter(Letter<R>),
}

/// The receiving end of a mailbox. It stays on its loop's thread. Dropping it closes the mailbox.
///
/// # Examples
/// See [`mailbox`].
pub struct Mailbox<R: Opener> {
    shared: Arc<Shared<R>>,
    stays_here: PhantomData<*const ()>,
}

impl<R: Opener> Mailbox<R> {
    /// Takes the next letter; orders come first. If there is none, whoever sends the next one wakes the waker of the
    /// *first* such poll: a mailbox belongs to one task for good.
    ///
    /// # Examples
    /// See [`Received`].
    #[inline]
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received<R>> {
        self.shared.on_home(|home| home.is_waiting = false);
        loop {
            if let Some(order) = self.take_order() {
                return Poll::Ready(Received::Order(order));
            }
            if let Some(letter) = self.shared.next(WhichLane::Letters) {
                if self.shared.ring.is_none() {
                    self.owe();
                }
                return Poll::Ready(Received::Letter(letter));
            }
            if self.falls_asleep(cx) {
                return Poll::Pending;
            }
        }
    }

    /// As [`Post::id`].
    ///
    /// # Examples
    /// See [`Post::id`].
    pub fn id(&self) -> usize {
        self.shared.id()
    }

    /// Takes the signs that are raised, without waiting. See [`Post::change_signs`].
    ///
    /// # Examples
    /// See [`Post::change_signs`].
    #[inline]
    pub fn take_signs(&self) -> u32 {
        self.shared.signs.take()
    }

    /// Takes the signs that are raised. If there are none, the first one wakes the receiver, also while it waits for something
    /// else than letters. The waker is that of [`poll_receive`](Self::poll_receive).
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Opener, Spin, mailbox};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
    /// let mailbox = mailbox.open();
    /// let cx = Context::from_waker(Waker::noop());
    /// assert!(mailbox.poll_signs(&cx).is_pending());
    /// post.change_signs(0, 4);
    /// assert_eq!(mailbox.poll_signs(&cx), Poll::Ready(4));
    /// ```
    #[inline]
    pub fn poll_signs(&self, cx: &Context<'_>) -> Poll<u32> {
        self.keep_waker(cx);
        match self.shared.signs.watch() {
            0 => Poll::Pending,
            signs => Poll::Ready(signs),
        }
    }

    /// Takes the reason of [`Post::raise_for`].
    ///
    /// # Examples
    /// See [`Post::raise_for`].
    pub fn take_reason(&self) -> Option<Box<dyn Any + Send>> {
        self.shared.signs.take_reason()
    }

    /// As [`poll_receive`](Self::poll_receive), of orders alone: letters stay, and wake nobody as long as it is not asked
    /// for them.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// # struct Empty;
    /// # impl Open<Nothing> for Empty { fn open(self, _: &mut Nothing) {} }
    /// # use perloop_bridge::{Open, Opener, mailbox};
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
    /// let mut mailbox = mailbox.open();
    /// assert!(post.try_send(Empty).is_ok());
    /// assert!(mailbox.take_order().is_none());
    /// assert!(post.send_order(Empty).is_ok());
    /// assert!(mailbox.take_order().is_some());
    /// ```
    #[inline]
    pub fn take_order(&mut self) -> Option<Letter<R>> {
        self.shared.next(WhichLane::Orders)
    }

    /// One more letter was taken. Its room is given back with that of others.
    #[inline]
    fn owe(&self) {
        let lot = self.shared.room.capacity().div_ceil(LOTS);
        let is_lot = self.shared.on_home(|home| {
            home.owed += 1;
            home.owed >= lot
        });
        if is_lot {
            self.settle();
        }
    }

    /// Gives the room of all letters that were taken back: to be called before their receiver waits for anything else than
    /// the next letter.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// # struct Empty;
    /// # impl Open<Nothing> for Empty { fn open(self, _: &mut Nothing) {} }
    /// # use std::task::{Context, Waker};
    /// # use perloop_bridge::{Open, Opener, mailbox};
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 100);
    /// let mut mailbox = mailbox.open();
    /// assert!(post.try_send(Empty).is_ok());
    /// assert!(mailbox.poll_receive(&mut Context::from_waker(Waker::noop())).is_ready());
    /// assert_eq!(post.len(), 1);
    /// mailbox.settle();
    /// assert_eq!(post.len(), 0);
    /// ```
    #[inline]
    pub fn settle(&self) {
        let owed = self.shared.on_home(|home| std::mem::take(&mut home.owed));
        if owed > 0 {
            self.shared.room.leave(owed);
        }
    }

    /// Nothing is there: says so, unless something has come meanwhile.
    fn falls_asleep(&mut self, cx: &Context<'_>) -> bool {
        self.settle();
        if self.is_closed() {
            return true;
        }
        self.keep_waker(cx);
        let (letters, orders) = (&self.shared.letters, &self.shared.orders);
        // Telling who waits for room is foreign code, which may have sent something from this very thread.
        let is_empty = self.shared.on_home(|home| home.letters.is_empty() && home.orders.is_empty());
        let is_asleep = is_empty
            && self.shared.ring.as_ref().is_none_or(|ring| ring.fall_asleep())
            && letters.fall_asleep() == Asleep::Yes
            && orders.fall_asleep() == Asleep::Yes;
        self.shared.on_home(|home| home.is_waiting = is_asleep);
        is_asleep
    }

    /// Keeps the waker of the first wait.
    #[inline]
    fn keep_waker(&self, cx: &Context<'_>) {
        // SAFETY: only this thread writes it.
        let is_kept = self.shared.waker.with(|waker| unsafe { &*waker }.is_some());
        if !is_kept {
            let new = cx.waker().clone();
            // SAFETY: nobody reads it before a lane is asleep, signs are watched, or the receiver waits, and that was not
            // yet.
            self.shared.waker.with_mut(|waker| unsafe { *waker = Some(new) });
        }
    }

    /// Closes it: from now on sends are refused, who waits for room is told so, and what is in it is dropped, here.
    /// Returns how many letters that were. Dropping the mailbox does the same.
    ///
    /// # Examples
    /// ```
    /// # use perloop_bridge::{Bell, Home, Spin};
    /// # struct NoBell;
    /// # impl Bell for NoBell { fn ring(&self) {} }
    /// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
    /// # struct Nothing;
    /// # impl Opener for Nothing { type Opened<'a> = (); }
    /// # struct Empty;
    /// # impl Open<Nothing> for Empty { fn open(self, _: &mut Nothing) {} }
    /// # use perloop_bridge::{Open, Opener, mailbox};
    /// let (post, mailbox) = mailbox::<Nothing>(&home.remote(), 1);
    /// let mut mailbox = mailbox.open();
    /// assert!(post.try_send(Empty).is_ok());
    /// assert_eq!(mailbox.close(), 1);
    /// assert!(post.try_send(Empty).is_err());
    /// assert_eq!(post.dead_letters(), 2);
    /// ```
    pub fn close(&mut self) -> usize {
        if self.is_closed() { 0 } else { self.shared.close(true) }
    }

    fn is_closed(&self) -> bool {
        self.shared.on_home(|home| home.is_closed)
    }
}

/// Of a mailbox's room at most so small a part is given back late.
const LOTS: usize = 8;

impl<R: Opener> Drop for Mailbox<R> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<R: Opener> fmt::Debug for Mailbox<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
