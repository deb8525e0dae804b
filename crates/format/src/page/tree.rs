//! Trees: entries sorted by (directory path by components, name) in leaves, and nodes above them.

use super::{Entry, Page};
use crate::codec::Result;
use crate::id::BlobId;
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

/// An entry with the directory that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path of the directory; entries of one directory share it.
    pub directory: Arc<[u8]>,
    /// The entry.
    pub entry: Entry,
}

/// A leaf of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Entries in order, at least 1.
    pub entries: Vec<TreeEntry>,
}

impl Leaf {
    /// Encodes it; its links are the blobs that its entries name.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it: sorted, unique, names and paths well-formed, every link used.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}

/// A page below a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChild {
    /// Place of the first entry below it.
    pub first: TreeKey,
    /// The page.
    pub page: BlobId,
    /// Entries below it.
    pub entries: u64,
    /// Bytes of content below it.
    pub bytes: u64,
}

/// An inner page of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// 1 where its children are leaves.
    pub level: u8,
    /// Children in order, at least 1.
    pub children: Vec<NodeChild>,
}

impl Node {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}
