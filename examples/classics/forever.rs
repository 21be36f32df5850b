//! A loop that runs until Ctrl-C: `run`, which takes care of it, and `run_forever` with all of it by hand: tasks by
//! `ensure_future` and `create_task`, the interrupt, clean-up, and `close`.
//!
//! `cargo run --release --example forever`; what Python prints: `python3 examples/classics/python.py forever`
//!
//! ```python
//! import asyncio
//! import signal
//! ```

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use perloop::{
    EventLoop, LoopFuture, RunError, catch_cancelled, gather_outcomes, new_event_loop, sleep, yield_now,
};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::{pipe, raise};

/// Works for ever; its `finally` may await.
///
/// ```python
/// async def worker(name, seconds):
///     try:
///         while True:
///             print(f"{name} works")
///             await asyncio.sleep(seconds)
///     finally:
///         await asyncio.sleep(0)
///         print(f"{name} has cleaned up")
/// ```
async fn worker(name: &str, seconds: f64) {
    let Err(cancelled) = catch_cancelled(async {
        loop {
            println!("{name} works");
            sleep(Duration::from_secs_f64(seconds)).await;
        }
    })
    .await;
    yield_now().await;
    println!("{name} has cleaned up");
    match cancelled.raise().await {}
}

/// Stands for somebody at the keyboard.
///
/// ```python
/// def press_ctrl_c_after(loop, seconds):
///     loop.call_later(seconds, signal.raise_signal, signal.SIGINT)
/// ```
fn press_ctrl_c_after(event_loop: &EventLoop, seconds: f64) -> Result<(), perloop::LoopClosed> {
    let press = || raise(SIGINT).expect("a signal can be raised");
    event_loop.call_later(Duration::from_secs_f64(seconds), press)?;
    Ok(())
}

/// Ctrl-C cancels the main task, and `run` says that it did.
///
/// ```python
/// def run():
///     async def main():
///         press_ctrl_c_after(asyncio.get_running_loop(), 0.3)
///         await worker("main", 0.2)
///
///     try:
///         asyncio.run(main())
///     except KeyboardInterrupt:
///         print("run was interrupted")
/// ```
fn run() -> Result<(), Box<dyn Error>> {
    let main = async {
        press_ctrl_c_after(&perloop::get_running_loop()?, 0.3)?;
        worker("main", 0.2).await;
        Ok::<(), Box<dyn Error>>(())
    };
    match perloop::run(main) {
        Err(RunError::Interrupted(_)) => println!("run was interrupted"),
        ended => ended??,
    }
    Ok(())
}

/// A loop that one runs by hand leaves signals alone, so Ctrl-C is a reader like any other: what asyncio's
/// `loop.add_signal_handler(SIGINT, loop.stop)` does.
fn stop_on_ctrl_c(event_loop: &EventLoop) -> Result<(), Box<dyn Error>> {
    let (came, comes) = UnixStream::pair()?;
    pipe::register(SIGINT, comes)?;
    let stopped_by_it = event_loop.clone();
    event_loop.add_reader(came.try_clone()?, move || {
        stopped_by_it.remove_reader(&came);
        println!("interrupted");
        stopped_by_it.stop();
    })?;
    Ok(())
}

/// ```python
/// def run_forever():
///     loop = asyncio.new_event_loop()
///     asyncio.set_event_loop(loop)
///     tasks = [
///         asyncio.ensure_future(worker("first", 0.2)),
///         loop.create_task(worker("second", 3600)),
///     ]
///     press_ctrl_c_after(loop, 0.3)
///     try:
///         loop.run_forever()
///     except KeyboardInterrupt:
///         print("interrupted")
///     finally:
///         for task in tasks:
///             task.cancel()
///         loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
///         loop.close()
///         print("the loop is closed")
/// ```
fn run_forever() -> Result<(), Box<dyn Error>> {
    let event_loop = new_event_loop()?;
    let first = event_loop.create_task(worker("first", 0.2))?;
    let second = event_loop.create_task(worker("second", 3600.0))?;
    let tasks: [LoopFuture<()>; 2] = [event_loop.ensure_future(first)?, second.into()];
    stop_on_ctrl_c(&event_loop)?;
    press_ctrl_c_after(&event_loop, 0.3)?;
    event_loop.run_forever()?;
    for task in &tasks {
        task.cancel();
    }
    event_loop.run_until_complete(gather_outcomes(tasks))??;
    event_loop.close()?;
    println!("the loop is closed");
    Ok(())
}

fn program() -> Result<(), Box<dyn Error>> {
    run()?;
    run_forever()
}

/// ```python
/// run()
/// run_forever()
/// ```
#[cfg(not(test))]
fn main() -> Result<(), Box<dyn Error>> {
    program()
}

/// The test is the whole process, as only the main thread's `run` takes Ctrl-C.
#[cfg(test)]
fn main() {
    hear_ctrl_c();
    expect("forever", include_str!("forever.txt"), || program().expect("nothing fails"));
}

/// A shell's background jobs are started with Ctrl-C ignored, which perloop and Python leave so.
#[cfg(test)]
fn hear_ctrl_c() {
    // SAFETY: it gives the signal its default effect.
    unsafe { libc::signal(SIGINT, libc::SIG_DFL) };
}
