//! `wrap_future`: a cross-thread future as a future of the loop.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::rc::{Rc, Weak};

use perloop_bridge::{CrossThreadFuture, FutureError, Panicked};

use crate::current;
use crate::errors::TaskError;
use crate::event_loop::InFlight;
use crate::loop_future::{self, AnyState, LoopFuture, State};

thread_local! {
    /// What is to be done when the news of an end arrives: it cannot travel with the news.
    static ARRIVALS: RefCell<HashMap<u64, Box<dyn FnOnce()>>> = RefCell::default();
    static NUMBERS: Cell<u64> = const { Cell::new(0) };
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
    let wrapper = State::new(&own, Location::caller());
    if let Some(outcome) = source.borrow().try_result() {
        settle(&wrapper, outcome);
        return LoopFuture::new(wrapper);
    }
    let in_flight = own.0.home.is_served_elsewhere(source.borrow()).then(|| InFlight::on(&own));
    let source = Rc::new(source);
    let number = expect_arrival(&wrapper, &source, in_flight);
    let handle = own.handle();
    (*source).borrow().add_done_callback(move |_| {
        // A loop that is closed has nobody left who waits.
        let _refused = handle.call_soon_threadsafe(move || arrive(number));
    });
    wrapper.as_awaited().add_callback(move |ended| {
        if ended.ended_by().is_some() {
            (*source).borrow().cancel();
        }
    });
    LoopFuture::new(wrapper)
}

fn expect_arrival<T, S>(wrapper: &Rc<State<T>>, source: &Rc<S>, in_flight: Option<InFlight>) -> u64
where
    T: Send + 'static,
    S: Borrow<CrossThreadFuture<T>> + 'static,
{
    let number = NUMBERS.replace(NUMBERS.get() + 1);
    let (to, source): (Weak<State<T>>, _) = (Rc::downgrade(wrapper), Rc::clone(source));
    let take_over = move || {
        drop(in_flight);
        if let (Some(wrapper), Some(outcome)) = (to.upgrade(), (*source).borrow().try_result()) {
            settle(&wrapper, outcome);
        }
    };
    ARRIVALS.with_borrow_mut(|arrivals| arrivals.insert(number, Box::new(take_over)));
    number
}

fn arrive(number: u64) {
    let take_over = ARRIVALS.with_borrow_mut(|arrivals| arrivals.remove(&number));
    if let Some(take_over) = take_over {
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
