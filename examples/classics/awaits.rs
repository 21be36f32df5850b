//! One await after the other, against all at once.
//!
//! `cargo run --release --example awaits`; what Python prints: `python3 examples/classics/python.py awaits`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use perloop::{create_task, gather, get_running_loop, sleep};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

type Outcome = Result<(), Box<dyn Error>>;

/// ```python
/// async def brew(what, seconds):
///     await asyncio.sleep(seconds)
///     print(f"{what} is ready")
/// ```
async fn brew(what: &str, seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
    println!("{what} is ready");
}

/// ```python
/// async def in_sequence():
///     await brew("coffee", 0.3)
///     await brew("tea", 0.2)
/// ```
async fn in_sequence() -> Outcome {
    brew("coffee", 0.3).await;
    brew("tea", 0.2).await;
    Ok(())
}

/// A task begins by itself, whatever is awaited meanwhile.
///
/// ```python
/// async def as_tasks():
///     coffee = asyncio.create_task(brew("coffee", 0.3))
///     tea = asyncio.create_task(brew("tea", 0.2))
///     await coffee
///     await tea
/// ```
async fn as_tasks() -> Outcome {
    let coffee = create_task(brew("coffee", 0.3));
    let tea = create_task(brew("tea", 0.2));
    coffee.await?;
    tea.await?;
    Ok(())
}

/// ```python
/// async def gathered():
///     await asyncio.gather(brew("coffee", 0.3), brew("tea", 0.2))
/// ```
async fn gathered() -> Outcome {
    gather([create_task(brew("coffee", 0.3)), create_task(brew("tea", 0.2))]).await?;
    Ok(())
}

/// ```python
/// async def timed(how, body):
///     loop = asyncio.get_running_loop()
///     begin = loop.time()
///     await body
///     print(f"{how}: {loop.time() - begin:.1f} seconds")
/// ```
async fn timed(how: &str, body: impl Future<Output = Outcome>) -> Outcome {
    let event_loop = get_running_loop()?;
    let begin = event_loop.time();
    body.await?;
    println!("{how}: {:.1} seconds", (event_loop.time() - begin).as_secs_f64());
    Ok(())
}

/// ```python
/// async def program():
///     await timed("one after the other", in_sequence())
///     await timed("as tasks", as_tasks())
///     await timed("gathered", gathered())
/// ```
async fn program() -> Outcome {
    timed("one after the other", in_sequence()).await?;
    timed("as tasks", as_tasks()).await?;
    timed("gathered", gathered()).await
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
    expect("awaits", include_str!("awaits.txt"), || {
        clock.run(program()).expect("it runs").expect("nothing fails")
    });
}
