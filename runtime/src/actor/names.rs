//! Actors that are found by their name, in the whole process.

use std::error::Error;
use std::fmt;

use perloop_bridge::NameEntry;

use crate::actor::{Actor, Address, WeakAddress};

impl<A: Actor> Address<A> {
    /// Gives the actor a name, by which every thread of the process [finds](Self::find) it. Actors of another type may have
    /// the same one, and an actor may have several. It is free again when the actor has ended, in whatever way, or when nobody
    /// has its address any more: a name keeps no actor alive.
    ///
    /// It has nothing to do with the name that the actor's builder [was told](crate::ActorBuilder::name).
    ///
    /// # Errors
    /// If an actor of this type has the name, or this one has ended.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Address, LoopThread, RegisterError};
    ///
    /// struct Bank;
    /// impl Actor for Bank {}
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let bank = worker.create_actor(|| Bank);
    /// bank.register("bank of England")?;
    /// assert_eq!(Address::<Bank>::find("bank of England"), Some(bank.clone()));
    ///
    /// let other = worker.create_actor(|| Bank);
    /// assert_eq!(other.register("bank of England"), Err(RegisterError::Taken("bank of England".to_owned())));
    /// bank.stop();
    /// bank.ended_blocking()?;
    /// assert_eq!(Address::<Bank>::find("bank of England"), None);
    /// assert_eq!(other.register("bank of England"), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(&self, name: impl AsRef<str>) -> Result<(), RegisterError> {
        let name = name.as_ref();
        if self.has_ended() {
            return Err(RegisterError::Ended);
        }
        let entered = NameEntry::enter(name.into(), self.downgrade(), WeakAddress::is_found);
        let entry = entered.map_err(|_| RegisterError::Taken(name.to_owned()))?;
        self.keep_until_ended(entry);
        Ok(())
    }

    /// Takes a name of this actor's away. False: it has no such name.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, Address, create_actor};
    ///
    /// struct Clerk;
    /// impl Actor for Clerk {}
    ///
    /// perloop::run(async {
    ///     let clerk = create_actor(|| Clerk);
    ///     clerk.register("Bob")?;
    ///     assert!(clerk.unregister("Bob") && !clerk.unregister("Bob"));
    ///     assert_eq!(Address::<Clerk>::find("Bob"), None);
    ///     Ok::<_, perloop::RegisterError>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unregister(&self, name: impl AsRef<str>) -> bool {
        let this = self.downgrade();
        NameEntry::remove(name.as_ref(), |registered: &WeakAddress<A>| registered.is_same(&this))
    }

    /// Finds the actor of this type that was [given](Self::register) a name, from any thread. It takes a lock for a moment:
    /// keep the address if you need it often.
    ///
    /// # Examples
    /// ```
    /// use perloop::{Actor, ActorContext, Address, Handler, LoopThread};
    ///
    /// struct Log;
    /// impl Actor for Log {}
    /// impl Handler<String> for Log {
    ///     type Reply = usize;
    ///     async fn handle(&mut self, line: String, _: &mut ActorContext<Self>) -> usize {
    ///         line.len()
    ///     }
    /// }
    ///
    /// let worker = LoopThread::spawn("worker")?;
    /// let kept = worker.create_actor(|| Log);
    /// kept.register("errors")?;
    /// // Elsewhere:
    /// let log = Address::<Log>::find("errors").ok_or("there is no such log")?;
    /// assert_eq!(log.ask_blocking("out of paper".to_owned())?, 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(name: impl AsRef<str>) -> Option<Self> {
        let found = NameEntry::find::<WeakAddress<A>>(name.as_ref())?;
        found.upgrade().filter(|address| !address.has_ended())
    }
}

impl<A: Actor> WeakAddress<A> {
    fn is_found(&self) -> bool {
        self.upgrade().is_some_and(|address| !address.has_ended())
    }
}

/// Why an actor was not given a name.
///
/// # Examples
/// ```
/// use perloop::{Actor, RegisterError, create_actor};
///
/// struct Clerk;
/// impl Actor for Clerk {}
///
/// perloop::run(async {
///     let (first, second) = (create_actor(|| Clerk), create_actor(|| Clerk));
///     assert_eq!(first.register("Bob"), Ok(()));
///     let error = second.register("Bob").unwrap_err();
///     assert_eq!(error.to_string(), "an actor of this type has the name 'Bob'; choose another one");
///     second.stop();
///     second.ended().await;
///     assert_eq!(second.register("Alice"), Err(RegisterError::Ended));
/// })?;
/// # Ok::<(), perloop::RunError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterError {
    /// An actor of this type has this name.
    Taken(String),
    /// The actor has ended.
    Ended,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(name) => {
                write!(f, "an actor of this type has the name '{name}'; choose another one")
            }
            Self::Ended => f.write_str("the actor has ended, and cannot be found by any name"),
        }
    }
}

impl Error for RegisterError {}
