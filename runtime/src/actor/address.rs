//! [`Address`]: an actor as others have it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use perloop_bridge::{
    ActorName, Asker, Asking, CrossThreadFuture, FutureError, Panicked, Post, Promise, PutBlockingError,
    RoomWait, Witness, WouldDeadlock,
};

use crate::actor::envelope::{Asked, Place, Promised, Told, tell_of_dead_letter};
use crate::actor::send::{self, Accept, AcceptAsk, Awaited, Ended};
use crate::actor::ward::Ends;
use crate::actor::{
    Actor, ActorEnd, Ask, AskError, Handler, Monitor, Recipient, Tell, TellError, TryTellError, handling,
    leash,
};
use crate::handle::LoopHandle;

/// An actor, for any thread: where messages are sent, and where its end is heard of. It keeps the actor alive: once all
/// addresses are dropped it ends, after the messages that are left. It keeps neither the actor's loop nor its thread.
///
/// Messages of one sender, that is of one task or thread, are handled in its order; and a message is handled after those
/// that led to its being sent, if they were sent before.
///
/// Two are equal if they are of the same actor.
///
/// # Examples
/// See [`Actor`].
pub struct Address<A: Actor>(Arc<Strong<A>>);

/// What the addresses of an actor share; the last of them ends it.
pub(crate) struct Strong<A: Actor> {
    post: Post<Place<A>>,
    end: CrossThreadFuture<()>,
    home: LoopHandle,
    /// Most have none.
    apart: Option<Box<Apart>>,
}

struct Apart {
    name: Option<Arc<str>>,
    /// Of a supervised one: the ends of its lives.
    ends: Option<Arc<Ends>>,
}

impl<A: Actor> Strong<A> {
    fn name(&self) -> Option<&Arc<str>> {
        self.apart.as_ref()?.name.as_ref()
    }

    fn actor_name(&self) -> ActorName {
        ActorName { given: self.name().cloned(), kind: std::any::type_name::<A>() }
    }
}

impl<A: Actor> Drop for Strong<A> {
    fn drop(&mut self) {
        // One that has ended does not mind.
        self.post.change_signs(0, leash::FORGOTTEN);
    }
}

impl<A: Actor> Address<A> {
    pub(crate) fn new(
        post: Post<Place<A>>,
        end: CrossThreadFuture<()>,
        home: LoopHandle,
        name: Option<Arc<str>>,
        ends: Option<Arc<Ends>>,
    ) -> Self {
        let has_more = name.is_some() || ends.is_some();
        let apart = has_more.then(|| Box::new(Apart { name, ends }));
        Self(Arc::new(Strong { post, end, home, apart }))
    }

    /// Sends a message, and awaits room for it if the mailbox is full. What the handler replies is dropped.
    ///
    /// Cancel safety: given up, it has told nothing, and the message is dropped.
    ///
    /// # Errors
    /// If the actor has ended; or if it would wait for room in a handler of its own actor, or of one for which that one's
    /// handler waits, as [`ask`](Self::ask). The message comes back.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, create_actor};
    ///
    /// struct Sum(i32);
    /// impl Actor for Sum {}
    /// impl Handler<i32> for Sum {
    ///     type Reply = i32;
    ///     async fn handle(&mut self, n: i32, _: &mut ActorContext<Self>) -> i32 {
    ///         self.0 += n;
    ///         self.0
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let sum = create_actor(|| Sum(0));
    ///     sum.tell(40).await?;
    ///     assert_eq!(sum.ask(2).await, Ok(42));
    ///     Ok::<_, perloop::TellError<i32>>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tell<M: Send + 'static>(&self, message: M) -> Tell<'_, M>
    where
        A: Handler<M>,
    {
        Tell::new(&*self.0, message)
    }

    /// Sends a message if there is room. Never waits; from any thread.
    ///
    /// # Errors
    /// If the mailbox is full, or the actor has ended. The message comes back.
    ///
    /// # Examples
    /// See [`TryTellError`].
    #[inline]
    pub fn try_tell<M: Send + 'static>(&self, message: M) -> Result<(), TryTellError<M>>
    where
        A: Handler<M>,
    {
        self.0.try_tell(message)
    }

    /// Sends a message, and blocks until there is room if the mailbox is full: for threads.
    ///
    /// # Errors
    /// If the actor has ended, or if it would have to wait in a thread whose event loop runs. The message comes back.
    ///
    /// # Examples
    /// See [`Actor`].
    pub fn tell_blocking<M: Send + 'static>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        send::tell_blocking(&*self.0, message, None)
    }

    /// As [`tell_blocking`](Self::tell_blocking), at most for `timeout`.
    ///
    /// # Errors
    /// As `tell_blocking`, and if the time was up first.
    ///
    /// # Examples
    /// See [`TellError`].
    pub fn tell_timeout<M: Send + 'static>(&self, message: M, timeout: Duration) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        send::tell_blocking(&*self.0, message, Some(timeout))
    }

    /// Sends a message and awaits what the handler replies. The reply comes directly, by no mailbox. Bound the wait by
    /// [`timeout()`](crate::timeout()).
    ///
    /// Cancel safety: given up before the message is in the mailbox, it has asked nothing; after that the message is
    /// handled, and the reply dropped.
    ///
    /// # Errors
    /// If the actor has ended or ends before it has replied, by its handler's panic among others; and
    /// [`AskError::WouldDeadlock`], before anything is sent, if a handler asks its own actor, or one whose handler waits for
    /// the reply of its own, maybe by way of others. This holds for questions that are awaited in the handler itself, with a
    /// time limit or without; what it lets other tasks ask keeps nobody waiting.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorContext, AskError, Handler, LoopThread, timeout};
    ///
    /// struct Oracle;
    /// enum Question { Easy, Hard }
    ///
    /// impl Actor for Oracle {}
    /// impl Handler<Question> for Oracle {
    ///     type Reply = u32;
    ///     async fn handle(&mut self, question: Question, _: &mut ActorContext<Self>) -> u32 {
    ///         match question {
    ///             Question::Easy => 42,
    ///             Question::Hard => std::future::pending().await,
    ///         }
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let oracle = worker.create_actor(|| Oracle);
    /// perloop::run(async {
    ///     assert_eq!(oracle.ask(Question::Easy).await, Ok(42)); // from another loop
    ///     assert!(timeout(Duration::from_millis(1), oracle.ask(Question::Hard)).await.is_err());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask<M: Send + 'static>(&self, message: M) -> Ask<'_, M, A::Reply>
    where
        A: Handler<M>,
    {
        Ask::new(&*self.0, message)
    }

    /// Sends a message and blocks until the reply is there: for threads.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); and [`AskError::WouldDeadlock`], at once, if the caller is the thread of the actor's loop or
    /// one for which that waits, or if it would have to wait for room in a thread whose event loop runs.
    ///
    /// # Examples
    /// See [`Actor`].
    pub fn ask_blocking<M: Send + 'static>(&self, message: M) -> Result<A::Reply, AskError>
    where
        A: Handler<M>,
    {
        send::ask_blocking(&*self.0, message, None)
    }

    /// As [`ask_blocking`](Self::ask_blocking), at most for `timeout`, for room and reply together.
    ///
    /// # Errors
    /// As `ask_blocking`, and if the time was up first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorContext, AskError, Handler, LoopThread};
    ///
    /// struct Silent;
    /// impl Actor for Silent {}
    /// impl Handler<()> for Silent {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: (), _: &mut ActorContext<Self>) {
    ///         std::future::pending().await
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let silent = worker.create_actor(|| Silent);
    /// assert_eq!(silent.ask_timeout((), Duration::from_millis(1)), Err(AskError::TimedOut));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ask_timeout<M: Send + 'static>(&self, message: M, timeout: Duration) -> Result<A::Reply, AskError>
    where
        A: Handler<M>,
    {
        send::ask_blocking(&*self.0, message, Some(timeout))
    }

    /// Sends a message that needs no room and is handled before those that wait.
    pub(crate) fn tell_first<M: Send + 'static>(&self, message: M)
    where
        A: Handler<M>,
    {
        // One that has ended does not mind.
        drop(self.0.post.send_order(Told(message)));
    }

    /// Asks the actor to end, after the message that it handles and before those that wait, which are dropped. It returns at
    /// once; [`ended`](Self::ended) waits. It needs no room in the mailbox.
    ///
    /// # Examples
    /// See [`ActorEnd`].
    pub fn stop(&self) {
        // One that has ended does not mind.
        self.0.post.change_signs(0, leash::STOP);
    }

    /// Ends the actor at once, in the middle of whatever it waits for: what its handler returned is dropped half-way, and no
    /// hook is called. It returns at once; [`ended`](Self::ended) waits. A handler that does not wait for anything, but keeps
    /// its thread busy, goes on until it does.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, ActorEnd, AskError, Handler, LoopThread};
    ///
    /// struct Silent;
    /// impl Actor for Silent {}
    /// impl Handler<()> for Silent {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: (), _: &mut ActorContext<Self>) {
    ///         std::future::pending().await
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let silent = worker.create_actor(|| Silent);
    /// silent.tell_blocking(())?;
    /// silent.kill();
    /// assert_eq!(silent.ended_blocking()?, ActorEnd::Killed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kill(&self) {
        // One that has ended does not mind.
        self.0.post.change_signs(0, leash::KILL);
    }

    /// What ends the life that it lives now, for a reason, and does not keep it alive meanwhile.
    pub(crate) fn killer(&self) -> impl FnOnce(ActorEnd) + Send + use<A> {
        let (post, life) = (self.0.post.clone(), self.life_end());
        move |why| {
            // The next life has nothing to do with it.
            if !life.done() {
                post.raise_for(leash::KILL, Box::new(why));
            }
        }
    }

    /// Hears of the actor's end: OTP's `monitor`, for any thread.
    ///
    /// # Examples
    /// See [`Monitor`].
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.0.actor_name(), self.life_end())
    }

    /// Hears of the end of the life that it lives, or has lived last.
    pub(crate) fn life_end(&self) -> Witness {
        let end = self.0.apart.as_ref().and_then(|apart| apart.ends.as_ref()?.latest());
        end.unwrap_or_else(|| self.last_end())
    }

    /// Hears of the end that no life comes after.
    pub(crate) fn last_end(&self) -> Witness {
        self.0.end.witness()
    }

    pub(crate) fn change_signs(&self, lower: u32, raise: u32) {
        self.0.post.change_signs(lower, raise);
    }

    /// A number that no other actor has as long as this address is there.
    pub(crate) fn id(&self) -> usize {
        self.0.post.id()
    }

    /// Awaits the actor's end: that it is dropped. Any number of tasks may.
    ///
    /// Cancel safety: giving it up changes nothing.
    ///
    /// # Examples
    /// See [`ActorEnd`].
    pub async fn ended(&self) -> ActorEnd {
        self.0.end.completion().await;
        ActorEnd::of(self.0.end.exception())
    }

    /// Blocks until the actor has ended: for threads.
    ///
    /// # Errors
    /// [`AskError::WouldDeadlock`], at once, if the caller is the thread of the actor's loop, or one for which that waits.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorEnd, LoopThread};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let clerk = worker.create_actor(|| Clerk);
    /// worker.join()?;
    /// assert_eq!(clerk.ended_blocking()?, ActorEnd::Cancelled); // as all that is left when a loop's thread ends
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ended_blocking(&self) -> Result<ActorEnd, AskError> {
        end_of(self.0.end.exception())
    }

    /// As [`ended_blocking`](Self::ended_blocking), at most for `timeout`.
    ///
    /// # Errors
    /// As `ended_blocking`, and [`AskError::TimedOut`] if the time was up first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorEnd, AskError, LoopThread};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let clerk = worker.create_actor(|| Clerk);
    /// assert_eq!(clerk.ended_timeout(Duration::from_millis(1)), Err(AskError::TimedOut));
    /// clerk.stop();
    /// assert_eq!(clerk.ended_timeout(Duration::from_secs(60)), Ok(ActorEnd::Stopped));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ended_timeout(&self, timeout: Duration) -> Result<ActorEnd, AskError> {
        end_of(self.0.end.exception_timeout(timeout))
    }

    /// Says whether the actor has ended. A yes is for good.
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
    ///     clerk.stop();
    ///     assert!(!clerk.has_ended());
    ///     clerk.ended().await;
    ///     assert!(clerk.has_ended());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn has_ended(&self) -> bool {
        self.0.end.done()
    }

    pub(crate) fn takes_no_more(&self) -> bool {
        self.0.post.is_closed()
    }

    /// Drops `kept` when the actor has ended, on its thread.
    pub(crate) fn keep_until_ended(&self, kept: impl Send + 'static) {
        self.0.end.add_done_callback(|_| drop(kept));
    }

    /// Returns the actor's name, or that of its type if it was given none.
    ///
    /// # Examples
    /// See [`ActorBuilder::name`](crate::ActorBuilder::name).
    pub fn name(&self) -> &str {
        self.0.name().map_or(std::any::type_name::<A>(), AsRef::as_ref)
    }

    /// Returns a handle of the loop that the actor lives on: to make another one beside it.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, LoopThread};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let first = worker.create_actor(|| Clerk);
    /// let second = first.home().create_actor(|| Clerk);
    /// assert_eq!(second.home(), &worker.handle());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn home(&self) -> &LoopHandle {
        &self.0.home
    }

    /// Returns how many messages were not handled: those that were refused as the actor had ended, those that were left in its
    /// mailbox then, and those that were [dropped](crate::WhenFull::DropOldest) for later ones. Each of them is an event of
    /// `tracing` as well, with its type.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    /// impl Handler<u8> for Clerk {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: u8, _: &mut ActorContext<Self>) {}
    /// }
    ///
    /// perloop::run(async {
    ///     let clerk = create_actor(|| Clerk);
    ///     clerk.try_tell(1).expect("there is room");
    ///     clerk.stop();
    ///     clerk.ended().await;
    ///     assert!(clerk.try_tell(2).is_err());
    ///     assert_eq!(clerk.dead_letters(), 2);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn dead_letters(&self) -> usize {
        self.0.post.dead_letters()
    }

    /// Gives an address that does not keep the actor alive.
    ///
    /// # Examples
    /// See [`WeakAddress`].
    pub fn downgrade(&self) -> WeakAddress<A> {
        WeakAddress(Arc::downgrade(&self.0))
    }

    /// Gives the address by one type of message, which hides the actor's type.
    ///
    /// # Examples
    /// See [`Recipient`].
    pub fn recipient<M: Send + 'static>(&self) -> Recipient<M, A::Reply>
    where
        A: Handler<M>,
    {
        Recipient::new(Arc::clone(&self.0) as Arc<dyn AcceptAsk<M, A::Reply>>)
    }
}

/// How an actor has ended, for a thread that has waited for that.
fn end_of(outcome: Result<Option<Panicked>, FutureError>) -> Result<ActorEnd, AskError> {
    match outcome {
        Err(error @ (FutureError::WouldDeadlock(_) | FutureError::TimedOut)) => {
            Err(AskError::of_reply(error))
        }
        outcome => Ok(ActorEnd::of(outcome)),
    }
}

impl<A: Handler<M>, M: Send + 'static> Accept<M> for Strong<A> {
    fn enter_wait(&self) -> Result<Option<Asking>, WouldDeadlock> {
        let enter = |from| Asking::enter(from, self.post.id(), self.post.is_home(), || self.actor_name());
        handling::current().map(enter).transpose()
    }

    #[inline]
    fn try_tell(&self, message: M) -> Result<(), TryTellError<M>> {
        self.post.try_send(Told(message)).map_err(|refused| match TryTellError::of(refused) {
            TryTellError::Full(Told(message)) => TryTellError::Full(message),
            TryTellError::Stopped(Told(message)) => {
                dead_letter::<A, M>();
                TryTellError::Stopped(message)
            }
        })
    }

    fn poll_tell(
        &self,
        message: &mut Option<M>,
        wait: &mut RoomWait,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        self.post.poll_let_in(wait, cx).map(|let_in| {
            let_in.map_err(|_| dead_letter::<A, M>())?;
            self.tell_let_in(message)
        })
    }

    fn block_tell(
        &self,
        message: &mut Option<M>,
        timeout: Option<Duration>,
    ) -> Result<(), PutBlockingError<()>> {
        self.post.block_let_in(timeout).inspect_err(note_if_dead::<A, M>)?;
        self.tell_let_in(message).map_err(|Ended| PutBlockingError::Closed(()))
    }

    fn forget(&self, wait: &mut RoomWait) {
        self.post.forget(wait);
    }

    fn takes_no_more(&self) -> bool {
        self.post.is_closed()
    }
}

impl<A: Handler<M>, M: Send + 'static> AcceptAsk<M, A::Reply> for Strong<A> {
    fn poll_ask(
        &self,
        message: &mut Option<M>,
        asker: Option<Asker>,
        wait: &mut RoomWait,
        cx: &Context<'_>,
    ) -> Poll<Result<Awaited<A::Reply>, Ended>> {
        self.post.poll_let_in(wait, cx).map(|let_in| {
            let message = message.take().expect("a question is asked once");
            let_in.map_err(|_| dead_letter::<A, M>())?;
            if self.home.remote().is_noted_by(cx.waker()) {
                return self.ask_by_promise(message, asker).map(Awaited::Noted);
            }
            self.post
                .ask_let_in(Asked { message, asker })
                .map(Awaited::Reply)
                .map_err(|_| dead_letter::<A, M>())
        })
    }

    fn block_ask(
        &self,
        message: &mut Option<M>,
        asker: Option<Asker>,
        timeout: Option<Duration>,
    ) -> Result<CrossThreadFuture<A::Reply>, PutBlockingError<()>> {
        self.post.block_let_in(timeout).inspect_err(note_if_dead::<A, M>)?;
        let message = message.take().expect("a question is asked once");
        self.ask_by_promise(message, asker).map_err(|Ended| PutBlockingError::Closed(()))
    }
}

impl<A: Actor> Strong<A> {
    /// Asks, when there is room, so that the reply may be waited for in any way.
    fn ask_by_promise<M: Send + 'static>(
        &self,
        message: M,
        asker: Option<Asker>,
    ) -> Result<CrossThreadFuture<A::Reply>, Ended>
    where
        A: Handler<M>,
    {
        let (reply, replied) = Promise::served_by(self.home.remote());
        self.post.send_let_in(Promised { message, asker, reply }).map_err(|_| dead_letter::<A, M>())?;
        Ok(replied)
    }

    /// Sends a message that there is room for. It stays where it is if the actor has ended.
    fn tell_let_in<M: Send + 'static>(&self, message: &mut Option<M>) -> Result<(), Ended>
    where
        A: Handler<M>,
    {
        let told = Told(message.take().expect("a message is sent once"));
        self.post.send_let_in(told).map_err(|refused| {
            *message = Some(refused.into_inner().0);
            dead_letter::<A, M>()
        })
    }
}

/// The actor has ended, and the message is not sent.
#[cold]
fn dead_letter<A, M>() -> Ended {
    tell_of_dead_letter::<A, M>();
    Ended
}

fn note_if_dead<A, M>(refused: &PutBlockingError<()>) {
    if matches!(refused, PutBlockingError::Closed(())) {
        tell_of_dead_letter::<A, M>();
    }
}

impl<A: Actor> Clone for Address<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> PartialEq for Address<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<A: Actor> Eq for Address<A> {}

impl<A: Actor> fmt::Debug for Address<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("name", &self.name())
            .field("letters", &self.0.post.len())
            .field("ended", &self.has_ended())
            .finish()
    }
}

/// An address that does not keep the actor alive.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorEnd, create_actor};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// perloop::run(async {
///     let clerk = create_actor(|| Clerk);
///     let weak = clerk.downgrade();
///     assert_eq!(weak.upgrade().as_ref(), Some(&clerk));
///     drop(clerk);
///     assert!(weak.upgrade().is_none()); // it ends
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct WeakAddress<A: Actor>(Weak<Strong<A>>);

impl<A: Actor> WeakAddress<A> {
    /// Gives an address that keeps it, if there is still one.
    ///
    /// # Examples
    /// See [`WeakAddress`].
    pub fn upgrade(&self) -> Option<Address<A>> {
        self.0.upgrade().map(Address)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl<A: Actor> Clone for WeakAddress<A> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<A: Actor> fmt::Debug for WeakAddress<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakAddress")
    }
}
