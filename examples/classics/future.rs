//! A future that a slow operation fills, waited for by the loop, and by a callback that stops the loop.
//!
//! `cargo run --release --example future`; what Python prints: `python3 examples/classics/python.py future`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::time::Duration;

use perloop::{EventLoop, LoopFuture, new_event_loop, sleep};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

/// ```python
/// async def slow_operation(future):
///     print("the slow operation begins")
///     await asyncio.sleep(0.1)
///     future.set_result("forty-two")
/// ```
async fn slow_operation(future: LoopFuture<&'static str>) {
    println!("the slow operation begins");
    sleep(Duration::from_millis(100)).await;
    future.set_result("forty-two").expect("nobody else sets it");
}

/// Clones are the same future: one for who sets it, one for who waits.
///
/// ```python
/// def wait_for_it(loop):
///     future = loop.create_future()
///     loop.create_task(slow_operation(future))
///     print("the loop gives", loop.run_until_complete(future))
/// ```
fn wait_for_it(event_loop: &EventLoop) -> Result<(), Box<dyn Error>> {
    let future = event_loop.create_future();
    event_loop.create_task(slow_operation(future.clone()))?;
    println!("the loop gives {}", event_loop.run_until_complete(future)??);
    Ok(())
}

/// ```python
/// def be_told(loop):
///     def got_result(future):
///         print("the callback gets", future.result())
///         loop.stop()
///
///     future = loop.create_future()
///     future.add_done_callback(got_result)
///     loop.create_task(slow_operation(future))
///     loop.run_forever()
///     print("the loop has stopped")
/// ```
fn be_told(event_loop: &EventLoop) -> Result<(), Box<dyn Error>> {
    let stopped_by_it = event_loop.clone();
    let got_result = move |future: &LoopFuture<&str>| {
        println!("the callback gets {}", future.result().expect("it was set"));
        stopped_by_it.stop();
    };
    let future = event_loop.create_future();
    future.add_done_callback(got_result);
    event_loop.create_task(slow_operation(future))?;
    event_loop.run_forever()?;
    println!("the loop has stopped");
    Ok(())
}

fn program(event_loop: &EventLoop) -> Result<(), Box<dyn Error>> {
    wait_for_it(event_loop)?;
    be_told(event_loop)?;
    event_loop.close()?;
    Ok(())
}

/// ```python
/// loop = asyncio.new_event_loop()
/// wait_for_it(loop)
/// be_told(loop)
/// loop.close()
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    program(&new_event_loop()?)
}

#[test]
fn it_prints_what_python_prints() {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    expect("future", include_str!("future.txt"), || program(&event_loop).expect("nothing fails"));
}
