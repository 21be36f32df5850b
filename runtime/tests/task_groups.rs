//! Task groups: what the conformance cases cannot say.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use perloop::{
    EventLoop, GroupRefused, GroupedError, TaskGroup, catch_cancelled, create_task, current_task,
    new_event_loop, sleep, yield_now,
};

type Log = Rc<RefCell<Vec<&'static str>>>;

fn run<F: Future>(main: F) -> F::Output {
    EventLoop::builder().virtual_time().run(main).unwrap()
}

/// Says so when it is dropped.
struct Guard(Log, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

async fn hold(guard: Guard) {
    pending::<()>().await;
    drop(guard);
}

#[test]
fn errors_and_panics_stand_in_the_order_of_their_ends_and_the_bodys_last() {
    run(async {
        let group = TaskGroup::<&str>::new();
        let body = async {
            let _panics = group.create_task(async { panic!("first") });
            let _fails = group.try_create_task(async { Err::<(), _>("second") });
            yield_now().await;
            Err::<(), _>("body")
        };
        let failed = group.run(body).await.unwrap_err();
        assert_eq!(failed.to_string(), "3 errors in a task group: panicked: first; second; body");
        let [GroupedError::Panicked(_), second, body] = failed.errors() else { panic!("{failed:?}") };
        assert_eq!([second, body], [&GroupedError::Failed("second"), &GroupedError::Failed("body")]);
    });
}

#[test]
fn a_body_that_panics_waits_for_its_children_too() {
    run(async {
        let (group, log) = (TaskGroup::<Infallible>::new(), Log::default());
        let cleans_up = {
            let log = Rc::clone(&log);
            async move {
                assert!(catch_cancelled(pending::<()>()).await.is_err());
                sleep(Duration::from_secs(1)).await;
                log.borrow_mut().push("cleaned up");
            }
        };
        let body = async {
            group.create_task(cleans_up).unwrap();
            yield_now().await;
            if group.create_task(async {}).is_ok() {
                panic!("out of paper");
            }
            Ok(())
        };
        let failed = group.run(body).await.unwrap_err();
        assert_eq!(failed.to_string(), "1 error in a task group: panicked: out of paper");
        assert_eq!(*log.borrow(), ["cleaned up"]);
    });
}

#[test]
fn a_child_that_is_asked_to_stop_in_its_last_step_and_fails_has_failed() {
    run(async {
        let group = TaskGroup::<&str>::new();
        let body = async {
            let stop = group.clone();
            let child = async move {
                stop.cancel();
                Err::<(), _>("out of ink")
            };
            group.try_create_task(child).unwrap();
            Ok(())
        };
        assert_eq!(group.run(body).await.unwrap_err().into_errors(), [GroupedError::Failed("out of ink")]);
        assert_eq!(current_task().unwrap().unwrap().cancelling(), 0);
    });
}

#[test]
fn a_scope_that_is_dropped_asks_its_children_to_stop_and_takes_no_more() {
    run(async {
        let (group, log) = (TaskGroup::<Infallible>::new(), Log::default());
        let body = async {
            let held = Guard(Rc::clone(&log), "child");
            group.create_task(hold(held)).unwrap();
            pending::<Result<(), _>>().await
        };
        let mut scope = Box::pin(group.run(body));
        poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_pending())).await;
        yield_now().await;
        drop(scope); // it lost a race, say
        assert_eq!(group.create_task(async {}).unwrap_err(), GroupRefused::Finished);
        yield_now().await;
        assert_eq!(*log.borrow(), ["child"]);
    });
}

#[test]
fn a_scope_that_is_dropped_takes_its_request_back() {
    let count = run(async {
        let parent = create_task(async {
            let group = TaskGroup::<Infallible>::new();
            let own = current_task().unwrap().unwrap();
            let mut scope = Box::pin(group.run(pending::<Result<(), _>>()));
            poll_fn(|cx| Poll::Ready(Pin::new(&mut scope).poll(cx).is_pending())).await;
            group.cancel();
            let asked = own.cancelling();
            drop(scope);
            yield_now().await; // the request does not come
            (asked, own.cancelling())
        });
        parent.await
    });
    assert_eq!(count, Ok((1, 0)));
}

#[test]
fn a_loop_that_closes_leaves_nothing_of_its_groups() {
    let (group, log) = (TaskGroup::<Infallible>::new(), Log::default());
    let event_loop = new_event_loop().unwrap();
    let (inside, held) = (group.clone(), Guard(Rc::clone(&log), "child"));
    let scope = event_loop.create_task(async move {
        let body = async {
            inside.create_task(hold(held)).unwrap();
            pending::<Result<(), _>>().await
        };
        inside.run(body).await
    });
    event_loop.run_until_complete(async { sleep(Duration::from_millis(1)).await }).unwrap();
    event_loop.close().unwrap();
    drop((scope, event_loop));
    assert_eq!(*log.borrow(), ["child"]);
    assert_eq!(group.create_task(async {}).unwrap_err(), GroupRefused::Finished);
}

#[test]
fn what_is_refused_is_dropped_and_never_begins() {
    run(async {
        let (group, log) = (TaskGroup::<Infallible>::new(), Log::default());
        let early = group.create_task(hold(Guard(Rc::clone(&log), "early")));
        assert_eq!(early.unwrap_err(), GroupRefused::NotEntered);
        group.cancel();
        let body = async {
            let late = group.create_task(hold(Guard(Rc::clone(&log), "late")));
            assert_eq!(late.unwrap_err(), GroupRefused::ShuttingDown);
            pending::<Result<(), _>>().await
        };
        assert_eq!(group.run(body).await, Ok(None));
        assert_eq!(*log.borrow(), ["early", "late"]);
    });
}

#[test]
#[should_panic(expected = "a `TaskGroup` is run once; make another one")]
fn a_group_is_run_once() {
    run(async {
        let group = TaskGroup::<Infallible>::new();
        assert_eq!(group.run(async { Ok(1) }).await, Ok(Some(1)));
        let _second = group.run(async { Ok(2) }).await;
    });
}

#[test]
fn a_panic_that_the_group_gives_is_not_reported_as_well() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let reports = Rc::new(Cell::new(0));
    let count = Rc::clone(&reports);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &_| count.set(count.get() + 1)));
    let failed = event_loop.run_until_complete(async {
        let group = TaskGroup::<Infallible>::new();
        let body = async {
            drop(group.create_task(async { panic!("told") }));
            Ok(())
        };
        group.run(body).await
    });
    assert!(failed.unwrap().is_err());
    assert_eq!(reports.get(), 0);
}

#[test]
fn many_children_end_in_time_that_grows_with_their_number() {
    let sum = run(async {
        let (group, sum) = (TaskGroup::<Infallible>::new(), Rc::new(Cell::new(0_u64)));
        let body = async {
            for number in 0..100_000 {
                let sum = Rc::clone(&sum);
                group.create_task(async move { sum.set(sum.get() + number) }).unwrap();
            }
            Ok(())
        };
        group.run(body).await.unwrap();
        sum.get()
    });
    assert_eq!(sum, 100_000 * 99_999 / 2);
}

#[test]
fn a_cancelled_parent_gets_cancelled_when_its_children_have_ended_and_may_catch_it() {
    run(async {
        let log = Log::default();
        let inside = Rc::clone(&log);
        let parent = create_task(async move {
            let group = TaskGroup::<Infallible>::new();
            let body = async {
                group.create_task(hold(Guard(Rc::clone(&inside), "child"))).unwrap();
                Ok(())
            };
            let ended = catch_cancelled(group.run(body)).await;
            inside.borrow_mut().push("parent");
            ended.unwrap_err().message().map(str::to_owned)
        });
        yield_now().await;
        yield_now().await;
        parent.cancel_with("enough");
        assert_eq!(parent.await, Ok(Some("enough".to_owned())));
        assert_eq!(*log.borrow(), ["child", "parent"]);
    });
}

#[test]
fn nothing_is_added_once_the_last_child_has_ended_though_the_scope_still_stands() {
    run(async {
        let (group, refused) = (TaskGroup::<Infallible>::new(), Rc::new(Cell::new(None)));
        let body = async {
            let (late, said) = (group.clone(), Rc::clone(&refused));
            let child = group.create_task(sleep(Duration::from_secs(1))).unwrap();
            // It comes after the group's own callback, and before the scope goes on.
            child.add_done_callback(move |_| said.set(late.create_task(async {}).err()));
            Ok(())
        };
        assert_eq!(group.run(body).await, Ok(Some(())));
        assert_eq!(refused.get(), Some(GroupRefused::Finished));
    });
}

#[test]
fn a_panic_that_a_dropped_scope_never_saw_is_reported() {
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let reports = Rc::new(Cell::new(0));
    let count = Rc::clone(&reports);
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &_| count.set(count.get() + 1)));
    let ended = event_loop.run_until_complete(async {
        let group = TaskGroup::<Infallible>::new();
        let body = async {
            drop(group.create_task(async { panic!("told") }));
            pending::<Result<(), _>>().await
        };
        let mut scope = Box::pin(group.run(body));
        poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_pending())).await;
        yield_now().await; // the child has ended, and its callback comes behind this
        drop(scope);
        yield_now().await;
    });
    assert_eq!((ended.is_ok(), reports.get()), (true, 1));
}

#[test]
fn a_request_meets_a_scope_that_waits_beside_an_awaited_task() {
    run(async {
        let other = create_task(pending::<()>());
        let stop_other = (*other).clone();
        let log = Log::default();
        let held = Guard(Rc::clone(&log), "child");
        let parent = create_task(async move {
            let group = TaskGroup::<Infallible>::new();
            let body = async {
                drop(group.create_task(hold(held)));
                Ok(())
            };
            join(group.run(body), other).await
        });
        yield_now().await;
        yield_now().await;
        parent.cancel();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*log.borrow(), ["child"]);
        assert!(parent.cancelled() && !stop_other.done());
    });
}

#[test]
fn a_destructor_of_the_stopped_body_that_panics_is_an_error_of_the_group_and_the_children_are_waited_for() {
    struct Throws;
    impl Drop for Throws {
        fn drop(&mut self) {
            panic!("out of ink");
        }
    }
    run(async {
        let log = Log::default();
        let group = TaskGroup::<&str>::new();
        let body = async {
            let log = Rc::clone(&log);
            group.try_create_task(async { Err::<(), _>("out of paper") }).unwrap();
            let slow = async move {
                let _request = catch_cancelled(pending::<()>()).await;
                sleep(Duration::from_secs(1)).await;
                log.borrow_mut().push("cleaned up");
            };
            group.create_task(slow).unwrap();
            let _throws = Throws;
            pending::<Result<(), &str>>().await
        };
        let errors = group.run(body).await.unwrap_err().into_errors();
        assert_eq!(*log.borrow(), ["cleaned up"]);
        let [GroupedError::Failed("out of paper"), GroupedError::Panicked(panicked)] = &*errors else {
            panic!("{errors:?}")
        };
        assert_eq!(panicked.message(), "out of ink");
        assert_eq!(
            current_task().unwrap().unwrap().cancelling(),
            0,
            "the group's own request was taken back"
        );
    });
}

#[test]
fn a_group_stops_its_own_branch_of_a_task_and_no_other() {
    run(async {
        let fails = async {
            let group = TaskGroup::<&str>::new();
            group
                .run(async {
                    group.try_create_task(async { Err::<(), _>("out of paper") }).unwrap();
                    pending::<Result<(), _>>().await
                })
                .await
        };
        let goes_on = async {
            let group = TaskGroup::<&str>::new();
            group
                .run(async {
                    let child = group.create_task(sleep(Duration::from_secs(1))).unwrap();
                    sleep(Duration::from_secs(2)).await;
                    Ok(child.done())
                })
                .await
        };
        let (failed, went_on) = join(fails, goes_on).await;
        assert_eq!(failed.unwrap_err().into_errors(), [GroupedError::Failed("out of paper")]);
        assert_eq!(went_on, Ok(Some(true)));
        assert_eq!(current_task().unwrap().unwrap().cancelling(), 0);
    });
}
