//! How a simulation ends when something in it does not: deadlocks, tasks without an end, loops that die, waits that block.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    Actor, ActorBuilder, ActorContext, AskError, CrossThreadFuture, EventLoop, ExceptionContext, FutureError,
    Handler, LoopHandle, PanicPolicy, RunError, Simulation, SimulationError, SubmitLimit, catch_cancelled,
    create_actor, create_future, create_task, get_running_loop, run_coroutine_threadsafe, sleep,
    thread_queue, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

fn two() -> Simulation {
    Simulation::seeded(1)
}

fn names(outcome: Result<(), SimulationError>) -> Vec<String> {
    match outcome {
        Err(SimulationError::Deadlock(pending)) => {
            pending.iter().map(|task| format!("{}/{}", task.event_loop, task.task)).collect()
        }
        other => panic!("{other:?} instead of a deadlock"),
    }
}

fn submit<F>(future: F, on: Option<&LoopHandle>) -> CrossThreadFuture<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    run_coroutine_threadsafe(future, on.unwrap())
}

struct Silent;
struct Message;

impl Actor for Silent {}
impl Handler<Message> for Silent {
    type Reply = ();

    async fn handle(&mut self, _: Message, _: &mut ActorContext<Self>) {
        std::future::pending().await
    }
}

#[test]
fn a_deadlock_names_who_waits() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let outcome = two().run(|group| async move {
        let guard = Flag(flag);
        let silent = ActorBuilder::new().name("silent").create_on(group.get(1).unwrap(), || Silent);
        silent.ask(Message).await.unwrap();
        drop(guard);
    });
    assert_eq!(names(outcome), ["loop-0/Task-1", "loop-1/silent"]);
    assert!(dropped.get());
}

struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn a_deadlock_s_text_says_where_the_tasks_were_created() {
    let outcome = two().run(|_| async {
        (0..20).for_each(|_| drop(create_task(create_future::<()>())));
        create_future::<()>().await
    });
    let text = outcome.unwrap_err().to_string();
    assert!(
        text.contains("nothing is left that could wake a task; pending: 'Task-1' of 'loop-0' (created at ")
    );
    assert!(text.contains(file!()) && text.ends_with(", and 13 more"), "{text}");
}

#[test]
fn loops_that_wait_for_each_other_are_a_deadlock() {
    let outcome = two().run(|group| async move {
        let (first, second) = (group.get(0).unwrap().clone(), group.get(1).unwrap().clone());
        let (one, other) = (thread_queue::<()>(1), thread_queue::<()>(1));
        let (to_one, from_one, to_other, from_other) = (one.0, one.1, other.0, other.1);
        let here = first.run_with(|| async move {
            from_one.get().await.unwrap();
            to_other.put(()).await.unwrap();
        });
        let there = second.run_with(|| async move {
            from_other.get().await.unwrap();
            to_one.put(()).await.unwrap();
        });
        here.await.unwrap();
        there.await.unwrap();
    });
    assert_eq!(names(outcome), ["loop-0/Task-1", "loop-0/Task-2", "loop-1/Task-1"]);
}

#[test]
fn tasks_that_are_left_are_ended_on_all_loops() {
    Simulation::check(0..50, |simulation| {
        let (cleans, cleaned) = std::sync::mpsc::channel();
        let outcome = simulation.loops(3).run(|group| async move {
            for (index, on) in group.loops().enumerate() {
                let (next, cleans) = (group.get((index + 1) % 3).unwrap().clone(), cleans.clone());
                let body = async move {
                    drop(catch_cancelled(std::future::pending::<()>()).await);
                    // Cleans up, over there too.
                    sleep(SECOND).await;
                    match run_coroutine_threadsafe(sleep(SECOND), &next).await {
                        Ok(()) | Err(FutureError::Cancelled | FutureError::LoopClosed(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                    cleans.send(()).unwrap();
                };
                drop(run_coroutine_threadsafe(body, on));
            }
            sleep(SECOND).await;
            group
        });
        assert!(outcome.unwrap().loops().all(LoopHandle::is_closed));
        assert_eq!(cleaned.iter().count(), 3);
    });
}

#[test]
fn a_task_that_does_not_hear_holds_the_teardown_up_for_ever() {
    let deaf = || async {
        drop(catch_cancelled(std::future::pending::<()>()).await);
        create_future::<()>().await.unwrap();
    };
    let outcome = two().run(|group| async move {
        drop(group.get(1).unwrap().run_with(deaf));
        yield_now().await;
        sleep(SECOND).await;
    });
    assert_eq!(names(outcome), ["loop-1/Task-1"]);
}

#[test]
fn a_task_that_goes_on_and_on_ends_with_the_turns() {
    let spins = || async {
        loop {
            drop(catch_cancelled(sleep(SECOND)).await);
        }
    };
    let outcome = two().max_turns(10_000).run(|group| async move {
        drop(group.get(1).unwrap().run_with(spins));
        sleep(SECOND).await;
    });
    let Err(SimulationError::TooManyTurns(10_000, pending)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((pending.len(), pending[0].event_loop.as_str()), (1, "loop-1"));
    assert!(outcome.unwrap_err().to_string().starts_with("the simulation has not ended after 10000 turns"));
}

#[test]
fn a_main_task_that_is_cancelled_gives_no_value() {
    let outcome = two().run(|_| async {
        perloop::current_task().unwrap().unwrap().cancel();
        yield_now().await;
    });
    assert!(matches!(outcome, Err(SimulationError::Run(RunError::Cancelled(_)))), "{outcome:?}");
}

#[test]
fn a_panic_of_a_task_is_an_outcome_or_news_for_the_handler() {
    let kinds = two().run(|group| async move {
        let other = group.get(1).unwrap();
        let told = Rc::new(RefCell::new(Vec::new()));
        let own = get_running_loop().unwrap();
        let noted = Rc::clone(&told);
        own.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
            noted.borrow_mut().push(context.message.clone());
        }));
        drop(create_task(async { resume_unwind(Box::new("unheard")) }));
        let heard = submit(async { resume_unwind(Box::new("heard")) }, Some(other));
        let Err(FutureError::Panicked(panicked)) = heard.await else { panic!("a panic") };
        yield_now().await;
        (panicked.message().to_owned(), told.take())
    });
    let (heard, told) = kinds.unwrap();
    assert_eq!((heard.as_str(), told.len()), ("heard", 1));
    assert!(told[0].ends_with("panicked: unheard"), "{told:?}");
}

#[test]
fn a_loop_that_dies_leaves_the_others_running() {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    for seed in 0..20 {
        let outcome = Simulation::seeded(seed).loops(3).settings(settings.clone()).run(|group| async move {
            let (dies, lives) = (group.get(1).unwrap(), group.get(2).unwrap());
            let begun = submit(async { sleep(60 * SECOND).await }, Some(dies));
            sleep(SECOND).await;
            dies.call_soon_threadsafe(|| resume_unwind(Box::new("fatal"))).unwrap();
            let ended = begun.await;
            assert!(matches!(ended, Err(FutureError::LoopDied(_))), "{ended:?}");
            assert!(matches!(submit(async {}, Some(dies)).await, Err(FutureError::LoopClosed(_))));
            submit(async { 42 }, Some(lives)).await
        });
        assert_eq!(outcome.unwrap(), Ok(42));
    }
}

#[test]
fn the_first_loop_s_death_ends_the_run() {
    let settings = EventLoop::builder().panic_policy(PanicPolicy::CloseLoop);
    let cleaned = std::sync::mpsc::channel();
    let outcome = two().settings(settings).run(|group| async move {
        let other = group.get(1).unwrap();
        let begun = other.run_with(move || async move {
            drop(catch_cancelled(std::future::pending::<()>()).await);
            cleaned.0.send(()).unwrap();
        });
        sleep(SECOND).await;
        create_task(async { resume_unwind(Box::new("fatal")) });
        begun.await.unwrap();
    });
    let Err(SimulationError::Run(RunError::Panicked(panicked))) = outcome else { panic!("{outcome:?}") };
    assert_eq!(panicked.message(), "fatal");
    // The other one was torn down as always.
    assert_eq!(cleaned.1.try_recv(), Ok(()));
}

#[test]
fn a_loop_that_is_closed_by_another_one_s_task_refuses_from_then_on() {
    let outcome = two().run(|group| async move {
        let other = group.get(1).unwrap();
        let begun = submit(sleep(60 * SECOND), Some(other));
        sleep(SECOND).await;
        other.event_loop().unwrap().close().unwrap();
        assert_eq!(begun.await, Err(FutureError::Cancelled));
        submit(async {}, Some(other)).await
    });
    assert!(matches!(outcome.unwrap(), Err(FutureError::LoopClosed(_))));
}

#[test]
fn the_first_loop_that_is_closed_ends_the_run() {
    let outcome = two().run(|group| async move {
        let first = group.get(0).unwrap().clone();
        submit(async move { first.event_loop().unwrap().close().unwrap() }, group.get(1)).await
    });
    assert!(matches!(outcome, Err(SimulationError::Run(RunError::LoopClosed(_)))), "{outcome:?}");
}

#[test]
fn a_loop_that_is_stopped_ends_its_tasks_and_is_closed() {
    let outcome = two().run(|group| async move {
        let other = group.get(1).unwrap();
        let (cleans, cleaned) = std::sync::mpsc::channel();
        let begun = other.run_with(move || async move {
            drop(catch_cancelled(std::future::pending::<()>()).await);
            sleep(SECOND).await;
            cleans.send(()).unwrap();
        });
        sleep(SECOND).await;
        other.stop();
        begun.await.unwrap();
        sleep(SECOND).await;
        (cleaned.try_recv(), other.is_closed())
    });
    assert_eq!(outcome.unwrap(), (Ok(()), true));
}

#[test]
fn the_first_loop_that_is_stopped_ends_the_run() {
    let outcome = two().run(|group| async move {
        group.get(0).unwrap().stop();
        sleep(SECOND).await;
    });
    assert!(matches!(outcome, Err(SimulationError::Run(RunError::Stopped(_)))), "{outcome:?}");
}

#[test]
fn a_panic_of_an_exception_handler_harms_no_loop() {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        two().run(|group| async move {
            let other = group.get(1).unwrap();
            let set = || async {
                let own = get_running_loop().unwrap();
                own.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| {
                    resume_unwind(Box::new("handler"))
                }));
                create_task(async { resume_unwind(Box::new("unheard")) });
                sleep(SECOND).await;
            };
            other.run_with(set).await
        })
    }));
    assert_eq!(outcome.unwrap().unwrap(), Ok(()));
    assert!(get_running_loop().is_err());
}

#[test]
fn whoever_blocks_on_a_loop_of_the_simulation_is_told() {
    let outcome = two().run(|group| async move {
        let other = group.get(1).unwrap();
        let future = submit(async { 42 }, Some(other));
        assert!(matches!(future.result(), Err(FutureError::WouldDeadlock(_))));
        assert!(matches!(future.result_timeout(60 * SECOND), Err(FutureError::WouldDeadlock(_))));
        assert!(matches!(other.block_on(async {}), Err(FutureError::WouldDeadlock(_))));
        assert!(other.scope(|_| ()).is_err());
        assert!(perloop::threads::wait(&[&future], Default::default(), None).is_err());
        assert!(group.broadcast(|_| async {}).result().is_err());
        let silent = ActorBuilder::new().mailbox(1).create_on(other, || Silent);
        assert!(matches!(silent.ask_blocking(Message), Err(AskError::WouldDeadlock(_))));
        assert!(silent.tell_blocking(Message).is_err()); // it is full
        let (sender, receiver) = thread_queue::<i32>(1);
        assert!(receiver.get_blocking().is_err());
        sender.try_put(1).unwrap();
        assert!(sender.put_blocking(2).is_err());
        let limit = SubmitLimit::new(1);
        let _taken = limit.acquire().await;
        assert!(limit.acquire_blocking().is_err());
        future.await
    });
    assert_eq!(outcome.unwrap(), Ok(42));
}

#[test]
fn a_circle_of_asking_actors_is_told() {
    struct Asker(Option<perloop::Address<Self>>);
    impl Actor for Asker {}
    struct Meet(perloop::Address<Asker>);
    struct Pass;
    impl Handler<Meet> for Asker {
        type Reply = ();
        async fn handle(&mut self, Meet(next): Meet, _: &mut ActorContext<Self>) {
            self.0 = Some(next);
        }
    }
    impl Handler<Pass> for Asker {
        type Reply = Result<(), String>;
        async fn handle(&mut self, _: Pass, _: &mut ActorContext<Self>) -> Result<(), String> {
            let next = self.0.clone().unwrap();
            next.ask(Pass).await.map_err(|error| error.to_string())?
        }
    }
    Simulation::check(0..50, |simulation| {
        let told = simulation.loops(3).run(|group| async move {
            let askers: Vec<_> = group.loops().map(|on| on.create_actor(|| Asker(None))).collect();
            for (index, asker) in askers.iter().enumerate() {
                asker.ask(Meet(askers[(index + 1) % 3].clone())).await.unwrap();
            }
            askers[0].ask(Pass).await.unwrap()
        });
        assert!(told.unwrap().unwrap_err().contains("wait"), "a circle");
    });
}

#[test]
fn loops_do_not_nest() {
    let inside = perloop::run(async { two().run(|_| async {}) }).unwrap();
    assert!(matches!(inside, Err(SimulationError::Run(RunError::Nested(_)))), "{inside:?}");
    let nested = two().run(|_| async { (perloop::run(async {}), two().run(|_| async {})) }).unwrap();
    assert!(matches!(nested, (Err(RunError::Nested(_)), Err(SimulationError::Run(RunError::Nested(_))))));
    let outcome = two().run(|group| async move {
        let other = group.get(1).unwrap().event_loop().unwrap();
        other.run_until_complete(async {}).unwrap_err().to_string()
    });
    assert!(outcome.unwrap().contains("loop-0"));
}

#[test]
fn there_is_at_least_one_loop() {
    let outcome = two().loops(0).run(|_| async {});
    assert!(outcome.unwrap_err().to_string().contains("at least one loop"));
    assert_eq!(two().loops(1).run(|group| async move { group.len() }).unwrap(), 1);
}

#[test]
fn actors_live_and_end_as_on_threads() {
    Simulation::check(0..50, |simulation| {
        simulation
            .run(|group| async move {
                let silent = group.get(1).unwrap().create_actor(|| Silent);
                let local = create_actor(|| Silent);
                let asked = [silent.clone(), local.clone()]
                    .map(|to| create_task(async move { to.ask(Message).await }));
                sleep(SECOND).await;
                for task in asked {
                    task.cancel();
                    assert!(task.await.is_err());
                }
                silent.stop();
                drop(local);
            })
            .unwrap();
    });
}
