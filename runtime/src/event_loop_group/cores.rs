//! Which core each of a group's threads stays on.

use std::io;

/// What a group's threads may run on.
#[derive(Debug, Clone)]
pub(super) enum Pinning {
    /// Where the system puts them.
    Free,
    /// Each on one of those that the process may use.
    Allowed,
    /// Each on one of these.
    To(Vec<usize>),
}

impl Pinning {
    /// The core of each loop in turn, if they are pinned. Fails here rather than in a thread that was started.
    pub(super) fn cores(&self) -> io::Result<Option<Vec<usize>>> {
        let cores = match self {
            Self::Free => return Ok(None),
            Self::Allowed => allowed()?,
            Self::To(cores) => cores.clone(),
        };
        if cores.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no core to pin a loop to"));
        }
        Ok(Some(cores))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn allowed() -> io::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Keeps the calling thread on one core from now on.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn stay_on(core: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no core {core}")));
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allowed() -> io::Result<Vec<usize>> {
    Err(unsupported())
}

/// Keeps the calling thread on one core from now on.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn stay_on(_: usize) -> io::Result<()> {
    Err(unsupported())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system does not let a thread choose its core")
}
