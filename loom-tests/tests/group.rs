//! Loops of one group, which are closed to others when the group ends.
mod support;

use bridge::GroupId;
use loom::thread;
use support::{Driver, Ledger, model};

/// It is closed to others while one of them submits: that runs, or is refused, and is refused from then on.
#[test]
fn a_submission_against_a_loop_that_is_closed_to_others_ends_in_one_way() {
    model(2, || {
        let (driver, ledger, group) = (Driver::new(), Ledger::default(), GroupId::new());
        let outside = thread::spawn({
            let (remote, bell, value) = (driver.remote(), driver.bell.clone(), ledger.value());
            move || {
                let outcome = remote.submit::<(), _>((), async move { value.get() }).result();
                // If it was refused the loop has not heard of it.
                bell.strike();
                outcome
            }
        });
        driver.remote().close_to_others(group);
        driver.run_until_dropped(&ledger, 1);
        driver.turn();
        let outcome = outside.join().unwrap();
        assert!(outcome.is_err() || outcome == Ok(1));
        assert!(driver.remote().submit::<(), _>((), async {}).result().is_err());
        driver.close();
        ledger.check();
    });
}

/// Who is of the group submits all the same.
#[test]
fn a_submission_of_the_group_to_a_loop_that_is_closed_to_others_runs() {
    model(2, || {
        let (driver, ledger, group) = (Driver::new(), Ledger::default(), GroupId::new());
        let inside = thread::spawn({
            let (remote, value) = (driver.remote(), ledger.value());
            move || {
                let _entered = group.enter();
                remote.submit::<(), _>((), async move { value.get() }).result()
            }
        });
        driver.remote().close_to_others(group);
        driver.run_until_ended(&ledger, 1);
        assert_eq!(inside.join().unwrap(), Ok(1));
        driver.close();
        ledger.check();
    });
}
