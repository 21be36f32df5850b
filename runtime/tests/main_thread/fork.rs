//! A child process has its parent's loops in its memory, and must leave them alone.

use std::future::pending;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use perloop::{
    EventLoop, ExecutorError, FutureError, JoinError, LoopError, LoopHandle, LoopThread, Refusal,
    ThreadPoolExecutor, get_event_loop, get_running_loop, new_event_loop, run, run_coroutine_threadsafe,
    set_event_loop, sleep, to_thread, yield_now,
};

use crate::{Ends, Test};

pub(crate) const TESTS: &[Test] = &[
    ("t_fork_child", t_fork_child, Ends::Well),
    ("t_fork_child_that_closes", t_fork_child_that_closes, Ends::Well),
    (
        "a_child_that_drops_an_inherited_loop_thread_does_not_wait",
        a_child_that_drops_a_loop_thread,
        Ends::Well,
    ),
    (
        "a_child_cannot_change_what_an_inherited_loop_watches",
        a_child_cannot_change_what_is_watched,
        Ends::Well,
    ),
    ("a_child_that_was_forked_inside_of_a_task_can_run_a_loop", a_child_forked_inside_of_a_task, Ends::Well),
    ("a_child_that_goes_on_turning_an_inherited_loop_is_told", a_child_that_goes_on_turning, Ends::Well),
    ("a_child_makes_loops_whatever_the_parents_threads_did", a_child_makes_loops, Ends::Well),
    ("a_child_leaves_the_rest_of_the_parents_turn_alone", a_child_leaves_the_rest_alone, Ends::Well),
    ("a_child_gets_a_loop_of_its_own_from_get_event_loop", a_child_gets_a_loop_of_its_own, Ends::Well),
    ("a_child_cannot_use_an_inherited_pool_and_can_drop_it", a_child_has_no_pool, Ends::Well),
];

/// Runs `child` in a child process, and fails if it does.
fn fork(child: impl FnOnce()) {
    // SAFETY: the child runs what the parent could run; the C library makes its own locks usable there, and ours are
    // what is tried.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no child to be had");
    if pid == 0 {
        crate::limit_time();
        let has_failed = catch_unwind(AssertUnwindSafe(child)).is_err();
        // SAFETY: it ends the process, without the parent's destructors and buffers.
        unsafe { libc::_exit(i32::from(has_failed)) };
    }
    let mut status = 0;
    // SAFETY: the status has room for one.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child failed");
}

fn assert_forked(handle: &LoopHandle) {
    assert!(handle.is_closed());
    let refused = run_coroutine_threadsafe(async {}, handle).result();
    assert!(matches!(refused, Err(FutureError::Forked(_))), "{refused:?}");
    assert!(matches!(handle.try_submit(async {}).unwrap_err().reason(), Refusal::Forked(_)));
    assert!(matches!(handle.call_soon_threadsafe(|| ()).unwrap_err().reason(), Refusal::Forked(_)));
    let lent = std::thread::scope(|scope| scope.spawn(|| handle.block_on(async {})).join().unwrap());
    assert!(matches!(lent, Err(FutureError::Forked(_))), "{lent:?}");
    handle.stop();
}

fn assert_works(handle: &LoopHandle) {
    let futures: Vec<_> = (0..10_000).map(|n| run_coroutine_threadsafe(async move { n }, handle)).collect();
    for (n, future) in futures.into_iter().enumerate() {
        assert_eq!(future.result(), Ok(n));
    }
    let asleep = || handle.block_on(async { sleep(Duration::from_micros(100)).await });
    (0..20).for_each(|_| assert_eq!(asleep(), Ok(())));
}

fn assert_new_loops_work() {
    let worker = LoopThread::spawn("the child's").unwrap();
    assert_works(&worker);
    worker.join().unwrap();
    run(async { sleep(Duration::from_millis(1)).await }).unwrap();
}

/// What a child does with a handle that it has inherited is refused at once, the parent's loop goes on as if nothing had
/// happened, and loops that the child makes are its own.
fn t_fork_child() {
    let worker = LoopThread::spawn("the parent's").unwrap();
    let pending = run_coroutine_threadsafe(pending::<()>(), &worker);
    worker.block_on(async {}).unwrap();
    for _ in 0..5 {
        fork(|| {
            assert_forked(&worker);
            assert_eq!(pending.result(), Err(FutureError::Forked(perloop::Forked)));
            assert!(pending.cancel());
            assert_new_loops_work();
        });
        assert_works(&worker);
    }
    assert!(pending.try_result().is_none());
}

/// A child that closes an inherited loop, or drops it, changes nothing of what the parent's watches and hears.
fn t_fork_child_that_closes() {
    for only_drops in [false, true] {
        let mut event_loop = Some(new_event_loop().unwrap());
        let handle = event_loop.as_ref().unwrap().handle();
        let (here, mut there) = UnixStream::pair().unwrap();
        let received = watch(event_loop.as_ref().unwrap(), &here);
        fork(|| {
            let inherited = event_loop.take().unwrap();
            assert!(matches!(inherited.run_until_complete(async {}), Err(LoopError::Forked(_))));
            assert!(matches!(inherited.run_once(None), Err(LoopError::Forked(_))));
            if !only_drops {
                inherited.close().unwrap();
            }
            drop(inherited);
            assert_forked(&handle);
            assert_new_loops_work();
        });
        let event_loop = event_loop.unwrap();
        let submitter = std::thread::spawn(move || assert_works(&handle));
        while !submitter.is_finished() {
            event_loop.run_once(Some(Duration::from_millis(5))).unwrap();
        }
        submitter.join().unwrap();
        there.write_all(b"x").unwrap();
        while received.try_recv().is_err() {
            event_loop.run_once(None).unwrap();
        }
    }
}

/// Has the loop tell of each byte that comes.
fn watch(event_loop: &EventLoop, here: &UnixStream) -> Receiver<usize> {
    let (sender, receiver) = channel();
    let mut reads = here.try_clone().unwrap();
    event_loop.add_reader(here, move || sender.send(reads.read(&mut [0; 1]).unwrap()).unwrap()).unwrap();
    receiver
}

fn a_child_that_drops_a_loop_thread() {
    let mut worker = Some(LoopThread::spawn("the parent's").unwrap());
    let mut joined = Some(LoopThread::spawn("the parent's, joined").unwrap());
    fork(|| {
        drop(worker.take());
        let error = joined.take().unwrap().join().unwrap_err();
        assert!(matches!(error, JoinError::Forked(_)), "{error:?}");
    });
    assert_works(worker.as_ref().unwrap());
    assert_works(joined.as_ref().unwrap());
}

fn a_child_cannot_change_what_is_watched() {
    let event_loop = new_event_loop().unwrap();
    let (here, mut there) = UnixStream::pair().unwrap();
    let receiver = watch(&event_loop, &here);
    fork(|| {
        assert!(!event_loop.remove_reader(&here));
        assert!(event_loop.add_writer(&here, || ()).is_err());
    });
    there.write_all(b"x").unwrap();
    while receiver.try_recv().is_err() {
        event_loop.run_once(None).unwrap();
    }
}

fn a_child_forked_inside_of_a_task() {
    run(async {
        fork(|| {
            assert!(get_running_loop().is_err(), "the running loop is the parent's");
            assert!(perloop::current_task().is_err());
            assert_new_loops_work();
            assert!(get_running_loop().is_err());
        });
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
    })
    .unwrap();
}

fn a_child_that_goes_on_turning() {
    let event_loop = new_event_loop().unwrap();
    // SAFETY: as in `fork`.
    let outcome = event_loop.run_until_complete(async { unsafe { libc::fork() } });
    match outcome {
        Ok(child) => {
            assert!(child > 0, "the child's loop went on");
            let mut status = 0;
            // SAFETY: the status has room for one.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0), "the child failed");
            assert_eq!(event_loop.run_until_complete(async { 1 }).unwrap(), 1);
        }
        Err(error) => {
            let is_told = matches!(error, LoopError::Forked(_));
            // SAFETY: as in `fork`.
            unsafe { libc::_exit(i32::from(!is_told)) };
        }
    }
}

fn a_child_gets_a_loop_of_its_own() {
    let parent_s = new_event_loop().unwrap();
    set_event_loop(Some(&parent_s));
    fork(|| {
        let own = get_event_loop().unwrap();
        assert_ne!(own, parent_s);
        assert_eq!(own.run_until_complete(async { 1 }).unwrap(), 1);
        assert_eq!(get_event_loop().unwrap(), own);
    });
    assert_eq!(get_event_loop().unwrap(), parent_s);
}

/// Threads make and drop loops while the process forks; what they had locked is no lock of the child's.
fn a_child_makes_loops() {
    let makers = [0; 2].map(|_| {
        let (is_over, over) = channel::<()>();
        let make = move || {
            while over.try_recv() == Err(TryRecvError::Empty) {
                drop(new_event_loop().unwrap());
            }
        };
        (is_over, std::thread::spawn(make))
    });
    for _ in 0..200 {
        fork(|| drop(new_event_loop().unwrap()));
    }
    for (is_over, maker) in makers {
        drop(is_over);
        maker.join().unwrap();
    }
}

/// A task forks, and behind it in the same turn stands a submission, which only the parent runs.
fn a_child_leaves_the_rest_alone() {
    let event_loop = new_event_loop().unwrap();
    let parent = std::process::id();
    let submitted = run_coroutine_threadsafe(async { std::process::id() }, &event_loop.handle());
    let forks = event_loop
        .create_task(async {
            // SAFETY: as in `fork` above.
            unsafe { libc::fork() }
        })
        .unwrap();
    let behind = run_coroutine_threadsafe(async { std::process::id() }, &event_loop.handle());
    let ran = catch_unwind(AssertUnwindSafe(|| event_loop.run_until_done(&forks)));
    if std::process::id() != parent {
        let is_told = matches!(ran, Ok(Err(LoopError::Forked(_)))) && !behind.done();
        // SAFETY: it ends the process, without the parent's destructors and buffers.
        unsafe { libc::_exit(i32::from(!is_told)) };
    }
    ran.unwrap().unwrap();
    let mut status = 0;
    // SAFETY: the status has room for one.
    unsafe { libc::waitpid(forks.result().unwrap(), &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    assert_eq!((submitted.result(), behind.result()), (Ok(parent), Ok(parent)));
}

fn a_child_has_no_pool() {
    let pools: Vec<_> = (0..2).map(|_| ThreadPoolExecutor::new()).collect();
    for pool in &pools {
        assert_eq!(pool.submit(|| 42).expect("it is taken").result(), Ok(42));
    }
    let pools = std::cell::RefCell::new(pools);
    fork(|| {
        for pool in pools.take() {
            let refused = pool.submit(|| 42);
            assert!(matches!(refused, Err(ExecutorError::Forked(_))), "{refused:?}");
            pool.shutdown();
        }
        let own = run(async { to_thread(|| 42).await });
        assert!(matches!(own, Ok(Ok(42))), "{own:?}");
    });
    for pool in pools.take() {
        assert_eq!(pool.submit(|| 42).expect("it is taken").result(), Ok(42));
    }
}
