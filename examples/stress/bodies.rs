//! What is handed in. Every body owns its `Work`, and yields a `Product`.

use std::future::{Future, pending, poll_fn};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::task::Poll;
use std::time::Duration;

use perloop::{
    FutureError, Promise, TaskError, catch_cancelled, create_task, run_coroutine_threadsafe, sleep, yield_now,
};

use crate::dice::Dice;
use crate::ledger::{Claim, MEANT, Product, Work};
use crate::lives::Life;
use crate::strangers::Errand;
use crate::word::End;

/// How long a body takes.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    AtOnce,
    Yields(u64),
    Sleeps(Duration),
}

impl Pace {
    pub(crate) fn of(dice: &mut Dice) -> Self {
        match dice.below(8) {
            0..4 => Self::AtOnce,
            4..7 => Self::Yields(1 + dice.below(3)),
            _ => Self::Sleeps(dice.micros(200)),
        }
    }

    async fn pass(self) {
        match self {
            Self::AtOnce => {}
            Self::Yields(times) => {
                for _ in 0..times {
                    yield_now().await;
                }
            }
            Self::Sleeps(time) => sleep(time).await,
        }
    }
}

/// Panics when it is dropped, in a body or as what a panic threw.
pub(crate) struct Bomb;

/// What a bomb throws. It owns no memory, since nobody can drop what the destructor of a payload throws.
struct Splinter;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(Splinter));
        }
    }
}

pub(crate) async fn quick(mut work: Work, pace: Pace) -> Product {
    work.begin();
    pace.pass().await;
    work.make()
}

pub(crate) async fn endless(mut work: Work) -> Product {
    work.begin();
    pending().await
}

/// Says that it has begun, and then does not end.
pub(crate) async fn announced(mut work: Work, mut begun: Promise<()>) -> Product {
    work.begin();
    work.check(begun.set_result(()).is_ok(), "nobody cancels the promise");
    pending().await
}

/// Catches the request to cancel it, cleans up, and then goes on to a value or ends cancelled.
pub(crate) async fn catching(mut work: Work, mut begun: Promise<()>, goes_on: bool) -> Product {
    work.begin();
    work.check(begun.set_result(()).is_ok(), "nobody cancels the promise");
    let caught = catch_cancelled(pending::<()>()).await;
    yield_now().await;
    match caught {
        Err(caught) if !goes_on => match caught.raise().await {},
        _ => work.make(),
    }
}

pub(crate) async fn panicking(mut work: Work, pace: Pace, with_bomb: bool) -> Product {
    work.begin();
    pace.pass().await;
    if with_bomb { resume_unwind(Box::new(Bomb)) } else { resume_unwind(Box::new(MEANT)) }
}

/// Its destructors panic, when it ends or is dropped.
pub(crate) async fn explosive(mut work: Work, pace: Pace) -> Product {
    let bomb = Bomb;
    work.begin();
    pace.pass().await;
    let product = work.make();
    // Not by the end of its scope: rustc forgets to drop what is being returned if a destructor panics then.
    drop(bomb);
    product
}

/// Awaits another loop's work.
pub(crate) async fn awaiting(mut work: Work, inner: (Claim, Work, Pace), on: Arc<Life>) -> Product {
    work.begin();
    let (claim, inner, pace) = inner;
    claim.hear(run_coroutine_threadsafe(quick(inner, pace), &on.handle).await);
    work.make()
}

/// Blocks its own loop on another's, or on its own. If that can't end it awaits instead.
pub(crate) async fn blocking(mut work: Work, inner: (Claim, Work, Pace), on: Arc<Life>) -> Product {
    work.begin();
    let (claim, inner, pace) = inner;
    let mut future = run_coroutine_threadsafe(quick(inner, pace), &on.handle);
    claim.hear(match future.result() {
        Err(FutureError::WouldDeadlock(circle)) => {
            work.check(!circle.path().is_empty(), "a circle has a path");
            (&mut future).await
        }
        outcome => outcome,
    });
    work.make()
}

/// As [`blocking`], but what is handed in borrows from this body's stack. If that can't end it is refused.
pub(crate) async fn lending(mut work: Work, inner: (Claim, Work, Pace), on: Arc<Life>) -> Product {
    work.begin();
    let (claim, inner, pace) = inner;
    let mut lent = 0;
    let outcome = on.handle.block_on(borrowing(inner, pace, &mut lent));
    work.check(outcome.is_err() || lent == 1, "it wrote what it was lent");
    match outcome {
        Err(FutureError::WouldDeadlock(_)) => claim.tell(End::Refused),
        outcome => claim.hear(outcome),
    }
    work.make()
}

/// Writes to memory that it does not own.
pub(crate) async fn borrowing(mut work: Work, pace: Pace, lent: &mut u64) -> Product {
    work.begin();
    pace.pass().await;
    *lent += 1;
    work.make()
}

/// Waits until strangers have woken it so many times.
pub(crate) fn woken(
    mut work: Work,
    times: u64,
    strangers: Sender<Errand>,
) -> impl Future<Output = Product> + Send {
    let told = Arc::new(AtomicU64::new(0));
    let mut is_begun = false;
    poll_fn(move |cx| {
        if !is_begun {
            is_begun = true;
            work.begin();
            for how in 0..times {
                let errand = Errand::Wake { waker: cx.waker().clone(), told: Arc::clone(&told), how };
                strangers.send(errand).expect("strangers outlive the loops");
            }
        }
        if told.load(Relaxed) == times { Poll::Ready(work.make()) } else { Poll::Pending }
    })
}

/// Is made on its loop, and can't leave it.
pub(crate) async fn local(mut work: Work, pace: Pace) -> Product {
    work.begin();
    let kept = Rc::new(());
    let other = Rc::clone(&kept);
    let task = create_task(async move {
        pace.pass().await;
        Rc::strong_count(&other)
    });
    let counted = task.await;
    work.check(is_value_or_cancelled(&counted, 2), "a loop's own task gives its value");
    drop(kept);
    work.make()
}

/// Has tasks of its own, one of which it leaves, one of which it cancels.
pub(crate) async fn parent(mut work: Work, pace: Pace) -> Product {
    work.begin();
    drop(create_task(pace.pass()));
    let cancelled = create_task(pending::<()>());
    let panicked = create_task(async { panic_quietly() });
    let awaited = create_task(async move {
        pace.pass().await;
        1
    });
    yield_now().await;
    cancelled.cancel();
    work.check(matches!(cancelled.await, Err(TaskError::Cancelled(_))), "a task is cancelled");
    let panicked = panicked.await;
    let is_meant = matches!(panicked, Err(TaskError::Panicked(_) | TaskError::Cancelled(_)));
    work.check(is_meant, "a task has panicked");
    work.check(is_value_or_cancelled(&awaited.await, 1), "a task gives its value");
    work.make()
}

/// A loop that ends cancels all its tasks, of which this may have been one.
fn is_value_or_cancelled(outcome: &Result<usize, TaskError>, value: usize) -> bool {
    *outcome == Ok(value) || matches!(outcome, Err(TaskError::Cancelled(_)))
}

fn panic_quietly() {
    resume_unwind(Box::new(MEANT))
}
