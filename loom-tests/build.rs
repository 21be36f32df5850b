//! Turns on the loom side of `bridge/src/sync.rs` for this package, and for no other.

fn main() {
    println!("cargo::rustc-cfg=perloop_loom");
    println!("cargo::rerun-if-changed=build.rs");
}
