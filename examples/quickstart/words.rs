//! What is counted, and the plain sequential pass. Nothing in here knows of perloop.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) words: HashMap<String, u64>,
}

impl Index {
    /// A word is a run of letters. What is not UTF-8 is read as well as it can be.
    pub(crate) fn add(&mut self, content: &[u8]) {
        self.files += 1;
        self.bytes += content.len() as u64;
        let text = String::from_utf8_lossy(content).to_lowercase();
        for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = self.words.insert(word.to_owned(), 1),
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        other.words.into_iter().for_each(|(word, count)| *self.words.entry(word).or_default() += count);
    }

    pub(crate) fn commonest(&self) -> Vec<(&str, u64)> {
        let mut words: Vec<_> = self.words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        words.sort_unstable_by_key(|&(word, count)| (Reverse(count), word));
        words.truncate(10);
        words
    }
}

/// The directories and the files in a directory. Symbolic links are neither.
pub(crate) fn list(directory: &Path, skips: &[&str]) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && !skips.iter().any(|skip| entry.file_name() == *skip) {
            directories.push(entry.path());
        }
    }
    Ok((directories, files))
}

/// The same work without threads, loops or futures.
pub(crate) fn sequential(root: &Path, skips: &[&str]) -> Index {
    let (mut index, mut directories) = (Index::default(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        let Ok((below, files)) = list(&directory, skips) else { continue };
        directories.extend(below);
        files.iter().flat_map(fs::read).for_each(|content| index.add(&content));
    }
    index
}

pub(crate) fn differences<'a>(ours: &'a Index, plain: &'a Index) -> Vec<(&'a str, u64, u64)> {
    let count = |index: &Index, word: &str| index.words.get(word).copied().unwrap_or(0);
    let words: BTreeSet<_> = ours.words.keys().chain(plain.words.keys()).collect();
    let mut rows = vec![("FILES", ours.files, plain.files), ("BYTES", ours.bytes, plain.bytes)];
    rows.extend(words.into_iter().map(|word| (word.as_str(), count(ours, word), count(plain, word))));
    rows.retain(|(_, ours, plain)| ours != plain);
    rows
}
