//! Streams: the extents of long content.
//!
//! ```text
//! leaf = type (1) ‖ count (varint) ‖ extents in columns
//! node = type (1) ‖ level (1) ‖ count (varint) ‖ links (varint each) ‖ bytes (varint each)
//! ```

use super::extents::{self, ExtentsReader, ExtentsWriter};
use super::links::{LinkTable, Links};
use super::{Extent, Page, PageType};
use crate::codec::{FormatError, Result, Writer, within};
use crate::id::BlobId;
use crate::limits;

/// A leaf of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLeaf {
    /// Extents in order, 1 to [`limits::STREAM_EXTENTS_MAX`].
    pub extents: Vec<Extent>,
}

impl StreamLeaf {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        self.check()?;
        let data = |extent: &Extent| match extent {
            Extent::Data { blob, .. } => Some(*blob),
            Extent::Hole { .. } => None,
        };
        let links = LinkTable::of(self.extents.iter().filter_map(data))?;
        let mut columns = ExtentsWriter::default();
        self.extents.iter().for_each(|extent| columns.push(extent, &links));
        let mut writer = Writer::new();
        writer.u8(PageType::StreamLeaf as u8).varint(self.extents.len() as u64);
        columns.finish(&mut writer);
        links.finish(writer)
    }

    /// Decodes it.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        let (mut links, mut reader) = Links::open("leaf of a stream", PageType::StreamLeaf, links, content)?;
        let count = reader.count("extents of a stream's leaf", limits::STREAM_EXTENTS_MAX, 2)?;
        let mut columns = ExtentsReader::open(&mut reader, count, &mut links)?;
        let extents = (0..count).map(|_| columns.next(&mut reader)).collect::<Result<Vec<_>>>()?;
        links.end(reader)?;
        let leaf = Self { extents };
        leaf.check()?;
        Ok(leaf)
    }

    /// Bytes of content in it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.extents.iter().map(Extent::length).fold(0, u64::saturating_add)
    }

    fn check(&self) -> Result<()> {
        within("extents of a stream's leaf", self.extents.len(), limits::STREAM_EXTENTS_MAX)?;
        self.extents.iter().try_for_each(extents::check)?;
        extents::total(self.extents.iter().map(Extent::length))?;
        if self.extents.is_empty() { Err(FormatError::Invalid("a stream's leaf is empty")) } else { Ok(()) }
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
    /// Children in order, 1 to [`limits::PAGE_LINKS_MAX`].
    pub children: Vec<StreamChild>,
}

impl StreamNode {
    /// Encodes it.
    pub fn encode(&self) -> Result<Page> {
        self.check()?;
        let links = LinkTable::of(self.children.iter().map(|child| child.page))?;
        let mut writer = Writer::new();
        writer.u8(PageType::StreamNode as u8).u8(self.level).varint(self.children.len() as u64);
        for child in &self.children {
            writer.varint(links.position(&child.page));
        }
        for child in &self.children {
            writer.varint(child.bytes);
        }
        links.finish(writer)
    }

    /// Decodes it.
    pub fn decode(links: &[BlobId], content: &[u8]) -> Result<Self> {
        let (mut links, mut reader) = Links::open("node of a stream", PageType::StreamNode, links, content)?;
        let level = reader.u8()?;
        let count = reader.count("children of a stream's node", limits::PAGE_LINKS_MAX, 2)?;
        let mut children = Vec::with_capacity(count);
        for _ in 0..count {
            children.push(StreamChild { page: links.at(reader.varint()?)?, bytes: 0 });
        }
        for child in &mut children {
            child.bytes = reader.varint()?;
        }
        links.end(reader)?;
        let node = Self { level, children };
        node.check()?;
        Ok(node)
    }

    /// Bytes of content below it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.children.iter().map(|child| child.bytes).fold(0, u64::saturating_add)
    }

    fn check(&self) -> Result<()> {
        within("level of a page", usize::from(self.level), usize::from(limits::LEVELS_MAX))?;
        within("children of a stream's node", self.children.len(), limits::PAGE_LINKS_MAX)?;
        extents::total(self.children.iter().map(|child| child.bytes))?;
        if self.level == 0 || self.children.is_empty() || self.children.iter().any(|child| child.bytes == 0) {
            return Err(FormatError::Invalid("a stream's node is empty, has an empty child, or level 0"));
        }
        Ok(())
    }
}
