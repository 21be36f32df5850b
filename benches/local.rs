//! On one thread: making tasks and waiting for them, and giving up the turn. What every program on a loop does all the
//! time. The peer is tokio's `LocalSet`.

use std::time::Duration;

use benches::{compare, contestant, per_operation};

const BATCHES: u32 = 200;
const BATCH: u32 = 1_000;

fn main() {
    compare(
        "spawn and join, batches of 1,000",
        vec![contestant("perloop", perloop_spawn), contestant("tokio LocalSet", tokio_spawn)],
    );
    compare(
        "yield, 1,000 tasks",
        vec![contestant("perloop", perloop_yield), contestant("tokio LocalSet", tokio_yield)],
    );
}

fn perloop_spawn() -> Duration {
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

fn perloop_yield() -> Duration {
    let event_loop = perloop::new_event_loop().expect("a loop");
    let yields = || async {
        for _ in 0..BATCHES {
            perloop::yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..BATCH).map(|_| event_loop.create_task(yields()).expect("it is open")).collect();
    per_operation(BATCHES * BATCH, || {
        let main = async {
            for task in tasks {
                task.await.expect("it gives a value");
            }
        };
        event_loop.run_until_complete(main).expect("it runs");
    })
}

fn tokio_spawn() -> Duration {
    let (runtime, local) = tokio_local();
    per_operation(BATCHES * BATCH, || {
        local.block_on(&runtime, async {
            for _ in 0..BATCHES {
                let tasks: Vec<_> = (0..BATCH).map(|n| tokio::task::spawn_local(async move { n })).collect();
                for task in tasks {
                    task.await.expect("it gives a value");
                }
            }
        });
    })
}

fn tokio_yield() -> Duration {
    let (runtime, local) = tokio_local();
    let yields = || async {
        for _ in 0..BATCHES {
            tokio::task::yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..BATCH).map(|_| local.spawn_local(yields())).collect();
    per_operation(BATCHES * BATCH, || {
        local.block_on(&runtime, async {
            for task in tasks {
                task.await.expect("it gives a value");
            }
        });
    })
}

fn tokio_local() -> (tokio::runtime::Runtime, tokio::task::LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    (runtime, tokio::task::LocalSet::new())
}
