//! Blocking work beside a loop.
#![allow(clippy::disallowed_types, reason = "jobs run in threads")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use futures_util::future::join;
use tracing_core::span::Current;

use perloop::{
    CapacityLimiter, EventLoop, ExecutorError, FutureError, JobError, RunError, TaskError,
    ThreadPoolExecutor, catch_cancelled, create_task, get_running_loop, new_event_loop, sleep, timeout,
    to_thread, yield_now,
};

/// A job that says when it begins, and ends when it is told to.
fn gate() -> (impl FnOnce() -> &'static str + Send + 'static, Receiver<()>, Sender<()>) {
    let (began, has_begun) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    let job = move || {
        began.send(()).expect("somebody asks");
        // Also when nobody is left who could tell.
        let _told = told.recv();
        "opened"
    };
    (job, has_begun, go_on)
}

/// Says that it was dropped.
struct Dropped(Sender<&'static str>, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _heard = self.0.send(self.1);
    }
}

fn pool_of(workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder().max_workers(workers).build()
}

#[test]
fn a_cancelled_wait_ends_at_once_and_the_job_goes_on() -> Result<(), RunError> {
    let (job, has_begun, go_on) = gate();
    perloop::run(async move {
        let waits = create_task(to_thread(job));
        yield_now().await;
        has_begun.recv().expect("it begins");
        waits.cancel();
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        go_on.send(()).expect("it still runs");
    })
}

#[test]
fn a_job_that_has_not_begun_is_taken_back_and_dropped() -> Result<(), RunError> {
    let pool = pool_of(1);
    let (job, has_begun, go_on) = gate();
    let (dropped, drops) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        let first = running.run_in_executor(Some(&pool), job).expect("it is taken");
        has_begun.recv().expect("it begins");
        let witness = Dropped(dropped, "job");
        let second = running.run_in_executor(Some(&pool), move || drop(witness)).expect("it is taken");
        let third = running.run_in_executor(Some(&pool), || 3).expect("it is taken");
        assert!(second.cancel() && second.cancelled());
        yield_now().await;
        go_on.send(()).expect("it still runs");
        assert_eq!((first.await, third.await), (Ok("opened"), Ok(3)));
        assert_eq!(drops.try_recv(), Ok("job"));
    })
}

#[test]
fn a_wait_that_is_dropped_takes_its_job_back() -> Result<(), RunError> {
    let (ran, runs) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        running.set_default_executor(pool_of(1));
        let (job, has_begun, go_on) = gate();
        let first = running.run_in_executor(None, job).expect("it is taken");
        has_begun.recv().expect("it begins");
        let lost = timeout(Duration::ZERO, to_thread(move || ran.send(()))).await;
        assert!(lost.is_err());
        go_on.send(()).expect("it still runs");
        assert_eq!(first.await, Ok("opened"));
    })?;
    assert!(runs.recv().is_err(), "it never ran");
    Ok(())
}

#[test]
fn a_panic_in_a_job_is_the_awaiters_error_and_the_thread_goes_on() -> Result<(), RunError> {
    let pool = pool_of(1);
    perloop::run(async {
        let Err(JobError::Panicked(panicked)) = to_thread(|| panic!("out of paper")).await else {
            panic!("it gives a value")
        };
        assert_eq!(panicked.message(), "out of paper");
        let running = get_running_loop().expect("it runs");
        let id = || thread::current().id();
        let before = running.run_in_executor(Some(&pool), id).expect("it is taken").await;
        let failed = running.run_in_executor(Some(&pool), || panic!("again")).expect("it is taken").await;
        assert!(matches!(failed, Err::<(), _>(TaskError::Panicked(_))));
        assert_eq!(running.run_in_executor(Some(&pool), id).expect("it is taken").await, before);
    })
}

#[test]
fn a_value_whose_destructor_panics_harms_no_thread() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let pool = pool_of(1);
    for _ in 0..3 {
        drop(pool.submit(|| Bomb).expect("it is taken"));
        assert_eq!(pool.submit(|| 42).expect("it is taken").result(), Ok(42));
    }
}

#[test]
fn a_result_that_comes_after_the_close_is_dropped() {
    let event_loop = new_event_loop().expect("a loop");
    let (job, has_begun, go_on) = gate();
    let (dropped, drops) = mpsc::channel();
    let (value, waiter) = (Dropped(dropped.clone(), "value"), Dropped(dropped, "callback"));
    let future = event_loop
        .run_in_executor(None, move || {
            job();
            Rc::new(()); // what it makes need not be `Send`
            Arc::new(value)
        })
        .expect("it is taken");
    future.add_done_callback(move |_| drop(waiter));
    has_begun.recv().expect("it begins");
    event_loop.close().expect("it does not run");
    go_on.send(()).expect("it still runs");
    assert_eq!(drops.recv(), Ok("value"));
    assert!(!future.done());
    drop((future, event_loop));
    assert_eq!(drops.recv(), Ok("callback"));
}

#[test]
fn a_closed_loop_and_a_shut_executor_refuse_jobs() -> Result<(), RunError> {
    let event_loop = new_event_loop().expect("a loop");
    event_loop.close().expect("it does not run");
    let refused = event_loop.run_in_executor(None, || ());
    assert!(matches!(refused, Err(ExecutorError::LoopClosed(_))));
    perloop::run(async {
        let running = get_running_loop().expect("it runs");
        for _ in 0..2 {
            assert_eq!(running.shutdown_default_executor(None).await, Ok(()));
            let refused = to_thread(|| ()).await;
            assert!(matches!(refused, Err(JobError::Refused(ExecutorError::ShutDown))));
            running.set_default_executor(pool_of(1)); // too late
        }
        let own = running.run_in_executor(Some(&pool_of(1)), || 42).expect("it is taken");
        assert_eq!(own.await, Ok(42));
    })
}

#[test]
fn run_waits_for_the_jobs_of_the_default_executor() -> Result<(), RunError> {
    let (sender, done) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        for n in 0..100 {
            let sender = sender.clone();
            drop(running.run_in_executor(None, move || sender.send(n)).expect("it is taken"));
        }
        // Nor does that cut it short.
        running.stop();
        yield_now().await;
    })
    .expect_err("it was stopped");
    assert_eq!(done.iter().count(), 100);
    Ok(())
}

#[test]
fn a_shutdown_gives_up_at_its_limit_and_its_job_goes_on() -> Result<(), RunError> {
    let (job, has_begun, go_on) = gate();
    let (ended, ends) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        let work = move || ended.send(job()).is_ok();
        drop(running.run_in_executor(None, work).expect("it is taken"));
        has_begun.recv().expect("it begins");
        let moment = Duration::from_millis(1);
        let error = running.shutdown_default_executor(moment).await.expect_err("it goes on");
        assert_eq!(error.timeout(), moment);
        go_on.send(()).expect("it still runs");
    })?;
    assert_eq!(ends.recv(), Ok("opened"));
    Ok(())
}

#[test]
fn a_second_shutdown_waits_as_the_first_does_also_if_that_was_given_up() -> Result<(), RunError> {
    let (job, has_begun, go_on) = gate();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        let _job = running.run_in_executor(None, job).expect("it is taken");
        has_begun.recv().expect("it begins");
        let shut_down = || {
            let running = running.clone();
            create_task(async move { running.shutdown_default_executor(None).await })
        };
        let (first, second) = (shut_down(), shut_down());
        yield_now().await;
        yield_now().await;
        first.cancel();
        assert!(first.await.is_err_and(|error| error.is_cancelled()), "it does not join the threads");
        assert!(!second.done());
        let third = shut_down();
        yield_now().await;
        assert!(!third.done());
        go_on.send(()).expect("it waits");
        assert_eq!((second.await, third.await), (Ok(Ok(())), Ok(Ok(()))));
    })
}

#[test]
fn run_waits_for_jobs_also_if_a_shutdown_was_given_up() -> Result<(), RunError> {
    let (job, has_begun, go_on) = gate();
    let (sender, ended) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        let job = move || {
            let opened = job();
            thread::sleep(Duration::from_millis(20));
            sender.send(opened).expect("somebody asks");
        };
        let _job = running.run_in_executor(None, job).expect("it is taken");
        has_begun.recv().expect("it begins");
        let error = running.shutdown_default_executor(Duration::ZERO).await.expect_err("it goes on");
        assert_eq!(error.timeout(), Duration::ZERO);
        go_on.send(()).expect("it waits");
    })?;
    assert_eq!(ended.try_recv(), Ok("opened"));
    Ok(())
}

#[test]
fn no_thread_is_left_after_a_shutdown() -> Result<(), RunError> {
    thread_local! {
        static LAST: RefCell<Option<Dropped>> = const { RefCell::new(None) };
    }
    let (dropped, drops) = mpsc::channel();
    let mark = move || {
        let dropped = dropped.clone();
        move || LAST.set(Some(Dropped(dropped, "thread")))
    };
    perloop::run(async {
        let running = get_running_loop().expect("it runs");
        assert!(to_thread(mark()).await.is_ok());
        assert_eq!(running.shutdown_default_executor(None).await, Ok(()));
        assert_eq!(drops.try_recv(), Ok("thread"));
    })?;
    let pool = pool_of(3);
    pool.submit(mark()).expect("it is taken");
    pool.shutdown();
    assert_eq!(drops.try_recv(), Ok("thread"));
    Ok(())
}

#[test]
fn a_pool_that_is_dropped_does_its_jobs_and_its_threads_end() {
    let pool = pool_of(1);
    let (job, has_begun, go_on) = gate();
    let first = pool.submit(job).expect("it is taken");
    let rest: Vec<_> = (0..10).map(|n| pool.submit(move || n).expect("it is taken")).collect();
    has_begun.recv().expect("it begins");
    drop(pool);
    go_on.send(()).expect("it still runs");
    assert_eq!(first.result(), Ok("opened"));
    let results: Vec<_> = rest.iter().map(|future| future.result().expect("it ran")).collect();
    assert_eq!(results, (0..10).collect::<Vec<_>>());
}

#[test]
fn jobs_that_wait_for_each_other_have_a_thread_each_up_to_the_bound() {
    const WORKERS: usize = 8;
    let pool = pool_of(WORKERS);
    for _ in 0..50 {
        let barrier = Arc::new(std::sync::Barrier::new(WORKERS));
        let job = || {
            let barrier = Arc::clone(&barrier);
            pool.submit(move || barrier.wait().is_leader()).expect("it is taken")
        };
        let jobs: Vec<_> = (0..WORKERS).map(|_| job()).collect();
        let leaders = jobs.iter().filter(|job| job.result() == Ok(true)).count();
        assert_eq!(leaders, 1);
    }
}

#[test]
fn a_pool_never_does_more_jobs_at_once_than_its_bound() {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(2).idle_time(Duration::ZERO).build());
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let submitters: Vec<_> = (0..4)
        .map(|_| {
            let (pool, now, most) = (Arc::clone(&pool), Arc::clone(&now), Arc::clone(&most));
            thread::spawn(move || {
                for _ in 0..500 {
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                    let job = move || {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, SeqCst);
                    };
                    assert_eq!(pool.submit(job).expect("it is taken").result(), Ok(()));
                }
            })
        })
        .collect();
    submitters.into_iter().for_each(|submitter| submitter.join().expect("it does not panic"));
    assert!((1..=2).contains(&most.load(SeqCst)));
}

#[test]
fn threads_that_have_nothing_to_do_end_and_others_come() {
    thread_local! {
        static LAST: RefCell<Option<Dropped>> = const { RefCell::new(None) };
    }
    let pool = ThreadPoolExecutor::builder().idle_time(Duration::ZERO).build();
    for _ in 0..20 {
        let (dropped, drops) = mpsc::channel();
        let job = move || LAST.set(Some(Dropped(dropped, "thread")));
        pool.submit(job).expect("it is taken").result().expect("it runs");
        assert_eq!(drops.recv(), Ok("thread"));
    }
}

#[test]
fn a_thread_that_cannot_be_started_is_an_error_and_the_pool_can_be_used_on() {
    let pool = ThreadPoolExecutor::builder().stack_size(1 << 60).build();
    for _ in 0..3 {
        let refused = pool.submit(|| ());
        assert!(matches!(refused, Err(ExecutorError::NoThread(_))), "{refused:?}");
    }
    let outcome = perloop::run(async {
        get_running_loop().expect("it runs").set_default_executor(pool);
        to_thread(|| ()).await
    });
    assert!(matches!(outcome, Ok(Err(JobError::Refused(ExecutorError::NoThread(_))))));
}

#[test]
fn virtual_time_stands_still_while_a_job_runs() {
    let event_loop = EventLoop::builder().virtual_time().build().expect("a loop");
    let (job, has_begun, go_on) = gate();
    let elapsed = event_loop.run_until_complete(async {
        let opener = thread::spawn(move || {
            has_begun.recv().expect("it begins");
            go_on.send(()).expect("it still runs");
        });
        let hour = Duration::from_secs(3600);
        let opened = timeout(hour, to_thread(job)).await;
        assert_eq!(opened.expect("in time").expect("it runs"), "opened");
        opener.join().expect("it does not panic");
        let elapsed = event_loop.time();
        sleep(hour).await;
        elapsed
    });
    assert_eq!(elapsed.expect("it ends"), Duration::ZERO);
}

#[test]
fn a_limiter_serves_in_order_and_keeps_the_token_until_the_job_has_ended() -> Result<(), RunError> {
    perloop::run(async {
        let limiter = CapacityLimiter::new(1);
        let order = Rc::new(RefCell::new(Vec::new()));
        let use_it = |name: &'static str| {
            let (limiter, order) = (limiter.clone(), Rc::clone(&order));
            create_task(async move {
                let done = limiter.to_thread(move || name).await;
                order.borrow_mut().push(done.expect("it runs"));
            })
        };
        let (job, has_begun, go_on) = gate();
        let first = create_task({
            let limiter = limiter.clone();
            async move { limiter.to_thread(job).await }
        });
        let (second, third, fourth) = (use_it("second"), use_it("third"), use_it("fourth"));
        yield_now().await;
        has_begun.recv().expect("it begins");
        first.cancel();
        second.cancel();
        assert!(first.await.is_err() && second.await.is_err());
        // Nobody waits for it, but it runs.
        assert!(limiter.available_tokens() == 0 && !third.done());
        go_on.send(()).expect("it still runs");
        assert!(third.await.is_ok() && fourth.await.is_ok());
        assert_eq!(*order.borrow(), ["third", "fourth"]);
        yield_now().await;
        assert_eq!(limiter.available_tokens(), 1);
    })
}

#[test]
fn a_token_on_its_way_to_one_that_gives_up_goes_to_the_next() -> Result<(), RunError> {
    perloop::run(async {
        let limiter = CapacityLimiter::new(1);
        let token = limiter.acquire().await;
        let take = || {
            let limiter = limiter.clone();
            create_task(async move { drop(limiter.acquire().await) })
        };
        let (first, second) = (take(), take());
        yield_now().await;
        drop(token);
        first.cancel();
        assert!(first.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(second.await, Ok(()));
        assert_eq!(limiter.available_tokens(), 1);
    })
}

#[test]
fn who_waits_for_a_token_waits_on_when_another_branch_of_its_task_takes_the_request() -> Result<(), RunError>
{
    perloop::run(async {
        let limiter = CapacityLimiter::new(1);
        let token = limiter.acquire().await;
        let task = create_task({
            let limiter = limiter.clone();
            async move {
                let other_branch = catch_cancelled(std::future::pending::<()>());
                let (token, caught) = join(limiter.acquire(), other_branch).await;
                drop(token);
                caught.is_err()
            }
        });
        yield_now().await;
        task.cancel();
        yield_now().await;
        assert!(!task.done());
        drop(token);
        assert_eq!(task.await, Ok(true));
        assert_eq!(limiter.available_tokens(), 1);
    })
}

#[test]
fn a_job_runs_in_the_span_that_it_was_handed_in_from() -> Result<(), RunError> {
    let subscriber = Spans::default();
    let _default = tracing::subscriber::set_default(subscriber.clone());
    perloop::run(async move {
        let span = tracing::info_span!("request");
        let id = span.id();
        let job = span.in_scope(|| {
            let running = get_running_loop().expect("it runs");
            running.run_in_executor(None, move || subscriber.0.lock().expect("whole").last().cloned())
        });
        assert_eq!(job.expect("it is taken").await, Ok(id));
    })
}

#[test]
fn many_threads_hand_in_and_each_job_ends_in_one_way() {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(3).idle_time(Duration::ZERO).build());
    let submitters: Vec<_> = (0..3)
        .map(|_| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let futures: Vec<_> =
                    (0..2000).map(|n| pool.submit(move || n).expect("it is taken")).collect();
                for (n, future) in futures.iter().enumerate().filter(|(n, _)| n % 7 == 0) {
                    // Taken back, or too late.
                    let was_taken_back = future.cancel();
                    let expected = if was_taken_back { Err(FutureError::Cancelled) } else { Ok(n) };
                    assert_eq!(future.result(), expected);
                }
                futures.iter().filter(|future| future.result().is_ok()).count()
            })
        })
        .collect();
    for submitter in submitters {
        let done = submitter.join().expect("it does not panic");
        assert!(done >= 2000 - 2000 / 7 - 286, "{done}");
    }
    Arc::into_inner(pool).expect("ours alone").shutdown();
}

static METADATA: &tracing::Metadata<'static> = {
    static CALLSITE: tracing::callsite::DefaultCallsite = tracing::callsite::DefaultCallsite::new(&INNER);
    static INNER: tracing::Metadata<'static> = tracing::metadata! {
        name: "a span", target: "test", level: tracing::Level::INFO, fields: &[],
        callsite: &CALLSITE, kind: tracing::metadata::Kind::SPAN,
    };
    &INNER
};

/// Notes which spans its thread of use is in.
#[derive(Clone, Default)]
struct Spans(Arc<std::sync::Mutex<Vec<tracing::span::Id>>>, Arc<AtomicUsize>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(self.1.fetch_add(1, SeqCst) as u64 + 1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, id: &tracing::span::Id) {
        self.0.lock().expect("whole").push(id.clone());
    }
    fn exit(&self, id: &tracing::span::Id) {
        let mut spans = self.0.lock().expect("whole");
        let at = spans.iter().rposition(|entered| entered == id).expect("it was entered");
        spans.remove(at);
    }
    fn current_span(&self) -> Current {
        let spans = self.0.lock().expect("whole");
        spans.last().map_or_else(Current::none, |id| Current::new(id.clone(), METADATA))
    }
}
