//! Events: what is set, and waited for until it is.

use std::cell::Cell;

use ::tokio::sync::Notify;

use super::{Meeting, meeting, ours, perloop, smol, tokio};
use crate::harness::workload::Contestant;

pub(crate) trait Event: 'static {
    fn make() -> Self;

    /// Wakes who waits.
    fn set(&self);

    fn clear(&self);

    async fn wait(&self);
}

/// Those who have it; of the peers it takes a flag beside what wakes.
pub(crate) fn events<M>() -> Vec<Contestant>
where
    M: Meeting<::perloop::Event> + Meeting<TokioEvent> + Meeting<SmolEvent> + Meeting<CompioEvent>,
{
    vec![
        ours::<::perloop::Event, M>(),
        meeting::<TokioEvent, M, perloop::Local>("tokio Notify, on perloop's loop"),
        meeting::<TokioEvent, M, tokio::LocalSet>("tokio Notify, on tokio LocalSet"),
        meeting::<SmolEvent, M, perloop::Local>("event-listener, on perloop's loop"),
        meeting::<SmolEvent, M, smol::Local>("event-listener, on smol LocalExecutor"),
        meeting::<CompioEvent, M, perloop::Local>("local-event, on perloop's loop"),
    ]
}

impl Event for ::perloop::Event {
    fn make() -> Self {
        Self::new()
    }

    fn set(&self) {
        Self::set(self);
    }

    fn clear(&self) {
        Self::clear(self);
    }

    async fn wait(&self) {
        Self::wait(self).await;
    }
}

/// A flag and tokio's `Notify`.
pub(crate) struct TokioEvent {
    is_set: Cell<bool>,
    wakes: Notify,
}

impl Event for TokioEvent {
    fn make() -> Self {
        Self { is_set: Cell::new(false), wakes: Notify::new() }
    }

    fn set(&self) {
        self.is_set.set(true);
        self.wakes.notify_waiters();
    }

    fn clear(&self) {
        self.is_set.set(false);
    }

    async fn wait(&self) {
        if !self.is_set.get() {
            self.wakes.notified().await;
        }
    }
}

/// A flag and smol's events.
pub(crate) struct SmolEvent {
    is_set: Cell<bool>,
    wakes: event_listener::Event,
}

impl Event for SmolEvent {
    fn make() -> Self {
        Self { is_set: Cell::new(false), wakes: event_listener::Event::new() }
    }

    fn set(&self) {
        self.is_set.set(true);
        self.wakes.notify(usize::MAX);
    }

    fn clear(&self) {
        self.is_set.set(false);
    }

    async fn wait(&self) {
        if !self.is_set.get() {
            self.wakes.listen().await;
        }
    }
}

/// A flag and compio's events.
pub(crate) struct CompioEvent {
    is_set: Cell<bool>,
    wakes: local_event::Event,
}

impl Event for CompioEvent {
    fn make() -> Self {
        Self { is_set: Cell::new(false), wakes: local_event::Event::new() }
    }

    fn set(&self) {
        self.is_set.set(true);
        self.wakes.notify_all();
    }

    fn clear(&self) {
        self.is_set.set(false);
    }

    async fn wait(&self) {
        if !self.is_set.get() {
            self.wakes.listen().await;
        }
    }
}
