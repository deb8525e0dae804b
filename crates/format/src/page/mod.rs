//! Pages: blobs that name other blobs.
//!
//! A page's plaintext starts with its type; its links stand beside it, sorted and unique, and the content refers to
//! them by position. Decoded values carry the ids themselves, so that nothing outside this module counts positions.

mod attributes;
mod check;
mod entry;
mod extents;
mod image;
mod leaf;
mod links;
mod manifest;
mod stream;
mod tree;
mod tree_node;

pub use entry::{Attribute, Attributes, Content, Entry, EntryKind, Extent, Metadata, Owner, Timestamp};
pub use image::ImagePage;
pub use leaf::{Leaf, TreeEntry};
pub use manifest::{Manifest, Part, Shape};
pub use stream::{StreamChild, StreamLeaf, StreamNode};
pub use tree::{TreeKey, compare_keys, compare_paths};
pub use tree_node::{Node, NodeChild};

use crate::codec::{FormatError, Result};
use crate::id::BlobId;

/// An encoded page: what is hashed and sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The blobs that it names, sorted and unique.
    pub links: Vec<BlobId>,
    /// The plaintext: type and content.
    pub content: Vec<u8>,
}

/// The type of a page: the first byte of its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// Root of a point.
    Manifest = 1,
    /// Entries of a tree.
    TreeLeaf = 2,
    /// Pages of a tree.
    TreeNode = 3,
    /// Extents of a stream.
    StreamLeaf = 4,
    /// Pages of a stream.
    StreamNode = 5,
    /// Blocks, or pages, of an image.
    Image = 6,
}

impl PageType {
    /// The type that a page's plaintext starts with.
    pub fn of(content: &[u8]) -> Result<Self> {
        match content.first() {
            Some(1) => Ok(Self::Manifest),
            Some(2) => Ok(Self::TreeLeaf),
            Some(3) => Ok(Self::TreeNode),
            Some(4) => Ok(Self::StreamLeaf),
            Some(5) => Ok(Self::StreamNode),
            Some(6) => Ok(Self::Image),
            Some(_) => Err(FormatError::Invalid("a page has an unknown type")),
            None => Err(FormatError::Truncated("page")),
        }
    }
}
