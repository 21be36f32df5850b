//! A rate limiter: an actor that lets so many pass in a second, whoever asks, and in the order in which they ask.
//!
//! `cargo run --release --example limiter`

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use perloop::{Actor, ActorContext, AskError, Handler, LoopThread, get_running_loop, sleep};

const THREADS: usize = 4;
const EACH: usize = 6;

/// A bucket that holds so many tokens, and gets a new one in each interval. Who passes takes one.
struct Limiter {
    tokens: u32,
    interval: Duration,
    /// When it will be full again, by the loop's clock.
    full_at: Duration,
}

impl Limiter {
    fn new(tokens: u32, per_second: u32) -> Self {
        Self { tokens, interval: Duration::from_secs(1) / per_second, full_at: Duration::ZERO }
    }
}

struct Pass;

impl Actor for Limiter {}

impl Handler<Pass> for Limiter {
    type Reply = ();

    /// Replies when the asker may pass. An actor handles one message at a time, so the others wait in its mailbox, in their
    /// order; and when that is full, for room in it.
    async fn handle(&mut self, _: Pass, _: &mut ActorContext<Self>) {
        let now = get_running_loop().expect("an actor lives on one").time();
        // For each token that it lacks it has to wait for one interval.
        let full_at = self.full_at.max(now) + self.interval;
        sleep(full_at.saturating_sub(now + self.interval * self.tokens)).await;
        self.full_at = full_at;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let worker = LoopThread::spawn("limiter")?;
    let limiter = worker.create_actor(|| Limiter::new(4, 50));
    let start = Instant::now();
    thread::scope(|scope| {
        let requests: Vec<_> = (0..THREADS)
            .map(|n| {
                let limiter = limiter.clone();
                scope.spawn(move || {
                    for request in 0..EACH {
                        limiter.ask_blocking(Pass)?;
                        println!("{:4} ms: request {request} of thread {n}", start.elapsed().as_millis());
                    }
                    Ok::<_, AskError>(())
                })
            })
            .collect();
        requests.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    // A task awaits its turn, and may give up.
    let late = perloop::run(perloop::timeout(Duration::from_millis(1), async { limiter.ask(Pass).await }))?;
    println!("one who waits for 1 ms only {}", if late.is_ok() { "passes" } else { "gives up" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use perloop::{EventLoop, create_actor, create_task, gather};

    use super::*;

    #[test]
    fn it_runs() {
        main().expect("nothing in it fails");
    }

    /// Asks so often at once, and gives the times at which the askers passed.
    async fn pass(limiter: &perloop::Address<Limiter>, times: usize) -> Vec<u128> {
        let one = |limiter: perloop::Address<Limiter>| async move {
            limiter.ask(Pass).await.expect("it lives");
            get_running_loop().expect("it runs").time().as_millis()
        };
        let tasks: Vec<_> = (0..times).map(|_| create_task(one(limiter.clone()))).collect();
        gather(tasks).await.expect("none of them fails")
    }

    #[test]
    fn askers_pass_in_order_as_fast_as_tokens_come() {
        let passed = EventLoop::builder().virtual_time().run(async {
            let limiter = create_actor(|| Limiter::new(3, 10));
            let first = pass(&limiter, 6).await;
            sleep(Duration::from_millis(250)).await;
            (first, pass(&limiter, 4).await)
        });
        // Three tokens, and then one each 100 ms. In 250 ms come two and a half.
        let expected = (vec![0, 0, 0, 100, 200, 300], vec![550, 550, 600, 700]);
        assert_eq!(passed.expect("it ends by itself"), expected);
    }
}
