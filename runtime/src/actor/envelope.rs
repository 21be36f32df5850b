//! A message on its way to an actor, and what is done with it there.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use perloop_bridge::{Answer, Asker, Burial, Open, Opener, Panicked, PooledFuture, Promise, Question};
use pin_project_lite::pin_project;

use crate::actor::{Actor, ActorContext, Handler};

/// The actor, as its own task has it: what letters are opened with.
pub(crate) struct Place<A: Actor> {
    pub(crate) actor: A,
    pub(crate) context: ActorContext<A>,
}

impl<A: Actor> Opener for Place<A> {
    /// An error: the handler has panicked.
    type Opened<'a> = PooledFuture<'a, Result<(), Panicked>>;
}

/// A message whose reply nobody waits for.
pub(crate) struct Told<M>(pub(crate) M);

impl<A: Handler<M>, M: Send + 'static> Open<Place<A>> for Told<M> {
    fn open(self, by: &mut Place<A>) -> PooledFuture<'_, Result<(), Panicked>> {
        let Place { actor, context } = by;
        // The destructor of a reply is as much the actor's as its handler.
        PooledFuture::new(contained(async move { drop(actor.handle(self.0, context).await) }))
    }

    fn bury(self, _: Burial) {
        tell_of_dead_letter::<A, M>();
    }
}

/// A message, to which a task awaits the reply.
pub(crate) struct Asked<M> {
    pub(crate) message: M,
    /// If that is a handler's.
    pub(crate) asker: Option<Asker>,
}

impl<A: Handler<M>, M: Send + 'static> Question<Place<A>> for Asked<M> {
    type Reply = A::Reply;

    fn open(self, by: &mut Place<A>, answer: Answer<A::Reply>) -> PooledFuture<'_, Result<(), Panicked>> {
        by.reply_to(self.message, self.asker, |outcome| answer.give(outcome))
    }

    fn bury(self, answer: Answer<A::Reply>, why: Burial) {
        tell_of_dead_letter::<A, M>();
        if why == Burial::Displaced {
            answer.give(Err(displaced()));
        }
    }
}

/// A message, and where its reply goes, if that may be waited for in other ways as well. Dropped, it leaves the asker
/// without one, and tells so.
pub(crate) struct Promised<M, R: Send + 'static> {
    pub(crate) message: M,
    pub(crate) asker: Option<Asker>,
    pub(crate) reply: Promise<R>,
}

impl<A: Handler<M>, M: Send + 'static> Open<Place<A>> for Promised<M, A::Reply> {
    fn open(self, by: &mut Place<A>) -> PooledFuture<'_, Result<(), Panicked>> {
        let Self { message, asker, mut reply } = self;
        by.reply_to(message, asker, move |outcome| {
            // An asker that has given up leaves the reply to nobody.
            let _is_wanted = match outcome {
                Ok(value) => reply.set_result(value),
                Err(panicked) => reply.set_exception(panicked),
            };
        })
    }

    fn bury(mut self, why: Burial) {
        tell_of_dead_letter::<A, M>();
        if why == Burial::Displaced {
            let _is_wanted = self.reply.set_exception(displaced());
        }
    }
}

impl<A: Actor> Place<A> {
    /// Handles a message, and replies.
    #[inline]
    fn reply_to<M: Send + 'static>(
        &mut self,
        message: M,
        asker: Option<Asker>,
        reply: impl FnOnce(Result<A::Reply, Panicked>) + 'static,
    ) -> PooledFuture<'_, Result<(), Panicked>>
    where
        A: Handler<M>,
    {
        let Self { actor, context } = self;
        PooledFuture::new(async move {
            let outcome = contained(actor.handle(message, context)).await;
            let ended = outcome.as_ref().map(drop).map_err(Panicked::clone);
            if let Some(asker) = asker {
                asker.is_answered();
            }
            reply(outcome);
            ended
        })
    }
}

/// What a reply carries whose question was displaced by a later message.
#[derive(Debug)]
pub(crate) struct Displaced;

fn displaced() -> Panicked {
    Panicked::new(Box::new(Arc::new(Displaced)))
}

/// A message to an actor that nobody will handle.
pub(crate) fn tell_of_dead_letter<A, M>() {
    let (actor, letter) = (std::any::type_name::<A>(), std::any::type_name::<M>());
    tracing::debug!(target: "perloop", actor, letter, "a dead letter");
}

/// A panic of `future` as its outcome.
pub(crate) fn contained<F: Future>(future: F) -> Contained<F> {
    Contained { future }
}

pin_project! {
    pub(crate) struct Contained<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(Panicked::new(payload))),
        }
    }
}
