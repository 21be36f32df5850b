//! The depot of memory for cells, for who keeps none.

use perloop_bridge::Depot;

#[test]
fn who_takes_the_last_block_of_a_chain_leaves_no_empty_one() {
    let depot = Depot::small(1, 4);
    for _ in 0..3 {
        let blocks = [depot.withdraw_one(), depot.withdraw_one()];
        assert_ne!(blocks[0], blocks[1]);
        for block in blocks {
            // SAFETY: it comes from there, and nobody uses it.
            unsafe { depot.deposit_one(block) };
        }
    }
}
