//! Boxed futures that are polled where they lie: no tasks, no queue of ready ones, nobody who catches panics.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Waker};

use crate::peers::LocalLoop;

type Boxed = Pin<Box<dyn Future<Output = u64>>>;

/// As a loop of which tasks run when they are joined.
#[derive(Clone)]
pub(crate) struct Boxes;

impl LocalLoop for Boxes {
    const NAME: &'static str = "bare boxes";
    type Handle = Boxed;

    fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(Self) -> F + 'static) -> Result<(), String> {
        futures_lite::future::block_on(main(Self));
        Ok(())
    }

    fn spawn(&self, body: impl Future<Output = u64> + Send + 'static) -> Self::Handle {
        Box::pin(body)
    }

    fn join(handle: Self::Handle) -> impl Future<Output = u64> {
        handle
    }
}

/// Polls boxes in turn, in a ring, until all are done; how often that was.
pub(crate) fn turn_ring(mut ring: VecDeque<Boxed>) -> usize {
    let mut polls = 0;
    while let Some(mut boxed) = ring.pop_front() {
        polls += 1;
        if boxed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            ring.push_back(boxed);
        }
    }
    polls
}
