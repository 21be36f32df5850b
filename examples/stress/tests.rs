//! A short run, and that what is promised of the mix holds.

use super::*;

#[test]
fn a_short_run_has_every_deed_and_every_end_and_an_exact_ledger() {
    // It ends by the number of deeds, however slow the machine; and the growth of so short a run says nothing.
    let time = Duration::from_secs(600);
    let options = Options { time, deeds: 3_000, seed: 1, growth: 256, ..Options::default() };
    let findings = run(&options).unwrap();
    assert_eq!(findings.tally.faults, [""; 0]);
    assert!((0..Deed::ALL.len()).all(|deed| findings.tally.of_deed(deed) > 0));
    assert!(End::ALL.iter().all(|(end, _)| findings.tally.of_end(*end) > 0));
    assert!(findings.loops.iter().sum::<u64>() > 0);
}

#[test]
fn a_seed_gives_each_thread_the_same_mix_again_and_no_other_thread() {
    let mix = |seed, thread| {
        let mut dice = Dice::new(seed, thread);
        [(); 20].map(|()| Deed::draw(&mut dice))
    };
    assert_eq!(mix(7, 2), mix(7, 2));
    assert_ne!(mix(7, 2), mix(7, 3));
    assert_ne!(mix(7, 2), mix(8, 2));
}

#[test]
fn the_ledger_finds_what_is_lost_and_what_ends_twice() {
    let faults = |end: fn(ledger::Claim) -> Vec<ledger::Claim>| {
        let ledger = Ledger::new(1);
        let mut book = Book::new(&ledger, 0);
        let kept = end(book.open(Deed::Wait));
        let faults = book.close().faults;
        drop(kept);
        faults
    };
    assert_eq!(
        faults(|claim| {
            claim.tell(End::Refused);
            Vec::new()
        }),
        [""; 0]
    );
    let lost = faults(|claim| vec![claim]);
    assert!(lost[0].contains("lost"), "{lost:?}");
    let twice = faults(|claim| {
        claim.account().tell(End::Cancelled);
        Vec::new()
    });
    assert!(twice[0].contains("not exactly one end"), "{twice:?}");
    let valueless = faults(|claim| {
        claim.tell(End::Completed);
        Vec::new()
    });
    assert!(valueless[0].contains("without a value"), "{valueless:?}");
}
