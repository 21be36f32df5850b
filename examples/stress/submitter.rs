//! What a submitter does with a submission: one function for each deed, from the loop's taking it to its end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use perloop::{
    AnyFuture, CrossThreadFuture, Deliver, FutureError, Promise, ReturnWhen, run_coroutine_threadsafe,
    threads,
};

use crate::bodies::{
    Bomb, Pace, announced, awaiting, blocking, borrowing, catching, endless, explosive, lending, local,
    panicking, parent, quick, woken,
};
use crate::book::{Book, Tally};
use crate::deeds::Deed;
use crate::dice::Dice;
use crate::ledger::{Claim, MEANT, Product, Work};
use crate::lives::{Life, Place};
use crate::strangers::Errand;
use crate::watchdog::Post;
use crate::word::End;

/// Something that was handed in, and who is to hear of its end.
struct Submission {
    claim: Claim,
    future: CrossThreadFuture<Product>,
}

impl Submission {
    fn settle(self) {
        let outcome = self.future.result();
        self.claim.hear(outcome);
    }
}

/// What a submitter leaves: its part of the ledger, and how long the longest of its deeds took.
pub(crate) struct Legacy {
    book: Book,
    left: Vec<(Arc<Life>, Submission)>,
    pub(crate) longest: (Duration, Deed),
}

impl Legacy {
    /// Once all loops have ended: hears what became of the rest, which never blocks then.
    pub(crate) fn hear_the_rest(&mut self) {
        self.left.drain(..).for_each(|(_, submission)| submission.settle());
    }

    /// Once nothing is left that could hold a token.
    pub(crate) fn close(self) -> Tally {
        self.book.close()
    }
}

/// A thread that owns no loop, and hands work to those of others.
pub(crate) struct Submitter {
    pub(crate) dice: Dice,
    pub(crate) book: Book,
    pub(crate) post: Arc<Post>,
    pub(crate) places: Vec<Arc<Place>>,
    pub(crate) strangers: Vec<Sender<Errand>>,
    /// The loops as it saw them last.
    pub(crate) lives: Vec<Arc<Life>>,
    left: Vec<(Arc<Life>, Submission)>,
}

impl Submitter {
    pub(crate) fn new(
        (dice, book, post): (Dice, Book, Arc<Post>),
        places: Vec<Arc<Place>>,
        strangers: Vec<Sender<Errand>>,
    ) -> Self {
        let lives = places.iter().map(|place| place.life()).collect();
        Self { dice, book, post, places, strangers, lives, left: Vec::new() }
    }

    /// Does deeds, one after the other.
    pub(crate) fn work(mut self, until: Instant, mut deeds: u64, only: Option<Deed>) -> Legacy {
        let mut longest = (Duration::ZERO, Deed::Wait);
        let mut now = Instant::now();
        while now < until && deeds > 0 {
            deeds -= 1;
            let deed = only.unwrap_or_else(|| Deed::draw(&mut self.dice));
            self.post.begin(deed as usize);
            self.act(deed);
            let begun = std::mem::replace(&mut now, Instant::now());
            longest = longest.max((now - begun, deed));
        }
        self.post.rest();
        Legacy { book: self.book, left: self.left, longest }
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Wait | Deed::Inner => self.submit_quick(deed).settle(),
            Deed::Batch => self.batch(),
            Deed::Unread => self.unread(),
            Deed::Detach => drop(self.submit_quick(deed)),
            Deed::CancelEarly => self.cancel_early(),
            Deed::CancelRunning => self.cancel_running(),
            Deed::CancelLate => self.cancel_late(),
            Deed::CancelElsewhere => self.cancel_elsewhere(),
            Deed::Catch => self.catch(),
            Deed::Panic => self.panic(),
            Deed::PanicInDrop => self.panic_in_drop(),
            Deed::Try => self.try_form(),
            Deed::Left => self.leave(),
            Deed::Callbacks => self.callbacks(),
            Deed::Deliver => self.deliver(),
            Deed::Await | Deed::Block | Deed::BlockLending => self.between_loops(deed),
            Deed::Timeout => self.timeout(),
            Deed::Wakers => self.wakers(),
            Deed::Call => self.call(),
            Deed::Lend => self.lend(),
            Deed::Scope => self.scope(),
            Deed::Local | Deed::Children => self.made_at_home(deed),
            Deed::Several => self.several(),
            Deed::Poll => self.poll(),
            Deed::Promise => self.promise(),
        }
    }

    /// A loop to hand work to: often one that has ended meanwhile.
    fn life(&mut self) -> Arc<Life> {
        let index = self.dice.index(self.places.len());
        if self.dice.one_in(4) {
            self.lives[index] = self.places[index].life();
        }
        self.lives[index].count_use();
        Arc::clone(&self.lives[index])
    }

    fn stranger(&mut self) -> Sender<Errand> {
        self.strangers[self.dice.index(self.strangers.len())].clone()
    }

    fn ask(&mut self, errand: Errand) {
        self.stranger().send(errand).expect("strangers outlive the submitters");
    }

    fn pace(&mut self) -> Pace {
        Pace::of(&mut self.dice)
    }

    fn submit<F>(&mut self, deed: Deed, body: impl FnOnce(Work) -> F) -> Submission
    where
        F: Future<Output = Product> + Send + 'static,
    {
        let claim = self.book.open(deed);
        let work = claim.work();
        let future = run_coroutine_threadsafe(body(work), &self.life().handle);
        Submission { claim, future }
    }

    fn submit_quick(&mut self, deed: Deed) -> Submission {
        let pace = self.pace();
        self.submit(deed, |work| quick(work, pace))
    }

    fn batch(&mut self) {
        let count = 2 + self.dice.below(30);
        let batch: Vec<_> = (0..count).map(|_| self.submit_quick(Deed::Batch)).collect();
        batch.into_iter().for_each(Submission::settle);
    }

    /// The value goes with the future, or after it.
    fn unread(&mut self) {
        let Submission { claim, future } = self.submit_quick(Deed::Unread);
        if let Ok(panicked) = future.exception() {
            claim.check(panicked.is_none(), "there is a value");
        }
        drop((future, claim));
    }

    fn cancel_early(&mut self) {
        let Submission { claim, future } = self.submit_quick(Deed::CancelEarly);
        let cancelled = future.cancel();
        let outcome = future.result();
        claim.check(!cancelled || matches!(outcome, Err(FutureError::Cancelled)), "cancelled is cancelled");
        claim.hear(outcome);
    }

    /// Hands a body in that says when it has begun, and waits for that. False: it never will.
    fn submit_begun<F>(&mut self, deed: Deed, body: impl FnOnce(Work, Promise<()>) -> F) -> (Submission, bool)
    where
        F: Future<Output = Product> + Send + 'static,
    {
        let (promise, begun) = Promise::new();
        let submission = self.submit(deed, |work| body(work, promise));
        (submission, begun.result().is_ok())
    }

    fn cancel_running(&mut self) {
        let (submission, begun) = self.submit_begun(Deed::CancelRunning, announced);
        let Submission { claim, future } = submission;
        if self.dice.one_in(2) {
            claim.check(future.cancel() || future.done(), "what runs can be cancelled");
        } else {
            let cancelled = future.cancel_and_wait();
            claim.check(cancelled.is_ok() && claim.is_body_gone(), "the destructors have run");
        }
        let outcome = future.result();
        claim.check(outcome.is_err(), "there is no value");
        claim.check(begun || !matches!(outcome, Err(FutureError::Panicked(_))), "it has not panicked");
        claim.hear(outcome);
    }

    fn cancel_late(&mut self) {
        let Submission { claim, future } = self.submit_quick(Deed::CancelLate);
        let outcome = future.result();
        claim.check(outcome.is_err() || !future.cancel(), "it is too late to cancel");
        claim.hear(outcome);
    }

    /// A stranger cancels, watches, or takes the value away.
    fn cancel_elsewhere(&mut self) {
        let (pace, how) = (self.pace(), self.dice.below(4));
        let Submission { claim, future } = match how {
            0 => self.submit(Deed::CancelElsewhere, endless),
            _ => self.submit(Deed::CancelElsewhere, |work| quick(work, pace)),
        };
        let future = Arc::new(future);
        let shared = Arc::clone(&future);
        self.ask(match how {
            0 | 1 => Errand::Cancel(shared),
            2 => Errand::Watch(shared, claim.callback()),
            _ => Errand::Take(shared),
        });
        claim.hear(future.result());
    }

    fn catch(&mut self) {
        let goes_on = self.dice.one_in(2);
        let (submission, _) = self.submit_begun(Deed::Catch, |work, begun| catching(work, begun, goes_on));
        let Submission { claim, future } = submission;
        if self.dice.one_in(2) {
            future.cancel();
        }
        claim.check(future.cancel_and_wait().is_ok() && claim.is_body_gone(), "the clean-up is over");
        claim.hear(future.result());
    }

    fn panic(&mut self) {
        let (pace, with_bomb) = (self.pace(), self.dice.one_in(2));
        let submission = self.submit(Deed::Panic, |work| panicking(work, pace, with_bomb));
        if self.dice.one_in(4) { drop(submission) } else { submission.settle() }
    }

    fn panic_in_drop(&mut self) {
        let pace = self.pace();
        let submission = self.submit(Deed::PanicInDrop, |work| explosive(work, pace));
        if self.dice.one_in(2) {
            let waited = submission.future.cancel_and_wait();
            submission.claim.check(waited.is_ok() && submission.claim.is_body_gone(), "the body is gone");
        }
        submission.settle();
    }

    /// What is refused comes back whole, and can be handed in elsewhere.
    fn try_form(&mut self) {
        let (pace, claim) = (self.pace(), self.book.open(Deed::Try));
        let refused = match self.life().handle.try_submit(quick(claim.work(), pace)) {
            Ok(future) => return Submission { claim, future }.settle(),
            Err(refused) => refused.into_inner(),
        };
        claim.check(!claim.is_body_gone(), "the body is back");
        if self.dice.one_in(2) {
            drop(refused);
            return claim.tell(End::Refused);
        }
        let future = run_coroutine_threadsafe(refused, &self.life().handle);
        Submission { claim, future }.settle();
    }

    /// A body that does not end, but with its loop. Then it is asked for.
    fn leave(&mut self) {
        let (claim, life) = (self.book.open(Deed::Left), self.life());
        let future = run_coroutine_threadsafe(endless(claim.work()), &life.handle);
        self.left.push((life, Submission { claim, future }));
        let (ended, left): (Vec<_>, _) =
            std::mem::take(&mut self.left).into_iter().partition(|(life, _)| life.handle.is_closed());
        self.left = left;
        ended.into_iter().for_each(|(_, submission)| submission.settle());
    }

    /// Some are told of the end, one panics, one hears the outcome; in the loop's thread or in this.
    fn callbacks(&mut self) {
        let Submission { claim, future } = self.submit_quick(Deed::Callbacks);
        let (first, second, third) = (claim.callback(), claim.callback(), claim.callback());
        future.add_done_callback(move |_| first.call());
        let with_bomb = self.dice.one_in(2);
        future.add_done_callback(move |_| {
            second.call();
            if with_bomb { resume_unwind(Box::new(Bomb)) } else { resume_unwind(Box::new(MEANT)) }
        });
        if self.dice.one_in(2) {
            claim.check(future.exception().is_err() || future.done(), "it is done");
        }
        future.add_done_callback(move |future| {
            third.call();
            claim.hear(future.try_result().unwrap_or(Err(FutureError::TimedOut)));
        });
    }

    fn deliver(&mut self) {
        let room = if self.dice.one_in(8) { 1 } else { 4 };
        let (sender, outcomes) = crossbeam_channel::bounded(room);
        for _ in 0..2 {
            let Submission { claim, future } = self.submit_quick(Deed::Deliver);
            future.deliver(&sender, |outcome| (claim, outcome));
        }
        drop(sender);
        outcomes.iter().for_each(|(claim, outcome)| claim.hear(outcome));
    }

    /// A body on one loop awaits, or blocks on, a body on another one.
    fn between_loops(&mut self, deed: Deed) {
        let (inner, on, pace) = (self.book.open(Deed::Inner), self.life(), self.pace());
        let work = inner.work();
        let inner = (inner, work, pace);
        let submission = match deed {
            Deed::Block => self.submit(deed, |work| blocking(work, inner, on)),
            Deed::BlockLending => self.submit(deed, |work| lending(work, inner, on)),
            _ => self.submit(deed, |work| awaiting(work, inner, on)),
        };
        if self.dice.one_in(4) {
            // While it awaits: then the other one is cancelled too.
            let waited = submission.future.result_timeout(self.dice.micros(100));
            match waited {
                Err(FutureError::TimedOut) => drop(submission.future.cancel_and_wait()),
                outcome => return submission.claim.hear(outcome),
            }
        }
        submission.settle();
    }

    fn timeout(&mut self) {
        let submission = self.submit_quick(Deed::Timeout);
        match submission.future.result_timeout(self.dice.micros(50)) {
            Err(FutureError::TimedOut) => {}
            outcome => return submission.claim.hear(outcome),
        }
        match self.dice.below(4) {
            0 => drop(submission),
            1 => {
                submission.future.cancel();
                submission.settle();
            }
            2 => {
                let waited = submission.future.cancel_and_wait();
                submission.claim.check(waited.is_ok() && submission.claim.is_body_gone(), "the body is gone");
                submission.settle();
            }
            _ => submission.settle(),
        }
    }

    fn wakers(&mut self) {
        let (times, strangers) = (1 + self.dice.below(7), self.stranger());
        let submission = self.submit(Deed::Wakers, |work| woken(work, times, strangers));
        if self.dice.one_in(4) {
            submission.future.cancel();
        }
        submission.settle();
    }

    /// A callback for the loop. If the loop does not take it, it comes back whole, and is called here.
    fn call(&mut self) {
        let (claim, life, panics) = (self.book.open(Deed::Call), self.life(), self.dice.one_in(4));
        let (callback, on) = (claim.callback(), Arc::clone(&life));
        let call = move || {
            if !on.handle.is_home() {
                return claim.tell(End::Refused);
            }
            callback.call();
            claim.tell(End::Completed);
            if panics {
                resume_unwind(Box::new(MEANT));
            }
        };
        if let Err(refused) = life.handle.call_soon_threadsafe(call) {
            refused.into_inner()();
        }
    }

    fn lend(&mut self) {
        let (claim, life, pace) = (self.book.open(Deed::Lend), self.life(), self.pace());
        let mut lent = 0;
        let outcome = life.handle.block_on(borrowing(claim.work(), pace, &mut lent));
        claim.check(claim.is_body_gone() && (outcome.is_err() || lent == 1), "what was lent is back");
        claim.hear(outcome);
    }

    /// Several bodies write to this thread's stack. One may be cancelled, and the scope may panic.
    fn scope(&mut self) {
        let (life, mut lent) = (self.life(), [0; 3]);
        let claims = lent.map(|_| self.book.open(Deed::Scope));
        let accounts = claims.each_ref().map(Claim::account);
        let jobs = claims.map(|claim| (claim.work(), claim, self.pace()));
        let (cancels, panics, reads) = (self.dice.one_in(4), self.dice.one_in(8), !self.dice.one_in(4));
        let scoped = catch_unwind(AssertUnwindSafe(|| {
            life.handle.scope(|scope| {
                let hand_in =
                    |((work, claim, pace), lent)| (scope.submit(borrowing(work, pace, lent)), claim);
                let parts: Vec<_> = jobs.into_iter().zip(&mut lent).map(hand_in).collect();
                if cancels {
                    parts[1].0.cancel();
                }
                if panics {
                    resume_unwind(Box::new(MEANT));
                }
                let parts = parts.into_iter().filter(|_| reads);
                parts.for_each(|(part, claim)| claim.hear(part.result()));
            })
        }));
        let all_back =
            lent.iter().all(|lent| *lent < 2) && accounts.iter().all(|account| account.is_body_gone());
        accounts[0].check(all_back, "what was lent is back");
        accounts[0].check(scoped.is_err() == panics, "the scope panics on purpose or not at all");
    }

    /// Made on the loop, as it may not leave its thread.
    fn made_at_home(&mut self, deed: Deed) {
        let (claim, pace, on) = (self.book.open(deed), self.pace(), self.life());
        let work = claim.work();
        let future = match deed {
            Deed::Local => on.handle.run_with(move || local(work, pace)),
            _ => on.handle.run_with(move || parent(work, pace)),
        };
        if self.dice.one_in(4) {
            future.cancel();
        }
        Submission { claim, future }.settle();
    }

    fn several(&mut self) {
        let count = 2 + self.dice.index(5);
        let submissions: Vec<_> = (0..count).map(|_| self.submit_quick(Deed::Several)).collect();
        let futures: Vec<&dyn AnyFuture> = submissions.iter().map(|each| &each.future as _).collect();
        let timeout = self.dice.one_in(4).then(|| self.dice.micros(100));
        let when = [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted, ReturnWhen::FirstException];
        let is_right = match self.dice.index(4) {
            3 => as_completed_is_right(&futures, timeout),
            index => threads::wait(&futures, when[index], timeout).is_ok_and(|found| {
                let enough = if when[index] == ReturnWhen::AllCompleted { count } else { 1 };
                found.done.len() + found.pending.len() == count
                    && (timeout.is_some() || found.done.len() >= enough)
            }),
        };
        submissions[0].claim.check(is_right, "each is done once");
        submissions.into_iter().for_each(Submission::settle);
    }

    /// Polled by hand, and then dropped here or elsewhere, or awaited by another waker.
    fn poll(&mut self) {
        let Submission { claim, mut future } = self.submit_quick(Deed::Poll);
        let waker = Waker::from(Arc::new(Unparks(thread::current())));
        let mut cx = Context::from_waker(&waker);
        if let Poll::Ready(outcome) = Pin::new(&mut future).poll(&mut cx) {
            return claim.hear(outcome);
        }
        match self.dice.below(4) {
            0 => drop(future),
            1 => self.ask(Errand::Drop(future)),
            2 => claim.hear(match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => outcome,
                // The other waker has taken the first one's place, and this one takes it back.
                Poll::Pending => await_here(future),
            }),
            _ => {
                await_here(future.completion());
                claim.check(future.done(), "it is complete");
                claim.hear(future.result());
            }
        }
    }

    /// A bare future, which a stranger sets, fails, or drops.
    fn promise(&mut self) {
        let (claim, how) = (self.book.open(Deed::Promise), self.dice.below(4));
        let (promise, future) = Promise::new();
        self.ask(Errand::Set { promise, work: claim.work(), how });
        match self.dice.below(4) {
            0 => {
                let cancelled = future.cancel();
                let outcome = future.result();
                let is_right = !cancelled || matches!(outcome, Err(FutureError::Cancelled));
                claim.check(is_right, "cancelled is cancelled");
                claim.hear(outcome);
            }
            1 => {
                claim.check(future.cancel_and_wait().is_ok(), "the stranger is done");
                claim.hear(future.result());
            }
            2 => claim.hear(await_here(future)),
            _ => claim.hear(future.result()),
        }
    }
}

/// Each place comes once, unless the time is up.
fn as_completed_is_right(futures: &[&dyn AnyFuture], timeout: Option<Duration>) -> bool {
    let Ok(completed) = threads::as_completed(futures, timeout) else { return false };
    let mut found: Vec<_> = completed.filter_map(Result::ok).collect();
    let came = found.len();
    found.sort_unstable();
    found.dedup();
    found.len() == came && (timeout.is_some() || came == futures.len())
}

struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn await_here<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unparks(thread::current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
