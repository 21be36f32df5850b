//! [`Roster`]: who sits where, for readers that take no lock, and whose seats are given anew now and then.
//!
//! Each seat is one pointer to its latest generation, which points to the one before. Nothing is freed before the roster
//! is, so that what a reader has found stays where it is. Who gives a seat anew holds a lock, by which the roster is closed,
//! too: after that nothing changes any more.

use std::fmt;
use std::ptr;

use crate::core::Apart;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering, lock};

/// A number of seats, for any thread: to look one up costs a load. For runtime writers: a group of loops is one.
///
/// # Examples
/// ```
/// use perloop_bridge::Roster;
///
/// let roster = Roster::new(["first", "second"]);
/// assert_eq!([roster.next(), roster.next(), roster.next()], [0, 1, 0]);
/// roster.replace(1, "third").expect("it is not closed");
/// assert_eq!((roster.get(1), roster.generation(1)), (Some(&"third"), Some(1)));
/// ```
pub struct Roster<T> {
    seats: Box<[AtomicPtr<Generation<T>>]>,
    /// Counts those who ask for the next seat.
    asked: Apart<AtomicUsize>,
    is_closed: Mutex<bool>,
}

struct Generation<T> {
    value: T,
    number: u64,
    before: *mut Self,
}

// SAFETY: it owns its generations, which go with it.
unsafe impl<T: Send + Sync> Send for Roster<T> {}
// SAFETY: other threads look at the values and add some, and drop none.
unsafe impl<T: Send + Sync> Sync for Roster<T> {}

impl<T> Roster<T> {
    /// Gives each value a seat, in their order.
    ///
    /// # Panics
    /// If there are none.
    ///
    /// # Examples
    /// ```
    /// let roster = perloop_bridge::Roster::new(["first", "second"]);
    /// assert_eq!((roster.len(), roster.get(0), roster.get(2)), (2, Some(&"first"), None));
    /// ```
    pub fn new(values: impl IntoIterator<Item = T>) -> Self {
        let seat = |value| AtomicPtr::new(Generation::first(value, ptr::null_mut()));
        let seats: Box<[_]> = values.into_iter().map(seat).collect();
        assert!(!seats.is_empty(), "a roster has a seat");
        Self { seats, asked: Apart::new(AtomicUsize::new(0)), is_closed: Mutex::new(false) }
    }

    /// Returns how many seats there are.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop_bridge::Roster::new([1, 2, 3]).len(), 3);
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    #[inline]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Returns who sits there now. It may be another one by the time that you look.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(perloop_bridge::Roster::new([42]).get(0), Some(&42));
    /// ```
    #[inline]
    pub fn get(&self, seat: usize) -> Option<&T> {
        self.latest(seat).map(|latest| &latest.value)
    }

    /// Returns how often the seat was given anew.
    ///
    /// # Examples
    /// ```
    /// let roster = perloop_bridge::Roster::new([42]);
    /// assert_eq!((roster.generation(0), roster.generation(1)), (Some(0), None));
    /// ```
    pub fn generation(&self, seat: usize) -> Option<u64> {
        self.latest(seat).map(|latest| latest.number)
    }

    /// Returns one seat after the other, whoever asks, and after the last one the first again.
    ///
    /// # Examples
    /// ```
    /// let roster = perloop_bridge::Roster::new(["first", "second"]);
    /// assert_eq!([roster.next(), roster.next(), roster.next()], [0, 1, 0]);
    /// ```
    #[inline]
    pub fn next(&self) -> usize {
        // ORDERING: Relaxed; only that each asker gets another number matters, and a read-modify-write gives that.
        self.asked.fetch_add(1, Ordering::Relaxed) % self.seats.len()
    }

    /// Gives a seat anew.
    ///
    /// # Errors
    /// If the roster is closed; the value comes back.
    ///
    /// # Panics
    /// If there is no such seat.
    ///
    /// # Examples
    /// ```
    /// let roster = perloop_bridge::Roster::new([1]);
    /// let (first, replaced) = (roster.get(0), roster.replace(0, 2));
    /// assert_eq!((first, replaced, roster.get(0)), (Some(&1), Ok(()), Some(&2)));
    /// roster.close();
    /// assert_eq!(roster.replace(0, 3), Err(3));
    /// ```
    pub fn replace(&self, seat: usize, value: T) -> Result<(), T> {
        let is_closed = lock(&self.is_closed);
        if *is_closed {
            return Err(value);
        }
        // ORDERING: Relaxed; it is changed under the lock only, which we hold.
        let before = self.seats[seat].load(Ordering::Relaxed);
        let new = Generation::first(value, before);
        // SAFETY: the one before lives as long as the roster.
        let number = unsafe { &*before }.number + 1;
        // SAFETY: nobody else has seen it yet.
        unsafe { &mut *new }.number = number;
        // ORDERING: Release pairs with the Acquire of `latest`: it is whole before it is seen.
        self.seats[seat].store(new, Ordering::Release);
        Ok(())
    }

    /// From now on no seat is given anew. True: it was not closed before.
    ///
    /// # Examples
    /// ```
    /// let roster = perloop_bridge::Roster::new([1]);
    /// assert!(roster.close() && !roster.close());
    /// ```
    pub fn close(&self) -> bool {
        !std::mem::replace(&mut *lock(&self.is_closed), true)
    }

    #[inline]
    fn latest(&self, seat: usize) -> Option<&Generation<T>> {
        // ORDERING: Acquire pairs with the Release of `replace`.
        let latest = self.seats.get(seat)?.load(Ordering::Acquire);
        // SAFETY: what was once put there lives as long as the roster.
        Some(unsafe { &*latest })
    }
}

impl<T> Generation<T> {
    fn first(value: T, before: *mut Self) -> *mut Self {
        Box::into_raw(Box::new(Self { value, number: 0, before }))
    }
}

impl<T> Drop for Roster<T> {
    fn drop(&mut self) {
        for seat in &self.seats {
            // ORDERING: Relaxed; nobody else has the roster any more.
            let mut next = seat.load(Ordering::Relaxed);
            while !next.is_null() {
                // SAFETY: it was made as a Box, and is in one list, which is taken apart here.
                let generation = unsafe { Box::from_raw(next) };
                next = generation.before;
                crate::foreign::drop_contained(generation.value);
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Roster<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.len()).map(|seat| self.get(seat))).finish()
    }
}
