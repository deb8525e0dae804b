//! The order of trees: entries are sorted by (directory path by components, name).

use std::cmp::Ordering;
use std::sync::Arc;

/// Compares directory paths by components: `a/z` comes before `a.b`.
#[must_use]
pub fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    left.iter().map(rank).cmp(right.iter().map(rank))
}

/// Place of an entry in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeKey {
    /// Path of the directory, components joined by `/`, without one at start or end; empty for the root.
    pub directory: Arc<[u8]>,
    /// Name in it.
    pub name: Vec<u8>,
}

impl Ord for TreeKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_keys((&self.directory, &self.name), (&other.directory, &other.name))
    }
}

impl PartialOrd for TreeKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares places in a tree, each a directory and a name.
#[must_use]
pub fn compare_keys(left: (&[u8], &[u8]), right: (&[u8], &[u8])) -> Ordering {
    compare_paths(left.0, right.0).then_with(|| left.1.cmp(right.1))
}
