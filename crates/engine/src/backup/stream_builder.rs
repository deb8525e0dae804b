//! Content that is too long for a leaf: its extents in pages of their own.

use super::storing::Store;
use crate::error::{EngineError, Result};
use format::page::{Attribute, Attributes, Content, Extent, StreamChild, StreamLeaf, StreamNode};
use format::{BlobId, limits};

/// Least extents of a leaf, unless it is the last one.
const LEAF_EXTENTS_MIN: usize = 128;
/// Most extents of a leaf: each may be a link.
const LEAF_EXTENTS_MAX: usize = 2048;
/// Least and most children of a node.
const NODE_CHILDREN_MIN: usize = 32;
const NODE_CHILDREN_MAX: usize = 1024;
/// A page ends behind a blob whose id has this many zero bits at the end: one in 512, one in 128.
const LEAF_BITS: u32 = 9;
const NODE_BITS: u32 = 7;
/// Bytes of a blob of extended attributes.
const ATTRIBUTES_BLOB_BYTES: usize = 1 << 20;

/// Builds the pages of a stream from its extents, few of which are in memory at a time.
#[derive(Default)]
struct StreamBuilder {
    extents: Vec<Extent>,
    /// Children of nodes that are not closed, by level from 1.
    levels: Vec<Vec<StreamChild>>,
}

/// Whether a page ends behind this blob. The ids are hashes under a key, so that nothing has to be hashed again.
fn ends(id: &BlobId, bits: u32) -> bool {
    let tail = u64::from_le_bytes(*id.as_bytes().last_chunk().expect("an id has 32 bytes"));
    tail.trailing_zeros() >= bits
}

impl StreamBuilder {
    fn push(&mut self, store: &Store, extent: Extent) -> Result<()> {
        self.extents.push(extent);
        let boundary = matches!(&extent, Extent::Data { blob, .. } if ends(blob, LEAF_BITS));
        if self.extents.len() >= LEAF_EXTENTS_MAX || (boundary && self.extents.len() >= LEAF_EXTENTS_MIN) {
            self.close_leaf(store)?;
        }
        Ok(())
    }

    fn close_leaf(&mut self, store: &Store) -> Result<()> {
        let leaf = StreamLeaf { extents: std::mem::take(&mut self.extents) };
        let bytes = leaf.length();
        let page = store.put_page(leaf.encode().map_err(EngineError::format("make a page of a long file"))?)?;
        self.push_child(store, 1, StreamChild { page, bytes })
    }

    fn push_child(&mut self, store: &Store, level: usize, child: StreamChild) -> Result<()> {
        if self.levels.len() < level {
            self.levels.push(Vec::new());
        }
        let children = &mut self.levels[level - 1];
        children.push(child);
        let boundary = ends(&child.page, NODE_BITS) && children.len() >= NODE_CHILDREN_MIN;
        if children.len() >= NODE_CHILDREN_MAX || boundary {
            let node = self.close_node(store, level)?;
            self.push_child(store, level + 1, node)?;
        }
        Ok(())
    }

    fn close_node(&mut self, store: &Store, level: usize) -> Result<StreamChild> {
        let node = StreamNode { level: level as u8, children: std::mem::take(&mut self.levels[level - 1]) };
        let bytes = node.length();
        let page = store.put_page(node.encode().map_err(EngineError::format("make a page of a long file"))?)?;
        Ok(StreamChild { page, bytes })
    }

    /// The root page.
    fn finish(mut self, store: &Store) -> Result<BlobId> {
        if !self.extents.is_empty() {
            self.close_leaf(store)?;
        }
        let mut level = 1;
        loop {
            let children = self.levels.get(level - 1).map_or(0, Vec::len);
            let is_top = self.levels.len() <= level;
            if is_top && children == 1 {
                return Ok(self.levels[level - 1][0].page);
            }
            if children > 0 {
                let node = self.close_node(store, level)?;
                self.push_child(store, level + 1, node)?;
            }
            level += 1;
            if level > usize::from(limits::LEVELS_MAX) {
                return Err(EngineError::Internal("a stream has too many levels"));
            }
        }
    }
}

/// Collects the extents of a file: inline while they are few, then in a stream.
#[derive(Default)]
pub(crate) struct ContentBuilder {
    inline: Vec<Extent>,
    stream: Option<StreamBuilder>,
    bytes: u64,
}

impl ContentBuilder {
    pub(crate) fn push(&mut self, store: &Store, extent: Extent) -> Result<()> {
        self.bytes += extent.length();
        if let Some(stream) = &mut self.stream {
            return stream.push(store, extent);
        }
        if let (Some(Extent::Hole { length: before }), Extent::Hole { length }) = (self.inline.last_mut(), extent) {
            *before += length;
            return Ok(());
        }
        self.inline.push(extent);
        if self.inline.len() > limits::INLINE_EXTENTS_MAX {
            let mut stream = StreamBuilder::default();
            std::mem::take(&mut self.inline).into_iter().try_for_each(|extent| stream.push(store, extent))?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Bytes of content so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self, store: &Store) -> Result<Content> {
        match self.stream {
            None => Ok(Content::Extents(self.inline)),
            Some(stream) => Ok(Content::Stream { root: stream.finish(store)? }),
        }
    }
}

/// Puts extents into a stream although a leaf could hold them, because there are too many in the leaf.
pub(crate) fn put_stream(store: &Store, extents: &[Extent]) -> Result<BlobId> {
    let mut stream = StreamBuilder::default();
    extents.iter().try_for_each(|extent| stream.push(store, *extent))?;
    stream.finish(store)
}

/// Puts attributes into a stream.
pub(crate) fn put_attributes(store: &Store, list: &[Attribute]) -> Result<Attributes> {
    let bytes = Attributes::encode_list(list);
    let mut stream = StreamBuilder::default();
    for piece in bytes.chunks(ATTRIBUTES_BLOB_BYTES) {
        let room = store.room(piece.len())?;
        let blob = store.put_together(system::Buffer::of(piece.to_vec()), room)?;
        stream.push(store, Extent::Data { blob, offset: 0, length: piece.len() as u32 })?;
    }
    Ok(Attributes::Stream { root: stream.finish(store)?, length: bytes.len() as u64 })
}
