//! Two threads that park, and unpark each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use super::Exchange;

pub(crate) struct Park;

/// Something that one thread tells another.
struct Signal {
    is_given: AtomicBool,
    to: Thread,
}

impl Signal {
    fn new(to: Thread) -> Self {
        Self { is_given: AtomicBool::new(false), to }
    }

    fn give(&self) {
        self.is_given.store(true, Ordering::Release);
        self.to.unpark();
    }

    fn wait(&self) {
        while !self.is_given.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Exchange for Park {
    const NAME: &'static str = "park and unpark";

    fn start() -> Result<impl FnMut(), String> {
        let answer = Arc::new(Signal::new(thread::current()));
        let its = Arc::clone(&answer);
        let (sender, receiver) = std::sync::mpsc::channel::<Arc<Signal>>();
        let other = thread::spawn(move || {
            let question = receiver.recv().expect("it is sent at once");
            loop {
                question.wait();
                its.give();
            }
        });
        let question = Arc::new(Signal::new(other.thread().clone()));
        sender.send(Arc::clone(&question)).expect("the other thread waits for it");
        Ok(move || {
            question.give();
            answer.wait();
        })
    }
}
