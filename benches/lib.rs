//! Benches live beside this file; `cargo bench -p benches`.
