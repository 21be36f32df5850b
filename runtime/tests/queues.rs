//! Queues: what the conformance cases cannot say. No item and no wake-up is lost, whatever is given up when, and foreign
//! code may do as it likes.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Poll, Wake, Waker};

use futures_util::future::join;
use perloop::{
    EventLoop, Get, GetNowaitError, LifoQueue, PriorityQueue, PutNowaitError, Queue, QueueShutDown, Task,
    TaskDoneTooOften, catch_cancelled, create_task, current_task, new_event_loop, yield_now,
};

type Log = Rc<RefCell<Vec<String>>>;

fn run<F: Future>(main: F) -> F::Output {
    EventLoop::builder().virtual_time().run(main).unwrap()
}

/// A task that takes one item and says so.
fn getter(name: &str, queue: &Rc<Queue<i32>>, log: &Log) -> Task<()> {
    let (name, queue, log) = (name.to_owned(), Rc::clone(queue), Rc::clone(log));
    create_task(async move {
        let got = queue.get().await;
        log.borrow_mut().push(format!("{name} {got:?}"));
    })
}

fn putter(item: i32, queue: &Rc<Queue<i32>>, log: &Log) -> Task<()> {
    let (queue, log) = (Rc::clone(queue), Rc::clone(log));
    create_task(async move {
        let put = queue.put(item).await;
        log.borrow_mut().push(format!("put {item} {put:?}"));
    })
}

async fn is_pending_once(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn a_put_wakes_the_next_getter_at_once_if_the_first_was_asked_to_stop() {
    run(async {
        let (queue, log) = (Rc::new(Queue::new(0)), Log::default());
        let [first, second] = ["first", "second"].map(|name| getter(name, &queue, &log));
        yield_now().await;
        first.cancel();
        queue.put_nowait(7).unwrap();
        yield_now().await;
        assert_eq!(*log.borrow(), ["second Ok(7)"], "in one hop");
        assert!(first.cancelled() && second.done());
    });
}

#[test]
fn a_get_wakes_the_next_putter_at_once_if_the_first_was_asked_to_stop() {
    run(async {
        let (queue, log) = (Rc::new(Queue::new(1)), Log::default());
        queue.put_nowait(0).unwrap();
        let [first, second] = [1, 2].map(|item| putter(item, &queue, &log));
        yield_now().await;
        first.cancel();
        assert_eq!(queue.get_nowait(), Ok(0));
        yield_now().await;
        assert_eq!(*log.borrow(), ["put 2 Ok(())"]);
        assert_eq!(queue.get_nowait(), Ok(2));
        drop(second);
    });
}

#[test]
fn a_getter_that_was_passed_over_and_goes_on_takes_the_item() {
    run(async {
        let queue = Rc::new(Queue::new(0));
        let task = create_task({
            let queue = Rc::clone(&queue);
            async move { join(catch_cancelled(std::future::pending::<()>()), queue.get()).await.1 }
        });
        yield_now().await;
        task.cancel();
        queue.put_nowait(7).unwrap(); // the request ends the other branch only
        turns(3).await;
        assert_eq!(task.result(), Ok(Ok(7)));
    });
}

#[test]
fn a_request_taken_back_in_the_same_step_costs_no_wake_up() {
    run(async {
        let queue = Rc::new(Queue::new(0));
        let inside = Rc::clone(&queue);
        let task = create_task(async move {
            let putting = async {
                yield_now().await;
                let own = current_task().unwrap().unwrap();
                own.cancel();
                inside.put_nowait(7).unwrap();
                own.uncancel();
                std::future::pending::<()>().await;
            };
            let mut putting = pin!(putting);
            let mut get = inside.get();
            poll_fn(|cx| {
                let got = Pin::new(&mut get).poll(cx);
                if got.is_pending() {
                    let _ = putting.as_mut().poll(cx);
                }
                got
            })
            .await
        });
        turns(6).await;
        assert_eq!(task.result(), Ok(Ok(7)));
    });
}

#[test]
fn a_woken_get_that_is_dropped_hands_the_wake_up_on() {
    run(async {
        let (queue, log) = (Rc::new(Queue::new(0)), Log::default());
        let mut first = Box::pin(queue.get());
        assert!(is_pending_once(&mut first).await);
        let second = getter("second", &queue, &log);
        yield_now().await;
        queue.put_nowait(7).unwrap();
        drop(first); // it lost a race, say
        turns(2).await; // this task itself was woken, and comes before
        assert_eq!(*log.borrow(), ["second Ok(7)"]);
        drop(second);
    });
}

#[test]
fn a_woken_put_that_is_dropped_hands_the_wake_up_on() {
    run(async {
        let (queue, log) = (Rc::new(Queue::new(1)), Log::default());
        queue.put_nowait(0).unwrap();
        let mut first = Box::pin(queue.put(1));
        assert!(is_pending_once(&mut first).await);
        let second = putter(2, &queue, &log);
        yield_now().await;
        queue.get_nowait().unwrap();
        drop(first);
        turns(2).await;
        assert_eq!(*log.borrow(), ["put 2 Ok(())"]);
        drop(second);
    });
}

#[test]
fn a_get_that_moves_to_another_task_is_woken_there() {
    run(async {
        let queue: &'static Queue<i32> = Box::leak(Box::new(Queue::new(0)));
        let mut get: Get<'static, i32> = queue.get();
        let get = create_task(poll_fn(move |cx| {
            assert!(Pin::new(&mut get).poll(cx).is_pending());
            Poll::Ready(std::mem::replace(&mut get, queue.get()))
        }))
        .await
        .unwrap();
        let taker = create_task(get);
        yield_now().await;
        queue.put_nowait(7).unwrap();
        yield_now().await;
        assert_eq!(taker.result(), Ok(Ok(7)));
    });
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What was put, and what was taken.
#[derive(Default)]
struct Ledger {
    put: Cell<u64>,
    taken: Cell<u64>,
}

impl Ledger {
    fn begin(self: &Rc<Self>, puts: bool, queue: &Rc<Queue<u64>>) -> Task<()> {
        let (ledger, queue) = (Rc::clone(self), Rc::clone(queue));
        create_task(async move {
            if puts {
                queue.put(1).await.unwrap();
                ledger.put.set(ledger.put.get() + 1);
            } else {
                let taken = queue.get().await.unwrap();
                ledger.taken.set(ledger.taken.get() + taken);
            }
        })
    }
}

#[test]
fn no_item_and_no_wake_up_is_lost_whoever_is_cancelled_when() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..300 {
        run(async {
            let (queue, ledger) = (Rc::new(Queue::new(random.below(3) as usize)), Rc::new(Ledger::default()));
            let mut tasks: Vec<(bool, Task<()>)> = Vec::new();
            for _ in 0..200 {
                match random.below(8) {
                    0..3 => tasks.push((true, ledger.begin(true, &queue))),
                    3..5 => tasks.push((false, ledger.begin(false, &queue))),
                    5 if !tasks.is_empty() => {
                        tasks[random.below(tasks.len() as u64) as usize].1.cancel();
                    }
                    6 => {
                        let taken = queue.get_nowait().unwrap_or_default();
                        ledger.taken.set(ledger.taken.get() + taken);
                    }
                    _ => yield_now().await,
                }
            }
            turns(500).await;
            let left = queue.qsize() as u64;
            assert_eq!(ledger.put.get(), ledger.taken.get() + left, "round {round}");
            let waits = |puts: bool| tasks.iter().any(|(puts_too, task)| puts == *puts_too && !task.done());
            assert!(!waits(false) || left == 0, "round {round}: a getter waits for what is there");
            assert!(!waits(true) || queue.full(), "round {round}: a putter waits for room that is there");
        });
    }
}

#[test]
fn a_joiner_that_was_woken_goes_on_whatever_is_put_since() {
    run(async {
        let queue = Rc::new(Queue::new(0));
        queue.put_nowait(1).unwrap();
        let joiner = create_task({
            let queue = Rc::clone(&queue);
            async move { queue.join().await }
        });
        yield_now().await;
        queue.task_done().unwrap();
        queue.put_nowait(2).unwrap();
        yield_now().await;
        assert!(joiner.done());
        queue.shutdown(true);
        assert_eq!(queue.task_done(), Err(TaskDoneTooOften));
    });
}

/// Uses its queue when it is dropped.
struct Meddler(Weak<Queue<Meddler>>, Log);

impl Drop for Meddler {
    fn drop(&mut self) {
        if let Some(queue) = self.0.upgrade() {
            let state = format!(
                "{} {}",
                queue.qsize(),
                queue.put_nowait(Meddler(Weak::new(), Log::default())).is_err()
            );
            self.1.borrow_mut().push(state);
        }
    }
}

#[test]
fn items_that_a_shutdown_drops_may_use_the_queue() {
    let (queue, log) = (Rc::new(Queue::new(0)), Log::default());
    for _ in 0..2 {
        assert!(queue.put_nowait(Meddler(Rc::downgrade(&queue), Rc::clone(&log))).is_ok());
    }
    queue.shutdown(true);
    assert_eq!(*log.borrow(), ["0 true", "0 true"]);
    assert!(queue.task_done().is_err());
}

/// Cannot be compared with its kind.
#[derive(PartialEq, Eq, Debug)]
struct Incomparable;

impl Ord for Incomparable {
    fn cmp(&self, _: &Self) -> Ordering {
        panic!("no order")
    }
}

impl PartialOrd for Incomparable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[test]
fn an_order_that_panics_costs_no_wake_up() {
    run(async {
        let queue = Rc::new(PriorityQueue::new(0));
        let getters = [(), ()].map(|()| {
            let queue = Rc::clone(&queue);
            create_task(async move { queue.get().await.is_ok() })
        });
        yield_now().await;
        queue.put_nowait(Incomparable).unwrap();
        let second = catch_unwind(AssertUnwindSafe(|| queue.put_nowait(Incomparable)));
        assert!(second.is_err());
        yield_now().await;
        // Both were woken, and who finds an item takes it.
        assert!(getters.iter().all(|getter| getter.done()));
        assert_eq!((queue.task_done(), queue.task_done()), (Ok(()), Ok(())));
    });
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("a waker panics")
    }
}

#[test]
fn a_waker_that_panics_harms_no_other_waiter() {
    run(async {
        let (queue, log) = (Rc::new(Queue::new(0)), Log::default());
        let mut first = Box::pin(queue.get());
        let bomb = Waker::from(std::sync::Arc::new(Bomb));
        assert!(first.as_mut().poll(&mut std::task::Context::from_waker(&bomb)).is_pending());
        let second = getter("second", &queue, &log);
        yield_now().await;
        queue.shutdown(false);
        yield_now().await;
        assert_eq!(*log.borrow(), ["second Err(QueueShutDown)"]);
        drop(second);
    });
}

#[test]
#[should_panic(
    expected = "Queue::get: it belongs to another event loop, one that is gone, where a task has waited for it"
)]
fn a_queue_of_another_loop_is_refused() {
    let queue = Queue::<i32>::new(0);
    let wait_once = async || {
        let mut get = queue.get();
        is_pending_once(&mut get).await
    };
    assert!(run(wait_once()));
    run(wait_once());
}

#[test]
fn what_need_not_wait_needs_no_loop() {
    let queue = Queue::new(1);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert_eq!(pin!(queue.put(1)).poll(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(pin!(queue.get()).poll(&mut cx), Poll::Ready(Ok(1)));
    assert_eq!(queue.task_done(), Ok(()));
    assert_eq!(pin!(queue.join()).poll(&mut cx), Poll::Ready(()));
    let outside = catch_unwind(AssertUnwindSafe(|| pin!(queue.get()).poll(&mut cx).is_ready()));
    let message = *outside.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("Queue::get: no running event loop in this thread"), "{message}");
}

#[test]
fn a_loop_that_closes_takes_its_waiters_out_of_the_line() {
    let queue = Rc::new(Queue::new(0));
    let event_loop = new_event_loop().unwrap();
    let inside = Rc::clone(&queue);
    let waiter = event_loop.create_task(async move { inside.get().await }).unwrap();
    event_loop.run_until_complete(turns(2)).unwrap();
    event_loop.close().unwrap();
    queue.put_nowait(7).unwrap();
    assert!(!waiter.done());
    assert_eq!(queue.get_nowait(), Ok(7));
}

#[test]
fn refusals_give_the_item_back_and_say_what_to_do() {
    let queue = LifoQueue::new(1);
    queue.put_nowait("first").unwrap();
    let full = queue.put_nowait("second").unwrap_err();
    assert_eq!(full.to_string(), "the queue is full; await `put`, or try again later");
    assert_eq!(full.into_inner(), "second");
    queue.shutdown(true);
    assert_eq!(queue.put_nowait("third"), Err(PutNowaitError::ShutDown("third")));
    assert_eq!(queue.get_nowait(), Err(GetNowaitError::ShutDown));
    let text = "the queue was shut down; it takes no more items, and gives those that are left";
    assert_eq!(QueueShutDown(()).to_string(), text);
    assert_eq!(
        format!("{queue:?}"),
        "LifoQueue(Queue { qsize: 0, maxsize: 1, unfinished: 0, shut_down: true, .. })"
    );
}

#[test]
fn a_request_meets_a_get_put_or_join_beside_an_awaited_task() {
    run(async {
        let queue: &'static Queue<i32> = Box::leak(Box::new(Queue::new(1)));
        // It also has the other polled again.
        let awaited = || join(create_task(std::future::pending::<()>()), yield_now());
        let get = create_task(async move { drop(join(queue.get(), awaited()).await) });
        turns(3).await;
        get.cancel();
        turns(3).await;
        assert!(get.cancelled());
        queue.put_nowait(1).unwrap();
        let put = create_task(async move { drop(join(queue.put(2), awaited()).await) });
        let all_done = create_task(async move { drop(join(queue.join(), awaited()).await) });
        turns(3).await;
        assert!(put.cancel() && all_done.cancel());
        turns(3).await;
        assert!(put.cancelled() && all_done.cancelled());
    });
}

#[test]
fn a_burst_of_puts_goes_past_all_getters_that_were_asked_to_stop_and_wakes_the_others_in_order() {
    run(async {
        let (queue, taken) = (Rc::new(Queue::new(0)), Rc::new(RefCell::new(Vec::new())));
        let getters: Vec<_> = (0..60)
            .map(|number| {
                let (queue, taken) = (Rc::clone(&queue), Rc::clone(&taken));
                create_task(async move {
                    let item = queue.get().await.unwrap();
                    taken.borrow_mut().push((number, item));
                })
            })
            .collect();
        yield_now().await;
        getters.iter().step_by(2).for_each(|getter| assert!(getter.cancel()));
        (0..20).for_each(|item| queue.put_nowait(item).unwrap());
        yield_now().await;
        let want: Vec<_> = (0..20).map(|item| (2 * item + 1, item)).collect();
        assert_eq!(*taken.borrow(), want);
        (20..40).for_each(|item| queue.put_nowait(item).unwrap());
        yield_now().await;
        assert_eq!((taken.borrow().len(), queue.qsize()), (30, 10));
    });
}

#[test]
fn clones_are_the_same_queue_whatever_its_kind() {
    run(async {
        let (first_in, last_in, least) = (Queue::new(1), LifoQueue::new(0), PriorityQueue::new(0));
        let putter = create_task({
            let (first_in, last_in, least) = (first_in.clone(), last_in.clone(), least.clone());
            async move {
                for item in [2, 1] {
                    last_in.put_nowait(item).unwrap();
                    least.put_nowait(item).unwrap();
                    first_in.put(item).await.unwrap();
                }
            }
        });
        assert_eq!((first_in.get().await, first_in.get().await), (Ok(2), Ok(1)));
        putter.await.unwrap();
        assert_eq!((last_in.get_nowait(), least.get_nowait()), (Ok(1), Ok(1)));
    });
}
