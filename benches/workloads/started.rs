//! Starts what a workload works with, on the cores that its setting names.

use std::cell::Cell;
use std::rc::Rc;

use crate::bounds::Exchange;
use crate::harness::metric::{Outcome, Sample};
use crate::harness::pinning::{Cores, Side};
use crate::harness::workload::Run;
use crate::peers::{OwnLoop, Worker};

/// A worker on the loop's side. The calling thread is on its own side afterwards.
pub(crate) fn worker<W: Worker>(run: &Run) -> Result<W, String> {
    let cores = Cores::of_this_process(run.setting.pinning)?;
    let worker = worker_on::<W>(cores, Side::Loop)?;
    cores.enter(Side::Caller)?;
    Ok(worker)
}

/// A worker on each side.
pub(crate) fn two_workers<W: Worker>(run: &Run) -> Result<(W, W), String> {
    let cores = Cores::of_this_process(run.setting.pinning)?;
    Ok((worker_on(cores, Side::Caller)?, worker_on(cores, Side::Loop)?))
}

/// An exchange with a thread on the loop's side.
pub(crate) fn exchange<E: Exchange>(run: &Run) -> Result<impl FnMut(), String> {
    let cores = Cores::of_this_process(run.setting.pinning)?;
    cores.enter(Side::Loop)?;
    // The answer comes to the thread that starts it, wherever that is by then.
    let exchange = E::start()?;
    cores.enter(Side::Caller)?;
    Ok(exchange)
}

fn worker_on<W: Worker>(cores: Cores, side: Side) -> Result<W, String> {
    cores.enter(side)?;
    let worker = W::start()?;
    let is_there = worker.submit(async move { u64::from(cores.are_entered(side)) });
    if W::wait(is_there) == 1 { Ok(worker) } else { Err("its thread is not pinned".to_owned()) }
}

/// Runs `main` on a loop of this thread that keeps time, and gives what it measured.
pub(crate) fn on_own_loop<L: OwnLoop, F: Future<Output = Sample> + 'static>(
    main: impl FnOnce(L) -> F + 'static,
) -> Outcome {
    let measured = Rc::new(Cell::new(None));
    let its = Rc::clone(&measured);
    L::run_timed(move |own| async move { its.set(Some(main(own).await)) })?;
    measured.take().ok_or_else(|| "its main did not come to its end".to_owned())
}
