//! What is left out of a file set: patterns, the vault and Holdfast's own state, other file systems, caches.

use super::roots::resolve_loosely;
use crate::error::WorkloadError;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Name of the file that marks a cache directory (<https://bford.info/cachedir/>).
pub(super) const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
/// What that file starts with.
pub(super) const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Which rules hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleOptions {
    pub(crate) excludes: Vec<String>,
    pub(crate) includes: Vec<String>,
    pub(crate) skip: Vec<PathBuf>,
    pub(crate) one_file_system: bool,
    pub(crate) exclude_caches: bool,
    pub(crate) exclude_nodump: bool,
}

/// The rules of a file set.
#[derive(Debug)]
pub(crate) struct Rules {
    patterns: Gitignore,
    skip: Vec<PathBuf>,
    pub(super) one_file_system: bool,
    pub(super) exclude_caches: bool,
    pub(super) exclude_nodump: bool,
}

/// What is skipped in one walk: paths in the tree, and device and inode of those that exist, however they are reached.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    paths: HashSet<Vec<u8>>,
    identities: HashSet<(u64, u64)>,
}

impl Rules {
    /// Compiles the patterns: excludes, then includes as if with `!` before them, the last match deciding.
    pub(crate) fn new(options: RuleOptions) -> Result<Self, WorkloadError> {
        let mut builder = GitignoreBuilder::new("/");
        builder.allow_unclosed_class(false);
        let includes = options.includes.iter().filter(|line| !line.trim().is_empty()).map(|line| format!("!{line}"));
        let lines: Vec<String> = options.excludes.iter().cloned().chain(includes).collect();
        for line in &lines {
            let malformed = |why: String| WorkloadError::Pattern { pattern: line.clone(), why };
            if line.starts_with("!!") {
                return Err(malformed("an include starts with `!`".into()));
            }
            builder.add_line(None, line).map_err(|error| malformed(error.to_string()))?;
        }
        Ok(Self {
            patterns: builder.build().map_err(|error| too_large(&lines, &error))?,
            skip: options.skip,
            one_file_system: options.one_file_system,
            exclude_caches: options.exclude_caches,
            exclude_nodump: options.exclude_nodump,
        })
    }

    /// Whether flags of files decide.
    pub(crate) fn excludes_nodump(&self) -> bool {
        self.exclude_nodump
    }

    /// Whether there are patterns at all.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The pattern that excludes a path in the tree.
    pub(super) fn excluded_by(&self, path: &[u8], is_directory: bool) -> Option<&str> {
        match self.patterns.matched(Path::new(OsStr::from_bytes(path)), is_directory) {
            Match::Ignore(glob) => Some(glob.original()),
            Match::None | Match::Whitelist(_) => None,
        }
    }

    /// Looks at what is to be skipped.
    pub(super) fn skipped(&self) -> Skipped {
        use std::os::unix::fs::MetadataExt;
        let mut skipped = Skipped::default();
        for path in &self.skip {
            skipped.paths.insert(resolve_loosely(path));
            if let Ok(metadata) = std::fs::metadata(path) {
                skipped.identities.insert((metadata.dev(), metadata.ino()));
            }
        }
        skipped
    }
}

impl Skipped {
    /// Whether anything is skipped.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether this is: by identity, or by path where it did not exist at first.
    pub(super) fn contains(&self, identity: (u64, u64), path: impl FnOnce() -> Vec<u8>) -> bool {
        !self.is_empty() && (self.identities.contains(&identity) || self.paths.contains(&path()))
    }
}

/// Which of these patterns, each of which is well formed, cannot be compiled.
fn too_large(lines: &[String], error: &ignore::Error) -> WorkloadError {
    let compiles = |line: &&String| {
        let mut alone = GitignoreBuilder::new("/");
        alone.add_line(None, line).is_ok() && alone.build().is_ok()
    };
    match lines.iter().find(|line| !compiles(line)) {
        Some(line) => {
            WorkloadError::Pattern { pattern: line.clone(), why: "its braces are nested too deep, or it is too long".into() }
        }
        None => WorkloadError::Pattern {
            pattern: format!("{} and {} more", lines.first().map_or("", String::as_str), lines.len().saturating_sub(1)),
            why: format!("they are too large together ({error})"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(excludes: &[&str], includes: &[&str]) -> Rules {
        let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_string()).collect();
        Rules::new(RuleOptions { excludes: own(excludes), includes: own(includes), ..RuleOptions::default() }).unwrap()
    }

    #[test]
    fn patterns_follow_gitignore() {
        let rules = rules(&["*.o", "/var/cache", "build/", "# a comment", "", "a/**/z", "!keep.o"], &["special.o"]);
        assert_eq!(rules.excluded_by(b"home/x/y.o", false), Some("*.o"));
        assert_eq!(rules.excluded_by(b"var/cache", true), Some("/var/cache"));
        assert_eq!(rules.excluded_by(b"home/var/cache", true), None);
        assert_eq!(rules.excluded_by(b"home/build", true), Some("build/"));
        assert_eq!(rules.excluded_by(b"home/build", false), None);
        assert_eq!(rules.excluded_by(b"a/b/c/z", false), Some("a/**/z"));
        assert_eq!(rules.excluded_by(b"home/keep.o", false), None);
        assert_eq!(rules.excluded_by(b"home/special.o", false), None);
        assert_eq!(rules.excluded_by(b"home/not utf-8 \xff.o", false), Some("*.o"));
    }

    #[test]
    fn a_malformed_pattern_is_named() {
        let bad = Rules::new(RuleOptions { excludes: vec!["fine".into(), "a[".into()], ..RuleOptions::default() });
        assert!(bad.unwrap_err().to_string().contains("a["));
        let bad = Rules::new(RuleOptions { includes: vec!["!x".into()], ..RuleOptions::default() });
        assert!(bad.is_err());
        let deep = ["{a,".repeat(150), "}".repeat(150)].concat();
        let bad = Rules::new(RuleOptions { excludes: vec!["fine".into(), deep.clone()], ..RuleOptions::default() });
        let said = bad.unwrap_err().to_string();
        assert!(said.contains(&deep) && said.contains("nested too deep"), "{said}");
    }
}
