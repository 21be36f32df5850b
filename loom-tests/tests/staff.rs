//! Who hands jobs to a pool, and its workers that come and go.
mod support;

use std::collections::VecDeque;
use std::sync::Arc;

use bridge::{Handing, Staff};
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::sync::{Arc as Value, Mutex};
use loom::thread;
use support::{join_all, model};

/// A queue as a channel is one.
struct Pool {
    staff: Staff,
    jobs: Mutex<VecDeque<Value<()>>>,
    done: Mutex<usize>,
}

impl Pool {
    fn new(most: u32) -> Arc<Self> {
        let (jobs, done) = (Mutex::default(), Mutex::new(0));
        Arc::new(Self { staff: Staff::new(most), jobs, done })
    }

    fn push(&self) {
        self.jobs.lock().unwrap().push_back(Value::new(()));
    }

    /// Hands a job in, and does the worker's life if one is to be started.
    fn submit(&self) {
        let handing = self.staff.hand_in();
        self.push();
        if handing == Handing::Hire {
            self.work();
        }
    }

    /// A worker's life. It waits for no time at all.
    fn work(&self) {
        loop {
            let job = self.jobs.lock().unwrap().pop_front();
            if job.is_some() {
                *self.done.lock().unwrap() += 1;
                self.staff.finish();
            } else if self.staff.leave() {
                return;
            } else {
                thread::yield_now();
            }
        }
    }

    fn done(&self) -> usize {
        assert!(self.jobs.lock().unwrap().is_empty(), "a job was left without a worker");
        *self.done.lock().unwrap()
    }
}

/// The worker has waited for long, and leaves as a job is handed in: it stays, or another one is started.
#[test]
fn a_job_against_a_worker_that_leaves_is_done() {
    model(3, || {
        let pool = Pool::new(1);
        let worker = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.submit()
        });
        pool.submit();
        worker.join().unwrap();
        assert_eq!(pool.done(), 2);
    });
}

/// Two hand jobs in at once, to a pool whose worker is about to leave.
#[test]
fn two_jobs_against_a_worker_that_leaves_are_done() {
    model(2, || {
        let pool = Pool::new(2);
        let submit = |pool: &Arc<Pool>| {
            let pool = Arc::clone(pool);
            thread::spawn(move || pool.submit())
        };
        let others = [submit(&pool), submit(&pool)];
        pool.submit();
        join_all(others);
        assert_eq!(pool.done(), 3);
    });
}

/// One worker is free, and two jobs come: the second one has another worker started.
#[test]
fn of_two_jobs_one_counts_on_the_worker_that_is_free() {
    model(3, || {
        let pool = Pool::new(2);
        assert_eq!(pool.staff.hand_in(), Handing::Hire);
        pool.staff.finish();
        let other = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.staff.hand_in()
        });
        let (mine, other) = (pool.staff.hand_in(), other.join().unwrap());
        assert!(matches!(
            (mine, other),
            (Handing::Counted, Handing::Hire) | (Handing::Hire, Handing::Counted)
        ));
    });
}

/// Two jobs come, and the system refuses the thread that both count on: neither stays in the queue.
#[test]
fn a_job_against_a_worker_that_cannot_be_started_is_dropped() {
    model(3, || {
        let pool = Pool::new(1);
        let other = thread::spawn({
            let pool = Arc::clone(&pool);
            move || submit_in_vain(&pool)
        });
        submit_in_vain(&pool);
        other.join().unwrap();
        assert_eq!(pool.done(), 0);
        assert_eq!(pool.staff.hand_in(), Handing::Hire, "the count is as it was");
        pool.staff.finish();
        assert!(pool.staff.leave());
    });
}

/// As above, with a queue that orders nothing by itself: who finds that a job is nobody's finds the job as well, by the word
/// alone.
#[test]
fn a_job_that_is_nobodys_is_seen_by_who_finds_that() {
    model(3, || {
        let pool = Arc::new((Staff::new(1), AtomicBool::new(false)));
        assert_eq!(pool.0.hand_in(), Handing::Hire);
        let other = thread::spawn({
            let pool = Arc::clone(&pool);
            move || {
                if pool.0.hand_in() == Handing::Hire {
                    assert!(!pool.0.hire_failed(), "there is no other worker");
                    return;
                }
                pool.1.store(true, Relaxed);
                if pool.0.take_orphan() {
                    pool.1.store(false, Relaxed);
                }
            }
        });
        assert!(!pool.0.hire_failed(), "there is no other worker");
        while pool.0.take_orphan() {
            if pool.1.load(Relaxed) {
                pool.1.store(false, Relaxed);
                continue;
            }
            pool.0.leave_orphan();
            if !pool.1.load(Relaxed) {
                break;
            }
        }
        other.join().unwrap();
        assert!(!pool.1.load(Relaxed), "a job was left without a worker");
    });
}

/// As the runtime does it when no thread can be started.
fn submit_in_vain(pool: &Pool) {
    if pool.staff.hand_in() == Handing::Hire && !pool.staff.hire_failed() {
        return drop_orphans(pool);
    }
    pool.push();
    drop_orphans(pool);
}

fn drop_orphans(pool: &Pool) {
    while pool.staff.take_orphan() {
        let job = pool.jobs.lock().unwrap().pop_front();
        if job.is_none() {
            pool.staff.leave_orphan();
            if pool.jobs.lock().unwrap().is_empty() {
                return;
            }
        }
    }
}
