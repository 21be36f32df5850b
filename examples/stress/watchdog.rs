//! Sees whether all goes on, and says what hangs; and what the system says of the process.

use std::fmt;
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The exit status if something hangs.
const HANGS: i32 = 3;
const TICK: Duration = Duration::from_millis(100);
/// If a tick takes this long the whole process was held up, and nobody's patience counts.
const HELD_UP: Duration = Duration::from_secs(1);

/// Where a thread says that it goes on.
#[derive(Default)]
pub(crate) struct Post {
    moved: AtomicU64,
    /// What it does, plus one. At zero it waits for others, and nobody for it.
    doing: AtomicU64,
}

impl Post {
    pub(crate) fn begin(&self, doing: usize) {
        self.moved.fetch_add(1, Relaxed);
        self.doing.store(u64::try_from(doing).map_or(u64::MAX, |doing| doing + 1), Relaxed);
    }

    pub(crate) fn rest(&self) {
        self.doing.store(0, Relaxed);
    }

    /// What it does, if anything.
    pub(crate) fn doing(&self) -> Option<usize> {
        self.doing.load(Relaxed).checked_sub(1).and_then(|doing| usize::try_from(doing).ok())
    }
}

/// Ends the process with what `describe` says, if a post does not move for as long as `patience`. Returns what the
/// process used after the first tenth of `time`, as soon as the sender of `over` is gone.
pub(crate) fn watch(
    posts: &[&Post],
    describe: &(dyn Fn() -> String + Sync),
    (time, patience): (Duration, Duration),
    over: &Receiver<()>,
) -> Option<Facts> {
    let start = Instant::now();
    let mut early = None;
    let mut seen = vec![(0, start); posts.len()];
    let mut tick = start;
    while over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let took = std::mem::replace(&mut tick, Instant::now()).elapsed();
        if took > HELD_UP {
            eprintln!("the process was held up for {took:.1?} by the system");
            seen.iter_mut().for_each(|(_, since)| *since = tick);
        }
        if early.is_none() && start.elapsed() * 10 >= time {
            early = Some(Facts::now());
        }
        for (index, (post, (moved, since))) in posts.iter().zip(&mut seen).enumerate() {
            let now = post.moved.load(Relaxed);
            if now != *moved || post.doing().is_none() {
                (*moved, *since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                eprintln!("thread {index} has not moved for {patience:?}; all of them:\n{}", describe());
                exit(HANGS);
            }
        }
    }
    early
}

/// What the system says of this process; nothing where it has no `/proc`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) resident_kib: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) descriptors: Option<u64>,
}

impl Facts {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        let descriptors = std::fs::read_dir("/proc/self/fd").ok().and_then(|all| all.count().try_into().ok());
        Self { resident_kib: number("VmRSS:"), threads: number("Threads:"), descriptors }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.resident_kib, self.threads, self.descriptors) {
            (Some(kib), Some(threads), Some(descriptors)) => {
                write!(f, "{:.1} MiB, {threads} threads, {descriptors} descriptors", kib as f64 / 1024.0)
            }
            _ => f.write_str("unknown here"),
        }
    }
}
