//! A timer, which calls a coroutine when its time has come unless it is cancelled; and an asynchronous context manager
//! that times its body.
//!
//! `cargo run --release --example timer`; what Python prints: `python3 examples/classics/python.py timer`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use perloop::{BodyEnd, ReturnWhen, Task, async_with, create_task, get_running_loop, sleep, wait};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

/// ```python
/// class Timer:
///     def __init__(self, seconds, callback):
///         self._task = asyncio.create_task(self._wait(seconds, callback))
///
///     async def _wait(self, seconds, callback):
///         await asyncio.sleep(seconds)
///         await callback()
///
///     def cancel(self):
///         self._task.cancel()
/// ```
struct Timer {
    task: Task<()>,
}

impl Timer {
    fn new<F: Future>(seconds: f64, callback: impl FnOnce() -> F + 'static) -> Self {
        let task = create_task(async move {
            sleep(Duration::from_secs_f64(seconds)).await;
            callback().await;
        });
        Self { task }
    }

    fn cancel(&self) {
        self.task.cancel();
    }
}

/// ```python
/// async def ring():
///     print("the bell rings")
///     await asyncio.sleep(0.1)
///     print("the bell is silent")
/// ```
async fn ring() {
    println!("the bell rings");
    sleep(Duration::from_millis(100)).await;
    println!("the bell is silent");
}

/// ```python
/// async def set_timers():
///     timer = Timer(0.2, ring)
///     await asyncio.sleep(0.4)
///
///     timer = Timer(0.2, ring)
///     await asyncio.sleep(0.1)
///     timer.cancel()
///     await asyncio.sleep(0.2)
///     print("the second was cancelled in time")
/// ```
async fn set_timers() {
    let _timer = Timer::new(0.2, ring);
    sleep(Duration::from_millis(400)).await;

    let timer = Timer::new(0.2, ring);
    sleep(Duration::from_millis(100)).await;
    timer.cancel();
    sleep(Duration::from_millis(200)).await;
    println!("the second was cancelled in time");
}

/// What Python writes as a class with `__aenter__` and `__aexit__` is a function around [`async_with`] here. The exit
/// runs however the body is left, and may await.
///
/// ```python
/// class Timed:
///     def __init__(self, what):
///         self._what = what
///
///     async def __aenter__(self):
///         self._begin = asyncio.get_running_loop().time()
///
///     async def __aexit__(self, exception_type, exception, traceback):
///         seconds = asyncio.get_running_loop().time() - self._begin
///         await asyncio.sleep(0.1)
///         how = "was left by an exception" if exception_type else "ended"
///         print(f"{self._what} {how} after {seconds:.1f} seconds")
/// ```
async fn timed<R>(what: &str, body: impl AsyncFnOnce() -> R) -> R {
    let event_loop = get_running_loop().expect("it is awaited on a loop");
    let exit = async |begin, ended| {
        let seconds = (event_loop.time() - begin).as_secs_f64();
        sleep(Duration::from_millis(100)).await;
        let how = if matches!(ended, BodyEnd::Returned(_)) { "ended" } else { "was left by an exception" };
        println!("{what} {how} after {seconds:.1} seconds");
        ended
    };
    async_with(event_loop.time(), async |_| body().await, exit).await
}

/// ```python
/// async def time_bodies():
///     async with Timed("a nap"):
///         await asyncio.sleep(0.2)
///
///     async def hibernate():
///         async with Timed("the winter"):
///             await asyncio.sleep(3600)
///
///     bear = asyncio.create_task(hibernate())
///     await asyncio.sleep(0.3)
///     bear.cancel()
///     await asyncio.wait([bear])
/// ```
async fn time_bodies() -> Result<(), Box<dyn Error>> {
    timed("a nap", async || sleep(Duration::from_millis(200)).await).await;

    let bear = create_task(timed("the winter", async || sleep(Duration::from_secs(3600)).await));
    sleep(Duration::from_millis(300)).await;
    bear.cancel();
    wait([&bear], ReturnWhen::AllCompleted, None).await?;
    Ok(())
}

/// ```python
/// async def program():
///     await set_timers()
///     await time_bodies()
/// ```
async fn program() -> Result<(), Box<dyn Error>> {
    set_timers().await;
    time_bodies().await
}

/// ```python
/// asyncio.run(program())
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    perloop::run(program())?
}

#[test]
fn it_prints_what_python_prints() {
    let clock = perloop::EventLoop::builder().virtual_time();
    expect("timer", include_str!("timer.txt"), || {
        clock.run(program()).expect("it runs").expect("nothing fails")
    });
}
