//! `gather`: factorials that are computed at the same time, in groups of groups, and in batches.
//!
//! `cargo run --release --example gather`; what Python prints: `python3 examples/classics/python.py gather`
//!
//! ```python
//! import asyncio
//! ```

use std::error::Error;
use std::time::Duration;

use perloop::{TaskError, create_task, gather, sleep};
#[cfg(test)]
use perloop_examples::{classics::expect, recorded_println as println};

/// Each factor is a step, and between two steps the others run.
///
/// ```python
/// async def factorial(name, number):
///     product = 1
///     for factor in range(2, number + 1):
///         print(f"{name}: {product} times {factor}")
///         await asyncio.sleep(0.01)
///         product *= factor
///     print(f"{name}: {number}! is {product}")
///     return product
/// ```
async fn factorial(name: &'static str, number: u64) -> u64 {
    let mut product = 1;
    for factor in 2..=number {
        println!("{name}: {product} times {factor}");
        sleep(Duration::from_millis(10)).await;
        product *= factor;
    }
    println!("{name}: {number}! is {product}");
    product
}

/// The values come in the order of the arguments. asyncio makes tasks of coroutines by itself; here one says so.
///
/// ```python
/// async def together():
///     products = await asyncio.gather(factorial("A", 2), factorial("B", 3), factorial("C", 4))
///     print("together:", products)
/// ```
async fn together() -> Result<(), TaskError> {
    let three = [("A", 2), ("B", 3), ("C", 4)];
    let products = gather(three.map(|(name, number)| create_task(factorial(name, number)))).await?;
    println!("together: {products:?}");
    Ok(())
}

/// What `gather` gives can be gathered again.
///
/// ```python
/// async def nested():
///     small = asyncio.gather(factorial("A", 1), factorial("B", 2))
///     large = asyncio.gather(factorial("C", 2), factorial("D", 3))
///     print("nested:", await asyncio.gather(small, large))
/// ```
async fn nested() -> Result<(), TaskError> {
    let small = gather([create_task(factorial("A", 1)), create_task(factorial("B", 2))]);
    let large = gather([create_task(factorial("C", 2)), create_task(factorial("D", 3))]);
    println!("nested: {:?}", gather([small, large]).await?);
    Ok(())
}

/// Not more than two at a time.
///
/// ```python
/// async def batched():
///     numbers, products = [("A", 1), ("B", 2), ("C", 3), ("D", 2), ("E", 3)], []
///     for first in range(0, len(numbers), 2):
///         batch = numbers[first:first + 2]
///         products += await asyncio.gather(*[factorial(name, number) for name, number in batch])
///         print("so far:", products)
/// ```
async fn batched() -> Result<(), TaskError> {
    let (numbers, mut products) = ([("A", 1), ("B", 2), ("C", 3), ("D", 2), ("E", 3)], Vec::new());
    for batch in numbers.chunks(2) {
        let factorials = batch.iter().map(|&(name, number)| create_task(factorial(name, number)));
        products.extend(gather(factorials).await?);
        println!("so far: {products:?}");
    }
    Ok(())
}

/// ```python
/// async def program():
///     await together()
///     await nested()
///     await batched()
/// ```
async fn program() -> Result<(), TaskError> {
    together().await?;
    nested().await?;
    batched().await
}

/// ```python
/// asyncio.run(program())
/// ```
fn main() -> Result<(), Box<dyn Error>> {
    Ok(perloop::run(program())??)
}

#[test]
fn it_prints_what_python_prints() {
    expect("gather", include_str!("gather.txt"), || main().expect("nothing fails"));
}
