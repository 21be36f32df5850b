//! Conditions: tasks wait until it is their turn, which the one before says.

use std::cell::Cell;

use ::perloop::Condition;
use ::tokio::sync::{Mutex as TokioMutex, Notify};
use async_lock::Mutex as SmolMutex;

use super::{Meeting, meeting, ours, perloop, smol, tokio};
use crate::harness::workload::Contestant;

/// Whose turn it is, and a condition that guards it.
pub(crate) trait Turns: 'static {
    fn make() -> Self;

    /// Waits for one's own turn, and gives it to the next.
    async fn take(&self, own: usize, next: usize);
}

/// Those who have it; of the peers it takes a lock beside what wakes.
pub(crate) fn conditions<M>() -> Vec<Contestant>
where
    M: Meeting<OurTurns> + Meeting<TokioTurns> + Meeting<SmolTurns>,
{
    vec![
        ours::<OurTurns, M>(),
        meeting::<TokioTurns, M, perloop::Local>("tokio Mutex, Notify, on perloop's loop"),
        meeting::<TokioTurns, M, tokio::LocalSet>("tokio Mutex, Notify, on tokio LocalSet"),
        meeting::<SmolTurns, M, perloop::Local>("smol's Mutex, Event, on perloop's loop"),
        meeting::<SmolTurns, M, smol::Local>("smol's Mutex, Event, on LocalExecutor"),
    ]
}

/// With perloop's `Condition`.
#[derive(Default)]
pub(crate) struct OurTurns {
    condition: Condition,
    turn: Cell<usize>,
}

impl Turns for OurTurns {
    fn make() -> Self {
        Self::default()
    }

    async fn take(&self, own: usize, next: usize) {
        let _guard = self.condition.acquire().await;
        while self.turn.get() != own {
            self.condition.wait().await.expect("it is held");
        }
        self.turn.set(next);
        self.condition.notify(1).expect("it is held");
    }
}

/// With tokio's lock and `Notify`.
pub(crate) struct TokioTurns {
    turn: TokioMutex<usize>,
    wakes: Notify,
}

impl Turns for TokioTurns {
    fn make() -> Self {
        Self { turn: TokioMutex::new(0), wakes: Notify::new() }
    }

    async fn take(&self, own: usize, next: usize) {
        let mut turn = self.turn.lock().await;
        while *turn != own {
            let notified = self.wakes.notified();
            drop(turn);
            notified.await;
            turn = self.turn.lock().await;
        }
        *turn = next;
        self.wakes.notify_waiters();
    }
}

/// With smol's lock and event.
pub(crate) struct SmolTurns {
    turn: SmolMutex<usize>,
    wakes: event_listener::Event,
}

impl Turns for SmolTurns {
    fn make() -> Self {
        Self { turn: SmolMutex::new(0), wakes: event_listener::Event::new() }
    }

    async fn take(&self, own: usize, next: usize) {
        let mut turn = self.turn.lock().await;
        while *turn != own {
            let listener = self.wakes.listen();
            drop(turn);
            listener.await;
            turn = self.turn.lock().await;
        }
        *turn = next;
        self.wakes.notify(1);
    }
}
