//! [`EventLoopGroup::shutdown`]: the part of the thread that asks for it.
//!
//! The drain goes in rounds. In each, every loop waits until it has no task, and tells how many it has ever made. Tasks may
//! hand work to loops that were done before, so there is another round, until one finds on every loop what the one before has
//! left: then there was a moment, between the two, at which no loop had anything.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use perloop_bridge::{CrossThreadFuture, Forked, FutureError, Promise};

use crate::event_loop_group::EventLoopGroup;
use crate::event_loop_group::last_orders::{self, Ended};
use crate::event_loop_group::member::{Member, stop_all};
use crate::event_loop_group::report::{LoopEnd, LoopReport, ShutdownReport};
use crate::handle::LoopHandle;
use crate::loop_thread::JoinError;

/// How long after its time is up a loop may take to say so, before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(1);

/// A time to give up at, which may be never.
#[derive(Clone, Copy)]
struct Until(Option<Instant>);

impl Until {
    fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl EventLoopGroup {
    /// Ends the group in order, and reports what became of its work; blocks meanwhile. asyncio's `run` has this order at its
    /// end, without the drain:
    ///
    /// 1. *It accepts no more.* What other threads submit is refused, as by a loop that is closed. Tasks of the group may still
    ///    make tasks, and hand work to each other, so that what is in flight can finish.
    /// 2. *It drains*, at most for the time `drain`: until no loop of the group has a task any more.
    /// 3. *It cancels* the tasks that are left, waits for them for at most `clean_up`, by the loops' own clocks, and within
    ///    that time closes asynchronous generators and waits for jobs of the default executors.
    /// 4. *It closes* the loops, which drops the futures of tasks that still have not ended, and joins the threads. A thread
    ///    that has not answered a second after its time is left behind, as stuck: it may be blocked for ever.
    ///
    /// `Duration::MAX` is as long as it takes.
    ///
    /// # Errors
    /// If the caller is a thread of the group, or in another process than it. The loops were stopped all the same, or are the
    /// parent's.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoopGroup, sleep};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// let last = group.submit(async {
    ///     sleep(Duration::from_millis(100)).await;
    ///     42
    /// });
    /// let report = group.shutdown(Duration::from_secs(30), Duration::from_secs(5))?;
    /// assert_eq!((report.finished(), last.result()), (1, Ok(42)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "shutdownGracefully")]
    pub fn shutdown(mut self, drain: Duration, clean_up: Duration) -> Result<ShutdownReport, JoinError> {
        let members = self.members_to_end()?;
        if let Some(circle) = members.iter().find_map(|member| member.handle.own_circle()) {
            stop_all(&members);
            return Err(JoinError::WouldDeadlock(circle));
        }
        self.close_to_others(&members);
        Ok(self.end_in_order(members, drain, clean_up))
    }

    /// As [`shutdown`](Self::shutdown), and does not block: for tasks, which await the report, and for threads that have other
    /// things to do. When it returns the group accepts no more; a thread of its own does the rest, whatever becomes of the
    /// future, which cannot be cancelled.
    ///
    /// A task of the group itself may call it. If it awaits the report it is one of those that the group waits for while it
    /// drains, and ends cancelled.
    ///
    /// # Errors
    /// If the system gives no thread. The loops were stopped all the same. The future's errors are those of `shutdown`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{EventLoopGroup, sleep};
    ///
    /// let group = EventLoopGroup::builder().loops(2).spawn()?;
    /// drop(group.broadcast(|_| sleep(Duration::from_millis(100))));
    /// let report = perloop::run(async {
    ///     let shutdown = group.begin_shutdown(Duration::from_secs(30), Duration::from_secs(5));
    ///     shutdown.expect("a thread").await
    /// })???;
    /// assert_eq!(report.finished(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_shutdown(
        mut self,
        drain: Duration,
        clean_up: Duration,
    ) -> io::Result<CrossThreadFuture<Result<ShutdownReport, JoinError>>> {
        let (mut promise, report) = Promise::new();
        promise.set_running_or_notify_cancel();
        let (handle, members) = (self.handle(), self.members_to_end());
        members.iter().for_each(|members| self.close_to_others(members));
        let name = format!("{}-shutdown", self.settings.name);
        let end = move || {
            let report = members.map(|members| self.end_in_order(members, drain, clean_up));
            promise.set_result(report).expect("nobody else sets it, and nobody can cancel it");
        };
        let started = thread::Builder::new().name(name).spawn(end);
        started.inspect_err(|_| handle.loops().for_each(LoopHandle::stop))?;
        Ok(report)
    }

    fn members_to_end(&mut self) -> Result<Vec<Member>, JoinError> {
        let members = self.take_members();
        if members.iter().any(Member::is_inherited) {
            return Err(JoinError::Forked(Forked));
        }
        Ok(members)
    }

    fn close_to_others(&self, members: &[Member]) {
        members.iter().for_each(|member| member.handle.close_to_others(self.handle.id()));
    }

    /// What comes after that.
    fn end_in_order(self, members: Vec<Member>, drain: Duration, clean_up: Duration) -> ShutdownReport {
        // The group's own orders are not those of others.
        let _in_group = self.handle.id().enter();
        drain_all(&members, Until::after(drain));
        let ended = cancel_all(&members, clean_up);
        let report = dismiss_all(members, ended);
        for late in self.births.try_iter() {
            // It was started by a thread that died as the group ended, and was never seen.
            late.handle.stop();
            late.join_within(PATIENCE);
        }
        report
    }
}

/// Waits until no loop has a task, or the time is up.
fn drain_all(members: &[Member], until: Until) {
    let mut made = vec![None; members.len()];
    loop {
        let round: Vec<_> =
            members.iter().map(|member| member.handle.run_with(last_orders::drained)).collect();
        let mut is_quiet = true;
        for (drained, made) in round.iter().zip(&mut made) {
            match drained.result_timeout(until.left()) {
                Ok(drained) => is_quiet &= made.replace(drained.made) == Some(drained.made_before),
                Err(FutureError::TimedOut | FutureError::WouldDeadlock(_)) => return,
                // It was closed or died, and has nothing any more.
                Err(_) => {}
            }
        }
        if is_quiet {
            return;
        }
    }
}

/// Cancels what is left. None: the loop has not answered, or is gone.
fn cancel_all(members: &[Member], clean_up: Duration) -> Vec<Option<Ended>> {
    let cancel = |member: &Member| member.handle.run_with(move || last_orders::cancelled(clean_up));
    let round: Vec<CrossThreadFuture<Ended>> = members.iter().map(cancel).collect();
    let until = Until::after(clean_up.saturating_add(PATIENCE));
    round.iter().map(|ended| ended.result_timeout(until.left()).ok()).collect()
}

/// Closes the loops and joins their threads.
fn dismiss_all(members: Vec<Member>, ended: Vec<Option<Ended>>) -> ShutdownReport {
    for member in &members {
        // Refused: it is closed.
        drop(member.handle.call_soon_threadsafe(last_orders::dismiss));
    }
    let until = Until::after(PATIENCE);
    let report = |(member, ended): (Member, Option<Ended>)| {
        let (name, generation) = (member.handle.name().to_owned(), member.generation);
        // Who has not answered before is not waited for again.
        let patience =
            if ended.is_some() || member.handle.is_closed() { until.left() } else { Duration::ZERO };
        let end = member.join_within(patience);
        let Ended { finished, cancelled, abandoned } = ended.unwrap_or_default();
        LoopReport { name, generation, finished, cancelled, abandoned, end }
    };
    ShutdownReport { loops: members.into_iter().zip(ended).map(report).collect() }
}

impl Member {
    fn join_within(self, patience: Duration) -> LoopEnd {
        if !self.has_ended_within(patience) {
            return LoopEnd::Stuck;
        }
        match self.join() {
            Err(JoinError::Panicked(panicked)) => LoopEnd::Died(panicked),
            Ok(()) | Err(JoinError::WouldDeadlock(_) | JoinError::Forked(_)) => LoopEnd::Joined,
        }
    }
}
