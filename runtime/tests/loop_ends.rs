//! However a loop ends, each cross-thread future of it ends, with everybody who waits for it.
#![expect(clippy::disallowed_types, reason = "several threads count here")]

mod events;
#[path = "../../bridge/tests/support/ledger.rs"]
mod ledger;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use events::Listener;
use ledger::{End, Ledger, Owned};
use perloop::{
    CrossThreadFuture, Deliver, EventLoop, FutureError, JoinError, LoopHandle, LoopThread, Promise, Spin,
    create_task, get_running_loop, new_event_loop, run, run_coroutine_threadsafe, set_event_loop, yield_now,
};

/// The life of a thread with a loop: it sends the loop's handle, runs it until `go`, and ends it.
type Life = fn(go: CrossThreadFuture<()>, send: mpsc::Sender<LoopHandle>);

fn begin(send: &mpsc::Sender<LoopHandle>) -> EventLoop {
    let event_loop = EventLoop::builder().name("ends").build().unwrap();
    send.send(event_loop.handle()).unwrap();
    event_loop
}

async fn main_until(go: CrossThreadFuture<()>, send: mpsc::Sender<LoopHandle>) {
    create_task(pending::<()>());
    send.send(get_running_loop().unwrap().handle()).unwrap();
    go.await.unwrap();
}

const LIVES: &[(&str, Life)] = &[
    ("it is closed", |go, send| {
        let event_loop = begin(&send);
        event_loop.run_until_complete(go).unwrap().unwrap();
        event_loop.close().unwrap();
    }),
    ("its last clone is dropped", |go, send| {
        let event_loop = begin(&send);
        event_loop.run_until_complete(go).unwrap().unwrap();
        drop(event_loop);
    }),
    ("it never runs", |go, send| {
        let event_loop = begin(&send);
        go.result().unwrap();
        drop(event_loop);
    }),
    ("`run` returns", |go, send| run(main_until(go, send)).unwrap()),
    ("the main future of `run` panics", |go, send| {
        let main = async {
            main_until(go, send).await;
            resume_unwind(Box::new("main's"))
        };
        assert!(catch_unwind(AssertUnwindSafe(|| run(main))).is_err());
    }),
    ("it is set when its thread ends", |go, send| {
        let event_loop = begin(&send);
        set_event_loop(Some(&event_loop));
        event_loop.run_until_complete(go).unwrap().unwrap();
    }),
    ("it is leaked when its thread ends", |go, send| {
        let event_loop = begin(&send);
        event_loop.run_until_complete(go).unwrap().unwrap();
        std::mem::forget(event_loop);
    }),
    ("its thread panics beside it", |go, send| {
        let event_loop = begin(&send);
        event_loop.run_until_complete(go).unwrap().unwrap();
        resume_unwind(Box::new("the thread's"));
    }),
    ("its own code panics", |go, send| {
        let event_loop = begin(&send);
        event_loop.run_until_complete(go).unwrap().unwrap();
        Listener::install(|message| panic_at(message, "sleep"));
        let _ = event_loop.run_forever();
    }),
    ("its loop thread is joined", |go, send| {
        let worker = LoopThread::spawn("ends").unwrap();
        send.send(worker.handle()).unwrap();
        go.result().unwrap();
        worker.join().unwrap();
    }),
    ("its loop thread is dropped", |go, send| {
        let worker = LoopThread::spawn("ends").unwrap();
        send.send(worker.handle()).unwrap();
        go.result().unwrap();
        drop(worker);
    }),
];

fn panic_at(message: &str, wanted: &str) {
    if message == wanted {
        resume_unwind(Box::new("the subscriber's"));
    }
}

/// Somebody who waits for the end of one submission, and notes it.
type Wait = fn(future: CrossThreadFuture<Owned>, note: Note) -> Option<JoinHandle<()>>;

struct Note {
    ledger: Ledger,
    number: usize,
}

impl Note {
    fn end(self, outcome: &Result<Owned, FutureError>) {
        self.ledger.end(self.number, End::of(outcome));
    }
}

const WAITS: &[Wait] = &[
    // Blocks.
    |future, note| Some(thread::spawn(move || note.end(&future.result()))),
    // Blocks for a while, and again.
    |future, note| {
        Some(thread::spawn(move || {
            loop {
                match future.result_timeout(Duration::from_millis(1)) {
                    Err(FutureError::TimedOut) => {}
                    outcome => return note.end(&outcome),
                }
            }
        }))
    },
    // Awaits, on another loop.
    |future, note| Some(thread::spawn(move || note.end(&run(future).unwrap()))),
    // Has a callback called.
    |future, note| {
        future.add_done_callback(move |future| note.end(&future.try_result().expect("it is done")));
        None
    },
    // Receives.
    |future, note| {
        let (send, receive) = crossbeam_channel::bounded(1);
        future.deliver(&send, |outcome| outcome);
        Some(thread::spawn(move || note.end(&receive.recv().unwrap())))
    },
    // Cancels, and waits for the destructors.
    |future, note| {
        Some(thread::spawn(move || {
            let _ = future.cancel_and_wait().unwrap();
            note.end(&future.result());
        }))
    },
];

/// A body that has begun when it says so, and ends never.
fn submit(on: &LoopHandle, ledger: &Ledger, is_made_there: bool) -> CrossThreadFuture<Owned> {
    let mut owned = ledger.owned();
    let body = async move {
        owned.begin();
        pending::<()>().await;
        owned.leave()
    };
    if is_made_there { on.run_with(|| body) } else { run_coroutine_threadsafe(body, on) }
}

/// Somebody who lends to the loop, and blocks for that.
fn lend(on: LoopHandle, ledger: &Ledger, number: usize) -> JoinHandle<()> {
    let ledger = ledger.clone();
    thread::spawn(move || {
        let mut owned = ledger.owned();
        let body = async {
            owned.begin();
            pending::<()>().await;
        };
        let outcome = match number % 2 {
            0 => on.block_on(body),
            _ => on.scope(|scope| scope.submit(body).result()).unwrap(),
        };
        owned.leave();
        ledger.end(number, End::of(&outcome));
    })
}

/// Submissions until the loop refuses them, some of which it takes up and some not.
fn flood(on: &LoopHandle) {
    let mut futures = Vec::new();
    while !on.is_closed() {
        futures.push(run_coroutine_threadsafe(yield_now(), on));
        if futures.len() % 50 == 0 {
            thread::yield_now();
        }
        // A limit on what a loop that never runs has to keep.
        if futures.len() > 2_000 {
            break;
        }
    }
    for future in futures {
        match future.result() {
            Ok(()) | Err(FutureError::Cancelled | FutureError::LoopDied(_) | FutureError::LoopClosed(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn watch_the_end(name: &str, life: Life) {
    let (mut go, gone) = Promise::new();
    let (send, receive) = mpsc::channel();
    let owner = thread::spawn(move || life(gone, send));
    let handle = receive.recv().unwrap();
    let waits = 2 * WAITS.len();
    let ledger = Ledger::new(waits + 2);
    let mut waiting = Vec::new();
    for number in 0..waits {
        let future = submit(&handle, &ledger, number % 2 == 0);
        let note = Note { ledger: ledger.clone(), number };
        waiting.extend(WAITS[number / 2](future, note));
    }
    waiting.extend([waits, waits + 1].map(|number| lend(handle.clone(), &ledger, number)));
    let flooding = handle.clone();
    waiting.push(thread::spawn(move || flood(&flooding)));
    // It takes them up, if it takes anything.
    let _ = run_coroutine_threadsafe(async {}, &handle).result_timeout(Duration::from_millis(2));
    go.set_result(()).unwrap();
    drop(owner.join());
    assert!(handle.is_closed(), "{name}");
    waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    let [completed, .., panicked, _, _] = ledger.check();
    assert_eq!((completed, panicked), (0, 0), "{name}");
}

/// Nobody waits for ever, whoever waits and however the loop ends.
#[test]
fn t_every_xfuture_ends_when_loop_ends() {
    LIVES.iter().for_each(|(name, life)| watch_the_end(name, *life));
}

/// The whole process ends with futures outstanding, and does not wait for them.
#[test]
fn t_every_xfuture_ends_when_loop_ends_with_its_process() {
    const NAME: &str = "t_every_xfuture_ends_when_loop_ends_with_its_process";
    if std::env::var_os(NAME).is_none() {
        let own = std::env::current_exe().unwrap();
        let mut process = std::process::Command::new(own);
        let output = process.args([NAME, "--exact", "--nocapture"]).env(NAME, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let worker = LoopThread::spawn("worker").unwrap();
    let (here, handle) = (new_event_loop().unwrap(), worker.handle());
    set_event_loop(Some(&here));
    let blocked = [worker.handle(), here.handle()].map(|handle| {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let future = run_coroutine_threadsafe(pending::<()>(), &handle);
            send.send(()).unwrap();
            future.result()
        });
        receive.recv().unwrap();
    });
    assert_eq!(blocked.len(), 2);
    handle.block_on(async {}).unwrap();
    std::process::exit(42);
}

/// The loop's own code panics, at each event that it tells a subscriber of, who is the one stranger that is called from
/// there: the loop dies, all of its futures say so, and `join` gives the panic.
#[test]
fn t_loop_thread_dies() {
    for phase in ["adopted a submission", "sleep", "stop"] {
        let builder = EventLoop::builder().name("bad").spin(Spin::Never);
        let worker = LoopThread::spawn_with("bad", builder).unwrap();
        let handle = worker.handle();
        let begun: Vec<_> = (0..50).map(|_| run_coroutine_threadsafe(pending::<()>(), &worker)).collect();
        worker.block_on(async {}).unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        for future in &begun {
            let told = Arc::clone(&told);
            future.add_done_callback(move |_| _ = told.fetch_add(1, SeqCst));
        }
        let install = move || Listener::install(move |message| panic_at(message, phase));
        worker.call_soon_threadsafe(install).unwrap();
        let last = run_coroutine_threadsafe(pending::<()>(), &handle);
        if phase == "stop" {
            worker.stop();
        }
        for future in &begun {
            let outcome = future.result();
            assert!(
                matches!(&outcome, Err(FutureError::LoopDied(died)) if died.loop_name() == "bad"),
                "{outcome:?}"
            );
        }
        assert!(last.result().is_err() && handle.is_closed(), "{phase}");
        let refused = run_coroutine_threadsafe(async {}, &handle).result();
        assert!(matches!(refused, Err(FutureError::LoopClosed(_))), "{refused:?}");
        let Err(JoinError::Panicked(panicked)) = worker.join() else { panic!("{phase}: it did") };
        assert_eq!(panicked.message(), "the subscriber's", "{phase}");
        assert_eq!(told.load(SeqCst), 50, "{phase}");
    }
}
