//! What an actor's task does: it makes the actor, handles one message after the other, and ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use perloop_bridge::{Letter, Mailbox, Panicked, Promise, Received, Unopened};

use crate::actor::envelope::{Place, contained};
use crate::actor::handling::within;
use crate::actor::streams::Streams;
use crate::actor::{Actor, ActorContext, WeakAddress};
use crate::sleep::yield_now;

/// So many messages an actor handles in one step, if their handlers do not wait, before the loop's others have their turn.
const BUDGET: u32 = 64;

/// What an actor begins with.
pub(crate) struct Birth<A: Actor> {
    pub(crate) mailbox: Unopened<Place<A>>,
    pub(crate) this: WeakAddress<A>,
    /// Set when all is over; dropped, if the task is cancelled or never begins.
    pub(crate) end: Promise<()>,
}

/// A whole life. Whatever ends it, first the mailbox is closed, then the actor is dropped, and then who waits for its end
/// is told.
pub(crate) async fn live<A: Actor>(birth: Birth<A>, make: impl FnOnce() -> A) {
    let Birth { mailbox, this, mut end } = birth;
    let ended = live_on(mailbox, ActorContext::new(this), make).await;
    // Nobody else sets it, and nobody can cancel it.
    let _is_wanted = match &ended {
        Ok(()) => end.set_result(()),
        Err(panicked) => end.set_exception(panicked.clone()),
    };
    if let Err(panicked) = ended {
        // It is the task's end as well, of which the exception handler hears.
        resume_unwind(panicked.into_payload());
    }
}

async fn live_on<A: Actor>(
    mailbox: Unopened<Place<A>>,
    context: ActorContext<A>,
    make: impl FnOnce() -> A,
) -> Result<(), Panicked> {
    let actor = catch_unwind(AssertUnwindSafe(make)).map_err(Panicked::new)?;
    let mut place = Place { actor, context };
    // Dropped before the actor is.
    let mut mailbox = mailbox.open();
    let id = mailbox.id();
    hook(id, place.actor.started(&mut place.context)).await?;
    if !place.context.is_stopping() {
        serve(&mut mailbox, &mut place).await?;
    }
    mailbox.settle();
    hook(id, place.actor.stopping(&mut place.context)).await?;
    // Before the children end, as they may ask something, of which they would wait for the reply.
    let dead = mailbox.close();
    if dead > 0 {
        tracing::debug!(target: "perloop", actor = std::any::type_name::<A>(), dead, "dead letters: the actor has ended");
    }
    place.context.end_children().await;
    hook(id, place.actor.stopped()).await
}

/// Runs one of the hooks of the actor of this number.
async fn hook(id: usize, future: impl Future<Output = ()>) -> Result<(), Panicked> {
    let mut future = pin!(contained(future));
    poll_fn(|cx| within(id, || future.as_mut().poll(cx))).await
}

/// Handles messages until the actor is to end.
async fn serve<A: Actor>(mailbox: &mut Mailbox<Place<A>>, place: &mut Place<A>) -> Result<(), Panicked> {
    let (id, mut budget) = (mailbox.id(), BUDGET);
    while let Some(letter) = receive(mailbox, &mut place.context).await? {
        let mut handling = letter.open(place);
        poll_fn(|cx| {
            let polled = within(id, || Pin::new(&mut handling).poll(cx));
            if polled.is_pending() {
                mailbox.settle();
                budget = BUDGET;
            }
            polled
        })
        .await?;
        drop(handling);
        if place.context.is_stopping() {
            break;
        }
        budget -= 1;
        if budget == 0 {
            budget = BUDGET;
            mailbox.settle();
            yield_now().await;
        }
    }
    Ok(())
}

/// The next message or order. None: none is left, and none will come.
async fn receive<A: Actor>(
    mailbox: &mut Mailbox<Place<A>>,
    context: &mut ActorContext<A>,
) -> Result<Option<Letter<Place<A>>>, Panicked> {
    poll_fn(|cx| {
        if let Some(streams) = context.streams() {
            return poll_all(mailbox, streams, cx).map_ok(Some);
        }
        match poll_mailbox(mailbox, cx) {
            Poll::Ready(letter) => Poll::Ready(Ok(Some(letter))),
            Poll::Pending if context.is_forgotten() => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[inline]
fn poll_mailbox<A: Actor>(mailbox: &mut Mailbox<Place<A>>, cx: &mut Context<'_>) -> Poll<Letter<Place<A>>> {
    mailbox.poll_receive(cx).map(|(Received::Letter(letter) | Received::Order(letter))| letter)
}

/// An order, or else the next message of the mailbox or of a stream. Who is asked first takes turns, so that neither starves
/// the other.
fn poll_all<A: Actor>(
    mailbox: &mut Mailbox<Place<A>>,
    streams: &mut Streams<A>,
    cx: &mut Context<'_>,
) -> Poll<Result<Letter<Place<A>>, Panicked>> {
    if let Some(order) = mailbox.take_order() {
        return Poll::Ready(Ok(order));
    }
    let streams_first = streams.take_turn();
    for of_streams in [streams_first, !streams_first] {
        let next = if of_streams {
            let polled = catch_unwind(AssertUnwindSafe(|| streams.poll_next(cx)));
            polled.map_or_else(|payload| Poll::Ready(Err(Panicked::new(payload))), |polled| polled.map(Ok))
        } else {
            poll_mailbox(mailbox, cx).map(Ok)
        };
        if next.is_ready() {
            return next;
        }
    }
    Poll::Pending
}
