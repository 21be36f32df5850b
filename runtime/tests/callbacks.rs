//! Callbacks: their order, taking them back, and who hears of their panics.

use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    EventLoop, ExceptionContext, ExceptionKind, LoopError, NoRunningLoop, TaskError, all_tasks, create_task,
    current_task, get_event_loop, get_running_loop, new_event_loop, set_event_loop, yield_now,
};

type Heard = Rc<RefCell<Vec<(ExceptionKind, String)>>>;

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time().build().unwrap()
}

/// Collects what the exception handler is told.
fn listen(event_loop: &EventLoop) -> Heard {
    let heard = Heard::default();
    let kept = Rc::clone(&heard);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        kept.borrow_mut().push((context.kind, context.message.clone()));
    }));
    heard
}

fn turn(event_loop: &EventLoop) {
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
}

#[test]
fn soon_comes_before_due_timers_which_come_by_deadline_and_then_by_creation() {
    let event_loop = virtual_loop();
    let order = Rc::new(RefCell::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Rc::clone(&order);
        move || order.borrow_mut().push(what)
    };
    event_loop.call_later(Duration::from_millis(2), note("2 ms")).unwrap();
    event_loop.call_later(Duration::from_millis(1), note("1 ms, first")).unwrap();
    event_loop.call_at(Duration::from_millis(1), note("1 ms, second")).unwrap();
    event_loop.call_later(Duration::ZERO, note("0 ms")).unwrap();
    event_loop.call_soon(note("soon, first")).unwrap();
    event_loop.call_soon(note("soon, second")).unwrap();
    event_loop.call_later(Duration::from_millis(2), note("2 ms, second")).unwrap();
    event_loop.run_until_complete(perloop::sleep(Duration::from_millis(3))).unwrap();
    let expected =
        ["soon, first", "soon, second", "0 ms", "1 ms, first", "1 ms, second", "2 ms", "2 ms, second"];
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn what_a_callback_queues_runs_in_the_next_turn() {
    let event_loop = new_event_loop().unwrap();
    let count = Rc::new(Cell::new(0));
    let (inner, counted) = (event_loop.clone(), Rc::clone(&count));
    event_loop
        .call_soon(move || {
            counted.set(1);
            let again = Rc::clone(&counted);
            inner.call_soon(move || again.set(2)).unwrap();
            inner.call_later(Duration::ZERO, move || counted.set(3)).unwrap();
        })
        .unwrap();
    turn(&event_loop);
    assert_eq!(count.get(), 1);
    turn(&event_loop);
    assert_eq!(count.get(), 3);
}

#[test]
fn a_cancelled_callback_is_dropped_at_once_and_never_runs() {
    let event_loop = virtual_loop();
    let witness = Rc::new(());
    let keep = || {
        let witness = Rc::clone(&witness);
        move || drop(witness)
    };
    let soon = event_loop.call_soon(keep()).unwrap();
    let later = event_loop.call_later(Duration::from_secs(1), keep()).unwrap();
    assert!(!soon.cancelled() && !later.cancelled());
    assert_eq!((later.when(), Rc::strong_count(&witness)), (Duration::from_secs(1), 3));
    soon.cancel();
    later.clone().cancel();
    later.cancel();
    assert!(soon.cancelled() && later.cancelled());
    assert_eq!(Rc::strong_count(&witness), 1);
    turn(&event_loop);
    assert_eq!(event_loop.next_deadline(), None);
    event_loop.close().unwrap();
    later.cancel();
}

#[test]
fn a_callback_can_take_back_another_one_of_the_same_turn() {
    let event_loop = new_event_loop().unwrap();
    let slot = Rc::new(RefCell::new(None::<perloop::Handle>));
    let taken = Rc::clone(&slot);
    event_loop.call_soon(move || taken.take().unwrap().cancel()).unwrap();
    slot.replace(Some(event_loop.call_soon(|| panic!("it was taken back")).unwrap()));
    let heard = listen(&event_loop);
    turn(&event_loop);
    assert!(heard.borrow().is_empty());
}

#[test]
fn panics_of_callbacks_go_to_the_handler_and_the_loop_goes_on() {
    let event_loop = virtual_loop();
    let heard = listen(&event_loop);
    event_loop.call_soon(|| resume_unwind(Box::new("soon"))).unwrap();
    event_loop.call_later(Duration::from_secs(1), || resume_unwind(Box::new("later"))).unwrap();
    event_loop.handle().call_soon_threadsafe(|| resume_unwind(Box::new("threadsafe"))).unwrap();
    let task = event_loop.create_task(async {}).unwrap();
    task.add_done_callback(|_| resume_unwind(Box::new("done")));
    event_loop.run_until_complete(perloop::sleep(Duration::from_secs(2))).unwrap();
    let messages: Vec<_> = heard.borrow().iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(messages, ["soon", "threadsafe", "done", "later"]);
    assert!(heard.borrow().iter().all(|(kind, _)| *kind == ExceptionKind::Callback));
}

#[test]
fn a_handler_that_panics_harms_nobody() {
    let event_loop = new_event_loop().unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| {
        resume_unwind(Box::new("the handler's"));
    }));
    event_loop.call_soon(|| resume_unwind(Box::new("the callback's"))).unwrap();
    event_loop.run_until_complete(yield_now()).unwrap();
    assert!(!event_loop.is_closed());
}

#[test]
fn a_handler_may_use_and_replace_itself_on_the_loop() {
    let event_loop = new_event_loop().unwrap();
    let later = Rc::new(RefCell::new(Heard::default()));
    let kept = Rc::clone(&later);
    event_loop.set_exception_handler(Some(move |event_loop: &EventLoop, _: &ExceptionContext| {
        kept.replace(listen(event_loop));
        event_loop.call_soon(|| resume_unwind(Box::new("second"))).unwrap();
    }));
    event_loop.call_soon(|| resume_unwind(Box::new("first"))).unwrap();
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    assert_eq!(*later.borrow().borrow(), [(ExceptionKind::Callback, "second".to_owned())]);
}

#[test]
fn a_task_s_panic_is_told_when_its_last_handle_goes_and_nobody_has_asked() {
    let event_loop = new_event_loop().unwrap();
    let heard = listen(&event_loop);
    let fail = || event_loop.create_task(async { resume_unwind(Box::new("lost")) }).unwrap();
    let (kept, asked, detached): (perloop::Task<()>, perloop::Task<()>, perloop::Task<()>) =
        (fail(), fail(), fail());
    drop(detached);
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    assert_eq!(heard.take().len(), 1);
    assert!(matches!(asked.result(), Err(TaskError::Panicked(panicked)) if panicked.message() == "lost"));
    drop(asked);
    assert_eq!(heard.take(), []);
    let clone = (*kept).clone();
    drop(kept);
    assert_eq!(heard.take(), []);
    drop(clone);
    let told = heard.take();
    assert_eq!(told.len(), 1);
    assert!(told[0].0 == ExceptionKind::NeverRetrieved && told[0].1.contains("lost"), "{told:?}");
}

#[test]
fn a_panic_that_somebody_awaits_or_submitted_is_not_told() {
    let event_loop = new_event_loop().unwrap();
    let heard = listen(&event_loop);
    let submitted =
        perloop::run_coroutine_threadsafe(async { resume_unwind(Box::new("read")) }, &event_loop.handle());
    let outcome = event_loop.run_until_complete(async {
        let task: perloop::Task<()> = create_task(async { resume_unwind(Box::new("awaited")) });
        assert!(task.await.is_err());
        let outcome: Result<(), _> = submitted.await;
        outcome
    });
    assert!(outcome.unwrap().is_err());
    assert_eq!(heard.take(), []);
}

#[test]
fn a_done_callback_of_a_task_that_is_done_is_queued_on_the_task_s_own_loop() {
    let event_loop = new_event_loop().unwrap();
    let task = event_loop.create_task(async { 1 }).unwrap();
    event_loop.run_until_complete(async { yield_now().await }).unwrap();
    let called = Rc::new(Cell::new(false));
    let flag = Rc::clone(&called);
    task.add_done_callback(move |task| flag.set(task.done()));
    assert!(!called.get());
    let other = new_event_loop().unwrap();
    other.run_until_complete(async { yield_now().await }).unwrap();
    assert!(!called.get());
    turn(&event_loop);
    assert!(called.get());
}

#[test]
fn outside_of_a_loop_nothing_is_current() {
    assert_eq!(get_running_loop().unwrap_err(), NoRunningLoop::default());
    assert!(current_task().is_err() && all_tasks().is_err());
    let event_loop = new_event_loop().unwrap();
    let in_callback = Rc::new(Cell::new(false));
    let flag = Rc::clone(&in_callback);
    let tasks = event_loop.run_until_complete(async {
        assert_eq!(current_task().unwrap().unwrap().name(), "Task-1");
        let check = move || flag.set(current_task().unwrap().is_none() && all_tasks().unwrap().len() == 1);
        get_running_loop().unwrap().call_soon(check).unwrap();
        yield_now().await;
        all_tasks().unwrap().len()
    });
    assert!(in_callback.get());
    assert_eq!(tasks.unwrap(), 1);
    assert!(get_running_loop().is_err());
}

#[test]
fn the_current_loop_is_the_running_one_or_the_one_that_was_set() {
    let (set, other) = (new_event_loop().unwrap(), new_event_loop().unwrap());
    assert_eq!(get_event_loop().unwrap_err().thread_name(), std::thread::current().name().unwrap());
    assert!(set_event_loop(Some(&set)).is_none());
    assert_eq!(get_event_loop().unwrap(), set);
    assert_eq!(other.run_until_complete(async { get_event_loop().unwrap() }).unwrap(), other);
    assert!(std::thread::spawn(|| get_event_loop().is_err()).join().unwrap());
    set.close().unwrap();
    assert_eq!(get_event_loop().unwrap(), set);
    assert_eq!(set_event_loop(None), Some(set));
    assert!(get_event_loop().is_err());
}

#[test]
fn a_closed_loop_says_so_by_name() {
    let event_loop = EventLoop::builder().name("shut").build().unwrap();
    event_loop.close().unwrap();
    event_loop.close().unwrap();
    assert_eq!(event_loop.call_soon(|| ()).unwrap_err().loop_name(), "shut");
    assert_eq!(event_loop.call_at(Duration::ZERO, || ()).unwrap_err().loop_name(), "shut");
    assert_eq!(event_loop.create_task(async {}).unwrap_err().loop_name(), "shut");
    assert!(event_loop.add_reader(std::io::stdin(), || ()).is_err());
    assert!(!event_loop.remove_reader(std::io::stdin()));
    let error = event_loop.run_until_complete(async {}).unwrap_err();
    assert!(matches!(&error, LoopError::Closed(closed) if closed.loop_name() == "shut"), "{error:?}");
}

#[test]
fn a_task_of_another_loop_cannot_be_awaited() {
    let (one, other) = (EventLoop::builder().name("one").build().unwrap(), new_event_loop().unwrap());
    let task = one.create_task(async {}).unwrap();
    let error = other.run_until_complete(task).unwrap().unwrap_err();
    assert!(matches!(&error, TaskError::WrongLoop(_)) && error.to_string().contains("'one'"), "{error}");
}

#[test]
fn a_done_callback_of_a_task_that_never_ended_is_dropped_with_its_loop() {
    let event_loop = perloop::new_event_loop().unwrap();
    let task = event_loop.create_task(std::future::pending::<()>()).unwrap();
    let alive = Rc::new(());
    let captured = Rc::clone(&alive);
    task.add_done_callback(move |_| drop(captured));
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    drop(task);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_run_that_was_stopped_does_not_stop_a_later_one() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let task = event_loop.create_task(perloop::sleep(Duration::from_secs(1))).unwrap();
    event_loop.stop();
    assert!(event_loop.run_until_done(&task).is_err());
    let later = event_loop.run_until_complete(async {
        perloop::sleep(Duration::from_secs(9)).await;
        42
    });
    assert_eq!(later.unwrap(), 42);
    let handle = event_loop.handle();
    drop((task, event_loop));
    assert!(handle.is_closed(), "nothing keeps the loop");
}
