//! `Event`.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::line::Line;

/// Something that happens, and that any number of tasks wait for: asyncio's `Event`. Clones are the same event; none
/// of them can leave the thread.
///
/// It belongs to no loop until a task has to wait for it.
///
/// # Examples
/// ```
/// use perloop::{Event, create_task, yield_now};
///
/// perloop::run(async {
///     let is_open = Event::new();
///     let guest = create_task({
///         let is_open = is_open.clone();
///         async move {
///             is_open.wait().await;
///             "come in"
///         }
///     });
///     yield_now().await;
///     assert!(!guest.done());
///     is_open.set();
///     assert_eq!(guest.await, Ok("come in"));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Clone, Default)]
pub struct Event(Rc<Inner>);

#[derive(Default)]
struct Inner {
    is_set: Cell<bool>,
    line: Line,
}

impl Event {
    /// Makes an event that has not happened: asyncio's `Event()`.
    ///
    /// # Examples
    /// ```
    /// assert!(!perloop::Event::new().is_set());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether it is set: asyncio's `event.is_set()`.
    ///
    /// # Examples
    /// ```
    /// let event = perloop::Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0.is_set.get()
    }

    /// Sets it, and wakes all who wait, in the order of coming. They come through even if it is cleared before they
    /// run. If it is set already, nothing changes: asyncio's `event.set()`.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Event, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let event = Event::new();
    ///     let waiter = create_task({
    ///         let event = event.clone();
    ///         async move { event.wait().await }
    ///     });
    ///     yield_now().await; // it waits
    ///     event.set();
    ///     event.clear();
    ///     assert_eq!(waiter.await, Ok(()));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn set(&self) {
        if !self.0.is_set.replace(true) {
            self.0.line.wake_all();
        }
    }

    /// Makes it unset, so that who comes now waits: asyncio's `event.clear()`.
    ///
    /// # Examples
    /// ```
    /// let event = perloop::Event::new();
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    #[inline]
    pub fn clear(&self) {
        self.0.is_set.set(false);
    }

    /// Waits until it is set, without suspending if it is: asyncio's `event.wait()`.
    ///
    /// Cancel safe.
    ///
    /// # Panics
    /// When it has to wait: outside of a running loop, or on another loop than those who waited before.
    ///
    /// # Examples
    /// ```
    /// perloop::run(async {
    ///     let event = perloop::Event::new();
    ///     event.set();
    ///     event.wait().await;
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    #[inline]
    pub fn wait(&self) -> impl Future<Output = ()> {
        Happening { event: self, place: None }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).field("waiting", &self.0.line.len()).finish()
    }
}

/// Waits for the event.
struct Happening<'a> {
    event: &'a Event,
    place: Option<u32>,
}

impl Future for Happening<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.place {
            None if self.event.is_set() => Poll::Ready(()),
            None => {
                self.place = Some(self.event.0.line.join("Event::wait", cx));
                Poll::Pending
            }
            Some(place) if self.event.0.line.goes_on(place, cx) => Poll::Ready(()),
            Some(_) => Poll::Pending,
        }
    }
}

impl Drop for Happening<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.event.0.line.leave(place);
        }
    }
}
