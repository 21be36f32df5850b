//! Threads that own a loop: how they begin, how they end, and that nothing of them stays.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use perloop::{
    EventLoop, FutureError, JoinError, LoopThread, catch_cancelled, create_task, get_event_loop,
    new_event_loop, run_coroutine_threadsafe, sleep,
};

#[test]
fn thread_and_loop_have_the_name() {
    let worker = LoopThread::spawn("named").unwrap();
    let names = worker.block_on(async {
        let event_loop = get_event_loop().unwrap();
        (thread::current().name().map(str::to_owned), event_loop.name().to_owned())
    });
    assert_eq!(names, Ok((Some("named".to_owned()), "named".to_owned())));
    assert_eq!(worker.name(), "named");
    let other = LoopThread::spawn_with("thread", EventLoop::builder().name("loop")).unwrap();
    assert_eq!(other.name(), "loop");
    let unnamed = LoopThread::spawn_with("thread", EventLoop::builder()).unwrap();
    assert_eq!(unnamed.name(), "loop of thread 'thread'");
}

#[test]
fn no_two_loops_of_a_thread_have_a_name_that_nobody_gave() {
    let names = || {
        let make = || new_event_loop().unwrap().name().to_owned();
        (make(), EventLoop::builder().name("index").build().unwrap().name().to_owned(), make())
    };
    let named = thread::Builder::new().name("io".to_owned()).spawn(names).unwrap().join().unwrap();
    assert_eq!(named.0, "loop of thread 'io'");
    assert_eq!((named.1.as_str(), named.2.as_str()), ("index", "loop 2 of thread 'io'"));
    let unnamed = [thread::spawn(names), thread::spawn(names)].map(|thread| thread.join().unwrap());
    assert_ne!(unnamed[0].0, unnamed[1].0);
    assert_ne!(unnamed[0].0, unnamed[0].2);
}

#[test]
fn what_belongs_to_another_loop_of_the_thread_is_told_by_two_names() {
    let (one, other) = (new_event_loop().unwrap(), new_event_loop().unwrap());
    let future = one.create_future::<()>();
    let error = other.run_until_complete(future).unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(one.name()) && text.contains(other.name()) && one.name() != other.name(), "{text}");
}

#[test]
fn odd_names_are_an_error_or_a_name() {
    let nul = LoopThread::spawn("with a \0 in it").unwrap_err();
    assert_eq!(nul.kind(), std::io::ErrorKind::InvalidInput);
    let long = "n".repeat(64 * 1024);
    let worker = LoopThread::spawn(long.as_str()).unwrap();
    assert_eq!(worker.name(), long);
    assert_eq!(EventLoop::builder().name("with a \0").build().unwrap().name(), "with a \0");
}

#[test]
fn join_cancels_what_is_left_and_waits_for_it() {
    let worker = LoopThread::spawn("worker").unwrap();
    let (sender, receiver) = mpsc::channel();
    worker
        .block_on(async {
            create_task(async move {
                drop(catch_cancelled(pending::<()>()).await);
                sleep(Duration::from_millis(1)).await;
                sender.send("cleaned up").unwrap();
            });
        })
        .unwrap();
    let left = run_coroutine_threadsafe(pending::<()>(), &worker);
    worker.join().unwrap();
    assert_eq!(receiver.try_recv(), Ok("cleaned up"));
    assert!(left.try_result().is_some_and(|outcome| outcome.is_err()));
}

#[test]
fn dropping_joins() {
    struct SendsWhenDropped(mpsc::Sender<()>);
    impl Drop for SendsWhenDropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let worker = LoopThread::spawn("worker").unwrap();
    let (sender, receiver) = mpsc::channel();
    let guard = SendsWhenDropped(sender);
    let handle = (*worker).clone();
    let begun = worker.run_with(|| async move {
        let _guard = guard;
        pending::<()>().await;
    });
    drop(worker);
    assert!(begun.result().is_err());
    assert_eq!(receiver.try_recv(), Ok(()));
    assert!(handle.is_closed());
}

#[test]
fn a_thread_cannot_join_itself_but_is_stopped() {
    let worker = LoopThread::spawn("self").unwrap();
    let handle = (*worker).clone();
    let (sender, receiver) = mpsc::channel();
    let joins = async move { sender.send(worker.join()).unwrap() };
    // The worker is handed to its own loop.
    drop(run_coroutine_threadsafe(joins, &handle));
    let error = receiver.recv().unwrap().unwrap_err();
    assert!(matches!(&error, JoinError::WouldDeadlock(circle) if circle.path() == ["self"]), "{error:?}");
    while !handle.is_closed() {
        thread::yield_now();
    }
}

#[test]
fn joining_a_thread_that_waits_for_this_one_is_a_circle() {
    let (a, b) = (LoopThread::spawn("a").unwrap(), LoopThread::spawn("b").unwrap());
    let (on_a, on_b) = ((*a).clone(), (*b).clone());
    let (sender, receiver) = mpsc::channel();
    let joins = async move {
        let waits = async move {
            sender.send(()).unwrap();
            run_coroutine_threadsafe(async {}, &on_a).result()
        };
        let waiting = run_coroutine_threadsafe(waits, &on_b);
        receiver.recv().unwrap();
        (b.join(), waiting)
    };
    let (joined, waiting) = run_coroutine_threadsafe(joins, &a).result().unwrap();
    let waited = waiting.result();
    // Who came second is told; the other one's wait is over then.
    match (joined, waited) {
        (Err(JoinError::WouldDeadlock(circle)), Ok(Ok(()))) => assert_eq!(circle.path(), ["a", "b"]),
        (Ok(()), Ok(Err(FutureError::WouldDeadlock(circle)))) => assert_eq!(circle.path(), ["b", "a"]),
        // Joining has cancelled the future of what then was told.
        (Ok(()), Err(FutureError::Cancelled)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loop_thread_that_is_dropped_on_its_own_loop_ends() {
    let worker = LoopThread::spawn("self").unwrap();
    let handle = (*worker).clone();
    drop(run_coroutine_threadsafe(async move { drop(worker) }, &handle));
    while !handle.is_closed() {
        thread::yield_now();
    }
}

#[test]
fn stop_ends_the_thread_and_join_is_for_who_wants_to_know() {
    let worker = LoopThread::spawn("stopped").unwrap();
    worker.stop();
    while !worker.is_closed() {
        thread::yield_now();
    }
    let refused = run_coroutine_threadsafe(async {}, &worker).result();
    assert!(matches!(refused, Err(FutureError::LoopClosed(_))));
    worker.join().unwrap();
}

#[test]
fn panics_of_tasks_and_callbacks_are_not_the_thread_s() {
    let worker = LoopThread::spawn("worker").unwrap();
    worker.call_soon_threadsafe(|| resume_unwind(Box::new("a callback's"))).unwrap();
    let task = run_coroutine_threadsafe(async { resume_unwind(Box::new("a task's")) }, &worker).result();
    assert!(matches!(task, Err::<(), _>(FutureError::Panicked(_))));
    worker.join().unwrap();
}

/// How many descriptors and threads the process has. Other tests of this file come and go meanwhile, so this one is
/// asked in a process of its own.
#[cfg(target_os = "linux")]
fn descriptors_and_threads() -> (usize, usize) {
    let count = |path| std::fs::read_dir(path).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[cfg(target_os = "linux")]
#[test]
fn two_hundred_loops_later_nothing_is_left() {
    const NAME: &str = "two_hundred_loops_later_nothing_is_left";
    if std::env::var_os(NAME).is_none() {
        let own = std::env::current_exe().unwrap();
        let output =
            std::process::Command::new(own).args([NAME, "--exact", "--nocapture"]).env(NAME, "1").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let come_and_go = || {
        let worker = LoopThread::spawn("short").unwrap();
        drop(run_coroutine_threadsafe(pending::<()>(), &worker));
        assert_eq!(worker.block_on(async { 1 }), Ok(1));
        worker.join().unwrap();
        let event_loop = new_event_loop().unwrap();
        event_loop.run_until_complete(async { sleep(Duration::from_nanos(1)).await }).unwrap();
        event_loop.create_task(pending::<()>()).unwrap();
        perloop::run(async {}).unwrap();
        thread::spawn(|| drop(new_event_loop().unwrap())).join().unwrap();
    };
    come_and_go();
    let before = descriptors_and_threads();
    (0..200).for_each(|_| come_and_go());
    assert_eq!(descriptors_and_threads(), before);
}

#[test]
fn a_stop_before_join_does_not_cut_the_clean_up_short() {
    for _ in 0..20 {
        let worker = LoopThread::spawn("worker").unwrap();
        let is_clean = Arc::new(());
        let in_task = Arc::clone(&is_clean);
        let task = run_coroutine_threadsafe(
            async move {
                drop(catch_cancelled(std::future::pending::<()>()).await);
                sleep(Duration::from_millis(1)).await;
                std::mem::forget(in_task);
            },
            &worker,
        );
        run_coroutine_threadsafe(async {}, &worker).result().unwrap();
        worker.stop();
        worker.stop();
        worker.join().unwrap();
        assert!(task.done());
        assert_eq!(Arc::strong_count(&is_clean), 2, "the clean-up ran to its end");
    }
}
