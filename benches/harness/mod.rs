//! Who runs whom: the parent starts each run as a fresh process of this same program, and prints what it learns.

pub(crate) mod allocations;
mod arguments;
pub(crate) mod child;
pub(crate) mod goal;
pub(crate) mod metric;
mod parent;
pub(crate) mod pinning;
pub(crate) mod process;
mod row;
mod strace;
mod table;
pub(crate) mod times;
mod versions;
pub(crate) mod workload;

use std::process::ExitCode;

use arguments::{Arguments, HELP, Request};

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let workloads = crate::workloads::all();
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => println!("{HELP}"),
        Ok(Request::List) => workloads.iter().for_each(|one| println!("{:<18} {}", one.name, one.title)),
        Ok(Request::Compare(arguments)) => return parent::compare_all(&workloads, &arguments),
        Ok(Request::Child(task)) => return child::run(&workloads, &task),
        Err(unknown) => {
            eprintln!("{unknown}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
