//! Streams whose items an actor handles as messages.
//!
//! The actor's own task polls them, between two messages. So they need neither a task nor room in the mailbox, and are asked
//! for no more while a message is handled.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use perloop_bridge::Letter;
use pin_project_lite::pin_project;

use crate::actor::envelope::{Place, Told};
use crate::actor::{Actor, ActorContext, Address, Handler};

/// What was [attached](ActorContext::attach) to an actor, to [`detach`](ActorContext::detach) it by.
///
/// # Examples
/// See [`ActorContext::detach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttachedKey(u64);

/// What gives an actor messages, whatever its type.
pub(crate) trait Source<A: Actor> {
    /// The next one, and whether it is the last.
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(Letter<Place<A>>, bool)>;
}

pin_project! {
    struct Attached<S, F> {
        #[pin]
        stream: S,
        to_message: F,
    }
}

impl<A, M, S, F> Source<A> for Attached<S, F>
where
    A: Handler<M>,
    M: Send + 'static,
    S: Stream,
    F: FnMut(Option<S::Item>) -> M,
{
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(Letter<Place<A>>, bool)> {
        let this = self.project();
        this.stream.poll_next(cx).map(|item| {
            let is_last = item.is_none();
            (Letter::new(Told((this.to_message)(item))), is_last)
        })
    }
}

/// One of them.
struct Keyed<A: Actor> {
    key: AttachedKey,
    source: Pin<Box<dyn Source<A>>>,
}

/// The streams of an actor.
pub(crate) struct Streams<A: Actor> {
    attached: Vec<Keyed<A>>,
    /// Set as long as there are some, if somebody had the actor's address then.
    keeper: Option<Address<A>>,
    /// How many there ever were.
    keys: u64,
    /// Which of them is asked first.
    next: usize,
    /// Are they asked before the mailbox?
    come_first: bool,
}

impl<A: Actor> Streams<A> {
    pub(crate) const fn new() -> Self {
        Self { attached: Vec::new(), keeper: None, keys: 0, next: 0, come_first: false }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.attached.len()
    }

    fn add(&mut self, source: Pin<Box<dyn Source<A>>>, keeper: Option<Address<A>>) -> AttachedKey {
        self.keeper = self.keeper.take().or(keeper);
        self.keys += 1;
        let key = AttachedKey(self.keys);
        self.attached.push(Keyed { key, source });
        key
    }

    /// Foreign code.
    fn remove(&mut self, at: usize) {
        drop(self.attached.remove(at));
        if self.is_empty() {
            self.keeper = None;
        }
    }

    /// Says whether they are asked before the mailbox: every other time.
    pub(crate) fn take_turn(&mut self) -> bool {
        self.come_first = !self.come_first;
        self.come_first
    }

    /// The next message of any of them, of each in turn. Foreign code.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Letter<Place<A>>> {
        for _ in 0..self.attached.len() {
            let at = self.next % self.attached.len();
            self.next = at + 1;
            if let Poll::Ready((message, is_last)) = self.attached[at].source.as_mut().poll_message(cx) {
                if is_last {
                    // The one behind it is in its place now.
                    self.next = at;
                    self.remove(at);
                }
                return Poll::Ready(message);
            }
        }
        Poll::Pending
    }
}

impl<A: Actor> ActorContext<A> {
    /// Has the actor handle what a stream gives: each item as the message that `to_message` makes of it, and its end as the
    /// message that is made of `None`. Neither stream nor items need be `Send`.
    ///
    /// The items take no room in the mailbox. The actor polls its streams when it is ready for a message, in turn with its
    /// mailbox, and not while it handles one; so a slow actor slows them down. Until a stream has ended it keeps the actor
    /// alive, as an [`Address`](crate::Address) does. (If nobody has the actor's address any more when it is attached, that
    /// cannot be had again, neither from the context.) It is dropped when it has ended, or with the actor.
    ///
    /// A panic of the stream or of `to_message` is as one in a handler.
    ///
    /// # Examples
    /// ```
    /// use futures_util::stream;
    /// use perloop::{Actor, ActorContext, ActorEnd, Handler, create_actor};
    ///
    /// struct Sum(u32);
    /// enum Input {
    ///     Number(u32),
    ///     End,
    /// }
    ///
    /// impl Actor for Sum {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         context.attach(stream::iter([20, 22]), |item| item.map_or(Input::End, Input::Number));
    ///     }
    /// }
    /// impl Handler<Input> for Sum {
    ///     type Reply = ();
    ///     async fn handle(&mut self, input: Input, context: &mut ActorContext<Self>) {
    ///         match input {
    ///             Input::Number(n) => self.0 += n,
    ///             Input::End => {
    ///                 assert_eq!(self.0, 42);
    ///                 context.stop();
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let end = perloop::run(async { create_actor(|| Sum(0)).ended().await })?;
    /// assert_eq!(end, ActorEnd::Stopped);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[doc(alias = "add_stream")]
    pub fn attach<S, M>(
        &mut self,
        stream: S,
        to_message: impl FnMut(Option<S::Item>) -> M + 'static,
    ) -> AttachedKey
    where
        A: Handler<M>,
        M: Send + 'static,
        S: Stream + 'static,
    {
        self.attach_source(Attached { stream, to_message })
    }

    /// Drops a stream, or a [reader](Self::attach_reader), of which the actor is told nothing. False: there is none of this key any more.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorContext, AttachedKey, Handler, create_actor, interval};
    ///
    /// struct Clock {
    ///     ticks: u32,
    ///     key: Option<AttachedKey>,
    /// }
    /// struct Tick;
    ///
    /// impl Actor for Clock {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         self.key = Some(context.attach(interval(Duration::from_millis(1)), |_| Tick));
    ///     }
    /// }
    /// impl Handler<Tick> for Clock {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: Tick, context: &mut ActorContext<Self>) {
    ///         self.ticks += 1;
    ///         if self.ticks == 3 {
    ///             let key = self.key.expect("it was attached");
    ///             assert!(context.detach(key) && !context.detach(key));
    ///         }
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let weak = create_actor(|| Clock { ticks: 0, key: None }).downgrade();
    ///     while weak.upgrade().is_some() {
    ///         perloop::yield_now().await; // then nothing keeps it alive
    ///     }
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn detach(&mut self, key: AttachedKey) -> bool {
        let Some(streams) = self.streams() else { return false };
        let at = streams.attached.iter().position(|attached| attached.key == key);
        at.map(|at| streams.remove(at)).is_some()
    }

    pub(crate) fn attach_source(&mut self, source: impl Source<A> + 'static) -> AttachedKey {
        let keeper = self.address();
        self.streams_to_be().add(Box::pin(source), keeper)
    }
}
