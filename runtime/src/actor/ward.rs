//! What a supervised actor has beside others: a supervisor that it tells, and several lives.

use std::sync::Arc;

use perloop_bridge::{Members, Promise, Witness};

use crate::actor::end::End;
use crate::actor::{ActorEnd, WeakAddress};
use crate::handle::LoopHandle;
use crate::supervisor::Supervisor;

/// What a child's task begins with.
pub(crate) struct Ward {
    pub(crate) boss: Boss,
    /// Set when its first life has started.
    pub(crate) begun: Promise<()>,
    /// The end of its first life.
    pub(crate) first: End,
    pub(crate) ends: Arc<Ends>,
    pub(crate) home: LoopHandle,
}

/// The end of the life that an actor lives, or has lived last.
pub(crate) struct Ends(Members<Witness>);

impl Ends {
    pub(crate) fn new() -> Self {
        Self(Members::new(Vec::new()))
    }

    /// Another life begins.
    pub(crate) fn renew(&self, home: &LoopHandle) -> End {
        let (promise, end) = Promise::served_by(home.remote());
        self.0.change(|latest| *latest = vec![end.witness()]);
        End::new(promise, home.clone())
    }

    pub(crate) fn latest(&self) -> Option<Witness> {
        self.0.look().first().cloned()
    }
}

/// A child's supervisor, and which of its children it is.
#[derive(Clone)]
pub(crate) struct Boss {
    pub(crate) supervisor: WeakAddress<Supervisor>,
    pub(crate) child: u64,
}

impl Boss {
    pub(crate) fn tell(&self, event: Event) {
        // One that ends does not mind: it waits for its children otherwise.
        if let Some(supervisor) = self.supervisor.upgrade() {
            supervisor.tell_first(News { child: self.child, event });
        }
    }
}

/// What a supervisor hears of a child.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) child: u64,
    pub(crate) event: Event,
}

#[derive(Debug)]
pub(crate) enum Event {
    /// A life has begun, and its first hook is over.
    Started,
    /// A life has ended, and the child waits for what its supervisor decides.
    Ended(ActorEnd),
    /// Its last life has ended.
    Gone(ActorEnd),
    /// It was to stop by now; which time that was.
    Late(u64),
    /// It may be time to begin.
    Due,
}

/// In which way an actor lives: one for itself by default.
pub(crate) struct Role<'a> {
    pub(crate) boss: &'a Boss,
    /// In the first life of a child.
    pub(crate) begun: Option<Promise<()>>,
    /// How the life before has ended, if there was one.
    pub(crate) after: Option<&'a ActorEnd>,
}

impl Role<'_> {
    pub(crate) fn has_started(&mut self) {
        self.boss.tell(Event::Started);
        // Later, as who sees it takes the child for up.
        if let Some(mut begun) = self.begun.take() {
            let _is_wanted = begun.set_result(());
        }
    }
}
