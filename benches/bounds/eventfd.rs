//! A thread that sleeps in `epoll_wait` until an eventfd rings, as a loop does; it answers by `unpark`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};

use super::Exchange;

pub(crate) struct EventFd;

impl Exchange for EventFd {
    const NAME: &'static str = "eventfd and epoll";

    fn start() -> Result<impl FnMut(), String> {
        let (bell, poll) = bell().map_err(|error| error.to_string())?;
        let is_answered = Arc::new(AtomicBool::new(false));
        let (its, asker) = (Arc::clone(&is_answered), thread::current());
        thread::spawn(move || {
            let mut events = Vec::with_capacity(1);
            loop {
                events.clear();
                if epoll::wait(&poll, spare_capacity(&mut events), None).is_ok() {
                    its.store(true, Ordering::Release);
                    asker.unpark();
                }
            }
        });
        Ok(move || {
            rustix::io::write(&bell, &1_u64.to_ne_bytes()).expect("the count has room");
            while !is_answered.swap(false, Ordering::Acquire) {
                thread::park();
            }
        })
    }
}

/// An eventfd, and an epoll that each write to it ends, without a read between.
fn bell() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let bell = eventfd(0, EventfdFlags::CLOEXEC)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&poll, &bell, epoll::EventData::new_u64(0), edges)?;
    Ok((bell, poll))
}
