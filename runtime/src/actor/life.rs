//! What an actor's task does: it makes the actor, handles one message after the other, and ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

use perloop_bridge::{Letter, Mailbox, Panicked, Received, Unopened};

use crate::actor::end::End;
use crate::actor::envelope::{Place, contained};
use crate::actor::handling::within;
use crate::actor::leash::{self, Leash};
use crate::actor::streams::Streams;
use crate::actor::{Actor, ActorContext, ActorEnd, WeakAddress};
use crate::sleep::yield_now;

/// So many messages an actor handles in one step, if their handlers do not wait, before the loop's others have their turn.
const BUDGET: u32 = 64;

/// What an actor begins with.
pub(crate) struct Birth<A: Actor> {
    pub(crate) mailbox: Unopened<Place<A>>,
    pub(crate) this: WeakAddress<A>,
    /// Told when all is over.
    pub(crate) end: End,
}

/// A whole life. Whatever ends it, first the mailbox is closed, then the actor is dropped, and then who waits for its end
/// is told.
pub(crate) async fn live<A: Actor>(birth: Birth<A>, make: impl FnOnce() -> A) {
    let Birth { mailbox, this, end } = birth;
    let mut mailbox = mailbox.open();
    let ended = incarnate(&mut mailbox, ActorContext::new(this), make).await;
    end.tell(&ended);
    if let ActorEnd::Panicked(panicked) = ended {
        // It is the task's end as well, of which the exception handler hears.
        resume_unwind(panicked.into_payload());
    }
}

/// From the making of an actor until it is dropped.
async fn incarnate<A: Actor>(
    mailbox: &mut Mailbox<Place<A>>,
    context: ActorContext<A>,
    make: impl FnOnce() -> A,
) -> ActorEnd {
    let actor = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(actor) => actor,
        Err(payload) => return ActorEnd::Panicked(Panicked::new(payload)),
    };
    let mut place = Place { actor, context };
    // Dropped before the actor is.
    let mut desk = Desk { mailbox, leash: Leash::default(), budget: BUDGET };
    let lived = live_through(&mut desk, &mut place).await;
    drop(desk);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(place)));
    match (lived, dropped) {
        (Err(end), _) => end,
        (Ok(()), Err(payload)) => ActorEnd::Panicked(Panicked::new(payload)),
        (Ok(()), Ok(())) => ActorEnd::Stopped,
    }
}

async fn live_through<A: Actor>(desk: &mut Desk<'_, A>, place: &mut Place<A>) -> Result<(), ActorEnd> {
    desk.run(contained(place.actor.started(&mut place.context))).await?;
    serve(desk, place).await?;
    desk.mailbox.settle();
    desk.run(contained(place.actor.stopping(&mut place.context))).await?;
    // Before the children end, as they may ask something, of which they would wait for the reply.
    let dead = desk.mailbox.close();
    if dead > 0 {
        tracing::debug!(target: "perloop", actor = std::any::type_name::<A>(), dead, "dead letters: the actor has ended");
    }
    desk.run(contained(place.context.end_children())).await?;
    desk.run(contained(place.actor.stopped())).await
}

/// Handles messages until the actor is to end.
async fn serve<A: Actor>(desk: &mut Desk<'_, A>, place: &mut Place<A>) -> Result<(), ActorEnd> {
    while !place.context.is_stopping() {
        let Some(letter) = desk.receive(&mut place.context).await? else { break };
        desk.run(letter.open(place)).await?;
        desk.budget -= 1;
        if desk.budget == 0 {
            desk.budget = BUDGET;
            desk.mailbox.settle();
            yield_now().await;
        }
    }
    Ok(())
}

/// Where an actor's letters are read, one after the other. Dropping it closes the mailbox.
struct Desk<'a, A: Actor> {
    mailbox: &'a mut Mailbox<Place<A>>,
    leash: Leash,
    /// How many letters may be read before others have their turn.
    budget: u32,
}

impl<A: Actor> Desk<'_, A> {
    /// The next message. None: it is told to stop, or no message is left, and none will come.
    async fn receive(&mut self, context: &mut ActorContext<A>) -> Result<Option<Letter<Place<A>>>, ActorEnd> {
        poll_fn(|cx| {
            self.leash.look(self.mailbox);
            loop {
                if let Some(end) = self.leash.killed(self.mailbox) {
                    return Poll::Ready(Err(end));
                }
                if self.leash.is(leash::STOP) {
                    // Orders that came before it do so here, too.
                    return Poll::Ready(Ok(self.mailbox.take_order()));
                }
                let is_forgotten = self.leash.is(leash::FORGOTTEN) && context.streams().is_none();
                match poll_message(self.mailbox, context, cx) {
                    Poll::Ready(letter) => return Poll::Ready(letter.map(Some).map_err(ActorEnd::Panicked)),
                    Poll::Pending if is_forgotten => return Poll::Ready(Ok(None)),
                    Poll::Pending if self.leash.watch(self.mailbox, cx) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Runs one of the actor's own futures. Dropped half-way, if the actor is killed.
    async fn run(&mut self, future: impl Future<Output = Result<(), Panicked>>) -> Result<(), ActorEnd> {
        let mut future = pin!(Some(future));
        let id = self.mailbox.id();
        let ended = poll_fn(|cx| {
            let running = future.as_mut().as_pin_mut().expect("it is there until it is ready");
            if let Poll::Ready(outcome) = within(id, || running.poll(cx)) {
                return Poll::Ready(outcome.map_err(ActorEnd::Panicked));
            }
            self.budget = BUDGET;
            self.mailbox.settle();
            self.leash.watch(self.mailbox, cx);
            self.leash.killed(self.mailbox).map_or(Poll::Pending, |end| Poll::Ready(Err(end)))
        })
        .await;
        if ended.is_err() {
            // Its destructors may panic, which the panic hook has reported.
            drop(catch_unwind(AssertUnwindSafe(|| future.set(None))));
        }
        ended
    }
}

impl<A: Actor> Drop for Desk<'_, A> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// The next message of the mailbox or of a stream.
#[inline]
fn poll_message<A: Actor>(
    mailbox: &mut Mailbox<Place<A>>,
    context: &mut ActorContext<A>,
    cx: &mut Context<'_>,
) -> Poll<Result<Letter<Place<A>>, Panicked>> {
    match context.streams() {
        None => poll_mailbox(mailbox, cx).map(Ok),
        Some(streams) => poll_all(mailbox, streams, cx),
    }
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
