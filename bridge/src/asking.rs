//! No actor waits for itself.
//!
//! An actor whose handler waits for another one's reply, or for room in its mailbox, handles nothing meanwhile. So if that
//! one's handler waits for the first, or for one that does, neither ever goes on. Each such wait is entered before it begins,
//! and who would close a circle is told. Tasks and threads that ask take no part: nobody waits for them.
//!
//! A thread has the waits of its own actors to itself, for actors beside them that wait for nobody: mostly it is so, and then
//! there is no lock. All other waits stand in one table of the process, and whoever enters one there takes those along that
//! the thread had to itself, and looks for a way back to itself in one act. So of several that would close a circle the last
//! one sees the others: at home, who closes it waits for one that waits; and the waits of each other thread on the way are
//! all in the table, as the one of them that was entered last either leads out of its thread, or to one that waits.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::successors;
use std::mem;
use std::ops::Range;

use crate::errors::WouldDeadlock;
use crate::sync::{Mutex, SharedText, ThreadToken, generation, lock, process_wide, this_thread, thread_cell};

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::new());
}

thread_cell! {
    /// None until one of its actors has waited.
    static AT_HOME: Option<Box<AtHome>> = None;
}

/// A thread takes so many tickets at a time.
const TICKETS: u64 = 1 << 20;
/// With so many waits a thread looks at the table in any case: some may have been taken back by other threads.
const FEW: usize = 64;

struct Table {
    waits: ByActor<Waits>,
    tickets: u64,
    /// What was taken back by other threads than those that entered it, and they have not heard of.
    left: HashMap<ThreadToken, Vec<(usize, u64)>>,
}

/// The waits of a thread's own actors.
struct AtHome {
    /// Those that are not in the table.
    waits: ByActor<Waits>,
    /// The tickets of those that are.
    published: ByActor<Vec<u64>>,
    tickets: Range<u64>,
    /// How many actors may wait before it looks at the table.
    limit: usize,
}

/// By who waits.
type ByActor<T> = HashMap<usize, T, BuildHasherDefault<OfAddresses>>;

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

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    /// False: it is not among them.
    fn remove(&mut self, ticket: u64) -> bool {
        if self.first.take_if(|awaited| awaited.ticket == ticket).is_some() {
            return true;
        }
        let place = self.others.iter().position(|awaited| awaited.ticket == ticket);
        place.map(|place| self.others.swap_remove(place)).is_some()
    }
}

/// False: it is not there.
fn take_back(waits: &mut ByActor<Waits>, from: usize, ticket: u64) -> bool {
    let Entry::Occupied(mut entry) = waits.entry(from) else { return false };
    let was_there = entry.get_mut().remove(ticket);
    if entry.get().is_empty() {
        entry.remove();
    }
    was_there
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
/// let first = Asking::enter(1, 2, true, || name("second"));
/// assert!(first.is_ok());
/// let circle = Asking::enter(2, 1, true, || name("first")).unwrap_err();
/// assert_eq!(circle.path(), ["second", "first"]);
/// drop(first);
/// assert!(Asking::enter(2, 1, true, || name("first")).is_ok());
/// ```
pub struct Asking(Asker);

/// Who has asked, for who answers: the wait is over with the answer, and not when the one who asked hears of it.
///
/// # Examples
/// ```
/// use perloop_bridge::{ActorName, Asking};
///
/// let name = |kind| ActorName { given: None, kind };
/// let asking = Asking::enter(1, 2, true, || name("second"))?;
/// asking.asker().is_answered();
/// assert!(Asking::enter(2, 1, true, || name("first")).is_ok());
/// # Ok::<(), perloop_bridge::WouldDeadlock>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    from: usize,
    ticket: u64,
    /// The one of `from`.
    thread: ThreadToken,
}

impl Asking {
    /// This thread's actor `from` is about to wait for the actor `to` of this name, which may be another thread's.
    ///
    /// # Errors
    /// If it would close a circle: the names along it, beginning with `from`.
    ///
    /// # Examples
    /// See [`Asking`].
    pub fn enter(
        from: usize,
        to: usize,
        is_beside: bool,
        name: impl FnOnce() -> ActorName,
    ) -> Result<Self, WouldDeadlock> {
        let name = name();
        let mut home = AT_HOME.try_with(|home| home.take()).ok().flatten().unwrap_or_default();
        let entered = if is_beside && from != to && home.may_keep(to) {
            home.keep(from, to, name)
        } else {
            home.publish(from, to, name)
        };
        // In a thread that is ending, what is left at home is nobody's any more.
        let _is_kept = AT_HOME.try_with(|at_home| at_home.set(Some(home)));
        entered.map(|ticket| Self(Asker { from, ticket, thread: this_thread() }))
    }

    /// For the letter that asks.
    ///
    /// # Examples
    /// See [`Asker`].
    pub fn asker(&self) -> Asker {
        self.0
    }
}

impl Default for AtHome {
    fn default() -> Self {
        Self { waits: ByActor::default(), published: ByActor::default(), tickets: 0..0, limit: FEW }
    }
}

impl AtHome {
    /// Nobody else need know of a wait for this one, of this thread.
    fn may_keep(&self, to: usize) -> bool {
        !self.waits.contains_key(&to)
            && !self.published.contains_key(&to)
            && self.waits.len() + self.published.len() < self.limit
            && !self.tickets.is_empty()
    }

    fn keep(&mut self, from: usize, to: usize, name: ActorName) -> Result<u64, WouldDeadlock> {
        let ticket = self.tickets.start;
        self.tickets.start += 1;
        self.waits.entry(from).or_default().add(Awaited { ticket, who: to, name });
        Ok(ticket)
    }

    fn publish(&mut self, from: usize, to: usize, name: ActorName) -> Result<u64, WouldDeadlock> {
        let mut table = lock(&TABLE);
        for (from, ticket) in table.left.remove(&this_thread()).unwrap_or_default() {
            self.forget(from, ticket);
        }
        if self.tickets.is_empty() {
            self.tickets = table.tickets..table.tickets + TICKETS;
            table.tickets = self.tickets.end;
        }
        for (from, waits) in mem::take(&mut self.waits) {
            self.published.entry(from).or_default().extend(waits.all().map(|awaited| awaited.ticket));
            let known = table.waits.entry(from).or_default();
            waits.first.into_iter().chain(waits.others).for_each(|awaited| known.add(awaited));
        }
        self.limit = FEW.max(2 * self.published.len());
        if let Some(circle) = table.circle(from, to, &name) {
            return Err(circle);
        }
        let ticket = self.tickets.start;
        self.tickets.start += 1;
        self.published.entry(from).or_default().push(ticket);
        table.waits.entry(from).or_default().add(Awaited { ticket, who: to, name });
        Ok(ticket)
    }

    /// True if it is in the table as well.
    fn forget(&mut self, from: usize, ticket: u64) -> bool {
        if take_back(&mut self.waits, from, ticket) {
            return false;
        }
        let Entry::Occupied(mut tickets) = self.published.entry(from) else { return false };
        let place = tickets.get().iter().position(|published| *published == ticket);
        place.map(|place| tickets.get_mut().swap_remove(place));
        if tickets.get().is_empty() {
            tickets.remove();
        }
        place.is_some()
    }
}

impl Table {
    /// The tickets of one process are none of its child's, which may give inherited ones back.
    fn new() -> Self {
        let tickets = u64::from(generation()) << 48;
        Self { waits: ByActor::default(), tickets, left: HashMap::new() }
    }

    /// The circle that `from` would close if it waited for the actor `to` of this name.
    fn circle(&self, from: usize, to: usize, name: &ActorName) -> Option<WouldDeadlock> {
        let mut names = self.way(to, from)?;
        // The way ends with the asker, or is none, if it asks itself.
        let asker = names.pop();
        let circle = asker.into_iter().chain([name.as_str().to_owned()]).chain(names);
        Some(WouldDeadlock::of_actors(circle.collect()))
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
        self.0.is_answered();
    }
}

impl Asker {
    /// It waits no more. May be called in whatever thread, and more than once.
    ///
    /// # Examples
    /// See [`Asker`].
    pub fn is_answered(self) {
        let is_home = self.thread == this_thread();
        if is_home && !self.leave_home() {
            return;
        }
        // A name's last reference frees a text, which is nobody's code.
        let mut table = lock(&TABLE);
        take_back(&mut table.waits, self.from, self.ticket);
        if !is_home {
            table.left.entry(self.thread).or_default().push((self.from, self.ticket));
        }
    }

    /// True if it is in the table as well.
    fn leave_home(self) -> bool {
        let leave = |at_home: &std::cell::Cell<Option<Box<AtHome>>>| {
            let mut home = at_home.take();
            let is_published = home.as_mut().is_none_or(|home| home.forget(self.from, self.ticket));
            at_home.set(home);
            is_published
        };
        AT_HOME.try_with(leave).unwrap_or(true)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}
