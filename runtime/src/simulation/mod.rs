//! [`Simulation`]: several loops in one thread, which turn in an order that a seed decides.
//!
//! `world` is the loops of one run and which of them turns next, `dice` the chance, `check` many seeds, `errors` why
//! there is no value.

mod check;
mod dice;
mod errors;
mod world;

use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};

pub use errors::{PendingTask, SimulationError};

use crate::errors::RunError;
use crate::event_loop::{Builder, EventLoop};
use crate::event_loop_group::GroupHandle;
use crate::runner::check_outside;
use crate::simulation::world::World;

/// How many turns a run may take, if nothing else is said.
const MAX_TURNS: u64 = 1_000_000;

/// Several loops in one thread, on one virtual clock, for tests of what loops do together: a seed decides in which
/// order they turn, and the same seed gives the same order again.
///
/// A program that runs on a group of threads runs here as it is, as it has the same [`GroupHandle`]; actors are
/// placed and talked to, futures are submitted and awaited from loop to loop, as there. One loop turns at a time, and
/// is the running one meanwhile; the next is drawn from those that have something to do. Each run also draws how
/// often each of them turns as a ratio to the others, so that in some runs one of them lags far behind. Within a loop
/// the order is asyncio's, always. When no loop has anything to do, the clock goes to the earliest timer of all of
/// them. So a run takes no time but that of the program's own work, and one machine tries thousands of orders in
/// seconds: [`check`](Self::check).
///
/// # What has which result
/// - *Deadlock*: when nothing is left that could wake a task, the run ends with the names of all that are pending.
/// - *A task that never ends* is cancelled when the main future is done. If it does not hear, the run ends as a
///   deadlock, or after [so many turns](Self::max_turns).
/// - *A panic of a task* is what it is on any loop: an outcome for who awaits it, or news for the loop's exception
///   handler. That of the main future comes out of `run`, after the teardown.
/// - *A loop that dies* of a panic, by its [`PanicPolicy`](crate::PanicPolicy), or is closed by another loop's task,
///   leaves the others running; what they have submitted to it ends with [`LoopDied`](crate::LoopDied), cancelled, or
///   refused. If it is the first one, the run ends.
/// - *A loop that is stopped* ends its tasks and is closed, as that of a [`LoopThread`](crate::LoopThread). If it is
///   the first one, the run ends.
/// - *A wait that blocks* on work of a loop of the simulation is [`WouldDeadlock`](crate::WouldDeadlock), since all
///   of them have this thread.
/// - *A panic of a loop itself*, amid a turn (of a `tracing` subscriber, say), is a panic of `run`. All loops are
///   closed.
///
/// # What it does not try
/// A step of a task is one piece: threads would also meet in the middle of one. (They meet there in perloop's own
/// code only, unless the program shares memory itself.) What comes from other threads than this one comes when it
/// comes: the clock stands still while jobs of executors run and while work of other threads' loops is awaited, but
/// no seed replays who of them is first. Threads of which perloop does not know are not waited for. And what the
/// program draws from elsewhere (the machine's clock, the order of a `HashMap`) the seed does not know.
///
/// # Examples
/// Two loops race for a seat. Both orders happen, each with its seeds:
///
/// ```
/// use perloop::{GroupHandle, Simulation, thread_queue};
///
/// async fn race(group: GroupHandle) -> Option<usize> {
///     let (seats, taken) = thread_queue(1);
///     let race = group.broadcast(move |index| async move { seats.try_put(index).is_ok() });
///     race.await.expect("nobody panics");
///     taken.try_get().ok()
/// }
///
/// let winners: Vec<_> = (0..100).map(|seed| Simulation::seeded(seed).run(race)).collect::<Result<_, _>>()?;
/// assert!(winners.contains(&Some(0)) && winners.contains(&Some(1)));
/// assert_eq!(winners[42], Simulation::seeded(42).run(race)?);
/// # Ok::<(), perloop::SimulationError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `run`"]
pub struct Simulation {
    seed: u64,
    loops: usize,
    name: String,
    settings: Builder,
    max_turns: u64,
}

impl Simulation {
    /// Sets up a simulation of two loops, whose order this seed decides.
    ///
    /// The same seed gives the same order for the same program and the same version of perloop: what it draws never
    /// changes (it is `SplitMix64`), but a version may take a turn more or less for something.
    ///
    /// # Examples
    /// ```
    /// use perloop::Simulation;
    ///
    /// assert_eq!(Simulation::seeded(42).run(|_| async { 6 * 7 })?, 42);
    /// # Ok::<(), perloop::SimulationError>(())
    /// ```
    pub fn seeded(seed: u64) -> Self {
        let (name, settings) = ("loop".to_owned(), EventLoop::builder());
        Self { seed, loops: 2, name, settings, max_turns: MAX_TURNS }
    }

    /// Returns the seed, for what the program draws itself.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop::Simulation::seeded(42).seed(), 42);
    /// ```
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets how many loops there are.
    ///
    /// # Examples
    /// ```
    /// use perloop::Simulation;
    ///
    /// let indices = Simulation::seeded(42).loops(3).run(|group| async move {
    ///     group.broadcast(|index| async move { index }).await
    /// })?;
    /// assert_eq!(indices, Ok(vec![0, 1, 2]));
    /// # Ok::<(), perloop::SimulationError>(())
    /// ```
    pub fn loops(mut self, loops: usize) -> Self {
        self.loops = loops;
        self
    }

    /// Sets the name: loops have it with their index behind, as `loop-0`.
    ///
    /// # Examples
    /// ```
    /// use perloop::Simulation;
    ///
    /// let name = Simulation::seeded(42).name("io").run(|group| async move { group.next().name().to_owned() })?;
    /// assert_eq!(name, "io-0");
    /// # Ok::<(), perloop::SimulationError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets what the loops are like; their names and their clock are the simulation's.
    ///
    /// # Examples
    /// ```
    /// use perloop::{EventLoop, PanicPolicy, Simulation};
    ///
    /// let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    /// let is_dead = Simulation::seeded(42).settings(settings).run(|group| async move {
    ///     let other = group.get(1).expect("there are two");
    ///     other.call_soon_threadsafe(|| panic!("nobody will ask")).expect("it is open");
    ///     perloop::sleep(std::time::Duration::from_millis(1)).await;
    ///     other.is_closed()
    /// })?;
    /// assert!(is_dead);
    /// # Ok::<(), perloop::SimulationError>(())
    /// ```
    pub fn settings(mut self, settings: Builder) -> Self {
        self.settings = settings;
        self
    }

    /// Sets how many turns of all loops together a run may take: by default a million. A program that is after that
    /// still not at its end never comes to one, or is too long for a simulation.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Simulation, SimulationError, yield_now};
    ///
    /// let outcome = Simulation::seeded(42).max_turns(1000).run(|_| async {
    ///     loop {
    ///         yield_now().await;
    ///     }
    /// });
    /// assert!(matches!(outcome, Err::<(), _>(SimulationError::TooManyTurns(1000, _))));
    /// ```
    pub fn max_turns(mut self, turns: u64) -> Self {
        self.max_turns = turns;
        self
    }

    /// Makes the loops, runs what `main` gives as a task of the first one, and then ends them as [`run`](crate::run)
    /// ends its one: the tasks that are left are cancelled and waited for, on all loops at once, and each loop is
    /// closed. `main` may borrow.
    ///
    /// # Errors
    /// If it never comes to an end, if the main task ends cancelled, if the first loop dies, is closed or stopped, if
    /// a loop runs in this thread already, if there are to be no loops, or if the system gives no descriptor for one.
    /// After a deadlock, and after too many turns, the loops are closed without a teardown.
    ///
    /// # Panics
    /// With the payload of the main future, if it panics, after the teardown.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{Simulation, get_running_loop, run_coroutine_threadsafe, sleep};
    ///
    /// let hour = Duration::from_secs(3600);
    /// let time = Simulation::seeded(42).run(|group| async move {
    ///     let other = group.get(1).expect("there are two");
    ///     run_coroutine_threadsafe(sleep(hour), other).await.expect("it ends"); // takes no time
    ///     get_running_loop().map(|own| own.time()) // one clock
    /// })?;
    /// assert_eq!(time, Ok(hour));
    /// # Ok::<(), perloop::SimulationError>(())
    /// ```
    #[track_caller]
    pub fn run<M, F>(self, main: M) -> Result<F::Output, SimulationError>
    where
        M: FnOnce(GroupHandle) -> F,
        F: Future,
    {
        check_outside().map_err(SimulationError::Run)?;
        if self.loops == 0 {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a simulation has at least one loop");
            return Err(SimulationError::Run(RunError::Io(error)));
        }
        let mut world = World::new(&self).map_err(|error| SimulationError::Run(RunError::Io(error)))?;
        let outcome = world.run_main(Location::caller(), main);
        let ended = match &outcome {
            Err(
                SimulationError::Deadlock(_)
                | SimulationError::TooManyTurns(..)
                | SimulationError::Run(RunError::Io(_) | RunError::Forked(_)),
            ) => Ok(()),
            Ok(_) | Err(SimulationError::Run(_)) => world.wind_down(),
        };
        drop(world);
        match outcome? {
            Ok(value) => ended.map(|()| value),
            Err(panicked) => resume_unwind(panicked.into_payload()),
        }
    }
}
