//! Waits that could never end are refused, with the names of those in the circle; others are not.
mod support;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use perloop_bridge::{AnyFuture, FutureError, Promise, Remote, ReturnWhen, Spin, wait};
use support::{Driver, LoopThread};

fn block<T: Send + 'static>(
    remote: &Remote,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, FutureError> {
    remote.submit::<(), _>((), async move { work() }).result()
}

/// The names in a refusal.
type Paths = Arc<Mutex<Vec<Vec<String>>>>;

/// Blocks, and notes it if that was refused. Of a circle it is the last one that is.
fn block_noting<T: Send + 'static>(
    paths: &Paths,
    remote: &Remote,
    work: impl FnOnce() -> T + Send + 'static,
) {
    match block(remote, work) {
        Ok(_) => {}
        Err(FutureError::WouldDeadlock(error)) => paths.lock().unwrap().push(error.path().to_vec()),
        Err(other) => panic!("{other}"),
    }
}

/// Is it the circle of these names, begun anywhere?
fn is_circle(path: &[String], names: &[&str]) -> bool {
    (0..names.len()).any(|start| path.iter().eq(names.iter().cycle().skip(start).take(names.len())))
}

#[test]
fn a_wait_for_ones_own_loop_names_it() {
    let paths = Paths::default();
    let looping = LoopThread::start_named("own", Spin::Never);
    let (own, noting) = (looping.remote.clone(), Arc::clone(&paths));
    block(&looping.remote, move || block_noting(&noting, &own, || {})).unwrap();
    assert_eq!(*paths.lock().unwrap(), [["own"]]);
}

/// Again and again, since nothing of a circle that was refused is left behind.
#[test]
fn a_circle_of_three_names_them_in_order() {
    let names = ["first", "second", "third"];
    let loops = names.map(|name| LoopThread::start_named(name, Spin::Never));
    for round in 1..=20 {
        let paths = Paths::default();
        let [to_first, to_second, to_third] = [0, 1, 2].map(|index: usize| loops[index].remote.clone());
        let [in_first, in_second, in_third] = [0; 3].map(|_| Arc::clone(&paths));
        let in_first = move || {
            let in_second = move || {
                block_noting(&in_second, &to_third, move || block_noting(&in_third, &to_first, || {}))
            };
            block_noting(&in_first, &to_second, in_second);
        };
        block(&loops[0].remote, in_first).unwrap();
        // Each one's work is done, whoever was refused.
        loops.iter().for_each(|looping| block(&looping.remote, || {}).unwrap());
        let paths = paths.lock().unwrap();
        assert!(paths.len() == 1 && is_circle(&paths[0], &names), "{round}: {paths:?}");
    }
}

/// One that anybody may set is an end that may come, though the other is in the circle.
#[test]
fn a_wait_for_one_of_several_is_stuck_only_if_all_are() {
    let (mut promise, settable) = Promise::<()>::new();
    let driver = Driver::named("here", Spin::Never);
    let looping = LoopThread::start_named("there", Spin::Never);
    let here = driver.home.remote();
    let blocked = looping.remote.submit::<(), _>((), async move { block(&here, || {}) });
    // Once its submission is here the other thread is about to block, or does.
    while !driver.home.has_work() {
        thread::yield_now();
    }
    let setter = thread::spawn(move || promise.set_result(()).unwrap());
    let both: [&dyn AnyFuture; 2] = [&blocked, &settable];
    assert_eq!(wait(&both, ReturnWhen::FirstCompleted, None).unwrap().done, [1]);
    setter.join().unwrap();
    // Its end comes from the other loop, which does not wake this one by itself.
    let here = driver.home.remote();
    blocked.add_done_callback(move |_| here.call(|| {}).expect("it is open"));
    driver.run_until(|| blocked.done());
    assert_eq!(blocked.result(), Ok(Ok(())));
}

/// One of two is in a circle with us, the other one is not, and lets us go on.
#[test]
fn a_wait_for_one_of_two_loops_is_not_refused_for_the_other() {
    let driver = Driver::named("here", Spin::Never);
    let [there, elsewhere] = ["there", "elsewhere"].map(|name| LoopThread::start_named(name, Spin::Never));
    for _ in 0..10 {
        let here = driver.home.remote();
        let blocked = there.remote.submit::<(), _>((), async move { block(&here, || {}) });
        while !driver.home.has_work() {
            thread::yield_now();
        }
        let slow = elsewhere.remote.submit::<(), _>((), async { thread::sleep(Duration::from_millis(3)) });
        let found = wait(&[&blocked, &slow], ReturnWhen::FirstCompleted, None);
        assert_eq!(found.map(|found| found.done), Ok(vec![1]));
        let here = driver.home.remote();
        blocked.add_done_callback(move |_| here.call(|| {}).expect("it is open"));
        driver.run_until(|| blocked.done());
    }
}
