//! Ctrl-C, while `run` runs in the main thread.
//!
//! A library must not take signals that its user did not give it. So SIGINT is taken only if the program has not said
//! what should become of it, only while `run` runs, and a second one does what it always does: it ends the process.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
#[expect(
    clippy::disallowed_types,
    reason = "signal-hook's own interface; only its signal handler shares it"
)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use once_cell::sync::OnceCell;
use signal_hook::SigId;
use signal_hook::consts::SIGINT;

use crate::event_loop::EventLoop;
use crate::task::AnyTask;

/// Does the next SIGINT end the process? Yes, but for the first one while `run` runs.
#[expect(clippy::disallowed_types, reason = "signal-hook's own interface; only its signal handler shares it")]
static IS_FATAL: OnceCell<Arc<AtomicBool>> = OnceCell::new();

/// Watches for Ctrl-C, until it is dropped.
pub(crate) struct Interrupts {
    event_loop: EventLoop,
    read_end: UnixStream,
    id: SigId,
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
        if IS_FATAL.get().is_none() && !is_default() {
            return Ok(None);
        }
        // In this order: what is registered first runs first, so only the second signal finds the flag set.
        let is_fatal = IS_FATAL.get_or_try_init(|| {
            let flag = Arc::default();
            signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&flag))?;
            signal_hook::flag::register(SIGINT, Arc::clone(&flag))?;
            io::Result::Ok(flag)
        })?;
        let (read_end, write_end) = UnixStream::pair()?;
        read_end.set_nonblocking(true)?;
        let shared = Rc::new(Shared::default());
        let (mut reader, in_reader) = (read_end.try_clone()?, Rc::clone(&shared));
        event_loop.add_reader(&read_end, move || {
            if matches!(reader.read(&mut [0; 64]), Ok(1..)) {
                in_reader.interrupt();
            }
        })?;
        let id = signal_hook::low_level::pipe::register(SIGINT, write_end).inspect_err(|_| {
            event_loop.remove_reader(&read_end);
        })?;
        // ORDERING: Relaxed; the handler runs in this thread or needs only the flag itself.
        is_fatal.store(false, Ordering::Relaxed);
        Ok(Some(Self { event_loop: event_loop.clone(), read_end, id, shared }))
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
        if let Some(main) = &*self.main.borrow() {
            main.cancel();
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        if let Some(is_fatal) = IS_FATAL.get() {
            // ORDERING: as in `watch`.
            is_fatal.store(true, Ordering::Relaxed);
        }
        signal_hook::low_level::unregister(self.id);
        self.event_loop.remove_reader(&self.read_end);
        self.shared.main.take();
    }
}

/// Has the program left SIGINT to the system?
#[expect(unsafe_code, reason = "no safe interface tells what becomes of a signal")]
fn is_default() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action it only writes the present one, into memory that takes it.
    let failed = unsafe { libc::sigaction(SIGINT, std::ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: zeroed bytes are a valid action, and the call may have written another one.
    let action = unsafe { action.assume_init() };
    !failed && action.sa_sigaction == libc::SIG_DFL
}
