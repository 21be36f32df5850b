//! [`ActorContext`]: what a handler has of its own actor.

use std::fmt;
use std::time::Duration;

use perloop_bridge::PooledFuture;

use crate::actor::monitor::Ties;
use crate::actor::streams::Streams;
use crate::actor::{Actor, ActorEnd, Address, Handler, WeakAddress, create_actor};
use crate::current;
use crate::event_loop::TimerHandle;

/// An actor's own, beside its state: its address, and how to end.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, ActorEnd, Handler, create_actor};
///
/// struct Countdown(u32);
/// struct Tick;
///
/// impl Actor for Countdown {}
/// impl Handler<Tick> for Countdown {
///     type Reply = ();
///
///     async fn handle(&mut self, _: Tick, context: &mut ActorContext<Self>) {
///         self.0 -= 1;
///         match context.address() {
///             Some(address) if self.0 > 0 => address.try_tell(Tick).expect("there is room"),
///             _ => context.stop(),
///         }
///     }
/// }
///
/// perloop::run(async {
///     let countdown = create_actor(|| Countdown(3));
///     countdown.tell(Tick).await.expect("it lives");
///     assert_eq!(countdown.ended().await, ActorEnd::Stopped);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct ActorContext<A: Actor> {
    address: WeakAddress<A>,
    is_stopping: bool,
    /// Made when it is first needed.
    rare: Option<Box<Rare<A>>>,
}

/// What few actors have.
struct Rare<A: Actor> {
    /// In the order in which they were made.
    children: Vec<Box<dyn Child>>,
    streams: Streams<A>,
    ties: Ties,
}

impl<A: Actor> ActorContext<A> {
    pub(crate) fn new(address: WeakAddress<A>) -> Self {
        Self { address, is_stopping: false, rare: None }
    }

    /// Makes an actor of the same loop that ends with this one: when this one stops, its children are stopped one by one, the
    /// last one first, each after the one before has ended. If a panic, a cancelled task or a closed loop ends this one, they
    /// are told to stop in that order, and not waited for. Until then this one's keep them alive.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use perloop::{Actor, ActorContext, create_actor};
    ///
    /// type Ends = Rc<RefCell<Vec<&'static str>>>;
    /// struct Crew(&'static str, Ends);
    /// struct Captain(Ends);
    ///
    /// impl Actor for Crew {
    ///     async fn stopped(&mut self) {
    ///         self.1.borrow_mut().push(self.0);
    ///     }
    /// }
    /// impl Actor for Captain {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         for name in ["mate", "cook"] {
    ///             let ends = self.0.clone();
    ///             context.create_child(move || Crew(name, ends));
    ///         }
    ///     }
    ///
    ///     async fn stopped(&mut self) {
    ///         self.0.borrow_mut().push("captain");
    ///     }
    /// }
    ///
    /// let ends = Ends::default();
    /// let kept = ends.clone();
    /// perloop::run(async {
    ///     let captain = create_actor(|| Captain(kept));
    ///     captain.stop();
    ///     captain.ended().await;
    /// })?;
    /// assert_eq!(*ends.borrow(), ["cook", "mate", "captain"]);
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[track_caller]
    pub fn create_child<C: Actor>(&mut self, make: impl FnOnce() -> C + 'static) -> Address<C> {
        let children = &mut self.rare().children;
        children.retain(|child| !child.has_ended());
        let child = create_actor(make);
        children.push(Box::new(child.clone()));
        child
    }

    /// Sends the actor itself a message when `delay` is over. It is handled before those that wait in the mailbox, and comes
    /// also if that is full. One that arrives when the actor has ended, or when nobody has its address any more, is dropped.
    /// Cancel it by what this returns.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorContext, Handler, create_actor};
    ///
    /// struct Alarm;
    /// struct Ring;
    ///
    /// impl Actor for Alarm {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         let snooze = context.tell_later(Duration::from_millis(1), Ring);
    ///         snooze.cancel();
    ///         context.tell_later(Duration::from_millis(2), Ring);
    ///     }
    /// }
    /// impl Handler<Ring> for Alarm {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: Ring, context: &mut ActorContext<Self>) {
    ///         context.stop();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let alarm = create_actor(|| Alarm);
    ///     alarm.ended().await;
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn tell_later<M: Send + 'static>(&self, delay: Duration, message: M) -> TimerHandle
    where
        A: Handler<M>,
    {
        let address = self.address.clone();
        let tell = move || {
            if let Some(address) = address.upgrade() {
                address.tell_first(message);
            }
        };
        let armed = current::with_running(|running| running.call_later(delay, tell));
        armed.expect("an actor lives on a loop that runs").expect("a loop whose actors run is open")
    }

    pub(crate) fn has_children(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.children.is_empty())
    }

    /// Stops the children, the last one first, each after the one before has ended.
    pub(crate) async fn end_children(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        while let Some(child) = rare.children.pop() {
            child.end().await;
        }
    }

    /// Gives the actor's own address. None once nobody else has it: then the actor ends when no message is left, and none
    /// will come. [Streams](Self::attach) have it, too.
    ///
    /// # Examples
    /// See [`ActorContext`].
    pub fn address(&self) -> Option<Address<A>> {
        self.address.upgrade()
    }

    /// Gives the actor's own address, in the form that does not keep it alive: for tasks that report to it.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, create_actor, create_task};
    ///
    /// struct Reader;
    /// struct Line(&'static str);
    ///
    /// impl Actor for Reader {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         let this = context.weak_address().clone();
    ///         create_task(async move {
    ///             if let Some(reader) = this.upgrade() {
    ///                 drop(reader.tell(Line("the end")).await);
    ///             }
    ///         });
    ///     }
    /// }
    /// impl Handler<Line> for Reader {
    ///     type Reply = ();
    ///     async fn handle(&mut self, Line(text): Line, context: &mut ActorContext<Self>) {
    ///         assert_eq!(text, "the end");
    ///         context.stop();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let reader = create_actor(|| Reader);
    ///     reader.ended().await;
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn weak_address(&self) -> &WeakAddress<A> {
        &self.address
    }

    /// Ends the actor after the message that it handles. Messages that are left in its mailbox are dropped.
    ///
    /// # Examples
    /// See [`ActorContext`].
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Those that it has, if any.
    #[inline]
    pub(crate) fn streams(&mut self) -> Option<&mut Streams<A>> {
        self.rare.as_deref_mut().map(|rare| &mut rare.streams).filter(|streams| !streams.is_empty())
    }

    pub(crate) fn streams_to_be(&mut self) -> &mut Streams<A> {
        &mut self.rare().streams
    }

    /// Ends the actor after the message that it handles, for a reason of its own.
    pub(crate) fn stop_as(&mut self, end: ActorEnd) {
        self.is_stopping = true;
        self.ties().end = Some(end);
    }

    pub(crate) fn take_end(&mut self) -> Option<ActorEnd> {
        self.rare.as_mut()?.ties.end.take()
    }

    pub(crate) fn ties(&mut self) -> &mut Ties {
        &mut self.rare().ties
    }

    fn rare(&mut self) -> &mut Rare<A> {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare { children: Vec::new(), streams: Streams::new(), ties: Ties::default() })
        })
    }
}

impl<A: Actor> Drop for ActorContext<A> {
    /// What is left is that of an actor which did not stop by itself.
    fn drop(&mut self) {
        let children = self.rare.iter_mut().flat_map(|rare| rare.children.drain(..).rev());
        children.for_each(|child| child.stop());
    }
}

/// An actor that ends with another, whatever its type.
trait Child: Send + Sync {
    fn has_ended(&self) -> bool;
    fn stop(&self);
    /// Stops it, and waits until it has ended.
    fn end(&self) -> PooledFuture<'_, ()>;
}

impl<A: Actor> Child for Address<A> {
    fn has_ended(&self) -> bool {
        self.has_ended()
    }

    fn stop(&self) {
        self.stop();
    }

    fn end(&self) -> PooledFuture<'_, ()> {
        PooledFuture::new(async {
            self.stop();
            self.ended().await;
        })
    }
}

impl<A: Actor> fmt::Debug for ActorContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorContext")
            .field("streams", &self.rare.as_ref().map_or(0, |rare| rare.streams.len()))
            .field("is_stopping", &self.is_stopping)
            .field("children", &self.rare.as_ref().map_or(0, |rare| rare.children.len()))
            .finish_non_exhaustive()
    }
}
