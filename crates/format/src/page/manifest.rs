//! The manifest: root page of a point, with its named parts.

use super::Page;
use crate::codec::Result;
use crate::id::BlobId;

/// How a part is laid out below its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// Files.
    Tree = 1,
    /// Fixed blocks.
    Image = 2,
    /// Bytes.
    Stream = 3,
}

/// A named part of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name; `files` in a file set.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Root page; none where the part is empty.
    pub root: Option<BlobId>,
    /// Entries of a tree (all kinds), blocks of an image, extents of a stream.
    pub entries: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
}

/// Root page of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The parts, sorted by name, names unique.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}
