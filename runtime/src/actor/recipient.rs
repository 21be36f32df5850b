//! [`Recipient`]: an address by the type of message, which hides the actor's.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::actor::send::{self, AcceptAsk};
use crate::actor::{Actor, Address, Ask, AskError, Handler, Tell, TellError, TryTellError};

/// The address of some actor that takes messages of type `M` and replies to them by an `R`. As an [`Address`] it keeps the
/// actor alive; clones are of the same one.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, Handler, Recipient, create_actor};
///
/// struct Length(&'static str);
/// struct Bytes;
/// struct Chars;
///
/// impl Actor for Bytes {}
/// impl Handler<Length> for Bytes {
///     type Reply = usize;
///     async fn handle(&mut self, Length(text): Length, _: &mut ActorContext<Self>) -> usize {
///         text.len()
///     }
/// }
///
/// impl Actor for Chars {}
/// impl Handler<Length> for Chars {
///     type Reply = usize;
///     async fn handle(&mut self, Length(text): Length, _: &mut ActorContext<Self>) -> usize {
///         text.chars().count()
///     }
/// }
///
/// perloop::run(async {
///     let counters: [Recipient<Length, usize>; 2] =
///         [create_actor(|| Bytes).recipient(), create_actor(|| Chars).recipient()];
///     let mut lengths = Vec::new();
///     for counter in &counters {
///         lengths.push(counter.ask(Length("naïve")).await);
///     }
///     assert_eq!(lengths, [Ok(6), Ok(5)]);
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct Recipient<M, R: Send + 'static = ()>(Arc<dyn AcceptAsk<M, R>>);

impl<M: Send + 'static, R: Send + 'static> Recipient<M, R> {
    pub(crate) fn new(to: Arc<dyn AcceptAsk<M, R>>) -> Self {
        Self(to)
    }

    /// As [`Address::tell`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, Recipient, create_actor};
    ///
    /// struct Log;
    /// impl Actor for Log {}
    /// impl Handler<String> for Log {
    ///     type Reply = ();
    ///     async fn handle(&mut self, line: String, context: &mut ActorContext<Self>) {
    ///         assert_eq!(line, "ready");
    ///         context.stop();
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let log = create_actor(|| Log);
    ///     let lines: Recipient<String> = log.recipient();
    ///     assert!(lines.tell("ready".to_owned()).await.is_ok());
    ///     log.ended().await;
    ///     assert!(lines.try_tell("too late".to_owned()).is_err());
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    pub fn tell(&self, message: M) -> Tell<'_, M> {
        Tell::new(&*self.0, message)
    }

    /// As [`Address::try_tell`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`Recipient::tell`].
    pub fn try_tell(&self, message: M) -> Result<(), TryTellError<M>> {
        self.0.try_tell(message)
    }

    /// As [`Address::tell_blocking`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`Recipient::ask_blocking`].
    pub fn tell_blocking(&self, message: M) -> Result<(), TellError<M>> {
        send::tell_blocking(&*self.0, message, None)
    }

    /// As [`Address::tell_timeout`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`TellError`].
    pub fn tell_timeout(&self, message: M, timeout: Duration) -> Result<(), TellError<M>> {
        send::tell_blocking(&*self.0, message, Some(timeout))
    }

    /// As [`Address::ask`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`Recipient`].
    pub fn ask(&self, message: M) -> Ask<'_, M, R> {
        Ask::new(&*self.0, message)
    }

    /// As [`Address::ask_blocking`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Handler, LoopThread, Recipient};
    ///
    /// struct Sum(i32);
    /// impl Actor for Sum {}
    /// impl Handler<i32> for Sum {
    ///     type Reply = i32;
    ///     async fn handle(&mut self, n: i32, _: &mut ActorContext<Self>) -> i32 {
    ///         self.0 += n;
    ///         self.0
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let sum: Recipient<i32, i32> = worker.create_actor(|| Sum(0)).recipient();
    /// sum.tell_blocking(40)?;
    /// assert_eq!(sum.ask_blocking(2)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask_blocking(&self, message: M) -> Result<R, AskError> {
        send::ask_blocking(&*self.0, message, None)
    }

    /// As [`Address::ask_timeout`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// See [`Address::ask_timeout`].
    pub fn ask_timeout(&self, message: M, timeout: Duration) -> Result<R, AskError> {
        send::ask_blocking(&*self.0, message, Some(timeout))
    }
}

impl<M, R: Send + 'static> Recipient<M, R> {
    /// Gives a recipient that does not keep the actor alive.
    ///
    /// # Examples
    /// See [`WeakRecipient`].
    pub fn downgrade(&self) -> WeakRecipient<M, R> {
        WeakRecipient(Arc::downgrade(&self.0))
    }

    pub(crate) fn takes_no_more(&self) -> bool {
        self.0.takes_no_more()
    }
}

/// A [`Recipient`] that does not keep the actor alive: for who tells others of what happens, as long as they are there.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, Handler, WeakRecipient, create_actor};
///
/// struct Lamp;
/// #[derive(Clone, Copy)]
/// struct Dusk;
///
/// impl Actor for Lamp {}
/// impl Handler<Dusk> for Lamp {
///     type Reply = &'static str;
///     async fn handle(&mut self, _: Dusk, _: &mut ActorContext<Self>) -> &'static str {
///         "on"
///     }
/// }
///
/// perloop::run(async {
///     let lamp = create_actor(|| Lamp);
///     let listeners: [WeakRecipient<Dusk, &str>; 1] = [lamp.recipient().downgrade()];
///     let listener = listeners[0].upgrade().expect("somebody has it");
///     assert_eq!(listener.ask(Dusk).await, Ok("on"));
///     drop((listener, lamp));
///     assert!(listeners[0].upgrade().is_none());
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
pub struct WeakRecipient<M, R: Send + 'static = ()>(Weak<dyn AcceptAsk<M, R>>);

impl<M, R: Send + 'static> WeakRecipient<M, R> {
    /// Gives a recipient that keeps the actor, if there is still one, or an address.
    ///
    /// # Examples
    /// See [`WeakRecipient`].
    pub fn upgrade(&self) -> Option<Recipient<M, R>> {
        self.0.upgrade().map(Recipient)
    }
}

impl<M, R: Send + 'static> Clone for WeakRecipient<M, R> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<M, R: Send + 'static> fmt::Debug for WeakRecipient<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakRecipient")
    }
}

impl<A, M> From<Address<A>> for Recipient<M, <A as Handler<M>>::Reply>
where
    A: Actor + Handler<M>,
    M: Send + 'static,
{
    fn from(address: Address<A>) -> Self {
        address.recipient()
    }
}

impl<M, R: Send + 'static> Clone for Recipient<M, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Two are equal if they are of the same actor.
impl<M, R: Send + 'static> PartialEq for Recipient<M, R> {
    fn eq(&self, other: &Self) -> bool {
        // Not by their tables as well, of which a type may have several.
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl<M, R: Send + 'static> Eq for Recipient<M, R> {}

impl<M, R: Send + 'static> fmt::Debug for Recipient<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient")
    }
}
