//! Loops and threads: a new thread has no loop, and how it gets one; a loop in another thread, which plain code feeds.
//!
//! `cargo run --release --example threads`; what Python prints: `python3 examples/classics/python.py threads`
//!
//! ```python
//! import asyncio
//! import threading
//! ```

use std::error::Error;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use perloop::{
    LoopError, LoopHandle, get_event_loop, new_event_loop, run_coroutine_threadsafe, set_event_loop, sleep,
};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

/// The thread of a loop.
type Living = JoinHandle<Result<(), LoopError>>;

/// ```python
/// async def answer():
///     await asyncio.sleep(0.05)
///     return 42
/// ```
async fn answer() -> i32 {
    sleep(Duration::from_millis(50)).await;
    42
}

/// Only the main thread is given a loop by being asked for it.
///
/// ```python
/// def without_loop():
///     try:
///         asyncio.get_event_loop()
///     except RuntimeError:
///         print("no event loop in thread", threading.current_thread().name)
/// ```
fn without_loop() {
    if let Err(error) = get_event_loop() {
        println!("no event loop in thread {}", error.thread_name());
    }
}

/// The cure.
///
/// ```python
/// def with_loop():
///     asyncio.set_event_loop(asyncio.new_event_loop())
///     loop = asyncio.get_event_loop()
///     print("its own loop says", loop.run_until_complete(answer()))
///     loop.close()
/// ```
fn with_loop() -> Result<(), Box<dyn Error>> {
    set_event_loop(Some(&new_event_loop()?));
    let event_loop = get_event_loop()?;
    println!("its own loop says {}", event_loop.run_until_complete(answer())?);
    event_loop.close()?;
    Ok(())
}

/// A loop belongs to the thread that makes it; what goes to other threads is its handle. [`perloop::LoopThread`] is all
/// of this in one line.
///
/// ```python
/// def start_loop():
///     loop = asyncio.new_event_loop()
///
///     def live():
///         asyncio.set_event_loop(loop)
///         loop.run_forever()
///         loop.close()
///         print("the loop is closed")
///
///     thread = threading.Thread(target=live, name="worker")
///     thread.start()
///     return loop, thread
/// ```
fn start_loop() -> Result<(LoopHandle, Living), Box<dyn Error>> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let thread = thread::Builder::new().name("worker".to_owned()).spawn(move || {
        let event_loop = new_event_loop().map_err(LoopError::Io)?;
        set_event_loop(Some(&event_loop));
        drop(sender.send(event_loop.handle()));
        event_loop.run_forever()?;
        event_loop.close().expect("it does not run any more");
        println!("the loop is closed");
        Ok(())
    })?;
    Ok((receiver.recv()?, thread))
}

/// ```python
/// def feed():
///     loop, thread = start_loop()
///     endless = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
///     endless.cancel()
///     print("cancelled from here" if endless.cancelled() else "not cancelled")
///     futures = [asyncio.run_coroutine_threadsafe(answer(), loop) for _ in range(3)]
///     print("three answers make", sum(future.result() for future in futures))
///     loop.call_soon_threadsafe(print, "called over there")
///     loop.call_soon_threadsafe(loop.stop)
///     thread.join()
/// ```
fn feed() -> Result<(), Box<dyn Error>> {
    let (handle, thread) = start_loop()?;
    let endless = run_coroutine_threadsafe(sleep(Duration::MAX), &handle);
    endless.cancel();
    println!("{}", if endless.cancelled() { "cancelled from here" } else { "not cancelled" });
    let futures = [(); 3].map(|()| run_coroutine_threadsafe(answer(), &handle));
    let mut sum = 0;
    for future in &futures {
        sum += future.result()?;
    }
    println!("three answers make {sum}");
    handle.call_soon_threadsafe(|| println!("called over there"))?;
    handle.stop();
    Ok(thread.join().expect("it does not panic")?)
}

/// ```python
/// for target in (without_loop, with_loop):
///     thread = threading.Thread(target=target, name="newcomer")
///     thread.start()
///     thread.join()
/// feed()
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    let newcomer = || thread::Builder::new().name("newcomer".to_owned());
    newcomer().spawn(without_loop)?.join().expect("it does not panic");
    newcomer().spawn(|| with_loop().expect("nothing fails"))?.join().expect("it does not panic");
    feed()
}

#[test]
fn it_prints_what_python_prints() {
    expect("threads", include_str!("threads.txt"), || main().expect("nothing fails"));
}
