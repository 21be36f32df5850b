//! No actor waits for itself.
//!
//! An actor whose handler waits for another one's reply, or for room in its mailbox, handles nothing meanwhile. So if that one's handler waits for the
//! first, or for one that does, neither ever goes on. Each such wait stands in one table, under one lock; who is about to
//! wait enters it and looks for a way back to itself in one act, so that of several that would close a circle the last
//! one sees the others. Tasks and threads that ask take no part: nobody waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter::successors;

use crate::errors::WouldDeadlock;
use crate::sync::{Mutex, SharedText, generation, lock, process_wide};

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::new());
}

struct Table {
    /// By who waits, and a ticket, since a handler may wait for several.
    waits: BTreeMap<(usize, u64), Awaited>,
    tickets: u64,
}

struct Awaited {
    who: usize,
    name: ActorName,
}

/// What an actor is called in a [`WouldDeadlock`]: by its name, or as its type.
///
/// # Examples
/// ```
/// use perloop_bridge::ActorName;
///
/// let clerk = ActorName { given: None, kind: "Clerk" };
/// assert_eq!(clerk.as_str(), "Clerk");
/// assert_eq!(ActorName { given: Some("Bob".into()), ..clerk }.as_str(), "Bob");
/// ```
#[derive(Debug, Clone)]
pub struct ActorName {
    /// The name that it was given.
    pub given: Option<SharedText>,
    /// The name of its type.
    pub kind: &'static str,
}

impl ActorName {
    /// Returns the one to call it by.
    ///
    /// # Examples
    /// See [`ActorName`].
    pub fn as_str(&self) -> &str {
        self.given.as_deref().unwrap_or(self.kind)
    }
}

/// An actor's handler waits for another actor, as long as this lives. The two are given by their
/// [`Post::id`](crate::Post::id).
///
/// # Examples
/// ```
/// use perloop_bridge::{ActorName, Asking};
///
/// let name = |kind| ActorName { given: None, kind };
/// let first = Asking::enter(1, 2, || name("second"));
/// assert!(first.is_ok());
/// let circle = Asking::enter(2, 1, || name("first")).unwrap_err();
/// assert_eq!(circle.path(), ["second", "first"]);
/// drop(first);
/// assert!(Asking::enter(2, 1, || name("first")).is_ok());
/// ```
pub struct Asking {
    from: usize,
    ticket: u64,
}

impl Asking {
    /// The actor `from` is about to wait for the actor `to` of this name.
    ///
    /// # Errors
    /// If it would close a circle: the names along it, beginning with `from`.
    ///
    /// # Examples
    /// See [`Asking`].
    pub fn enter(from: usize, to: usize, name: impl FnOnce() -> ActorName) -> Result<Self, WouldDeadlock> {
        let awaited = Awaited { who: to, name: name() };
        let mut table = lock(&TABLE);
        if let Some(mut names) = table.way(to, from) {
            // The way ends with the asker, or is none, if it asks itself.
            let asker = names.pop();
            let circle = asker.into_iter().chain([awaited.name.as_str().to_owned()]).chain(names);
            return Err(WouldDeadlock::of_actors(circle.collect()));
        }
        table.tickets += 1;
        let ticket = table.tickets;
        table.waits.insert((from, ticket), awaited);
        Ok(Self { from, ticket })
    }
}

impl Table {
    /// The tickets of one process are none of its child's, which may give inherited ones back.
    fn new() -> Self {
        Self { waits: BTreeMap::new(), tickets: u64::from(generation()) << 32 }
    }

    /// The names of those whom one waits for by way of whom, from the one to the other, if one of the ways leads there.
    fn way(&self, from: usize, to: usize) -> Option<Vec<String>> {
        // Who was reached, from which place of this list, and by which name.
        let mut reached = vec![(from, 0, None)];
        let mut seen = BTreeSet::from([from]);
        let mut at = 0;
        while let Some(&(who, _, _)) = reached.get(at) {
            if who == to {
                return Some(names_to(&reached, at));
            }
            for (_, next) in self.waits.range((who, 0)..=(who, u64::MAX)) {
                if seen.insert(next.who) {
                    reached.push((next.who, at, Some(&next.name)));
                }
            }
            at += 1;
        }
        None
    }
}

/// The names on the way to the place `last`.
fn names_to(reached: &[(usize, usize, Option<&ActorName>)], last: usize) -> Vec<String> {
    let step = |&at: &usize| (at > 0).then(|| reached[at].1);
    let places = successors(Some(last), step);
    let mut names: Vec<_> =
        places.filter_map(|at| reached[at].2).map(|name| name.as_str().to_owned()).collect();
    names.reverse();
    names
}

impl Drop for Asking {
    fn drop(&mut self) {
        // A name's last reference frees a text, which is nobody's code.
        lock(&TABLE).waits.remove(&(self.from, self.ticket));
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}
