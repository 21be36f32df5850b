//! What the spans cost: one that nobody listens to should cost next to nothing.

use std::time::Duration;

use benches::{compare, contestant, per_operation};
use tracing_subscriber::layer::SubscriberExt;

const BATCHES: u32 = 200;
const BATCH: u32 = 1_000;

fn main() {
    // The first contestant runs before any subscriber was ever there; a scoped one changes that for good.
    compare("spawn and join, before any subscriber", vec![contestant("nobody listens", spawn)]);
    let listening = tracing::Dispatch::new(tracing_subscriber::registry().with(Listener));
    // With a second one, tracing asks both, and not only the one of this thread, whether they want a span.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry().with(Listener));
    compare(
        "spawn and join, after a subscriber was installed once",
        vec![
            contestant("somebody listens", || tracing::dispatcher::with_default(&listening, spawn)),
            contestant("nobody listens", spawn),
        ],
    );
}

fn spawn() -> Duration {
    let event_loop = perloop::new_event_loop().expect("a loop");
    per_operation(BATCHES * BATCH, || {
        let main = async {
            for _ in 0..BATCHES {
                let tasks: Vec<_> = (0..BATCH).map(|n| perloop::create_task(async move { n })).collect();
                for task in tasks {
                    task.await.expect("it gives a value");
                }
            }
        };
        event_loop.run_until_complete(main).expect("it runs");
    })
}

/// Wants everything and keeps nothing.
struct Listener;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Listener {}
