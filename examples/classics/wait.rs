//! Waiting with conditions and limits: `wait` until enough are done, `wait_for` until a deadline, and `shield` with its
//! trap.
//!
//! `cargo run --release --example wait`; what Python prints: `python3 examples/classics/python.py wait`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::time::Duration;

use perloop::{
    DoneAndPending, ReturnWhen, catch_cancelled, create_task, gather_outcomes, shield, sleep, wait, wait_for,
};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

type Outcome = Result<(), Box<dyn Error>>;

/// ```python
/// async def work(name, seconds):
///     try:
///         await asyncio.sleep(seconds)
///     except asyncio.CancelledError:
///         print(f"{name} is cancelled")
///         raise
///     if name == "broken":
///         raise ValueError(name)
///     return name
/// ```
async fn work(name: &'static str, seconds: f64) -> &'static str {
    if let Err(cancelled) = catch_cancelled(sleep(Duration::from_secs_f64(seconds))).await {
        println!("{name} is cancelled");
        match cancelled.raise().await {}
    }
    assert_ne!(name, "broken", "an exception that `wait` sees is a panic");
    name
}

const JOBS: [(&str, f64); 3] = [("quick", 0.1), ("broken", 0.2), ("slow", 0.3)];

/// `wait` gives places in the list, where asyncio gives sets of tasks. Neither a condition nor the timeout cancels what
/// is pending.
///
/// ```python
/// async def with_condition(words, condition, timeout=None):
///     jobs = [("quick", 0.1), ("broken", 0.2), ("slow", 0.3)]
///     tasks = [asyncio.create_task(work(*job)) for job in jobs]
///     done, pending = await asyncio.wait(tasks, return_when=condition, timeout=timeout)
///     names = [name for (name, _), task in zip(jobs, tasks) if task in done]
///     print(f"{words}: {' and '.join(names)}; pending: {len(pending)}")
///     await asyncio.gather(*tasks, return_exceptions=True)
/// ```
async fn with_condition(words: &str, condition: ReturnWhen, timeout: Option<Duration>) -> Outcome {
    let tasks = JOBS.map(|(name, seconds)| create_task(work(name, seconds)));
    let DoneAndPending { done, pending } = wait(&tasks, condition, timeout).await?;
    let names: Vec<_> = done.iter().map(|&place| JOBS[place].0).collect();
    println!("{words}: {}; pending: {}", names.join(" and "), pending.len());
    gather_outcomes(tasks).await?;
    Ok(())
}

/// ```python
/// async def impatient():
///     try:
///         await asyncio.wait_for(work("endless", 3600), 0.1)
///     except asyncio.TimeoutError:
///         print("wait_for has given up")
/// ```
async fn impatient() {
    if wait_for(create_task(work("endless", 3600.0)), Duration::from_millis(100)).await.is_err() {
        println!("wait_for has given up");
    }
}

/// ```python
/// async def shielded():
///     saving = asyncio.create_task(work("saving", 0.2))
///     try:
///         await asyncio.wait_for(asyncio.shield(saving), 0.1)
///     except asyncio.TimeoutError:
///         print("nobody waits for saving just now")
///     print(await saving, "has gone on, and is done")
/// ```
async fn shielded() -> Outcome {
    let saving = perloop::ensure_future(create_task(work("saving", 0.2)));
    if wait_for(shield(&saving), Duration::from_millis(100)).await.is_err() {
        println!("nobody waits for saving just now");
    }
    println!("{} has gone on, and is done", saving.await?);
    Ok(())
}

/// The trap: a shield keeps the request from what is behind it, not from who waits before it. And nobody has what is
/// behind it now: nobody hears of its end, and the end of the program cancels it.
///
/// ```python
/// async def trapped():
///     async def save():
///         await asyncio.shield(work("unkept", 3600))
///         print("this is never printed")
///
///     saving = asyncio.create_task(save())
///     await asyncio.sleep(0.1)
///     saving.cancel()
///     try:
///         await saving
///     except asyncio.CancelledError:
///         print("who waits before the shield is cancelled")
/// ```
async fn trapped() -> Outcome {
    let saving = create_task(async {
        shield(create_task(work("unkept", 3600.0))).await?;
        println!("this is never printed");
        Ok::<(), perloop::TaskError>(())
    });
    sleep(Duration::from_millis(100)).await;
    saving.cancel();
    if saving.await.is_err_and(|error| error.is_cancelled()) {
        println!("who waits before the shield is cancelled");
    }
    Ok(())
}

/// ```python
/// async def program():
///     await with_condition("the first", asyncio.FIRST_COMPLETED)
///     await with_condition("up to the first exception", asyncio.FIRST_EXCEPTION)
///     await with_condition("all", asyncio.ALL_COMPLETED)
///     await with_condition("in time", asyncio.ALL_COMPLETED, 0.25)
///     await impatient()
///     await shielded()
///     await trapped()
///     print("the program ends")
/// ```
async fn program() -> Outcome {
    with_condition("the first", ReturnWhen::FirstCompleted, None).await?;
    with_condition("up to the first exception", ReturnWhen::FirstException, None).await?;
    with_condition("all", ReturnWhen::AllCompleted, None).await?;
    with_condition("in time", ReturnWhen::AllCompleted, Some(Duration::from_millis(250))).await?;
    impatient().await;
    shielded().await?;
    trapped().await?;
    println!("the program ends");
    Ok(())
}

/// ```python
/// asyncio.run(program())
/// ```
fn main() -> Outcome {
    perloop::run(program())?
}

#[test]
fn it_prints_what_python_prints() {
    let clock = perloop::EventLoop::builder().virtual_time();
    expect("wait", include_str!("wait.txt"), || {
        clock.run(program()).expect("it runs").expect("nothing fails")
    });
}
