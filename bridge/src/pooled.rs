//! [`PooledFuture`]: a future of any type, in memory that perloop keeps.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::pool;

/// What `Pin<Box<dyn Future<Output = T> + 'a>>` is, but its memory comes from perloop's, which costs less where one is made
/// for each message or call. It stays on its thread.
///
/// # Examples
/// ```
/// use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// use perloop_bridge::PooledFuture;
///
/// let word = String::from("lent");
/// let future: PooledFuture<'_, usize> = PooledFuture::new(async { word.len() });
/// assert_eq!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(4));
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct PooledFuture<'a, T: 'static> {
    future: NonNull<()>,
    table: &'static Table<T>,
    /// It owns a future that may borrow for `'a`, and is neither `Send` nor `Sync`.
    holds: PhantomData<Box<dyn Future<Output = T> + 'a>>,
}

struct Table<T> {
    poll: unsafe fn(NonNull<()>, &mut Context<'_>) -> Poll<T>,
    drop: unsafe fn(NonNull<()>),
}

/// A future with a size, which memory of the system's has to have.
struct Kept<F> {
    future: F,
    _size: u8,
}

impl<F: Future<Output: 'static>> Kept<F> {
    const TABLE: &'static Table<F::Output> = &Table { poll: Self::poll, drop: Self::drop };

    /// # Safety
    /// It is a future of this type, which is not moved any more.
    unsafe fn poll(kept: NonNull<()>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the caller's promise.
        let kept = unsafe { kept.cast::<Self>().as_mut() };
        // SAFETY: it stays where it is until it is dropped there.
        unsafe { Pin::new_unchecked(&mut kept.future) }.poll(cx)
    }

    /// # Safety
    /// It is a future of this type, and nobody uses it any more.
    unsafe fn drop(kept: NonNull<()>) {
        /// Gives the memory back, also if the future's destructor panics.
        struct Free<F>(NonNull<Kept<F>>);
        impl<F> Drop for Free<F> {
            fn drop(&mut self) {
                // SAFETY: it came from `allocate` for this type, and what was in it is dropped.
                unsafe { pool::free(self.0) };
            }
        }
        let free = Free(kept.cast::<Self>());
        // SAFETY: the caller's promise.
        unsafe { free.0.drop_in_place() };
    }
}

impl<'a, T: 'static> PooledFuture<'a, T> {
    /// Puts a future there.
    ///
    /// # Examples
    /// See [`PooledFuture`].
    #[inline]
    pub fn new<F: Future<Output = T> + 'a>(future: F) -> Self {
        let memory = pool::allocate::<Kept<F>>();
        // SAFETY: fresh memory for this type.
        unsafe { memory.write(Kept { future, _size: 0 }) };
        Self { future: memory.cast(), table: Kept::<F>::TABLE, holds: PhantomData }
    }
}

// What is pinned lies elsewhere.
impl<T: 'static> Unpin for PooledFuture<'_, T> {}

impl<T: 'static> Future for PooledFuture<'_, T> {
    type Output = T;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // SAFETY: the table is that of the future's type, and nobody else polls it meanwhile.
        unsafe { (self.table.poll)(self.future, cx) }
    }
}

impl<T: 'static> Drop for PooledFuture<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the table is that of the future's type, and this is the last use.
        unsafe { (self.table.drop)(self.future) };
    }
}

impl<T: 'static> fmt::Debug for PooledFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledFuture")
    }
}
