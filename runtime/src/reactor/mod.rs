//! Which callbacks wait for which descriptors of one loop, and the wait itself.
//!
//! `polling` registers the descriptors, level-triggered. How the loop's thread waits and is woken is the system's
//! matter: `epoll.rs` on Linux and Android, `portable.rs` elsewhere.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
mod portable;
mod sources;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use perloop_bridge::Bell;
use polling::{Event, PollMode, Poller};

use self::portable::Portable;
use self::sources::{Side, Sources};

/// The longest single wait, asyncio's as well. A wait for longer returns early with nothing ready, and no system's
/// integers overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How a reactor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitKind {
    /// By the fewest system calls that this system allows.
    Native,
    /// By `polling`'s own wait, on every system.
    Portable,
}

/// The descriptors of one loop, with a callback for each side that is waited for.
pub(crate) struct Reactor<C> {
    backend: Backend,
    sources: Sources<C>,
    #[cfg(test)]
    fails_next_wait: bool,
}

/// The poller and the way to wait on it.
enum Backend {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Epoll(epoll::Epoll),
    Portable(Portable),
}

/// What a wait found out about one descriptor.
struct Occurrence {
    key: usize,
    is_readable: bool,
    is_writable: bool,
}

impl<C: Clone> Reactor<C> {
    /// Makes a reactor without descriptors.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors to spare.
    pub(crate) fn new(wait: WaitKind) -> io::Result<Self> {
        Ok(Self {
            backend: Backend::new(wait)?,
            sources: Sources::new(),
            #[cfg(test)]
            fails_next_wait: false,
        })
    }

    /// Returns a bell that ends this reactor's current wait, or else its next one. It may be rung when the reactor
    /// is gone.
    pub(crate) fn bell(&self) -> Box<dyn Bell> {
        match &self.backend {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Backend::Epoll(epoll) => epoll.bell(),
            Backend::Portable(portable) => portable.bell(),
        }
    }

    /// Has `callback` handed out by each wait at which `fd` is readable, and gives back the one that it replaces.
    ///
    /// # Errors
    ///
    /// What the system says when it refuses the descriptor; then all is as it was.
    pub(crate) fn set_reader(&mut self, fd: BorrowedFd<'_>, callback: C) -> io::Result<Option<C>> {
        self.set(fd, Side::Reader, callback)
    }

    /// Has `callback` handed out by each wait at which `fd` is writable, and gives back the one that it replaces.
    ///
    /// # Errors
    ///
    /// What the system says when it refuses the descriptor; then all is as it was.
    pub(crate) fn set_writer(&mut self, fd: BorrowedFd<'_>, callback: C) -> io::Result<Option<C>> {
        self.set(fd, Side::Writer, callback)
    }

    /// Takes back the callback that waits for `fd` to be readable.
    pub(crate) fn remove_reader(&mut self, fd: BorrowedFd<'_>) -> Option<C> {
        self.remove(fd, Side::Reader)
    }

    /// Takes back the callback that waits for `fd` to be writable.
    pub(crate) fn remove_writer(&mut self, fd: BorrowedFd<'_>) -> Option<C> {
        self.remove(fd, Side::Writer)
    }

    /// Does anybody wait for a descriptor?
    pub(crate) fn has_sources(&self) -> bool {
        !self.sources.by_fd.is_empty()
    }

    /// Waits until a descriptor is ready, the bell rings or `timeout` is over (`None`: for ever), and adds the
    /// callbacks of what is ready to `ready`: a descriptor's reader before its writer, both if it failed or hung up.
    /// It may return early with nothing ready, but never later than the bell.
    ///
    /// # Errors
    ///
    /// If the system refuses to wait. `rebuild` is the way out.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<C>) -> io::Result<()> {
        #[cfg(test)]
        if std::mem::take(&mut self.fails_next_wait) {
            return Err(io::Error::other("the test wants this wait to fail"));
        }
        let timeout = timeout.map(|timeout| timeout.min(LONGEST_WAIT));
        let sources = &self.sources;
        let mut found_leftover = false;
        self.backend.wait(timeout, |occurrence| found_leftover |= !sources.collect(&occurrence, ready))?;
        if found_leftover && self.backend.bells_survive_rebuild() {
            // A descriptor was closed before it was removed, while a duplicate of it lives. Its registration can't be
            // named any more and would end every wait. If no new poller is to be had now, the next wait tries again.
            let _ = self.rebuild(ready);
        }
        Ok(())
    }

    /// Registers every descriptor with a new poller, after a wait has failed. Descriptors that the system refuses are
    /// forgotten, and their callbacks are added to `refused`. The next wait may return at once.
    ///
    /// With `WaitKind::Native` on Linux, bells stay valid. Otherwise a new one must be asked for, and rings of an old
    /// one are heard until now.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors to spare; then the old poller stays.
    pub(crate) fn rebuild(&mut self, refused: &mut Vec<C>) -> io::Result<()> {
        self.backend.rebuild()?;
        for index in 0..self.sources.slots.len() {
            let slot = &self.sources.slots[index];
            // Not `add_or_modify`: a number that exists is one of the new poller's own, so its file is closed.
            if !slot.is_vacant() && add(self.backend.poller(), slot.fd, self.sources.interest(index)).is_err()
            {
                let slot = &mut self.sources.slots[index];
                refused.extend(slot.reader.take());
                refused.extend(slot.writer.take());
                self.sources.release(index);
            }
        }
        Ok(())
    }

    /// Ends it, and gives the callbacks that were left.
    pub(crate) fn close(self) -> impl Iterator<Item = C> {
        self.sources.slots.into_iter().flat_map(|slot| [slot.reader, slot.writer]).flatten()
    }

    /// Leaks a reactor that a forked child has inherited, callbacks included. The poller is shared with the parent,
    /// and dropping it would take the parent's own descriptors out of it.
    pub(crate) fn abandon_in_child(self) {
        std::mem::forget(self);
    }

    /// Returns the poller's descriptor, for a poll around this reactor: it is readable when a wait would not block.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.backend.poller().as_fd()
    }

    /// Makes the next wait fail, once.
    #[cfg(test)]
    pub(crate) fn fail_next_wait(&mut self) {
        self.fails_next_wait = true;
    }

    fn set(&mut self, fd: BorrowedFd<'_>, side: Side, callback: C) -> io::Result<Option<C>> {
        let index = match self.sources.find(fd) {
            Some(index) => {
                self.widen(index, fd, side)?;
                index
            }
            None => self.register(fd, side)?,
        };
        Ok(self.sources.slots[index].callback_mut(side).replace(callback))
    }

    /// Registers a descriptor that has no slot yet.
    fn register(&mut self, fd: BorrowedFd<'_>, side: Side) -> io::Result<usize> {
        let index = self.sources.claim(fd)?;
        let interest = self.sources.interest_with(index, side);
        match add_or_modify(self.backend.poller(), fd, interest) {
            Ok(()) => Ok(index),
            Err(error) => {
                self.sources.release(index);
                Err(error)
            }
        }
    }

    /// Registers a descriptor that has a slot for one more side. The system is told even if both sides were
    /// registered, because the number may have been closed and given to another file since.
    fn widen(&mut self, index: usize, fd: BorrowedFd<'_>, side: Side) -> io::Result<()> {
        let poller = self.backend.poller();
        match poller.modify_with_mode(fd, self.sources.interest_with(index, side), PollMode::Level) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What the former file may still have to say must not be taken for the new one's.
                self.sources.slots[index].start_generation();
                add(poller, fd.as_raw_fd(), self.sources.interest_with(index, side))
            }
            result => result,
        }
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, side: Side) -> Option<C> {
        let index = self.sources.find(fd)?;
        let callback = self.sources.slots[index].callback_mut(side).take()?;
        // The system refuses only what it has forgotten already, because the descriptor was closed too early.
        if self.sources.slots[index].is_vacant() {
            let _ = self.backend.poller().delete(fd);
            self.sources.release(index);
        } else {
            let interest = self.sources.interest(index);
            let _ = self.backend.poller().modify_with_mode(fd, interest, PollMode::Level);
        }
        Some(callback)
    }
}

impl Backend {
    fn new(wait: WaitKind) -> io::Result<Self> {
        match wait {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            WaitKind::Native => epoll::Epoll::new().map(Self::Epoll),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            WaitKind::Native => Portable::new().map(Self::Portable),
            WaitKind::Portable => Portable::new().map(Self::Portable),
        }
    }

    fn poller(&self) -> &Poller {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => epoll.poller(),
            Self::Portable(portable) => portable.poller(),
        }
    }

    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        found: impl FnMut(Occurrence),
    ) -> io::Result<()> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => epoll.wait(timeout, found),
            Self::Portable(portable) => portable.wait(timeout, found),
        }
    }

    fn rebuild(&mut self) -> io::Result<()> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => epoll.rebuild(),
            Self::Portable(portable) => portable.rebuild(),
        }
    }

    fn bells_survive_rebuild(&self) -> bool {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(_) => true,
            Self::Portable(_) => false,
        }
    }
}

/// Registers a descriptor that the poller should not know. It may know the number nevertheless, from a file that was
/// closed too early and has come back under it.
fn add_or_modify(poller: &Poller, fd: BorrowedFd<'_>, interest: Event) -> io::Result<()> {
    match add(poller, fd.as_raw_fd(), interest) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            poller.modify_with_mode(fd, interest, PollMode::Level)
        }
        result => result,
    }
}

/// Registers a descriptor that the poller doesn't know.
#[expect(unsafe_code, reason = "polling leaves it to us to remove a source before it is closed")]
fn add(poller: &Poller, fd: RawFd, interest: Event) -> io::Result<()> {
    // SAFETY: the number comes from a `BorrowedFd`, so that it isn't -1, and it is removed together with its slot. If
    // its owner closes it before, the system refuses or forgets the number, or reports the file that has it now; no
    // memory is reached through it.
    unsafe { poller.add_with_mode(fd, interest, PollMode::Level) }
}

/// Waits until one of several reactors, by their descriptors, has something to look at.
///
/// # Errors
///
/// If the system has no descriptors to spare.
pub(crate) fn wait_for_any<'a>(several: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<()> {
    // Made anew each time, since a reactor's descriptor changes when that is rebuilt.
    let poller = Poller::new()?;
    for (key, fd) in several.enumerate() {
        add(&poller, fd.as_raw_fd(), Event::readable(key))?;
    }
    poller.wait(&mut polling::Events::new(), None).map(drop)
}

/// A loop that cannot be woken would sleep on what was just handed in, and whoever waits for that would wait for ever.
fn cannot_ring(error: &io::Error) -> ! {
    panic!(
        "cannot wake an event loop: {error}; its descriptor was closed by code that does not own it, or writing is forbidden"
    )
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Instant;

    use super::*;

    pub(super) const NOW: Option<Duration> = Some(Duration::ZERO);

    /// Long enough for a test to be seen to hang, short enough to be over some day.
    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    pub(super) type TestReactor = Reactor<&'static str>;

    pub(super) fn with_each_kind(test: impl Fn(TestReactor)) {
        for kind in [WaitKind::Native, WaitKind::Portable] {
            println!("{kind:?}");
            test(Reactor::new(kind).unwrap());
        }
    }

    pub(super) fn wait(reactor: &mut TestReactor, timeout: Option<Duration>) -> Vec<&'static str> {
        let mut ready = Vec::new();
        reactor.wait(timeout, &mut ready).unwrap();
        ready
    }

    /// Waits, and fails unless something other than the timeout ended the wait.
    pub(super) fn wait_until_woken(reactor: &mut TestReactor) -> Vec<&'static str> {
        let start = Instant::now();
        let ready = wait(reactor, LONG);
        assert!(Some(start.elapsed()) < LONG, "nothing woke the reactor");
        ready
    }

    pub(super) fn pipe_with_data() -> (PipeReader, PipeWriter) {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        (reader, writer)
    }

    #[test]
    fn a_ring_before_the_wait_ends_it() {
        with_each_kind(|mut reactor| {
            reactor.bell().ring();
            reactor.bell().ring();
            assert!(wait_until_woken(&mut reactor).is_empty());
        });
    }

    #[test]
    fn rings_from_another_thread_end_the_waits() {
        with_each_kind(|mut reactor| {
            let (mut next_wait, mut next_ring) = pipe().unwrap();
            let bell = reactor.bell();
            let ringer = thread::spawn(move || {
                while next_wait.read(&mut [0]).unwrap() == 1 {
                    bell.ring();
                }
            });
            for _ in 0..100 {
                next_ring.write_all(b"x").unwrap();
                assert!(wait_until_woken(&mut reactor).is_empty());
            }
            drop(next_ring);
            ringer.join().unwrap();
        });
    }

    #[test]
    fn a_bell_outlives_its_reactor() {
        with_each_kind(|reactor| {
            let bell = reactor.bell();
            drop(reactor);
            bell.ring();
        });
    }

    #[test]
    fn a_short_timeout_takes_one_wait_and_is_never_early() {
        with_each_kind(|mut reactor| {
            let timeout = Duration::from_micros(300);
            for _ in 0..20 {
                let start = Instant::now();
                assert!(wait(&mut reactor, Some(timeout)).is_empty());
                assert!(start.elapsed() >= timeout);
            }
        });
    }

    #[test]
    fn a_timeout_too_long_to_count_does_not_overflow() {
        with_each_kind(|mut reactor| {
            for timeout in [Duration::MAX, LONGEST_WAIT, Duration::from_secs(u64::MAX)] {
                reactor.bell().ring();
                assert!(wait(&mut reactor, Some(timeout)).is_empty());
            }
            reactor.bell().ring();
            assert!(wait(&mut reactor, None).is_empty());
        });
    }

    #[test]
    fn a_reader_is_called_while_there_is_data() {
        with_each_kind(|mut reactor| {
            let (mut reader, mut writer) = pipe().unwrap();
            assert_eq!(reactor.set_reader(reader.as_fd(), "read").unwrap(), None);
            assert!(wait(&mut reactor, NOW).is_empty());
            writer.write_all(b"x").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["read"]);
            assert_eq!(wait_until_woken(&mut reactor), ["read"]);
            reader.read_exact(&mut [0]).unwrap();
            assert!(wait(&mut reactor, NOW).is_empty());
        });
    }

    #[test]
    fn reader_comes_before_writer_and_each_can_leave() {
        with_each_kind(|mut reactor| {
            let (end, mut peer) = UnixStream::pair().unwrap();
            peer.write_all(b"x").unwrap();
            reactor.set_writer(end.as_fd(), "write").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["write"]);
            reactor.set_reader(end.as_fd(), "read").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["read", "write"]);
            assert_eq!(reactor.remove_writer(end.as_fd()), Some("write"));
            assert_eq!(wait_until_woken(&mut reactor), ["read"]);
            assert_eq!(reactor.remove_writer(end.as_fd()), None);
            assert_eq!(reactor.remove_reader(end.as_fd()), Some("read"));
            assert!(wait(&mut reactor, NOW).is_empty());
            assert_eq!(reactor.remove_reader(end.as_fd()), None);
        });
    }

    #[test]
    fn a_replaced_callback_is_given_back() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            reactor.set_reader(reader.as_fd(), "old").unwrap();
            assert_eq!(reactor.set_reader(reader.as_fd(), "new").unwrap(), Some("old"));
            assert_eq!(wait_until_woken(&mut reactor), ["new"]);
        });
    }

    #[test]
    fn a_hang_up_wakes_reader_and_writer() {
        with_each_kind(|mut reactor| {
            let (end, peer) = UnixStream::pair().unwrap();
            reactor.set_reader(end.as_fd(), "read").unwrap();
            reactor.set_writer(end.as_fd(), "write").unwrap();
            drop(peer);
            assert_eq!(wait_until_woken(&mut reactor), ["read", "write"]);
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            reactor.remove_reader(end.as_fd());
            reactor.remove_writer(end.as_fd());
            reactor.set_writer(writer.as_fd(), "broken").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["broken"]);
        });
    }

    #[test]
    fn slots_are_used_again_for_other_descriptors() {
        with_each_kind(|mut reactor| {
            let (first, _first_writer) = pipe_with_data();
            let (second, _second_writer) = pipe_with_data();
            for _ in 0..1_000 {
                reactor.set_reader(first.as_fd(), "first").unwrap();
                assert_eq!(wait_until_woken(&mut reactor), ["first"]);
                reactor.remove_reader(first.as_fd());
                reactor.set_reader(second.as_fd(), "second").unwrap();
                assert_eq!(wait_until_woken(&mut reactor), ["second"]);
                reactor.remove_reader(second.as_fd());
            }
            assert_eq!((reactor.sources.slots.len(), reactor.sources.by_fd.len()), (1, 0));
        });
    }

    #[test]
    fn events_of_an_earlier_generation_are_ignored() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            reactor.set_reader(reader.as_fd(), "first").unwrap();
            let stale = Occurrence { key: reactor.sources.key(0), is_readable: true, is_writable: true };
            reactor.remove_reader(reader.as_fd());
            let mut ready = Vec::new();
            assert!(!reactor.sources.collect(&stale, &mut ready), "the slot is vacant");
            reactor.set_reader(reader.as_fd(), "second").unwrap();
            assert!(!reactor.sources.collect(&stale, &mut ready), "the slot has another occupant");
            assert!(ready.is_empty());
        });
    }

    #[test]
    fn a_failed_wait_is_over_after_a_rebuild_that_keeps_sources() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            let (end, _peer) = UnixStream::pair().unwrap();
            reactor.set_reader(reader.as_fd(), "read").unwrap();
            reactor.set_writer(end.as_fd(), "write").unwrap();
            reactor.fail_next_wait();
            let mut ready = Vec::new();
            assert!(reactor.wait(NOW, &mut ready).is_err());
            reactor.rebuild(&mut ready).unwrap();
            assert!(ready.is_empty(), "nothing was refused");
            reactor.wait(LONG, &mut ready).unwrap();
            ready.sort_unstable();
            assert_eq!(ready, ["read", "write"]);
            assert_eq!(reactor.remove_reader(reader.as_fd()), Some("read"));
            assert_eq!(wait_until_woken(&mut reactor), ["write"]);
        });
    }

    #[test]
    fn rings_are_heard_across_a_rebuild() {
        with_each_kind(|mut reactor| {
            let old_bell = reactor.bell();
            old_bell.ring();
            reactor.rebuild(&mut Vec::new()).unwrap();
            assert!(wait_until_woken(&mut reactor).is_empty());
            reactor.bell().ring();
            assert!(wait_until_woken(&mut reactor).is_empty());
            if reactor.backend.bells_survive_rebuild() {
                old_bell.ring();
                assert!(wait_until_woken(&mut reactor).is_empty());
            }
        });
    }
}
