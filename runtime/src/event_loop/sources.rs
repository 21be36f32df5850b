//! Descriptors that the loop watches: `add_reader` and its kin.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::rc::Rc;

use perloop_bridge::{Call, CallRef};

use crate::context::{Context, copy_context};
use crate::event_loop::{EventLoop, run_callback_of};
use crate::reactor::Reactor;

/// A callback that runs each time that its descriptor is ready.
struct Repeated<F> {
    callback: RefCell<F>,
    /// That of where it was given to the loop, and what it sets.
    context: Cell<Context>,
    made_at: &'static Location<'static>,
}

impl<F: FnMut()> Call for Repeated<F> {
    fn call(self: Rc<Self>) {
        // Borrowed already only if the callback turns its own loop, which is refused; then there is nothing to do.
        if let Ok(mut callback) = self.callback.try_borrow_mut() {
            let mut own = self.context.take();
            let call = || if own.has_values() { own.run(&mut *callback) } else { callback() };
            run_callback_of(call, |context| context.created_at = Some(self.made_at));
            self.context.set(own);
        }
    }

    fn made_at(&self) -> Option<&'static Location<'static>> {
        Some(self.made_at)
    }
}

impl EventLoop {
    /// Calls `callback` in each turn in which `source` can be read without blocking, until
    /// [`remove_reader`](Self::remove_reader): asyncio's `add_reader`. An earlier reader of the same descriptor is
    /// replaced. Remove it before you close the descriptor.
    ///
    /// # Errors
    /// If the loop is closed, or the system can't watch the descriptor (a plain file, for instance).
    ///
    /// # Examples
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (mut here, mut there) = UnixStream::pair()?;
    /// let event_loop = perloop::new_event_loop()?;
    /// there.write_all(b"!")?;
    /// event_loop.add_reader(&here.try_clone()?, {
    ///     let event_loop = event_loop.clone();
    ///     move || {
    ///         here.read_exact(&mut [0]).expect("it is readable");
    ///         event_loop.stop();
    ///     }
    /// })?;
    /// event_loop.run_forever()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_reader(&self, source: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        // Held here as well, so that one that is refused is dropped outside of the borrow.
        let callback = repeated(callback);
        self.with_reactor(|reactor| reactor.set_reader(source.as_fd(), callback.clone())).map(drop)
    }

    /// Stops watching for reading, and drops the callback. False if nobody did: asyncio's `remove_reader`.
    ///
    /// # Examples
    /// ```
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// let event_loop = perloop::new_event_loop()?;
    /// event_loop.add_reader(&here, || unreachable!("nothing is written"))?;
    /// assert!(event_loop.remove_reader(&here));
    /// assert!(!event_loop.remove_reader(&here));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_reader(&self, source: impl AsFd) -> bool {
        self.with_reactor(|reactor| Ok(reactor.remove_reader(source.as_fd()))).is_ok_and(|old| old.is_some())
    }

    /// As [`add_reader`](Self::add_reader), for writing: asyncio's `add_writer`.
    ///
    /// # Errors
    /// As `add_reader`.
    ///
    /// # Examples
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (here, mut there) = UnixStream::pair()?;
    /// let event_loop = perloop::new_event_loop()?;
    /// event_loop.add_writer(&here, {
    ///     let (event_loop, mut here) = (event_loop.clone(), here.try_clone()?);
    ///     move || {
    ///         here.write_all(b"!").expect("it is writable");
    ///         event_loop.stop();
    ///     }
    /// })?;
    /// event_loop.run_forever()?;
    /// event_loop.remove_writer(&here);
    /// there.read_exact(&mut [0])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_writer(&self, source: impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        // Held here as well, so that one that is refused is dropped outside of the borrow.
        let callback = repeated(callback);
        self.with_reactor(|reactor| reactor.set_writer(source.as_fd(), callback.clone())).map(drop)
    }

    /// Stops watching for writing, and drops the callback. False if nobody did: asyncio's `remove_writer`.
    ///
    /// # Examples
    /// ```
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// let event_loop = perloop::new_event_loop()?;
    /// assert!(!event_loop.remove_writer(&here));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_writer(&self, source: impl AsFd) -> bool {
        self.with_reactor(|reactor| Ok(reactor.remove_writer(source.as_fd()))).is_ok_and(|old| old.is_some())
    }

    /// Is any descriptor watched?
    pub(crate) fn has_sources(&self) -> bool {
        self.0.reactor.borrow().as_ref().is_some_and(Reactor::has_sources)
    }

    /// What `change` gives (a replaced callback) is dropped by the caller, outside of the borrow.
    fn with_reactor<R>(&self, change: impl FnOnce(&mut Reactor<CallRef>) -> io::Result<R>) -> io::Result<R> {
        // The system would change what the parent process watches.
        if self.is_inherited() {
            return Err(io::Error::other(perloop_bridge::Forked));
        }
        match self.0.reactor.borrow_mut().as_mut() {
            Some(reactor) => change(reactor),
            None => Err(io::Error::other(perloop_bridge::LoopClosed::new(self.name()))),
        }
    }
}

#[track_caller]
fn repeated(callback: impl FnMut() + 'static) -> CallRef {
    CallRef(Rc::new(Repeated {
        callback: RefCell::new(callback),
        context: Cell::new(copy_context()),
        made_at: Location::caller(),
    }))
}
