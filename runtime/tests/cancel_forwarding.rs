//! Where a request to cancel a task goes: to the tasks that it awaits, or to itself.

use std::time::Duration;

use futures_util::future::{Either, join, select};
use perloop::{
    AnyTask, EventLoop, LoopThread, Task, TaskError, create_task, get_running_loop, run_coroutine_threadsafe,
    sleep, yield_now,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn sleeper() -> Task<()> {
    create_task(sleep(ms(1_000)))
}

fn run<T>(main: impl Future<Output = T>) -> T {
    EventLoop::builder().virtual_time().run(main).expect("it runs to the end")
}

#[test]
fn a_task_that_gave_up_waiting_for_a_child_is_interrupted_itself() {
    run(async {
        let parent = create_task(async {
            let mut child = sleeper();
            let nap = std::pin::pin!(sleep(ms(1)));
            assert!(matches!(select(&mut child, nap).await, Either::Right(_)));
            sleep(ms(5_000)).await;
        });
        sleep(ms(10)).await;
        parent.cancel();
        assert!(parent.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(get_running_loop().map(|running| running.time()), Ok(ms(10)));
    });
}

#[test]
fn a_task_that_awaits_one_child_passes_the_request_on() {
    run(async {
        let child = sleeper();
        let in_parent: AnyTask = (*child).clone();
        let parent = create_task(child);
        sleep(ms(1)).await;
        parent.cancel();
        let end = parent.await.expect("it lives on, with what the child ended with");
        assert!(end.is_err_and(|error| error.is_cancelled()));
        assert_eq!((in_parent.cancelled(), in_parent.cancelling()), (true, 1));
    });
}

#[test]
fn a_task_that_awaits_two_children_passes_the_request_on_to_both() {
    run(async {
        let parent = create_task(async { join(sleeper(), sleeper()).await });
        sleep(ms(1)).await;
        parent.cancel();
        let (first, second) = parent.await.expect("it lives on");
        assert!(first.is_err_and(|error| error.is_cancelled()));
        assert!(second.is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn a_request_follows_a_long_chain_of_tasks() {
    run(async {
        let last = sleeper();
        let mut chain = vec![(*last).clone()];
        let mut first = create_task(async move { drop(last.await) });
        for _ in 0..100_000 {
            chain.push((*first).clone());
            first = create_task(async move { drop(first.await) });
        }
        sleep(ms(1)).await;
        assert!(first.cancel());
        assert_eq!(first.await, Ok(()));
        assert!(chain[0].cancelled() && chain.iter().all(|task| task.cancelling() == 1));
    });
}

#[test]
fn a_request_to_a_circle_of_tasks_ends() {
    use std::{cell::RefCell, rc::Rc};
    run(async {
        let slot: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        let in_first = Rc::clone(&slot);
        let first = create_task(async move {
            let second = in_first.take().expect("it was put there");
            drop(second.await);
        });
        let first_again = (*first).clone();
        let second = create_task(async move { drop(first.await) });
        slot.replace(Some(second));
        yield_now().await;
        yield_now().await;
        assert!(first_again.cancel());
        assert_eq!(first_again.cancelling(), 1);
    });
}

#[test]
fn a_panic_in_the_clean_up_replaces_the_cancellation() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("clean-up failed");
        }
    }
    run(async {
        let task = create_task(async {
            let _bomb = Bomb;
            sleep(ms(1_000)).await;
        });
        sleep(ms(1)).await;
        task.cancel();
        let Err(TaskError::Panicked(panicked)) = task.await else { panic!("it failed") };
        assert_eq!(panicked.message(), "clean-up failed");
    });
}

#[test]
fn a_task_that_awaits_work_on_another_loop_has_that_work_cancelled() {
    struct Told(std::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(()).expect("the test waits for it");
        }
    }
    let worker = LoopThread::spawn("worker").expect("a thread");
    let (sender, dropped) = std::sync::mpsc::channel();
    perloop::run(async {
        let told = Told(sender);
        let work = run_coroutine_threadsafe(
            async move {
                let _told = told;
                std::future::pending::<()>().await;
            },
            &worker,
        );
        let waiter = create_task(work);
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.is_err_and(|error| error.is_cancelled()));
    })
    .expect("it runs to the end");
    dropped.recv().expect("the work was dropped on its loop");
}
