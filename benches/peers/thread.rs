//! A thread that makes something which it then runs.

use std::sync::mpsc::{Sender, channel};

/// How the thread says that it is ready, or why not.
pub(crate) type Ready<T> = Sender<Result<T, String>>;

/// Starts it, and waits until it says that it is ready.
pub(crate) fn start<T: Send + 'static>(live: impl FnOnce(Ready<T>) + Send + 'static) -> Result<T, String> {
    let (ready, is_ready) = channel();
    std::thread::spawn(move || live(ready));
    is_ready.recv().map_err(|_| "its thread ended at once".to_owned())?
}

/// Tells why something can't be had.
pub(crate) fn reason(error: impl std::fmt::Display) -> String {
    error.to_string()
}
