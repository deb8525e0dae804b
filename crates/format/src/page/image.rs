//! Images: fixed blocks in pages of a fixed fan-out; zero runs are left out.

use super::Page;
use crate::codec::Result;
use crate::id::BlobId;

/// A page of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePage {
    /// 0 where its slots are blocks, otherwise pages of the level below.
    pub level: u8,
    /// Bytes of a block: a power of two from 4 KiB to 16 MiB.
    pub block_bytes: u32,
    /// At most [`crate::limits::IMAGE_FANOUT`] blocks or pages; none where everything below is zero. The last one is not none.
    pub slots: Vec<Option<BlobId>>,
}

impl ImagePage {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        unimplemented!()
    }

    /// Decodes it.
    pub fn decode(_links: &[BlobId], _content: &[u8]) -> Result<Self> {
        unimplemented!()
    }
}
