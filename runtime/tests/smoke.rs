//! First signs of life.
use perloop::*;
use std::time::Duration;

#[test]
fn runs() {
    let v = run(async {
        let t = create_task(async {
            sleep(Duration::from_millis(5)).await;
            42
        });
        yield_now().await;
        t.await.unwrap()
    })
    .unwrap();
    assert_eq!(v, 42);
}

#[test]
fn crosses() {
    let w = LoopThread::spawn("w").unwrap();
    for i in 0..1000 {
        assert_eq!(run_coroutine_threadsafe(async move { i }, &w).result().unwrap(), i);
    }
    let slow = run_coroutine_threadsafe(async { sleep(Duration::from_secs(100)).await }, &w);
    assert_eq!(slow.result_timeout(Duration::from_millis(5)), Err(FutureError::TimedOut));
    assert!(slow.cancel_and_wait().unwrap());
    w.join().unwrap();
}
