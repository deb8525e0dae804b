//! The files of the checkout: those that are in the project's history or would go into it.

use crate::checkout;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Text files by path (relative, with `/`), and the paths of all files.
#[derive(Default)]
pub(super) struct Tree {
    texts: BTreeMap<String, String>,
    paths: Vec<String>,
}

impl Tree {
    /// Reads the checkout. Files that are not UTF-8 have a path only.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let listed = checkout::output(Command::new("git").current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut tree = Self::default();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // Listed and not there: deleted and not yet committed.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            tree.paths.push(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.texts.insert(path.to_owned(), text);
            }
        }
        Ok(tree)
    }

    /// A tree of these files, for tests of the checks.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { texts, paths: files.iter().map(|(path, _)| (*path).to_owned()).collect() }
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is a file, or a directory with files, of this path.
    pub(super) fn contains(&self, path: &str) -> bool {
        let directory = format!("{path}/");
        self.paths.iter().any(|file| file == path || file.starts_with(&directory))
    }

    /// Text files whose name ends like this.
    pub(super) fn texts_ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// All text files.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// How many files.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }
}
