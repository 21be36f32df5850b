//! What goes wrong on purpose: panics, cancelled tasks, and clerks who take their time.

use std::cell::RefCell;
use std::panic::resume_unwind;

use perloop::{AnyTask, get_running_loop, sleep};

use crate::MANAGER;
use crate::dice::Dice;

/// Of so many places where a panic may come, it comes at one.
const CALMNESS: u64 = 25;
/// The longest pause, in microseconds.
const PAUSE: u64 = 300;

thread_local! {
    /// None while all goes well.
    static DICE: RefCell<Option<Dice>> = const { RefCell::new(None) };
}

/// From now on things go wrong in this thread, or no longer.
pub(crate) fn set(dice: Option<Dice>) {
    DICE.set(dice);
}

fn roll<R>(roll: impl FnOnce(&mut Dice) -> R) -> Option<R> {
    DICE.with_borrow_mut(|dice| dice.as_mut().map(roll))
}

/// A place where a panic may come. The panic hook stays silent, as there are thousands of them.
pub(crate) fn crash_point() {
    if roll(|dice| dice.one_in(CALMNESS)) == Some(true) {
        resume_unwind(Box::new("the clerk fell off the chair"));
    }
}

/// Takes some time, in which others have their turns, and in which one may be cancelled.
pub(crate) async fn pause() {
    if let Some(time) = roll(|dice| dice.micros(PAUSE)) {
        sleep(time).await;
    }
}

/// Cancels one of this loop's tasks, whichever it is, unless it has no name, or is the manager. How many that were
/// comes back.
pub(crate) async fn cancel_one() -> usize {
    let Ok(own) = get_running_loop() else { return 0 };
    let mut named: Vec<AnyTask> = own.all_tasks();
    named.retain(|task| !task.name().starts_with("Task-") && task.name() != MANAGER);
    let drawn = if named.is_empty() { None } else { roll(|dice| dice.index(named.len())) };
    usize::from(drawn.is_some_and(|drawn| named[drawn].cancel()))
}
