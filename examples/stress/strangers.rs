//! Threads that own no loop and submit nothing: they wake, cancel, watch and drop what others made.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::task::Waker;

use perloop::{CrossThreadFuture, Panicked, Promise};

use crate::ledger::{Callback, MEANT, Product, Work};

/// How many wakers a stranger keeps, until their tasks are long gone.
const WAKERS_KEPT: usize = 64;

/// What a stranger is asked to do.
pub(crate) enum Errand {
    /// Counts first, so that a poll after the wake must see it.
    Wake {
        waker: Waker,
        told: Arc<AtomicU64>,
        how: u64,
    },
    Cancel(Arc<CrossThreadFuture<Product>>),
    Watch(Arc<CrossThreadFuture<Product>>, Callback),
    /// Takes the value away, if it is there.
    Take(Arc<CrossThreadFuture<Product>>),
    Drop(CrossThreadFuture<Product>),
    Set {
        promise: Promise<Product>,
        work: Work,
        how: u64,
    },
}

/// A stranger's life: until nobody is left who could ask.
pub(crate) fn serve(errands: &Receiver<Errand>) {
    let mut kept = VecDeque::new();
    for errand in errands {
        match errand {
            Errand::Wake { waker, told, how } => {
                wake(waker, &told, how, &mut kept);
                if kept.len() > WAKERS_KEPT {
                    kept.pop_front().into_iter().for_each(Waker::wake);
                }
            }
            Errand::Cancel(future) => {
                let cancelled = future.cancel();
                assert!(!cancelled || future.done());
            }
            Errand::Watch(future, callback) => future.add_done_callback(move |_| callback.call()),
            Errand::Take(future) => {
                if let Some(Ok(product)) = future.try_result() {
                    product.read_and_tell();
                }
            }
            Errand::Drop(future) => drop(future),
            Errand::Set { promise, work, how } => set(promise, work, how),
        }
    }
    kept.into_iter().for_each(Waker::wake);
}

fn wake(waker: Waker, told: &AtomicU64, how: u64, kept: &mut VecDeque<Waker>) {
    told.fetch_add(1, Relaxed);
    match how % 4 {
        0 => waker.wake(),
        1 => {
            waker.wake_by_ref();
            drop(waker.clone());
            waker.wake_by_ref();
        }
        2 => {
            let other = waker.clone();
            kept.push_back(waker);
            other.wake();
        }
        _ => {
            kept.push_back(waker.clone());
            waker.wake();
        }
    }
}

/// What an executor of one's own does.
fn set(mut promise: Promise<Product>, mut work: Work, how: u64) {
    match how % 4 {
        0 => {
            work.begin();
            let _ = promise.set_result(work.make());
        }
        1 => {
            work.begin();
            let _ = promise.set_exception(Panicked::new(Box::new(MEANT)));
        }
        2 if promise.set_running_or_notify_cancel() => {
            work.begin();
            promise.set_result(work.make()).expect("it can't be cancelled any more");
        }
        // Unset: the future is cancelled.
        _ => drop(promise),
    }
}
