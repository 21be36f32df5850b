//! Blocking waits that could never end, and those that only look like it.

use std::sync::mpsc;
use std::time::Duration;

use perloop::{
    EventLoop, FutureError, LoopHandle, LoopThread, WouldDeadlock, new_event_loop, run_coroutine_threadsafe,
    yield_now,
};

fn named(name: &str) -> EventLoop {
    EventLoop::builder().name(name).build().unwrap()
}

fn path<T: std::fmt::Debug>(result: Result<T, FutureError>) -> Vec<String> {
    match result {
        Err(FutureError::WouldDeadlock(error)) => error.path().to_vec(),
        other => panic!("{other:?} instead of WouldDeadlock"),
    }
}

#[test]
fn a_task_cannot_block_on_its_own_loop() {
    let event_loop = named("own");
    let handle = event_loop.handle();
    let blocks = async move {
        let future = run_coroutine_threadsafe(async { 1 }, &handle);
        assert_eq!(path(future.result()), ["own"]);
        assert_eq!(path(future.result_timeout(Duration::from_secs(60))), ["own"]);
        assert_eq!(path(future.exception()), ["own"]);
        assert_eq!(path(handle.block_on(async {})), ["own"]);
        assert_eq!(handle.scope(|_| unreachable!()), Err::<(), _>(WouldDeadlock::of_loop("own")));
        assert!(perloop::threads::wait(&[&future], Default::default(), None).is_err());
        // It is as it was, and can be awaited.
        assert_eq!(future.await, Ok(1));
    };
    event_loop.run_until_complete(blocks).unwrap();
}

#[test]
fn the_owner_of_a_loop_that_does_not_run_cannot_block_on_it() {
    let event_loop = named("resting");
    let future = run_coroutine_threadsafe(async { 1 }, &event_loop.handle());
    assert_eq!(path(future.result()), ["resting"]);
    assert_eq!(path(event_loop.handle().block_on(async {})), ["resting"]);
    assert_eq!(event_loop.run_until_complete(future).unwrap(), Ok(1));
}

#[test]
fn a_result_that_is_there_is_given_on_the_loop_s_own_thread() {
    let event_loop = named("own");
    let future = run_coroutine_threadsafe(async { 1 }, &event_loop.handle());
    event_loop.run_until_complete(future.completion()).unwrap();
    assert_eq!(future.result(), Ok(1));
}

#[test]
fn two_loops_of_one_thread_cannot_block_on_each_other() {
    let (one, other) = (named("one"), named("other"));
    let on_other = other.handle();
    let blocks = async move { path(run_coroutine_threadsafe(async {}, &on_other).result()) };
    assert_eq!(one.run_until_complete(blocks).unwrap(), ["other"]);
}

/// Each loop's task blocks on the next one's; how many of them would have been in a circle for ever.
fn block_in_a_circle(names: &[&str]) -> usize {
    let workers: Vec<_> = names.iter().map(|name| LoopThread::spawn(*name).unwrap()).collect();
    let handles: Vec<LoopHandle> = workers.iter().map(|worker| (**worker).clone()).collect();
    let (sender, ready) = mpsc::channel();
    let mut outcomes = Vec::new();
    let mut goes = Vec::new();
    for (index, worker) in workers.iter().enumerate() {
        let (go, gone) = mpsc::channel::<()>();
        let (next, sender) = (handles[(index + 1) % handles.len()].clone(), sender.clone());
        let blocks = async move {
            sender.send(()).unwrap();
            // All hold their threads before the first one waits.
            gone.recv().unwrap();
            run_coroutine_threadsafe(async {}, &next).result()
        };
        outcomes.push(run_coroutine_threadsafe(blocks, worker));
        goes.push(go);
    }
    assert_eq!(ready.iter().take(names.len()).count(), names.len());
    goes.iter().for_each(|go| go.send(()).unwrap());
    let mut circles = 0;
    for outcome in outcomes {
        let Err(FutureError::WouldDeadlock(error)) = outcome.result().unwrap() else { continue };
        let mut path = error.path().to_vec();
        let first = names.iter().position(|name| *name == path[0]).unwrap();
        let expected: Vec<_> = (0..names.len()).map(|at| names[(first + at) % names.len()]).collect();
        assert_eq!(path, expected);
        path.sort();
        circles += 1;
    }
    circles
}

#[test]
fn of_two_that_block_on_each_other_one_is_told() {
    (0..50).for_each(|_| assert_eq!(block_in_a_circle(&["a", "b"]), 1));
}

#[test]
fn of_three_that_block_in_a_circle_one_is_told() {
    (0..50).for_each(|_| assert_eq!(block_in_a_circle(&["a", "b", "c"]), 1));
}

#[test]
fn lending_back_to_a_lender_is_a_circle() {
    let (a, b) = (LoopThread::spawn("a").unwrap(), LoopThread::spawn("b").unwrap());
    let (on_a, on_b) = ((*a).clone(), (*b).clone());
    let lends = async move {
        let back = &on_a;
        let by_block_on = on_b.block_on(async { path(back.block_on(async {})) });
        let by_scope = on_b.scope(|scope| scope.submit(async { back.scope(|_| ()) }).result());
        (by_block_on, by_scope)
    };
    let (by_block_on, by_scope) = run_coroutine_threadsafe(lends, &a).result().unwrap();
    assert_eq!(by_block_on.unwrap(), ["b", "a"]);
    assert_eq!(by_scope.unwrap().unwrap().unwrap_err().path(), ["b", "a"]);
}

#[test]
fn a_wait_that_is_over_is_in_nobody_s_way() {
    let (a, b) = (LoopThread::spawn("a").unwrap(), LoopThread::spawn("b").unwrap());
    for _ in 0..300 {
        let (on_a, on_b) = ((*a).clone(), (*b).clone());
        let waits = async move {
            let first = run_coroutine_threadsafe(async {}, &on_b);
            let second = run_coroutine_threadsafe(
                async move {
                    // By then the first has its outcome, and whoever waits for it is about to go on.
                    for _ in 0..3 {
                        yield_now().await;
                    }
                    run_coroutine_threadsafe(async { "no alarm" }, &on_a).result()
                },
                &on_b,
            );
            first.result().unwrap();
            Some(second)
        };
        let second = run_coroutine_threadsafe(waits, &a).result().unwrap();
        assert_eq!(second.unwrap().result().unwrap(), Ok("no alarm"));
    }
}

#[test]
fn waiting_for_each_other_in_turn_is_no_circle() {
    let (a, b) = (LoopThread::spawn("a").unwrap(), LoopThread::spawn("b").unwrap());
    for n in 0..300 {
        let (from, to) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let to = (**to).clone();
        assert_eq!(from.block_on(async { to.block_on(async { n }) }).unwrap(), Ok(n));
    }
}

#[test]
fn a_thread_without_loops_blocks_on_any_of_them() {
    let worker = LoopThread::spawn("a").unwrap();
    let on_own = (*worker).clone();
    // A loop's task waits for a plain thread, which waits for another loop: no circle, though it looks like one.
    let other = LoopThread::spawn("b").unwrap();
    let ask = move || {
        let plain = std::thread::spawn(move || run_coroutine_threadsafe(async { 1 }, &other).result());
        plain.join().unwrap()
    };
    assert_eq!(run_coroutine_threadsafe(async move { ask() }, &on_own).result().unwrap(), Ok(1));
}

#[test]
fn a_closed_loop_of_one_s_own_is_refused_rather_than_waited_for() {
    let event_loop = new_event_loop().unwrap();
    event_loop.close().unwrap();
    let future = run_coroutine_threadsafe(async {}, &event_loop.handle());
    assert!(matches!(future.result(), Err(FutureError::LoopClosed(_))));
}

#[test]
fn a_scope_that_makes_a_loop_counts_as_a_wait_of_its_thread() {
    let worker = LoopThread::spawn("worker").unwrap();
    let event_loop = std::cell::RefCell::new(None);
    let refused = worker.scope(|scope| {
        let made = named("made inside");
        let own = made.handle();
        event_loop.replace(Some(made));
        scope.submit(async move { own.block_on(async {}) }).result()
    });
    let refused = refused.unwrap().unwrap();
    assert!(matches!(refused, Err(FutureError::WouldDeadlock(_))), "{refused:?}");
}

/// However long a thread looks before it sleeps.
#[test]
fn a_circle_is_told_to_threads_that_look_for_long() {
    let spin = perloop::Spin::For(Duration::from_secs(24 * 3600));
    let [first, second] = ["first", "second"]
        .map(|name| LoopThread::spawn_with(name, EventLoop::builder().spin(spin)).unwrap());
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    let block = |on: &LoopThread, other: &LoopThread| {
        let (other, gate) = (other.handle(), std::sync::Arc::clone(&gate));
        let body = async move {
            gate.wait();
            run_coroutine_threadsafe(async {}, &other).result().is_err()
        };
        run_coroutine_threadsafe(body, on)
    };
    let blocked = [block(&first, &second), block(&second, &first)];
    let told = blocked.map(|future| future.result().unwrap());
    assert!(told.contains(&true));
}
