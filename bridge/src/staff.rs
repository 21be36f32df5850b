//! [`Staff`]: how many workers a pool has, and how many of them are free.
//!
//! One word: the *workers*, and the *balance*, which is how many of them are free (they do no job) less the jobs that
//! were handed in and that nobody has begun. So who hands a job in learns, in one step, whether somebody is free for it
//! or another worker is to be started; and a worker that has waited for long leaves only if nobody counts on it. The
//! jobs themselves go another way, a channel.

use std::fmt;

use crate::sync::{AtomicU64, Ordering};

/// What those who hand jobs to a pool and its workers agree on, as the comment at the head of the file says. For runtime
/// writers.
///
/// # Examples
/// ```
/// use perloop_bridge::{Handing, Staff};
///
/// let staff = Staff::new(1);
/// assert_eq!(staff.hand_in(), Handing::Hire); // and the job is put into the queue
/// assert_eq!(staff.hand_in(), Handing::Queued);
/// for _ in 0..2 {
///     assert!(!staff.leave()); // there are jobs
///     staff.finish();
/// }
/// assert!(staff.leave());
/// ```
pub struct Staff {
    word: AtomicU64,
    most: u32,
}

/// Who will do a job that is handed in.
///
/// # Examples
/// ```
/// use perloop_bridge::{Handing, Staff};
///
/// let staff = Staff::new(8);
/// assert_eq!(staff.hand_in(), Handing::Hire);
/// staff.finish();
/// assert_eq!(staff.hand_in(), Handing::Counted);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handing {
    /// One that is free.
    Counted,
    /// A worker that the caller is to start, and that is counted already.
    Hire,
    /// The next one that becomes free: all are busy, and there are no more.
    Queued,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    workers: u32,
    balance: i32,
}

impl Count {
    fn of(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        Self { workers: u32::from_le_bytes([a, b, c, d]), balance: i32::from_le_bytes([e, f, g, h]) }
    }

    fn word(self) -> u64 {
        let ([a, b, c, d], [e, f, g, h]) = (self.workers.to_le_bytes(), self.balance.to_le_bytes());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Staff {
    /// Makes one without workers, of which there may be at `most` so many.
    ///
    /// # Examples
    /// ```
    /// let staff = perloop_bridge::Staff::new(1);
    /// assert!(!staff.leave()); // there is nobody
    /// ```
    pub fn new(most: u32) -> Self {
        Self { word: AtomicU64::new(Count { workers: 0, balance: 0 }.word()), most }
    }

    /// A job is handed in: the caller puts it into the queue next.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Handing, Staff};
    ///
    /// assert_eq!(Staff::new(1).hand_in(), Handing::Hire);
    /// ```
    pub fn hand_in(&self) -> Handing {
        let old = self.change(|now| {
            let Count { workers, balance } = now;
            if balance <= 0 && workers < self.most {
                // The worker is free, and the job is its.
                Count { workers: workers + 1, balance }
            } else {
                let balance = balance.checked_sub(1).expect("fewer than 2^31 jobs wait");
                Count { workers, balance }
            }
        });
        match old {
            Count { balance: 1.., .. } => Handing::Counted,
            Count { workers, .. } if workers < self.most => Handing::Hire,
            _ => Handing::Queued,
        }
    }

    /// The worker that was counted could not be started. False: there is none at all, and the job is not handed in.
    ///
    /// # Examples
    /// ```
    /// use perloop_bridge::{Handing, Staff};
    ///
    /// let staff = Staff::new(1);
    /// assert_eq!(staff.hand_in(), Handing::Hire);
    /// assert!(!staff.hire_failed());
    /// assert_eq!(staff.hand_in(), Handing::Hire);
    /// ```
    pub fn hire_failed(&self) -> bool {
        let old = self.change(|now| match now.workers {
            1 => Count { workers: 0, ..now },
            workers => Count { workers: workers - 1, balance: now.balance - 1 },
        });
        old.workers > 1
    }

    /// Is there a job that nobody will do, as there is no worker? Then the caller takes one out of the queue and drops it,
    /// and asks again. So asks who could start none, and who has put a job into the queue for the
    /// [next](Handing::Queued) that is free: one of the two finds it.
    ///
    /// # Examples
    /// ```
    /// let staff = perloop_bridge::Staff::new(1);
    /// staff.hand_in(); // a worker is to be started
    /// staff.hand_in(); // another job counts on it
    /// assert!(!staff.hire_failed());
    /// assert!(staff.take_orphan() && !staff.take_orphan());
    /// ```
    pub fn take_orphan(&self) -> bool {
        let is_orphan = |now: Count| now.workers == 0 && now.balance < 0;
        let old = self.change(|now| match now {
            Count { workers: 0, balance: balance @ ..0 } => Count { workers: 0, balance: balance + 1 },
            // A change of nothing: only those have an order with others' changes.
            _ => now,
        });
        is_orphan(old)
    }

    /// It was not in the queue yet: who puts it there will ask in turn, or has done so by now, and then it is there.
    ///
    /// # Examples
    /// ```
    /// let staff = perloop_bridge::Staff::new(1);
    /// staff.hand_in();
    /// staff.hand_in();
    /// staff.hire_failed();
    /// assert!(staff.take_orphan());
    /// staff.leave_orphan();
    /// assert!(staff.take_orphan());
    /// ```
    pub fn leave_orphan(&self) {
        self.change(|now| Count { balance: now.balance - 1, ..now });
    }

    /// A worker has done a job, and is free.
    ///
    /// # Examples
    /// ```
    /// let staff = perloop_bridge::Staff::new(1);
    /// staff.hand_in();
    /// staff.finish();
    /// assert!(staff.leave());
    /// ```
    pub fn finish(&self) {
        self.change(|now| Count { balance: now.balance + 1, ..now });
    }

    /// A worker that is free would leave. False: somebody counts on it, and its job is in the queue or will be.
    ///
    /// # Examples
    /// ```
    /// let staff = perloop_bridge::Staff::new(1);
    /// staff.hand_in();
    /// assert!(!staff.leave());
    /// ```
    pub fn leave(&self) -> bool {
        let old = self.change(|now| match now {
            Count { workers, balance: balance @ 1.. } => Count { workers: workers - 1, balance: balance - 1 },
            _ => now,
        });
        old.balance > 0
    }

    /// Gives the count as it was before.
    fn change(&self, change: impl Fn(Count) -> Count) -> Count {
        // ORDERING: Relaxed; whatever it is, the exchange fails if it is not so any more.
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let new = change(Count::of(old)).word();
            // ORDERING: AcqRel pairs with itself: who finds an orphan sees the jobs that were put into the queue before
            // the last change. On failure Relaxed, as above.
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Count::of(old),
                Err(now) => old = now,
            }
        }
    }
}

impl fmt::Debug for Staff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ORDERING: Relaxed; it is out of date at once.
        let Count { workers, balance } = Count::of(self.word.load(Ordering::Relaxed));
        f.debug_struct("Staff").field("workers", &workers).field("balance", &balance).finish()
    }
}
