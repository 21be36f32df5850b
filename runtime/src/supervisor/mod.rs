//! Supervision as OTP has it: actors that restart others.
//!
//! `child` is what is supervised, `policy` how it is restarted, `slot` a child as its supervisor keeps it, `course` what the
//! supervisor does when it hears of one, `requests` what others ask of it.

mod child;
mod course;
mod policy;
mod requests;
mod slot;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use perloop_bridge::CrossThreadFuture;

pub use child::{Child, ChildRef};
pub use policy::{Backoff, GaveUp, Intensity, Restart, Strategy};
pub use requests::{ChildState, StartChild, StopChild, WhichChildren};

use crate::actor::{Actor, ActorBuilder, ActorContext, Address, Boss};
use crate::supervisor::slot::Slot;

thread_local! {
    /// Children are told apart also from those of a supervisor's earlier lives, whose news its mailbox may still have.
    static TASKS_MADE: Cell<u64> = const { Cell::new(0) };
}

/// An actor whose work is to keep others alive: OTP's supervisor. It makes its [children](Child) in order, restarts those that
/// fail, and stops them in reverse order when it ends itself.
///
/// A child that is restarted keeps its [`Address`] and its mailbox: the message whose handler panicked is not handled again, its
/// `ask` ends with the panic, and those that wait are handled by the next life. Its state is made anew, so that no message sees
/// what a panic left half-changed. Children may live on other loops than their supervisor ([`Child::on`]).
///
/// What a child's end means is its [`Restart`] type; which others are restarted with it, the supervisor's [`Strategy`]; how
/// soon, its [`Backoff`]. If there are more failures than its [`Intensity`] allows, it gives up: it stops its children, and ends
/// as [`ActorEnd::GaveUp`](crate::ActorEnd::GaveUp). A supervisor may be a child of another one, which then restarts it, and so
/// the whole branch, or gives up as well; of one that is nobody's child the exception handler of its loop hears.
///
/// A panic that a supervisor hears of is told to no exception handler; an event of `tracing` says that a child is restarted. A
/// child that ends and is not to be restarted is no child any more, and no failure of others brings it back.
///
/// It lives as long as somebody has its address. When the last one is dropped, or when it is [stopped](Address::stop), it ends
/// its children in order; when it is killed, or its loop closes, they are told to stop and not waited for.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{
///     Actor, ActorContext, ActorEnd, Child, ChildRef, Handler, Restart, Strategy, Supervisor, WhichChildren,
/// };
///
/// struct Counter(u32);
/// struct Next;
/// struct Fail;
///
/// impl Actor for Counter {
///     async fn restarted(&mut self, why: &ActorEnd, _: &mut ActorContext<Self>) {
///         assert_eq!(why.to_string(), "panicked: lost count");
///     }
/// }
/// impl Handler<Next> for Counter {
///     type Reply = u32;
///     async fn handle(&mut self, _: Next, _: &mut ActorContext<Self>) -> u32 {
///         self.0 += 1;
///         self.0
///     }
/// }
/// impl Handler<Fail> for Counter {
///     type Reply = ();
///     async fn handle(&mut self, _: Fail, _: &mut ActorContext<Self>) {
///         panic!("lost count");
///     }
/// }
///
/// perloop::run(async {
///     let counter = ChildRef::new();
///     let tree = Supervisor::builder()
///         .name("counters")
///         .strategy(Strategy::OneForOne)
///         .child(Child::new("counter", || Counter(0)).restart(Restart::Permanent).known_as(&counter))
///         .create();
///     tree.ask(WhichChildren).await.expect("it lives"); // when this is answered its children have started
///     let counter = counter.address().expect("it is there");
///     assert_eq!((counter.ask(Next).await, counter.ask(Next).await), (Ok(1), Ok(2)));
///     assert!(counter.ask(Fail).await.is_err());
///     assert_eq!(counter.ask(Next).await, Ok(1)); // the same address, and a new state
///     tree.stop();
///     assert!(tree.ended().await.is_normal());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Supervisor {
    name: String,
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    /// In the order in which they start.
    slots: Vec<Slot>,
    /// When children have failed, within the period.
    failures: VecDeque<Duration>,
    gave_up: Option<Box<GaveUp>>,
}

impl Supervisor {
    /// Sets a supervisor up.
    ///
    /// # Examples
    /// See [`Supervisor`].
    pub fn builder() -> SupervisorBuilder {
        SupervisorBuilder {
            supervisor: Self {
                name: "supervisor".to_owned(),
                strategy: Strategy::default(),
                intensity: Intensity::default(),
                backoff: Backoff::default(),
                slots: Vec::new(),
                failures: VecDeque::new(),
                gave_up: None,
            },
        }
    }

    /// Makes a child's task.
    fn bring_up(&mut self, at: usize, context: &ActorContext<Self>) -> CrossThreadFuture<()> {
        let child = TASKS_MADE.get() + 1;
        TASKS_MADE.set(child);
        let boss = Boss { supervisor: context.weak_address().clone(), child };
        self.slots[at].bring_up(boss)
    }
}

impl Actor for Supervisor {
    /// All addresses are there before the first child begins; each begins when the one before has started.
    async fn started(&mut self, context: &mut ActorContext<Self>) {
        let begun: Vec<_> = (0..self.slots.len()).map(|at| self.bring_up(at, context)).collect();
        for (slot, begun) in self.slots.iter_mut().zip(begun) {
            slot.begin();
            begun.completion().await;
            if begun.exception() != Ok(None) {
                // The rest goes by what is heard of this one.
                break;
            }
        }
    }

    async fn stopping(&mut self, _: &mut ActorContext<Self>) {
        while let Some(mut slot) = self.slots.pop() {
            slot.end(&self.name).await;
        }
    }
}

impl Drop for Supervisor {
    /// What is left is that of a supervisor which did not stop by itself.
    fn drop(&mut self) {
        self.slots.iter().rev().for_each(Slot::let_go);
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.name)
            .field("strategy", &self.strategy)
            .field("children", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Supervisor`] that is to be made, and its children, in the order in which they start.
///
/// # Examples
/// A tree: a branch of it is a child whose state is a supervisor.
/// ```
/// use std::time::Duration;
/// use perloop::{Actor, Backoff, Child, Intensity, Strategy, Supervisor, WhichChildren};
///
/// struct Listener;
/// struct Session;
/// impl Actor for Listener {}
/// impl Actor for Session {}
///
/// perloop::run(async {
///     let root = Supervisor::builder()
///         .name("server")
///         .strategy(Strategy::RestForOne)
///         .intensity(Intensity { restarts: 1, period: Duration::from_secs(60) })
///         .child(Child::new("sessions", || {
///             Supervisor::builder()
///                 .name("sessions")
///                 .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)))
///                 .child(Child::new("first", || Session))
///                 .child(Child::new("second", || Session))
///                 .build()
///         }))
///         .child(Child::new("listener", || Listener))
///         .create();
///     let children = root.ask(WhichChildren).await.expect("it lives");
///     let names: Vec<_> = children.iter().map(|child| child.name.as_str()).collect();
///     assert_eq!(names, ["sessions", "listener"]);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug)]
#[must_use = "call `create`, or `build` for a child of another supervisor"]
pub struct SupervisorBuilder {
    supervisor: Supervisor,
}

impl SupervisorBuilder {
    /// Sets its name, for errors and events; "supervisor" if nothing else is said.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.supervisor.name = name.into();
        self
    }

    /// Sets which children are restarted when one fails; that one alone, if nothing else is said.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.supervisor.strategy = strategy;
        self
    }

    /// Sets how many failures it takes; three in five seconds, if nothing else is said.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.supervisor.intensity = intensity;
        self
    }

    /// Sets how long it waits before a restart; not at all, if nothing else is said.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.supervisor.backoff = backoff;
        self
    }

    /// Adds a child, behind those that are there.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn child<A: Actor>(mut self, child: Child<A>) -> Self {
        self.supervisor.slots.push(Slot::new(child));
        self
    }

    /// Makes its state: what the `make` of a [`Child`], or of [`create_actor`](crate::create_actor), gives.
    ///
    /// # Examples
    /// See [`SupervisorBuilder`].
    pub fn build(self) -> Supervisor {
        self.supervisor
    }

    /// Makes it, on the running loop. Its children begin in the next turns; what is asked of it is answered when all have
    /// started, or one has failed to.
    ///
    /// # Panics
    /// Outside of a running loop.
    ///
    /// # Examples
    /// See [`Supervisor`].
    #[track_caller]
    pub fn create(self) -> Address<Supervisor> {
        ActorBuilder::new().name(self.supervisor.name.clone()).create(|| self.build())
    }
}
