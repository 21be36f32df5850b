//! The virtual clock, and what comes from outside.

use std::sync::mpsc;
use std::time::Duration;

use perloop::{
    EventLoop, LoopThread, Promise, create_task, get_running_loop, run_coroutine_threadsafe, sleep,
    wrap_future,
};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_clock_stands_still_while_work_on_another_loop_is_awaited() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let outcome = EventLoop::builder().virtual_time().run(async {
        let ticker = create_task(sleep(HOUR));
        let slow = run_coroutine_threadsafe(sleep(Duration::from_millis(20)), &worker);
        slow.await.expect("it ends");
        let then = get_running_loop().map(|running| running.time());
        (then, ticker.done())
    });
    assert_eq!(outcome.expect("it runs"), (Ok(Duration::ZERO), false));
}

#[test]
fn the_clock_stands_still_until_the_end_of_such_work_has_been_heard() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let (go_on, told) = mpsc::channel();
    let outcome = EventLoop::builder().virtual_time().run(async {
        let slow = run_coroutine_threadsafe(sleep(Duration::from_millis(20)), &worker);
        // It keeps up the thread that completes the future, and has the loop look around meanwhile.
        let own = get_running_loop().expect("it runs").handle();
        slow.add_done_callback(move |_| {
            let _ = own.call_soon_threadsafe(|| ());
            let _ = told.recv();
        });
        let late = go_on.clone();
        let ticker = create_task(async move {
            sleep(HOUR).await;
            let _ = late.send(());
        });
        slow.await.expect("it ends");
        let _ = go_on.send(());
        (get_running_loop().map(|running| running.time()), ticker.done())
    });
    assert_eq!(outcome.expect("it runs"), (Ok(Duration::ZERO), false));
}

#[test]
fn the_clock_stands_still_while_a_wrapped_future_of_another_loop_is_pending() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let outcome = EventLoop::builder().virtual_time().run(async {
        let slow = wrap_future(run_coroutine_threadsafe(sleep(Duration::from_millis(20)), &worker));
        let ticker = create_task(sleep(HOUR));
        slow.await.expect("it ends");
        let then = get_running_loop().map(|running| running.time());
        let is_early = !ticker.done();
        ticker.await.expect("the clock goes on");
        (then, is_early)
    });
    assert_eq!(outcome.expect("it runs"), (Ok(Duration::ZERO), true));
}

#[test]
fn a_wrapped_future_that_anybody_may_set_does_not_stop_the_clock() {
    let outcome = EventLoop::builder().virtual_time().run(async {
        let (mut promise, source) = Promise::new();
        let own = get_running_loop().expect("it runs");
        own.call_later(HOUR, move || promise.set_result(42).expect("once")).expect("it is open");
        (wrap_future(source).await, own.time())
    });
    assert_eq!(outcome.expect("it runs"), (Ok(42), HOUR));
}

#[test]
fn the_clock_goes_on_when_nobody_awaits_the_other_loop_any_more() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let outcome = EventLoop::builder().virtual_time().run(async {
        let slow = run_coroutine_threadsafe(sleep(HOUR), &worker);
        let waiter = create_task(slow);
        sleep(Duration::ZERO).await;
        sleep(Duration::ZERO).await;
        waiter.cancel();
        drop(waiter.await);
        sleep(HOUR).await;
        get_running_loop().map(|running| running.time())
    });
    assert_eq!(outcome.expect("it runs"), Ok(HOUR));
}

#[test]
fn a_submission_to_the_own_loop_does_not_stop_the_clock() {
    let outcome = EventLoop::builder().virtual_time().run(async {
        let own = get_running_loop().map(|running| running.handle()).expect("it runs");
        run_coroutine_threadsafe(sleep(HOUR), &own).await.expect("it ends");
        get_running_loop().map(|running| running.time())
    });
    assert_eq!(outcome.expect("it runs"), Ok(HOUR));
}

#[test]
fn an_await_that_was_given_up_does_not_stop_the_clock() {
    let worker = LoopThread::spawn("worker").expect("a thread");
    let outcome = EventLoop::builder().virtual_time().run(async {
        let mut slow = run_coroutine_threadsafe(sleep(HOUR), &worker);
        let polled = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut slow).poll(cx).is_pending())
        });
        assert!(polled.await);
        drop(slow);
        sleep(HOUR).await;
        get_running_loop().map(|running| running.time())
    });
    assert_eq!(outcome.expect("it runs"), Ok(HOUR));
}
