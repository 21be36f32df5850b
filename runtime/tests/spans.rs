//! The span of a task, in the field names that tokio-console reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Sender, channel};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Sends the fields of each task's span.
struct Listener(Sender<Fields>);

struct Collect(Fields);

impl Visit for Collect {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tokio::task" && metadata.name() == "runtime.spawn"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Collect(Fields::new());
        span.record(&mut fields);
        self.0.send(fields.0).expect("the test listens");
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_task_s_span_tells_its_kind_name_and_place_of_creation() {
    let (sender, spans) = channel();
    tracing::subscriber::set_global_default(Listener(sender)).unwrap();
    let event_loop = perloop::new_event_loop().unwrap();
    let task = event_loop.create_named_task("reader", async {}).unwrap();
    let fields = spans.try_recv().unwrap();
    let created_at = task.created_at();
    assert_eq!(fields["kind"], "\"task\"");
    assert_eq!(fields["task.name"], "\"reader\"");
    assert_eq!(fields["loc.file"], format!("{:?}", created_at.file()));
    assert_eq!(fields["loc.line"], created_at.line().to_string());
    assert_eq!(fields["loc.col"], created_at.column().to_string());
}
