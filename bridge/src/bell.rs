//! What a producer rings when the loop that it pushed to is asleep. The bridge knows no I/O, so the runtime brings
//! the bell along.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use crate::foreign::contain;
use crate::sync::{Alive, AtomicPtr, AtomicUsize, Ordering, free};

/// Wakes the thread of one loop out of its wait.
///
/// A ring may come from any thread, at any time until the loop's last handle is gone, and also when the loop is
/// awake; then the next wait returns at once. Rings that come together may count as one. Several threads may ring at
/// once, also a bell that the loop has replaced meanwhile.
///
/// # Examples
/// ```
/// use std::sync::{Arc, Condvar, Mutex};
/// use perloop_bridge::Bell;
///
/// #[derive(Clone, Default)]
/// struct Gong(Arc<(Mutex<bool>, Condvar)>);
///
/// impl Bell for Gong {
///     fn ring(&self) {
///         let (has_rung, sound) = &*self.0;
///         *has_rung.lock().expect("no panic under it") = true;
///         sound.notify_one();
///     }
/// }
///
/// impl Gong {
///     /// The loop's side.
///     fn wait(&self) {
///         let (has_rung, sound) = &*self.0;
///         let rung = has_rung.lock().expect("no panic under it");
///         *sound.wait_while(rung, |rung| !*rung).expect("no panic under it") = false;
///     }
/// }
///
/// let gong = Gong::default();
/// let bell: Box<dyn Bell> = Box::new(gong.clone());
/// std::thread::spawn(move || bell.ring());
/// gong.wait();
/// ```
pub trait Bell: Send + Sync {
    /// Makes the loop's current wait return, or its next one.
    ///
    /// # Panics
    /// It should panic if it cannot: whoever rings has pushed something that the loop would sleep on.
    fn ring(&self);
}

/// The bell of a loop. Its home may take it away or hang up another one while others ring, and nobody waits for anybody: who
/// rings may lose its core in the midst of it.
pub(crate) struct Belfry {
    bell: AtomicPtr<Hung>,
    /// How many threads are ringing.
    ringers: AtomicUsize,
}

struct Hung {
    alive: Alive,
    bell: Box<dyn Bell>,
}

/// A bell that was taken away while somebody was ringing it, perhaps. Whoever has it may drop it when nobody rings any
/// more.
pub(crate) struct TakenDown(NonNull<Hung>);

impl Belfry {
    pub(crate) fn new(bell: Box<dyn Bell>) -> Self {
        Self { bell: AtomicPtr::new(hang(Some(bell))), ringers: AtomicUsize::new(0) }
    }

    /// Rings the bell that hangs there, if any.
    pub(crate) fn ring(&self) {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // ORDERING: Release: our ringing is over before `replace` sees that nobody rings.
                self.0.fetch_sub(1, Ordering::Release);
            }
        }
        // ORDERING: Acquire pairs with the Release of `replace`, which counts the ringers after it has taken the bell away: if
        // it does not count us, we do not see that bell any more.
        self.ringers.fetch_add(1, Ordering::Acquire);
        let _leave = Leave(&self.ringers);
        // ORDERING: Acquire pairs with the Release of `replace`: the bell is whole.
        if let Some(hung) = NonNull::new(self.bell.load(Ordering::Acquire)) {
            // SAFETY: a bell is dropped when nobody rings who can have seen it, and we are counted.
            let hung = unsafe { hung.as_ref() };
            hung.alive.check();
            hung.bell.ring();
        }
    }

    /// Hangs up another bell, or none. On the home thread. The old one is dropped, or comes back if somebody may be ringing
    /// it.
    #[must_use]
    pub(crate) fn replace(&self, bell: Option<Box<dyn Bell>>) -> Option<TakenDown> {
        // ORDERING: Release: the new bell is whole before it is seen. Acquire is not needed: home itself hung up the old one.
        let old = NonNull::new(self.bell.swap(hang(bell), Ordering::Release)).map(TakenDown)?;
        // ORDERING: Release, and so a read-modify-write: who begins to ring after this sees the new bell. Acquire pairs with
        // the Release of who has stopped to ring.
        let is_ringing = self.ringers.fetch_add(0, Ordering::AcqRel) > 0;
        is_ringing.then_some(old)
    }
}

fn hang(bell: Option<Box<dyn Bell>>) -> *mut Hung {
    bell.map_or(ptr::null_mut(), |bell| Box::into_raw(Box::new(Hung { alive: Alive::new(), bell })))
}

impl Drop for TakenDown {
    fn drop(&mut self) {
        // SAFETY: by its maker nobody can reach it any more.
        unsafe { self.0.as_ref() }.alive.bury();
        // Foreign code, and whoever drops it has more to do.
        // SAFETY: as above, and it is dropped once.
        drop(contain(|| unsafe { self.0.drop_in_place() }));
        // SAFETY: `hang` allocated it as a Box.
        unsafe { free(self.0.as_ptr().cast(), Layout::new::<Hung>()) };
    }
}

impl Drop for Belfry {
    fn drop(&mut self) {
        // ORDERING: Relaxed; nobody else has the core any more.
        drop(NonNull::new(self.bell.load(Ordering::Relaxed)).map(TakenDown));
    }
}
