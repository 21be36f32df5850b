//! A question's reply: one slot, in the letter that asks. One answers, once, and one awaits it.
//!
//! The asker and the answerer own the slot together, and the last of them frees the letter. One word says whose turn it is.
//! While somebody waits, what is in the waker's place belongs to the word: who would use it changes the word first. So an
//! asker that comes back with another waker, or goes, takes the old one back, unless the answerer has taken it just now;
//! and an answerer looks at nothing any more once it has said that the outcome is there.

use std::fmt;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWakerVTable, Waker};

use crate::errors::{Forked, FutureError, Panicked};
use crate::foreign::{contain, drop_contained};
use crate::sync::{Alive, AtomicUsize, Ordering, UnsafeCell, generation};
use crate::task::TaskRef;

/// No outcome, and nobody waits: the waker's place is the asker's.
const OPEN: usize = 0;
/// The asker's waker lies in its place.
const WAITED: usize = 1;
/// The answerer has taken the waker, and is about to say that the outcome is there.
const TAKEN: usize = 2;
/// The outcome is there. All is the asker's.
const DONE: usize = 3;
/// The asker has gone. All is the answerer's.
const GONE: usize = 4;

/// See the [module](self).
pub(super) struct Slot<T> {
    word: AtomicUsize,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    /// The answerer's until the word is `DONE`; `None` from one who gives none.
    outcome: UnsafeCell<Option<Result<T, Panicked>>>,
    /// Frees the letter that the slot is in, and drops the outcome.
    free: unsafe fn(NonNull<Slot<T>>),
    alive: Alive,
}

impl<T> Slot<T> {
    /// `free` gives the memory back in which it will lie.
    pub(super) fn new(free: unsafe fn(NonNull<Self>)) -> Self {
        Self {
            word: AtomicUsize::new(OPEN),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            outcome: UnsafeCell::new(None),
            free,
            alive: Alive::new(),
        }
    }

    /// Takes out what is left in it, before its memory goes.
    pub(super) fn bury(&self) -> Option<Result<T, Panicked>> {
        self.alive.bury();
        self.take_outcome()
    }

    fn take_outcome(&self) -> Option<Result<T, Panicked>> {
        // SAFETY: who comes here owns the outcome, as the word says.
        self.outcome.with_mut(|outcome| unsafe { (*outcome).take() })
    }

    /// Moves the waker out of its place.
    ///
    /// # Safety
    /// There is one, and the caller has changed the word so that it is his.
    unsafe fn take_waker(&self) -> Waker {
        // SAFETY: the caller's promise.
        self.waker.with(|waker| unsafe { waker.cast::<Waker>().read() })
    }
}

/// False if the other was first. This has the word alone, and no reference to the slot: as soon as the word is changed the
/// other one may free that.
fn change(word: &AtomicUsize, from: usize, to: usize) -> bool {
    // ORDERING: Release: who finds the word so sees what we have written; Acquire: we see what the other has written
    // that left it as it was. Relaxed on failure: the word is read again.
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// # Safety
/// The caller is the last who uses the slot.
unsafe fn free<T>(slot: NonNull<Slot<T>>) {
    // SAFETY: it is there until it is freed.
    let free = unsafe { slot.as_ref() }.free;
    // SAFETY: the caller's promise; the function is that of the letter that it is in.
    unsafe { free(slot) };
}

/// The duty to answer a question. Dropped, it leaves the asker without an answer, and tells so.
///
/// # Examples
/// See [`Question`](crate::Question).
pub struct Answer<T: Send + 'static>(NonNull<Slot<T>>);

// SAFETY: it gives the outcome, which is `Send`, to another thread; the rest of the slot is made for two.
unsafe impl<T: Send> Send for Answer<T> {}
// SAFETY: nothing can be done through `&self`.
unsafe impl<T: Send> Sync for Answer<T> {}

impl<T: Send + 'static> Answer<T> {
    /// # Safety
    /// It is the slot's only one.
    pub(super) unsafe fn new(slot: NonNull<Slot<T>>) -> Self {
        Self(slot)
    }

    /// Answers, or says that who should has panicked. If the asker has gone, the outcome is dropped.
    ///
    /// # Examples
    /// See [`Question`](crate::Question).
    #[inline]
    pub fn give(self, outcome: Result<T, Panicked>) {
        let slot = ManuallyDrop::new(self).0;
        // SAFETY: ours was the only answer, and is no more.
        unsafe { finish(slot, Some(outcome)) };
    }
}

impl<T: Send + 'static> Drop for Answer<T> {
    fn drop(&mut self) {
        // SAFETY: ours was the only answer, and is no more.
        unsafe { finish(self.0, None) };
    }
}

impl<T: Send + 'static> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Gives the outcome and wakes who waits for it, which is foreign code.
///
/// # Safety
/// The caller is the answerer, whose last deed this is.
unsafe fn finish<T>(slot: NonNull<Slot<T>>, outcome: Option<Result<T, Panicked>>) {
    // SAFETY: the slot is there until we say that the outcome is.
    let this = unsafe { slot.as_ref() };
    this.alive.check();
    // SAFETY: until then the outcome is ours.
    this.outcome.with_mut(|place| unsafe { *place = outcome });
    let waker = loop {
        // ORDERING: Acquire pairs with `change` of an asker that has gone.
        match this.word.load(Ordering::Acquire) {
            OPEN if change(&this.word, OPEN, DONE) => return,
            // SAFETY: the word has made it ours.
            WAITED if change(&this.word, WAITED, TAKEN) => break unsafe { this.take_waker() },
            // SAFETY: nobody else is there.
            GONE => return unsafe { free(slot) },
            // It has just come, or taken its waker back.
            _ => {}
        }
    };
    this.alive.check();
    // ORDERING: Release publishes that we have done with the slot; Acquire pairs with `change` of an asker that has gone meanwhile.
    if this.word.swap(DONE, Ordering::AcqRel) == GONE {
        // SAFETY: nobody else is there.
        unsafe { free(slot) };
    }
    // A waker that panics has been reported by the panic hook.
    drop(contain(|| waker.wake()));
}

/// The answer to a question that was sent, for one task to await. Dropped, it lets the question be answered in vain.
///
/// # Examples
/// See [`Question`](crate::Question).
#[must_use = "futures do nothing unless awaited"]
pub struct Reply<T: Send + 'static> {
    /// None once it has been given.
    slot: Option<NonNull<Slot<T>>>,
    /// What the waker in the slot looks like.
    waker: Option<Look>,
    generation: u32,
}

type Look = (*const (), &'static RawWakerVTable);

// SAFETY: the outcome that it gets is `Send`, as a waker is; the rest of the slot is made for two.
unsafe impl<T: Send> Send for Reply<T> {}
// SAFETY: nothing can be done through `&self`.
unsafe impl<T: Send> Sync for Reply<T> {}

// Nothing is pinned: the outcome is elsewhere.
impl<T: Send + 'static> Unpin for Reply<T> {}

impl<T: Send + 'static> Reply<T> {
    /// # Safety
    /// It is the slot's only one.
    pub(super) unsafe fn new(slot: NonNull<Slot<T>>) -> Self {
        Self { slot: Some(slot), waker: None, generation: generation() }
    }

    /// One poll of one that was not given yet.
    fn poll_slot(&mut self, slot: &Slot<T>, cx: &Context<'_>) -> Poll<()> {
        let look = (cx.waker().data(), cx.waker().vtable());
        let is_same = |(data, vtable): Look| data == look.0 && std::ptr::eq(vtable, look.1);
        loop {
            // ORDERING: Acquire pairs with the Release that publishes the outcome.
            match slot.word.load(Ordering::Acquire) {
                DONE => return Poll::Ready(()),
                OPEN => {
                    let waker = MaybeUninit::new(cx.waker().clone());
                    // SAFETY: the place is ours, and empty.
                    slot.waker.with_mut(|place| unsafe { *place = waker });
                    self.waker = Some(look);
                    if change(&slot.word, OPEN, WAITED) {
                        return Poll::Pending;
                    }
                    // SAFETY: it is there, and the word was not changed.
                    drop_contained(unsafe { slot.take_waker() });
                }
                _ if self.waker.is_some_and(is_same) => {
                    // It was cloned by an earlier step.
                    TaskRef::from_waker(cx.waker()).iter().for_each(TaskRef::note_wait_elsewhere);
                    return Poll::Pending;
                }
                // SAFETY: it is there, and the word has made it ours again.
                WAITED if change(&slot.word, WAITED, OPEN) => drop_contained(unsafe { slot.take_waker() }),
                TAKEN => {
                    // Another waker than this one will be woken, in a moment.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // The answerer has just changed it.
                _ => {}
            }
        }
    }
}

impl<T: Send + 'static> Future for Reply<T> {
    /// An error: it panicked, or went without an answer (`Cancelled`), or lives in the parent process of a fork.
    type Output = Result<T, FutureError>;

    /// # Panics
    /// Polled again after it was ready.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let slot = this.slot.expect("a reply is given once");
        // SAFETY: the slot is there as long as it was not given.
        let shared = unsafe { slot.as_ref() };
        shared.alive.check();
        if this.poll_slot(shared, cx).is_pending() {
            // In the child of a fork nobody will ever wake us.
            let is_lost = this.generation != generation();
            return if is_lost { Poll::Ready(Err(FutureError::Forked(Forked))) } else { Poll::Pending };
        }
        this.slot = None;
        let outcome = shared.take_outcome();
        // SAFETY: the answerer has done with it, and we have.
        unsafe { free(slot) };
        Poll::Ready(match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(panicked)) => Err(FutureError::Panicked(panicked)),
            None => Err(FutureError::Cancelled),
        })
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        // SAFETY: the slot is there as long as it was not given.
        let this = unsafe { slot.as_ref() };
        this.alive.check();
        loop {
            // ORDERING: Acquire pairs with the Release that publishes the outcome.
            match this.word.load(Ordering::Acquire) {
                // SAFETY: the answerer has done with it, and we have.
                DONE => return unsafe { free(slot) },
                // SAFETY: it is there, and the word has made it ours again.
                WAITED if change(&this.word, WAITED, OPEN) => drop_contained(unsafe { this.take_waker() }),
                word @ (OPEN | TAKEN) if change(&this.word, word, GONE) => return,
                // The answerer has just changed it.
                _ => {}
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("is_given", &self.slot.is_none()).finish_non_exhaustive()
    }
}
