//! [`Child`]: an actor that a supervisor is to make, as often as it must.

use std::any::TypeId;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use perloop_bridge::{CrossThreadFuture, Members, WhenFull, Witness};

use crate::actor::{Actor, ActorBuilder, Address, Boss, Upbringing, WeakAddress};
use crate::current;
use crate::event_loop_group::GroupHandle;
use crate::handle::LoopHandle;
use crate::supervisor::{Restart, Supervisor};

/// How long a child may take to stop, if nothing else is said.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A child of a [`Supervisor`], before there is one: its name, how its state is made, each time anew, and what becomes of it.
///
/// # Examples
/// See [`Supervisor`].
#[must_use = "give it to a supervisor"]
pub struct Child<A: Actor> {
    pub(super) name: String,
    pub(super) restart: Restart,
    pub(super) stop_within: Option<Duration>,
    mailbox: ActorBuilder,
    nursery: Box<dyn Nursery<A>>,
    reference: Option<ChildRef<A>>,
    at: &'static Location<'static>,
}

impl<A: Actor> Child<A> {
    /// A child on its supervisor's own loop. `make` is called there for each life, and what it makes need not be `Send`.
    ///
    /// # Examples
    /// See [`Supervisor`].
    #[track_caller]
    pub fn new(name: impl Into<String>, make: impl FnMut() -> A + 'static) -> Self {
        Self::of(name.into(), Box::new(Here { make: Rc::new(RefCell::new(make)) }))
    }

    /// A child on this loop. A clone of `make` goes there, and is called for each life.
    ///
    /// If the loop is closed or dies the child fails, and as no new life can begin there the supervisor gives up.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Child, ChildRef, Handler, LoopThread, Supervisor, WhichChildren};
    ///
    /// #[derive(Default)]
    /// struct Counter(u64);
    /// impl Actor for Counter {}
    /// impl Handler<u64> for Counter {
    ///     type Reply = u64;
    ///     async fn handle(&mut self, n: u64, _: &mut ActorContext<Self>) -> u64 {
    ///         self.0 += n;
    ///         self.0
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let counter = ChildRef::new();
    /// let child = Child::on(&worker, "counter", Counter::default).known_as(&counter);
    /// perloop::run(async {
    ///     let tree = Supervisor::builder().child(child).create();
    ///     tree.ask(WhichChildren).await.expect("it lives"); // now its children have started
    ///     let counter = counter.address().expect("it is there");
    ///     assert_eq!((counter.ask(42).await, counter.home().name()), (Ok(42), "worker"));
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on<F>(home: &LoopHandle, name: impl Into<String>, make: F) -> Self
    where
        F: FnMut() -> A + Clone + Send + 'static,
    {
        Self::of(name.into(), Box::new(There { make, place: Place::Loop(home.clone()) }))
    }

    /// A child on the loop of this index of a group. If that loop dies and is [replaced](crate::GroupBuilder::replace_dead),
    /// the next life begins on the loop that has come in its place, with a new mailbox.
    ///
    /// # Panics
    /// If the group has no loop of this index.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Child, ChildRef, EventLoopGroup, Supervisor, WhichChildren};
    ///
    /// struct Shard;
    /// impl Actor for Shard {}
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let shards = [ChildRef::new(), ChildRef::new()];
    /// let mut tree = Supervisor::builder().name("shards");
    /// for (index, shard) in shards.iter().enumerate() {
    ///     tree = tree.child(Child::on_group(&group.handle(), index, format!("shard-{index}"), || Shard).known_as(shard));
    /// }
    /// perloop::run(async {
    ///     let tree = tree.create();
    ///     tree.ask(WhichChildren).await.expect("it lives");
    ///     let homes = shards.each_ref().map(|shard| shard.address().unwrap().home().name().to_owned());
    ///     assert_eq!(homes, ["loop-0", "loop-1"]);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on_group<F>(group: &GroupHandle, index: usize, name: impl Into<String>, make: F) -> Self
    where
        F: FnMut() -> A + Clone + Send + 'static,
    {
        assert!(index < group.len(), "the group has no loop of index {index}");
        Self::of(name.into(), Box::new(There { make, place: Place::Group(group.clone(), index) }))
    }

    #[track_caller]
    fn of(name: String, nursery: Box<dyn Nursery<A>>) -> Self {
        // A supervisor waits for its own children, each with a time of its own.
        let stop_within = (TypeId::of::<A>() != TypeId::of::<Supervisor>()).then_some(STOP_WITHIN);
        let at = Location::caller();
        Self {
            name,
            restart: Restart::default(),
            stop_within,
            mailbox: ActorBuilder::new(),
            nursery,
            reference: None,
            at,
        }
    }

    /// Sets when it is restarted; always, if nothing else is said.
    ///
    /// # Examples
    /// See [`Restart`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how long it may take to stop. After that it is [killed](Address::kill), and if it has not ended in as much time
    /// again, as its handler keeps its thread busy, it is abandoned: reported by an event of `tracing`, and left to itself.
    /// `None`: for ever. By default 5 seconds, and for a supervisor, which waits for its own children, for ever.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Actor, ActorContext, Child, EventLoop, Supervisor};
    ///
    /// struct Stubborn;
    /// impl Actor for Stubborn {
    ///     async fn stopping(&mut self, _: &mut ActorContext<Self>) {
    ///         std::future::pending().await
    ///     }
    /// }
    ///
    /// EventLoop::builder().virtual_time().run(async {
    ///     let child = Child::new("stubborn", || Stubborn).stop_within(Some(Duration::from_secs(1)));
    ///     let tree = Supervisor::builder().child(child).create();
    ///     tree.stop();
    ///     assert!(tree.ended().await.is_normal());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn stop_within(mut self, time: Option<Duration>) -> Self {
        self.stop_within = time;
        self
    }

    /// Sets for how many messages its mailbox has room, as [`ActorBuilder::mailbox`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Child};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// let child = Child::new("clerk", || Clerk).mailbox(16);
    /// # drop(child);
    /// ```
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.mailbox = self.mailbox.mailbox(capacity);
        self
    }

    /// Sets what becomes of a message when the mailbox is full, as [`ActorBuilder::when_full`].
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Child, WhenFull};
    ///
    /// struct Display;
    /// impl Actor for Display {}
    ///
    /// let child = Child::new("display", || Display).mailbox(1).when_full(WhenFull::DropOldest);
    /// # drop(child);
    /// ```
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.mailbox = self.mailbox.when_full(when_full);
        self
    }

    /// Has this tell the child's address.
    ///
    /// # Examples
    /// See [`ChildRef`].
    pub fn known_as(mut self, reference: &ChildRef<A>) -> Self {
        self.reference = Some(reference.clone());
        self
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

/// Where a child's address is found, for any thread. As long as the child is restarted on its loop the address stays the same;
/// where it cannot be, since the loop has died or the child was abandoned, a new one comes. Clones are of the same child.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, Address, Child, ChildRef, Handler, Supervisor, WhichChildren};
///
/// struct Ledger;
/// impl Actor for Ledger {}
/// impl Handler<&'static str> for Ledger {
///     type Reply = usize;
///     async fn handle(&mut self, line: &'static str, _: &mut ActorContext<Self>) -> usize {
///         line.len()
///     }
/// }
///
/// struct Teller(Address<Ledger>);
/// impl Actor for Teller {}
/// impl Handler<()> for Teller {
///     type Reply = usize;
///     async fn handle(&mut self, (): (), _: &mut ActorContext<Self>) -> usize {
///         self.0.ask("sold").await.unwrap_or_default()
///     }
/// }
///
/// let (ledger, teller) = (ChildRef::new(), ChildRef::new());
/// perloop::run(async {
///     let tree = Supervisor::builder()
///         .child(Child::new("ledger", || Ledger).known_as(&ledger))
///         .child(Child::new("teller", {
///             let ledger = ledger.clone();
///             move || Teller(ledger.address().expect("it was made before"))
///         }).known_as(&teller))
///         .create();
///     assert_eq!(teller.address(), None); // not yet
///     tree.ask(WhichChildren).await.expect("it lives");
///     assert_eq!(teller.address().unwrap().ask(()).await, Ok(4));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct ChildRef<A: Actor>(Members<WeakAddress<A>>);

impl<A: Actor> ChildRef<A> {
    /// One that knows of no child yet.
    ///
    /// # Examples
    /// See [`ChildRef`].
    pub fn new() -> Self {
        Self(Members::new(Vec::new()))
    }

    /// Gives the address. None: there was no child yet, or its supervisor has let it go.
    ///
    /// # Examples
    /// See [`ChildRef`].
    pub fn address(&self) -> Option<Address<A>> {
        self.0.look().first()?.upgrade()
    }
}

impl<A: Actor> Default for ChildRef<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Actor> Clone for ChildRef<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> fmt::Debug for ChildRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildRef")
    }
}

/// Where a child's tasks are made.
trait Nursery<A: Actor> {
    /// Hears that it may be otherwise, if there is no place for a child just now.
    fn awaits_place(&self) -> Option<Witness> {
        None
    }

    fn bring_up(
        &mut self,
        settings: ActorBuilder,
        boss: Boss,
        at: &'static Location<'static>,
    ) -> Upbringing<A>;
}

struct Here<F> {
    /// The task has it, too.
    make: Rc<RefCell<F>>,
}

impl<A: Actor, F: FnMut() -> A + 'static> Nursery<A> for Here<F> {
    fn bring_up(
        &mut self,
        settings: ActorBuilder,
        boss: Boss,
        at: &'static Location<'static>,
    ) -> Upbringing<A> {
        let running = current::get_running_loop().expect("a supervisor's loop runs");
        let make = Rc::clone(&self.make);
        settings.bring_up(&running, boss, at, move || (make.borrow_mut())())
    }
}

struct There<F> {
    make: F,
    place: Place,
}

enum Place {
    Loop(LoopHandle),
    Group(GroupHandle, usize),
}

impl<A: Actor, F: FnMut() -> A + Clone + Send + 'static> Nursery<A> for There<F> {
    fn awaits_place(&self) -> Option<Witness> {
        match &self.place {
            Place::Loop(_) => None,
            Place::Group(group, index) => group.awaits_successor(*index),
        }
    }

    fn bring_up(
        &mut self,
        settings: ActorBuilder,
        boss: Boss,
        at: &'static Location<'static>,
    ) -> Upbringing<A> {
        let home = match &self.place {
            Place::Loop(home) => home,
            Place::Group(group, index) => group.get(*index).expect("its index was checked"),
        };
        settings.bring_up_on(home, boss, at, self.make.clone())
    }
}

/// A child's nursery, whatever its type.
pub(super) trait Breed {
    /// Hears that it may be otherwise, if there is no place for a child just now.
    fn awaits_place(&self) -> Option<Witness>;
    fn bring_up(&mut self, boss: Boss) -> Born;
}

/// A child that is there, whatever its type, and waits to begin.
pub(super) struct Born {
    pub(super) hold: Box<dyn Hold>,
    pub(super) begun: CrossThreadFuture<()>,
}

impl<A: Actor> Breed for Child<A> {
    fn awaits_place(&self) -> Option<Witness> {
        self.nursery.awaits_place()
    }

    fn bring_up(&mut self, boss: Boss) -> Born {
        let settings = self.mailbox.clone().name(self.name.clone());
        let Upbringing { address, begun } = self.nursery.bring_up(settings, boss, self.at);
        if let Some(reference) = &self.reference {
            reference.0.change(|latest| *latest = vec![address.downgrade()]);
        }
        Born { hold: Box::new(address), begun }
    }
}

/// What a supervisor has of a child that is there.
pub(super) trait Hold: Send {
    fn change_signs(&self, lower: u32, raise: u32);
    /// Hears of the end of the life that it lives, or has lived last.
    fn life_end(&self) -> Witness;
    /// Hears of the end that no life comes after.
    fn last_end(&self) -> Witness;
}

impl<A: Actor> Hold for Address<A> {
    fn change_signs(&self, lower: u32, raise: u32) {
        self.change_signs(lower, raise);
    }

    fn life_end(&self) -> Witness {
        self.life_end()
    }

    fn last_end(&self) -> Witness {
        self.last_end()
    }
}
