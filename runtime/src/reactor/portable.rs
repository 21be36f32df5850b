//! The wait of every system: `Poller::wait`, woken by `Poller::notify`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use perloop_bridge::Bell;
use polling::{Events, Poller};

use super::Occurrence;

/// A poller that is waited on by its own means.
pub(super) struct Portable {
    poller: Arc<Poller>,
    events: Events,
}

/// Rings by the poller's notifier, and keeps it alive.
struct NotifyBell(Arc<Poller>);

impl Bell for NotifyBell {
    fn ring(&self) {
        if let Err(error) = self.0.notify() {
            super::cannot_ring(&error);
        }
    }
}

impl Portable {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { poller: Arc::new(Poller::new()?), events: Events::new() })
    }

    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    pub(super) fn bell(&self) -> Box<dyn Bell> {
        Box::new(NotifyBell(Arc::clone(&self.poller)))
    }

    /// Waits once and tells `found` of each event. The poller itself waits on when a signal interrupts it.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut found: impl FnMut(Occurrence),
    ) -> io::Result<()> {
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        for event in self.events.iter() {
            found(Occurrence { key: event.key, is_readable: event.readable, is_writable: event.writable });
        }
        Ok(())
    }

    /// Replaces the poller by a new one without sources. The bells of the old one no longer ring here.
    pub(super) fn rebuild(&mut self) -> io::Result<()> {
        let poller = Arc::new(Poller::new()?);
        // A ring that the old poller still held must not be lost, and nobody can ask it.
        poller.notify()?;
        self.poller = poller;
        Ok(())
    }
}
