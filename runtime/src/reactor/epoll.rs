//! The wait of Linux and Android: one system call on the poller's own descriptor, woken by an eventfd.
//!
//! `Poller::wait` makes about five calls (it sets a timerfd, registers that and its notifier anew, waits, and reads).
//! Here the eventfd is registered once, edge-triggered, so that each write is an event of its own and nothing has to
//! be read or registered again.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use perloop_bridge::Bell;
use polling::Poller;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::Occurrence;

/// The key of the bell. The poller keeps `usize::MAX` for itself; no source has either key.
const BELL_KEY: usize = usize::MAX - 1;

/// How many events one wait can bring; the kernel hands out the others at the next ones.
const BATCH: usize = 1024;

/// What the poller registers to be read: it keeps its flags to itself.
const READABLE: EventFlags = EventFlags::IN.union(EventFlags::PRI);

/// A descriptor that failed or hung up is ready for both sides: its reader and its writer shall see why.
const BROKEN: EventFlags = EventFlags::HUP.union(EventFlags::ERR);

/// Whether `epoll_pwait2` may be tried: where its number is known and its `timespec` is two 64-bit words. Android is
/// left out because its filter for applications kills a process for a call that it doesn't know.
const HAS_PWAIT2: bool = cfg!(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
        target_arch = "s390x",
    )
));

/// A poller that registers, while the wait is our own.
pub(super) struct Epoll {
    poller: Poller,
    eventfd: Arc<OwnedFd>,
    events: Box<[epoll::Event]>,
    /// Whether timeouts are waited for to the nanosecond. Becomes false when the kernel, or a filter before it,
    /// refuses the call that can; then they are rounded up to milliseconds.
    is_precise: bool,
}

/// Rings by a write to the eventfd, and keeps it alive.
struct EventfdBell(Arc<OwnedFd>);

impl Bell for EventfdBell {
    fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        let mut rung = rustix::io::write(&self.0, &one);
        while let Err(Errno::AGAIN | Errno::INTR) = rung {
            // The counter is full, since nobody reads it. Whoever empties it first, this write is an event again.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
            rung = rustix::io::write(&self.0, &one);
        }
        if let Err(error) = rung {
            super::cannot_ring(&error.into());
        }
    }
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        let eventfd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let nothing = epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Ok(Self {
            poller: poller_with_bell(eventfd.as_fd())?,
            eventfd,
            events: vec![nothing; BATCH].into_boxed_slice(),
            is_precise: HAS_PWAIT2,
        })
    }

    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    pub(super) fn bell(&self) -> Box<dyn Bell> {
        Box::new(EventfdBell(Arc::clone(&self.eventfd)))
    }

    /// Waits once and tells `found` of each event; an interruption is a wait that found nothing.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut found: impl FnMut(Occurrence),
    ) -> io::Result<()> {
        let count = match self.wait_for_events(timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        for event in &self.events[..count] {
            let key = event.data.u64() as usize;
            // The poller's own notifier (`usize::MAX`) isn't rung by anyone; it and the bell have done their work by
            // ending the wait.
            if key == BELL_KEY || key == usize::MAX {
                continue;
            }
            let flags = event.flags;
            found(Occurrence {
                key,
                is_readable: flags.intersects(READABLE | BROKEN),
                is_writable: flags.intersects(EventFlags::OUT | BROKEN),
            });
        }
        Ok(())
    }

    /// Replaces the poller by a new one without sources. If the bell was ever rung, the next wait returns at once:
    /// its counter, never read, is an event when it is registered. So no ring is lost on the way.
    pub(super) fn rebuild(&mut self) -> io::Result<()> {
        self.poller = poller_with_bell(self.eventfd.as_fd())?;
        Ok(())
    }

    fn wait_for_events(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if self.is_precise
            && let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero())
        {
            match epoll_pwait2(self.poller.as_fd(), &mut self.events, timeout) {
                Err(error) if is_refused_call(&error) => self.is_precise = false,
                result => return result,
            }
        }
        let timeout =
            timeout.map(|timeout| Timespec::try_from(timeout).expect("the reactor limits its waits"));
        // `rustix` rounds up to milliseconds: a wait that ended before its deadline would be followed by many of 0 ms.
        Ok(epoll::wait(&self.poller, &mut *self.events, timeout.as_ref())?)
    }
}

/// Makes a poller that the eventfd wakes.
fn poller_with_bell(eventfd: BorrowedFd<'_>) -> io::Result<Poller> {
    let poller = Poller::new()?;
    let data = EventData::new_u64(BELL_KEY as u64);
    epoll::add(&poller, eventfd, data, EventFlags::IN | EventFlags::ET)?;
    Ok(poller)
}

/// Says whether the call itself was refused: by a kernel before 5.11, or by a filter that doesn't know it. On its own
/// account, `epoll_pwait2` gives neither error.
fn is_refused_call(error: &io::Error) -> bool {
    [Errno::NOSYS, Errno::PERM].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Waits with a timeout in nanoseconds. It is called by number because `rustix` decides at compile time whether the
/// kernel has it, for everyone in the program, and because older C libraries lack it.
#[expect(unsafe_code, reason = "no crate in the tree offers this call with a way back")]
fn epoll_pwait2(epoll: BorrowedFd<'_>, events: &mut [epoll::Event], timeout: Duration) -> io::Result<usize> {
    const NUMBER: c_long = 441;
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    let capacity = c_int::try_from(events.len()).expect("a batch is small");
    let timespec = [timeout.as_secs(), u64::from(timeout.subsec_nanos())];
    let sigmask = std::ptr::null::<u8>();
    // SAFETY: `events` is valid for writes of `capacity` events, whose layout is the kernel's; `timespec` is laid out
    // as the kernel's (two 64-bit words, see `HAS_PWAIT2`) and outlives the call; without a mask its size is unread.
    let count = unsafe {
        syscall(
            NUMBER,
            c_long::from(epoll.as_raw_fd()),
            events.as_mut_ptr(),
            c_long::from(capacity),
            timespec.as_ptr(),
            sigmask,
            0_usize,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, read_to_string};
    use std::io::{Read, Write, pipe};
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::{FdFlags, dup2, fcntl_getfd};

    use super::super::tests::{NOW, TestReactor, pipe_with_data, wait, wait_until_woken, with_each_kind};
    use super::super::{Reactor, WaitKind};
    use super::*;

    /// How many system calls of waiting it takes until `timeout` has passed.
    fn waits_until(epoll: &mut Epoll, timeout: Duration) -> usize {
        let start = Instant::now();
        let mut waits = 0;
        while let Some(rest) = timeout.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) {
            epoll.wait(Some(rest), |_| panic!("nothing is registered")).unwrap();
            waits += 1;
        }
        waits
    }

    #[test]
    fn a_coarse_wait_is_rounded_up() {
        let mut epoll = Epoll::new().unwrap();
        epoll.is_precise = false;
        assert_eq!(waits_until(&mut epoll, Duration::from_micros(300)), 1);
        assert_eq!(waits_until(&mut epoll, Duration::from_micros(1_100)), 1);
    }

    #[test]
    fn refused_calls_are_told_from_failed_ones() {
        for (errno, is_refused) in
            [(Errno::NOSYS, true), (Errno::PERM, true), (Errno::BADF, false), (Errno::INTR, false)]
        {
            assert_eq!(is_refused_call(&io::Error::from(errno)), is_refused);
        }
    }

    #[test]
    fn a_full_counter_still_rings() {
        let mut epoll = Epoll::new().unwrap();
        let nearly_full = (u64::MAX - 1).to_ne_bytes();
        rustix::io::write(&epoll.eventfd, &nearly_full).unwrap();
        assert_eq!(epoll.wait_for_events(NOW).unwrap(), 1);
        assert_eq!(epoll.wait_for_events(NOW).unwrap(), 0);
        epoll.bell().ring();
        assert_eq!(epoll.wait_for_events(NOW).unwrap(), 1);
    }

    #[test]
    fn rings_in_a_row_are_an_event_each_without_a_read() {
        let mut epoll = Epoll::new().unwrap();
        for _ in 0..3 {
            epoll.bell().ring();
            assert_eq!(epoll.wait_for_events(NOW).unwrap(), 1);
            assert_eq!(epoll.wait_for_events(NOW).unwrap(), 0);
        }
    }

    #[test]
    fn descriptors_are_closed_on_exec() {
        let epoll = Epoll::new().unwrap();
        assert_eq!(fcntl_getfd(&epoll.eventfd).unwrap(), FdFlags::CLOEXEC);
        assert_eq!(fcntl_getfd(epoll.poller()).unwrap(), FdFlags::CLOEXEC);
    }
    /// Whether a poll around the reactor finds its descriptor readable.
    fn outer_poll_wakes(reactor: &TestReactor, timeout: Duration) -> bool {
        let fd = reactor.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).unwrap();
        poll(&mut fds, Some(&timeout)).unwrap() == 1
    }

    #[test]
    fn an_outer_poll_sees_one_wake_a_ring() {
        with_each_kind(|mut reactor| {
            let bell = reactor.bell();
            assert!(!outer_poll_wakes(&reactor, Duration::ZERO));
            for _ in 0..3 {
                let ringer = std::thread::scope(|scope| {
                    let ringer = scope.spawn(|| bell.ring());
                    assert!(outer_poll_wakes(&reactor, Duration::from_secs(60)));
                    ringer.join()
                });
                ringer.unwrap();
                assert!(wait(&mut reactor, NOW).is_empty());
                assert!(!outer_poll_wakes(&reactor, Duration::ZERO));
            }
        });
    }

    #[test]
    fn an_outer_poll_sees_a_source_while_it_is_ready() {
        with_each_kind(|mut reactor| {
            let (mut reader, _writer) = pipe_with_data();
            reactor.set_reader(reader.as_fd(), "read").unwrap();
            assert!(outer_poll_wakes(&reactor, Duration::from_secs(60)));
            assert_eq!(wait(&mut reactor, NOW), ["read"]);
            assert!(outer_poll_wakes(&reactor, Duration::ZERO));
            reader.read_exact(&mut [0]).unwrap();
            assert!(!outer_poll_wakes(&reactor, Duration::ZERO));
        });
    }

    #[test]
    fn a_refused_descriptor_leaves_nothing_behind() {
        with_each_kind(|mut reactor| {
            // epoll takes no regular files.
            let mut number = OwnedFd::from(File::open("/proc/self/exe").unwrap());
            for _ in 0..2 {
                assert!(reactor.set_reader(number.as_fd(), "refused").is_err());
                assert_eq!(reactor.remove_reader(number.as_fd()), None);
            }
            let (reader, _writer) = pipe_with_data();
            dup2(&reader, &mut number).unwrap();
            assert_eq!(reactor.set_reader(number.as_fd(), "accepted").unwrap(), None);
            assert_eq!(wait_until_woken(&mut reactor), ["accepted"]);
        });
    }

    #[test]
    fn a_refused_second_side_leaves_the_first_one() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            let mut number = reader.as_fd().try_clone_to_owned().unwrap();
            reactor.set_reader(number.as_fd(), "read").unwrap();
            dup2(File::open("/proc/self/exe").unwrap(), &mut number).unwrap();
            assert!(reactor.set_writer(number.as_fd(), "refused").is_err());
            assert_eq!(reactor.remove_writer(number.as_fd()), None);
            dup2(&reader, &mut number).unwrap();
            assert_eq!(reactor.set_reader(number.as_fd(), "again").unwrap(), Some("read"));
            assert_eq!(wait_until_woken(&mut reactor), ["again"]);
        });
    }

    #[test]
    fn a_number_given_to_another_file_is_registered_anew() {
        with_each_kind(|mut reactor| {
            let (closed, _closed_writer) = pipe_with_data();
            let mut number = OwnedFd::from(closed);
            reactor.set_reader(number.as_fd(), "closed").unwrap();
            let (reader, mut writer) = pipe().unwrap();
            dup2(&reader, &mut number).unwrap();
            assert_eq!(reactor.set_reader(number.as_fd(), "open").unwrap(), Some("closed"));
            assert!(wait(&mut reactor, NOW).is_empty());
            writer.write_all(b"x").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["open"]);
        });
    }

    #[test]
    fn a_number_removed_too_late_can_come_back() {
        with_each_kind(|mut reactor| {
            let (first, _first_writer) = pipe_with_data();
            let (second, _second_writer) = pipe_with_data();
            let mut number = first.as_fd().try_clone_to_owned().unwrap();
            reactor.set_reader(number.as_fd(), "first").unwrap();
            dup2(&second, &mut number).unwrap();
            assert_eq!(reactor.remove_reader(number.as_fd()), Some("first"));
            dup2(&first, &mut number).unwrap();
            // epoll still knows the number and the file together, under the key of the slot's former life.
            assert_eq!(reactor.set_reader(number.as_fd(), "again").unwrap(), None);
            assert_eq!(wait_until_woken(&mut reactor), ["again"]);
        });
    }

    #[test]
    fn a_closed_file_that_lives_on_is_never_taken_for_the_new_one() {
        with_each_kind(|mut reactor| {
            let (duplicate, _duplicate_writer) = pipe_with_data();
            let mut number = duplicate.as_fd().try_clone_to_owned().unwrap();
            reactor.set_reader(number.as_fd(), "closed").unwrap();
            let (reader, mut writer) = pipe().unwrap();
            dup2(&reader, &mut number).unwrap();
            reactor.set_reader(number.as_fd(), "open").unwrap();
            for _ in 0..3 {
                assert!(wait(&mut reactor, NOW).is_empty());
            }
            writer.write_all(b"x").unwrap();
            assert_eq!(wait_until_woken(&mut reactor), ["open"]);
        });
    }

    #[test]
    fn a_closed_file_that_lives_on_ends_no_more_than_one_wait() {
        let mut reactor = Reactor::new(WaitKind::Native).unwrap();
        let (duplicate, _writer) = pipe_with_data();
        let closed = duplicate.as_fd().try_clone_to_owned().unwrap();
        reactor.set_reader(closed.as_fd(), "closed").unwrap();
        reactor.sources.slots[0].reader = None;
        reactor.sources.release(0);
        assert!(outer_poll_wakes(&reactor, Duration::ZERO), "epoll still knows the file");
        assert!(wait(&mut reactor, NOW).is_empty());
        assert!(!outer_poll_wakes(&reactor, Duration::ZERO), "the registration is gone");
    }

    #[test]
    fn a_rebuild_hands_out_what_the_system_refuses() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            let mut number = OwnedFd::from(reader);
            reactor.set_reader(number.as_fd(), "read").unwrap();
            reactor.set_writer(number.as_fd(), "write").unwrap();
            dup2(File::open("/proc/self/exe").unwrap(), &mut number).unwrap();
            let mut refused = Vec::new();
            reactor.rebuild(&mut refused).unwrap();
            assert_eq!(refused, ["read", "write"]);
            assert_eq!(reactor.remove_reader(number.as_fd()), None);
        });
    }

    /// How many descriptors a poller knows, its own ones included.
    fn count_registered(poller: &OwnedFd) -> usize {
        let path = format!("/proc/self/fdinfo/{}", poller.as_raw_fd());
        read_to_string(path).unwrap().lines().filter(|line| line.starts_with("tfd:")).count()
    }

    #[test]
    fn an_abandoned_reactor_leaves_its_poller_as_it_was() {
        with_each_kind(|mut reactor| {
            let (reader, _writer) = pipe_with_data();
            reactor.set_reader(reader.as_fd(), "read").unwrap();
            let shared = reactor.as_fd().try_clone_to_owned().unwrap();
            let registered = count_registered(&shared);
            reactor.abandon_in_child();
            assert_eq!(count_registered(&shared), registered);
        });
    }
}
