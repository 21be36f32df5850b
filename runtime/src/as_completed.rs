//! `as_completed`: several tasks and futures, one after the other as they end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::current;
use crate::errors::TimedOut;
use crate::event_loop::EventLoop;
use crate::loop_future::{End, State};
use crate::task::Waitable;
use crate::wait::Watching;

/// Gives tasks and futures back as they end: asyncio's `as_completed`, in its asynchronous form. What is done already
/// comes first; of one instant they come in the order of their ends. It watches them from this call on, whether asked or
/// not. Nothing is cancelled, neither at the timeout nor when it is dropped. What is given twice comes once.
///
/// # Panics
/// Outside of a running loop, and with something of another loop.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{as_completed, create_task, sleep};
///
/// perloop::run(async {
///     let tasks = [3, 1, 2].map(|n| create_task(async move {
///         sleep(Duration::from_millis(n)).await;
///         n
///     }));
///     let mut items = as_completed(tasks, Duration::from_secs(60));
///     let mut order = Vec::new();
///     while let Some(task) = items.next().await {
///         order.push(task?.result()?);
///     }
///     assert_eq!(order, [1, 2, 3]);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_completed<W: Waitable>(
    several: impl IntoIterator<Item = W>,
    timeout: impl Into<Option<Duration>>,
) -> Completions<W> {
    let own = match current::get_running_loop() {
        Ok(own) => own,
        Err(error) => panic!("as_completed: {error}"),
    };
    let mut completions = Completions {
        items: Vec::new(),
        left: 0,
        ended: Rc::new(Ended::default()),
        watching: Watching::default(),
    };
    completions.watch(&own, several);
    if let Some(timeout) = timeout.into().filter(|_| completions.left > 0) {
        let ended = Rc::clone(&completions.ended);
        completions.watching.set_timeout(&own, timeout, move || ended.give_up());
    }
    completions
}

/// What [`as_completed`] makes: the iterator of asyncio's. Dropping it leaves what has not ended alone.
///
/// # Examples
/// ```
/// use perloop::{Completions, Task, as_completed, create_task};
///
/// async fn first<T>(mut several: Completions<Task<T>>) -> Option<T> {
///     several.next().await?.ok()?.result().ok()
/// }
/// let first = perloop::run(async { first(as_completed([create_task(async { 42 })], None)).await })?;
/// assert_eq!(first, Some(42));
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Completions<W> {
    items: Vec<Option<W>>,
    /// How many are still to be given.
    left: usize,
    ended: Rc<Ended>,
    watching: Watching,
}

/// What the callbacks fill.
#[derive(Default)]
struct Ended {
    /// The places of those that have ended and were not given.
    places: RefCell<VecDeque<usize>>,
    waiter: RefCell<Option<Rc<State<()>>>>,
    is_late: Cell<bool>,
}

impl Ended {
    fn add(&self, place: usize) {
        if !self.is_late.get() {
            self.places.borrow_mut().push_back(place);
            self.wake();
        }
    }

    fn give_up(&self) {
        self.is_late.set(true);
        self.wake();
    }

    fn wake(&self) {
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            waiter.settle(Ok(()));
        }
    }

    /// The next one; `TimedOut` if there will be none.
    fn take(&self) -> Option<Result<usize, TimedOut>> {
        let place = self.places.borrow_mut().pop_front();
        place.map(Ok).or_else(|| self.is_late.get().then_some(Err(TimedOut)))
    }
}

impl<W: Waitable> Completions<W> {
    fn watch(&mut self, own: &EventLoop, several: impl IntoIterator<Item = W>) {
        for item in several {
            let awaited = item.inside().0;
            if let Err(error) = own.check_owns(awaited.loop_id()) {
                panic!("as_completed: {error}");
            }
            let (ended, index) = (Rc::clone(&self.ended), self.items.len());
            if self.watching.watch(&awaited, move |_| ended.add(index)) {
                self.items.push(Some(item));
            }
        }
        self.left = self.items.len();
    }

    /// Waits for the next one that ends, and gives it: it is done. None if all were given. asyncio's `async for`.
    ///
    /// Cancel safe: nothing is lost. A request to the awaiting task leaves the others alone.
    ///
    /// # Errors
    /// [`TimedOut`], for each that had not ended at the timeout.
    ///
    /// # Panics
    /// When it is polled outside of a running loop.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use perloop::{TimedOut, as_completed, create_future};
    ///
    /// perloop::run(async {
    ///     let endless = create_future::<i32>();
    ///     let mut items = as_completed([&endless], Duration::from_millis(1));
    ///     assert_eq!(items.next().await, Some(Err(TimedOut::default())));
    ///     assert_eq!(items.next().await, None);
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub async fn next(&mut self) -> Option<Result<W, TimedOut>> {
        if self.left == 0 {
            return None;
        }
        loop {
            if let Some(next) = self.ended.take() {
                self.left -= 1;
                return Some(next.map(|place| self.items[place].take().expect("each ends once")));
            }
            let running =
                current::with_running(EventLoop::clone).expect("`next` is awaited on a running loop");
            let waiter = State::new(&running, Location::caller());
            drop(self.ended.waiter.replace(Some(Rc::clone(&waiter))));
            // Only a request to this task ends it otherwise.
            let _set = End::of(waiter.as_awaited()).await;
        }
    }
}

impl<W> fmt::Debug for Completions<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("left", &self.left).finish_non_exhaustive()
    }
}
