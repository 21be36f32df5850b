//! [`Router`]: several actors as one.

use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use perloop_bridge::{Members, Seen};

use crate::actor::{Actor, Address, Handler, Recipient, Tell, TellError, TryTellError};
use crate::event_loop_group::place_of;

mod sealed {
    pub trait Sealed {}
    impl<A: super::Actor> Sealed for super::Address<A> {}
    impl<M, R: Send + 'static> Sealed for super::Recipient<M, R> {}
}

/// What a [`Router`] can choose: an [`Address`], or a [`Recipient`].
///
/// # Examples
/// See [`Router`].
pub trait RouterMember: Clone + PartialEq + Send + Sync + sealed::Sealed {
    /// Says whether the actor takes no more messages, as it has ended or is about to. A yes is for good.
    fn is_closed(&self) -> bool;
}

/// A [`RouterMember`] that takes messages of a type.
///
/// # Examples
/// See [`Router::broadcast`].
pub trait Takes<M>: RouterMember {
    /// As [`Address::tell`].
    fn tell(&self, message: M) -> Tell<'_, M>;

    /// As [`Address::try_tell`].
    ///
    /// # Errors
    /// As there.
    fn try_tell(&self, message: M) -> Result<(), TryTellError<M>>;

    /// As [`Address::tell_blocking`].
    ///
    /// # Errors
    /// As there.
    fn tell_blocking(&self, message: M) -> Result<(), TellError<M>>;
}

macro_rules! impl_takes {
    () => {
        fn tell(&self, message: M) -> Tell<'_, M> {
            self.tell(message)
        }

        fn try_tell(&self, message: M) -> Result<(), TryTellError<M>> {
            self.try_tell(message)
        }

        fn tell_blocking(&self, message: M) -> Result<(), TellError<M>> {
            self.tell_blocking(message)
        }
    };
}

impl<A: Actor> RouterMember for Address<A> {
    fn is_closed(&self) -> bool {
        self.takes_no_more()
    }
}

impl<A: Handler<M>, M: Send + 'static> Takes<M> for Address<A> {
    impl_takes!();
}

impl<M: Send + 'static, R: Send + 'static> RouterMember for Recipient<M, R> {
    fn is_closed(&self) -> bool {
        self.takes_no_more()
    }
}

impl<M: Send + 'static, R: Send + 'static> Takes<M> for Recipient<M, R> {
    impl_takes!();
}

/// Several actors, of which it gives one after the other, or the one of a key, or tells all: addresses of one type of actor,
/// or recipients of one type of message. They may live on loops of different threads.
///
/// Actors are [added](Self::add) and [removed](Self::remove) at any time; those that have ended are passed over, and taken
/// out. As an address, it keeps its members alive.
///
/// Clones, for other threads and tasks, have the same members and take the same turns. Each keeps a list of its own, so that
/// to choose one takes no lock.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, EventLoopGroup, Handler, Router};
///
/// struct Adder;
/// struct Add(u32, u32);
///
/// impl Actor for Adder {}
/// impl Handler<Add> for Adder {
///     type Reply = u32;
///     async fn handle(&mut self, Add(a, b): Add, _: &mut ActorContext<Self>) -> u32 {
///         a + b
///     }
/// }
///
/// let group = EventLoopGroup::builder().loops(2).spawn()?;
/// let mut adders = Router::new(group.loops().map(|on| on.create_actor(|| Adder)));
/// for n in 0..4 {
///     let adder = adders.next_member().ok_or("none is left")?;
///     assert_eq!(adder.ask_blocking(Add(n, n))?, 2 * n);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Router<T> {
    members: Members<T>,
    seen: Seen<T>,
}

impl<T: RouterMember> Router<T> {
    /// Begins with these members, or with none.
    ///
    /// # Examples
    /// See [`Router`].
    pub fn new(members: impl IntoIterator<Item = T>) -> Self {
        let members = Members::new(members.into_iter().collect());
        Self { seen: members.look(), members }
    }

    /// Adds a member, behind the others. One that is there twice has two turns.
    ///
    /// # Examples
    /// See [`Router::remove`].
    pub fn add(&self, member: T) {
        self.members.change(|list| list.push(member));
    }

    /// Takes a member out, once. False: it is none. The last one comes in its place, so that it and the one that goes are the
    /// only ones whose [keys](Self::by_key) move.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Router, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// perloop::run(async {
    ///     let mut clerks = Router::new([create_actor(|| Clerk)]);
    ///     let (first, second) = (clerks.next_member().unwrap().clone(), create_actor(|| Clerk));
    ///     clerks.add(second.clone());
    ///     assert_eq!(clerks.members(), [first.clone(), second.clone()]);
    ///     assert!(clerks.remove(&first) && !clerks.remove(&first));
    ///     assert_eq!(clerks.members(), [second]);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn remove(&self, member: &T) -> bool {
        let removed = self.members.change(|list| {
            let at = list.iter().position(|other| other == member)?;
            Some(list.swap_remove(at))
        });
        removed.is_some()
    }

    /// Returns the members, as they are just now. Some may have ended.
    ///
    /// # Examples
    /// See [`Router::remove`].
    pub fn members(&mut self) -> &[T] {
        self.members.refresh(&mut self.seen);
        &self.seen
    }

    /// Returns one member after the other, whichever clone is asked, and after the last one the first again: round robin.
    /// None: none is left.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Router, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// perloop::run(async {
    ///     let (first, second) = (create_actor(|| Clerk), create_actor(|| Clerk));
    ///     let mut clerks = Router::new([first.clone(), second.clone()]);
    ///     let mut other = clerks.clone();
    ///     assert_eq!(clerks.next_member(), Some(&first));
    ///     assert_eq!(other.next_member(), Some(&second));
    ///     first.stop();
    ///     first.ended().await;
    ///     assert!((0..3).all(|_| clerks.next_member() == Some(&second)));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn next_member(&mut self) -> Option<&T> {
        let turn = self.members.next();
        self.choose(|count| turn % count)
    }

    /// Returns the member of a key: the same for the same key as long as the members are the same, and evenly spread. It is
    /// the consistent hash of [`GroupHandle::by_key`](crate::GroupHandle::by_key): with one more member few keys move, and
    /// those to the new one; with one less, those of two. None: none is left.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Router, create_actor};
    ///
    /// struct Cache;
    /// impl Actor for Cache {}
    ///
    /// perloop::run(async {
    ///     let mut caches = Router::new((0..4).map(|_| create_actor(|| Cache)));
    ///     let of_ada = caches.by_key("Ada").cloned();
    ///     assert_eq!(caches.by_key("Ada").cloned(), of_ada);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn by_key<K: Hash + ?Sized>(&mut self, key: &K) -> Option<&T> {
        self.choose(|count| place_of(key, count))
    }

    /// Chooses until it is one that lives.
    #[inline]
    fn choose(&mut self, place: impl Fn(usize) -> usize) -> Option<&T> {
        self.members.refresh(&mut self.seen);
        while !self.seen.is_empty() {
            let at = place(self.seen.len());
            if !self.seen[at].is_closed() {
                return self.seen.get(at);
            }
            self.take_out_the_dead();
        }
        None
    }

    #[cold]
    fn take_out_the_dead(&mut self) {
        drop(self.members.change(|list| {
            let (mut at, mut dead) = (0, Vec::new());
            while at < list.len() {
                if list[at].is_closed() {
                    dead.push(list.swap_remove(at));
                } else {
                    at += 1;
                }
            }
            dead
        }));
        self.members.refresh(&mut self.seen);
    }

    /// Tells all members, and awaits room where there is none. One that is slow does not keep others waiting.
    ///
    /// Cancel safety: given up, it has told those who had room.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, Recipient, Router, create_actor};
    ///
    /// struct Lamp;
    /// struct Engine;
    /// #[derive(Clone)]
    /// struct Off;
    ///
    /// impl Actor for Lamp {}
    /// impl Actor for Engine {}
    /// impl Handler<Off> for Lamp {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: Off, context: &mut ActorContext<Self>) {
    ///         context.stop();
    ///     }
    /// }
    /// impl Handler<Off> for Engine {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: Off, context: &mut ActorContext<Self>) {
    ///         context.stop();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let (lamp, engine) = (create_actor(|| Lamp), create_actor(|| Engine));
    ///     let mut house: Router<Recipient<Off>> = Router::new([lamp.recipient(), engine.recipient()]);
    ///     assert_eq!(house.broadcast(Off).await.told.len(), 2);
    ///     lamp.ended().await;
    ///     engine.ended().await;
    ///     assert!(house.broadcast(Off).await.told.is_empty());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn broadcast<M: Clone>(&mut self, message: M) -> Broadcast<T>
    where
        T: Takes<M>,
    {
        self.members.refresh(&mut self.seen);
        let seen = self.seen.clone();
        let mut told = all_told(seen.iter().map(|member| member.tell(message.clone()))).await.into_iter();
        self.sort(&seen, |_| told.next().expect("as many as members"))
    }

    /// Tells those members that have room. Never waits.
    ///
    /// # Examples
    /// See [`Broadcast`].
    pub fn try_broadcast<M: Clone>(&mut self, message: M) -> Broadcast<T>
    where
        T: Takes<M>,
    {
        self.members.refresh(&mut self.seen);
        let seen = self.seen.clone();
        self.sort(&seen, |member| match member.try_tell(message.clone()) {
            Ok(()) => Told::Yes,
            Err(TryTellError::Full(_)) => Told::Full,
            Err(TryTellError::Stopped(_)) => Told::Ended,
        })
    }

    /// Tells all members, one after the other, and blocks where there is no room: for threads.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, LoopThread, Router};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    /// impl Handler<&'static str> for Clerk {
    ///     type Reply = ();
    ///     async fn handle(&mut self, _: &'static str, _: &mut ActorContext<Self>) {}
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let mut clerks = Router::new((0..3).map(|_| worker.create_actor(|| Clerk)));
    /// assert_eq!(clerks.broadcast_blocking("hello").told.len(), 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn broadcast_blocking<M: Clone>(&mut self, message: M) -> Broadcast<T>
    where
        T: Takes<M>,
    {
        self.members.refresh(&mut self.seen);
        let seen = self.seen.clone();
        self.sort(&seen, |member| Told::of(&member.tell_blocking(message.clone())))
    }

    fn sort(&self, seen: &[T], mut told: impl FnMut(&T) -> Told) -> Broadcast<T> {
        let mut all = Broadcast { told: Vec::new(), full: Vec::new(), ended: Vec::new() };
        for member in seen {
            let list = match told(member) {
                Told::Yes => &mut all.told,
                Told::Full => &mut all.full,
                Told::Ended => &mut all.ended,
            };
            list.push(member.clone());
        }
        for ended in &all.ended {
            self.remove(ended);
        }
        all
    }
}

/// Whom a [`Router`] has told, and whom not.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorBuilder, ActorContext, Broadcast, Handler, Router};
///
/// struct Clerk;
/// impl Actor for Clerk {}
/// impl Handler<u8> for Clerk {
///     type Reply = ();
///     async fn handle(&mut self, _: u8, _: &mut ActorContext<Self>) {}
/// }
///
/// perloop::run(async {
///     let [busy, idle, gone] = [(); 3].map(|()| ActorBuilder::new().mailbox(1).create(|| Clerk));
///     let mut clerks = Router::new([busy.clone(), idle.clone(), gone.clone()]);
///     gone.stop();
///     gone.ended().await;
///     busy.try_tell(1).expect("there is room");
///     let Broadcast { told, full, ended, .. } = clerks.try_broadcast(2);
///     assert_eq!((told, full, ended), (vec![idle.clone()], vec![busy.clone()], vec![gone]));
///     assert_eq!(clerks.members(), [busy, idle]);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast<T> {
    /// Those who have the message in their mailboxes.
    pub told: Vec<T>,
    /// Those who had no room for it, where that was not waited for; or could not be, as it would have been a deadlock.
    pub full: Vec<T>,
    /// Those who had ended. They are no members any more.
    pub ended: Vec<T>,
}

/// What became of one message.
enum Told {
    Yes,
    Full,
    Ended,
}

impl Told {
    fn of<M>(outcome: &Result<(), TellError<M>>) -> Self {
        match outcome {
            Ok(()) => Self::Yes,
            Err(TellError::Stopped(_)) => Self::Ended,
            Err(TellError::TimedOut(_) | TellError::WouldDeadlock(..)) => Self::Full,
        }
    }
}

/// Awaits all of them at once.
async fn all_told<'a, M: 'a>(tells: impl Iterator<Item = Tell<'a, M>>) -> Vec<Told> {
    let mut tells: Vec<_> = tells.map(|tell| (tell, None)).collect();
    poll_fn(|cx| poll_all(&mut tells, cx)).await;
    tells.into_iter().map(|(_, told)| told.expect("all are ready")).collect()
}

fn poll_all<M>(tells: &mut [(Tell<'_, M>, Option<Told>)], cx: &mut Context<'_>) -> Poll<()> {
    let mut are_ready = true;
    for (tell, told) in tells.iter_mut().filter(|(_, told)| told.is_none()) {
        match Pin::new(tell).poll(cx) {
            Poll::Ready(outcome) => *told = Some(Told::of(&outcome)),
            Poll::Pending => are_ready = false,
        }
    }
    if are_ready { Poll::Ready(()) } else { Poll::Pending }
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self { members: self.members.clone(), seen: self.seen.clone() }
    }
}

impl<T: fmt::Debug + Clone> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.members.look()).finish()
    }
}
