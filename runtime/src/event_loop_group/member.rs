//! One of a group's threads: how it begins, and how it is joined.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use perloop_bridge::{Forked, GroupId, Panicked, Promise, Witness};

use crate::errors::LoopError;
use crate::event_loop::EventLoop;
use crate::event_loop_group::cores::stay_on;
use crate::event_loop_group::last_orders::is_dismissed;
use crate::event_loop_group::{GroupBuilder, Shared};
use crate::handle::LoopHandle;
use crate::loop_thread::{self, JoinError};
use crate::run::tear_down;

thread_local! {
    /// This thread's place in its group.
    static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A thread of a group, and its loop.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) handle: LoopHandle,
    pub(super) index: usize,
    pub(super) generation: u64,
    /// Done when the thread is about to end, and another one is in its place, if there is to be one.
    mourned: Witness,
    thread: Option<JoinHandle<()>>,
    /// Nothing comes out of it; it is closed when the thread is about to end.
    ended: Receiver<Infallible>,
    /// Whose the thread is: a forked child has its memory, and not the thread.
    process: u32,
}

impl Member {
    /// Starts a thread, and its loop. It gets to know the group by what comes back beside.
    pub(super) fn start(
        group: &GroupBuilder,
        id: GroupId,
        index: usize,
        generation: u64,
        core: Option<usize>,
    ) -> io::Result<(Self, Life)> {
        let name = format!("{}-{index}", group.name);
        let settings = group.settings.clone().name(name.clone());
        let make = move || {
            // First, so that what the loop has lies near its core.
            core.map_or(Ok(()), stay_on)?;
            let event_loop = settings.build()?;
            event_loop.0.home.count_load();
            Ok(event_loop)
        };
        let (until_ended, ended) = crossbeam_channel::bounded(0);
        let (begin, group) = crossbeam_channel::bounded::<Arc<Shared>>(1);
        let (until_mourned, mourned) = Promise::<()>::new();
        let live = move |event_loop: EventLoop| {
            let _until_ended = (until_ended, until_mourned);
            let _in_group = id.enter();
            INDEX.set(Some(index));
            let Err(panicked) = live(&event_loop) else { return };
            // None: the group has not come about.
            if let Ok(group) = group.recv() {
                group.mourn(event_loop.name(), index, generation, panicked.clone());
            }
            // For who joins the thread.
            resume_unwind(panicked.into_payload());
        };
        let (handle, thread) = loop_thread::start(name, make, live)?;
        let (thread, process) = (Some(thread), std::process::id());
        let mourned = mourned.witness();
        Ok((Self { handle, index, generation, mourned, thread, ended, process }, Life(begin)))
    }

    pub(super) fn seat(&self) -> Seat {
        Seat { handle: self.handle.clone(), mourned: Some(self.mourned.clone()) }
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }

    /// Waits until the thread is about to end, at most for so long.
    pub(super) fn has_ended_within(&self, patience: Duration) -> bool {
        matches!(self.ended.recv_timeout(patience), Err(RecvTimeoutError::Disconnected))
    }

    /// Waits for the thread's end. It was told to stop before.
    pub(super) fn join(mut self) -> Result<(), JoinError> {
        if self.is_inherited() {
            return Err(JoinError::Forked(Forked));
        }
        self.thread.take().map_or(Ok(()), |thread| loop_thread::join(&self.handle, thread))
    }
}

/// A member, as the group's handles have it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) handle: LoopHandle,
    /// None: nobody will ever come in its place.
    pub(super) mourned: Option<Witness>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.is_inherited() {
            // Neither joined nor detached: there is no such thread here.
            std::mem::forget(self.thread.take());
        }
    }
}

/// What a thread of a group waits for when it dies: to know its group.
pub(super) struct Life(Sender<Arc<Shared>>);

impl Life {
    pub(super) fn begin(self, group: &Arc<Shared>) {
        // Refused: it is over already.
        drop(self.0.send(Arc::clone(group)));
    }
}

/// The thread's whole life. An error: the loop has died, and all that waited for it was told.
fn live(event_loop: &EventLoop) -> Result<(), Panicked> {
    let tear_down = |()| if is_dismissed() { Ok(()) } else { tear_down(event_loop) };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let ended = event_loop.run_forever().and_then(tear_down);
        ended.map(|()| event_loop.close().expect("it does not run any more"))
    }));
    let panicked = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(LoopError::Panicked(panicked))) => panicked,
        Ok(Err(error)) => Panicked::new(Box::new(error.to_string())),
        Err(payload) => Panicked::new(payload),
    };
    event_loop.die();
    Err(panicked)
}

/// What this thread does is done on the loop of this index as long as this lives: for a thread that has several.
pub(crate) struct InPlace {
    before: Option<usize>,
}

impl InPlace {
    pub(crate) fn enter(index: usize) -> Self {
        Self { before: INDEX.replace(Some(index)) }
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        INDEX.set(self.before);
    }
}

/// The index of the calling thread's loop, if it is one of this group.
pub(super) fn current_index(id: GroupId) -> Option<usize> {
    INDEX.get().filter(|_| GroupId::of_this_thread() == Some(id))
}

pub(super) fn stop_all(members: &[Member]) {
    members.iter().for_each(|member| member.handle.stop());
}

/// Stops all of them, and then waits for each. The first error is told; the others are waited for all the same.
pub(super) fn stop_and_join(members: Vec<Member>) -> Result<(), JoinError> {
    stop_all(&members);
    members.into_iter().map(Member::join).fold(Ok(()), Result::and)
}
