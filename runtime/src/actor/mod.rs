//! Actors: state that lives on a loop and is talked to by messages.
//!
//! `address` is what others have of an actor, `recipient` the same without its type, `names` how it is found, `router` several as one; `send` the futures that a message
//! leads to, `envelope` the message on its way, `life` what the actor's task does, `context` what its handlers have of it, `handling` which
//! actor's runs in this thread, `streams` and `reader` what else gives it messages, `leash` what it is told beside messages,
//! `ward` what a supervised one has beside, `builder` how it is made, `end` how it ends, `monitor` who hears of that, `errors` why a
//! message was not taken.

mod address;
mod builder;
mod context;
mod end;
mod envelope;
mod errors;
pub(crate) mod handling;
pub(crate) mod leash;
mod life;
mod monitor;
mod names;
mod reader;
mod recipient;
mod router;
mod send;
mod streams;
mod ward;

use std::future::Future;

use perloop_bridge::Panicked;

pub use address::{Address, WeakAddress};
pub(crate) use builder::Upbringing;
pub use builder::{ActorBuilder, create_actor};
pub use context::ActorContext;
pub use end::{ActorEnd, Down};
pub use errors::{AskError, TellError, TryTellError};
pub use monitor::{Monitor, MonitorKey};
pub use names::RegisterError;
pub use recipient::{Recipient, WeakRecipient};
pub use router::{Broadcast, Router, RouterMember, Takes};
pub use send::{Ask, Tell};
pub use streams::AttachedKey;
pub(crate) use ward::{Boss, Event, News};

/// State that lives on a loop and is changed by messages, one at a time. Each type of message that it takes is a
/// [`Handler`].
///
/// An actor is made on its loop, by [`create_actor`] or [`LoopHandle::create_actor`](crate::LoopHandle::create_actor), and
/// never leaves its thread, so that it need not be `Send`. Others have its [`Address`]. It ends
///
/// - when [`Address::stop`] or [`ActorContext::stop`] asks it to, after the message that it handles,
/// - when all of its addresses are dropped and its [streams](ActorContext::attach) have ended, after the messages that are
///   left,
/// - by a panic in a handler, at once: the `ask` of that message fails with it, and the loop's exception handler hears of it,
/// - when [`Address::kill`] ends it, in the middle of whatever it waits for,
/// - when its task is cancelled, or its loop closes.
///
/// Then its mailbox is closed, what was left in it is dropped, so that each `ask` ends with [`AskError::Stopped`], its
/// [children](ActorContext::create_child) are stopped, and after that the actor is dropped, on its own thread. After a panic, a
/// kill or a cancellation the children are told to stop when the actor has been dropped, and are not waited for.
///
/// # Examples
/// ```
/// use perloop::{Actor, ActorContext, Handler, LoopThread};
///
/// #[derive(Default)]
/// struct Account {
///     balance: u64,
/// }
///
/// struct Deposit(u64);
/// struct Balance;
///
/// impl Actor for Account {}
///
/// impl Handler<Deposit> for Account {
///     type Reply = ();
///
///     async fn handle(&mut self, Deposit(amount): Deposit, _: &mut ActorContext<Self>) {
///         self.balance += amount;
///     }
/// }
///
/// impl Handler<Balance> for Account {
///     type Reply = u64;
///
///     async fn handle(&mut self, _: Balance, _: &mut ActorContext<Self>) -> u64 {
///         self.balance
///     }
/// }
///
/// let bank = LoopThread::spawn("bank")?;
/// let account = bank.create_actor(Account::default);
/// account.tell_blocking(Deposit(40))?;
/// account.tell_blocking(Deposit(2))?;
/// assert_eq!(account.ask_blocking(Balance)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Hooks
/// An actor that has to do something when it begins or ends overrides `started`, `stopping` and `stopped`: `async fn`s, all.
/// A panic in one of them is as one in a handler. After a panic, or when the actor is killed, its task cancelled or its loop
/// closed, only destructors run.
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use perloop::{Actor, ActorContext, create_actor};
///
/// struct Shop(Rc<RefCell<Vec<&'static str>>>);
///
/// impl Actor for Shop {
///     async fn started(&mut self, _: &mut ActorContext<Self>) {
///         self.0.borrow_mut().push("open");
///     }
///
///     async fn stopping(&mut self, _: &mut ActorContext<Self>) {
///         self.0.borrow_mut().push("last orders");
///     }
///
///     async fn stopped(&mut self) {
///         self.0.borrow_mut().push("closed");
///     }
/// }
///
/// let signs = Rc::new(RefCell::new(Vec::new()));
/// let kept = Rc::clone(&signs);
/// perloop::run(async {
///     let shop = create_actor(|| Shop(kept));
///     shop.stop();
///     shop.ended().await;
/// })?;
/// assert_eq!(*signs.borrow(), ["open", "last orders", "closed"]);
/// # Ok::<(), perloop::RunError>(())
/// ```
pub trait Actor: Sized + 'static {
    /// Called on the loop before the first message is handled.
    fn started(&mut self, context: &mut ActorContext<Self>) -> impl Future<Output = ()> {
        let _ = context;
        async {}
    }

    /// Called instead of `started` when a [`Supervisor`](crate::Supervisor) has restarted the actor: its state was made anew, its
    /// mailbox has what was not handled yet, and `why` is how the one before has ended. By default it calls `started`.
    ///
    /// # Examples
    /// See [`Supervisor`](crate::Supervisor).
    fn restarted(&mut self, why: &ActorEnd, context: &mut ActorContext<Self>) -> impl Future<Output = ()> {
        let _ = why;
        self.started(context)
    }

    /// Says whether the actor goes on with its state as it is after a handler has panicked, which may have changed one half
    /// of it and not the other. By default it does not: no later message sees such state, as the actor ends, or is restarted
    /// by its supervisor. If it goes on, the message's `ask` still fails, and the loop's exception handler hears of it.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, AskError, EventLoop, ExceptionContext, Handler, Panicked, create_actor};
    ///
    /// struct Calculator; // has no state that a panic could spoil
    /// struct Divide(i32, i32);
    ///
    /// impl Actor for Calculator {
    ///     fn resumes_after(&mut self, _: &Panicked) -> bool {
    ///         true
    ///     }
    /// }
    /// impl Handler<Divide> for Calculator {
    ///     type Reply = i32;
    ///     async fn handle(&mut self, Divide(a, b): Divide, _: &mut ActorContext<Self>) -> i32 {
    ///         a / b
    ///     }
    /// }
    ///
    /// perloop::run(async {
    ///     let calculator = create_actor(|| Calculator);
    ///     assert!(matches!(calculator.ask(Divide(1, 0)).await, Err(AskError::Panicked(_))));
    ///     assert_eq!(calculator.ask(Divide(6, 2)).await, Ok(3));
    /// })?;
    /// # Ok::<(), perloop::RunError>(())
    /// ```
    fn resumes_after(&mut self, panicked: &Panicked) -> bool {
        let _ = panicked;
        false
    }

    /// Called when the actor is to end, after its last message. It may still ask others; its own mailbox is not closed yet, but
    /// what is in it is not handled any more. Its [children](ActorContext::create_child) live.
    fn stopping(&mut self, context: &mut ActorContext<Self>) -> impl Future<Output = ()> {
        let _ = context;
        async {}
    }

    /// Called when its mailbox is closed and its children have ended, before it is dropped.
    fn stopped(&mut self) -> impl Future<Output = ()> {
        async {}
    }
}

/// What an actor does with messages of one type. While one is handled no other is; a handler that awaits lets the loop's
/// other tasks and actors run.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use perloop::{Actor, ActorContext, Handler, create_actor, sleep};
///
/// struct Greeter;
/// struct Greet(&'static str);
///
/// impl Actor for Greeter {}
/// impl Handler<Greet> for Greeter {
///     type Reply = String;
///
///     async fn handle(&mut self, Greet(name): Greet, _: &mut ActorContext<Self>) -> String {
///         sleep(Duration::from_millis(1)).await;
///         format!("hello, {name}")
///     }
/// }
///
/// let greeting = perloop::run(async {
///     let greeter = create_actor(|| Greeter);
///     greeter.ask(Greet("Ada")).await
/// })?;
/// assert_eq!(greeting.as_deref(), Ok("hello, Ada"));
/// # Ok::<(), perloop::RunError>(())
/// ```
pub trait Handler<M: Send + 'static>: Actor {
    /// What [`Address::ask`] gives; [`Address::tell`] drops it.
    type Reply: Send + 'static;

    /// Handles one message: an `async fn`.
    ///
    /// If the actor's task is cancelled meanwhile, what this returned is dropped half-way, with the actor.
    fn handle(&mut self, message: M, context: &mut ActorContext<Self>) -> impl Future<Output = Self::Reply>;
}
