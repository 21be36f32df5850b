//! What a producer rings when the loop that it pushed to is asleep. The bridge knows no I/O, so the runtime brings
//! the bell along.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use crate::foreign::contain;
use crate::sync::{Alive, AtomicPtr, AtomicUsize, Ordering, UnsafeCell, free};

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
/// rings may lose its core in the midst of it. A bell that was taken down is dropped by whoever finds that nobody rings
/// any more. (Public for its models alone.)
#[doc(hidden)]
#[derive(Debug)]
pub struct Belfry {
    bell: AtomicPtr<Hung>,
    /// How many threads are ringing.
    ringers: AtomicUsize,
    /// Bells that were taken down while somebody was ringing, each with the one before it.
    taken_down: AtomicPtr<Hung>,
}

struct Hung {
    alive: Alive,
    bell: Box<dyn Bell>,
    /// For who takes it down. Ringers do not look at it.
    before: UnsafeCell<*mut Hung>,
}

impl Hung {
    /// The one that was taken down before it. For who has both.
    fn before(&self) -> Option<NonNull<Self>> {
        // SAFETY: it is changed and read only by the one who has the bells of `taken_down`, or those that are not there yet.
        NonNull::new(self.before.with(|before| unsafe { *before }))
    }
}

impl Belfry {
    pub fn new(bell: Box<dyn Bell>) -> Self {
        Self {
            bell: AtomicPtr::new(hang(Some(bell))),
            ringers: AtomicUsize::new(0),
            taken_down: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Rings the bell that hangs there, if any.
    pub fn ring(&self) {
        struct Leave<'a>(&'a Belfry);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // ORDERING: Release: our ringing is over before anybody finds that nobody rings. Acquire: what was taken down
                // before its home counted us is there for us to clear away.
                if self.0.ringers.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.0.clear_away();
                }
            }
        }
        // ORDERING: Acquire pairs with the Release of `replace`, which counts the ringers after it has taken the bell away: if
        // it does not count us, we do not see that bell any more.
        self.ringers.fetch_add(1, Ordering::Acquire);
        let _leave = Leave(self);
        // ORDERING: Acquire pairs with the Release of `replace`: the bell is whole.
        if let Some(hung) = NonNull::new(self.bell.load(Ordering::Acquire)) {
            // SAFETY: a bell is dropped when nobody rings who can have seen it, and we are counted.
            let hung = unsafe { hung.as_ref() };
            hung.alive.check();
            hung.bell.ring();
        }
    }

    /// Hangs up another bell, or none. On the home thread.
    pub fn replace(&self, bell: Option<Box<dyn Bell>>) {
        // ORDERING: Release: the new bell is whole before it is seen. Acquire is not needed: home itself hung up the old one.
        let old = self.bell.swap(hang(bell), Ordering::Release);
        self.take_down(old);
        // ORDERING: Release, and so a read-modify-write: who stops to ring after this sees the old one taken down. (No model
        // can notice if not, since loom never lets a swap miss what was stored before it. The bell would be dropped with the
        // core instead.)
        if self.ringers.fetch_add(0, Ordering::AcqRel) == 0 {
            self.clear_away();
        }
    }

    /// Puts bells, each with the one before it, to those that were taken down.
    fn take_down(&self, bells: *mut Hung) {
        let mut last = bells;
        // SAFETY: the bells are the caller's, as long as they are not put there.
        while let Some(before) = unsafe { last.as_ref() }.and_then(Hung::before) {
            last = before.as_ptr();
        }
        // SAFETY: as above.
        let Some(last) = (unsafe { last.as_ref() }) else { return };
        // ORDERING: Relaxed; nothing is read of what is there.
        let mut others = self.taken_down.load(Ordering::Relaxed);
        loop {
            // SAFETY: as above.
            last.before.with_mut(|before| unsafe { *before = others });
            // ORDERING: Release: who takes them away sees what is behind them. Without Acquire, since nothing is read of the
            // others, and who takes all away reads from each Release before it (only read-modify-writes lie between).
            match self.taken_down.compare_exchange(others, bells, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => others = now,
            }
        }
    }

    /// Drops what was taken down, if nobody rings who can have seen it.
    fn clear_away(&self) {
        loop {
            // ORDERING: Acquire pairs with the Release of `take_down`.
            let bells = self.taken_down.swap(ptr::null_mut(), Ordering::Acquire);
            if bells.is_null() {
                return;
            }
            // ORDERING: Acquire pairs with the Release of who has stopped to ring. Release, and so a read-modify-write: who
            // begins after this sees what `replace` did before.
            if self.ringers.fetch_add(0, Ordering::AcqRel) == 0 {
                return drop_all(bells);
            }
            // Somebody has begun meanwhile, and may ring one that was taken down later. Whoever stops last comes here.
            self.take_down(bells);
            // ORDERING: as in `replace`, and as there no model can notice.
            if self.ringers.fetch_add(0, Ordering::AcqRel) > 0 {
                return;
            }
        }
    }
}

/// Drops a bell that nobody can reach any more, and those before it.
fn drop_all(mut next: *mut Hung) {
    while let Some(hung) = NonNull::new(next) {
        // SAFETY: by the caller it is nobody else's.
        let here = unsafe { hung.as_ref() };
        next = here.before().map_or(ptr::null_mut(), NonNull::as_ptr);
        here.alive.bury();
        // Foreign code, and whoever drops it has more to do.
        // SAFETY: as above, and it is dropped once.
        drop(contain(|| unsafe { hung.drop_in_place() }));
        // SAFETY: `hang` allocated it as a Box.
        unsafe { free(hung.as_ptr().cast(), Layout::new::<Hung>()) };
    }
}

fn hang(bell: Option<Box<dyn Bell>>) -> *mut Hung {
    let hung = |bell| Hung { alive: Alive::new(), bell, before: UnsafeCell::new(ptr::null_mut()) };
    bell.map_or(ptr::null_mut(), |bell| Box::into_raw(Box::new(hung(bell))))
}

impl Drop for Belfry {
    fn drop(&mut self) {
        // ORDERING: Relaxed, both; nobody else has the core any more.
        drop_all(self.bell.load(Ordering::Relaxed));
        drop_all(self.taken_down.load(Ordering::Relaxed));
    }
}
