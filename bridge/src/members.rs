//! [`Members`]: a list that changes now and then, and is read all the time.
//!
//! Each reader keeps a copy of its own, which is shared and never changes, and the number of the change that made it. So to
//! read costs a look at one word, and the lock is taken by who changes the list, and after that once by each reader.

use std::fmt;
use std::ops::Deref;

use crate::foreign::drop_contained;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};

/// A list, for any thread. Clones are of the same list. For runtime writers: the members of the runtime's `Router` are one.
///
/// # Examples
/// ```
/// use perloop_bridge::Members;
///
/// let members = Members::new(vec!["first"]);
/// let mut seen = members.look();
/// members.change(|list| list.push("second"));
/// assert_eq!(*seen, ["first"]);
/// members.refresh(&mut seen);
/// assert_eq!(*seen, ["first", "second"]);
/// ```
pub struct Members<T>(Arc<Shared<T>>);

struct Shared<T> {
    list: Mutex<Seen<T>>,
    /// The list's number, for who only wants to know whether there is another one.
    latest: AtomicUsize,
    /// Counts those who ask for the next one.
    asked: AtomicUsize,
}

/// The [`Members`] as they were at some time.
///
/// # Examples
/// See [`Members`].
pub struct Seen<T> {
    list: Arc<Vec<T>>,
    number: usize,
}

impl<T: Clone> Members<T> {
    /// Begins with these.
    ///
    /// # Examples
    /// See [`Members`].
    pub fn new(list: Vec<T>) -> Self {
        let list = Mutex::new(Seen { list: Arc::new(list), number: 0 });
        Self(Arc::new(Shared { list, latest: AtomicUsize::new(0), asked: AtomicUsize::new(0) }))
    }

    /// Gives the list as it is now.
    ///
    /// # Examples
    /// See [`Members`].
    pub fn look(&self) -> Seen<T> {
        lock(&self.0.list).clone()
    }

    /// Gives the list as it is now, if it has changed since.
    ///
    /// # Examples
    /// See [`Members`].
    #[inline]
    pub fn refresh(&self, seen: &mut Seen<T>) {
        // ORDERING: Relaxed; the list itself is taken under the lock. Who was told of a change sees its number, as it was
        // written before that.
        if self.0.latest.load(Ordering::Relaxed) != seen.number {
            // What was seen before may be the last of its list. Its destructors run here, without the lock.
            *seen = self.look();
        }
    }

    /// Changes the list. `change` runs under the lock: it is to be short, and to drop nothing, but give it back.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::Members;
    ///
    /// let members = Members::new(vec![1, 2, 3]);
    /// let removed = members.change(|list| list.swap_remove(0));
    /// assert_eq!((removed, &*members.look()), (1, &[3, 2][..]));
    /// ```
    pub fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut current = lock(&self.0.list);
        let mut list = Vec::clone(&current.list);
        let result = change(&mut list);
        let number = current.number.wrapping_add(1);
        let before = std::mem::replace(&mut *current, Seen { list: Arc::new(list), number });
        // ORDERING: Relaxed; see `refresh`.
        self.0.latest.store(number, Ordering::Relaxed);
        drop(current);
        drop_contained(before);
        result
    }

    /// Returns one number after the other, whoever asks.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::Members;
    ///
    /// let members = Members::new(vec!["first"]);
    /// assert_eq!((members.next(), members.clone().next(), members.next()), (0, 1, 2));
    /// ```
    #[inline]
    pub fn next(&self) -> usize {
        // ORDERING: Relaxed; only that each asker gets another number matters, and a read-modify-write gives that.
        self.0.asked.fetch_add(1, Ordering::Relaxed)
    }
}

impl<T> Deref for Seen<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.list
    }
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { list: Arc::clone(&self.list), number: self.number }
    }
}

impl<T> Clone for Members<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Seen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Members<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = lock(&self.0.list).clone();
        f.debug_tuple("Members").field(&seen).finish()
    }
}
