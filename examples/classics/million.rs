//! One million tasks that are all asleep at once: what one of them costs.
//!
//! `cargo run --release --example million -- [COUNT]`; the same in Python, which wants 2 GB for it:
//! `python3 examples/classics/python.py million [COUNT]`
//!
//! ```python
//! import asyncio
//! import sys
//! import time
//! ```

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fs};

use perloop::{create_task, gather, sleep, yield_now};
#[cfg(test)]
use perloop_examples::{classics, recorded_println as println};

/// The memory that the system has given to this process, where it tells (Linux).
///
/// ```python
/// def resident_bytes():
///     try:
///         with open("/proc/self/status") as status:
///             return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
///     except OSError:
///         return None
/// ```
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024 * line.split_whitespace().next()?.parse::<i64>().ok()?)
}

/// When the program goes on after its first await, all have begun and fallen asleep.
///
/// ```python
/// async def program(count):
///     begin, before = time.perf_counter(), resident_bytes()
///     tasks = [asyncio.create_task(asyncio.sleep(1)) for _ in range(count)]
///     await asyncio.sleep(0)
///     asleep, after = time.perf_counter() - begin, resident_bytes()
///     await asyncio.gather(*tasks)
///     print("tasks:", count)
///     print("bytes a task:", "unknown" if after is None else (after - before) // count)
///     print(f"seconds until all slept: {asleep:.3f}")
///     print(f"seconds until all ended: {time.perf_counter() - begin:.3f}")
/// ```
async fn program(count: i64) -> Result<(), Box<dyn Error>> {
    let (begin, before) = (Instant::now(), resident_bytes());
    let tasks: Vec<_> = (0..count).map(|_| create_task(sleep(Duration::from_secs(1)))).collect();
    yield_now().await;
    let (asleep, after) = (begin.elapsed(), resident_bytes());
    gather(tasks).await?;
    let bytes = after.zip(before).map(|(after, before)| (after - before) / count);
    println!("tasks: {count}");
    println!("bytes a task: {}", bytes.map_or("unknown".to_owned(), |bytes| bytes.to_string()));
    println!("seconds until all slept: {:.3}", asleep.as_secs_f64());
    println!("seconds until all ended: {:.3}", begin.elapsed().as_secs_f64());
    Ok(())
}

/// ```python
/// asyncio.run(program(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    let count = env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    perloop::run(program(count))?
}

/// The figures are the machine's, the words are the same.
#[test]
fn it_prints_what_python_prints() {
    let labels = |printed: String| -> Vec<String> {
        let lines = printed.lines().map(|line| line.split_once(": ").expect("a label and a figure"));
        lines
            .inspect(|(_, figure)| assert!(*figure == "unknown" || figure.parse::<f64>().is_ok()))
            .map(|(label, _)| label.to_owned())
            .collect()
    };
    let clock = perloop::EventLoop::builder().virtual_time();
    let printed =
        classics::printed_by(|| clock.run(program(10_000)).expect("it runs").expect("nothing fails"));
    let expected = ["tasks", "bytes a task", "seconds until all slept", "seconds until all ended"];
    assert_eq!(labels(printed), expected);
    if let Some(printed) = classics::printed_by_python("million", &["1000"]) {
        assert_eq!(labels(printed), expected);
    }
}
