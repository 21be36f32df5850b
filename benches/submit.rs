//! From a plain thread to a loop and back: what `run_coroutine_threadsafe` exists for. The peer is tokio's
//! `current_thread` runtime on a thread of its own, with `Handle::spawn`.

use std::time::{Duration, Instant};

use benches::{compare, contestant, median, per_operation};
use perloop::{EventLoop, LoopThread, Spin, run_coroutine_threadsafe};
use tokio::sync::oneshot;

const ROUND_TRIPS: u32 = 10_000;
const SUBMISSIONS: u32 = 200_000;

/// On which cores the two sides run.
#[derive(Clone, Copy, Debug)]
enum Pinning {
    /// Where the system puts them.
    None,
    /// Both on the first core.
    Same,
    /// On the first two.
    Cross,
}

fn main() {
    for pinning in [Pinning::None, Pinning::Same, Pinning::Cross] {
        std::thread::spawn(move || compare_with(pinning)).join().expect("a bench does not panic");
    }
}

fn compare_with(pinning: Pinning) {
    pin(pinning, false);
    let adaptive = LoopThread::spawn("adaptive").expect("a thread");
    let never = EventLoop::builder().name("never").spin(Spin::Never);
    let never = LoopThread::spawn_with("never", never).expect("a thread");
    for worker in [&adaptive, &never] {
        run_coroutine_threadsafe(async move { pin(pinning, true) }, worker).result().expect("it is pinned");
    }
    let tokio = tokio_thread(pinning);
    compare(
        &format!("round trip to an idle loop, p50, pinning {pinning:?}"),
        vec![
            contestant("perloop", || {
                round_trips(|| _ = run_coroutine_threadsafe(async {}, &adaptive).result())
            }),
            contestant("perloop, Spin::Never", || {
                round_trips(|| _ = run_coroutine_threadsafe(async {}, &never).result())
            }),
            contestant("tokio", || round_trips(|| tokio_round_trip(&tokio))),
        ],
    );
    compare(
        &format!("fire and forget, 1 producer, pinning {pinning:?}"),
        vec![
            contestant("perloop", || {
                per_operation(SUBMISSIONS, || {
                    (1..SUBMISSIONS).for_each(|_| drop(run_coroutine_threadsafe(async {}, &adaptive)));
                    _ = run_coroutine_threadsafe(async {}, &adaptive).result();
                })
            }),
            contestant("tokio", || {
                per_operation(SUBMISSIONS, || {
                    (1..SUBMISSIONS).for_each(|_| drop(tokio.spawn(async {})));
                    tokio_round_trip(&tokio);
                })
            }),
        ],
    );
}

/// Puts this thread where it belongs.
fn pin(pinning: Pinning, is_loop: bool) {
    let core = match pinning {
        Pinning::None => return,
        Pinning::Same => 0,
        Pinning::Cross => usize::from(is_loop),
    };
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
        println!("(not pinned to core {core}: {error})");
    }
}

fn round_trips(mut once: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        once();
        start.elapsed()
    };
    median((0..ROUND_TRIPS).map(timed).collect())
}

fn tokio_round_trip(tokio: &tokio::runtime::Handle) {
    let (sender, receiver) = oneshot::channel();
    tokio.spawn(async { sender.send(()) });
    _ = receiver.blocking_recv();
}

fn tokio_thread(pinning: Pinning) -> tokio::runtime::Handle {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        pin(pinning, true);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        sender.send(runtime.handle().clone()).expect("somebody waits for it");
        runtime.block_on(std::future::pending::<()>());
    });
    receiver.recv().expect("a runtime")
}
