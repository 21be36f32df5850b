//! Context variables: who sees what was set where.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use perloop::{
    Context, ContextVar, EventLoop, LoopThread, ResetError, Runner, TaskGroup, copy_context, create_future,
    create_task, get_running_loop, new_event_loop, run, run_coroutine_threadsafe, sleep, to_thread,
    yield_now,
};

static USER: ContextVar<&str> = ContextVar::new("user");
static NUMBER: ContextVar<u32> = ContextVar::with_default("number", 7);

fn virtually<F: Future>(main: F) -> F::Output {
    EventLoop::builder().virtual_time().run(main).unwrap()
}

#[test]
fn a_task_begins_with_what_was_set_where_it_was_made_and_keeps_what_it_sets() {
    virtually(async {
        USER.set("main");
        let first = create_task(async {
            assert_eq!(USER.get(), Some("main"));
            USER.set("first");
            yield_now().await;
            assert_eq!(USER.get(), Some("first"));
            sleep(Duration::from_secs(1)).await;
            let child = create_task(async { USER.get() });
            USER.set("later");
            assert_eq!(child.await, Ok(Some("first")));
            USER.get()
        });
        USER.set("changed");
        yield_now().await;
        assert_eq!(USER.get(), Some("changed"));
        assert_eq!(first.await, Ok(Some("later")));
        assert_eq!(USER.get(), Some("changed"));
    });
    assert_eq!(USER.get(), None);
}

#[test]
fn a_future_that_is_awaited_directly_shares_the_context() {
    virtually(async {
        async { USER.set("inner") }.await;
        assert_eq!(USER.get(), Some("inner"));
    });
}

#[test]
fn children_of_a_group_have_the_context_of_where_they_were_made() {
    virtually(async {
        let group = TaskGroup::new();
        let children = group.run(async {
            USER.set("a");
            let a = group.create_task(async { USER.get() }).unwrap();
            USER.set("b");
            let b = group.create_task(async { USER.get() }).unwrap();
            Ok::<_, std::convert::Infallible>((a, b))
        });
        let (a, b) = children.await.unwrap().expect("nobody cancelled it");
        assert_eq!((a.await, b.await), (Ok(Some("a")), Ok(Some("b"))));
    });
}

#[test]
fn a_default_is_there_where_nothing_was_set() {
    assert_eq!(NUMBER.get(), Some(7));
    virtually(async {
        let token = NUMBER.set(8);
        assert_eq!((NUMBER.get(), token.old_value()), (Some(8), None));
        USER.set("other");
        NUMBER.reset(token).unwrap();
        assert_eq!((NUMBER.get(), USER.get()), (Some(7), Some("other")));
    });
}

#[test]
fn callbacks_timers_done_callbacks_and_readers_see_where_they_were_given() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |what| {
        let seen = Rc::clone(&seen);
        move || seen.borrow_mut().push((what, USER.get()))
    };
    let (mut here, mut there) = UnixStream::pair().unwrap();
    run(async {
        let running = get_running_loop().unwrap();
        let (done, future) = (create_task(async {}), create_future());
        running.call_soon(note("before")).unwrap();
        USER.set("set");
        running.call_soon(note("soon")).unwrap();
        running.call_later(Duration::from_millis(1), note("later")).unwrap();
        running.handle().call_soon_threadsafe(note_send()).unwrap();
        let (of_task, of_future, of_reader) = (note("task"), note("future"), note("reader"));
        done.add_done_callback(move |_| of_task());
        future.add_done_callback(move |_| of_future());
        let source = here.try_clone().unwrap();
        running
            .add_reader(&source, move || {
                here.read_exact(&mut [0]).unwrap();
                of_reader();
            })
            .unwrap();
        USER.set("changed");
        future.set_result(()).unwrap();
        there.write_all(b"!").unwrap();
        sleep(Duration::from_millis(20)).await;
        running.remove_reader(&source);
    })
    .unwrap();
    let mut seen = seen.take();
    seen.sort_unstable();
    let expected =
        [("before", None), ("future", Some("set")), ("later", Some("set")), ("reader", Some("set"))];
    assert_eq!(seen[..4], expected);
    assert_eq!(seen[4..], [("soon", Some("set")), ("task", Some("set"))]);
}

fn note_send() -> impl FnOnce() + Send {
    || assert_eq!(USER.get(), Some("set"))
}

#[test]
fn what_a_callback_sets_nobody_else_sees() {
    run(async {
        let running = get_running_loop().unwrap();
        let task = create_task(async {
            yield_now().await;
            USER.get()
        });
        let set = || drop(USER.set("leaked"));
        running.call_soon(set).unwrap();
        running.handle().call_soon_threadsafe(set).unwrap();
        running.call_soon(|| assert_eq!(USER.get(), None)).unwrap();
        task.add_done_callback(move |_| set());
        yield_now().await;
        assert_eq!(USER.get(), None);
        assert_eq!(task.await, Ok(None));
        yield_now().await;
        assert_eq!(USER.get(), None);
    })
    .unwrap();
}

#[test]
fn a_task_sees_what_was_set_when_it_was_made_and_not_when_the_loop_runs() {
    let event_loop = new_event_loop().unwrap();
    let early = event_loop.create_task(async { USER.get() }).unwrap();
    USER.set("outside");
    let late = event_loop.create_task(async { USER.get() }).unwrap();
    let main = async {
        assert_eq!((early.await, late.await), (Ok(None), Ok(Some("outside"))));
        USER.set("main");
    };
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(USER.get(), Some("outside"));
}

#[test]
fn what_is_handed_to_another_thread_takes_the_values_along() {
    let worker = LoopThread::spawn("worker").unwrap();
    USER.set("caller");
    let look = || async { USER.get() };
    assert_eq!(run_coroutine_threadsafe(look(), &worker).result(), Ok(Some("caller")));
    assert_eq!(worker.run_with(look).result(), Ok(Some("caller")));
    assert_eq!(worker.block_on(look()), Ok(Some("caller")));
    assert_eq!(worker.try_submit(look()).unwrap().result(), Ok(Some("caller")));
    assert_eq!(worker.scope(|scope| scope.submit(look()).result()).unwrap(), Ok(Some("caller")));
    let (sender, receiver) = mpsc::channel();
    worker.call_soon_threadsafe(move || sender.send(USER.get()).unwrap()).unwrap();
    assert_eq!(receiver.recv(), Ok(Some("caller")));
    // And nothing of it stays there.
    let bare = std::thread::spawn(move || worker.block_on(look()));
    assert_eq!(bare.join().unwrap(), Ok(None));
}

#[test]
fn what_a_pool_runs_takes_the_values_along_and_leaves_none_there() {
    run(async {
        USER.set("caller");
        let job = || {
            let seen = USER.get();
            USER.set("job");
            seen
        };
        assert_eq!(to_thread(job).await.unwrap(), Some("caller"));
        assert_eq!(USER.get(), Some("caller"));
        let bare = create_task(async { to_thread(|| USER.get()).await.unwrap() });
        assert_eq!(bare.await, Ok(Some("caller")));
    })
    .unwrap();
    assert_eq!(run(async { to_thread(|| USER.get()).await.unwrap() }).unwrap(), None);
}

#[test]
fn a_callback_that_is_refused_comes_back_though_values_went_along() {
    let event_loop = new_event_loop().unwrap();
    let handle = event_loop.handle();
    event_loop.close().unwrap();
    USER.set("caller");
    let refused = handle.call_soon_threadsafe(|| drop(USER.set("ran"))).unwrap_err();
    assert_eq!(USER.get(), Some("caller"));
    refused.into_inner()();
    assert_eq!(USER.get(), Some("ran"));
}

#[test]
fn a_reset_brings_back_what_was_there_and_only_in_its_own_context() {
    virtually(async {
        let first = USER.set("first");
        let second = USER.set("second");
        USER.reset(second).unwrap();
        assert_eq!(USER.get(), Some("first"));
        USER.reset(first).unwrap();
        assert_eq!(USER.get(), None);

        let of_main = USER.set("main");
        let elsewhere = create_task(async { USER.reset(of_main) });
        assert_eq!(elsewhere.await, Ok(Err(ResetError::OtherContext("user"))));
        let token = USER.set("again");
        let elsewhere = copy_context().run(|| USER.reset(token));
        assert_eq!(elsewhere, Err(ResetError::OtherContext("user")));
        assert_eq!(USER.get(), Some("again"));
    });
}

#[test]
fn a_context_keeps_what_runs_in_it_sets_also_if_that_panics() {
    let mut context = Context::new();
    USER.set("outside");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        context.run(|| {
            assert_eq!(USER.get(), None);
            USER.set("inside");
            resume_unwind(Box::new("meant"));
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(USER.get(), Some("outside"));
    let copy = context.clone();
    context.run(|| drop(USER.set("changed")));
    assert_eq!(context.run(|| USER.get()), Some("changed"));
    let in_thread = std::thread::spawn(move || copy.clone().run(|| USER.get()));
    assert_eq!(in_thread.join().unwrap(), Some("inside"));
}

#[test]
fn a_runner_keeps_the_context_of_its_mains_also_of_those_that_panic() {
    USER.set("outside");
    let runner = Runner::new();
    assert_eq!(runner.run(async { USER.get() }).unwrap(), Some("outside"));
    runner.run(async { drop(USER.set("first")) }).unwrap();
    let panics = async {
        assert_eq!(USER.get(), Some("first"));
        USER.set("second");
        resume_unwind(Box::new("meant"));
    };
    assert!(catch_unwind(AssertUnwindSafe(|| runner.run(panics))).is_err());
    assert_eq!(runner.run(async { USER.get() }).unwrap(), Some("second"));
    assert_eq!(USER.get(), Some("outside"));
}

/// Uses variables when it is dropped.
#[derive(Clone)]
struct Meddler {
    _held: Arc<()>,
}

static MEDDLER: ContextVar<Meddler> = ContextVar::new("meddler");

impl Drop for Meddler {
    fn drop(&mut self) {
        let _old = USER.get();
        USER.set("meddled");
    }
}

#[test]
fn values_are_dropped_with_the_last_who_has_them_and_their_destructors_may_use_variables() {
    let held = Arc::new(());
    let count = || Arc::strong_count(&held);
    let event_loop = new_event_loop().unwrap();
    let main = async {
        MEDDLER.set(Meddler { _held: Arc::clone(&held) });
        MEDDLER.set(Meddler { _held: Arc::clone(&held) });
        assert_eq!(count(), 2, "the first one is replaced");
        let task = create_task(async { yield_now().await });
        get_running_loop().unwrap().call_soon(|| drop(MEDDLER.get().unwrap())).unwrap();
        task.await.unwrap();
    };
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(count(), 1);
    run_coroutine_threadsafe(
        async { drop(MEDDLER.set(Meddler { _held: Arc::default() })) },
        &event_loop.handle(),
    );
    event_loop.close().unwrap();
}

#[test]
fn a_step_that_is_cancelled_or_panics_leaves_no_values_behind() {
    run(async {
        let dropped_in = Rc::new(Cell::new(None));
        let seen = Rc::clone(&dropped_in);
        let task = create_task(async move {
            USER.set("task");
            let _looks = Looks(seen);
            std::future::pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
        assert_eq!(dropped_in.get(), Some("task"), "destructors see the task's context");
        let failing = create_task(async {
            USER.set("fails");
            resume_unwind(Box::new("meant"));
        });
        let _: Result<(), _> = failing.await;
        assert_eq!(USER.get(), None);
        get_running_loop().unwrap().call_soon(|| assert_eq!(USER.get(), None)).unwrap();
        yield_now().await;
    })
    .unwrap();
}

struct Looks(Rc<Cell<Option<&'static str>>>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.set(USER.get());
    }
}
