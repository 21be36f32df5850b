//! The body's end of a generator: what it gives values with.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What the body and who asks it exchange.
pub(super) struct Channel<T> {
    /// A value that is on its way, with its number.
    slot: RefCell<Option<(u64, T)>>,
    numbers: Cell<u64>,
    /// The body is being polled.
    is_polled: Cell<bool>,
    /// The body has been told to end, so that what waits in `yield_` goes on never more.
    pub(super) is_closing: Cell<bool>,
}

impl<T> Channel<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            slot: RefCell::new(None),
            numbers: Cell::new(0),
            is_polled: Cell::new(false),
            is_closing: Cell::new(false),
        })
    }

    pub(super) fn take(&self) -> Option<T> {
        self.slot.take().map(|(_, value)| value)
    }

    /// Polls the body, whose `yield_`s may give something meanwhile.
    pub(super) fn poll<R>(&self, poll: impl FnOnce() -> R) -> R {
        struct Over<'a>(&'a Cell<bool>);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.is_polled.set(true);
        let _over = Over(&self.is_polled);
        poll()
    }

    fn holds(&self, number: u64) -> bool {
        self.slot.borrow().as_ref().is_some_and(|(held, _)| *held == number)
    }
}

/// Gives the values of a generator, in its body: Python's `yield` in an `async def`. See [`async_gen`](crate::async_gen).
///
/// # Examples
/// ```
/// use perloop::{AsyncGenerator, Yielder, async_gen};
///
/// async fn twice(y: &Yielder<u32>, n: u32) {
///     y.yield_(n).await;
///     y.yield_(n).await;
/// }
///
/// let mut numbers: AsyncGenerator<u32> = async_gen(|y| async move { twice(&y, 3).await });
/// let both = perloop::run(async move { (numbers.next().await, numbers.next().await) })?;
/// assert_eq!(both, (Some(3), Some(3)));
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Yielder<T>(Rc<Channel<T>>);

impl<T> Yielder<T> {
    pub(super) fn new(channel: &Rc<Channel<T>>) -> Self {
        Self(Rc::clone(channel))
    }

    /// Gives a value to who asks, and goes on when the next one is asked for. Of two that are awaited at once in a body,
    /// the second waits for the first one's value to be taken. Python's `yield value`.
    ///
    /// If the generator is closed meanwhile, this never goes on: the innermost
    /// [`catch_cancelled`](crate::catch_cancelled) around it gives `Cancelled`, or the body is dropped.
    ///
    /// Cancel safe in that a value that nobody has got yet goes with the future.
    ///
    /// # Panics
    /// When it is polled elsewhere than in the body: in a task that the body has made, nobody would hear of it.
    ///
    /// # Examples
    /// ```
    /// use perloop::async_gen;
    ///
    /// let mut words = async_gen(|y| async move {
    ///     for word in "one after the other".split(' ') {
    ///         y.yield_(word).await;
    ///     }
    /// });
    /// let second = perloop::run(async move {
    ///     words.next().await;
    ///     words.next().await
    /// })?;
    /// assert_eq!(second, Some("after"));
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn yield_(&self, value: T) -> Yield<'_, T> {
        Yield { channel: &self.0, value: Some(value), number: None }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// The future that [`Yielder::yield_`] makes. Polled again after it was ready, it is ready.
///
/// # Examples
/// ```
/// use perloop::{Yield, async_gen};
///
/// let mut numbers = async_gen(|y| async move {
///     let given: Yield<'_, i32> = y.yield_(1);
///     given.await;
/// });
/// assert_eq!(perloop::run(async move { numbers.next().await })?, Some(1));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Yield<'a, T> {
    channel: &'a Channel<T>,
    value: Option<T>,
    /// The value's number, from when it is on its way.
    number: Option<u64>,
}

// Nothing of it is pinned.
impl<T> Unpin for Yield<'_, T> {}

impl<T> Future for Yield<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let channel = self.channel;
        assert!(channel.is_polled.get(), "yield_: it is awaited elsewhere than in the generator's own body");
        match self.number {
            Some(number) if channel.is_closing.get() || channel.holds(number) => Poll::Pending,
            Some(_) => Poll::Ready(()),
            None => {
                // What is in the way is taken by who asks, who then polls the body again for the next value.
                if channel.slot.borrow().is_none()
                    && let Some(value) = self.value.take()
                {
                    let number = channel.numbers.get() + 1;
                    channel.numbers.set(number);
                    channel.slot.replace(Some((number, value)));
                    self.number = Some(number);
                }
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Yield<'_, T> {
    fn drop(&mut self) {
        if self.number.is_some_and(|number| self.channel.holds(number)) {
            let _untaken = self.channel.slot.take();
        }
    }
}

impl<T> fmt::Debug for Yield<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield").field("has_given", &self.number.is_some()).finish_non_exhaustive()
    }
}
