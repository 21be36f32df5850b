//! Guest mode: another poller's loop turns ours. And what every way of waiting must give.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_types, reason = "two threads count here")]

mod each_wait;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use each_wait::with_each_wait;
use perloop::{
    CrossThreadFuture, EventLoop, LoopThread, Spin, create_task, run_coroutine_threadsafe, sleep, yield_now,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a host does: polls the loop's descriptor until its next deadline. True if the descriptor woke it.
fn poll_once(event_loop: &EventLoop) -> bool {
    let wait = event_loop.next_deadline().map(|deadline| deadline.saturating_sub(event_loop.time()));
    let timeout = wait.map(|wait| Timespec::try_from(wait).unwrap());
    let mut fds = [PollFd::new(event_loop, PollFlags::IN)];
    poll(&mut fds, timeout.as_ref()).unwrap() > 0
}

fn turn(event_loop: &EventLoop) {
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_host_is_woken_at_most_once_for_each_submission() {
    const SUBMISSIONS: usize = 300;
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        let (handle, ran) = (event_loop.handle(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&ran);
        let submitter = thread::spawn(move || {
            for n in 0..SUBMISSIONS {
                let counted = Arc::clone(&counted);
                drop(run_coroutine_threadsafe(async move { counted.fetch_add(1, SeqCst) }, &handle));
                if n % 3 == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut wakes = 0;
        while ran.load(SeqCst) < SUBMISSIONS {
            wakes += usize::from(poll_once(&event_loop));
            turn(&event_loop);
        }
        submitter.join().unwrap();
        assert!(wakes <= SUBMISSIONS + 1, "{wakes} wakes");
        // All is quiet now.
        turn(&event_loop);
        turn(&event_loop);
        assert_eq!(event_loop.next_deadline(), None);
        let mut fds = [PollFd::new(&event_loop, PollFlags::IN)];
        let now = Timespec::try_from(Duration::ZERO).unwrap();
        assert_eq!(poll(&mut fds, Some(&now)).unwrap(), 0, "a wake that nobody sent");
    });
}

#[test]
fn a_host_that_is_asked_again_and_again_never_hangs() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        let handle = event_loop.handle();
        let asker = thread::spawn(move || {
            (0..300)
                .map(|n| run_coroutine_threadsafe(async move { n }, &handle).result().unwrap())
                .sum::<usize>()
        });
        while !asker.is_finished() {
            // The last turn's outcome is published by it; after that nobody rings, so this poll is for a while only.
            let mut fds = [PollFd::new(&event_loop, PollFlags::IN)];
            let wait =
                if event_loop.next_deadline().is_some() { Duration::ZERO } else { Duration::from_millis(20) };
            poll(&mut fds, Some(&Timespec::try_from(wait).unwrap())).unwrap();
            turn(&event_loop);
        }
        assert_eq!(asker.join().unwrap(), 300 * 299 / 2);
    });
}

#[test]
fn a_host_turns_timers_at_their_deadlines() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        let task = event_loop.create_task(async {
            for _ in 0..5 {
                sleep(Duration::from_micros(1500)).await;
            }
        });
        let task = task.unwrap();
        let mut turns = 0;
        while !task.done() {
            poll_once(&event_loop);
            turn(&event_loop);
            turns += 1;
        }
        assert!(event_loop.time() >= Duration::from_micros(7500));
        // For each sleep its end and its begin, and by millisecond rounding of the host's own no more than a few.
        assert!(turns <= 5 * 4 + 2, "{turns} turns");
        assert_eq!(event_loop.next_deadline(), None);
    });
}

#[test]
fn a_host_sees_what_is_queued_from_its_own_thread_in_the_deadline() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        assert_eq!(event_loop.next_deadline(), None);
        event_loop.call_soon(|| ()).unwrap();
        assert_eq!(event_loop.next_deadline(), Some(Duration::ZERO));
        turn(&event_loop);
        event_loop.handle().call_soon_threadsafe(|| ()).unwrap();
        assert_eq!(event_loop.next_deadline(), Some(Duration::ZERO));
        turn(&event_loop);
        let timer = event_loop.call_at(Duration::from_secs(1000), || ()).unwrap();
        assert_eq!(event_loop.next_deadline(), Some(Duration::from_secs(1000)));
        timer.cancel();
        assert_eq!(event_loop.next_deadline(), None);
    });
}

#[test]
fn a_host_is_woken_by_a_reader() {
    with_each_wait(|builder| {
        let event_loop = builder.build().unwrap();
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let read = Rc::new(Cell::new(0));
        let (count, watched) = (Rc::clone(&read), here.try_clone().unwrap());
        let callback = move || count.set(count.get() + here.read(&mut [0; 16]).unwrap());
        event_loop.add_reader(&watched, callback).unwrap();
        for n in 1..=3 {
            there.write_all(b"x").unwrap();
            assert!(poll_once(&event_loop));
            turn(&event_loop);
            assert_eq!(read.get(), n);
        }
        assert!(event_loop.remove_reader(&watched) && !event_loop.remove_reader(watched.as_fd()));
        there.write_all(b"x").unwrap();
        turn(&event_loop);
        assert_eq!(read.get(), 3);
    });
}

/// Many wake-ups of a thread that sleeps, with every way of looking before it does.
#[test]
fn no_wake_is_lost() {
    with_each_wait(|builder| {
        for spin in [Spin::Never, Spin::Adaptive, Spin::For(Duration::from_micros(1))] {
            let worker = LoopThread::spawn_with("worker", builder.clone().spin(spin)).unwrap();
            for n in 0..500 {
                assert_eq!(run_coroutine_threadsafe(async move { n }, &worker).result(), Ok(n));
            }
            let slow: Vec<CrossThreadFuture<usize>> = (0..50)
                .map(|n| {
                    let body = async move {
                        sleep(Duration::from_micros(n as u64 * 40)).await;
                        n
                    };
                    run_coroutine_threadsafe(body, &worker)
                })
                .collect();
            for (n, future) in slow.into_iter().enumerate() {
                assert_eq!(future.result(), Ok(n));
            }
            worker.join().unwrap();
        }
    });
}

#[test]
fn readers_writers_timers_tasks_and_submissions_share_a_loop() {
    with_each_wait(|builder| {
        let (mut here, there) = UnixStream::pair().unwrap();
        let trace = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&trace);
        let echoed = builder.run(async move {
            let event_loop = perloop::get_running_loop().unwrap();
            let (there, inner, note) = (Rc::new(there), event_loop.clone(), Rc::clone(&noted));
            let write = {
                let there = Rc::clone(&there);
                move || {
                    (&*there).write_all(b"hello").unwrap();
                    note.borrow_mut().push("written");
                    assert!(inner.remove_writer(&*there));
                }
            };
            event_loop.add_writer(&*there, write).unwrap();
            let timer = create_task(sleep(Duration::from_millis(2)));
            let handle = event_loop.handle();
            let abroad = thread::spawn(move || handle.block_on(async { yield_now().await }));
            timer.await.unwrap();
            // It needs this loop, so its thread must not be waited for here.
            while !abroad.is_finished() {
                yield_now().await;
            }
            abroad.join().unwrap().unwrap();
            let mut buffer = [0; 5];
            here.read_exact(&mut buffer).unwrap();
            buffer
        });
        assert_eq!(&echoed.unwrap(), b"hello");
        assert_eq!(*trace.borrow(), ["written"]);
    });
}
