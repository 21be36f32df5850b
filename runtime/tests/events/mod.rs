//! What the loop tells `tracing`, for tests that must know when it sleeps.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Calls its function with the message of each event of perloop's own, and at its spans.
pub(crate) struct Listener<F>(F);

impl<F: Fn(&str) + Send + Sync + 'static> Listener<F> {
    /// Listens in this thread until the thread ends.
    pub(crate) fn install(listen: F) {
        std::mem::forget(tracing::subscriber::set_default(Self(listen)));
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<F: Fn(&str) + Send + Sync + 'static> Subscriber for Listener<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "perloop"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        (self.0)("new span");
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        (self.0)(&message.0);
    }
    fn enter(&self, _: &Id) {
        (self.0)("enter");
    }
    fn exit(&self, _: &Id) {
        (self.0)("exit");
    }
}
