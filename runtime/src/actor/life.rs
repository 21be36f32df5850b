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
use crate::actor::ward::{Event, Role, Ward};
use crate::actor::{Actor, ActorContext, ActorEnd, WeakAddress};
use crate::current;
use crate::exception::ExceptionContext;
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
    let mut desk = Desk { mailbox: &mut mailbox, leash: Leash::default(), budget: BUDGET };
    let ended = incarnate(&mut desk, ActorContext::new(this), make, Role::default()).await;
    end.tell(&ended);
    match ended {
        // It is the task's end as well, of which the exception handler hears.
        ActorEnd::Panicked(panicked) => resume_unwind(panicked.into_payload()),
        ActorEnd::GaveUp(_) => report(&ExceptionContext::new(ended.to_string())),
        _ => {}
    }
}

/// The lives of a supervised actor, one after the other, each as its supervisor says. The mailbox stays.
pub(crate) async fn live_again<A: Actor>(birth: Birth<A>, ward: Ward, mut make: impl FnMut() -> A) {
    let Birth { mailbox, this, end } = birth;
    let Ward { boss, begun, first, ends, home } = ward;
    let (mut first, mut begun, mut after) = (Some(first), Some(begun), None);
    let mut mailbox = mailbox.open();
    let mut desk = Desk { mailbox: &mut mailbox, leash: Leash::default(), budget: BUDGET };
    while desk.leash.may_begin(desk.mailbox).await {
        let own_end = first.take().unwrap_or_else(|| ends.renew(&home));
        let context = ActorContext::new(this.clone());
        let role = Role { boss: Some(&boss), begun: begun.take(), after: after.as_ref() };
        let ended = incarnate(&mut desk, context, &mut make, role).await;
        own_end.tell(&ended);
        boss.tell(Event::Ended(ended.clone()));
        after = Some(ended);
    }
    desk.mailbox.close();
    if let Some(never) = first {
        never.tell(&ActorEnd::Stopped);
    }
    end.tell(&after.unwrap_or(ActorEnd::Stopped));
}

/// From the making of an actor until it is dropped.
async fn incarnate<A: Actor>(
    desk: &mut Desk<'_, A>,
    context: ActorContext<A>,
    make: impl FnOnce() -> A,
    role: Role<'_>,
) -> ActorEnd {
    let actor = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(actor) => actor,
        Err(payload) => return ActorEnd::Panicked(Panicked::new(payload)),
    };
    let mut place = Place { actor, context };
    let is_supervised = role.boss.is_some();
    // Closes the mailbox before the actor is dropped.
    let mut desk = AtWork { desk, leaves_open: false };
    let lived = live_through(desk.desk, &mut place, role).await;
    desk.leaves_open = is_supervised;
    drop(desk);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(place)));
    match (lived, dropped) {
        (Err(end), _) => end,
        (Ok(()), Err(payload)) => ActorEnd::Panicked(Panicked::new(payload)),
        (Ok(()), Ok(())) => ActorEnd::Stopped,
    }
}

async fn live_through<A: Actor>(
    desk: &mut Desk<'_, A>,
    place: &mut Place<A>,
    mut role: Role<'_>,
) -> Result<(), ActorEnd> {
    match role.after {
        None => desk.run(contained(place.actor.started(&mut place.context))).await?,
        Some(why) => desk.run(contained(place.actor.restarted(why, &mut place.context))).await?,
    }
    role.has_started();
    serve(desk, place).await?;
    desk.mailbox.settle();
    desk.run(contained(place.actor.stopping(&mut place.context))).await?;
    if desk.is_last_life(&role) {
        // Before the children end, as they may ask something, of which they would wait for the reply.
        desk.mailbox.close();
    }
    desk.run(contained(place.context.end_children())).await?;
    desk.run(contained(place.actor.stopped())).await?;
    place.context.take_end().map_or(Ok(()), Err)
}

/// Handles messages until the actor is to end.
async fn serve<A: Actor>(desk: &mut Desk<'_, A>, place: &mut Place<A>) -> Result<(), ActorEnd> {
    while !place.context.is_stopping() {
        let Some(letter) = desk.receive(&mut place.context).await? else { break };
        if let Err(end) = desk.run(letter.open(place)).await {
            go_on_after(end, place)?;
        }
        desk.budget -= 1;
        if desk.budget == 0 {
            desk.budget = BUDGET;
            desk.mailbox.settle();
            yield_now().await;
        }
    }
    Ok(())
}

/// After a message whose handler has panicked, if the actor says so.
#[cold]
fn go_on_after<A: Actor>(end: ActorEnd, place: &mut Place<A>) -> Result<(), ActorEnd> {
    let ActorEnd::Panicked(panicked) = end else { return Err(end) };
    match catch_unwind(AssertUnwindSafe(|| place.actor.resumes_after(&panicked))) {
        Ok(false) => Err(ActorEnd::Panicked(panicked)),
        Ok(true) => {
            let mut context = ExceptionContext::new("a handler failed, and its actor goes on");
            context.panicked = Some(panicked);
            report(&context);
            Ok(())
        }
        Err(payload) => Err(ActorEnd::Panicked(Panicked::new(payload))),
    }
}

/// Tells the exception handler of the loop that runs, as an actor's does.
fn report(context: &ExceptionContext) {
    if let Ok(running) = current::get_running_loop() {
        running.call_exception_handler(context);
    }
}

/// Where an actor's letters are read, one after the other.
struct Desk<'a, A: Actor> {
    mailbox: &'a mut Mailbox<Place<A>>,
    leash: Leash,
    /// How many letters may be read before others have their turn.
    budget: u32,
}

impl<A: Actor> Desk<'_, A> {
    /// Does no other life come after this one?
    fn is_last_life(&mut self, role: &Role<'_>) -> bool {
        self.leash.look(self.mailbox);
        role.boss.is_none() || self.leash.is(leash::END)
    }

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

/// Somebody reads there. If that ends half-way the mailbox is closed.
struct AtWork<'d, 'a, A: Actor> {
    desk: &'d mut Desk<'a, A>,
    leaves_open: bool,
}

impl<A: Actor> Drop for AtWork<'_, '_, A> {
    fn drop(&mut self) {
        if self.leaves_open {
            self.desk.mailbox.settle();
        } else {
            self.desk.mailbox.close();
        }
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
