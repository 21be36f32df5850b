//! The first program: a thread that owns a loop, and plain code that hands it work.
//!
//! `cargo run --release --example hello`

use std::error::Error;
use std::time::Duration;

use perloop::{LoopThread, create_task, run_coroutine_threadsafe, sleep};

fn main() -> Result<(), Box<dyn Error>> {
    // A thread that owns a loop.
    let worker = LoopThread::spawn("worker")?;

    // From plain, synchronous code: hand work in, block for the answer.
    let answer = async {
        sleep(Duration::from_millis(10)).await;
        6 * 7
    };
    println!("six times seven is {}", run_coroutine_threadsafe(answer, &worker).result()?);

    // Lend what is on the stack: the borrow ends when `block_on` returns.
    let words = String::from("lent for a while");
    println!("{} words were lent", worker.block_on(async { words.split(' ').count() })?);

    // Or be a loop oneself, as `asyncio.run`: other tasks are cancelled and waited for at the end.
    let total = perloop::run(async {
        let tasks: Vec<_> = (1..=3).map(|n| create_task(async move { n * n })).collect();
        let mut total = 0;
        for task in tasks {
            total += task.await?;
        }
        Ok::<i32, perloop::TaskError>(total)
    })??;
    println!("the first three squares make {total}");
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("nothing in it fails");
}
