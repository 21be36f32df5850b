//! The threads, atomics and cells that the bridge is built from: std's, or loom's in `loom-tests`.
//!
//! This is the only file that names either. Both bodies export the same names, so that the code that is proved is
//! the code that runs.

#[cfg(perloop_loom)]
pub(crate) use modelled::*;
#[cfg(not(perloop_loom))]
pub(crate) use real::*;

/// A text that is shared and never changes. It is std's in models, too: nothing is ordered by it.
pub type SharedText = std::sync::Arc<str>;

/// Takes a lock whose holders run no foreign code, so that a poisoned one cannot guard a broken value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(not(perloop_loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;

    use std::alloc::{Layout, dealloc};
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    /// A cell whose uses are closures, the shape that loom needs to see them.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }
        pub(crate) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get())
        }
        pub(crate) fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
            change(self.0.get())
        }
    }

    /// The liveness witness of a shared allocation. It costs nothing here; see the modelled one.
    pub(crate) struct Alive;

    impl Alive {
        pub(crate) const fn new() -> Self {
            Self
        }
        #[inline]
        pub(crate) fn check(&self) {}
        #[inline]
        pub(crate) fn bury(&self) {}
    }

    /// Gives a buried allocation back.
    ///
    /// # Safety
    /// As [`std::alloc::dealloc`].
    pub(crate) unsafe fn free(allocation: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(allocation, layout) };
    }

    /// Whether the memory of cells is kept for the next ones. Tools that look for uses of freed memory see more of them
    /// without.
    pub(crate) const POOLED: bool = !cfg!(any(miri, perloop_unpooled));

    /// Names a thread for good: never used again for another one, as the system's thread ids are.
    pub(crate) type ThreadToken = u32;

    static NEXT_TOKEN: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        // No destructor, so that it can be read from other destructors of the thread.
        static TOKEN: Cell<ThreadToken> = const { Cell::new(0) };
    }

    #[inline]
    pub(crate) fn this_thread() -> ThreadToken {
        TOKEN.with(|token| {
            if token.get() == 0 {
                token.set(new_token());
            }
            token.get()
        })
    }

    #[cold]
    fn new_token() -> ThreadToken {
        // ORDERING: Relaxed; only the number's being unique matters, and a read-modify-write gives that.
        let token = NEXT_TOKEN.fetch_add(1, Ordering::Relaxed);
        if token == ThreadToken::MAX {
            // After four thousand million threads a token would come again, and two threads would take each other's tasks
            // for their own.
            std::process::abort();
        }
        token
    }

    static LOOPS_MADE: AtomicU32 = AtomicU32::new(0);

    /// A number that no other loop of this process has, nor one that it inherited.
    pub(crate) fn new_loop_id() -> u32 {
        // ORDERING: Relaxed; only the number's being unique matters, and a read-modify-write gives that.
        let id = LOOPS_MADE.fetch_add(1, Ordering::Relaxed);
        id.checked_add(1).expect("fewer than 2^32 loops are made")
    }

    /// Wakes one blocked thread. A wake-up that comes first is kept for the next wait.
    #[derive(Clone)]
    pub(crate) struct Parker(std::thread::Thread);

    impl Parker {
        pub(crate) fn of_this_thread() -> Self {
            Self(std::thread::current())
        }
        /// Blocks until `unpark`, the deadline, or for no reason at all.
        pub(crate) fn park(&self, deadline: Option<Deadline>) {
            match deadline {
                None => std::thread::park(),
                Some(at) => std::thread::park_timeout(at.left()),
            }
        }
        pub(crate) fn unpark(&self) {
            self.0.unpark();
        }
    }

    /// A point in time to give up at.
    #[derive(Clone, Copy)]
    pub(crate) struct Deadline(Instant);

    impl Deadline {
        /// None if the time would be too far off to be told: that is never.
        pub(crate) fn after(timeout: Duration) -> Option<Self> {
            Instant::now().checked_add(timeout).map(Self)
        }
        fn left(self) -> Duration {
            self.0.saturating_duration_since(Instant::now())
        }
        pub(crate) fn has_passed(self) -> bool {
            self.left().is_zero()
        }
    }

    /// The core that this thread runs on now, or `u32::MAX` where the system does not tell.
    pub(crate) fn this_core() -> u32 {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            unsafe extern "C" {
                safe fn sched_getcpu() -> std::ffi::c_int;
            }
            u32::try_from(sched_getcpu()).unwrap_or(u32::MAX)
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        u32::MAX
    }

    /// Puts this thread on another core than the one that it runs on, if it may run on one. Where it may run is the same
    /// as before when this returns.
    pub(crate) fn leave_this_core() {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            use std::ffi::c_int;
            const BITS: usize = usize::BITS as usize;
            type Cores = [usize; 1024 / BITS];
            unsafe extern "C" {
                fn sched_getaffinity(thread: c_int, bytes: usize, cores: *mut Cores) -> c_int;
                fn sched_setaffinity(thread: c_int, bytes: usize, cores: *const Cores) -> c_int;
            }
            let (mut all, this) = ([0; 1024 / BITS], this_core() as usize);
            // SAFETY: the system writes at most as many bytes as are said to be there, and they are.
            let is_known = unsafe { sched_getaffinity(0, size_of::<Cores>(), &raw mut all) } >= 0;
            let mut others = all;
            let Some(word) = others.get_mut(this / BITS).filter(|_| is_known) else { return };
            *word &= !(1 << (this % BITS));
            if others == [0; 1024 / BITS] {
                return;
            }
            for cores in [others, all] {
                // SAFETY: the system reads as many bytes as are said to be there, and they are.
                unsafe { sched_setaffinity(0, size_of::<Cores>(), &raw const cores) };
            }
        }
    }

    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// How many forks lie between this process and the one that was started: what is made in one generation of
    /// processes belongs to it alone.
    #[inline]
    pub(crate) fn generation() -> u32 {
        // ORDERING: Relaxed; it changes only inside `fork`, in a process that has one thread.
        FORKS.load(Ordering::Relaxed)
    }

    /// Makes `generation` count forks from now on.
    pub(crate) fn count_forks() {
        #[cfg(unix)]
        {
            type Handler = Option<unsafe extern "C" fn()>;
            unsafe extern "C" {
                fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> std::ffi::c_int;
            }
            unsafe extern "C" fn in_child() {
                // ORDERING: Relaxed; the child of a fork has one thread.
                FORKS.fetch_add(1, Ordering::Relaxed);
            }
            static COUNTED: AtomicBool = AtomicBool::new(false);
            // ORDERING: Relaxed; of several threads one is first, and nothing is published.
            if !COUNTED.swap(true, Ordering::Relaxed) {
                // SAFETY: the handler is a function of this program that does one atomic addition, which is safe
                // in the child of a fork.
                unsafe { pthread_atfork(None, None, Some(in_child)) };
            }
        }
    }

    /// Declares a cell that each thread has for itself. Without a destructor, so that it can be used from those of other
    /// values of the thread.
    macro_rules! thread_cell {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            thread_local! {
                $(#[$meta])*
                static $name: std::cell::Cell<$type> = const { std::cell::Cell::new($value) };
            }
        };
    }
    pub(crate) use thread_cell;

    /// A value that the whole process shares, made when it is first used. The child of a fork makes one of its own, since
    /// the parent's may be locked by a thread that the child has not got.
    pub(crate) struct ProcessWide<T> {
        made: AtomicPtr<Made<T>>,
        make: fn() -> T,
    }

    struct Made<T> {
        value: T,
        generation: u32,
    }

    impl<T> ProcessWide<T> {
        pub(crate) const fn new(make: fn() -> T) -> Self {
            Self { made: AtomicPtr::new(std::ptr::null_mut()), make }
        }

        #[cold]
        fn make(&self, before: *mut Made<T>) -> *mut Made<T> {
            let new = Box::into_raw(Box::new(Made { value: (self.make)(), generation: generation() }));
            // ORDERING: Release: the value is whole before it is seen; Acquire, on failure: another thread's is.
            match self.made.compare_exchange(before, new, Ordering::Release, Ordering::Acquire) {
                // The parent's, if there was one, is never looked at again.
                Ok(_) => new,
                Err(first) => {
                    // SAFETY: it was made above, and nobody has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    first
                }
            }
        }
    }

    impl<T: Send + Sync> std::ops::Deref for ProcessWide<T> {
        type Target = T;

        fn deref(&self) -> &T {
            // ORDERING: Acquire pairs with the Release of `make`.
            let mut made = self.made.load(Ordering::Acquire);
            // SAFETY: what was made is never dropped.
            if unsafe { made.as_ref() }.is_none_or(|made| made.generation != generation()) {
                made = self.make(made);
            }
            // SAFETY: as above, and it is there.
            &unsafe { &*made }.value
        }
    }

    macro_rules! process_wide {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$meta])*
            static $name: crate::sync::ProcessWide<$type> = crate::sync::ProcessWide::new(|| $value);
        };
    }
    pub(crate) use process_wide;
}

#[cfg(perloop_loom)]
mod modelled {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    pub(crate) use loom::cell::UnsafeCell;
    use loom::sync::Condvar;
    use std::alloc::Layout;
    use std::time::Duration;

    /// The liveness witness of a shared allocation: read at each access, written when it is freed. loom orders
    /// accesses to cells, not the freeing of memory, so without it a use after free passes every model.
    pub(crate) struct Alive {
        alive: UnsafeCell<bool>,
        _leaks: loom::alloc::Track<()>,
    }

    impl Alive {
        pub(crate) fn new() -> Self {
            Self { alive: UnsafeCell::new(true), _leaks: loom::alloc::Track::new(()) }
        }
        #[inline]
        pub(crate) fn check(&self) {
            // SAFETY: loom fails the model if a write is concurrent with this read.
            self.alive.with(|alive| assert!(unsafe { *alive }, "used after it was freed"));
        }
        #[inline]
        pub(crate) fn bury(&self) {
            // SAFETY: loom fails the model if any access is concurrent with this write.
            self.alive.with_mut(|alive| unsafe { *alive = false });
        }
    }

    /// Keeps the memory until the process ends, so that the witness can still be read.
    ///
    /// # Safety
    /// None is needed here; see the real one.
    pub(crate) unsafe fn free(_: *mut u8, _: Layout) {}

    pub(crate) const POOLED: bool = false;

    pub(crate) type ThreadToken = loom::thread::ThreadId;

    #[inline]
    pub(crate) fn this_thread() -> ThreadToken {
        loom::thread::current().id()
    }

    /// A lock and a condition: loom's own `unpark` is no scheduling point and hides races.
    #[derive(Clone)]
    pub(crate) struct Parker(Arc<(Mutex<bool>, Condvar)>);

    impl Parker {
        pub(crate) fn of_this_thread() -> Self {
            Self(Arc::new((Mutex::new(false), Condvar::new())))
        }
        pub(crate) fn park(&self, deadline: Option<Deadline>) {
            if deadline.is_some() {
                return loom::thread::yield_now();
            }
            let mut token = super::lock(&self.0.0);
            while !*token {
                token = self.0.1.wait(token).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            *token = false;
        }
        pub(crate) fn unpark(&self) {
            *super::lock(&self.0.0) = true;
            self.0.1.notify_one();
        }
    }

    /// Always past: a timed wait in a model looks once more and gives up.
    #[derive(Clone, Copy)]
    pub(crate) struct Deadline;

    impl Deadline {
        pub(crate) fn after(_: Duration) -> Option<Self> {
            Some(Self)
        }
        pub(crate) fn has_passed(self) -> bool {
            true
        }
    }

    pub(crate) fn this_core() -> u32 {
        u32::MAX
    }
    #[inline]
    pub(crate) fn leave_this_core() {}
    pub(crate) fn generation() -> u32 {
        0
    }

    /// Not loom's, as nothing but its being unique matters.
    pub(crate) fn new_loop_id() -> u32 {
        use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
        static LOOPS_MADE: AtomicU32 = AtomicU32::new(1);
        LOOPS_MADE.fetch_add(1, Relaxed)
    }
    pub(crate) fn count_forks() {}

    macro_rules! thread_cell {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            loom::thread_local! {
                $(#[$meta])*
                static $name: std::cell::Cell<$type> = std::cell::Cell::new($value);
            }
        };
    }
    pub(crate) use thread_cell;

    macro_rules! process_wide {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            loom::lazy_static! {
                $(#[$meta])*
                static ref $name: $type = $value;
            }
        };
    }
    pub(crate) use process_wide;
}
