//! The body of a generator: the future, who may poll it, and whether it has ended.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use perloop_bridge::drop_cancelled;

use crate::async_gen::GeneratorError;
use crate::async_gen::aclose::Aclose;
use crate::async_gen::registry::Closable;
use crate::async_gen::yielder::{Channel, Yielder};
use crate::cancel::{Cancelled, Frame};
use crate::current;
use crate::event_loop::{WeakLoop, run_callback};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What came of one poll.
pub(super) enum Polled<T> {
    Yielded(T),
    Ended,
    /// It has ended by raising this.
    Raised(Cancelled),
    Waits,
}

/// | `is_busy` | `work` | what is true |
/// | --- | --- | --- |
/// |   | x | nobody asks: it has not begun, stands at a `yield_`, or waits where an ask was given up |
/// | x | x | a future asks or closes it, and is between two polls |
/// | x |   | it is being polled, further up the stack |
/// |   |   | it has ended |
pub(super) struct Body<T: 'static> {
    pub(super) channel: Rc<Channel<T>>,
    work: RefCell<Option<Work>>,
    is_busy: Cell<bool>,
    has_begun: Cell<bool>,
    /// The loop that closes it, since it has begun there.
    of: RefCell<Option<WeakLoop>>,
}

impl<T: 'static> Body<T> {
    pub(super) fn new<B>(make: impl FnOnce(Yielder<T>) -> B) -> Rc<Self>
    where
        B: Future<Output = ()> + 'static,
    {
        let channel = Channel::new();
        let work = Box::pin(make(Yielder::new(&channel)));
        Rc::new(Self {
            channel,
            work: RefCell::new(Some(work)),
            is_busy: Cell::new(false),
            has_begun: Cell::new(false),
            of: RefCell::default(),
        })
    }

    /// Only one may ask at a time.
    pub(super) fn begin_ask(&self) -> Result<(), GeneratorError> {
        if self.is_busy.replace(true) { Err(GeneratorError::Running) } else { Ok(()) }
    }

    pub(super) fn end_ask(&self) {
        self.is_busy.set(false);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.is_busy.get() && self.work.borrow().is_none()
    }

    /// The first value is asked for: the running loop takes it into its care.
    pub(super) fn begin(self: &Rc<Self>) {
        if self.has_begun.replace(true) {
            return;
        }
        if let Ok(running) = current::get_running_loop() {
            self.of.replace(Some(running.downgrade()));
            let closable: Rc<dyn Closable> = Rc::clone(self) as Rc<dyn Closable>;
            running.0.asyncgens.add(&running, &closable);
        }
    }

    /// Polls it once, inside of `frame`.
    pub(super) fn poll(&self, frame: &mut Frame, cx: &mut Context<'_>) -> Polled<T> {
        let Some(mut work) = self.work.take() else { return Polled::Ended };
        let poll = || self.channel.poll(|| frame.poll(|| work.as_mut().poll(cx)));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Err(payload) => {
                // Not while the panic unwinds: what a destructor throws then would end the process.
                run_callback(|| drop(work));
                resume_unwind(payload)
            }
            Ok((Poll::Ready(()), _)) => {
                drop(work);
                Polled::Ended
            }
            Ok((Poll::Pending, Some(cancelled))) => {
                frame.leave();
                drop_cancelled(|| drop(work));
                Polled::Raised(cancelled)
            }
            Ok((Poll::Pending, None)) => {
                self.work.replace(Some(work));
                self.channel.take().map_or(Polled::Waits, Polled::Yielded)
            }
        }
    }

    /// Ends it where it stands.
    pub(super) fn abandon(&self) {
        let work = self.work.take();
        drop_cancelled(|| drop(work));
    }

    /// Nobody has it any more: its loop closes it, if it is open.
    pub(super) fn close_later(self: &Rc<Self>) {
        let is_open = self.has_begun() && !self.has_ended();
        let of = self.of.borrow().as_ref().and_then(WeakLoop::upgrade);
        let Some(of) = of.filter(|of| is_open && !of.is_closed()) else { return };
        let (body, own) = (Rc::clone(self), of.clone());
        // On a loop that is closed meanwhile it is dropped with its callback.
        drop(of.call_soon(move || drop(own.create_task(body.close()))));
    }
}

impl<T: 'static> Closable for Body<T> {
    fn is_open(&self) -> bool {
        !self.has_ended()
    }

    fn close(self: Rc<Self>) -> Pin<Box<dyn Future<Output = Result<(), GeneratorError>>>> {
        Box::pin(async move { Aclose::new(&self).await })
    }
}

impl<T: 'static> fmt::Debug for Body<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGenerator")
            .field("has_begun", &self.has_begun())
            .field("is_asked", &self.is_busy.get())
            .field("has_ended", &self.has_ended())
            .finish()
    }
}
