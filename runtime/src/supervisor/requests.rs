//! What others ask of a supervisor, by messages.

use std::fmt;

use crate::actor::{Actor, ActorContext, Handler};
use crate::supervisor::slot::{Phase, Slot};
use crate::supervisor::{Child, Supervisor};

/// Asks a supervisor for its children, in their order: OTP's `which_children`. The reply is a list of [`ChildState`].
///
/// # Examples
/// See [`ChildState`].
#[derive(Debug, Clone, Copy)]
pub struct WhichChildren;

/// A child, as its supervisor sees it at this moment.
///
/// # Examples
/// ```
/// use perloop::{Actor, Child, ChildState, Supervisor, WhichChildren};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// perloop::run(async {
///     let tree = Supervisor::builder().child(Child::new("Bob", || Clerk)).create();
///     let children: Vec<ChildState> = tree.ask(WhichChildren).await.expect("it lives");
///     assert_eq!((children[0].name.as_str(), children[0].is_up, children[0].restarts), ("Bob", true, 0));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildState {
    /// Its name.
    pub name: String,
    /// Does it live? Otherwise it stops, or waits to begin.
    pub is_up: bool,
    /// How often it was restarted since it failed itself.
    pub restarts: u32,
}

/// Has a supervisor start one more child, behind those that it has: OTP's `start_child`. The reply comes when it is a child;
/// its start is as a restart.
///
/// # Examples
/// ```
/// use perloop::{Actor, Child, ChildRef, Restart, StartChild, Supervisor};
///
/// struct Session(u32);
/// impl Actor for Session {}
///
/// perloop::run(async {
///     let tree = Supervisor::builder().name("sessions").create();
///     let session = ChildRef::new();
///     let known = session.clone();
///     let start = StartChild::new(move || {
///         Child::new("session-1", || Session(1)).restart(Restart::Temporary).known_as(&known)
///     });
///     tree.ask(start).await.expect("it lives");
///     assert!(session.address().is_some());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct StartChild(Box<dyn FnOnce() -> Slot + Send>);

impl StartChild {
    /// `make` is called on the supervisor's loop, so that the child's own `make` need not be `Send`.
    ///
    /// # Examples
    /// See [`StartChild`].
    pub fn new<A: Actor>(make: impl FnOnce() -> Child<A> + Send + 'static) -> Self {
        Self(Box::new(|| Slot::new(make())))
    }
}

impl fmt::Debug for StartChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartChild")
    }
}

/// Has a supervisor stop the first child of this name for good: OTP's `terminate_child` and `delete_child`. The reply says
/// whether there is one, and comes before it has stopped.
///
/// # Examples
/// ```
/// use perloop::{Actor, Child, StopChild, Supervisor};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// perloop::run(async {
///     let tree = Supervisor::builder().child(Child::new("Bob", || Clerk)).create();
///     assert_eq!(tree.ask(StopChild::named("Bob")).await, Ok(true));
///     assert_eq!(tree.ask(StopChild::named("Eve")).await, Ok(false));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StopChild(String);

impl StopChild {
    /// The child of this name.
    ///
    /// # Examples
    /// See [`StopChild`].
    pub fn named(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

impl Handler<WhichChildren> for Supervisor {
    type Reply = Vec<ChildState>;

    async fn handle(&mut self, _: WhichChildren, _: &mut ActorContext<Self>) -> Vec<ChildState> {
        let children = self.slots.iter().filter(|slot| slot.phase != Phase::Over);
        let state = |slot: &Slot| ChildState {
            name: slot.name.clone(),
            is_up: matches!(slot.phase, Phase::Up(_)),
            restarts: slot.restarts,
        };
        children.map(state).collect()
    }
}

impl Handler<StartChild> for Supervisor {
    type Reply = ();

    async fn handle(&mut self, StartChild(make): StartChild, context: &mut ActorContext<Self>) {
        self.slots.push(make());
        drop(self.bring_up(self.slots.len() - 1, context));
        self.go_on(context);
    }
}

impl Handler<StopChild> for Supervisor {
    type Reply = bool;

    async fn handle(&mut self, StopChild(name): StopChild, context: &mut ActorContext<Self>) -> bool {
        let named = |slot: &Slot| slot.name == name && slot.phase != Phase::Over;
        let Some(at) = self.slots.iter().position(named) else { return false };
        let slot = &mut self.slots[at];
        slot.is_due = false;
        match slot.phase {
            Phase::Waiting => slot.dismiss(),
            Phase::Absent => drop(self.slots.remove(at)),
            _ => slot.must_stop = true,
        }
        self.go_on(context);
        true
    }
}
