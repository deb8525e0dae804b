//! `xtask/tidy.toml`: what is excepted from a rule, and for how long it still may be.

use super::Finding;
use super::tree::Tree;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Where the settings stand.
pub(super) const PATH: &str = "xtask/tidy.toml";

/// Exceptions. Each names what it is good for; the lists may only shrink.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Files longer than the limit, with the length that they had.
    pub(super) long_file: Vec<LongFile>,
    /// Functions longer than the limit, with the length that they had.
    pub(super) long_function: Vec<LongFunction>,
    /// Files that may contain unsafe code.
    pub(super) unsafe_files: Vec<String>,
    /// The places of `repository` that may ask the machine for time or randomness.
    pub(super) clock_and_entropy: Vec<String>,
}

/// A file that may be longer than others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongFile {
    /// The file.
    pub(super) path: String,
    /// Its length in lines, without tests.
    pub(super) lines: usize,
}

/// A function that may be longer than others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongFunction {
    /// The file.
    pub(super) path: String,
    /// The function's name.
    pub(super) name: String,
    /// Its length in lines.
    pub(super) lines: usize,
}

impl Settings {
    /// Reads them.
    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).with_context(|| format!("cannot read {PATH}"))
    }

    /// Exceptions for files that are gone.
    pub(super) fn check(&self, tree: &Tree) -> Vec<Finding> {
        let long = self.long_file.iter().map(|file| &file.path).chain(self.long_function.iter().map(|file| &file.path));
        let named = long.chain(&self.unsafe_files).chain(&self.clock_and_entropy);
        let gone = named.filter(|path| !tree.contains(path));
        gone.map(|path| Finding::new(PATH, format!("names {path}, which is not there: drop it"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, Tree};

    #[test]
    fn an_exception_for_a_file_that_is_gone_is_found() {
        let settings = Settings::parse("unsafe_files = [\"a.rs\", \"b.rs\"]").unwrap();
        let findings = settings.check(&Tree::of(&[("a.rs", "")]));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("b.rs"));
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        assert!(Settings::parse("unsafe_fils = []").is_err());
    }
}
