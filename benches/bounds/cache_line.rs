//! A cache line that goes to another core and back, between two threads which never sleep.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Exchange;

pub(crate) struct CacheLine;

/// Alone on its cache lines.
#[repr(align(128))]
struct Line(AtomicU64);

impl Line {
    fn wait_for(&self, value: u64) {
        while self.0.load(Ordering::Acquire) != value {
            spin_loop();
        }
    }
}

impl Exchange for CacheLine {
    const NAME: &'static str = "cache line, both spin";

    fn start() -> Result<impl FnMut(), String> {
        let line = Arc::new(Line(AtomicU64::new(0)));
        let its = Arc::clone(&line);
        std::thread::spawn(move || {
            for odd in (1..).step_by(2) {
                its.wait_for(odd);
                its.0.store(odd + 1, Ordering::Release);
            }
        });
        let mut odd = 1;
        Ok(move || {
            line.0.store(odd, Ordering::Release);
            line.wait_for(odd + 1);
            odd += 2;
        })
    }
}
