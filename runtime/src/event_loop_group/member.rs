//! One of a group's threads: how it begins, and how it is joined.

use std::io;
use std::thread::JoinHandle;

use perloop_bridge::Forked;

use crate::event_loop_group::GroupBuilder;
use crate::event_loop_group::cores::stay_on;
use crate::handle::LoopHandle;
use crate::loop_thread::{self, JoinError, live};

/// A thread of a group, and its loop.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) handle: LoopHandle,
    thread: Option<JoinHandle<()>>,
    /// Whose the thread is: a forked child has its memory, and not the thread.
    process: u32,
}

impl Member {
    pub(super) fn start(group: &GroupBuilder, index: usize, core: Option<usize>) -> io::Result<Self> {
        let name = format!("{}-{index}", group.name);
        let settings = group.settings.clone().name(name.clone());
        let make = move || {
            // First, so that what the loop has lies near its core.
            core.map_or(Ok(()), stay_on)?;
            let event_loop = settings.build()?;
            event_loop.0.home.count_load();
            Ok(event_loop)
        };
        let (handle, thread) = loop_thread::start(name, make, |event_loop| live(&event_loop))?;
        Ok(Self { handle, thread: Some(thread), process: std::process::id() })
    }

    /// Waits for the thread's end. It was told to stop before.
    pub(super) fn join(mut self) -> Result<(), JoinError> {
        if self.process != std::process::id() {
            return Err(JoinError::Forked(Forked));
        }
        self.thread.take().map_or(Ok(()), |thread| loop_thread::join(&self.handle, thread))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Neither joined nor detached: there is no such thread here.
            std::mem::forget(self.thread.take());
        }
    }
}

/// Stops all of them, and then waits for each. The first error is told; the others are waited for all the same.
pub(super) fn stop_and_join(members: Vec<Member>) -> Result<(), JoinError> {
    members.iter().for_each(|member| member.handle.stop());
    members.into_iter().map(Member::join).fold(Ok(()), Result::and)
}
