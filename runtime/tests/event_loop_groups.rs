//! Groups of loops: which loop one gets, what all of them do together, and how they end.
#![expect(clippy::disallowed_types, reason = "a witness from several threads")]

use std::cell::Cell;
use std::collections::HashSet;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use perloop::{
    EventLoop, EventLoopGroup, FutureError, JoinError, LoopThread, create_task, get_running_loop, run,
    run_coroutine_threadsafe, sleep, yield_now,
};

fn group(loops: usize) -> EventLoopGroup {
    EventLoopGroup::builder().loops(loops).spawn().unwrap()
}

/// The names of the process's threads that begin so.
#[cfg(target_os = "linux")]
fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// Counts those that are gone.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn there_is_a_loop_a_core_by_default() {
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(EventLoopGroup::spawn().unwrap().len(), cores);
}

#[test]
fn each_loop_has_a_thread_of_its_own_of_its_name() {
    let group = EventLoopGroup::builder().loops(3).name("io").spawn().unwrap();
    let names = group.broadcast(|_| async {
        let event_loop = get_running_loop().unwrap();
        (event_loop.name().to_owned(), thread::current().name().map(str::to_owned), thread::current().id())
    });
    let names = names.result().unwrap();
    for (index, (event_loop, thread, _)) in names.iter().enumerate() {
        assert_eq!((event_loop, thread.as_ref()), (&format!("io-{index}"), Some(event_loop)));
    }
    assert_eq!(names.iter().map(|names| names.2).collect::<HashSet<_>>().len(), 3);
}

#[test]
fn next_goes_round_whoever_asks() {
    let group = group(3);
    let handle = group.handle();
    let ask = || (0..300).map(|_| handle.next().name().to_owned()).collect::<Vec<_>>();
    let names = thread::scope(|scope| {
        let askers = [scope.spawn(ask), scope.spawn(ask)];
        askers.map(|asker| asker.join().unwrap()).concat()
    });
    for index in 0..3 {
        assert_eq!(names.iter().filter(|name| **name == format!("loop-{index}")).count(), 200);
    }
}

#[test]
fn next_passes_over_loops_that_are_closed() {
    let group = group(3);
    group.get(1).unwrap().stop();
    while !group.get(1).unwrap().is_closed() {
        thread::yield_now();
    }
    let names: HashSet<_> = (0..6).map(|_| group.next().name()).collect();
    assert_eq!(names, HashSet::from(["loop-0", "loop-2"]));
    let handle = group.handle();
    group.join().unwrap();
    assert!(handle.next().is_closed());
}

#[test]
fn a_key_has_the_same_loop_always_and_in_every_group_of_that_size() {
    let (one, other, larger) = (group(4), group(4), group(5));
    let mut moved = 0;
    for key in 0..1_000 {
        let index = one.index_of(&key);
        assert_eq!(one.by_key(&key), one.get(index).unwrap());
        assert_eq!(other.index_of(&key), index);
        let now = larger.index_of(&key);
        assert!(now == index || now == 4, "a key moves to the new loop only");
        moved += usize::from(now != index);
    }
    assert!((140..260).contains(&moved), "{moved} of 1000 moved, and a fifth should");
    one.by_key("state").stop();
    let index = one.index_of("state");
    while !one.get(index).unwrap().is_closed() {
        thread::yield_now();
    }
    assert_eq!(one.index_of("state"), index);
}

#[test]
fn broadcast_runs_once_on_each_loop_with_what_stays_there() {
    let group = group(3);
    let made = group.broadcast(|index| {
        let stays = Rc::new(Cell::new(index));
        async move {
            yield_now().await;
            stays.get() * 10
        }
    });
    assert_eq!(made.result(), Ok(vec![0, 10, 20]));
}

#[test]
fn map_gives_the_values_in_the_order_of_the_items() {
    let group = group(3);
    let late_first = group.map((0..100_u64).rev(), |n| async move {
        for _ in 0..n {
            yield_now().await;
        }
        n
    });
    assert!(late_first.result().unwrap().into_iter().eq((0..100).rev()));
}

#[test]
fn what_fails_is_told_after_all_have_ended() {
    let group = group(3);
    let (sender, receiver) = mpsc::channel();
    let outcome = group.broadcast(move |index| async move {
        assert_ne!(index, 0, "meant");
        for _ in 0..100 {
            yield_now().await;
        }
        sender.send(index).unwrap();
    });
    assert!(matches!(outcome.result(), Err(FutureError::Panicked(_))));
    assert_eq!(receiver.try_iter().sum::<usize>(), 3);
}

#[test]
fn a_task_awaits_all_loops() {
    let group = group(3);
    let sum = run(async { group.map(1..=10, |n| async move { n }).await.map(|all| all.iter().sum::<i32>()) });
    assert_eq!(sum.unwrap(), Ok(55));
}

#[test]
fn a_task_that_is_cancelled_while_it_awaits_cancels_all() {
    let group = group(3);
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    run(async {
        let endless = group.broadcast(move |_| {
            let held = Counted(counted);
            async move {
                pending::<()>().await;
                drop(held);
            }
        });
        group.broadcast(|_| async {}).await.unwrap(); // and so the others have begun
        let task = create_task(endless);
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
    })
    .unwrap();
    // A request is taken up in one turn and met in a later one.
    while group.broadcast(|_| async { perloop::all_tasks().unwrap().len() }).result().unwrap() != [1, 1, 1] {
        thread::yield_now();
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

#[test]
fn a_loop_that_blocks_on_all_is_told() {
    let group = group(2);
    let handle = group.handle();
    let blocks = async move { handle.broadcast(|index| async move { index }).outcomes() };
    let outcomes = run_coroutine_threadsafe(blocks, group.get(0).unwrap()).result().unwrap();
    assert!(matches!(&outcomes[..], [Err(FutureError::WouldDeadlock(_)), Ok(1)]), "{outcomes:?}");
}

#[test]
fn the_least_loaded_loop_has_the_next_of_a_burst_at_once() {
    let group = group(3);
    // No loop need take a turn for a submission to count.
    let endless: Vec<_> =
        (0..30).map(|_| run_coroutine_threadsafe(pending::<()>(), group.least_loaded())).collect();
    let loads = |group: &EventLoopGroup| (0..3).map(|index| group.load(index).unwrap()).collect::<Vec<_>>();
    while loads(&group) != [10, 10, 10] {
        // A loop tells what it has taken up once a turn.
        thread::yield_now();
    }
    for (place, future) in endless.iter().enumerate() {
        assert!(place % 3 == 1 || future.cancel_and_wait().unwrap());
    }
    while loads(&group).iter().filter(|load| **load == 0).count() < 2 {
        thread::yield_now();
    }
    let busy = loads(&group).iter().position(|load| *load > 0);
    for _ in 0..6 {
        assert_ne!(Some(group.least_loaded()), busy.and_then(|busy| group.get(busy)));
    }
}

#[test]
fn tasks_that_a_loop_makes_itself_are_its_load() {
    let group = group(2);
    let makes = async { (0..5).for_each(|_| drop(create_task(pending::<()>()))) };
    run_coroutine_threadsafe(makes, group.get(0).unwrap()).result().unwrap();
    while group.load(0) != Some(5) {
        thread::yield_now();
    }
    assert_eq!((group.load(1), group.least_loaded().name()), (Some(0), "loop-1"));
}

#[test]
fn a_loop_that_is_closed_is_not_the_least_loaded() {
    let group = group(2);
    let endless = run_coroutine_threadsafe(pending::<()>(), group.get(0).unwrap());
    group.get(1).unwrap().stop();
    while !group.get(1).unwrap().is_closed() {
        thread::yield_now();
    }
    for _ in 0..4 {
        assert_eq!(group.least_loaded().name(), "loop-0");
    }
    drop(endless);
}

/// The cores that the calling thread may run on.
#[cfg(target_os = "linux")]
fn my_cores() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn pinned_loops_stay_on_a_core_each_and_go_round() {
    let cores = my_cores();
    let builder = EventLoopGroup::builder().loops(cores.len() + 1);
    let group = builder.clone().pinned(true).spawn().unwrap();
    let pinned = group.broadcast(|_| async { my_cores() }).result().unwrap();
    let expected: Vec<_> = cores.iter().chain(&cores[..1]).map(|core| vec![*core]).collect();
    assert_eq!(pinned, expected);
    let last = *cores.last().unwrap();
    let group = builder.clone().pin_to([last]).spawn().unwrap();
    assert!(group.broadcast(|_| async { my_cores() }).result().unwrap().iter().all(|cores| *cores == [last]));
    let group = builder.pinned(true).pinned(false).spawn().unwrap();
    assert!(group.broadcast(|_| async { my_cores() }).result().unwrap().iter().all(|found| *found == cores));
    assert_eq!(my_cores(), cores, "who starts a group stays as it was");
}

#[test]
#[cfg(target_os = "linux")]
fn a_core_that_is_not_there_is_an_error() {
    for cores in [vec![], vec![1_000], vec![usize::MAX]] {
        let group = EventLoopGroup::builder().loops(2).pin_to(cores).spawn();
        assert_eq!(group.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// A stop that does not join, and drops that do not run.
#[test]
#[cfg(target_os = "linux")]
fn t_close_joins_all_loops() {
    let dropped = Arc::new(AtomicUsize::new(0));
    for ends in [drop, |group: EventLoopGroup| group.join().unwrap()] {
        dropped.store(0, Ordering::SeqCst);
        let group = EventLoopGroup::builder().loops(4).name("row102").spawn().unwrap();
        let counted = Arc::clone(&dropped);
        let left = group.broadcast(move |_| async move {
            for _ in 0..10 {
                let held = Counted(Arc::clone(&counted));
                create_task(async move {
                    pending::<()>().await;
                    drop(held);
                });
            }
        });
        left.result().unwrap();
        assert_eq!(threads_named("row102"), 4);
        ends(group);
        assert_eq!(dropped.load(Ordering::SeqCst), 40);
        // The system shows a thread for a moment after it was joined.
        while threads_named("row102") > 0 {
            thread::yield_now();
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_group_that_cannot_be_started_leaves_nothing() {
    let nul = EventLoopGroup::builder().loops(2).name("with a \0").spawn().unwrap_err();
    assert_eq!(nul.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(
        EventLoopGroup::builder().loops(0).spawn().unwrap_err().kind(),
        std::io::ErrorKind::InvalidInput
    );
    assert_eq!(threads_named("with a"), 0);
}

#[test]
fn daemons_go_on_when_their_group_is_dropped() {
    let group = EventLoopGroup::builder().loops(2).daemon(true).spawn().unwrap();
    let handle = group.handle();
    drop(group);
    assert_eq!(handle.broadcast(|index| async move { index }).result(), Ok(vec![0, 1]));
    handle.loops().for_each(perloop::LoopHandle::stop);
}

#[test]
fn a_group_that_is_joined_by_a_loop_of_its_own_is_told_and_stopped() {
    let group = group(2);
    let handle = group.handle();
    let (sender, receiver) = mpsc::channel();
    let joins = async move { sender.send(group.join()).unwrap() };
    drop(run_coroutine_threadsafe(joins, handle.get(1).unwrap()));
    assert!(matches!(receiver.recv().unwrap(), Err(JoinError::WouldDeadlock(_))));
    while !handle.loops().all(perloop::LoopHandle::is_closed) {
        thread::yield_now();
    }
}

#[test]
fn the_loops_are_as_they_were_set_up() {
    let settings = EventLoop::builder().virtual_time();
    let group = EventLoopGroup::builder().loops(2).settings(settings).spawn().unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let times = group.broadcast(move |_| async move {
        sleep(hour).await;
        get_running_loop().unwrap().time()
    });
    assert_eq!(times.result(), Ok(vec![hour; 2]));
}

/// Whoever waits for a loop that ends is told, whichever way it ends.
#[test]
fn t_every_xfuture_ends_when_loop_ends() {
    let ends: [fn(EventLoopGroup); 3] = [
        drop,
        |group| group.join().unwrap(),
        |group| {
            group.loops().for_each(perloop::LoopHandle::stop);
            while !group.loops().all(perloop::LoopHandle::is_closed) {
                thread::yield_now();
            }
        },
    ];
    for end in ends {
        let group = group(3);
        let outside = LoopThread::spawn("outside").unwrap();
        let waits: Vec<_> = group.loops().map(|on| run_coroutine_threadsafe(pending::<()>(), on)).collect();
        let awaited = group.broadcast(|_| pending::<()>());
        let awaits = run_coroutine_threadsafe(async move { awaited.await.is_err() }, &outside);
        let blocked =
            thread::spawn(move || waits.iter().map(|wait| wait.result().is_err()).collect::<Vec<_>>());
        end(group);
        assert_eq!(blocked.join().unwrap(), [true; 3]);
        assert_eq!(awaits.result(), Ok(true));
    }
}
