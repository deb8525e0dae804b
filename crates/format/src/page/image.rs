//! Images: fixed blocks in pages of a fixed fan-out; zero runs are left out.
//!
//! ```text
//! type (1) ‖ level (1) ‖ binary logarithm of the block's bytes (1) ‖ count (varint) ‖ slots
//! slot = 0 or 1 + link (varint)
//! ```

use super::links::{LinkTable, Links};
use super::{Page, PageType};
use crate::codec::{FormatError, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;

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
        self.check()?;
        let links = LinkTable::of(self.slots.iter().flatten().copied())?;
        let mut writer = Writer::new();
        writer.u8(PageType::Image as u8).u8(self.level).u8(self.block_bytes.trailing_zeros() as u8);
        writer.varint(self.slots.len() as u64);
        for slot in &self.slots {
            writer.varint(slot.map_or(0, |id| 1 + links.position(&id)));
        }
        links.finish(writer)
    }

    /// Decodes it.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        let (mut links, mut reader) = Links::open("page of an image", PageType::Image, links, content)?;
        let level = reader.u8()?;
        let exponent = u32::from(reader.u8()?);
        let block_bytes = 1u32.checked_shl(exponent).ok_or(BLOCK_BYTES)?;
        let count = reader.count("slots of an image page", limits::IMAGE_FANOUT, 1)?;
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            slots.push(match reader.varint()? {
                0 => None,
                position => Some(links.at(position - 1)?),
            });
        }
        links.end(reader)?;
        let page = Self { level, block_bytes, slots };
        page.check()?;
        Ok(page)
    }

    fn check(&self) -> Result<()> {
        within("level of a page", usize::from(self.level), usize::from(limits::LEVELS_MAX))?;
        within("slots of an image page", self.slots.len(), limits::IMAGE_FANOUT)?;
        if !self.block_bytes.is_power_of_two()
            || !(limits::IMAGE_BLOCK_BYTES_MIN..=limits::BLOB_PLAINTEXT_MAX).contains(&(self.block_bytes as usize))
        {
            return Err(BLOCK_BYTES);
        }
        match self.slots.last() {
            Some(Some(_)) => Ok(()),
            _ => Err(FormatError::Invalid("an image page is empty or ends in an empty slot")),
        }
    }
}

const BLOCK_BYTES: FormatError = FormatError::Invalid("the blocks of an image are not a power of two from 4 KiB to 16 MiB");
