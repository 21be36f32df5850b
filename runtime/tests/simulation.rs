//! Several loops in one thread, in an order that a seed decides: what is drawn, what is not, and that it replays.
#![expect(clippy::disallowed_types, reason = "what is submitted is `Send`, and counts there")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use perloop::{
    Actor, ActorContext, Address, EventLoop, GroupHandle, Handler, Simulation, create_actor, create_task,
    get_running_loop, run_coroutine_threadsafe, sleep, timeout, to_thread, wrap_future, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, by whom: for tasks of all loops, as they are of one thread.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<String>>);

thread_local! {
    static TRACE: Trace = Trace::default();
}

fn note(what: impl std::fmt::Display) {
    let own = get_running_loop().unwrap();
    TRACE.with(|trace| {
        writeln!(trace.0.borrow_mut(), "{:?} {} {what}", own.time(), own.name()).unwrap();
    });
}

fn take_trace() -> String {
    TRACE.with(|trace| trace.0.take())
}

#[derive(Default)]
struct Counter {
    count: u32,
}
struct Add(u32);
struct Count;

impl Actor for Counter {}
impl Handler<Add> for Counter {
    type Reply = u32;

    async fn handle(&mut self, Add(n): Add, _: &mut ActorContext<Self>) -> u32 {
        note(format_args!("adds {n}"));
        self.count += n;
        self.count
    }
}
impl Handler<Count> for Counter {
    type Reply = u32;

    async fn handle(&mut self, _: Count, _: &mut ActorContext<Self>) -> u32 {
        self.count
    }
}

/// Everything that crosses from loop to loop.
async fn busy_program(group: GroupHandle) {
    let counters: Vec<Address<Counter>> = group.loops().map(|on| on.create_actor(Counter::default)).collect();
    let on_each = group.clone();
    let each = group.broadcast(move |index| async move {
        for round in 0..4_u32 {
            note(format_args!("round {round}"));
            let to = &counters[(index + 1) % counters.len()];
            match round {
                0 => to.tell(Add(1)).await.unwrap(),
                1 => _ = to.ask(Add(10)).await.unwrap(),
                2 => sleep(SECOND).await,
                _ => {
                    let next = on_each.get((index + 1) % on_each.len()).unwrap();
                    let abroad = run_coroutine_threadsafe(async { note("abroad") }, next);
                    wrap_future(abroad).await.unwrap();
                }
            }
        }
        counters[index].ask(Count).await.unwrap()
    });
    let counts = each.await.unwrap();
    note(format_args!("{counts:?}"));
}

fn trace_of(seed: u64) -> String {
    Simulation::seeded(seed).loops(3).run(busy_program).unwrap();
    take_trace()
}

#[test]
fn a_seed_gives_the_same_order_always() {
    for seed in 0..50 {
        assert_eq!(trace_of(seed), trace_of(seed));
    }
}

#[test]
fn seeds_give_different_orders_with_the_same_outcome() {
    let traces: BTreeSet<String> = (0..50).map(trace_of).collect();
    assert!(traces.len() > 40, "{}", traces.len());
    assert!(traces.iter().all(|trace| trace.ends_with("[11, 11, 11]\n")));
}

/// For the next test, which runs this one in processes of its own.
#[test]
#[ignore = "it prints"]
fn print_traces() {
    (0..20).for_each(|seed| print!("{}", trace_of(seed)));
}

#[test]
fn a_seed_gives_the_same_order_in_every_process() {
    let print = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["print_traces", "--exact", "--ignored", "--nocapture"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness says how long it took.
        text.lines().filter(|line| line.contains("loop-")).collect::<Vec<_>>().join("\n")
    };
    let first = print();
    assert!(first.lines().count() > 300);
    assert_eq!(first, print());
}

#[test]
fn within_a_loop_the_order_is_that_of_asyncio() {
    Simulation::check(0..100, |simulation| {
        let order = simulation.loops(3).run(|group| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            let own = get_running_loop().unwrap();
            let tasks: Vec<_> = (0..3)
                .map(|task| {
                    let order = Rc::clone(&order);
                    create_task(async move {
                        for step in 0..3 {
                            order.borrow_mut().push(3 * step + task);
                            yield_now().await;
                        }
                    })
                })
                .collect();
            own.call_soon(|| ()).unwrap();
            // The others have their turns meanwhile.
            let others = group.broadcast(|_| async { yield_now().await });
            for task in tasks {
                task.await.unwrap();
            }
            others.await.unwrap();
            order.take()
        });
        assert_eq!(order.unwrap(), (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn submissions_of_one_task_to_one_loop_keep_their_order() {
    Simulation::check(0..100, |simulation| {
        let order = simulation.loops(3).run(|group| async move {
            let (sender, received) = std::sync::mpsc::channel();
            let other = group.get(2).unwrap();
            for n in 0..10 {
                let sender = sender.clone();
                other.call_soon_threadsafe(move || sender.send(n).unwrap()).unwrap();
                if n % 3 == 0 {
                    yield_now().await;
                }
            }
            sleep(SECOND).await;
            received.try_iter().collect::<Vec<_>>()
        });
        assert_eq!(order.unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn one_clock_goes_to_the_earliest_timer_of_all_loops() {
    Simulation::check(0..100, |simulation| {
        let times = simulation.loops(3).run(|group| async move {
            let times = group.broadcast(|index| async move {
                let mut times = Vec::new();
                for round in 1..=3 {
                    sleep(SECOND * (index as u32 + 1)).await;
                    let time = get_running_loop().unwrap().time();
                    assert_eq!(time, SECOND * (index as u32 + 1) * round);
                    times.push(time);
                }
                times
            });
            times.await.unwrap().into_iter().flatten().max()
        });
        assert_eq!(times.unwrap(), Some(9 * SECOND));
    });
}

#[test]
fn moving_the_clock_by_hand_moves_it_for_all() {
    let time = Simulation::seeded(1).run(|group| async move {
        get_running_loop().unwrap().advance(5 * SECOND);
        let other = group.get(1).unwrap();
        run_coroutine_threadsafe(async { get_running_loop().unwrap().time() }, other).await
    });
    assert_eq!(time.unwrap(), Ok(5 * SECOND));
}

/// The clock does not stand still for work of the simulation's own loops, or a deadline would never come.
#[test]
fn a_deadline_comes_while_another_loop_works_on_the_answer() {
    Simulation::check(0..100, |simulation| {
        let late = simulation.run(|group| async move {
            let other = group.get(1).unwrap();
            let by_await = timeout(SECOND, run_coroutine_threadsafe(sleep(60 * SECOND), other)).await;
            let wrapped = wrap_future(run_coroutine_threadsafe(sleep(60 * SECOND), other));
            let by_wrapped = timeout(SECOND, wrapped).await;
            (by_await.is_err(), by_wrapped.is_err(), get_running_loop().unwrap().time())
        });
        assert_eq!(late.unwrap(), (true, true, 2 * SECOND));
    });
}

#[test]
fn the_clock_stands_still_for_jobs_and_for_loops_of_other_threads() {
    let worker = perloop::LoopThread::spawn("worker").unwrap();
    let time = Simulation::seeded(1).run(|group| async move {
        let ticker = create_task(sleep(SECOND));
        let other = group.get(1).unwrap();
        let job = || std::thread::sleep(Duration::from_millis(5));
        run_coroutine_threadsafe(async move { to_thread(job).await.unwrap() }, other).await.unwrap();
        let abroad = run_coroutine_threadsafe(sleep(Duration::from_millis(5)), &worker);
        run_coroutine_threadsafe(abroad, other).await.unwrap().unwrap();
        let before = (get_running_loop().unwrap().time(), ticker.done());
        ticker.await.unwrap();
        (before, get_running_loop().unwrap().time())
    });
    assert_eq!(time.unwrap(), ((Duration::ZERO, false), SECOND));
}

#[test]
fn input_from_outside_is_waited_for_when_nothing_else_is_left() {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let helper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        writer.write_all(b"x").unwrap();
        writer
    });
    let time = Simulation::seeded(1).run(|group| async move {
        let other = group.get(1).unwrap();
        let wait = other.run_with(|| async move {
            let (own, came) = (get_running_loop().unwrap(), perloop::create_future());
            let told = came.clone();
            own.add_reader(&reader, move || _ = told.set_result(())).unwrap();
            came.await.unwrap();
            own.remove_reader(&reader);
        });
        wait.await.unwrap();
        get_running_loop().unwrap().time()
    });
    assert_eq!(time.unwrap(), Duration::ZERO);
    drop(helper.join().unwrap());
}

#[test]
fn each_task_is_on_the_loop_of_its_index() {
    Simulation::check(0..20, |simulation| {
        let indices = simulation.loops(4).run(|group| async move {
            let (own, inner) = (group.current_index(), group.clone());
            let indices = group.broadcast(move |index| async move {
                yield_now().await;
                let running = get_running_loop().unwrap();
                assert!(
                    inner.get(index).unwrap().is_running() && running.handle() == *inner.get(index).unwrap()
                );
                assert_eq!((0..4).filter(|other| inner.get(*other).unwrap().is_running()).count(), 1);
                inner.current_index()
            });
            (own, indices.await.unwrap())
        });
        assert_eq!(indices.unwrap(), (Some(0), (0..4).map(Some).collect()));
    });
}

#[test]
fn in_some_runs_a_loop_lags_far_behind() {
    let lead = |seed| {
        let spread = Simulation::seeded(seed).run(|group| async move {
            let other = group.get(1).unwrap();
            let turns = std::sync::Arc::new(std::sync::Mutex::new(0_i32));
            let counted = std::sync::Arc::clone(&turns);
            let abroad = run_coroutine_threadsafe(
                async move {
                    loop {
                        *counted.lock().unwrap() += 1;
                        yield_now().await;
                    }
                },
                other,
            );
            for _ in 0..1000 {
                yield_now().await;
            }
            abroad.cancel();
            *turns.lock().unwrap()
        });
        spread.unwrap()
    };
    let leads: Vec<i32> = (0..50).map(lead).collect();
    assert!(leads.iter().any(|turns| *turns < 100), "{leads:?}");
    assert!(leads.iter().any(|turns| *turns > 10_000), "{leads:?}");
    assert!(leads.iter().any(|turns| (800..1200).contains(turns)), "{leads:?}");
}

#[test]
fn the_main_future_may_borrow_and_need_not_be_send() {
    let (words, calls) = (vec!["not", "sent"], Cell::new(0));
    let length = Simulation::seeded(1).run(|_| async {
        calls.set(calls.get() + 1);
        yield_now().await;
        words.iter().map(|word| word.len()).sum::<usize>()
    });
    assert_eq!((length.unwrap(), calls.get()), (7, 1));
}

/// A balance that is read and written back in two messages: the order in which that goes wrong needs two loops.
async fn lose_an_update(group: GroupHandle) -> u32 {
    let counter = create_actor(Counter::default);
    let seen = counter.clone();
    let each = group.broadcast(move |_| async move {
        let before = seen.ask(Count).await.unwrap();
        if before == 0 {
            seen.ask(Add(1)).await.unwrap();
        }
    });
    each.await.unwrap();
    counter.ask(Count).await.unwrap()
}

#[test]
fn a_race_is_found_and_its_seed_replays_it() {
    let failure = catch_unwind(|| {
        Simulation::check(0..1000, |simulation| {
            assert_eq!(simulation.run(lose_an_update).unwrap(), 1, "done twice");
        });
    });
    let message = failure.unwrap_err().downcast::<String>().unwrap();
    let seed = message.rsplit_once("PERLOOP_SEED=").unwrap().1.parse().unwrap();
    assert!(
        message.contains(&format!("fails with seed {seed}: ")) && message.contains("done twice"),
        "{message}"
    );
    for _ in 0..3 {
        assert_eq!(Simulation::seeded(seed).run(lose_an_update).unwrap(), 2);
    }
    // And others are all right.
    assert!((0..1000).any(|seed| Simulation::seeded(seed).run(lose_an_update).unwrap() == 1));
    take_trace();
}

/// For the next test, which sets the environment of processes of its own.
#[test]
#[ignore = "it prints"]
fn print_seeds() {
    Simulation::check(0..3, |simulation| println!("seed {}", simulation.seed()));
}

#[test]
fn the_environment_says_which_seeds() {
    let seeds = |variable: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["print_seeds", "--exact", "--ignored", "--nocapture"]).env_remove("PERLOOP_SEED");
        if let Some(variable) = variable {
            command.env("PERLOOP_SEED", variable);
        }
        let output = command.output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let seeds = text.lines().filter_map(|line| line.split_once("seed ")).map(|(_, seed)| seed.to_owned());
        (output.status.success(), seeds.collect::<Vec<_>>(), text)
    };
    let ran = |variable| {
        let (is_ok, seeds, text) = seeds(variable);
        assert!(is_ok, "{text}");
        seeds
    };
    assert_eq!(ran(None), ["0", "1", "2"]);
    assert_eq!(ran(Some("42")), ["42"]);
    assert_eq!(ran(Some("7..10")), ["7", "8", "9"]);
    let (is_ok, _, text) = seeds(Some("seven"));
    assert!(!is_ok && text.contains("give it a seed, as 42, or a range of them, as 0..10000"), "{text}");
}

#[test]
fn runs_follow_each_other_and_leave_nothing() {
    let dropped = Rc::new(Cell::new(0));
    for seed in 0..10 {
        let kept = Rc::clone(&dropped);
        let outcome = Simulation::seeded(seed).run(|_| async move {
            let kept = Rc::clone(&kept);
            create_task(async move {
                let _kept = kept;
                std::future::pending::<()>().await
            });
        });
        outcome.unwrap();
        assert_eq!(Rc::strong_count(&dropped), 1);
        assert!(get_running_loop().is_err());
    }
    let real = EventLoop::builder().run(async { 42 });
    assert_eq!(real.unwrap(), 42);
}

#[test]
fn a_panic_of_the_main_future_comes_out_after_the_teardown() {
    let cleaned = Rc::new(Cell::new(false));
    let flag = Rc::clone(&cleaned);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        Simulation::seeded(1).run(|_| async move {
            create_task(async move {
                drop(perloop::catch_cancelled(std::future::pending::<()>()).await);
                sleep(SECOND).await;
                flag.set(true);
            });
            yield_now().await;
            std::panic::resume_unwind(Box::new("out of paper"));
        })
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"out of paper"));
    assert!(cleaned.get());
}
