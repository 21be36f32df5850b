//! The span that is current where something is handed to a loop is current where it runs.

use std::cell::RefCell;
use std::fmt;
use std::sync::mpsc::{Sender, channel};

use perloop::{LoopThread, run_coroutine_threadsafe, yield_now};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, info, info_span};
use tracing_core::span::Current;

/// Sends each event of this test, with the number of the span that it happens in. It hears no more than what is of
/// interest to people, as most programs' subscribers.
struct Listener(Sender<(String, Option<u64>)>);

thread_local! {
    static ENTERED: RefCell<Vec<(Id, &'static Metadata<'static>)>> = RefCell::default();
}

static SPAN: std::sync::OnceLock<&'static Metadata<'static>> = std::sync::OnceLock::new();

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::INFO)
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        SPAN.get_or_init(|| span.metadata());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let inside = ENTERED.with_borrow(|entered| entered.last().map(|(id, _)| id.into_u64()));
        self.0.send((message.0, inside)).expect("the test listens");
    }
    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push((span.clone(), SPAN.get().expect("the one span"))));
    }
    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
    fn current_span(&self) -> Current {
        let innermost = ENTERED.with_borrow(|entered| entered.last().cloned());
        innermost.map_or_else(Current::none, |(id, metadata)| Current::new(id, metadata))
    }
}

#[test]
fn a_submission_and_a_callback_run_in_the_span_of_who_handed_them_in() {
    let (sender, events) = channel();
    tracing::subscriber::set_global_default(Listener(sender)).unwrap();
    let worker = LoopThread::spawn("worker").unwrap();
    let submitted = async {
        info!("first step");
        yield_now().await;
        info!("second step");
    };
    info_span!("request").in_scope(|| {
        run_coroutine_threadsafe(submitted, &worker).result().unwrap();
        worker.call_soon_threadsafe(|| info!("callback")).unwrap();
    });
    run_coroutine_threadsafe(async { info!("bare") }, &worker).result().unwrap();
    worker.join().unwrap();
    let heard: Vec<_> = events.try_iter().collect();
    let expected = [("first step", Some(1)), ("second step", Some(1)), ("callback", Some(1)), ("bare", None)];
    assert_eq!(heard, expected.map(|(what, inside)| (what.to_owned(), inside)));
}
