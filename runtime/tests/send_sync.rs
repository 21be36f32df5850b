//! Which types may go to other threads, and which must not. It compiles, or it does not.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use perloop::*;

/// `true` if the type has the trait: an inherent constant comes before a trait's.
macro_rules! has {
    ($type:ty: $bound:path) => {{
        #[allow(dead_code, reason = "one of the two is chosen")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        #[allow(dead_code, reason = "one of the two is chosen")]
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "one of the two is chosen")]
        impl<T: ?Sized + $bound> Asked<T> {
            const HAS: bool = true;
        }
        <Asked<$type>>::HAS
    }};
}

macro_rules! matrix {
    ($($type:ty: $send:literal $sync:literal),* $(,)?) => {
        $(
            const _: () = assert!(has!($type: Send) == $send, concat!(stringify!($type), ": Send"));
            const _: () = assert!(has!($type: Sync) == $sync, concat!(stringify!($type), ": Sync"));
        )*
    };
}

/// Neither Send nor Sync.
type Local = Rc<()>;
/// Send, and not Sync.
type Moved = Cell<()>;

// A loop and what it hands out belong to its thread.
matrix! {
    EventLoop: false false,
    Runner: false false,
    TaskBuilder<'static>: false false,
    Handle: false false,
    TimerHandle: false false,
    AnyTask: false false,
    Task<()>: false false,
    Task<Local>: false false,
    LoopFuture<()>: false false,
    CallbackKey: true true,
    TimeoutScope: false false,
    Completions<AnyTask>: false false,
    Gather<()>: false false,
    ExceptionContext: false false,
    Lock: false false,
    LockGuard<'static>: false false,
    Event: false false,
    Semaphore: false false,
    BoundedSemaphore: false false,
    Condition: false false,
    Barrier: false false,
    SemaphorePermit<'static>: false false,
    SlowCallback: false false,
    NotHome: true true,
    PanicPolicy: true true,
    Context: true true,
    ContextVar<u8>: true true,
    Token<u8>: true true,
    ResetError: true true,
}

// Queues, and who waits for them.
matrix! {
    Queue<()>: false false,
    LifoQueue<()>: false false,
    PriorityQueue<()>: false false,
    Get<'static, ()>: false false,
    Put<'static, ()>: false false,
    Join<'static, ()>: false false,
    Fifo<Moved>: true false,
    Lifo<Moved>: true false,
    Least<Moved>: true false,
    QueueShutDown<Moved>: true false,
    PutNowaitError<Moved>: true false,
    GetNowaitError: true true,
    TaskDoneTooOften: true true,
}

// Generators run in the tasks that ask them.
matrix! {
    AsyncGenerator<()>: false false,
    Anext<'static, ()>: false false,
    Aclose<'static, ()>: false false,
    Yielder<()>: false false,
    Yield<'static, ()>: false false,
    BodyEnd<Moved>: true false,
}

// Pools are any thread's, what limits a loop's use of them is the loop's.
// Pools are for all threads, limiters for one loop.
matrix! {
    ThreadPoolExecutor: true true,
    ThreadPoolBuilder: true true,
    CapacityLimiter: false false,
    LimiterToken: false false,
    ExecutorError: true true,
    ExecutorTimedOut: true true,
    JobError: true true,
}

// Generators, and what is made of them; ticks.
matrix! {
    AsyncGenerator<()>: false false,
    Yielder<()>: false false,
    Yield<'static, ()>: false false,
    Anext<'static, ()>: false false,
    Aclose<'static, ()>: false false,
    GeneratorError: true true,
    BodyEnd<Moved>: true false,
    BodyEnd<Local>: false false,
    Interval: true true,
    MissedTickBehavior: true true,
}

// Other threads have these.
matrix! {
    Builder: true true,
    LoopHandle: true true,
    LoopThread: true true,
    CrossThreadFuture<()>: true true,
    CrossThreadFuture<Moved>: true true,
    CrossThreadFuture<Local>: false false,
    Completion<'static, Moved>: true true,
    Completion<'static, Local>: false false,
    Promise<Moved>: true true,
    ScopedFuture<'static, Moved>: true true,
    ScopedFuture<'static, Local>: false false,
    // A scope belongs to the thread that blocks at its end.
    LoopScope<'static, 'static>: false false,
    Refused<Moved>: true false,
    Refused<Local>: false false,
    Spin: true true,
    ReturnWhen: true true,
    DoneAndPending: true true,
    AsCompleted<'static>: false false,
}

struct Here {
    _stays: Local,
}
impl Actor for Here {}

// A tree is made where it lives, and spoken to from anywhere.
matrix! {
    Supervisor: false false,
    SupervisorBuilder: false false,
    Child<Here>: false false,
    ChildRef<Here>: true true,
    ChildState: true true,
    WhichChildren: true true,
    StartChild: true false,
    StopChild: true true,
    Strategy: true true,
    Restart: true true,
    Intensity: true true,
    Backoff: true true,
    GaveUp: true true,
}

// Addresses go anywhere, the actor itself stays.
matrix! {
    Address<Here>: true true,
    WeakAddress<Here>: true true,
    Recipient<Moved, Moved>: true true,
    WeakRecipient<Moved, Moved>: true true,
    ActorBuilder: true true,
    ActorContext<Here>: false false,
    AttachedKey: true true,
    ActorEnd: true true,
    RegisterError: true true,
    Router<Address<Here>>: true true,
    Broadcast<Recipient<Moved, Moved>>: true true,
    WhenFull: true true,
    Down: true true,
    Monitor: true true,
    MonitorKey: true true,
    AskError: true true,
    TryTellError<Moved>: true false,
    TellError<Moved>: true false,
    Tell<'static, Moved>: true false,
    Ask<'static, Moved, Moved>: true false,
}

// Futures are Send if what they hold is.
matrix! {
    Sleep: true true,
    YieldNow: true true,
    Timeout<Sleep>: true true,
    Timeout<Moved>: true false,
    Timeout<Local>: false false,
    Interval: true true,
    MissedTickBehavior: true true,
    CatchCancelled<Sleep>: true true,
    CatchCancelled<Moved>: true false,
    CatchCancelled<Local>: false false,
}

// Errors go anywhere.
matrix! {
    Cancelled: true true,
    TaskError: true true,
    FutureError: true true,
    LoopError: true true,
    RunError: true true,
    RunnerClosed: true true,
    JoinError: true true,
    Panicked: true true,
    LoopClosed: true true,
    LoopDied: true true,
    Forked: true true,
    WouldDeadlock: true true,
    WrongLoop: true true,
    InvalidState: true true,
    Interrupted: true true,
    NoEventLoop: true true,
    NoRunningLoop: true true,
    CloseRunning: true true,
    StoppedBeforeDone: true true,
    NotAcquired: true true,
    ReleasedTooMany: true true,
    BrokenBarrier: true true,
    NoParties: true true,
    Refusal: true true,
    SetError: true true,
    TimedOut: true true,
    TimeoutNotActive: true true,
    WaitError: true true,
    ExceptionKind: true true,
    GeneratorError: true true,
    ExecutorError: true true,
    ExecutorTimedOut: true true,
    JobError: true true,
}

// Groups, and what failed in them.
matrix! {
    TaskGroup<()>: false false,
    ExceptionGroup<Moved>: true false,
    GroupedError<Moved>: true false,
    GroupRefused: true true,
}

// Pools are for any thread; what bounds one use belongs to a loop's thread.
matrix! {
    ThreadPoolExecutor: true true,
    ThreadPoolBuilder: true true,
    ExecutorError: true true,
    ExecutorTimedOut: true true,
    JobError: true true,
    CapacityLimiter: false false,
    LimiterToken: false false,
}

// A queue's items go to one thread and are never shared; a put and a refusal hold theirs.
matrix! {
    ThreadSender<Moved>: true true,
    ThreadReceiver<Moved>: true true,
    ThreadGet<'static, Moved>: true true,
    ThreadPut<'static, Moved>: true false,
    QueueClosed<Moved>: true false,
    TryPutError<Moved>: true false,
    PutBlockingError<Moved>: true false,
    TryGetError: true true,
    GetBlockingError: true true,
}

// A group is for any thread; what comes from its loops goes to one.
matrix! {
    EventLoopGroup: true true,
    GroupHandle: true true,
    GroupBuilder: true true,
    GroupFutures<()>: true true,
    ShutdownReport: true true,
    LoopReport: true true,
    LoopEnd: true true,
    LoopDeath: true true,
    GroupFutures<Moved>: true false,
    GroupFutures<Local>: false false,
}

// It is set up anywhere; its loops are of the thread that runs it.
matrix! {
    Simulation: true true,
    SimulationError: true true,
    PendingTask: true true,
}

// Any thread submits, any thread's work holds the permit.
matrix! {
    SubmitLimit: true true,
    SubmitPermit: true true,
    PermitError: true true,
    LimitReached: true true,
}

/// Each type that the crate exports stands in the matrix, which is checked when this file is compiled.
#[test]
fn c_send_sync_matrix() {
    let (library, here) = (include_str!("../src/lib.rs"), include_str!("send_sync.rs"));
    let exports = library.split("pub use ").skip(1).flat_map(|rest| rest.split(';').next());
    let words = exports.flat_map(|list| list.split(|c: char| !c.is_alphanumeric()));
    let types: Vec<_> = words.filter(|word| word.starts_with(char::is_uppercase)).collect();
    assert!(types.len() > 40, "{types:?}");
    // Traits, of which nothing is made: it is their implementors' own business.
    let traits = [
        "Actor",
        "AnyFuture",
        "Deliver",
        "GatherTuple",
        "Handler",
        "Awaitable",
        "Waitable",
        "Order",
        "RouterMember",
        "Takes",
    ];
    let is_row = |line: &&str| line.ends_with("true,") || line.ends_with("false,");
    let name =
        |row: &str| row.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let rows: Vec<_> = here.lines().filter(is_row).map(name).collect();
    let is_missing = |name: &&str| !traits.contains(name) && !rows.iter().any(|row| row == name);
    let missing: Vec<_> = types.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn assert_send<T: Send>(future: T) -> T {
    future
}

#[test]
fn futures_that_wait_can_be_handed_to_a_loop() {
    let worker = LoopThread::spawn("worker").unwrap();
    let waits = assert_send(async {
        yield_now().await;
        let caught = catch_cancelled(sleep(Duration::from_nanos(1))).await;
        catch_cancelled(async { Cancelled::new("sent").raise().await }).await.unwrap_err();
        caught
    });
    assert_eq!(run_coroutine_threadsafe(waits, &worker).result(), Ok(Ok(())));
    let moment = Duration::from_nanos(1);
    let waits = assert_send(async move {
        let mut every = interval(moment);
        assert_eq!(timeout(Duration::MAX, every.tick()).await.map(|_| ()), Ok(()));
        assert_eq!(timeout_at(moment, sleep(Duration::MAX)).await, Err(TimedOut::default()));
        timeout(Duration::MAX, to_thread(|| 42)).await.map_err(|_| ())?.map_err(|_| ())
    });
    assert_eq!(run_coroutine_threadsafe(waits, &worker).result(), Ok(Ok(42)));
    assert_eq!(worker.block_on(run_coroutine_threadsafe(async { 1 }, &worker)), Ok(Ok(1)));
}

/// Polls a future once, in the task that awaits this, and gives it back.
async fn begun<F: Future + Unpin>(mut future: F) -> F {
    let is_pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx).is_pending())).await;
    assert!(is_pending);
    future
}

#[test]
fn a_timeout_that_is_dropped_in_another_thread_asks_its_task_for_nothing() {
    let ended = EventLoop::builder().virtual_time().run(async {
        let limited = begun(timeout(Duration::from_secs(1), sleep(Duration::MAX))).await;
        assert!(thread::spawn(move || drop(limited)).join().is_ok());
        sleep(Duration::from_secs(2)).await;
        current_task().ok().flatten().map(|task| task.cancelling())
    });
    assert_eq!(ended.ok(), Some(Some(0)));
}

#[test]
fn a_job_whose_wait_is_dropped_in_another_thread_is_taken_back() {
    let (go_on, told) = mpsc::channel::<()>();
    let (sender, done) = mpsc::channel();
    perloop::run(async move {
        let running = get_running_loop().expect("it runs");
        running.set_default_executor(ThreadPoolExecutor::builder().max_workers(1).build());
        let _first = running.run_in_executor(None, move || told.recv().is_ok()).expect("it is taken");
        let waits = begun(Box::pin(to_thread(move || sender.send("it ran")))).await;
        assert!(thread::spawn(move || drop(waits)).join().is_ok());
        // What comes to the loop later is done later.
        assert_eq!(run_coroutine_threadsafe(async {}, &running.handle()).await, Ok(()));
        go_on.send(()).expect("it waits");
    })
    .expect("it ends");
    assert_eq!(done.recv().ok(), None);
}

#[test]
fn who_waits_for_a_job_on_another_loop_than_before_is_told_so() {
    let worker = EventLoop::builder().name("worker");
    let worker = LoopThread::spawn_with("worker", worker).expect("there are threads");
    let outcome = EventLoop::builder().name("main loop").run(async {
        let (go_on, told) = mpsc::channel::<()>();
        let waits = begun(Box::pin(to_thread(move || told.recv().is_ok()))).await;
        let outcome = run_coroutine_threadsafe(waits, &worker).await;
        go_on.send(()).expect("it waits");
        outcome
    });
    let Ok(Ok(Err(JobError::WrongLoop(error)))) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("main loop") && error.to_string().contains("worker"), "{error}");
}
