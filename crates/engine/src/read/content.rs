//! The extents of a file's content, wherever they stand.

use super::pages::{PageReader, decode};
use crate::error::{EngineError, Result};
use format::BlobId;
use format::page::{Attribute, Attributes, Content, Extent, PageType, StreamLeaf, StreamNode};
use std::collections::VecDeque;

/// Extents of a content in order; those of a stream are read page by page.
pub(crate) struct ContentReader<'a> {
    pages: &'a PageReader,
    extents: VecDeque<Extent>,
    /// Pages still to be read, the next one last, each with the level that it must be below.
    rest: Vec<(BlobId, u8)>,
}

impl<'a> ContentReader<'a> {
    pub(crate) fn new(pages: &'a PageReader, content: &Content) -> Self {
        match content {
            Content::Extents(extents) => Self { pages, extents: extents.iter().copied().collect(), rest: Vec::new() },
            Content::Stream { root } => Self::of_stream(pages, *root),
        }
    }

    pub(crate) fn of_stream(pages: &'a PageReader, root: BlobId) -> Self {
        Self { pages, extents: VecDeque::new(), rest: vec![(root, u8::MAX)] }
    }

    fn read_page(&mut self, id: BlobId, below: u8) -> Result<()> {
        let page = self.pages.page(id)?;
        if decode(&page, |_, content| PageType::of(content))? == PageType::StreamLeaf {
            self.extents.extend(decode(&page, StreamLeaf::decode)?.extents);
            return Ok(());
        }
        let node = decode(&page, StreamNode::decode)?;
        if node.level >= below {
            return Err(EngineError::Damaged { what: "page", id });
        }
        self.rest.extend(node.children.iter().rev().map(|child| (child.page, node.level)));
        Ok(())
    }
}

impl Iterator for ContentReader<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.extents.is_empty() {
            let (page, below) = self.rest.pop()?;
            if let Err(error) = self.read_page(page, below) {
                self.rest.clear();
                return Some(Err(error));
            }
        }
        self.extents.pop_front().map(Ok)
    }
}

/// The attributes of an entry, read from their stream where they stand in one.
pub(crate) fn read_attributes(pages: &PageReader, attributes: &Attributes) -> Result<Vec<Attribute>> {
    let (root, length) = match attributes {
        Attributes::Inline(list) => return Ok(list.clone()),
        Attributes::Stream { root, length } => (*root, *length),
    };
    let damaged = || EngineError::Damaged { what: "page", id: root };
    let mut bytes = Vec::new();
    for extent in ContentReader::of_stream(pages, root) {
        let Extent::Data { blob, offset, length: piece } = extent? else { return Err(damaged()) };
        let data = pages.data(blob)?;
        let range = offset as usize..offset as usize + piece as usize;
        bytes.extend_from_slice(data.get(range).ok_or_else(damaged)?);
        if bytes.len() as u64 > length {
            return Err(damaged());
        }
    }
    if bytes.len() as u64 != length {
        return Err(damaged());
    }
    Attributes::decode_list(&bytes).map_err(EngineError::format("read extended attributes"))
}
