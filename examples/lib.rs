//! Examples live beside this file, one program each; `cargo run --release --example NAME`.

pub mod classics;
