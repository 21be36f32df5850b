//! No money is made or lost, in whatever order.

use perloop::Simulation;

use super::*;

/// So many days are tried, if the environment's `PERLOOP_SEED` says nothing.
const SEEDS: u64 = 1_000;

fn plan(seed: u64) -> Plan {
    Plan { seed, accounts: 6, clients: 2, transfers: 4, cancellations: 6, is_careless: false }
}

fn simulate(simulation: Simulation, plan: Plan) -> Findings {
    simulation.loops(3).run(|group| day(group, plan)).expect("a day ends")
}

#[test]
fn no_money_is_made_or_lost_in_any_order() {
    let (mut days, mut transfers, mut restarts, mut cancelled) = (0, 0, 0, 0);
    Simulation::check(0..SEEDS, |simulation| {
        let plan = plan(simulation.seed());
        let findings = simulate(simulation, plan);
        assert_eq!(findings.faults, [""; 0], "{findings}");
        days += 1;
        transfers += findings.transfers;
        restarts += findings.restarts;
        cancelled += findings.cancelled;
    });
    println!("{days} days, {transfers} transfers, {restarts} restarts, {cancelled} cancelled tasks");
    // Enough of each went wrong, on the whole.
    assert!(days < 100 || (transfers > 10 * days && restarts > 2 * days && cancelled > 2 * days));
}

#[test]
fn a_day_goes_the_same_way_again() {
    for seed in 0..20 {
        let days = [(); 2].map(|()| simulate(Simulation::seeded(seed), plan(seed)));
        assert_eq!(days[0], days[1]);
    }
}

#[test]
fn a_bank_that_takes_money_twice_is_found_out() {
    let is_found_out = |seed| {
        let plan = Plan { is_careless: true, ..plan(seed) };
        !simulate(Simulation::seeded(seed), plan).faults.is_empty()
    };
    assert!((0..SEEDS).any(is_found_out));
}

#[test]
fn the_same_holds_with_threads() {
    main().expect("no money is made or lost");
}
