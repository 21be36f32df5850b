//! What an actor's task does: it makes the actor, handles one message after the other, and ends.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use perloop_bridge::{Letter, Mailbox, Panicked, PooledFuture, Received, Unopened};

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
const BUDGET: u16 = 64;

/// What an actor begins with.
pub(crate) struct Birth<A: Actor> {
    pub(crate) mailbox: Unopened<Place<A>>,
    pub(crate) this: WeakAddress<A>,
    /// Told when all is over.
    pub(crate) end: End,
}

/// A whole life. Whatever ends it, first the mailbox is closed, then the actor is dropped, and then who waits for its end
/// is told.
///
/// The future is kept small, as there may be many actors: what lives long is no `async fn`'s argument by value, for which
/// there would be room twice, and is not awaited upon in an arm of the `match` that it comes from, for the same reason.
pub(crate) fn live<A: Actor>(birth: Birth<A>, make: impl FnOnce() -> A) -> impl Future<Output = ()> {
    let Birth { mailbox, this, end } = birth;
    let mut desk = Desk::open(mailbox);
    async move {
        let ended = 'life: {
            let mut life = match Life::begin(&mut desk, this, make, None) {
                Ok(life) => life,
                Err(end) => break 'life end,
            };
            let lived = life.live().await;
            life.end(lived)
        };
        end.tell(&ended);
        match ended {
            // It is the task's end as well, of which the exception handler hears.
            ActorEnd::Panicked(panicked) => resume_unwind(panicked.into_payload()),
            ActorEnd::GaveUp(_) => report(&ExceptionContext::new(ended.to_string())),
            _ => {}
        }
    }
}

/// The lives of a supervised actor, one after the other, each as its supervisor says. The mailbox stays.
pub(crate) async fn live_again<A: Actor>(birth: Birth<A>, ward: Ward, mut make: impl FnMut() -> A) {
    let Birth { mailbox, this, end } = birth;
    let Ward { boss, begun, first, ends, home } = ward;
    let (mut first, mut begun, mut after) = (Some(first), Some(begun), None);
    let mut desk = Desk::open(mailbox);
    while desk.leash.may_begin(&desk.mailbox).await {
        let own_end = first.take().unwrap_or_else(|| ends.renew(&home));
        let mut role = Role { boss: &boss, begun: begun.take(), after: after.as_ref() };
        let ended = 'life: {
            let mut life = match Life::begin(&mut desk, this.clone(), &mut make, Some(&mut role)) {
                Ok(life) => life,
                Err(end) => break 'life end,
            };
            let lived = life.live().await;
            life.end(lived)
        };
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
struct Life<'d, A: Actor> {
    /// In front of the actor: it is closed before that is dropped.
    at: AtDesk<'d, A>,
    place: Place<A>,
    /// Of a supervised one.
    role: Option<&'d mut Role<'d>>,
}

impl<'d, A: Actor> Life<'d, A> {
    fn begin(
        desk: &'d mut Desk<A>,
        this: WeakAddress<A>,
        make: impl FnOnce() -> A,
        role: Option<&'d mut Role<'d>>,
    ) -> Result<Self, ActorEnd> {
        match catch_unwind(AssertUnwindSafe(make)) {
            Ok(actor) => {
                let place = Place { actor, context: ActorContext::new(this) };
                Ok(Self { at: AtDesk(desk), place, role })
            }
            Err(payload) => Err(ActorEnd::Panicked(Panicked::new(payload))),
        }
    }

    async fn live(&mut self) -> Result<(), ActorEnd> {
        let began = {
            let Place { actor, context } = &mut self.place;
            match self.role.as_ref().and_then(|role| role.after) {
                None => hook(actor.started(context)),
                Some(why) => hook(actor.restarted(why, context)),
            }
        };
        self.at.0.run(began).await?;
        if let Some(role) = &mut self.role {
            role.has_started();
        }
        self.serve().await?;
        self.at.0.mailbox.settle();
        self.at.0.run(hook(self.place.actor.stopping(&mut self.place.context))).await?;
        if self.at.0.is_last_life(self.role.is_some()) {
            // Before the children end, as they may ask something, of which they would wait for the reply.
            self.at.0.mailbox.close();
        }
        if self.place.context.has_children() {
            self.at.0.run(hook(self.place.context.end_children())).await?;
        }
        self.at.0.run(hook(self.place.actor.stopped())).await?;
        self.place.context.take_end().map_or(Ok(()), Err)
    }

    /// Handles messages until the actor is to end.
    async fn serve(&mut self) -> Result<(), ActorEnd> {
        while !self.place.context.is_stopping() {
            let Some(letter) = self.at.0.receive(&mut self.place.context).await? else { break };
            if let Err(end) = self.at.0.run(letter.open(&mut self.place)).await {
                go_on_after(end, &mut self.place)?;
            }
            let desk = &mut *self.at.0;
            desk.budget -= 1;
            if desk.budget == 0 {
                desk.budget = BUDGET;
                desk.mailbox.settle();
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Drops the actor.
    fn end(self, lived: Result<(), ActorEnd>) -> ActorEnd {
        self.at.0.leaves_open = self.role.is_some();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(self)));
        match (lived, dropped) {
            (Err(end), _) => end,
            (Ok(()), Err(payload)) => ActorEnd::Panicked(Panicked::new(payload)),
            (Ok(()), Ok(())) => ActorEnd::Stopped,
        }
    }
}

/// One of the actor's own futures beside messages, in memory of its own: they are short, and would else be kept room for as
/// long as the actor lives.
fn hook<'a>(future: impl Future<Output = ()> + 'a) -> PooledFuture<'a, Result<(), Panicked>> {
    PooledFuture::new(contained(future))
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
struct Desk<A: Actor> {
    mailbox: Mailbox<Place<A>>,
    leash: Leash,
    /// How many letters may be read before others have their turn.
    budget: u16,
    /// Will another life come, for which letters are kept?
    leaves_open: bool,
}

impl<A: Actor> Desk<A> {
    fn open(mailbox: Unopened<Place<A>>) -> Self {
        Self { mailbox: mailbox.open(), leash: Leash::default(), budget: BUDGET, leaves_open: false }
    }

    /// Does no other life come after this one?
    fn is_last_life(&mut self, is_supervised: bool) -> bool {
        self.leash.look(&self.mailbox);
        !is_supervised || self.leash.is(leash::END)
    }

    /// The next message. None: it is told to stop, or no message is left, and none will come.
    fn receive(
        &mut self,
        context: &mut ActorContext<A>,
    ) -> impl Future<Output = Result<Option<Letter<Place<A>>>, ActorEnd>> {
        poll_fn(|cx| {
            let Self { mailbox, leash, .. } = self;
            leash.look(mailbox);
            loop {
                if let Some(end) = leash.killed(mailbox) {
                    return Poll::Ready(Err(end));
                }
                if leash.is(leash::STOP) {
                    // Orders that came before it do so here, too.
                    return Poll::Ready(Ok(mailbox.take_order()));
                }
                let is_forgotten = leash.is(leash::FORGOTTEN) && context.streams().is_none();
                match poll_message(mailbox, context, cx) {
                    Poll::Ready(letter) => return Poll::Ready(letter.map(Some).map_err(ActorEnd::Panicked)),
                    Poll::Pending if is_forgotten => return Poll::Ready(Ok(None)),
                    Poll::Pending if leash.watch(mailbox, cx) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// Runs one of the actor's own futures. Dropped half-way, if the actor is killed.
    fn run(
        &mut self,
        future: PooledFuture<'_, Result<(), Panicked>>,
    ) -> impl Future<Output = Result<(), ActorEnd>> {
        let mut future = Some(future);
        poll_fn(move |cx| {
            let running = future.as_mut().expect("it is there until it is ready");
            let ended = match within(self.mailbox.id(), || Pin::new(running).poll(cx)) {
                Poll::Ready(outcome) => outcome.map_err(ActorEnd::Panicked),
                Poll::Pending => {
                    self.budget = BUDGET;
                    self.mailbox.settle();
                    self.leash.watch(&self.mailbox, cx);
                    match self.leash.killed(&self.mailbox) {
                        Some(end) => Err(end),
                        None => return Poll::Pending,
                    }
                }
            };
            if ended.is_err() {
                // Its destructors may panic, which the panic hook has reported.
                drop(catch_unwind(AssertUnwindSafe(|| future = None)));
            }
            Poll::Ready(ended)
        })
    }
}

/// Somebody reads there. If that ends half-way the mailbox is closed.
struct AtDesk<'d, A: Actor>(&'d mut Desk<A>);

impl<A: Actor> Drop for AtDesk<'_, A> {
    fn drop(&mut self) {
        if std::mem::take(&mut self.0.leaves_open) {
            self.0.mailbox.settle();
        } else {
            self.0.mailbox.close();
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
