//! Cases of one's own, good and bad.

use std::path::Path;

use super::*;

fn cases(text: &str) -> Vec<Case> {
    // Its own file for each test, which may run at the same time.
    let name = format!("perloop-conformance-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(format!("{name}.json"));
    std::fs::write(&file, text).unwrap();
    let cases = load(std::slice::from_ref(&file));
    std::fs::remove_file(&file).unwrap();
    cases.unwrap()
}

fn checked(text: &str) -> (bool, String) {
    player::watch_panics();
    let mut out = Vec::new();
    let is_well = check(&cases(text), &mut out).unwrap();
    (is_well, String::from_utf8(out).unwrap())
}

const SLEEPER: &str = r#"{"group": "own", "cases": [
    {"name": "sleeper", "coros": {"main": [{"op": "sleep", "ms": 3}]},
     "golden": ["0 main start main", "3 main end main = null", "3 - run = null"]}]}"#;

#[test]
fn traces_are_printed_by_name() {
    let mut out = Vec::new();
    assert!(print(&cases(SLEEPER), &mut out).unwrap());
    let printed: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(printed["sleeper"][1], "3 main end main = null");
}

#[test]
fn golden_traces_are_compared_line_by_line() {
    assert_eq!(
        checked(SLEEPER),
        (true, "1 equal, 0 different, 0 without a golden trace, 0 not played\n".into())
    );
    let (is_well, told) = checked(&SLEEPER.replace("3 main end", "4 main end"));
    assert!(!is_well && told.contains("!   4 main end main = null    got: 3 main end main = null"), "{told}");
}

#[test]
fn what_is_not_of_the_format_is_refused_with_its_name() {
    for (part, problem) in [
        (r#"{"op": "hop"}"#, r#"unknown op "hop""#),
        (r#"{"op": "await", "aw": {"hop": 1}}"#, "unknown awaitable"),
        (r#"{"op": "call", "coro": "other"}"#, "no 'other' in coros"),
        (r#"{"op": "if", "cond": ["near", 1, 2], "then": []}"#, r#"unknown condition "near""#),
        (r#"{"op": "log", "text": "$x"}"#, "no variable 'x'"),
    ] {
        let (is_well, told) = checked(&SLEEPER.replace(r#"{"op": "sleep", "ms": 3}"#, part));
        assert!(!is_well && told.contains(problem), "{told}");
    }
}

#[test]
fn a_file_that_is_none_is_an_error() {
    for file in
        [Path::new("no such file"), Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path()]
    {
        let error = load(&[file.to_owned()]).map(|cases| cases.len()).unwrap_err();
        assert!(error.starts_with(&file.display().to_string()), "{error}");
    }
}
