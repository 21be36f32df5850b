//! What no loop can beat: the bare exchange, without tasks, outcomes or cancellation.

mod boxes;
mod cache_line;
mod channel;
mod eventfd;
mod park;

pub(crate) use boxes::{Boxes, turn_ring};
pub(crate) use cache_line::CacheLine;
pub(crate) use channel::Channel;
pub(crate) use eventfd::EventFd;
pub(crate) use park::Park;

/// Two threads that signal each other.
pub(crate) trait Exchange {
    const NAME: &'static str;

    /// Starts the other thread, which inherits the affinity of the calling one. What comes back signals it and waits
    /// for its answer.
    fn start() -> Result<impl FnMut(), String>;
}
