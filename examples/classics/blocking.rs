//! A function that blocks its thread: called in a task it blocks the loop and everything on it; in a thread of its own
//! it blocks nothing.
//!
//! `cargo run --release --example blocking`; what Python prints: `python3 examples/classics/python.py blocking`
//!
//! ```python
//! import asyncio
//! import time
//! from concurrent.futures import ThreadPoolExecutor
//! ```

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use perloop::{ThreadPoolExecutor, create_task, gather, get_running_loop, sleep, to_thread, yield_now};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

/// ```python
/// def square(number):
///     time.sleep(0.2)
///     return number * number
/// ```
fn square(number: i32) -> i32 {
    thread::sleep(Duration::from_millis(200));
    number * number
}

/// Ticks as long as its loop turns. (One tick that was due may come late, so that more than two are wanted.)
///
/// ```python
/// class Clock:
///     def __init__(self):
///         self._ticks = 0
///         self._task = asyncio.create_task(self._tick())
///
///     async def _tick(self):
///         while True:
///             await asyncio.sleep(0.02)
///             self._ticks += 1
///
///     def state(self):
///         ticks, self._ticks = self._ticks, 0
///         return "went on" if ticks > 2 else "stood still"
/// ```
struct Clock(Rc<Cell<u32>>);

impl Clock {
    fn start() -> Self {
        let ticks = Rc::new(Cell::new(0));
        let in_task = Rc::clone(&ticks);
        create_task(async move {
            loop {
                sleep(Duration::from_millis(20)).await;
                in_task.set(in_task.get() + 1);
            }
        });
        Self(ticks)
    }

    fn state(&self) -> &'static str {
        if self.0.take() > 2 { "went on" } else { "stood still" }
    }
}

/// ```python
/// async def program():
///     clock = Clock()
///     await asyncio.sleep(0)
///
///     number = square(2)
///     print(f"in the task: {number}; the clock {clock.state()}")
///
///     number = await asyncio.to_thread(square, 3)
///     print(f"by to_thread: {number}; the clock {clock.state()}")
///
///     loop = asyncio.get_running_loop()
///     with ThreadPoolExecutor(max_workers=2) as pool:
///         numbers = await asyncio.gather(*[loop.run_in_executor(pool, square, n) for n in range(4, 7)])
///     print(f"by a pool of two: {numbers}; the clock {clock.state()}")
/// ```
async fn program() -> Result<(), Box<dyn Error>> {
    let clock = Clock::start();
    yield_now().await;

    let number = square(2);
    println!("in the task: {number}; the clock {}", clock.state());

    let number = to_thread(|| square(3)).await?;
    println!("by to_thread: {number}; the clock {}", clock.state());

    let event_loop = get_running_loop()?;
    let pool = ThreadPoolExecutor::builder().max_workers(2).build();
    let in_pool = |n| event_loop.run_in_executor(Some(&pool), move || square(n));
    let numbers = gather((4..7).map(in_pool).collect::<Result<Vec<_>, _>>()?).await?;
    println!("by a pool of two: {numbers:?}; the clock {}", clock.state());
    Ok(())
}

/// ```python
/// asyncio.run(program())
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    perloop::run(program())?
}

#[test]
fn it_prints_what_python_prints() {
    expect("blocking", include_str!("blocking.txt"), || main().expect("nothing fails"));
}
