//! The base: the tree of the item's last point, walked in step with the source.

use super::findings::Notices;
use super::shared::same_state;
use crate::error::{EngineError, Result};
use crate::path;
use crate::read::{ContentReader, LeafStream, PageReader};
use crate::source::{SourceEntry, Warning, WarningKind};
use format::BlobId;
use format::page::{Attributes, Content, Entry, Extent, Leaf, TreeEntry, compare_keys};
use seal::DomainWriter;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

/// A leaf of the base.
pub(crate) struct BaseLeaf {
    pub(crate) page: BlobId,
    pub(crate) leaf: Leaf,
}

/// An entry of the base and the leaf that it stands in.
#[derive(Clone)]
pub(crate) struct BaseEntry {
    pub(crate) leaf: Arc<BaseLeaf>,
    pub(crate) place: usize,
}

impl BaseEntry {
    pub(crate) fn entry(&self) -> &Entry {
        &self.tree_entry().entry
    }

    pub(crate) fn tree_entry(&self) -> &TreeEntry {
        &self.leaf.leaf.entries[self.place]
    }
}

/// Answers for each entry of the source, in order, what the base has of it.
pub(crate) struct Base {
    leaves: LeafStream,
    current: Option<Arc<BaseLeaf>>,
    place: usize,
    ended: bool,
    /// Whether a part that cannot be read is an error.
    needed_whole: bool,
    damaged: Damaged,
    writer: DomainWriter,
}

impl Base {
    pub(crate) fn new(leaves: LeafStream, damaged: Damaged, writer: DomainWriter) -> Self {
        Self { leaves, current: None, place: 0, ended: false, needed_whole: false, damaged, writer }
    }

    /// The same where what the source does not give is taken over from it.
    pub(crate) fn needed_whole(self) -> Self {
        Self { needed_whole: true, ..self }
    }

    /// The base's entry of this place, if there is one. Places must come in order.
    pub(crate) fn find(&mut self, directory: &[u8], name: &[u8], notices: &Notices) -> Result<Option<BaseEntry>> {
        loop {
            let Some(TreeEntry { directory: there, entry }) = self.next(notices)? else { return Ok(None) };
            // most of the time both are in one directory
            let order = if **there == *directory {
                entry.name.as_slice().cmp(name)
            } else {
                compare_keys((there, &entry.name), (directory, name))
            };
            match order {
                Ordering::Less => self.place += 1,
                Ordering::Equal => return Ok(self.take()),
                Ordering::Greater => return Ok(None),
            }
        }
    }

    /// Takes the base's next entry, if it stands before this place; without a place, in any case.
    pub(crate) fn take_before(&mut self, place: Option<(&[u8], &[u8])>, notices: &Notices) -> Result<Option<BaseEntry>> {
        let Some(TreeEntry { directory, entry }) = self.next(notices)? else { return Ok(None) };
        if place.is_some_and(|place| compare_keys((directory, &entry.name), place).is_ge()) {
            return Ok(None);
        }
        Ok(self.take())
    }

    /// The base's next entry.
    fn next(&mut self, notices: &Notices) -> Result<Option<&TreeEntry>> {
        while self.current.as_ref().is_none_or(|leaf| self.place >= leaf.leaf.entries.len()) {
            if !self.advance(notices)? {
                return Ok(None);
            }
        }
        Ok(self.current.as_ref().and_then(|leaf| leaf.leaf.entries.get(self.place)))
    }

    fn take(&mut self) -> Option<BaseEntry> {
        let place = self.place;
        self.place += 1;
        self.current.as_ref().map(|leaf| BaseEntry { leaf: leaf.clone(), place })
    }

    fn advance(&mut self, notices: &Notices) -> Result<bool> {
        self.current = None;
        self.place = 0;
        while !self.ended {
            let Some(read) = self.leaves.next() else {
                self.ended = true;
                break;
            };
            let read = read?;
            match read.leaf {
                Ok(leaf) => {
                    self.current = Some(Arc::new(BaseLeaf { page: read.page, leaf }));
                    return Ok(true);
                }
                Err(_) if self.needed_whole => {
                    return Err(EngineError::ChangesUnknown("the last point cannot be read whole"));
                }
                Err(error) => {
                    let path = read.first.map_or_else(Vec::new, |first| path::join(&first.directory, &first.name));
                    notices.warn(Warning { path, kind: WarningKind::BaseUnreadable, detail: error.to_string() });
                }
            }
        }
        Ok(false)
    }

    /// Whether the entry can be taken over as it is.
    pub(crate) fn is_unchanged(&self, found: &SourceEntry, base: &BaseEntry) -> bool {
        let entry = base.entry();
        let same = same_state(&entry.metadata, &found.metadata)
            && entry.metadata.names == found.metadata.names
            && entry.metadata.device == found.metadata.device
            && !entry.unsettled;
        // the numbers of file systems may change places between two starts of a machine: a group must still be the right one
        let same_group = |group: &[u8; 16]| *group == self.writer.link_group(found.file_system, found.metadata.inode);
        same && entry.link_group.as_ref().is_none_or(same_group) && !self.damaged.touches(entry)
    }

    /// Whether the page of a leaf is needed anew.
    pub(crate) fn is_page_damaged(&self, leaf: &BaseLeaf) -> bool {
        self.damaged.contains(&leaf.page)
    }
}

/// Blobs of which the vault has no sound copy: entries that need them are read anew.
pub(crate) struct Damaged {
    blobs: HashSet<BlobId>,
    pages: Option<Arc<PageReader>>,
}

impl Damaged {
    pub(crate) fn new(blobs: &[BlobId], pages: Option<Arc<PageReader>>) -> Self {
        Self { blobs: blobs.iter().copied().collect(), pages }
    }

    fn contains(&self, blob: &BlobId) -> bool {
        self.blobs.contains(blob)
    }

    fn touches(&self, entry: &Entry) -> bool {
        if self.blobs.is_empty() {
            return false;
        }
        let attributes = match &entry.attributes {
            Attributes::Inline(_) => false,
            Attributes::Stream { root, .. } => self.touches_stream(*root),
        };
        attributes
            || match &entry.content {
                Content::Extents(extents) => extents.iter().any(|extent| self.touches_extent(extent)),
                Content::Stream { root } => self.touches_stream(*root),
            }
    }

    fn touches_extent(&self, extent: &Extent) -> bool {
        matches!(extent, Extent::Data { blob, .. } if self.blobs.contains(blob))
    }

    /// Goes through all pages of a stream; one that cannot be read touches.
    fn touches_stream(&self, root: BlobId) -> bool {
        let Some(pages) = &self.pages else { return true };
        let damaged_page = |id: &BlobId| self.blobs.contains(id);
        damaged_page(&root)
            || ContentReader::of_stream(pages, root).any(|extent| extent.map_or(true, |extent| self.touches_extent(&extent)))
    }
}
