//! Many threads and loops at once, with exact accounts: see `support::Ledger`.
mod support;

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use perloop_bridge::{CrossThreadFuture, Remote, Spin};
use support::{Dice, End, Ledger, LoopThread, MEANT, Owned, hush};

/// A body that waits for `polls` polls, and then ends or panics.
fn submit(remote: &Remote, ledger: &Ledger, polls: u64, panics: bool) -> CrossThreadFuture<Owned> {
    let mut owned = Some(ledger.owned());
    let mut left = polls;
    remote.submit::<(), _>(
        (),
        std::future::poll_fn(move |cx| {
            owned.as_mut().unwrap().begin();
            if left > 0 {
                left -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if panics {
                panic_any(MEANT);
            }
            Poll::Ready(owned.take().unwrap().leave())
        }),
    )
}

/// Submits, and does with the future one of the things that can be done with it.
fn submit_one(remote: &Remote, ledger: &Ledger, number: usize, dice: &mut Dice) {
    let future = submit(remote, ledger, dice.below(3), dice.below(4) == 0);
    match dice.below(4) {
        0 => {
            let _ = future.cancel();
            ledger.end(number, End::of(&future.result()));
        }
        1 => {
            let told = ledger.clone();
            future.add_done_callback(move |future| {
                told.end(number, End::of(&future.try_result().expect("it is done")));
            });
        }
        2 => match future.result_timeout(Duration::from_micros(dice.below(50))) {
            Err(error) if error.is_retryable() => {
                let _ = future.cancel_and_wait().unwrap();
                ledger.end(number, End::of(&future.result()));
            }
            outcome => ledger.end(number, End::of(&outcome)),
        },
        _ => ledger.end(number, End::of(&future.result())),
    }
}

fn submit_many(remote: &Remote, ledger: &Ledger, numbers: std::ops::Range<usize>) {
    let mut dice = Dice(numbers.start as u64 + 1);
    for number in numbers {
        submit_one(remote, ledger, number, &mut dice);
    }
}

/// Four threads submit to two loops: completed, cancelled from here, panicked, in all mixtures.
#[test]
fn each_submission_ends_in_exactly_one_way() {
    const EACH: usize = 10_000;
    hush();
    let ledger = Ledger::new(4 * EACH);
    let loops = [LoopThread::start(), LoopThread::start_with(Spin::Never)];
    thread::scope(|scope| {
        for index in 0..4 {
            let (remote, ledger) = (&loops[index % 2].remote, &ledger);
            scope.spawn(move || submit_many(remote, ledger, index * EACH..(index + 1) * EACH));
        }
    });
    drop(loops);
    let [completed, cancelled, panicked, refused, 0] = ledger.check() else { panic!("none of them died") };
    // Those that nobody waited for may be refused, as the loops close without waiting either.
    assert!(completed > 0 && cancelled > 0 && panicked > 0, "{refused}");
}

/// Hands a body in that is given back if the loop is closed: the very one, by the address of what it owns.
fn try_submit_one(remote: &Remote, ledger: &Ledger, number: usize) {
    let owned = Box::new(ledger.owned());
    let address: *const Owned = &*owned;
    let body = Body(Some(owned));
    match remote.try_submit::<(), _>((), body) {
        Ok(future) => ledger.end(number, End::of(&future.result())),
        Err(refused) => {
            let back = refused.into_inner().0.expect("it was never polled");
            assert!(std::ptr::eq(&*back, address), "another body came back");
            ledger.end(number, End::Refused);
        }
    }
}

/// A body whose parts can be looked at when it comes back.
struct Body(Option<Box<Owned>>);

impl Future for Body {
    type Output = Owned;

    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Owned> {
        let mut owned = self.0.take().expect("polled once");
        owned.begin();
        Poll::Ready(owned.leave())
    }
}

/// Submissions of one thread, in all kinds, until the loop refuses them and for a while longer.
fn submit_against_close(remote: &Remote, ledger: &Ledger, numbers: std::ops::Range<usize>) {
    let mut dice = Dice(numbers.start as u64 + 1);
    for number in numbers {
        match dice.below(2) {
            0 => submit_one(remote, ledger, number, &mut dice),
            _ => try_submit_one(remote, ledger, number),
        }
    }
}

/// Eight threads submit while the loop closes at some moment of it: each submission ends in exactly one way, what came
/// too late comes back as it was, and the close does not wait for those who submit.
#[test]
fn s_submit_racing_close() {
    const THREADS: usize = 8;
    const EACH: usize = 6;
    hush();
    let mut dice = Dice(7);
    let mut sums = [0; 5];
    for round in 0..1_000 {
        let ledger = Ledger::new(THREADS * EACH);
        let looping = LoopThread::start_with(if round % 2 == 0 { Spin::Never } else { Spin::Adaptive });
        let (started, threshold) = (AtomicUsize::new(0), dice.index(THREADS + 1));
        thread::scope(|scope| {
            for index in 0..THREADS {
                let (remote, ledger, started) = (&looping.remote, &ledger, &started);
                scope.spawn(move || {
                    started.fetch_add(1, SeqCst);
                    submit_against_close(remote, ledger, index * EACH..(index + 1) * EACH);
                });
            }
            while started.load(SeqCst) < threshold {
                thread::yield_now();
            }
            looping.stop();
        });
        drop(looping);
        for (sum, count) in sums.iter_mut().zip(ledger.check()) {
            *sum += count;
        }
    }
    let [ends @ .., 0] = sums else { panic!("none of them died") };
    assert!(ends.iter().all(|sum| *sum > 0), "each other way to end was met: {sums:?}");
}

/// What comes back from a loop that is closed is what was handed in, and is dropped here.
#[test]
fn a_refused_submission_comes_back() {
    let looping = LoopThread::start();
    let remote = looping.remote.clone();
    drop(looping);
    let ledger = Ledger::new(0);
    let owned = ledger.owned();
    let refused = remote.try_submit::<(), _>((), async move { drop(owned) }).unwrap_err();
    assert!(remote.is_closed() && refused.reason().to_string().contains("is closed"));
    drop(refused.into_inner());
    let owned = ledger.owned();
    let refused = remote.call(move || drop(owned)).unwrap_err();
    (refused.into_inner())();
    ledger.check();
}

/// Three loops hand work to each other, all to all, while they run.
#[test]
fn loops_submit_to_each_other() {
    const EACH: usize = 2_000;
    let loops = [(); 3].map(|()| LoopThread::start());
    let remotes = Arc::new([0, 1, 2].map(|index: usize| loops[index].remote.clone()));
    let done = Arc::new(AtomicUsize::new(0));
    let starters: Vec<_> = remotes
        .iter()
        .map(|remote| {
            let (remotes, done) = (Arc::clone(&remotes), Arc::clone(&done));
            remote.submit::<(), _>((), async move {
                for number in 0..EACH {
                    let done = Arc::clone(&done);
                    let other = &remotes[number % remotes.len()];
                    let sum = other.submit::<(), _>((), async move {
                        done.fetch_add(1, SeqCst);
                        number + 1
                    });
                    assert_eq!(sum.await, Ok(number + 1));
                }
            })
        })
        .collect();
    for starter in starters {
        starter.result().unwrap();
    }
    assert_eq!(done.load(SeqCst), 3 * EACH);
}

/// Bodies that borrow from this thread's stack, on a loop that goes on.
#[test]
fn scopes_lend_to_a_loop() {
    let looping = LoopThread::start();
    let mut numbers: Vec<u64> = (0..200).collect();
    for _ in 0..20 {
        let scoped = looping.remote.scope::<(), _, _>(|scope| {
            let doubled: Vec<_> = numbers
                .chunks_mut(50)
                .map(|part| scope.submit((), async move { part.iter_mut().for_each(|number| *number += 1) }))
                .collect();
            doubled.iter().map(|future| future.result().unwrap()).count()
        });
        assert_eq!(scoped, Ok(4));
    }
    assert_eq!(numbers, (20..220).collect::<Vec<_>>());
    let sum = looping.remote.block_on::<(), _>((), async { numbers.iter().sum::<u64>() });
    assert_eq!(sum, Ok((20..220).sum()));
}
