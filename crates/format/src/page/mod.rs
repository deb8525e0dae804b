//! Pages: blobs that name other blobs.
//!
//! A page's plaintext starts with its type; its links stand beside it, sorted and unique, and the content refers to
//! them by position. Decoded values carry the ids themselves, so that nothing outside this module counts positions.

mod entry;
mod image;
mod manifest;
mod stream;
mod tree;

pub use entry::{Attribute, Attributes, Content, Entry, EntryKind, Extent, Metadata, Owner, Timestamp};
pub use image::ImagePage;
pub use manifest::{Manifest, Part, Shape};
pub use stream::{StreamChild, StreamLeaf, StreamNode};
pub use tree::{Leaf, Node, NodeChild, TreeEntry, TreeKey, compare_keys, compare_paths};

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
