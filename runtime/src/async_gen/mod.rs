//! Asynchronous generators: a body that gives one value after the other to whoever asks.
//!
//! `body` holds the future and polls it inside of the asking task; `yielder` is its end of the exchange, `anext` and
//! `aclose` the askers'; `registry` is what a loop keeps of the generators that are open.

mod aclose;
mod anext;
mod body;
mod registry;
mod yielder;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

pub use aclose::Aclose;
pub use anext::Anext;
pub(crate) use registry::Asyncgens;
pub use yielder::{Yield, Yielder};

use anext::Ask;
use body::Body;

/// Makes a generator: asyncio's `async def` with `yield` in it. Nothing of the body runs before somebody asks for the
/// first value.
///
/// What can fail yields `Result`s, and returns after the last one; a panic comes out where the value was asked for.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{async_gen, sleep};
///
/// let total = perloop::run(async {
///     let mut countdown = async_gen(|y| async move {
///         for n in (1..=3).rev() {
///             sleep(Duration::from_millis(1)).await;
///             y.yield_(n).await;
///         }
///     });
///     let mut total = 0;
///     while let Some(n) = countdown.next().await {
///         total += n;
///     }
///     total
/// })?;
/// assert_eq!(total, 6);
/// # Ok::<(), perloop::RunError>(())
/// ```
pub fn async_gen<T, F, B>(body: F) -> AsyncGenerator<T>
where
    F: FnOnce(Yielder<T>) -> B,
    B: Future<Output = ()> + 'static,
{
    AsyncGenerator { body: Body::new(body), streams: Ask::default() }
}

/// What [`async_gen`] makes: asyncio's asynchronous generator. It belongs to the thread, and from the first value that is
/// asked for to the loop that runs then.
///
/// The body runs inside of the task that asks ([`next`](Self::next), or [`anext`](Self::anext) where several tasks share
/// it), and stands still between two values. A request to cancel that task meets the body if it waits meanwhile: a
/// [`catch_cancelled`](crate::catch_cancelled) in it may take the request, else the generator ends there, destructors and
/// all.
///
/// **Closing.** A generator that is open still, at a `yield_`, is closed in one of three ways: by
/// [`aclose`](Self::aclose), by the end of [`run`](crate::run()), or, when it is dropped, by a task that its loop makes
/// for that. Then the innermost `catch_cancelled` of the body gives [`Cancelled`](crate::Cancelled), and the body may
/// clean up, with awaits; without one it is dropped where it stands. If its loop is closed, it is just dropped.
///
/// It is a [`Stream`](futures_core::Stream), too. Requests to a task that asks by other futures than its own methods' do
/// not end it: it waits where it is, for the next poll.
///
/// # Examples
/// ```
/// use perloop::{AsyncGenerator, async_gen};
///
/// fn lines(text: &'static str) -> AsyncGenerator<&'static str> {
///     async_gen(move |y| async move {
///         for line in text.lines() {
///             y.yield_(line).await;
///         }
///     })
/// }
///
/// let first = perloop::run(async { lines("one\ntwo").next().await })?;
/// assert_eq!(first, Some("one"));
/// # Ok::<(), perloop::RunError>(())
/// ```
#[must_use = "generators do nothing unless asked"]
pub struct AsyncGenerator<T: 'static> {
    body: Rc<Body<T>>,
    /// What polls it as a stream.
    streams: Ask,
}

impl<T: 'static> AsyncGenerator<T> {
    /// Gives the next value; none if the body has ended or was closed: a turn of asyncio's `async for`.
    ///
    /// Cancel safe: the future may be dropped, and the next one goes on where this was. (A *request* to its task is
    /// something else, see [above](Self).)
    ///
    /// # Panics
    /// With what the body panics with; that ends it.
    ///
    /// # Examples
    /// ```
    /// use perloop::async_gen;
    ///
    /// perloop::run(async {
    ///     let mut numbers = async_gen(|y| async move { y.yield_(1).await });
    ///     assert_eq!(numbers.next().await, Some(1));
    ///     assert_eq!(numbers.next().await, None);
    ///     assert_eq!(numbers.next().await, None);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn next(&mut self) -> Option<T> {
        // Who has it to himself is in nobody's way.
        self.anext().await.unwrap_or_default()
    }

    /// As [`next`](Self::next), for tasks that share the generator: asyncio's `anext(generator)`.
    ///
    /// # Errors
    /// [`GeneratorError::Running`], if somebody else is asking, or closing it.
    ///
    /// # Panics
    /// As `next`.
    ///
    /// # Examples
    /// ```
    /// use std::rc::Rc;
    /// use perloop::{GeneratorError, async_gen, create_task, yield_now};
    ///
    /// perloop::run(async {
    ///     let numbers = Rc::new(async_gen(|y| async move {
    ///         yield_now().await;
    ///         y.yield_(1).await;
    ///     }));
    ///     let shared = Rc::clone(&numbers);
    ///     let other = create_task(async move { shared.anext().await });
    ///     yield_now().await;
    ///     assert_eq!(numbers.anext().await, Err(GeneratorError::Running));
    ///     assert_eq!(other.await, Ok(Ok(Some(1))));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn anext(&self) -> Anext<'_, T> {
        Anext::new(&self.body)
    }

    /// Ends the body where it stands, and waits for its clean-up: asyncio's `generator.aclose()`. Of one that has not
    /// begun nothing runs, and one that has ended stays so.
    ///
    /// If the future is dropped before it is done, the clean-up stands still; a further `aclose` goes on with it.
    ///
    /// # Errors
    /// [`GeneratorError::Running`], if somebody is asking; [`GeneratorError::IgnoredExit`], if the body yields instead of
    /// ending, and then it is open still.
    ///
    /// # Panics
    /// With what the clean-up panics with.
    ///
    /// # Examples
    /// ```
    /// use perloop::{async_gen, catch_cancelled, yield_now};
    ///
    /// perloop::run(async {
    ///     let numbers = async_gen(|y| async move {
    ///         let ended = catch_cancelled(async {
    ///             for n in 1.. {
    ///                 y.yield_(n).await;
    ///             }
    ///         });
    ///         if ended.await.is_err() {
    ///             yield_now().await; // clean-up may await
    ///         }
    ///     });
    ///     assert_eq!(numbers.anext().await, Ok(Some(1)));
    ///     numbers.aclose().await?;
    ///     assert_eq!(numbers.anext().await, Ok(None));
    ///     Ok::<(), perloop::GeneratorError>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aclose(&self) -> Aclose<'_, T> {
        Aclose::new(&self.body)
    }
}

impl<T: 'static> Stream for AsyncGenerator<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let polled = this.streams.poll(&this.body, cx);
        // Between two polls nobody tells whether there will be another one.
        this.streams.let_go(&this.body);
        // `&mut` says that nobody else asks.
        polled.map(Result::unwrap_or_default)
    }
}

impl<T: 'static> Drop for AsyncGenerator<T> {
    fn drop(&mut self) {
        Body::close_later(&self.body);
    }
}

impl<T: 'static> fmt::Debug for AsyncGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}

/// Why a generator gives nothing: what Python raises as `RuntimeError('anext(): asynchronous generator is already running')`
/// or `RuntimeError('async generator ignored GeneratorExit')`.
///
/// # Examples
/// ```
/// use perloop::{GeneratorError, async_gen, catch_cancelled};
///
/// perloop::run(async {
///     let stubborn = async_gen(|y| async move {
///         drop(catch_cancelled(y.yield_(1)).await);
///         y.yield_(2).await;
///     });
///     assert_eq!(stubborn.anext().await, Ok(Some(1)));
///     let error = stubborn.aclose().await.unwrap_err();
///     assert_eq!(error, GeneratorError::IgnoredExit);
///     assert_eq!(error.to_string(), "the generator was closed, and yielded again: return instead");
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GeneratorError {
    /// Somebody else is asking it, or closing it.
    Running,
    /// It was closed, and its body has yielded instead of ending.
    IgnoredExit,
}

impl fmt::Display for GeneratorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => {
                "the generator is being asked or closed by somebody else: wait until that is done"
            }
            Self::IgnoredExit => "the generator was closed, and yielded again: return instead",
        })
    }
}

impl std::error::Error for GeneratorError {}
