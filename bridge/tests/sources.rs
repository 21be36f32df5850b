//! The walls of the bridge's own source: one file names std's or loom's threads, and each claim has its model.

use std::fs;
use std::path::{Path, PathBuf};

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A line without its comment. No string of the bridge has two slashes in it.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn only_the_shim_names_std_sync_or_loom() {
    let sources = files_under(&here().join("src"));
    assert!(sources.len() > 15, "the source is where it was");
    for path in sources {
        if path.ends_with("sync.rs") || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (line, number) in text.lines().zip(1..) {
            for wall in ["std::sync", "core::sync", "loom", "std::{", "std::thread::park"] {
                assert!(!code(line).contains(wall), "{}:{number} says {wall}", path.display());
            }
        }
    }
}

/// The models that the page names, as `file::name`.
fn claimed(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| text.split_once("::"));
    named
        .filter(|(file, name)| !file.contains(char::is_uppercase) && !name.contains(char::is_uppercase))
        .collect()
}

fn models() -> Vec<(String, String)> {
    let mut models = Vec::new();
    for path in files_under(&here().join("../loom-tests/tests")) {
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let names = text.split("#[test]\nfn ").skip(1).map(|rest| rest.split('(').next().unwrap());
        models.extend(names.map(|name| (file.clone(), name.to_owned())));
    }
    models
}

#[test]
fn each_claim_has_its_model_and_each_model_its_claim() {
    let page = fs::read_to_string(here().join("src/PROTOCOL.md")).unwrap();
    let (claimed, models) = (claimed(&page), models());
    assert!(claimed.len() > 40, "{claimed:?}");
    for (file, name) in &claimed {
        assert!(models.iter().any(|model| model.0 == *file && model.1 == *name), "no model {file}::{name}");
    }
    for (file, name) in &models {
        assert!(
            claimed.iter().any(|claim| claim.0 == file && claim.1 == name),
            "{file}::{name} proves no claim"
        );
    }
}

/// Claims are numbered without a gap.
#[test]
fn claims_are_numbered() {
    let page = fs::read_to_string(here().join("src/PROTOCOL.md")).unwrap();
    let numbers =
        page.lines().filter_map(|line| line.strip_prefix("- **P")?.split("**").next()?.parse::<u32>().ok());
    assert!(numbers.eq(1..=47));
}
