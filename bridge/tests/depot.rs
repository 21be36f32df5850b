//! The depot of memory for cells, for who keeps none.

use std::sync::LazyLock;

use perloop_bridge::Depot;

static DEPOT: LazyLock<Depot> = LazyLock::new(|| Depot::small(1, 4));

#[test]
fn who_takes_the_last_block_of_a_chain_leaves_no_empty_one() {
    for _ in 0..3 {
        let blocks = [DEPOT.withdraw_one(), DEPOT.withdraw_one()];
        assert_ne!(blocks[0], blocks[1]);
        for block in blocks {
            // SAFETY: it comes from there, and nobody uses it.
            unsafe { DEPOT.deposit_one(block) };
        }
    }
}
