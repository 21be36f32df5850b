//! Ctrl-C, while `run` runs in the main thread.
//!
//! A library must not take signals that its user did not give it. So SIGINT is taken only if the program has left it to
//! the system, only while `run` runs, and a second one does what it always does: it ends the process. Afterwards the
//! system's handling is put back; a handler that the program installed meanwhile stays.
//!
//! | `LISTENER` | what the handler does | left by |
//! | --- | --- | --- |
//! | `NOBODY` | nothing: some other handler calls ours along, and `run` is over | `watch` |
//! | a descriptor | writes to it, so that the loop wakes; then `HAS_COME` | the handler; dropping |
//! | `HAS_COME` | ends the process | dropping |

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
#[expect(clippy::disallowed_types, reason = "a signal handler can reach nothing but a static")]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use libc::SIGINT;
use once_cell::sync::OnceCell;

use crate::event_loop::EventLoop;
use crate::task::AnyTask;

const NOBODY: c_int = -1;
const HAS_COME: c_int = -2;

#[expect(clippy::disallowed_types, reason = "a signal handler can reach nothing but a static")]
static LISTENER: AtomicI32 = AtomicI32::new(NOBODY);

/// The process that listens: the child of a fork must not write to its parent.
#[expect(clippy::disallowed_types, reason = "a signal handler can reach nothing but a static")]
static LISTENING_PROCESS: AtomicI32 = AtomicI32::new(0);

/// Made once and never closed, so that a handler that is late writes into nothing else.
static PIPE: OnceCell<Pipe> = OnceCell::new();

thread_local! {
    /// The pipe of a process that was forked from the one that made the first.
    static PIPE_OF_CHILD: Cell<Option<&'static Pipe>> = const { Cell::new(None) };
}

struct Pipe {
    read_end: UnixStream,
    write_end: UnixStream,
    /// The process that it belongs to.
    process: u32,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read_end, write_end) = UnixStream::pair()?;
        read_end.set_nonblocking(true)?;
        write_end.set_nonblocking(true)?;
        Ok(Self { read_end, write_end, process: std::process::id() })
    }

    /// This process's pipe. For the main thread.
    fn get() -> io::Result<&'static Self> {
        let is_ours = |pipe: &&Self| pipe.process == std::process::id();
        let first = PIPE.get_or_try_init(Self::new)?;
        if let Some(made) = Some(first).filter(is_ours).or(PIPE_OF_CHILD.get().filter(is_ours)) {
            return Ok(made);
        }
        let new = Box::leak(Box::new(Self::new()?));
        PIPE_OF_CHILD.set(Some(new));
        Ok(new)
    }
}

/// Watches for Ctrl-C, until it is dropped.
pub(crate) struct Interrupts {
    event_loop: EventLoop,
    pipe: &'static Pipe,
    before: libc::sigaction,
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    main: RefCell<Option<AnyTask>>,
    has_come: Cell<bool>,
}

impl Interrupts {
    /// None if the program handles, or ignores, the signal itself.
    pub(crate) fn watch(event_loop: &EventLoop) -> io::Result<Option<Self>> {
        let before = change_action(None)?;
        if before.sa_sigaction != libc::SIG_DFL {
            return Ok(None);
        }
        let pipe = Pipe::get()?;
        let shared = Rc::new(Shared::default());
        let in_reader = Rc::clone(&shared);
        event_loop.add_reader(&pipe.read_end, move || {
            if matches!((&pipe.read_end).read(&mut [0; 8]), Ok(1..)) {
                in_reader.interrupt();
            }
        })?;
        // ORDERING: Relaxed; the word is the whole message, and the pipe is there before the handler is.
        LISTENING_PROCESS.store(this_process(), Ordering::Relaxed);
        // ORDERING: as above.
        LISTENER.store(pipe.write_end.as_raw_fd(), Ordering::Relaxed);
        let watching = Self { event_loop: event_loop.clone(), pipe, before, shared };
        change_action(Some(&our_action()))?;
        Ok(Some(watching))
    }

    pub(crate) fn set_main(&self, main: AnyTask) {
        self.shared.main.replace(Some(main));
    }

    pub(crate) fn has_come(&self) -> bool {
        self.shared.has_come.get()
    }
}

impl Shared {
    fn interrupt(&self) {
        self.has_come.set(true);
        let main = self.main.borrow().clone();
        if let Some(main) = main {
            main.cancel();
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let is_still_ours =
            change_action(None).is_ok_and(|now| now.sa_sigaction == our_action().sa_sigaction);
        if is_still_ours {
            // It worked with the action before, so it can't fail.
            drop(change_action(Some(&self.before)));
        }
        // ORDERING: as in `watch`.
        LISTENER.store(NOBODY, Ordering::Relaxed);
        self.event_loop.remove_reader(&self.pipe.read_end);
        // One that came too late to be looked at is not left for the next `run`.
        drop((&self.pipe.read_end).read(&mut [0; 8]));
        self.shared.main.take();
    }
}

/// Runs inside of the signal: nothing but async-signal-safe calls.
#[expect(unsafe_code, reason = "only system calls can be made in a signal handler")]
extern "C" fn on_interrupt(signal: c_int) {
    // ORDERING: Relaxed; the word is the whole message.
    let listener = LISTENER.load(Ordering::Relaxed);
    // ORDERING: as above.
    let is_ours = LISTENING_PROCESS.load(Ordering::Relaxed) == this_process();
    if listener == NOBODY {
        return;
    }
    if listener == HAS_COME || !is_ours {
        // SAFETY: resetting a signal and raising it are async-signal-safe; it is delivered when this returns.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::raise(signal) };
        return;
    }
    // ORDERING: as above.
    LISTENER.store(HAS_COME, Ordering::Relaxed);
    let error_before = io::Error::last_os_error().raw_os_error();
    // SAFETY: `write` is async-signal-safe; the descriptor is never closed, and one byte is read from a static.
    unsafe { libc::write(listener, b"!".as_ptr().cast(), 1) };
    if let Some(before) = error_before {
        restore_errno(before);
    }
}

fn this_process() -> c_int {
    std::process::id().cast_signed()
}

/// What was interrupted may be about to look at its error.
#[expect(unsafe_code, reason = "there is no safe way to set errno")]
fn restore_errno(before: c_int) {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    // SAFETY: the location is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
    // SAFETY: the location is this thread's own.
    let errno = unsafe { libc::__error() };
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    // SAFETY: the location is this thread's own.
    let errno = unsafe { libc::__errno() };
    // SAFETY: it points to this thread's errno.
    unsafe { *errno = before };
}

/// Our handler, which does not make other system calls fail.
#[expect(unsafe_code, reason = "an action has padding and fields that differ between systems")]
fn our_action() -> libc::sigaction {
    // SAFETY: zeroed bytes are a valid action: the default one, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_interrupt as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    action
}

/// Sets what becomes of the signal, if anything new is given, and gives what it was.
#[expect(unsafe_code, reason = "no safe interface tells or sets what becomes of a signal")]
fn change_action(new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both pointers are null or valid, and the handler, if any, is async-signal-safe.
    if unsafe { libc::sigaction(SIGINT, new, before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has written it.
    Ok(unsafe { before.assume_init() })
}
