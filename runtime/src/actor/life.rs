//! What an actor's task does: it makes the actor, handles one message after the other, and ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use perloop_bridge::{Letter, Mailbox, Panicked, Promise, Received, Unopened};

use crate::actor::envelope::{Place, contained};
use crate::actor::handling::within;
use crate::actor::{Actor, ActorContext};
use crate::sleep::yield_now;

/// So many messages an actor handles in one step, if their handlers do not wait, before the loop's others have their turn.
const BUDGET: u32 = 64;

/// What an actor begins with.
pub(crate) struct Birth<A: Actor> {
    pub(crate) mailbox: Unopened<Place<A>>,
    pub(crate) context: ActorContext<A>,
    /// Set when all is over; dropped, if the task is cancelled or never begins.
    pub(crate) end: Promise<()>,
}

/// A whole life. Whatever ends it, first the mailbox is closed, then the actor is dropped, and then who waits for its end
/// is told.
pub(crate) async fn live<A: Actor>(birth: Birth<A>, make: impl FnOnce() -> A) {
    let Birth { mailbox, context, mut end } = birth;
    let ended = live_on(mailbox, context, make).await;
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
    while let Some(letter) = receive(mailbox, place.context.is_forgotten()).await {
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
async fn receive<A: Actor>(mailbox: &mut Mailbox<Place<A>>, is_forgotten: bool) -> Option<Letter<Place<A>>> {
    poll_fn(|cx| match mailbox.poll_receive(cx) {
        Poll::Ready(Received::Letter(letter) | Received::Order(letter)) => Poll::Ready(Some(letter)),
        Poll::Pending if is_forgotten => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}
