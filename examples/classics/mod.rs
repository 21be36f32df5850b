//! What the tests of the examples in `classics/` share: they look at what a program prints, and at what CPython prints
//! of the Python program in its comments.

use std::fmt::Arguments;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

static PRINTED: Mutex<String> = Mutex::new(String::new());

/// As `println!`, which it stands for in tests; [`printed_by`] gets it too.
#[macro_export]
macro_rules! recorded_println {
    ($($part:tt)*) => {
        $crate::classics::record(format_args!($($part)*))
    };
}

/// What [`recorded_println!`] is made of.
pub fn record(line: Arguments<'_>) {
    let line = format!("{line}\n");
    print!("{line}");
    PRINTED.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
}

/// Gives what a program prints, in whatever thread. Only one program runs at a time.
pub fn printed_by(program: impl FnOnce()) -> String {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let take = || std::mem::take(&mut *PRINTED.lock().unwrap_or_else(PoisonError::into_inner));
    take();
    program();
    take()
}

/// Gives what the Python program in an example's comments prints; none where there is no Python.
///
/// # Panics
/// If the Python program fails.
pub fn printed_by_python(example: &str, arguments: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("classics/python.py");
    let output = match Command::new("python3").arg(script).arg(example).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED: there is no python3 here to compare {example} with");
            return None;
        }
        Err(error) => panic!("python3 does not start: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fails unless the program prints just this, and CPython of its Python program too.
///
/// # Panics
/// If one of the two prints something else.
pub fn expect(example: &str, expected: &str, program: impl FnOnce()) {
    assert_same("perloop", &printed_by(program), expected);
    // Python's clock is the real one, and the machine may be busy: it may try three times.
    let same = |_| printed_by_python(example, &[]).is_none_or(|printed| printed == expected);
    if !(1..3).any(same)
        && let Some(printed) = printed_by_python(example, &[])
    {
        assert_same("CPython", &printed, expected);
    }
}

fn assert_same(who: &str, printed: &str, expected: &str) {
    let (printed, expected): (Vec<_>, Vec<_>) = (printed.lines().collect(), expected.lines().collect());
    assert_eq!(printed, expected, "{who} prints the first, expected is the second");
}
