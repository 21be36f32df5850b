//! `wrap_future`: a cross-thread future as a future of the loop.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::{Rc, Weak};

use perloop_bridge::{CrossThreadFuture, FutureError, Panicked};

use crate::current;
use crate::errors::TaskError;
use crate::event_loop::{EventLoop, InFlight};
use crate::loop_future::{self, AnyState, LoopFuture, State};

/// What is to be done when the news of an end arrives at a loop: it cannot travel with the news. What has not arrived when
/// the loop closes never does.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// By number, so that what never arrives is dropped in order.
    expected: RefCell<BTreeMap<u64, Box<dyn FnOnce()>>>,
    numbers: Cell<u64>,
}

impl Arrivals {
    fn expect(&self, take_over: impl FnOnce() + 'static) -> u64 {
        let number = self.numbers.replace(self.numbers.get() + 1);
        self.expected.borrow_mut().insert(number, Box::new(take_over));
        number
    }

    /// Takes out what is still expected, for the caller to drop.
    pub(crate) fn take_all(&self) -> Vec<Box<dyn FnOnce()>> {
        self.expected.take().into_values().collect()
    }
}

/// Makes a future of the running loop of one that another thread or loop completes, for many to await: asyncio's
/// `wrap_future`. Value, failure and cancellation come over, and cancelling it cancels the other one. Of one that is done
/// it is done at once. To await it once, await the [`CrossThreadFuture`] itself.
///
/// That the other's loop was closed or died comes as a failure with its text. An `Arc` of a future that others look at
/// does as well; the value goes to whoever takes it first, and one that is gone is a failure too.
///
/// On virtual time the clock stands still until the outcome of another loop's work is there.
///
/// # Panics
/// Outside of a running loop.
///
/// # Examples
/// ```
/// use perloop::{LoopThread, run_coroutine_threadsafe, wrap_future};
///
/// let worker = LoopThread::spawn("worker")?;
/// let outcomes = perloop::run(async {
///     let answer = wrap_future(run_coroutine_threadsafe(async { 42 }, &worker));
///     let again = answer.clone();
///     (answer.await, again.await)
/// })?;
/// assert_eq!(outcomes, (Ok(42), Ok(42)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn wrap_future<T: Send + 'static>(source: impl Borrow<CrossThreadFuture<T>> + 'static) -> LoopFuture<T> {
    let own = match current::get_running_loop() {
        Ok(own) => own,
        Err(error) => panic!("wrap_future: {error}"),
    };
    let in_flight = own.0.home.is_served_outside(source.borrow()).then(|| InFlight::on(&own));
    wrap(&own, source, Location::caller(), in_flight, |value| value)
}

/// As `wrap_future`, of a loop that need not run yet. The value is what `convert` makes of the other's; what is to be `kept`
/// is dropped when the news has arrived.
pub(crate) fn wrap<T, U, S, K>(
    own: &EventLoop,
    source: S,
    at: &'static Location<'static>,
    kept: K,
    convert: impl FnOnce(T) -> U + 'static,
) -> LoopFuture<U>
where
    T: Send + 'static,
    U: 'static,
    S: Borrow<CrossThreadFuture<T>> + 'static,
    K: 'static,
{
    let wrapper = State::new(own, at);
    if let Some(outcome) = source.borrow().try_result() {
        settle(&wrapper, outcome.map(convert));
        return LoopFuture::new(wrapper);
    }
    let source = Rc::new(source);
    let (to, from): (Weak<State<U>>, _) = (Rc::downgrade(&wrapper), Rc::clone(&source));
    let number = own.0.arrivals.expect(move || {
        if let (Some(wrapper), Some(outcome)) = (to.upgrade(), (*from).borrow().try_result()) {
            settle(&wrapper, outcome.map(convert));
        }
        // Who waits is told before what was kept goes to somebody else.
        drop(kept);
    });
    let handle = own.handle();
    (*source).borrow().add_done_callback(move |_| {
        // A loop that is closed has nobody left who waits.
        let _refused = handle.call_soon_threadsafe(move || arrive(number));
    });
    // What is expected no more is nobody's, and dropped when it comes.
    let source = Rc::downgrade(&source);
    wrapper.as_awaited().add_callback(move |ended| {
        if ended.ended_by().is_some()
            && let Some(source) = source.upgrade()
        {
            (*source).borrow().cancel();
        }
    });
    LoopFuture::new(wrapper)
}

/// Runs on the loop that expects it.
fn arrive(number: u64) {
    let take_over = current::with_running(|running| running.0.arrivals.expected.borrow_mut().remove(&number));
    if let Ok(Some(take_over)) = take_over {
        take_over();
    }
}

fn settle<T: 'static>(wrapper: &Rc<State<T>>, outcome: Result<T, FutureError>) {
    let failure = |panicked| Err(TaskError::Panicked(panicked));
    let outcome = match outcome {
        Ok(value) => Ok(value),
        Err(FutureError::Cancelled) => {
            let wrapper: Rc<dyn AnyState> = Rc::clone(wrapper) as Rc<dyn AnyState>;
            loop_future::cancel(&wrapper, None);
            return;
        }
        Err(FutureError::Panicked(panicked)) => failure(panicked),
        Err(error) => failure(Panicked::new(Box::new(error.to_string()))),
    };
    wrapper.settle(outcome);
}
