//! Nothing that is always ready starves what becomes ready. Progress is counted, not timed.
#![expect(clippy::disallowed_types, reason = "several threads count here")]

mod each_wait;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use each_wait::with_each_wait;
use perloop::{
    EventLoop, LoopThread, Task, create_task, get_running_loop, run_coroutine_threadsafe, sleep, yield_now,
};

/// Two tasks that wake each other for ever, and count it.
fn ping_pong(turns: &Rc<Cell<u64>>) -> [Task<()>; 2] {
    let wakers = Rc::new([const { Cell::new(None) }; 2]);
    [0, 1].map(|own| {
        let (wakers, turns) = (Rc::clone(&wakers), Rc::clone(turns));
        create_task(poll_fn(move |cx| {
            turns.set(turns.get() + 1);
            wakers[own].set(Some(cx.waker().clone()));
            match wakers[1 - own].take() {
                Some(other) => std::task::Waker::wake(other),
                None => cx.waker().wake_by_ref(),
            }
            Poll::Pending
        }))
    })
}

/// Two tasks are ready for ever; each byte that comes is read, each timer comes, and each submission is taken up.
#[test]
fn t_ready_tasks_vs_io() {
    with_each_wait(|builder| {
        let served = builder.run(async {
            let turns = Rc::new(Cell::new(0));
            let busy = ping_pong(&turns);
            let event_loop = get_running_loop().unwrap();
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let (read, watched) = (Rc::new(Cell::new(0)), here.try_clone().unwrap());
            let count = Rc::clone(&read);
            let callback = move || count.set(count.get() + here.read(&mut [0; 1]).unwrap());
            event_loop.add_reader(&watched, callback).unwrap();
            let handle = event_loop.handle();
            let abroad = thread::spawn(move || {
                (0..50)
                    .map(|n| run_coroutine_threadsafe(async move { n }, &handle).result().unwrap())
                    .sum::<i32>()
            });
            for round in 1..=50 {
                there.write_all(b"x").unwrap();
                while read.get() < round {
                    yield_now().await;
                }
                sleep(Duration::from_micros(10)).await;
            }
            while !abroad.is_finished() {
                yield_now().await;
            }
            assert!(turns.get() > 100 && busy.iter().all(|task| !task.done()));
            event_loop.remove_reader(&watched);
            abroad.join().unwrap()
        });
        assert_eq!(served.unwrap(), 50 * 49 / 2);
    });
}

#[test]
fn io_is_looked_at_within_a_bounded_number_of_turns() {
    with_each_wait(|builder| {
        let worst = builder.run(async {
            let event_loop = get_running_loop().unwrap();
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let (read, watched) = (Rc::new(Cell::new(0)), here.try_clone().unwrap());
            let count = Rc::clone(&read);
            let callback = move || count.set(count.get() + here.read(&mut [0; 1]).unwrap());
            event_loop.add_reader(&watched, callback).unwrap();
            let mut worst = 0;
            for round in 1..=200 {
                there.write_all(b"x").unwrap();
                let mut turns = 0;
                while read.get() < round {
                    yield_now().await;
                    turns += 1;
                }
                worst = worst.max(turns);
            }
            event_loop.remove_reader(&watched);
            worst
        });
        let worst = worst.unwrap();
        assert!(worst <= 40, "{worst} turns until a reader that was ready ran");
    });
}

#[test]
fn a_descriptor_that_is_always_ready_starves_nobody() {
    with_each_wait(|builder| {
        builder
            .run(async {
                let event_loop = get_running_loop().unwrap();
                let (_here, there) = UnixStream::pair().unwrap();
                let writes = Rc::new(Cell::new(0_u64));
                let count = Rc::clone(&writes);
                event_loop.add_writer(&there, move || count.set(count.get() + 1)).unwrap();
                let handle = event_loop.handle();
                for _ in 0..50 {
                    sleep(Duration::from_micros(10)).await;
                    run_coroutine_threadsafe(yield_now(), &handle).await.unwrap();
                }
                assert!(writes.get() > 0);
                event_loop.remove_writer(&there);
            })
            .unwrap();
    });
}

/// Four threads submit without pause. The loop's own ticker and tasks go on, and when the flood is over all of it has
/// run.
#[test]
fn s_inbox_flood() {
    let worker = LoopThread::spawn("flooded").unwrap();
    let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ran = Arc::new(AtomicUsize::new(0));
    let (ticks, submitted) = thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut submitted = 0;
                    while !is_over.load(Relaxed) {
                        let counted = Arc::clone(&ran);
                        worker.call_soon_threadsafe(move || _ = counted.fetch_add(1, Relaxed)).unwrap();
                        submitted += 1;
                        // A limit on what waits, since it is not memory that is tried here.
                        let sent = sent.fetch_add(1, Relaxed);
                        while sent > ran.load(Relaxed) + 40_000 && !is_over.load(Relaxed) {
                            thread::yield_now();
                        }
                    }
                    submitted
                })
            })
            .collect();
        let ticks = worker.block_on(async {
            let mut ticks = 0;
            for _ in 0..50 {
                sleep(Duration::from_millis(1)).await;
                yield_now().await;
                ticks += 1;
            }
            ticks
        });
        is_over.store(true, Relaxed);
        (ticks, floods.into_iter().map(|flood| flood.join().unwrap()).sum::<usize>())
    });
    assert_eq!(ticks, Ok(50));
    worker.block_on(async {}).unwrap();
    assert_eq!(ran.load(Relaxed), submitted);
}

#[test]
fn tasks_that_make_tasks_let_the_turn_end() {
    let event_loop = EventLoop::builder().build().unwrap();
    let made = Rc::new(Cell::new(0));
    fn make(event_loop: EventLoop, made: Rc<Cell<u32>>) {
        made.set(made.get() + 1);
        let again = event_loop.clone();
        event_loop.call_soon(move || make(again, made)).unwrap();
    }
    make(event_loop.clone(), Rc::clone(&made));
    for _ in 0..10 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(made.get(), 11);
    event_loop.close().unwrap();
}

/// A loop that looks for submissions all the time hears of I/O all the same.
#[test]
fn io_is_heard_while_a_loop_looks_for_long() {
    let builder = EventLoop::builder().spin(perloop::Spin::For(Duration::from_secs(24 * 3600)));
    let event_loop = builder.build().unwrap();
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let stop = event_loop.clone();
    event_loop.add_reader(&reader, move || stop.stop()).unwrap();
    let writes = thread::spawn(move || writer.write_all(b"x").unwrap());
    event_loop.run_forever().unwrap();
    writes.join().unwrap();
}
