//! What can be found by its name, in the whole process.
//!
//! One table, under one lock, which is made when it is first used. Values of different types have names of their own. A value
//! of the registrant's stands in the table as long as its [`NameEntry`] lives, and no longer than it says itself that it is of
//! use: such a one is in nobody's way. Values are asked, and dropped, outside of the lock.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;

use crate::foreign::drop_contained;
use crate::sync::{Mutex, SharedText, generation, lock, process_wide};

process_wide! {
    static TABLE: Mutex<Table> = Mutex::new(Table::new());
}

struct Table {
    entries: BTreeMap<TypeId, BTreeMap<SharedText, Entry>>,
    tickets: u64,
}

struct Entry {
    ticket: u64,
    value: Box<dyn Any + Send + Sync>,
}

/// A value stands in the table by its name, as long as this lives or until it is [taken out](Self::remove). For runtime
/// writers: the runtime's actors are found so.
///
/// # Examples
/// ```
/// use std::sync::{Arc, Weak};
/// use perloop_bridge::NameEntry;
///
/// let is_alive = |value: &Weak<i32>| value.strong_count() > 0;
/// let value = Arc::new(42);
/// let entry = NameEntry::enter("answer".into(), Arc::downgrade(&value), is_alive).unwrap();
/// assert!(NameEntry::enter("answer".into(), Weak::<i32>::new(), is_alive).is_err());
/// assert_eq!(NameEntry::find::<Weak<i32>>("answer").and_then(|value| value.upgrade()), Some(value));
/// assert!(NameEntry::find::<Weak<u8>>("answer").is_none());
/// drop(entry);
/// assert!(NameEntry::find::<Weak<i32>>("answer").is_none());
/// ```
#[must_use = "when it is dropped the value cannot be found any more"]
pub struct NameEntry {
    kind: TypeId,
    name: SharedText,
    ticket: u64,
}

impl NameEntry {
    /// Enters a value, unless there is another one of this type and name of which `is_of_use` is true.
    ///
    /// # Errors
    /// If there is. The value comes back.
    ///
    /// # Examples
    /// See [`NameEntry`].
    pub fn enter<T>(name: SharedText, value: T, is_of_use: impl Fn(&T) -> bool) -> Result<Self, T>
    where
        T: Clone + Send + Sync + 'static,
    {
        let mut value = Box::new(value);
        loop {
            value = match lock(&TABLE).try_enter(&name, value) {
                Ok(ticket) => return Ok(Self { kind: TypeId::of::<T>(), name, ticket }),
                Err(refused) => refused,
            };
            // It may have gone meanwhile, and then the next try finds that.
            let Some((ticket, there)) = find::<T>(&name) else { continue };
            if is_of_use(&there) {
                return Err(*value);
            }
            drop(take::<T>(&name, |entry| entry.ticket == ticket));
        }
    }

    /// Gives the value of this type that has this name.
    ///
    /// # Examples
    /// See [`NameEntry`].
    pub fn find<T: Clone + Send + Sync + 'static>(name: &str) -> Option<T> {
        find(name).map(|(_, value)| value)
    }

    /// Takes the value of this type and name out, if it is the one meant, of which `is_meant` tells; that is called under the
    /// lock, and is to do no more than compare. False: there is none.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::NameEntry;
    ///
    /// let entry = NameEntry::enter("answer".into(), 42, |_| true).unwrap();
    /// assert!(!NameEntry::remove("answer", |value: &i32| *value == 41));
    /// assert!(NameEntry::remove("answer", |value: &i32| *value == 42));
    /// assert!(NameEntry::find::<i32>("answer").is_none());
    /// # drop(entry);
    /// ```
    pub fn remove<T: Clone + Send + Sync + 'static>(name: &str, is_meant: impl Fn(&T) -> bool) -> bool {
        take::<T>(name, |entry| is_meant(entry.value())).is_some()
    }
}

/// A copy of the value that has this name, and its ticket. Cloning a value is nobody's code but the runtime's.
fn find<T: Clone + 'static>(name: &str) -> Option<(u64, T)> {
    let table = lock(&TABLE);
    let entry = table.entries.get(&TypeId::of::<T>())?.get(name)?;
    Some((entry.ticket, entry.value::<T>().clone()))
}

/// Takes an entry out if it is the one meant. It is to be dropped outside of the lock.
fn take<T: 'static>(name: &str, is_meant: impl Fn(&Entry) -> bool) -> Option<Entry> {
    lock(&TABLE).take(TypeId::of::<T>(), name, is_meant)
}

impl Entry {
    fn value<T: 'static>(&self) -> &T {
        self.value.downcast_ref().expect("it stands by its type")
    }
}

impl Table {
    /// The tickets of one process are none of its child's, which may drop inherited entries.
    fn new() -> Self {
        Self { entries: BTreeMap::new(), tickets: u64::from(generation()) << 32 }
    }

    /// Enters it, if the name is free, and gives its ticket.
    fn try_enter<T>(&mut self, name: &SharedText, value: Box<T>) -> Result<u64, Box<T>>
    where
        T: Send + Sync + 'static,
    {
        let of_type = self.entries.entry(TypeId::of::<T>()).or_default();
        if of_type.contains_key(name) {
            return Err(value);
        }
        self.tickets += 1;
        of_type.insert(SharedText::clone(name), Entry { ticket: self.tickets, value });
        Ok(self.tickets)
    }

    fn take(&mut self, kind: TypeId, name: &str, is_meant: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let of_type = self.entries.get_mut(&kind)?;
        if !is_meant(of_type.get(name)?) {
            return None;
        }
        let taken = of_type.remove(name);
        if of_type.is_empty() {
            self.entries.remove(&kind);
        }
        taken
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        let taken = lock(&TABLE).take(self.kind, &self.name, |entry| entry.ticket == self.ticket);
        // Outside of the lock, and a panic in it ends here: whoever drops this may be in the midst of one.
        drop_contained(taken);
    }
}

impl fmt::Debug for NameEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NameEntry").field(&self.name).finish()
    }
}
