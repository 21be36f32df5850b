//! What a producer rings when the loop that it pushed to is asleep. The bridge knows no I/O, so the runtime brings
//! the bell along.

/// Wakes the thread of one loop out of its wait.
///
/// A ring may come from any thread, at any time until the loop's last handle is gone, and also when the loop is
/// awake; then the next wait returns at once. Rings that come together may count as one. Several threads may ring at
/// once, also a bell that the loop has replaced meanwhile.
///
/// # Examples
/// ```
/// use std::sync::{Arc, Condvar, Mutex};
/// use perloop_bridge::Bell;
///
/// #[derive(Clone, Default)]
/// struct Gong(Arc<(Mutex<bool>, Condvar)>);
///
/// impl Bell for Gong {
///     fn ring(&self) {
///         let (has_rung, sound) = &*self.0;
///         *has_rung.lock().expect("no panic under it") = true;
///         sound.notify_one();
///     }
/// }
///
/// impl Gong {
///     /// The loop's side.
///     fn wait(&self) {
///         let (has_rung, sound) = &*self.0;
///         let rung = has_rung.lock().expect("no panic under it");
///         *sound.wait_while(rung, |rung| !*rung).expect("no panic under it") = false;
///     }
/// }
///
/// let gong = Gong::default();
/// let bell: Box<dyn Bell> = Box::new(gong.clone());
/// std::thread::spawn(move || bell.ring());
/// gong.wait();
/// ```
pub trait Bell: Send + Sync {
    /// Makes the loop's current wait return, or its next one.
    ///
    /// # Panics
    /// It should panic if it cannot: whoever rings has pushed something that the loop would sleep on.
    fn ring(&self);
}
