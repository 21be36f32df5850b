//! How actors are made.

use std::panic::Location;
use std::sync::Arc;

use perloop_bridge::{CrossThreadFuture, Promise, WhenFull, mailbox_with};

use crate::actor::end::End;
use crate::actor::life::{Birth, live, live_again};
use crate::actor::ward::{Boss, Ends, Ward};
use crate::actor::{Actor, Address};
use crate::current;
use crate::event_loop::EventLoop;
use crate::handle::LoopHandle;
use crate::task::Seed;

/// For how many messages a mailbox has room, if nothing else is said.
const CAPACITY: usize = 1024;

/// Makes an actor of the running loop, and gives its address. `make` is called on the loop in its next turn.
///
/// # Panics
/// Outside of a running loop; [`LoopHandle::create_actor`] needs none.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use perloop::{Actor, ActorContext, Handler, create_actor};
///
/// struct Counter(Rc<Cell<u32>>); // it never leaves its thread
/// struct Add(u32);
///
/// impl Actor for Counter {}
/// impl Handler<Add> for Counter {
///     type Reply = u32;
///
///     async fn handle(&mut self, Add(n): Add, _: &mut ActorContext<Self>) -> u32 {
///         self.0.set(self.0.get() + n);
///         self.0.get()
///     }
/// }
///
/// perloop::run(async {
///     let shared = Rc::new(Cell::new(40));
///     let counter = create_actor({
///         let shared = Rc::clone(&shared);
///         || Counter(shared)
///     });
///     assert_eq!(counter.ask(Add(2)).await, Ok(42));
///     assert_eq!(shared.get(), 42);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[track_caller]
pub fn create_actor<A: Actor>(make: impl FnOnce() -> A + 'static) -> Address<A> {
    ActorBuilder::new().create(make)
}

impl LoopHandle {
    /// Makes an actor on this loop, from any thread, and gives its address at once. `make` is called on the loop's thread,
    /// and the actor need not be `Send`. If the loop is closed, or is before the actor begins, the actor has ended.
    ///
    /// # Examples
    /// See [`Actor`].
    #[track_caller]
    pub fn create_actor<A: Actor>(&self, make: impl FnOnce() -> A + Send + 'static) -> Address<A> {
        ActorBuilder::new().create_on(self, make)
    }
}

/// Settings of an actor that is to be made.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorBuilder, ActorContext, Handler, LoopThread, TryTellError};
///
/// struct Slow;
/// struct Work;
///
/// impl Actor for Slow {}
/// impl Handler<Work> for Slow {
///     type Reply = ();
///
///     async fn handle(&mut self, _: Work, _: &mut ActorContext<Self>) {
///         std::future::pending().await
///     }
/// }
///
/// let worker = LoopThread::spawn("worker")?;
/// let slow = ActorBuilder::new().name("slow").mailbox(1).create_on(&worker, || Slow);
/// slow.tell_blocking(Work)?; // it begins with this one,
/// slow.tell_blocking(Work)?; // this one waits in the mailbox,
/// assert!(matches!(slow.try_tell(Work), Err(TryTellError::Full(Work)))); // and there is no room for more
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `create` or `create_on`"]
pub struct ActorBuilder {
    name: Option<String>,
    capacity: usize,
    when_full: WhenFull,
}

impl Default for ActorBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ActorBuilder {
    /// The usual settings: a mailbox for 1024 messages, and the type's name.
    ///
    /// # Examples
    /// See [`ActorBuilder`].
    pub fn new() -> Self {
        Self { name: None, capacity: CAPACITY, when_full: WhenFull::Wait }
    }

    /// Sets the actor's name, which its task has, too.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorBuilder};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// perloop::run(async {
    ///     let clerk = ActorBuilder::new().name("Bob").create(|| Clerk);
    ///     assert_eq!(clerk.name(), "Bob");
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets for how many messages the mailbox has room. When it is full, [`tell`](Address::tell) and
    /// [`ask`](Address::ask) wait, and [`try_tell`](Address::try_tell) refuses. What is being handled takes no room.
    ///
    /// # Panics
    /// Making the actor panics if it is zero.
    ///
    /// # Examples
    /// See [`ActorBuilder`].
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets what becomes of a message when the mailbox is full. By default it waits for room, or is refused, as its sender
    /// likes. With [`WhenFull::DropOldest`] nobody waits: the oldest message in the mailbox is dropped, which is counted as a
    /// [dead letter](Address::dead_letters); if it was asked, the `ask` ends with [`AskError::Dropped`](crate::AskError). That is
    /// for what soon is out of date, as a position or a price. Each message takes a lock then.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorBuilder, ActorContext, AskError, Handler, WhenFull, create_task, yield_now};
    ///
    /// struct Display(u32);
    /// impl Actor for Display {}
    /// impl Handler<u32> for Display {
    ///     type Reply = u32;
    ///     async fn handle(&mut self, price: u32, _: &mut ActorContext<Self>) -> u32 {
    ///         std::mem::replace(&mut self.0, price)
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let display = ActorBuilder::new().mailbox(2).when_full(WhenFull::DropOldest).create(|| Display(0));
    ///     let asked = create_task({
    ///         let display = display.clone();
    ///         async move { display.ask(100).await }
    ///     });
    ///     yield_now().await;
    ///     for price in [101, 102, 103] {
    ///         display.try_tell(price).expect("there is always room");
    ///     }
    ///     assert_eq!(display.ask(104).await, Ok(103));
    ///     # assert!(asked.await.is_ok());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Makes the actor on the running loop, as [`create_actor`].
    ///
    /// # Panics
    /// Outside of a running loop.
    ///
    /// # Examples
    /// See [`ActorBuilder::name`].
    #[track_caller]
    pub fn create<A: Actor>(self, make: impl FnOnce() -> A + 'static) -> Address<A> {
        let at = Location::caller();
        let running = match current::get_running_loop() {
            Ok(running) => running,
            Err(error) => panic!("create_actor: {error}"),
        };
        let (address, birth, seed) = self.prepare(&running.handle(), at, None);
        if running.check_open().is_ok() {
            drop(running.spawn_queued(seed, live(birth, make)));
        }
        address
    }

    /// Makes the actor on this loop, from any thread, as [`LoopHandle::create_actor`].
    ///
    /// # Examples
    /// See [`ActorBuilder`].
    #[track_caller]
    pub fn create_on<A: Actor>(
        self,
        on: &LoopHandle,
        make: impl FnOnce() -> A + Send + 'static,
    ) -> Address<A> {
        let (address, birth, seed) = self.prepare(on, Location::caller(), None);
        drop(on.submit_seeded(seed, || live(birth, make)));
        address
    }

    fn prepare<A: Actor>(
        self,
        on: &LoopHandle,
        at: &'static Location<'static>,
        ends: Option<Arc<Ends>>,
    ) -> (Address<A>, Birth<A>, Seed) {
        let (post, mailbox) = mailbox_with(on.remote(), self.capacity, self.when_full);
        let (promise, ended) = Promise::served_by(on.remote());
        let end = End::new(promise, on.clone());
        let seed = Seed::with(self.name.clone(), at, None, None);
        let address = Address::new(post, ended, on.clone(), self.name.map(Arc::from), ends);
        let this = address.downgrade();
        (address, Birth { mailbox, this, end }, seed)
    }
}

/// A supervised actor that is there, and has not begun.
pub(crate) struct Upbringing<A: Actor> {
    pub(crate) address: Address<A>,
    /// Done when its first life has started; cancelled, if that failed.
    pub(crate) begun: CrossThreadFuture<()>,
}

impl ActorBuilder {
    /// Makes one on the running loop.
    pub(crate) fn bring_up<A: Actor>(
        self,
        running: &EventLoop,
        boss: Boss,
        at: &'static Location<'static>,
        make: impl FnMut() -> A + 'static,
    ) -> Upbringing<A> {
        let (upbringing, birth, ward, seed) = self.prepare_ward(&running.handle(), boss, at);
        if running.check_open().is_ok() {
            drop(running.spawn_queued(seed, live_again(birth, ward, make)));
        }
        upbringing
    }

    /// Makes one on this loop.
    pub(crate) fn bring_up_on<A: Actor>(
        self,
        on: &LoopHandle,
        boss: Boss,
        at: &'static Location<'static>,
        make: impl FnMut() -> A + Send + 'static,
    ) -> Upbringing<A> {
        let (upbringing, birth, ward, seed) = self.prepare_ward(on, boss, at);
        drop(on.submit_seeded(seed, || live_again(birth, ward, make)));
        upbringing
    }

    fn prepare_ward<A: Actor>(
        self,
        on: &LoopHandle,
        boss: Boss,
        at: &'static Location<'static>,
    ) -> (Upbringing<A>, Birth<A>, Ward, Seed) {
        let ends = Arc::new(Ends::new());
        let first = ends.renew(on);
        let (promise, begun) = Promise::served_by(on.remote());
        let (address, birth, seed) = self.prepare(on, at, Some(Arc::clone(&ends)));
        let ward = Ward { boss, begun: promise, first, ends, home: on.clone() };
        (Upbringing { address, begun }, birth, ward, seed)
    }
}
