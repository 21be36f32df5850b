//! `Barrier`: what its golden traces do not show: many rounds, parties that give up without a request, loops.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, join_all, select};
use perloop::{Barrier, BrokenBarrier, EventLoop, Task, create_task, yield_now};

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().build().unwrap().run_until_complete(main).unwrap()
}

fn party(barrier: &Barrier) -> Task<Result<usize, BrokenBarrier>> {
    let barrier = barrier.clone();
    create_task(async move { barrier.wait().await })
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn nobody_enters_a_round_before_all_have_left_the_one_before() {
    run(async {
        let (barrier, rounds) = (Barrier::new(4).unwrap(), Rc::new(RefCell::new(Vec::new())));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (barrier, rounds) = (barrier.clone(), Rc::clone(&rounds));
                create_task(async move {
                    for round in 0..5 {
                        barrier.wait().await.unwrap();
                        rounds.borrow_mut().push(round);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let want: Vec<_> = (0..5).flat_map(|round| [round; 4]).collect();
        assert_eq!(*rounds.borrow(), want);
    });
}

#[test]
fn parties_beyond_a_round_fill_the_next_one() {
    run(async {
        let barrier = Barrier::new(3).unwrap();
        let tasks: Vec<_> = (0..9).map(|_| party(&barrier)).collect();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap().unwrap());
        }
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(barrier.n_waiting(), 0);
    });
}

#[test]
fn a_party_that_lost_a_race_is_not_counted_and_the_barrier_goes_on() {
    run(async {
        let barrier = Barrier::new(2).unwrap();
        assert!(matches!(select(pin!(barrier.wait()), pin!(turns(2))).await, Either::Right(_)));
        assert_eq!(barrier.n_waiting(), 0);
        let parties = [party(&barrier), party(&barrier)];
        for (number, party) in parties.into_iter().enumerate() {
            assert_eq!(party.await, Ok(Ok(number)));
        }
    });
}

#[test]
fn a_party_that_is_cancelled_while_the_others_leave_holds_nobody_up() {
    run(async {
        let barrier = Barrier::new(3).unwrap();
        let tasks = [party(&barrier), party(&barrier)];
        turns(1).await;
        assert_eq!(barrier.wait().await, Ok(2));
        tasks[0].cancel();
        let late = [party(&barrier), party(&barrier), party(&barrier)];
        let [first, second] = tasks;
        assert!(first.await.is_err());
        assert_eq!(second.await, Ok(Ok(1)));
        for (number, party) in late.into_iter().enumerate() {
            assert_eq!(party.await, Ok(Ok(number)));
        }
    });
}

#[test]
fn who_comes_during_a_reset_waits_for_the_new_round() {
    run(async {
        let barrier = Barrier::new(2).unwrap();
        let early = party(&barrier);
        turns(1).await;
        barrier.reset().await;
        let late = [party(&barrier), party(&barrier)];
        assert_eq!(early.await, Ok(Err(BrokenBarrier::default())));
        for (number, party) in late.into_iter().enumerate() {
            assert_eq!(party.await, Ok(Ok(number)));
        }
    });
}

#[test]
fn branches_of_a_task_may_be_parties() {
    run(async {
        let barrier = Barrier::new(5).unwrap();
        let numbers = join_all((0..5).map(|_| barrier.wait())).await;
        assert_eq!(numbers, (0..5).map(Ok).collect::<Vec<_>>());
    });
}

#[test]
fn a_closed_loop_drops_who_waits() {
    let barrier = Barrier::new(2).unwrap();
    let event_loop = EventLoop::builder().virtual_time().build().unwrap();
    let inside = barrier.clone();
    event_loop.create_task(async move { inside.wait().await }).unwrap();
    event_loop.run_until_complete(turns(2)).unwrap();
    assert_eq!(barrier.n_waiting(), 1);
    event_loop.close().unwrap();
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn who_comes_between_a_reset_and_the_leaving_of_those_inside_is_not_one_of_them() {
    run(async {
        let barrier = Barrier::new(2).unwrap();
        let early = party(&barrier);
        turns(1).await;
        // They run before the early one, which is woken by the reset.
        let late = [party(&barrier), party(&barrier)];
        barrier.reset().await;
        assert_eq!(early.await, Ok(Err(BrokenBarrier::default())));
        for (number, party) in late.into_iter().enumerate() {
            assert_eq!(party.await, Ok(Ok(number)));
        }
    });
}

#[test]
fn who_comes_to_a_broken_barrier_completes_no_round_and_a_reset_mends_it() {
    run(async {
        let barrier = Barrier::new(2).unwrap();
        let early = party(&barrier);
        turns(1).await;
        let late = party(&barrier);
        barrier.abort().await;
        assert_eq!(late.await, Ok(Err(BrokenBarrier::default())));
        assert_eq!(early.await, Ok(Err(BrokenBarrier::default())));
        assert!(barrier.broken());
        barrier.reset().await;
        let parties = [party(&barrier), party(&barrier)];
        turns(4).await;
        assert_eq!(parties.map(|party| party.result()), [Ok(Ok(0)), Ok(Ok(1))]);
    });
}
