//! How much a loop has to do, as others see it.
mod support;

use loom::thread;
use support::{Driver, Ledger, join_all, model};

/// Two submit, one of them is cancelled, and the loop turns meanwhile: what others see is never more than what was
/// submitted, and nothing in the end.
#[test]
fn what_was_submitted_and_ended_is_no_load() {
    model(1, || {
        let (driver, ledger) = (Driver::new(), Ledger::default());
        driver.home.count_load();
        let others = [false, true].map(|cancels| {
            let (remote, value) = (driver.remote(), ledger.value());
            thread::spawn(move || {
                let future = remote.submit::<(), _>((), async move { drop(value) });
                assert!(remote.load() <= 2);
                if cancels {
                    future.cancel();
                }
            })
        });
        driver.run_until_ended(&ledger, 2);
        join_all(others);
        driver.home.collect();
        assert_eq!(driver.remote().load(), 0);
        driver.close();
        ledger.check();
    });
}
