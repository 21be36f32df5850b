//! No actor waits for itself.
//!
//! An actor whose handler waits for another one's reply, or for room in its mailbox, handles nothing meanwhile. So if that one's handler waits for the
//! first, or for one that does, neither ever goes on. Each such wait stands in one table, under one lock; who is about to
//! wait enters it and looks for a way back to itself in one act, so that of several that would close a circle the last
//! one sees the others. Mostly the other one waits for nobody, and then that is one look into a hash table. Tasks and threads that ask take no part: nobody waits for them.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::successors;

use crate::errors::WouldDeadlock;
use crate::sync::{Mutex, SharedText, generation, lock, process_wide};

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::new());
}

struct Table {
    /// By who waits.
    waits: HashMap<usize, Waits, BuildHasherDefault<OfAddresses>>,
    tickets: u64,
}

/// What a handler waits for, which is one other actor, unless it asks several at a time.
#[derive(Default)]
struct Waits {
    first: Option<Awaited>,
    others: Vec<Awaited>,
}

struct Awaited {
    ticket: u64,
    who: usize,
    name: ActorName,
}

impl Waits {
    fn all(&self) -> impl Iterator<Item = &Awaited> {
        self.first.iter().chain(&self.others)
    }

    fn add(&mut self, awaited: Awaited) {
        match &mut self.first {
            None => self.first = Some(awaited),
            Some(_) => self.others.push(awaited),
        }
    }

    /// True if nothing is left.
    fn remove(&mut self, ticket: u64) -> bool {
        if self.first.take_if(|awaited| awaited.ticket == ticket).is_none() {
            self.others.retain(|awaited| awaited.ticket != ticket);
        }
        self.first.is_none() && self.others.is_empty()
    }
}

/// Spreads numbers that are addresses of what lies in memory of its own.
#[derive(Default)]
struct OfAddresses(u64);

impl Hasher for OfAddresses {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_usize(usize::from(byte)));
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
        let name = name();
        let mut table = lock(&TABLE);
        if let Some(mut names) = table.way(to, from) {
            // The way ends with the asker, or is none, if it asks itself.
            let asker = names.pop();
            let circle = asker.into_iter().chain([name.as_str().to_owned()]).chain(names);
            return Err(WouldDeadlock::of_actors(circle.collect()));
        }
        table.tickets += 1;
        let ticket = table.tickets;
        table.waits.entry(from).or_default().add(Awaited { ticket, who: to, name });
        Ok(Self { from, ticket })
    }
}

impl Table {
    /// The tickets of one process are none of its child's, which may give inherited ones back.
    fn new() -> Self {
        Self { waits: HashMap::default(), tickets: u64::from(generation()) << 32 }
    }

    /// The names of those whom one waits for by way of whom, from the one to the other, if one of the ways leads there.
    fn way(&self, from: usize, to: usize) -> Option<Vec<String>> {
        if from != to && !self.waits.contains_key(&from) {
            return None;
        }
        // Who was reached, from which place of this list, and by which name.
        let mut reached = vec![(from, 0, None)];
        let mut seen = BTreeSet::from([from]);
        let mut at = 0;
        while let Some(&(who, _, _)) = reached.get(at) {
            if who == to {
                return Some(names_to(&reached, at));
            }
            for next in self.waits.get(&who).into_iter().flat_map(Waits::all) {
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
        let mut table = lock(&TABLE);
        if let Entry::Occupied(mut waits) = table.waits.entry(self.from)
            && waits.get_mut().remove(self.ticket)
        {
            waits.remove();
        }
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}
