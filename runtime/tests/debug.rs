//! Debug mode: what is told of slow callbacks and steps, and when nothing is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{Location, resume_unwind};
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use perloop::{
    EventLoop, LoopThread, NotHome, SlowCallback, create_task, get_running_loop, new_event_loop,
    run_coroutine_threadsafe, sleep, yield_now,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const SLOW: Duration = Duration::from_millis(100);

/// What a loop told: how long, whose, and from which line.
type Told = Rc<RefCell<Vec<(u128, Option<String>, Option<u32>)>>>;

fn listen(event_loop: &EventLoop) -> Told {
    let told = Told::default();
    let log = Rc::clone(&told);
    event_loop.set_slow_callback_handler(Some(move |_: &EventLoop, slow: &SlowCallback| {
        let name = slow.task.as_ref().map(|task| task.name());
        log.borrow_mut().push((slow.took.as_millis(), name, slow.created_at.map(Location::line)));
    }));
    told
}

/// A loop in debug mode, on virtual time.
fn debugged() -> (EventLoop, Told) {
    let event_loop = EventLoop::builder().virtual_time().debug(true).build().unwrap();
    let told = listen(&event_loop);
    (event_loop, told)
}

/// As if it took long.
fn dawdle(time: Duration) {
    get_running_loop().unwrap().advance(time);
}

#[test]
fn a_slow_step_is_told_with_its_task_and_the_task_s_place_of_creation() {
    let (event_loop, told) = debugged();
    let body = async {
        sleep(Duration::from_secs(1)).await; // waiting is not running
        dawdle(SLOW);
        yield_now().await;
        dawdle(SLOW - Duration::from_millis(1));
    };
    let (task, line) = (event_loop.create_named_task("reader", body).unwrap(), line!());
    event_loop.run_until_complete(task).unwrap().unwrap();
    assert_eq!(*told.borrow(), [(100, Some("reader".to_owned()), Some(line))]);
}

fn reads_slowly(mut source: UnixStream) -> impl FnMut() + 'static {
    move || {
        source.read_exact(&mut [0]).unwrap();
        dawdle(SLOW);
    }
}

#[test]
fn each_kind_of_callback_is_told_with_the_place_where_it_was_given() {
    let (event_loop, told) = debugged();
    let slow = || dawdle(SLOW);
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"!").unwrap();
    let mut lines = Vec::new();
    event_loop.call_soon(slow).unwrap();
    lines.push(line!() - 1);
    event_loop.call_later(Duration::from_secs(1), slow).unwrap();
    lines.push(line!() - 1);
    event_loop.create_task(async {}).unwrap().add_done_callback(move |_| slow());
    lines.push(line!() - 1);
    let future = event_loop.create_future();
    future.add_done_callback(move |_| slow());
    lines.push(line!() - 1);
    event_loop.handle().call_soon_threadsafe(slow).unwrap();
    lines.push(line!() - 1);
    event_loop.add_reader(here.try_clone().unwrap(), reads_slowly(here)).unwrap();
    lines.push(line!() - 1);
    future.set_result(()).unwrap();
    event_loop.run_until_complete(sleep(Duration::from_secs(5))).unwrap();
    let mut found: Vec<_> = told.borrow().iter().map(|(_, _, line)| line.unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, lines);
    assert!(told.borrow().iter().all(|(took, name, _)| (*took, name) == (100, &None)));
}

#[test]
fn a_submission_s_slow_step_names_the_place_of_the_submission() {
    let (event_loop, told) = debugged();
    let future = run_coroutine_threadsafe(async { dawdle(SLOW) }, &event_loop.handle());
    let line = line!() - 1;
    event_loop.run_until_complete(sleep(Duration::from_secs(1))).unwrap();
    assert_eq!(future.result(), Ok(()));
    assert_eq!(*told.borrow(), [(100, Some("Task-2".to_owned()), Some(line))]);
}

#[test]
fn without_debug_mode_nothing_is_told() {
    let event_loop = EventLoop::builder().virtual_time().debug(false).build().unwrap();
    let told = listen(&event_loop);
    event_loop.run_until_complete(async { dawdle(10 * SLOW) }).unwrap();
    assert!(told.borrow().is_empty());
}

#[test]
fn the_mode_counts_if_it_is_on_when_a_callback_begins() {
    let event_loop = EventLoop::builder().virtual_time().debug(false).build().unwrap();
    let told = listen(&event_loop);
    let main = async {
        let running = get_running_loop().unwrap();
        for (switches_to, time) in [(true, 150), (false, 250), (true, 350)] {
            running.set_debug(switches_to);
            dawdle(Duration::from_millis(time));
            yield_now().await;
        }
    };
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(told.borrow().iter().map(|told| told.0).collect::<Vec<_>>(), [250]);
}

#[test]
fn what_is_slow_can_be_set() {
    let (event_loop, told) = debugged();
    event_loop.set_slow_callback_duration(Duration::from_millis(5));
    event_loop.run_until_complete(async { dawdle(Duration::from_millis(5)) }).unwrap();
    event_loop.set_slow_callback_duration(Duration::from_secs(5));
    event_loop.run_until_complete(async { dawdle(Duration::from_secs(4)) }).unwrap();
    assert_eq!(told.borrow().len(), 1);
}

#[test]
fn the_handler_may_use_the_loop_and_panic() {
    let (event_loop, _) = debugged();
    let calls = Rc::new(Cell::new(0));
    let in_handler = Rc::clone(&calls);
    event_loop.set_slow_callback_handler(Some(move |own: &EventLoop, _: &SlowCallback| {
        let calls = Rc::clone(&in_handler);
        own.call_soon(move || calls.set(calls.get() + 1)).unwrap();
        own.set_slow_callback_handler(None::<fn(&EventLoop, &SlowCallback)>);
        resume_unwind(Box::new("meant"));
    }));
    let main = async {
        dawdle(SLOW);
        yield_now().await;
        yield_now().await;
    };
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn the_handler_is_dropped_with_its_loop() {
    let (event_loop, told) = debugged();
    assert_eq!(Rc::strong_count(&told), 2);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&told), 1);
}

#[test]
fn debug_mode_changes_no_order() {
    let trace_with = |debug| {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let event_loop = EventLoop::builder().virtual_time().debug(debug).build().unwrap();
        let log = Rc::clone(&trace);
        let main = async move {
            for n in 0..3_u64 {
                let log = Rc::clone(&log);
                create_task(async move {
                    sleep(Duration::from_millis(3 - n)).await;
                    log.borrow_mut().push(n);
                });
            }
            sleep(Duration::from_millis(10)).await;
        };
        event_loop.run_until_complete(main).unwrap();
        trace.take()
    };
    assert_eq!(trace_with(true), trace_with(false));
}

/// Sends the text of each warning.
struct Warnings(Sender<String>);

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.send(format!("{value:?}")).expect("the test listens");
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target() == "perloop"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self(self.0.clone()));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn without_a_handler_it_is_a_warning_event() {
    let (sender, warnings) = channel();
    let event_loop = EventLoop::builder().virtual_time().debug(true).build().unwrap();
    let task = event_loop.create_named_task("reader", async { dawdle(SLOW) }).unwrap();
    let place = task.created_at().to_string();
    tracing::subscriber::with_default(Warnings(sender), || event_loop.run_once(None)).unwrap();
    let told = warnings.try_recv().unwrap();
    let expected =
        format!("a step of task 'reader', created at {place}, took 100ms; meanwhile nothing else ran");
    assert_eq!(told, expected);
}

const EXPECTED: &str = "PERLOOP_TEST_EXPECTS_DEBUG";

/// Run by the next test in processes of its own.
#[test]
fn in_this_process_the_mode_is_as_the_environment_says() {
    let Ok(expected) = std::env::var(EXPECTED) else { return };
    assert_eq!(new_event_loop().unwrap().get_debug().to_string(), expected);
    assert!(EventLoop::builder().debug(true).build().unwrap().get_debug());
    assert!(!EventLoop::builder().debug(false).build().unwrap().get_debug());
}

#[test]
fn the_environment_switches_it_on_for_who_does_not_say_otherwise() {
    for (value, expected) in [(None, "false"), (Some(""), "false"), (Some("1"), "true")] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "in_this_process_the_mode_is_as_the_environment_says"]);
        child.env(EXPECTED, expected).env_remove("PERLOOP_DEBUG");
        child.envs(value.map(|value| ("PERLOOP_DEBUG", value)));
        assert!(child.output().unwrap().status.success(), "{value:?}");
    }
}

#[test]
fn a_handle_gives_its_loop_in_the_loop_s_own_thread_and_nowhere_else() {
    let worker = LoopThread::spawn("worker").unwrap();
    assert_eq!(worker.event_loop(), Err(NotHome::WrongThread("worker".to_owned())));
    let handle = worker.handle();
    let is_it = worker.block_on(async { handle.event_loop().unwrap() == get_running_loop().unwrap() });
    assert_eq!(is_it, Ok(true));
    let event_loop = new_event_loop().unwrap();
    let handle = event_loop.handle();
    drop(event_loop);
    assert!(matches!(handle.event_loop(), Err(NotHome::Closed(_))));
}

#[test]
#[should_panic(expected = "only virtual time can be moved")]
fn a_real_clock_cannot_be_moved() {
    new_event_loop().unwrap().advance(SLOW);
}
