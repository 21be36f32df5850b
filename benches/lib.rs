//! perloop measured against its peers and against bare lower bounds, side by side in one run.
//!
//! - [`harness`] runs each contestant in processes of its own, in turn, and prints tables;
//! - [`workloads`] are what is measured, each written once for all contestants;
//! - [`peers`] are who is measured, each written once for all workloads;
//! - [`bounds`] are what no loop can beat: what the machine needs for the bare exchange.

mod bounds;
mod harness;
mod peers;
mod workloads;

pub use harness::main;
