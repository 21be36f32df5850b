//! [`Monitor`]: who hears of an actor's end; and what an actor is told of others' ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use perloop_bridge::{ActorName, FutureError, Watch, Witness};

use crate::actor::{Actor, ActorContext, ActorEnd, Address, AskError, Down, Handler};

/// Hears of an actor's end: OTP's monitor. It is a future that gives exactly one [`Down`], however the actor ends, and also if
/// it had ended before; threads [block](Self::wait) for it. It does not keep the actor alive, and may go to any thread.
/// Dropping it takes it back. See [`Address::monitor`]; an actor that is to be told by a message calls
/// [`ActorContext::monitor`].
///
/// Of a supervised actor it hears of the end of the life that the actor lives, also if its supervisor restarts it: what was
/// agreed with that one is forgotten.
///
/// Cancel safety: giving a wait for `&mut monitor` up loses nothing.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, ActorEnd, Handler, LoopThread, Monitor};
///
/// struct Clerk;
/// struct Overwork;
/// impl Actor for Clerk {}
/// impl Handler<Overwork> for Clerk {
///     type Reply = ();
///     async fn handle(&mut self, _: Overwork, _: &mut ActorContext<Self>) {
///         panic!("too much");
///     }
/// }
///
/// let worker = LoopThread::spawn("worker")?;
/// let clerk = worker.create_actor(|| Clerk);
/// let monitor: Monitor = clerk.monitor();
/// clerk.tell_blocking(Overwork)?;
/// let down = monitor.wait()?; // or `.await` it
/// assert!(matches!(down.end, ActorEnd::Panicked(panicked) if panicked.message() == "too much"));
/// assert!(clerk.monitor().wait()?.was_gone);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor {
    name: ActorName,
    witness: Witness,
    was_gone: bool,
}

impl Monitor {
    pub(crate) fn new(name: ActorName, witness: Witness) -> Self {
        let was_gone = witness.done();
        Self { name, witness, was_gone }
    }

    /// Gives the news, if it is there.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// perloop::run(async {
    ///     let clerk = create_actor(|| Clerk);
    ///     let monitor = clerk.monitor();
    ///     assert_eq!(monitor.try_down(), None);
    ///     clerk.stop();
    ///     clerk.ended().await;
    ///     assert!(monitor.try_down().is_some_and(|down| down.end.is_normal()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn try_down(&self) -> Option<Down> {
        self.witness.done().then(|| self.down())
    }

    /// Blocks until the actor has ended: for threads.
    ///
    /// # Errors
    /// [`AskError::WouldDeadlock`], at once, if the caller is the thread of the actor's loop, or one for which that waits.
    ///
    /// # Examples
    /// See [`Monitor`].
    pub fn wait(&self) -> Result<Down, AskError> {
        self.wait_for(None)
    }

    /// As [`wait`](Self::wait), at most for `timeout`.
    ///
    /// # Errors
    /// As `wait`, and [`AskError::TimedOut`] if the time was up first; it may be asked again.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, AskError, LoopThread};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let clerk = worker.create_actor(|| Clerk);
    /// let monitor = clerk.monitor();
    /// assert_eq!(monitor.wait_timeout(Duration::from_millis(1)), Err(AskError::TimedOut));
    /// clerk.stop();
    /// assert!(monitor.wait_timeout(Duration::from_secs(60))?.end.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Down, AskError> {
        self.wait_for(Some(timeout))
    }

    fn wait_for(&self, timeout: Option<Duration>) -> Result<Down, AskError> {
        match self.witness.wait(timeout) {
            Err(error @ (FutureError::TimedOut | FutureError::WouldDeadlock(_))) => {
                Err(AskError::of_reply(error))
            }
            // A parent process's actor is none of this one's.
            Ok(()) | Err(_) => Ok(self.down()),
        }
    }

    fn down(&self) -> Down {
        down(&self.name, &self.witness, self.was_gone)
    }
}

/// Once the witness has seen the end, or never will.
fn down(name: &ActorName, witness: &Witness, was_gone: bool) -> Down {
    Down { name: name.as_str().to_owned(), end: ActorEnd::of(witness.exception()), was_gone }
}

impl Future for Monitor {
    type Output = Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Down> {
        Pin::new(&mut self.witness).poll(cx).map(|()| self.down())
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("name", &self.name.as_str())
            .field("is_down", &self.witness.done())
            .finish()
    }
}

/// Which monitor of an actor's, see [`ActorContext::monitor`].
///
/// # Examples
/// See [`ActorContext::monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MonitorKey(u64);

/// What an actor has to do with others' ends, and how it ends itself, if it says that.
#[derive(Default)]
pub(crate) struct Ties {
    pub(crate) end: Option<ActorEnd>,
    monitors: Vec<(MonitorKey, Witness, Watch)>,
    next: u64,
    links: Vec<Link>,
}

struct Link {
    /// The other one's number.
    to: usize,
    /// Tells this one of the other's end.
    _back: Watch,
    /// Tells the other one of this one's end.
    forth: Watch,
}

impl Drop for Ties {
    /// The actor's end comes after this, and those that are linked to it are to hear of it.
    fn drop(&mut self) {
        self.links.drain(..).for_each(|link| link.forth.keep());
    }
}

impl<A: Actor> ActorContext<A> {
    /// Has this actor told of another one's end, by exactly one message: a [`Down`], which needs no room in the mailbox and is
    /// handled before the messages that wait there. If that one has ended already it comes at once. It stands until this
    /// actor ends, too, or takes it back.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Address, Down, Handler, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// struct Boss(Address<Clerk>);
    /// impl Actor for Boss {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         let taken_back = context.monitor(&self.0);
    ///         assert!(context.demonitor(taken_back));
    ///         context.monitor(&self.0);
    ///         self.0.kill();
    ///     }
    /// }
    /// impl Handler<Down> for Boss {
    ///     type Reply = ();
    ///     async fn handle(&mut self, down: Down, context: &mut ActorContext<Self>) {
    ///         assert_eq!(down.end.to_string(), "killed");
    ///         context.stop();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let clerk = create_actor(|| Clerk);
    ///     let boss = create_actor(|| Boss(clerk));
    ///     assert!(boss.ended().await.is_normal());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn monitor<B: Actor>(&mut self, other: &Address<B>) -> MonitorKey
    where
        A: Handler<Down>,
    {
        let (this, monitor) = (self.weak_address().clone(), other.monitor());
        let Monitor { name, witness, was_gone } = monitor;
        let watch = witness.watch(move |witness| {
            if let Some(this) = this.upgrade() {
                this.tell_first(down(&name, witness, was_gone));
            }
        });
        let ties = self.ties();
        ties.monitors.retain(|(_, witness, _)| !witness.done());
        ties.next += 1;
        let key = MonitorKey(ties.next);
        ties.monitors.push((key, witness, watch));
        key
    }

    /// Takes a monitor back. False: its message is on its way, or has come.
    ///
    /// # Examples
    /// See [`monitor`](Self::monitor).
    pub fn demonitor(&mut self, key: MonitorKey) -> bool {
        let monitors = &mut self.ties().monitors;
        let Some(at) = monitors.iter().position(|(each, ..)| *each == key) else { return false };
        let (_, witness, watch) = monitors.remove(at);
        drop(watch);
        !witness.done()
    }

    /// Ties this actor's end to another one's, as OTP's `link`: whichever of the two ends otherwise than
    /// [normally](ActorEnd::is_normal), the other one is [killed](Address::kill) by that, and ends as [`ActorEnd::Linked`]. To a
    /// second time it is linked as to the first. If that one has ended already, this one ends.
    ///
    /// An actor that nobody has the address of any more is about to end, and is not linked.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, ActorEnd, Address, create_actor};
    ///
    /// struct Reader;
    /// impl Actor for Reader {}
    ///
    /// struct Writer(Address<Reader>);
    /// impl Actor for Writer {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         context.link(&self.0); // neither is of use without the other
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let reader = create_actor(|| Reader);
    ///     let writer = create_actor({
    ///         let reader = reader.clone();
    ///         || Writer(reader)
    ///     });
    ///     perloop::yield_now().await;
    ///     reader.kill();
    ///     assert!(matches!(writer.ended().await, ActorEnd::Linked(down) if down.end == ActorEnd::Killed));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn link<B: Actor>(&mut self, other: &Address<B>) {
        let Some(this) = self.address() else { return };
        self.unlink(other);
        let back = tie(&other.monitor(), this.killer());
        let forth = tie(&this.monitor(), other.killer());
        self.ties().links.push(Link { to: other.id(), _back: back, forth });
    }

    /// Takes a link back that this actor has made.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Address, create_actor};
    ///
    /// struct Reader;
    /// impl Actor for Reader {}
    ///
    /// struct Writer(Address<Reader>);
    /// impl Actor for Writer {
    ///     async fn started(&mut self, context: &mut ActorContext<Self>) {
    ///         context.link(&self.0);
    ///         context.unlink(&self.0);
    ///         self.0.kill();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let reader = create_actor(|| Reader);
    ///     let writer = create_actor({
    ///         let reader = reader.clone();
    ///         || Writer(reader)
    ///     });
    ///     reader.ended().await;
    ///     writer.stop();
    ///     assert!(writer.ended().await.is_normal());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn unlink<B: Actor>(&mut self, other: &Address<B>) {
        let id = other.id();
        self.ties().links.retain(|link| link.to != id);
    }
}

/// Has `kill` called when the one that is monitored ends otherwise than normally, or had ended.
fn tie(monitor: &Monitor, kill: impl FnOnce(ActorEnd) + Send + 'static) -> Watch {
    let (name, was_gone) = (monitor.name.clone(), monitor.was_gone);
    monitor.witness.watch(move |witness| {
        let down = down(&name, witness, was_gone);
        if was_gone || !down.end.is_normal() {
            kill(ActorEnd::Linked(Box::new(down)));
        }
    })
}
