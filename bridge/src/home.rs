//! The loop's own end of the bridge: the ready list, and what its thread does with the inbox.

use std::cell::Cell as StdCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::bell::Bell;
use crate::core::{CoreRef, Life, LoopCore};
use crate::deadlock;
use crate::errors::FutureError;
use crate::inbox::{Asleep, Batch};
use crate::remote::Remote;
use crate::sync::{count_forks, this_thread};
use crate::task::{CellPtr, HomeTask, Record, TaskList, TaskRef};
use crate::wait::{LOOK_FOR_NEWS, Looker, Spin};

/// The most nodes that one turn takes from the inbox, so that a flood from outside leaves room for timers, I/O and
/// the loop's own tasks. What is left comes first in the next turn.
const BATCH_LIMIT: usize = 1024;

/// Something that the loop runs in its turn.
#[derive(Debug)]
pub enum Ready {
    /// One step of a task.
    Step(TaskRef),
    /// A submission that becomes a task.
    Adopt(TaskRef),
    /// The outcome of a submission, to be given to its cross-thread future.
    Publish(TaskRef),
    /// A plain callback of this thread.
    Call(CallRef),
    /// A plain callback that another thread handed in: [`Home::run_handed`].
    Handed(TaskRef),
}

/// A callback of the loop's own thread, as the runtime keeps it.
pub trait Call {
    /// Runs it.
    fn call(self: Rc<Self>);
}

/// A callback in the ready list.
#[derive(Clone)]
pub struct CallRef(
    /// The callback.
    pub Rc<dyn Call>,
);

impl fmt::Debug for CallRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallRef")
    }
}

/// What only the home thread touches of a loop's core.
#[derive(Default)]
pub(crate) struct HomeState {
    ready: VecDeque<Ready>,
    pub(crate) tasks: TaskList,
    /// What was taken from the inbox and not looked at yet: the rest of a flood, or of the batch in hand.
    backlog: Batch,
    /// Nodes of tasks that have ended, which are between their word and the inbox, or in it.
    pub(crate) late_nodes: usize,
    is_closed: bool,
}

impl HomeState {
    pub(crate) fn push(&mut self, entry: Ready) {
        self.ready.push_back(entry);
    }
}

/// Why a loop closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Its owner closed it: what had begun ends cancelled.
    Closed,
    /// Its thread ended, or it was ended by a panic: what had begun ends with `LoopDied`.
    Died,
}

/// The loop, as its own thread has it. Dropping it closes the loop.
pub struct Home {
    core: CoreRef,
    id: u64,
    looker: StdCell<Looker>,
    is_asleep: StdCell<bool>,
    not_send: PhantomData<*mut ()>,
}

impl Home {
    /// A loop of this thread. `bell` ends the wait that the thread enters after [`Home::fall_asleep`].
    pub fn new(name: impl Into<String>, spin: Spin, bell: Box<dyn Bell>) -> Self {
        count_forks();
        let core = LoopCore::allocate(name.into(), spin, bell, this_thread());
        let id = deadlock::add_loop(&core);
        Self {
            core,
            id,
            looker: StdCell::new(Looker::default()),
            is_asleep: StdCell::new(false),
            not_send: PhantomData,
        }
    }

    /// The loop as other threads have it.
    pub fn remote(&self) -> Remote {
        Remote::new(self.core.clone())
    }

    /// A number that no other loop of this process ever has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Was the process forked since the loop was made? Then it is the parent's.
    pub fn is_inherited(&self) -> bool {
        self.core.is_inherited()
    }

    /// Other threads may read that the loop runs, or not.
    pub fn set_running(&self, is_running: bool) {
        self.core.set_life(if is_running { Life::Running } else { Life::Resting });
        self.core.publish_core();
    }

    /// Was it closed?
    pub fn is_closed(&self) -> bool {
        self.core.on_home(|home| home.is_closed)
    }

    /// Makes a task, and queues its first step.
    pub fn spawn<R: Record, F: Future + 'static>(&self, record: R, body: F) -> HomeTask<F::Output> {
        let task = self.make(record, body);
        // SAFETY: the body's output is `F::Output`, and it was made here.
        unsafe { HomeTask::new(task) }
    }

    /// A task whose first step is queued.
    pub(crate) fn make<R: Record, F: Future>(&self, record: R, body: F) -> TaskRef {
        assert!(!self.is_closed(), "the runtime refuses tasks on a closed loop");
        let task = TaskRef::make(self.core.as_ptr(), record, body);
        task.wake();
        task
    }

    /// Queues an entry behind everything that is ready.
    pub fn push(&self, entry: Ready) {
        self.core.on_home(|home| home.push(entry));
    }

    /// The oldest entry that is ready.
    pub fn pop(&self) -> Option<Ready> {
        self.core.on_home(|home| home.ready.pop_front())
    }

    /// How many entries are ready.
    pub fn ready_len(&self) -> usize {
        self.core.on_home(|home| home.ready.len())
    }

    /// Is there something to do without waiting: ready here, or come from outside?
    pub fn has_work(&self) -> bool {
        self.core.on_home(|home| !home.ready.is_empty() || !home.backlog.is_empty())
            || self.core.inbox.has_news()
    }

    /// Moves what has come from outside to the end of the ready list, oldest first, up to a limit. The loop is awake
    /// afterwards.
    pub fn collect(&self) {
        // A backlog is older than what the inbox has, so that waits; a loop that fell asleep had none.
        let room = self.receive(BATCH_LIMIT);
        if room > 0 && (self.is_asleep.replace(false) || self.core.inbox.has_news()) {
            let news = self.core.inbox.take();
            self.core.on_home(|home| home.backlog = news);
            self.receive(room);
        }
    }

    /// Takes up to `room` nodes from the backlog, and tells how much room is left. A node may run a destructor, which
    /// may close the loop, so the batch stays where `close` finds it.
    fn receive(&self, room: usize) -> usize {
        for left in (1..=room).rev() {
            let Some(node) = self.core.on_home(|home| home.backlog.next()) else { return left };
            self.receive_one(node);
        }
        0
    }

    fn receive_one(&self, node: CellPtr) {
        if !TaskRef::is_adopted(node) {
            let task = TaskRef::first(node);
            TaskRef::drained(node);
            self.push(if task.is_call() { Ready::Handed(task) } else { Ready::Adopt(task) });
        } else if TaskRef::is_ended(node) {
            self.core.on_home(|home| home.late_nodes -= 1);
            node.release();
        } else {
            TaskRef::drained(node);
            TaskRef::schedule(node);
        }
    }

    /// Runs a callback that another thread handed in. An error is its panic.
    pub fn run_handed(&self, call: TaskRef) -> Result<(), FutureError> {
        call.take_up();
        let stepped = call.poll();
        debug_assert!(stepped != crate::task::Stepped::Pending, "a call is done when it returns");
        call.error().map_or(Ok(()), Err)
    }

    /// Looks a while for something from outside, if that has paid lately. True if something has come.
    pub fn look(&self) -> bool {
        let mut looker = self.looker.take();
        let found = looker.look(self.core.spin, LOOK_FOR_NEWS, || self.core.inbox.has_news(), || false);
        self.looker.set(looker);
        found
    }

    /// Says that the thread will wait for its bell, unless something has come meanwhile. True: wait; every push from
    /// now on rings. [`Home::collect`] ends it.
    pub fn fall_asleep(&self) -> bool {
        let has_backlog = self.core.on_home(|home| !home.backlog.is_empty());
        let asleep = !has_backlog && self.core.inbox.fall_asleep() == Asleep::Yes;
        self.is_asleep.set(asleep);
        asleep
    }

    /// Takes another bell, when the runtime had to replace what it waits on.
    pub fn replace_bell(&self, bell: Box<dyn Bell>) {
        self.core.replace_bell(bell);
    }

    /// The tasks that have not ended, in the order of creation.
    pub fn tasks(&self) -> Vec<TaskRef> {
        self.core.on_home(|home| home.tasks.iter().cloned().collect())
    }

    /// How many tasks have not ended.
    pub fn task_count(&self) -> usize {
        self.core.on_home(|home| home.tasks.len())
    }

    /// Closes the loop. Everything that was handed in and not taken up is refused; everything that had begun is
    /// dropped, here, and ends cancelled or, if the loop died, `LoopDied`. Foreign code (destructors, wakers,
    /// callbacks) runs after the doors are shut. A task that closes its own loop ends when its poll returns. A second
    /// call does nothing.
    pub fn close(&self, why: Closing) {
        if self.is_closed() {
            return;
        }
        self.core.set_life(if why == Closing::Died { Life::Died } else { Life::Closed });
        deadlock::remove_loop(&self.core);
        let (entries, live, backlog, late_nodes) = self.core.on_home(|home| {
            home.is_closed = true;
            let live = std::mem::take(&mut home.tasks);
            let backlog = std::mem::take(&mut home.backlog);
            (std::mem::take(&mut home.ready), live, backlog, home.late_nodes)
        });
        self.is_asleep.set(false);
        // Nobody starts towards the inbox any more; who is on the way is counted, and keeps the core.
        let on_their_way = live.iter().filter(|task| task.deafen()).count();
        self.core.lend(late_nodes + on_their_way);
        let rest = self.core.inbox.close();
        let refused: Vec<TaskRef> = backlog.chain(rest).filter_map(|node| self.last_of_inbox(node)).collect();
        // From here on foreign code runs.
        for entry in entries.into_iter().chain(refused.into_iter().map(Ready::Adopt)) {
            self.end_entry(entry);
        }
        for task in live.iter() {
            task.abandon(match why {
                Closing::Closed => FutureError::Cancelled,
                Closing::Died => FutureError::LoopDied(self.core.died()),
            });
        }
    }

    /// A node that came before the door was shut: a submission is given back, to be refused; a wake has arrived.
    fn last_of_inbox(&self, node: CellPtr) -> Option<TaskRef> {
        if TaskRef::is_adopted(node) {
            self.core.take_back();
            node.release();
            return None;
        }
        TaskRef::drained(node);
        Some(TaskRef::first(node))
    }

    /// What was ready and will not run.
    fn end_entry(&self, entry: Ready) {
        match entry {
            Ready::Adopt(task) => task.refuse(self.core.refusal().into()),
            // Its body has ended, so it has its outcome.
            Ready::Publish(task) => task.publish(),
            Ready::Step(_) | Ready::Call(_) | Ready::Handed(_) => crate::foreign::drop_contained(entry),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.close(Closing::Died);
        // What a closed loop was given all the same ends here too, and not in the thread of the last handle.
        while let Some(entry) = self.pop() {
            self.end_entry(entry);
        }
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("name", &self.core.name).field("life", &self.core.life()).finish()
    }
}
