//! Asynchronous generators: who runs the body, what a request does to it, and how it is closed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::StreamExt;
use perloop::{
    AsyncGenerator, EventLoop, ExceptionContext, ExceptionKind, GeneratorError, TaskError, async_gen,
    catch_cancelled, create_future, create_task, current_task, get_running_loop, new_event_loop, sleep,
    timeout, yield_now,
};

type Trace = Rc<RefCell<Vec<&'static str>>>;

/// Says something when it is dropped.
struct Says(&'static str, Trace);

impl Drop for Says {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

const MOMENT: Duration = Duration::from_millis(1);

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("it ends by itself")
}

/// Polls once, and says whether that was enough.
async fn polled(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// Counts, with a pause before each value, and says when it ends.
fn counter(trace: &Trace) -> AsyncGenerator<u32> {
    let says = Says("ended", Rc::clone(trace));
    async_gen(move |y| async move {
        let _says = says;
        for n in 0.. {
            sleep(MOMENT).await;
            y.yield_(n).await;
        }
    })
}

#[test]
fn the_body_runs_inside_of_whoever_asks() {
    run(async {
        let names = Rc::new(async_gen(|y| async move {
            loop {
                let name = current_task().expect("a loop runs").map(|task| task.name());
                y.yield_(name).await;
            }
        }));
        let own = get_running_loop().expect("it runs");
        for name in ["first", "second"] {
            let shared = Rc::clone(&names);
            let asked = own.create_named_task(name, async move { shared.anext().await }).expect("it is open");
            assert_eq!(asked.await, Ok(Ok(Some(Some(name.to_owned())))));
        }
    });
}

#[test]
fn a_question_that_is_given_up_loses_nothing() {
    let trace = Trace::default();
    run(async {
        let mut numbers = counter(&trace);
        for _ in 0..3 {
            assert!(!polled(pin!(numbers.next())).await, "it sleeps first");
        }
        assert_eq!(numbers.next().await, Some(0));
        assert_eq!(numbers.next().await, Some(1));
        assert!(trace.borrow().is_empty());
    });
}

#[test]
fn a_request_to_the_asking_task_ends_the_body_that_waits() {
    let trace = Trace::default();
    run(async {
        let numbers = Rc::new(counter(&trace));
        let shared = Rc::clone(&numbers);
        let asking = create_task(async move { shared.anext().await });
        yield_now().await;
        asking.cancel();
        assert!(asking.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(*trace.borrow(), ["ended"]);
        assert_eq!(numbers.anext().await, Ok(None));
    });
}

#[test]
fn a_request_between_two_values_reaches_the_task_and_not_the_body() {
    run(async {
        // The body waits at a `yield_` inside of a scope of its own, which was entered in this very task.
        let mut numbers = async_gen(|y| async move {
            let inside = catch_cancelled(async {
                y.yield_(1).await;
                y.yield_(2).await;
            });
            inside.await.expect("nobody asks the body to stop");
        });
        let task = create_task(async move {
            assert_eq!(numbers.next().await, Some(1));
            let caught = catch_cancelled(sleep(MOMENT)).await.is_err();
            (caught, numbers.next().await, numbers.next().await)
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await, Ok((true, Some(2), None)));
    });
}

#[test]
fn a_body_that_catches_the_request_may_yield_on() {
    run(async {
        let mut numbers = async_gen(|y| async move {
            let caught = catch_cancelled(sleep(Duration::MAX)).await.is_err();
            y.yield_(caught).await;
        });
        let task = create_task(async move { (numbers.next().await, numbers.next().await) });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await, Ok((Some(true), None)));
    });
}

#[test]
fn a_scope_around_the_question_is_not_asked_beside_the_bodys_own() {
    run(async {
        let mut numbers = async_gen(|y| async move {
            let caught = catch_cancelled(sleep(Duration::MAX)).await.is_err();
            sleep(MOMENT).await;
            y.yield_(caught).await;
        });
        let task = create_task(async move { catch_cancelled(numbers.next()).await });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await, Ok(Ok(Some(true))));
    });
}

#[test]
fn what_the_body_raises_ends_the_asking_task_unless_it_is_caught() {
    run(async {
        let raising =
            async_gen::<(), _, _>(|_| async { match perloop::Cancelled::new("enough").raise().await {} });
        let caught = catch_cancelled(raising.anext()).await.expect_err("it raises");
        assert_eq!(caught.message(), Some("enough"));
        assert_eq!(raising.anext().await, Ok(None));
    });
}

#[test]
fn a_panic_comes_out_where_the_value_was_asked_for_and_ends_the_generator() {
    let trace = Trace::default();
    run(async {
        let says = Says("dropped", Rc::clone(&trace));
        let failing = Rc::new(async_gen::<(), _, _>(|_| async move {
            let _says = says;
            panic!("out of paper")
        }));
        let shared = Rc::clone(&failing);
        let asked = create_task(async move { shared.anext().await });
        assert!(asked.await.is_err_and(|error| matches!(error, TaskError::Panicked(_))));
        assert_eq!(*trace.borrow(), ["dropped"]);
        assert_eq!(failing.anext().await, Ok(None));
        assert_eq!(failing.aclose().await, Ok(()));
    });
}

#[test]
fn nobody_asks_or_closes_while_somebody_else_does() {
    let trace = Trace::default();
    run(async {
        let numbers = Rc::new(counter(&trace));
        let shared = Rc::clone(&numbers);
        let asking = create_task(async move { shared.anext().await });
        yield_now().await;
        assert_eq!(numbers.anext().await, Err(GeneratorError::Running));
        assert_eq!(numbers.aclose().await, Err(GeneratorError::Running));
        assert_eq!(asking.await, Ok(Ok(Some(0))));
        assert_eq!(numbers.anext().await, Ok(Some(1)));
    });
}

#[test]
fn closing_runs_the_clean_up_inside_out_and_waits_for_it() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let generator = async_gen(move |y| async move {
            let _outer = Says("outer", Rc::clone(&own));
            let ended = catch_cancelled(async {
                let _inner = Says("inner", Rc::clone(&own));
                y.yield_(1).await;
            });
            assert!(ended.await.is_err_and(|cancelled| cancelled.is_generator_exit()));
            sleep(MOMENT).await;
            own.borrow_mut().push("cleaned up");
        });
        assert_eq!(generator.anext().await, Ok(Some(1)));
        assert_eq!(generator.aclose().await, Ok(()));
        assert_eq!(*trace.borrow(), ["inner", "cleaned up", "outer"]);
        assert_eq!(get_running_loop().expect("it runs").time(), MOMENT);
        assert_eq!(generator.aclose().await, Ok(()));
    });
}

#[test]
fn an_exit_that_is_raised_anew_ends_the_closing_and_not_the_task() {
    run(async {
        let generator = async_gen(|y| async move {
            if let Err(exit) = catch_cancelled(y.yield_(1)).await {
                exit.raise().await;
            }
        });
        assert_eq!(generator.anext().await, Ok(Some(1)));
        assert_eq!(catch_cancelled(generator.aclose()).await, Ok(Ok(())));
    });
}

#[test]
fn one_that_yields_when_it_is_closed_stays_open() {
    run(async {
        let generator = async_gen(|y| async move {
            for n in 1..=3 {
                drop(catch_cancelled(y.yield_(n)).await);
            }
        });
        assert_eq!(generator.anext().await, Ok(Some(1)));
        assert_eq!(generator.aclose().await, Err(GeneratorError::IgnoredExit));
        assert_eq!(generator.anext().await, Ok(Some(3)));
        assert_eq!(generator.aclose().await, Ok(()));
    });
}

#[test]
fn a_closing_that_is_given_up_is_taken_up_by_the_next() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let generator = async_gen(move |y| async move {
            drop(catch_cancelled(y.yield_(1)).await);
            sleep(MOMENT).await;
            own.borrow_mut().push("cleaned up");
        });
        assert_eq!(generator.anext().await, Ok(Some(1)));
        assert!(!polled(pin!(generator.aclose())).await);
        assert_eq!(generator.anext().await, Ok(None));
        assert_eq!(generator.aclose().await, Ok(()));
        assert_eq!(*trace.borrow(), ["cleaned up"]);
    });
}

#[test]
fn a_body_that_waits_where_it_was_left_is_closed_too() {
    let trace = Trace::default();
    run(async {
        let numbers = counter(&trace);
        assert!(!polled(pin!(numbers.anext())).await);
        assert_eq!(numbers.aclose().await, Ok(()));
        assert_eq!(*trace.borrow(), ["ended"]);
    });
}

#[test]
fn one_that_has_not_begun_is_closed_without_running() {
    run(async {
        let has_run = Rc::new(Cell::new(false));
        let flag = Rc::clone(&has_run);
        let generator = async_gen(move |y| async move {
            flag.set(true);
            y.yield_(1).await;
        });
        assert_eq!(generator.aclose().await, Ok(()));
        assert_eq!(generator.anext().await, Ok(None));
        assert!(!has_run.get());
    });
}

#[test]
fn run_closes_what_is_open_in_the_order_of_the_first_questions() {
    let trace = Trace::default();
    let says = |name| {
        let says = Says(name, Rc::clone(&trace));
        async_gen(move |y| async move {
            let _says = says;
            drop(catch_cancelled(y.yield_(())).await);
            yield_now().await;
        })
    };
    let (second, first) = (says("second"), says("first"));
    run(async {
        assert_eq!(first.anext().await, Ok(Some(())));
        assert_eq!(second.anext().await, Ok(Some(())));
    });
    assert_eq!(*trace.borrow(), ["first", "second"]);
}

#[test]
fn what_fails_while_it_is_closed_is_told_to_the_exception_handler() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let in_handler = Rc::clone(&told);
    let (failing, stubborn) = run(async {
        let own = get_running_loop().expect("it runs");
        own.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
            in_handler.borrow_mut().push((context.kind, context.message.clone()));
        }));
        let failing = async_gen(|y| async move {
            drop(catch_cancelled(y.yield_(())).await);
            panic!("out of paper");
        });
        let stubborn = async_gen(|y| async move {
            drop(catch_cancelled(y.yield_(())).await);
            y.yield_(()).await;
        });
        assert_eq!(failing.anext().await, Ok(Some(())));
        assert_eq!(stubborn.anext().await, Ok(Some(())));
        (failing, stubborn)
    });
    drop((failing, stubborn));
    let ignored = GeneratorError::IgnoredExit.to_string();
    assert_eq!(
        *told.borrow(),
        [(ExceptionKind::Asyncgen, "out of paper".to_owned()), (ExceptionKind::Asyncgen, ignored)]
    );
}

#[test]
fn one_that_is_dropped_open_is_closed_by_its_loop() {
    let trace = Trace::default();
    run(async {
        let own = Rc::clone(&trace);
        let mut generator = async_gen(move |y| async move {
            drop(catch_cancelled(y.yield_(1)).await);
            sleep(MOMENT).await;
            own.borrow_mut().push("cleaned up");
        });
        assert_eq!(generator.next().await, Some(1));
        drop(generator);
        sleep(2 * MOMENT).await;
        assert_eq!(*trace.borrow(), ["cleaned up"]);
    });
}

#[test]
fn on_a_loop_that_is_closed_it_is_dropped_where_it_stands() {
    let trace = Trace::default();
    let event_loop = new_event_loop().expect("a loop");
    let mut numbers = counter(&trace);
    assert_eq!(event_loop.run_until_complete(numbers.next()).expect("it runs"), Some(0));
    event_loop.close().expect("it does not run");
    assert!(trace.borrow().is_empty());
    drop(numbers);
    assert_eq!(*trace.borrow(), ["ended"]);
}

#[test]
fn a_timeout_around_a_question_ends_the_body_and_gives_timed_out() {
    let trace = Trace::default();
    run(async {
        let numbers = counter(&trace);
        let all = async { while numbers.anext().await.expect("nobody else asks").is_some() {} };
        assert!(timeout(5 * MOMENT, all).await.is_err());
        assert_eq!(*trace.borrow(), ["ended"]);
        assert_eq!(numbers.anext().await, Ok(None));
    });
}

#[test]
fn it_is_a_stream() {
    run(async {
        let numbers = async_gen(|y| async move {
            for n in 0..4 {
                sleep(MOMENT).await;
                y.yield_(n).await;
            }
        });
        let doubled: Vec<_> = numbers.map(|n| 2 * n).collect().await;
        assert_eq!(doubled, [0, 2, 4, 6]);
    });
}

#[test]
fn a_stream_that_is_left_while_it_waits_can_be_asked_otherwise() {
    let trace = Trace::default();
    run(async {
        let mut numbers = counter(&trace);
        assert!(!polled(pin!(StreamExt::next(&mut numbers))).await);
        assert_eq!(numbers.anext().await, Ok(Some(0)));
        assert_eq!(StreamExt::next(&mut numbers).await, Some(1));
    });
}

#[test]
fn two_yields_at_once_come_one_after_the_other() {
    run(async {
        let mut both = async_gen(|y| async move {
            futures_util::future::join(y.yield_(1), y.yield_(2)).await;
            y.yield_(3).await;
        });
        for n in 1..=3 {
            assert_eq!(both.next().await, Some(n));
        }
        assert_eq!(both.next().await, None);
    });
}

#[test]
fn a_value_that_nobody_got_goes_with_its_yield() {
    run(async {
        let mut numbers = async_gen(|y| async move {
            assert!(!polled(pin!(y.yield_(1))).await);
            y.yield_(2).await;
        });
        assert_eq!(numbers.next().await, Some(2));
        assert_eq!(numbers.next().await, None);
    });
}

#[test]
fn a_yield_outside_of_the_body_is_a_panic_that_says_so() {
    run(async {
        let mut generator = async_gen(|y| async move {
            let stray = create_task(async move { y.yield_(1).await });
            let error = stray.await.expect_err("nobody would hear of it");
            assert!(error.to_string().contains("elsewhere than in the generator's own body"), "{error}");
        });
        assert_eq!(generator.next().await, None);
    });
}

#[test]
fn a_body_that_asks_itself_is_told_that_it_runs() {
    run(async {
        let own: Rc<RefCell<Option<Rc<AsyncGenerator<_>>>>> = Rc::default();
        let inside = Rc::clone(&own);
        let generator = Rc::new(async_gen(move |y| async move {
            let myself = inside.take().expect("it was put there");
            let asked = myself.anext().await;
            y.yield_(asked.map(|_: Option<Result<(), GeneratorError>>| ())).await;
        }));
        own.replace(Some(Rc::clone(&generator)));
        assert_eq!(generator.anext().await, Ok(Some(Err(GeneratorError::Running))));
    });
}

#[test]
fn a_wait_for_a_future_in_the_body_is_asked_as_the_tasks_own() {
    run(async {
        let awaited = create_future::<()>();
        let source = awaited.clone();
        let generator = async_gen(move |y| async move { y.yield_(source.await.is_ok()).await });
        let task = create_task(async move { generator.anext().await });
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert!(awaited.cancelled(), "as in asyncio, where the task waits for it through the generator");
    });
}
