//! Streams: the extents of long content.

use super::{Extent, Page};
use crate::codec::Result;
use crate::id::BlobId;

/// A leaf of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLeaf {
    /// Extents in order, at least 1.
    pub extents: Vec<Extent>,
}

impl StreamLeaf {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}

/// A page below a node of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamChild {
    /// The page.
    pub page: BlobId,
    /// Bytes below it, at least 1.
    pub bytes: u64,
}

/// An inner page of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamNode {
    /// 1 where its children are leaves.
    pub level: u8,
    /// Children in order, at least 1.
    pub children: Vec<StreamChild>,
}

impl StreamNode {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}
