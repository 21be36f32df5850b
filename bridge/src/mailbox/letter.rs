//! What a mailbox carries: messages of any type, each in one allocation, of which the mailbox knows how it is opened.

use std::fmt;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::NonNull;

use crate::foreign::drop_contained;
use crate::inbox::Node;
use crate::mailbox::reply::{Answer, Reply, Slot};
use crate::pool;
use crate::sync::{Alive, UnsafeCell};

/// Who opens the letters of a mailbox: what they act upon.
///
/// # Examples
/// ```
/// use perloop_bridge::{Open, Opener};
///
/// struct Sum(i32);
/// impl Opener for Sum {
///     type Opened<'a> = ();
/// }
///
/// struct Add(i32);
/// impl Open<Sum> for Add {
///     fn open(self, sum: &mut Sum) {
///         sum.0 += self.0;
///     }
/// }
/// ```
pub trait Opener: 'static {
    /// What an opened letter gives.
    type Opened<'a>;
}

/// What a letter's content does when its receiver opens it. See [`Opener`].
///
/// # Examples
/// ```
/// # use perloop_bridge::{Open, Opener};
/// # struct Sum(i32);
/// # impl Opener for Sum { type Opened<'a> = (); }
/// struct Double;
/// impl Open<Sum> for Double {
///     fn open(self, sum: &mut Sum) {
///         sum.0 *= 2;
///     }
/// }
/// ```
pub trait Open<R: Opener>: Send + 'static {
    /// Opens it, on the receiver's thread.
    fn open(self, by: &mut R) -> R::Opened<'_>;

    /// Nobody will open it: it is a dead letter. On the receiver's thread, or on that of who has sent the one that displaced it.
    fn bury(self, why: Burial)
    where
        Self: Sized,
    {
        let _ = why;
    }
}

/// Why a letter that was in a mailbox will not be opened.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// # struct Nothing;
/// # impl Opener for Nothing { type Opened<'a> = (); }
/// use std::sync::mpsc::{Sender, channel};
/// use perloop_bridge::{Burial, Open, Opener, WhenFull, mailbox_with};
///
/// struct Note(Sender<Burial>);
/// impl Open<Nothing> for Note {
///     fn open(self, _: &mut Nothing) {}
///     fn bury(self, why: Burial) {
///         self.0.send(why).unwrap();
///     }
/// }
///
/// let (post, mailbox) = mailbox_with::<Nothing>(&home.remote(), 1, WhenFull::DropOldest);
/// let (sender, burials) = channel();
/// assert!(post.try_send(Note(sender.clone())).is_ok());
/// assert!(post.try_send(Note(sender)).is_ok());
/// drop(mailbox);
/// assert_eq!(burials.iter().collect::<Vec<_>>(), [Burial::Displaced, Burial::Left]);
/// assert_eq!(post.dead_letters(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burial {
    /// The mailbox was closed.
    Left,
    /// The mailbox was full, and a later letter took its place.
    Displaced,
}

/// A letter's content that is to be answered: what it does when its receiver opens it. See [`Opener`].
///
/// # Examples
/// ```
/// # use perloop_bridge::{Bell, Home, Spin};
/// # struct NoBell;
/// # impl Bell for NoBell { fn ring(&self) {} }
/// # let home = Home::new("doc", Spin::Never, Box::new(NoBell));
/// use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// use perloop_bridge::{Answer, Opener, Question, Received, mailbox};
///
/// struct Sum(i32);
/// impl Opener for Sum {
///     type Opened<'a> = ();
/// }
///
/// struct AddAndGet(i32);
/// impl Question<Sum> for AddAndGet {
///     type Reply = i32;
///     fn open(self, sum: &mut Sum, answer: Answer<i32>) {
///         sum.0 += self.0;
///         answer.give(Ok(sum.0));
///     }
/// }
///
/// let (post, mailbox) = mailbox::<Sum>(&home.remote(), 8);
/// let (mut mailbox, mut sum) = (mailbox.open(), Sum(40));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(post.poll_let_in(&mut Default::default(), &cx).is_ready());
/// let Ok(reply) = post.ask_let_in(AddAndGet(2)) else { unreachable!("the mailbox is open") };
/// if let Poll::Ready(Received::Letter(letter)) = mailbox.poll_receive(&mut cx) {
///     letter.open(&mut sum);
/// }
/// assert_eq!(pin!(reply).poll(&mut cx), Poll::Ready(Ok(42)));
/// ```
pub trait Question<R: Opener>: Send + 'static {
    /// What the answer is.
    type Reply: Send + 'static;

    /// Opens it, on the receiver's thread. The answer may be given later.
    fn open(self, by: &mut R, answer: Answer<Self::Reply>) -> R::Opened<'_>;

    /// As [`Open::bury`]. By default the answer is dropped, and tells that there will be none.
    fn bury(self, answer: Answer<Self::Reply>, why: Burial)
    where
        Self: Sized,
    {
        let _ = (answer, why);
    }
}

/// What all letters of a receiver have in front.
pub(super) struct Head<R: Opener> {
    next: UnsafeCell<*mut Head<R>>,
    vtable: &'static VTable<R>,
    alive: Alive,
}

impl<R: Opener> Head<R> {
    fn new(vtable: &'static VTable<R>) -> Self {
        Self { next: UnsafeCell::new(std::ptr::null_mut()), vtable, alive: Alive::new() }
    }

    /// # Safety
    /// Nobody uses it any more.
    unsafe fn bury(head: NonNull<Self>) {
        // SAFETY: the caller's promise.
        unsafe { head.as_ref() }.alive.bury();
        // SAFETY: as above.
        unsafe { head.drop_in_place() };
    }
}

struct VTable<R: Opener> {
    open: for<'a> unsafe fn(NonNull<Head<R>>, &'a mut R) -> R::Opened<'a>,
    drop: unsafe fn(NonNull<Head<R>>),
    bury: unsafe fn(NonNull<Head<R>>, Burial),
}

/// A letter of one type. The head comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct Sealed<R: Opener, V> {
    head: Head<R>,
    content: ManuallyDrop<V>,
}

impl<R: Opener, V: Open<R>> Sealed<R, V> {
    const VTABLE: &'static VTable<R> = &VTable { open: Self::open, drop: Self::drop, bury: Self::bury };

    /// # Safety
    /// It is a letter of this type, and the caller's, who has done with it.
    unsafe fn open(head: NonNull<Head<R>>, by: &mut R) -> R::Opened<'_> {
        // SAFETY: the caller's promise.
        unsafe { Self::into_content(head) }.open(by)
    }

    /// # Safety
    /// As for `open`.
    unsafe fn drop(head: NonNull<Head<R>>) {
        // SAFETY: the caller's promise.
        drop(unsafe { Self::into_content(head) });
    }

    /// # Safety
    /// As for `open`.
    unsafe fn bury(head: NonNull<Head<R>>, why: Burial) {
        // SAFETY: the caller's promise.
        unsafe { Self::into_content(head) }.bury(why);
    }

    /// Takes the content out, and gives the memory back.
    ///
    /// # Safety
    /// As for `open`.
    unsafe fn into_content(head: NonNull<Head<R>>) -> V {
        let sealed = head.cast::<Self>();
        // SAFETY: the caller's promise; a pointer to a field, of which no reference is made.
        let content = unsafe { &raw const (*sealed.as_ptr()).content };
        // SAFETY: it is read once, and never dropped where it lay.
        let content = unsafe { content.read() };
        // SAFETY: the caller's promise.
        unsafe { Head::bury(head) };
        // SAFETY: it came from `allocate` for this type, and its content is out.
        unsafe { pool::free(sealed) };
        ManuallyDrop::into_inner(content)
    }
}

/// A letter that is to be answered: it stays until asker and answerer have both done with its slot.
#[repr(C)]
struct Asking<R: Opener, V: Question<R>> {
    head: Head<R>,
    slot: Slot<V::Reply>,
    content: ManuallyDrop<V>,
}

impl<R: Opener, V: Question<R>> Asking<R, V> {
    const VTABLE: &'static VTable<R> = &VTable { open: Self::open, drop: Self::drop, bury: Self::bury };

    fn seal(content: V) -> (Letter<R>, Reply<V::Reply>) {
        let memory = pool::allocate::<Self>();
        let (head, slot) = (Head::new(Self::VTABLE), Slot::new(Self::free));
        // SAFETY: fresh memory for this type.
        unsafe { memory.write(Self { head, slot, content: ManuallyDrop::new(content) }) };
        // SAFETY: it is the only one.
        let reply = unsafe { Reply::new(Self::slot(memory)) };
        (Letter(memory.cast()), reply)
    }

    /// A pointer to the slot that may be used for the whole.
    fn slot(asking: NonNull<Self>) -> NonNull<Slot<V::Reply>> {
        // SAFETY: it is in bounds.
        unsafe { asking.byte_add(offset_of!(Self, slot)) }.cast()
    }

    /// # Safety
    /// As for [`Sealed::open`].
    unsafe fn open(head: NonNull<Head<R>>, by: &mut R) -> R::Opened<'_> {
        // SAFETY: the caller's promise.
        let (content, answer) = unsafe { Self::take_apart(head) };
        content.open(by, answer)
    }

    /// # Safety
    /// As for `open`.
    unsafe fn drop(head: NonNull<Head<R>>) {
        // SAFETY: the caller's promise.
        let (content, _answer) = unsafe { Self::take_apart(head) };
        drop(content);
    }

    /// # Safety
    /// As for `open`.
    unsafe fn bury(head: NonNull<Head<R>>, why: Burial) {
        // SAFETY: the caller's promise.
        let (content, answer) = unsafe { Self::take_apart(head) };
        content.bury(answer, why);
    }

    /// Takes the content out, and leaves the slot to who answers.
    ///
    /// # Safety
    /// As for `open`.
    unsafe fn take_apart(head: NonNull<Head<R>>) -> (V, Answer<V::Reply>) {
        let asking = head.cast::<Self>();
        // SAFETY: the caller's promise; a pointer to a field, of which no reference is made.
        let content = unsafe { &raw const (*asking.as_ptr()).content };
        // SAFETY: it is read once, and never dropped where it lay.
        let content = unsafe { content.read() };
        // SAFETY: the caller's promise.
        unsafe { Head::bury(head) };
        // SAFETY: it is the only one.
        let answer = unsafe { Answer::new(Self::slot(asking)) };
        (ManuallyDrop::into_inner(content), answer)
    }

    /// # Safety
    /// The letter was opened or dropped, and the caller is the last who uses the slot.
    unsafe fn free(slot: NonNull<Slot<V::Reply>>) {
        // SAFETY: the caller's promise.
        let outcome = unsafe { slot.as_ref() }.bury();
        // SAFETY: as above.
        unsafe { slot.drop_in_place() };
        // SAFETY: it points into a letter of this type, and may be used for all of it.
        let asking = unsafe { slot.byte_sub(offset_of!(Self, slot)) }.cast::<Self>();
        // SAFETY: it came from `allocate` for this type, and nothing is left in it.
        unsafe { pool::free(asking) };
        drop_contained(outcome);
    }
}

/// A message on its way, of any type that the receiver can open. Dropping it drops the message.
///
/// # Examples
/// ```
/// # use perloop_bridge::{Open, Opener};
/// # struct Sum(i32);
/// # impl Opener for Sum { type Opened<'a> = (); }
/// # struct Add(i32);
/// # impl Open<Sum> for Add { fn open(self, sum: &mut Sum) { sum.0 += self.0; } }
/// use perloop_bridge::Letter;
///
/// let letter: Letter<Sum> = Letter::new(Add(42));
/// let mut sum = Sum(0);
/// letter.open(&mut sum);
/// assert_eq!(sum.0, 42);
/// ```
pub struct Letter<R: Opener>(NonNull<Head<R>>);

// SAFETY: a letter owns its content, which is `Send`, as `Open` says.
unsafe impl<R: Opener> Send for Letter<R> {}
// SAFETY: nothing of the content is reached through `&self`.
unsafe impl<R: Opener> Sync for Letter<R> {}

impl<R: Opener> Letter<R> {
    /// Seals a message.
    ///
    /// # Examples
    /// See [`Letter`].
    #[inline]
    pub fn new<V: Open<R>>(content: V) -> Self {
        let memory = pool::allocate::<Sealed<R, V>>();
        let head = Head::new(Sealed::<R, V>::VTABLE);
        // SAFETY: fresh memory for this type.
        unsafe { memory.write(Sealed { head, content: ManuallyDrop::new(content) }) };
        Self(memory.cast())
    }

    /// Seals a question.
    pub(super) fn asking<V: Question<R>>(content: V) -> (Self, Reply<V::Reply>) {
        Asking::seal(content)
    }

    /// The content of a question that was not sent.
    ///
    /// # Safety
    /// It was made of a `V`, by `asking`.
    pub(super) unsafe fn into_question<V: Question<R>>(self) -> V {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: we own the letter, and the caller knows of what type it is.
        unsafe { Asking::<R, V>::take_apart(head) }.0
    }

    /// Opens it. The letter's memory is free again when its content begins to act, but that of a question.
    ///
    /// # Examples
    /// See [`Letter`].
    #[inline]
    pub fn open(self, by: &mut R) -> R::Opened<'_> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: we own the letter, and its own table knows of what type it is.
        unsafe { (Self::vtable(head).open)(head, by) }
    }

    /// Nobody will open it.
    pub(super) fn bury(self, why: Burial) {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: we own the letter, and its own table knows of what type it is.
        unsafe { (Self::vtable(head).bury)(head, why) };
    }

    /// # Safety
    /// It was made of a `V`.
    pub(super) unsafe fn into_content<V: Open<R>>(self) -> V {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: we own the letter, and the caller knows of what type it is.
        unsafe { Sealed::<R, V>::into_content(head) }
    }

    pub(super) fn into_node(self) -> LetterPtr<R> {
        LetterPtr(ManuallyDrop::new(self).0)
    }

    fn vtable(head: NonNull<Head<R>>) -> &'static VTable<R> {
        // SAFETY: who has a letter keeps it.
        unsafe { head.as_ref() }.vtable
    }
}

impl<R: Opener> Drop for Letter<R> {
    fn drop(&mut self) {
        // SAFETY: we own the letter, and its own table knows of what type it is.
        unsafe { (Self::vtable(self.0).drop)(self.0) };
    }
}

impl<R: Opener> fmt::Debug for Letter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter")
    }
}

/// A letter in a lane, which owns it.
pub(super) struct LetterPtr<R: Opener>(NonNull<Head<R>>);

impl<R: Opener> Clone for LetterPtr<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Opener> Copy for LetterPtr<R> {}

impl<R: Opener> LetterPtr<R> {
    /// The caller has taken it out of its lane, and uses no copy of it any more.
    pub(super) fn into_letter(self) -> Letter<R> {
        Letter(self.0)
    }

    fn head<'a>(self) -> &'a Head<R> {
        // SAFETY: a letter in a lane lives until its owner takes it out.
        let head = unsafe { self.0.as_ref() };
        head.alive.check();
        head
    }
}

impl<R: Opener> Node for LetterPtr<R> {
    type Head = Head<R>;

    fn from_raw(raw: *mut Head<R>) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    fn as_ptr(self) -> *mut Head<R> {
        self.0.as_ptr()
    }

    fn next(self) -> *mut Head<R> {
        // SAFETY: the caller owns the node.
        self.head().next.with(|next| unsafe { *next })
    }

    fn set_next(self, node: *mut Head<R>) {
        // SAFETY: the caller owns the node.
        self.head().next.with_mut(|next| unsafe { *next = node });
    }
}

/// Letters in one thread's hands, in their order.
pub(super) struct Line<R: Opener> {
    oldest: *mut Head<R>,
    newest: *mut Head<R>,
}

impl<R: Opener> Line<R> {
    pub(super) const EMPTY: Self = Self { oldest: std::ptr::null_mut(), newest: std::ptr::null_mut() };

    #[inline]
    pub(super) fn push(&mut self, node: LetterPtr<R>) {
        node.set_next(std::ptr::null_mut());
        match LetterPtr::from_raw(self.newest) {
            Some(newest) => newest.set_next(node.as_ptr()),
            None => self.oldest = node.as_ptr(),
        }
        self.newest = node.as_ptr();
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Letter<R>> {
        let node = LetterPtr::from_raw(self.oldest)?;
        self.oldest = node.next();
        if self.oldest.is_null() {
            self.newest = std::ptr::null_mut();
        }
        Some(node.into_letter())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.oldest.is_null()
    }
}
