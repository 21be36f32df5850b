//! A loop is shut down from everywhere, while it does everything.
#![cfg(target_os = "linux")]

use std::future::pending;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use perloop::{
    CrossThreadFuture, JoinError, LoopHandle, LoopThread, catch_cancelled, create_task, get_running_loop,
    run_coroutine_threadsafe, sleep,
};

/// What the loop's thread calls in the middle of what it does.
type Inside = Box<dyn FnOnce() + Send>;

/// Something that the loop does, with the moment in the middle of it.
type Doing = fn(on: &LoopHandle, inside: Inside);

const DOINGS: &[(&str, Doing)] = &[
    ("a poll", |on, inside| drop(run_coroutine_threadsafe(async { inside() }, on))),
    ("a callback", |on, inside| on.call_soon_threadsafe(inside).unwrap()),
    ("a timer", |on, inside| {
        let arm = || {
            let event_loop = get_running_loop().unwrap();
            event_loop.call_later(Duration::from_micros(10), inside).unwrap();
        };
        on.call_soon_threadsafe(arm).unwrap();
    }),
    ("an I/O event", |on, inside| {
        let watch = || {
            let event_loop = get_running_loop().unwrap();
            let (here, there) = UnixStream::pair().unwrap();
            let (watched, mut inside) = (here.try_clone().unwrap(), Some(inside));
            let callback = move || {
                get_running_loop().unwrap().remove_writer(&here);
                drop(there.try_clone());
                inside.take().unwrap()();
            };
            event_loop.add_writer(&watched, callback).unwrap();
            // It is open as long as the callback is there.
            std::mem::forget(watched);
        };
        on.call_soon_threadsafe(watch).unwrap();
    }),
    ("a spawn", |on, inside| {
        let make = || {
            inside();
            let tasks: Vec<_> = (0..100).map(|_| create_task(pending::<()>())).collect();
            async move { drop(tasks) }
        };
        drop(on.run_with(make));
    }),
    ("a destructor", |on, inside| {
        struct AtDrop(Option<Inside>);
        impl Drop for AtDrop {
            fn drop(&mut self) {
                self.0.take().unwrap()();
            }
        }
        let held = AtDrop(Some(inside));
        let body = async move {
            let _held = held;
            pending::<()>().await;
        };
        let future = run_coroutine_threadsafe(body, on);
        let _ = run_coroutine_threadsafe(async {}, on).result();
        assert!(future.cancel());
    }),
    ("a shutdown", |on, inside| {
        let body = async {
            drop(catch_cancelled(pending::<()>()).await);
            inside();
            sleep(Duration::from_micros(10)).await;
        };
        drop(run_coroutine_threadsafe(body, on));
        let _ = run_coroutine_threadsafe(async {}, on).result();
        on.stop();
    }),
];

/// Whoever shuts it down gets it when the loop is in the middle of it, and lets it go on.
type Shutter = fn(doing: Doing);

const SHUTTERS: &[(&str, Shutter)] = &[
    ("its own loop", by_its_own_loop),
    ("a plain thread", |doing| in_the_middle(doing, |worker| worker.join().unwrap())),
    ("another loop", |doing| {
        let other = LoopThread::spawn("other").unwrap();
        let join = |worker: LoopThread| {
            run_coroutine_threadsafe(async { worker.join() }, &other).result().unwrap().unwrap();
        };
        in_the_middle(doing, join);
    }),
    ("another loop, by a drop", |doing| {
        let other = LoopThread::spawn("other").unwrap();
        in_the_middle(doing, |worker| other.block_on(async { drop(worker) }).unwrap());
    }),
    ("two threads", |doing| {
        let stop_and_join = |worker: LoopThread| {
            let handle = worker.handle();
            let stopping = thread::spawn(move || (0..10).for_each(|_| handle.stop()));
            worker.join().unwrap();
            stopping.join().unwrap();
        };
        in_the_middle(doing, stop_and_join);
    }),
    ("a signal's task", |doing| in_the_middle(doing, join_by_a_signal)),
];

/// What the loop holds while all of this happens.
fn outstanding(on: &LoopHandle) -> Vec<CrossThreadFuture<()>> {
    let slow = || sleep(Duration::from_secs(3600));
    (0..20).map(|_| run_coroutine_threadsafe(slow(), on)).chain([on.run_with(pending)]).collect()
}

fn assert_ended(handle: &LoopHandle, futures: &[CrossThreadFuture<()>]) {
    assert!(handle.is_closed() && !handle.is_running());
    assert!(futures.iter().all(|future| future.try_result().is_some_and(|outcome| outcome.is_err())));
}

fn in_the_middle(doing: Doing, shut: impl FnOnce(LoopThread)) {
    let worker = LoopThread::spawn("worker").unwrap();
    let (handle, futures) = (worker.handle(), outstanding(&worker));
    let (is_inside, has_come) = channel();
    let (go_on, goes_on) = channel::<()>();
    let inside = move || {
        is_inside.send(()).unwrap();
        // Until whoever shuts it down is about to.
        let _ = goes_on.recv();
    };
    doing(&worker, Box::new(inside));
    has_come.recv().unwrap();
    drop(go_on);
    shut(worker);
    assert_ended(&handle, &futures);
}

fn by_its_own_loop(doing: Doing) {
    let worker = LoopThread::spawn("worker").unwrap();
    let (handle, futures) = (worker.handle(), outstanding(&worker));
    let (give, given): (Sender<LoopThread>, Receiver<LoopThread>) = channel();
    let (send, receive) = channel();
    let inside = move || {
        let event_loop = get_running_loop().unwrap();
        assert!(event_loop.close().is_err(), "it runs");
        event_loop.stop();
        send.send(given.recv().unwrap().join()).unwrap();
    };
    doing(&worker, Box::new(inside));
    give.send(worker).unwrap();
    assert!(matches!(receive.recv().unwrap(), Err(JoinError::WouldDeadlock(_))));
    while !futures.iter().all(CrossThreadFuture::done) || !handle.is_closed() {
        thread::yield_now();
    }
    assert_ended(&handle, &futures);
}

/// The reader of a pipe that a signal handler writes to.
fn join_by_a_signal(worker: LoopThread) {
    let signals = LoopThread::spawn("signals").unwrap();
    let (read, write) = UnixStream::pair().unwrap();
    let id = signal_hook::low_level::pipe::register(signal_hook::consts::SIGUSR1, write).unwrap();
    let (send, receive) = channel();
    let watch = || {
        let event_loop = get_running_loop().unwrap();
        let (watched, mut worker) = (read.try_clone().unwrap(), Some(worker));
        let callback = move || {
            get_running_loop().unwrap().remove_reader(&read);
            send.send(worker.take().unwrap().join()).unwrap();
        };
        event_loop.add_reader(&watched, callback).unwrap();
        std::mem::forget(watched);
    };
    signals.call_soon_threadsafe(watch).unwrap();
    signals.block_on(async {}).unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
    assert_eq!(receive.recv().unwrap(), Ok(()));
    signal_hook::low_level::unregister(id);
}

/// Whatever the loop does, and wherever it is shut down from, the shutdown returns, nothing of it is left, and each
/// future that was outstanding has ended.
#[test]
fn t_shutdown_matrix() {
    for (done, doing) in DOINGS {
        for (who, shutter) in SHUTTERS {
            let (send, ended) = channel();
            let shutting = thread::spawn(move || {
                shutter(*doing);
                send.send(()).unwrap();
            });
            let waited = ended.recv_timeout(Duration::from_secs(30));
            assert_ne!(waited, Err(RecvTimeoutError::Timeout), "by {who}, in {done}: it hangs");
            shutting.join().unwrap_or_else(|_| panic!("by {who}, in {done}"));
        }
    }
}
