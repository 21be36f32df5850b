//! Bodies that borrow from the thread that hands them in.
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use bridge::{FutureError, Remote};
use loom::thread;
use support::{AddOnDrop, Driver, Ledger, Publish, Shared, Value, model};

/// Runs `lend` on a thread of its own against a loop that runs what it is handed.
fn against_a_turning_loop(
    preemptions: usize,
    bodies: usize,
    publish: Publish,
    lend: impl Fn(&Remote, &Ledger) + Copy + Send + Sync + 'static,
) {
    model(preemptions, move || {
        let ledger = Ledger::default();
        let driver = Driver::publishing(publish);
        let lender = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || lend(&remote, &ledger)
        });
        driver.run_until_ended(&ledger, bodies);
        lender.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// As before, against a loop that turns once and closes.
fn against_a_closing_loop(
    preemptions: usize,
    lend: impl Fn(&Remote, &Ledger) + Copy + Send + Sync + 'static,
) {
    model(preemptions, move || {
        let ledger = Ledger::default();
        let driver = Driver::new();
        let lender = thread::spawn({
            let (remote, ledger) = (driver.remote(), ledger.clone());
            move || lend(&remote, &ledger)
        });
        driver.nap_and_turn();
        driver.close();
        lender.join().unwrap();
        drop(driver);
        ledger.check();
    });
}

/// Adds to a cell, and once more when it is dropped.
async fn borrow(cell: &Shared, value: Value) {
    let _held = (AddOnDrop(cell.clone()), value);
    cell.add();
}

/// The body writes to what it borrows, and its destructor does too; both before the lender goes on. Told as soon as the
/// value is there, it would write at the same time.
#[test]
fn block_on_returns_after_the_body_is_gone() {
    against_a_turning_loop(3, 1, Publish::NextTurn, |remote, ledger| {
        let cell = Shared::new();
        assert_eq!(remote.block_on::<(), _>((), borrow(&cell, ledger.value())), Ok(()));
        cell.add();
        assert_eq!(cell.get(), 3);
    });
}

/// The loop closes with the body refused, queued, begun or done; in each case it is gone before the lender goes on.
#[test]
fn block_on_against_close_returns_after_the_body_is_gone() {
    against_a_closing_loop(3, |remote, ledger| {
        let cell = Shared::new();
        match remote.block_on::<(), _>((), borrow(&cell, ledger.value())) {
            Ok(()) | Err(FutureError::Cancelled | FutureError::LoopClosed(_)) => cell.add(),
            Err(other) => panic!("{other}"),
        }
    });
}

/// Two bodies in one scope, of which one is asked for its value and the other is not: both are gone when it ends.
#[test]
fn a_scope_ends_after_all_its_bodies() {
    against_a_turning_loop(2, 2, Publish::AtOnce, |remote, ledger| {
        let cells = [Shared::new(), Shared::new()];
        let scoped = remote.scope::<(), _, _>(|scope| {
            let first = scope.submit((), borrow(&cells[0], ledger.value()));
            scope.submit((), borrow(&cells[1], ledger.value()));
            first.result()
        });
        assert_eq!(scoped, Ok(Ok(())));
        for cell in &cells {
            cell.add();
            assert_eq!(cell.get(), 3);
        }
    });
}

/// As before, against a loop that closes.
#[test]
fn a_scope_against_close_ends_after_all_its_bodies() {
    against_a_closing_loop(2, |remote, ledger| {
        let cells = [Shared::new(), Shared::new()];
        let scoped = remote.scope::<(), _, _>(|scope| {
            for cell in &cells {
                scope.submit((), borrow(cell, ledger.value()));
            }
        });
        assert_eq!(scoped, Ok(()));
        cells.iter().for_each(Shared::add);
    });
}

/// The scope's closure panics with a body pending: it unwinds only when the body, which is cancelled, is gone.
#[test]
fn a_scope_that_panics_ends_after_its_body() {
    against_a_turning_loop(2, 1, Publish::AtOnce, |remote, ledger| {
        let cell = Shared::new();
        let scoped = catch_unwind(AssertUnwindSafe(|| {
            remote.scope::<(), (), _>(|scope| {
                let (value, cell) = (ledger.value(), &cell);
                scope.submit((), async move {
                    borrow(cell, value).await;
                    std::future::pending::<()>().await;
                });
                panic_any(support::MEANT);
            })
        }));
        assert!(scoped.is_err());
        cell.add();
    });
}

/// As before, against a loop that closes while the lender unwinds.
#[test]
fn a_scope_that_panics_against_close_ends_after_its_body() {
    against_a_closing_loop(2, |remote, ledger| {
        let cell = Shared::new();
        let scoped = catch_unwind(AssertUnwindSafe(|| {
            remote.scope::<(), (), _>(|scope| {
                scope.submit((), borrow(&cell, ledger.value()));
                panic_any(support::MEANT);
            })
        }));
        assert!(scoped.is_err());
        cell.add();
    });
}

/// The lender itself cancels its body, which is gone when the scope ends, whoever was first.
#[test]
fn a_scope_whose_body_is_cancelled_by_its_lender_ends_after_it() {
    against_a_turning_loop(2, 1, Publish::NextTurn, |remote, ledger| {
        let cell = Shared::new();
        let scoped = remote.scope::<(), _, _>(|scope| {
            let lent = scope.submit((), borrow(&cell, ledger.value()));
            let is_cancelled = lent.cancel();
            assert_eq!(lent.try_result().map(|end| end.is_ok()), Some(!is_cancelled));
        });
        assert_eq!(scoped, Ok(()));
        cell.add();
    });
}

/// One body looks at the outcome of another, which nobody takes. At the scope's end it is dropped, since it may
/// borrow; but not as long as a body is left that may look.
#[test]
fn an_outcome_that_a_body_looks_at_outlives_the_body() {
    against_a_turning_loop(2, 2, Publish::AtOnce, |remote, ledger| {
        let scoped = remote.scope::<(), _, _>(|scope| {
            let (first, second) = (ledger.value(), ledger.value());
            let first = scope.submit((), async move {
                first.get();
            });
            scope.submit((), async move {
                second.get();
                if first.done() {
                    assert_eq!(first.exception(), Ok(None));
                }
            });
        });
        assert_eq!(scoped, Ok(()));
    });
}

/// An outcome that borrows, and that nobody takes, is dropped before the scope ends, though a waker keeps the memory.
#[test]
fn an_outcome_that_nobody_takes_is_dropped_with_the_scope() {
    against_a_turning_loop(2, 1, Publish::AtOnce, |remote, ledger| {
        let cell = Shared::new();
        let waker = std::sync::Mutex::new(None);
        let slot = &waker;
        let scoped = remote.scope::<(), _, _>(|scope| {
            let (value, cell) = (ledger.value(), cell.clone());
            scope.submit(
                (),
                std::future::poll_fn(move |cx| {
                    value.get();
                    let kept = cx.waker().clone();
                    *slot.lock().unwrap() = Some(kept);
                    std::task::Poll::Ready(AddOnDrop(cell.clone()))
                }),
            );
        });
        assert_eq!(scoped, Ok(()));
        assert_eq!(cell.get(), 1);
        drop(waker);
    });
}

/// A body is cancelled by another while the lender waits for it to be gone. Told with those who wait for the outcome, the
/// lender would be out of the list, and not be told when the body is gone.
#[test]
fn a_lender_waits_on_when_its_body_is_cancelled() {
    against_a_turning_loop(2, 2, Publish::AtOnce, |remote, ledger| {
        let cell = Shared::new();
        let scoped = remote.scope::<(), _, _>(|scope| {
            let (first, second) = (ledger.value(), ledger.value());
            let cell = &cell;
            let first = scope.submit((), async move {
                let _held = (AddOnDrop(cell.clone()), first);
                std::future::pending::<()>().await;
            });
            scope.submit((), async move {
                second.get();
                assert!(first.cancel());
            });
        });
        assert_eq!(scoped, Ok(()));
        cell.add();
    });
}

/// A callback looks at the error of a scoped body. It is told after `ENDED`, so the scope may end meanwhile: had that
/// end dropped the error where it lies, the callback would look at it at the same time.
#[test]
fn an_error_that_a_callback_looks_at_outlives_the_scope() {
    against_a_turning_loop(2, 1, Publish::AtOnce, |remote, ledger| {
        let scoped = remote.scope::<(), _, _>(|scope| {
            let value = ledger.value();
            let failed = scope.submit((), async move {
                value.get();
                panic_any(support::MEANT);
            });
            failed.add_done_callback(|failed: &bridge::CrossThreadFuture<()>| {
                assert!(matches!(failed.exception(), Ok(Some(_))));
            });
        });
        assert_eq!(scoped, Ok(()));
    });
}
