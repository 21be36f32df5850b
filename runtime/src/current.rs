//! Which loop is this thread's: the one that runs, and the one that was set.

use std::cell::{Cell, RefCell};
use std::io;

use perloop_bridge::Remote;

use crate::errors::{NoEventLoop, NoRunningLoop};
use crate::event_loop::{EventLoop, WeakLoop};

thread_local! {
    static RUNNING: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    static CURRENT: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    /// Was `set_event_loop` ever called here? Then `get_event_loop` makes none.
    static WAS_SET: Cell<bool> = const { Cell::new(false) };
    /// How many loops were made here without a name.
    static NAMELESS: Cell<u32> = const { Cell::new(0) };
    static OWNED: RefCell<OwnedLoops> = const { RefCell::new(OwnedLoops(Vec::new())) };
}

/// The loops that were made in this thread. A loop whose thread ends closes itself, whoever holds it still.
struct OwnedLoops(Vec<WeakLoop>);

impl Drop for OwnedLoops {
    fn drop(&mut self) {
        for owned in self.0.drain(..).filter_map(|weak| weak.upgrade()) {
            owned.die();
        }
    }
}

/// The loop of this number, if it is one of this thread's.
pub(crate) fn find_owned(id: u32) -> Option<EventLoop> {
    find_owned_by(|event_loop| event_loop.id() == id)
}

pub(crate) fn find_owned_by(is_it: impl Fn(&EventLoop) -> bool) -> Option<EventLoop> {
    let find = |owned: &RefCell<OwnedLoops>| {
        owned.borrow().0.iter().filter_map(WeakLoop::upgrade).find(|event_loop| is_it(event_loop))
    };
    OWNED.try_with(find).ok().flatten()
}

/// The name of the loop of this number, of whatever thread, for errors.
pub(crate) fn name_of(id: u32) -> String {
    match find_owned(id) {
        Some(own) => own.name().to_owned(),
        None => Remote::find(id).map_or_else(|| "one that is gone".to_owned(), |own| own.name().to_owned()),
    }
}

/// Counts the loops of this thread that are made without a name, from one on.
pub(crate) fn next_nameless() -> u32 {
    let next = NAMELESS.get().wrapping_add(1);
    NAMELESS.set(next);
    next
}

/// Notes a new loop, to be closed when the thread ends.
pub(crate) fn own(new: &EventLoop) -> io::Result<()> {
    // The last to be touched is the first to go when the thread ends: the loops die while the others are still there.
    let others = RUNNING.try_with(|_| ()).and(CURRENT.try_with(|_| ()));
    let noted = others.and_then(|()| {
        OWNED.try_with(|owned| {
            let mut owned = owned.borrow_mut();
            owned.0.retain(WeakLoop::is_alive);
            owned.0.push(new.downgrade());
        })
    });
    noted.map_err(|_| {
        io::Error::other("the thread is ending; make event loops before its thread-locals are gone")
    })
}

/// Makes a loop of this thread. It sets nothing: asyncio's `new_event_loop`.
///
/// # Errors
/// If the system gives no descriptor to wait on.
///
/// # Examples
/// ```
/// let event_loop = perloop::new_event_loop()?;
/// let answer = event_loop.run_until_complete(async { 6 * 7 })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn new_event_loop() -> io::Result<EventLoop> {
    EventLoop::builder().build()
}

/// Makes a loop this thread's current one, or leaves the thread without one, and gives the one before: asyncio's
/// `set_event_loop`. Other threads do not see it. A closed loop that is set stays set.
///
/// # Examples
/// ```
/// let event_loop = perloop::new_event_loop()?;
/// assert!(perloop::set_event_loop(Some(&event_loop)).is_none());
/// assert_eq!(perloop::get_event_loop()?, event_loop);
/// assert_eq!(perloop::set_event_loop(None), Some(event_loop));
/// assert!(perloop::get_event_loop().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_event_loop(new: Option<&EventLoop>) -> Option<EventLoop> {
    WAS_SET.set(true);
    // In a thread that is ending there is none, and nobody to ask for it.
    CURRENT.try_with(|current| current.replace(new.cloned())).ok().flatten()
}

/// This thread's loop: the one that runs here, else the one that was set; else, in the main thread and if
/// `set_event_loop` was never called, a new one, which is set. asyncio's `get_event_loop`, as it was up to Python
/// 3.13.
///
/// # Errors
/// If there is none, or the system gives no descriptor for a new one.
///
/// # Examples
/// ```
/// use std::thread;
///
/// let event_loop = perloop::new_event_loop()?;
/// perloop::set_event_loop(Some(&event_loop));
/// assert_eq!(perloop::get_event_loop()?, event_loop);
///
/// // A thread has the loop that it set itself, and no other.
/// let bare = thread::spawn(|| perloop::get_event_loop().is_err());
/// assert_eq!(bare.join().ok(), Some(true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn get_event_loop() -> Result<EventLoop, NoEventLoop> {
    if let Ok(running) = get_running_loop() {
        return Ok(running);
    }
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    // A forked child begins anew, as in Python.
    let is_inherited = current.as_ref().is_some_and(EventLoop::is_inherited);
    if let Some(current) = current.filter(|_| !is_inherited) {
        return Ok(current);
    }
    if is_main_thread()
        && (is_inherited || !WAS_SET.get())
        && let Ok(new) = new_event_loop()
    {
        set_event_loop(Some(&new));
        return Ok(new);
    }
    let thread = std::thread::current();
    Err(NoEventLoop { thread: thread.name().unwrap_or("unnamed").to_owned() })
}

/// The loop that runs in this thread: asyncio's `get_running_loop`.
///
/// # Errors
/// Outside of tasks and callbacks there is none.
///
/// # Examples
/// ```
/// use perloop::{NoRunningLoop, get_running_loop};
///
/// assert_eq!(get_running_loop().unwrap_err(), NoRunningLoop::default());
/// let name = perloop::run(async { get_running_loop().map(|running| running.name().to_owned()) })?;
/// assert!(name.is_ok());
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn get_running_loop() -> Result<EventLoop, NoRunningLoop> {
    with_running(EventLoop::clone)
}

/// Looks at the running loop without counting a reference.
#[inline]
pub(crate) fn with_running<R>(look: impl FnOnce(&EventLoop) -> R) -> Result<R, NoRunningLoop> {
    let look = |running: &RefCell<Option<EventLoop>>| {
        // A child that a task has forked runs none: it is the parent's.
        running.borrow().as_ref().filter(|running| !running.is_inherited()).map(look)
    };
    RUNNING.try_with(look).ok().flatten().ok_or(NoRunningLoop)
}

/// The loop of this number, if it is one of this thread's: mostly the one that runs.
#[inline]
pub(crate) fn find(id: u32) -> Option<EventLoop> {
    let running = with_running(|running| (running.id() == id).then(|| running.clone()));
    running.ok().flatten().or_else(|| find_owned(id))
}

/// Sets the running loop, and gives the one before.
pub(crate) fn set_running(new: Option<EventLoop>) -> Option<EventLoop> {
    RUNNING.with(|running| running.replace(new))
}

/// Is this the thread that `main` runs in?
pub(crate) fn is_main_thread() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        rustix::thread::gettid() == rustix::process::getpid()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        std::thread::current().name() == Some("main")
    }
}
