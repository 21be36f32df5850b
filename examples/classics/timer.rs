//! A timer that calls a coroutine when its time has come, unless it is cancelled.
//!
//! `cargo run --release --example timer`; what Python prints: `python3 examples/classics/python.py timer`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use perloop::{Task, create_task, sleep};
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
/// async def program():
///     timer = Timer(0.2, ring)
///     await asyncio.sleep(0.4)
///
///     timer = Timer(0.2, ring)
///     await asyncio.sleep(0.1)
///     timer.cancel()
///     await asyncio.sleep(0.2)
///     print("the second was cancelled in time")
/// ```
async fn program() {
    let _timer = Timer::new(0.2, ring);
    sleep(Duration::from_millis(400)).await;

    let timer = Timer::new(0.2, ring);
    sleep(Duration::from_millis(100)).await;
    timer.cancel();
    sleep(Duration::from_millis(200)).await;
    println!("the second was cancelled in time");
}

/// ```python
/// asyncio.run(program())
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    Ok(perloop::run(program())?)
}

#[test]
fn it_prints_what_python_prints() {
    let clock = perloop::EventLoop::builder().virtual_time();
    expect("timer", include_str!("timer.txt"), || clock.run(program()).expect("it runs"));
}
