//! Queues between loops and threads.

use std::thread;
use std::time::Duration;

use perloop::{
    FutureError, GetBlockingError, LoopThread, PutBlockingError, QueueClosed, create_task,
    run_coroutine_threadsafe, thread_queue, timeout, yield_now,
};

#[test]
fn items_go_between_two_loops_that_wait_for_each_other() {
    let (first, second) =
        (LoopThread::spawn("first").expect("a loop"), LoopThread::spawn("second").expect("a loop"));
    let (ask, asked) = thread_queue(1);
    let (reply, replied) = thread_queue(1);
    let server = run_coroutine_threadsafe(
        async move {
            while let Ok(number) = asked.get().await {
                reply.put(2 * number).await.expect("somebody waits");
            }
        },
        &second,
    );
    let client = run_coroutine_threadsafe(
        async move {
            let mut sum = 0;
            for number in 0..1000 {
                ask.put(number).await.expect("it is served");
                sum += replied.get().await.expect("it is served");
            }
            sum
        },
        &first,
    );
    assert_eq!(client.result(), Ok(999 * 1000));
    assert_eq!(server.result(), Ok(()));
}

#[test]
fn a_thread_feeds_a_loop_and_is_held_up_when_that_is_slow() {
    let (sender, receiver) = thread_queue(4);
    let feeder = thread::spawn(move || {
        let fed = (0..1000).take_while(|number| sender.put_blocking(*number).is_ok()).count();
        (fed, sender.put_blocking(1000))
    });
    perloop::run(async move {
        for number in 0..1000 {
            assert_eq!(receiver.get().await, Ok(number));
            if number % 100 == 0 {
                yield_now().await;
            }
        }
    })
    .expect("it ends by itself");
    let (fed, last) = feeder.join().expect("it does not panic");
    // The last one may have been put before the end.
    assert!(fed == 1000 && matches!(last, Ok(()) | Err(PutBlockingError::Closed(1000))));
}

#[test]
fn to_block_in_a_thread_whose_loop_runs_is_refused() {
    let (sender, receiver) = thread_queue(1);
    perloop::run(async {
        assert!(matches!(receiver.get_blocking(), Err(GetBlockingError::WouldDeadlock(_))));
        assert!(matches!(receiver.get_timeout(Duration::MAX), Err(GetBlockingError::WouldDeadlock(_))));
        // What need not wait is no harm.
        assert_eq!(sender.put_blocking(1), Ok(()));
        let refused = sender.put_blocking(2).expect_err("it is full");
        let text = refused.to_string();
        assert!(text.contains("which runs in this thread; await it instead"), "{text}");
        assert_eq!(refused.into_inner(), 2);
        assert_eq!(receiver.get_blocking(), Ok(1));
    })
    .expect("it ends by itself");
    // A loop that does not run keeps nobody from waiting.
    let _resting = perloop::new_event_loop().expect("a loop");
    let feeder = thread::spawn(move || sender.put_blocking(3));
    assert_eq!(receiver.get_blocking(), Ok(3));
    assert_eq!(feeder.join().expect("it does not panic"), Ok(()));
}

#[test]
fn a_wait_that_is_cancelled_or_timed_out_takes_nothing() {
    let (sender, receiver) = thread_queue(1);
    perloop::run(async {
        let waits = create_task({
            let receiver = receiver.clone();
            async move { receiver.get().await }
        });
        yield_now().await;
        sender.try_put(1).expect("there is room");
        // It was told of the item.
        waits.cancel();
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        let in_time = timeout(Duration::ZERO, sender.put(2)).await;
        assert!(in_time.is_err());
        assert_eq!(receiver.get().await, Ok(1));
        assert!(receiver.is_empty());
    })
    .expect("it ends by itself");
}

#[test]
fn a_loop_that_closes_takes_its_end_along() {
    let worker = LoopThread::spawn("worker").expect("a loop");
    let (sender, receiver) = thread_queue::<i32>(1);
    let served = run_coroutine_threadsafe(async move { receiver.get().await }, &worker);
    worker.join().expect("it does not panic");
    assert_eq!(served.result(), Err(FutureError::Cancelled));
    assert_eq!(sender.put_blocking(42), Err(PutBlockingError::Closed(42)));
    let closed = perloop::run(async { sender.put(42).await });
    assert_eq!(closed.expect("it ends by itself"), Err(QueueClosed(42)));
}
