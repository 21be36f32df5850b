//! Actors that are found by their name: who has it, who is refused it, and when it is free again.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;

use perloop::{
    Actor, ActorContext, ActorEnd, Address, EventLoop, Handler, LoopThread, PanicPolicy, RegisterError,
    all_tasks, create_actor, new_event_loop, run, yield_now,
};

struct Clerk;
struct Panic;

impl Actor for Clerk {}

impl Handler<Panic> for Clerk {
    type Reply = ();

    async fn handle(&mut self, _: Panic, _: &mut ActorContext<Self>) {
        resume_unwind(Box::new("meant"));
    }
}

struct Boss;
impl Actor for Boss {}

/// Each test has names of its own, as they run in one process.
fn find(name: &str) -> Option<Address<Clerk>> {
    Address::find(name)
}

#[test]
fn an_actor_is_found_by_name_and_type_from_any_thread() {
    let worker = LoopThread::spawn("worker").unwrap();
    let (clerk, boss) = (worker.create_actor(|| Clerk), worker.create_actor(|| Boss));
    clerk.register("found").unwrap();
    boss.register("found").unwrap();
    let found = thread::spawn(|| (find("found"), Address::<Boss>::find("found"), find("not found")));
    assert_eq!(found.join().unwrap(), (Some(clerk.clone()), Some(boss), None));
    assert_eq!(worker.block_on(async { find("found") }), Ok(Some(clerk)));
}

#[test]
fn a_name_is_one_actors_and_an_actor_may_have_several() {
    let worker = LoopThread::spawn("worker").unwrap();
    let (first, second) = (worker.create_actor(|| Clerk), worker.create_actor(|| Clerk));
    first.register("unique").unwrap();
    assert_eq!(second.register("unique"), Err(RegisterError::Taken("unique".to_owned())));
    first.register("unique, too").unwrap();
    assert_eq!(find("unique"), find("unique, too"));
    assert!(!second.unregister("unique") && first.unregister("unique"));
    second.register("unique").unwrap();
    // Nor does it lose the name by the end of who had it before.
    first.stop();
    first.ended_blocking().unwrap();
    assert_eq!((find("unique"), find("unique, too")), (Some(second), None));
}

#[test]
fn a_name_keeps_nobody_alive() {
    run(async {
        let clerk = create_actor(|| Clerk);
        clerk.register("forgotten").unwrap();
        let other = create_actor(|| Clerk);
        drop(clerk);
        assert_eq!(find("forgotten"), None);
        assert_eq!(other.register("forgotten"), Ok(()), "it is free at once");
        // The end of the first does not take it from the second.
        while all_tasks().unwrap().len() > 2 {
            yield_now().await;
        }
        assert_eq!(find("forgotten"), Some(other));
    })
    .unwrap();
}

#[test]
fn a_name_is_free_when_its_actor_has_ended_in_whatever_way() {
    fn check(name: &str, clerk: &Address<Clerk>, expected: fn(&ActorEnd) -> bool) {
        let end = clerk.ended_blocking().unwrap();
        assert!(expected(&end), "{name}: {end:?}");
        assert_eq!(find(name), None, "{name}");
        assert_eq!(clerk.register(name), Err(RegisterError::Ended), "{name}");
        let worker = LoopThread::spawn("another").unwrap();
        let next = worker.create_actor(|| Clerk);
        assert_eq!(next.register(name), Ok(()), "{name}");
    }
    let worker = LoopThread::spawn("worker").unwrap();
    let mortal = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let mortal = LoopThread::spawn_with("mortal", mortal).unwrap();
    let unturned = new_event_loop().unwrap();
    let clerk = |name: &str, on: &perloop::LoopHandle| {
        let clerk = on.create_actor(|| Clerk);
        clerk.register(name).unwrap();
        clerk
    };
    let stopped = clerk("stopped", &worker);
    stopped.stop();
    check("stopped", &stopped, |end| *end == ActorEnd::Stopped);
    let panicked = clerk("panicked", &worker);
    panicked.try_tell(Panic).unwrap();
    check("panicked", &panicked, |end| matches!(end, ActorEnd::Panicked(_)));
    let dead = clerk("its loop died", &mortal);
    mortal.call_soon_threadsafe(|| resume_unwind(Box::new("meant"))).unwrap();
    check("its loop died", &dead, |end| matches!(end, ActorEnd::LoopDied(_)));
    let closed = clerk("its loop was closed", &worker);
    worker.join().unwrap();
    check("its loop was closed", &closed, |end| *end == ActorEnd::Cancelled);
    let unborn = clerk("it never began", &unturned.handle());
    unturned.close().unwrap();
    check("it never began", &unborn, |end| matches!(end, ActorEnd::LoopClosed(_)));
}

#[test]
fn of_many_threads_that_want_a_name_one_has_it_at_a_time() {
    const THREADS: usize = 4;
    let worker = LoopThread::spawn("worker").unwrap();
    let barrier = Barrier::new(THREADS);
    for round in 0..50 {
        let name = format!("contested {}", round % 2);
        let take = || {
            let clerk = worker.create_actor(|| Clerk);
            barrier.wait();
            let is_mine = clerk.register(&name).is_ok();
            let found = find(&name);
            // All have tried before it ends.
            barrier.wait();
            assert!(!is_mine || found == Some(clerk));
            is_mine
        };
        let winners = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1, "round {round}");
    }
}
