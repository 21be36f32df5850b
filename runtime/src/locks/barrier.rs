//! `Barrier`.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use crate::errors::plain_error;
use crate::locks::condition::Condition;

plain_error! {
    /// A barrier was aborted, or reset while a party waited: asyncio's `BrokenBarrierError`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Barrier, BrokenBarrier};
    ///
    /// perloop::run(async {
    ///     let barrier = Barrier::new(2)?;
    ///     barrier.abort().await;
    ///     assert_eq!(barrier.wait().await, Err(BrokenBarrier::default()));
    ///     Ok::<(), perloop::NoParties>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    BrokenBarrier: "the barrier was aborted, or reset while this party waited; `reset` it and wait again, or give up"
}

plain_error! {
    /// A barrier was to be made for nobody: asyncio's `ValueError('parties must be >= 1')`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Barrier, NoParties};
    ///
    /// assert_eq!(Barrier::new(0).unwrap_err(), NoParties::default());
    /// ```
    NoParties: "a barrier for no parties would never open; give it at least one"
}

/// Lets a number of tasks wait until all of them have come: asyncio's `Barrier`. Clones are the same barrier; none of
/// them can leave the thread.
///
/// It can be used again and again: who comes while the parties of a round still leave waits for the next round.
///
/// It belongs to no loop until a task has to wait for it.
///
/// # Examples
/// ```
/// use perloop::{Barrier, create_task};
///
/// perloop::run(async {
///     let barrier = Barrier::new(3)?;
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let barrier = barrier.clone();
///             create_task(async move { barrier.wait().await })
///         })
///         .collect();
///     for (index, task) in tasks.into_iter().enumerate() {
///         assert_eq!(task.await, Ok(Ok(index)));
///     }
///     Ok::<(), perloop::NoParties>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Barrier(Rc<Inner>);

struct Inner {
    /// Its lock is held for each change, and while a party comes and goes.
    changed: Condition,
    parties: usize,
    phase: Cell<Phase>,
    /// Those who have come and not left.
    inside: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Parties come, and wait.
    Filling,
    /// All have come, and leave; newcomers wait outside.
    Draining,
    /// Those inside leave with an error; newcomers wait outside.
    Resetting,
    /// Everybody gets an error.
    Broken,
}

impl Barrier {
    /// Makes a barrier for so many parties: asyncio's `Barrier(parties)`.
    ///
    /// # Errors
    /// If they are none.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::Barrier::new(2)?.parties(), 2);
    /// # Ok::<(), perloop::NoParties>(())
    /// ```
    pub fn new(parties: usize) -> Result<Self, NoParties> {
        if parties == 0 {
            return Err(NoParties);
        }
        let (phase, inside) = (Cell::new(Phase::Filling), Cell::new(0));
        Ok(Self(Rc::new(Inner { changed: Condition::new(), parties, phase, inside })))
    }

    /// Waits until all parties wait, and gives the number of those who were there before: asyncio's `barrier.wait()`.
    /// The last one goes on at once, the others in the order of coming.
    ///
    /// Cancel safe: who gives up leaves, and is no longer counted. One more has to come then, and two may get the same
    /// number.
    ///
    /// # Errors
    /// If the barrier was aborted, or is reset meanwhile.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let barrier = perloop::Barrier::new(1)?;
    ///     assert_eq!(barrier.wait().await, Ok(0));
    ///     Ok::<(), perloop::NoParties>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn wait(&self) -> Result<usize, BrokenBarrier> {
        let _guard = self.0.changed.acquire().await;
        self.until(|phase| !matches!(phase, Phase::Draining | Phase::Resetting)).await;
        if self.broken() {
            return Err(BrokenBarrier);
        }
        let party = Party::enter(self);
        if self.0.inside.get() == self.0.parties {
            self.enter_phase(Phase::Draining);
            return Ok(party.index);
        }
        self.until(|phase| phase != Phase::Filling).await;
        match self.0.phase.get() {
            Phase::Broken | Phase::Resetting => Err(BrokenBarrier),
            Phase::Filling | Phase::Draining => Ok(party.index),
        }
    }

    /// Makes it as new; who waits gets an error: asyncio's `barrier.reset()`. It waits for its turn among those who
    /// come and leave.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let barrier = perloop::Barrier::new(1)?;
    ///     barrier.abort().await;
    ///     barrier.reset().await;
    ///     assert_eq!(barrier.wait().await, Ok(0));
    ///     Ok::<(), perloop::NoParties>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn reset(&self) {
        let _guard = self.0.changed.acquire().await;
        let is_empty = self.0.inside.get() == 0;
        self.enter_phase(if is_empty { Phase::Filling } else { Phase::Resetting });
    }

    /// Breaks it: who waits and who comes gets an error, until it is [`reset`](Self::reset). asyncio's
    /// `barrier.abort()`. It waits for its turn among those who come and leave.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let barrier = perloop::Barrier::new(2)?;
    ///     barrier.abort().await;
    ///     assert!(barrier.broken());
    ///     Ok::<(), perloop::NoParties>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn abort(&self) {
        let _guard = self.0.changed.acquire().await;
        self.enter_phase(Phase::Broken);
    }

    /// Returns how many parties it is for: asyncio's `barrier.parties`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::Barrier::new(2)?.parties(), 2);
    /// # Ok::<(), perloop::NoParties>(())
    /// ```
    pub fn parties(&self) -> usize {
        self.0.parties
    }

    /// Returns how many wait; none while they leave: asyncio's `barrier.n_waiting`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Barrier, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let barrier = Barrier::new(2)?;
    ///     let first = create_task({
    ///         let barrier = barrier.clone();
    ///         async move { barrier.wait().await }
    ///     });
    ///     yield_now().await;
    ///     assert_eq!(barrier.n_waiting(), 1);
    /// #   drop(first);
    ///     Ok::<(), perloop::NoParties>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn n_waiting(&self) -> usize {
        if self.0.phase.get() == Phase::Filling { self.0.inside.get() } else { 0 }
    }

    /// Says whether it was aborted, and not reset since: asyncio's `barrier.broken`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Barrier::new(2)?.broken());
    /// # Ok::<(), perloop::NoParties>(())
    /// ```
    pub fn broken(&self) -> bool {
        self.0.phase.get() == Phase::Broken
    }

    fn enter_phase(&self, phase: Phase) {
        self.0.phase.set(phase);
        self.0.changed.tell_all();
    }

    async fn until(&self, is_reached: impl Fn(Phase) -> bool) {
        let waited = self.0.changed.wait_for(|| is_reached(self.0.phase.get())).await;
        waited.expect("the caller holds the lock");
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.n_waiting())
            .field("phase", &self.0.phase.get())
            .finish()
    }
}

/// One who has come. It leaves when this is dropped, whatever became of it.
struct Party<'a> {
    barrier: &'a Barrier,
    index: usize,
}

impl<'a> Party<'a> {
    fn enter(barrier: &'a Barrier) -> Self {
        let index = barrier.0.inside.get();
        barrier.0.inside.set(index + 1);
        Self { barrier, index }
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        let Inner { changed, phase, inside, .. } = &*self.barrier.0;
        inside.set(inside.get() - 1);
        if inside.get() > 0 {
            return;
        }
        if let Phase::Draining | Phase::Resetting = phase.get() {
            phase.set(Phase::Filling);
        }
        // Those who wait outside.
        changed.tell_all();
    }
}
